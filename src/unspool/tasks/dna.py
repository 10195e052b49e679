"""DNA: genomes in, the stretches that become proteins out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.codecs.bases import Contig, Gene
from unspool.codecs.genomes import Genomes
from unspool.codecs.records import TABLES
from unspool.errors import DataError
from unspool.models.strands import STEP, Strands
from unspool.tasks.dna_calling import Candidates
from unspool.tasks.dna_config import DnaConfig, settle
from unspool.tasks.dna_habits import Habits
from unspool.tasks.dna_labels import labels
from unspool.tasks.dna_model import DnaModel, build
from unspool.tasks.dna_reading import FEW, Seen, settled
from unspool.tasks.dna_recode import recoded
from unspool.tasks.dna_sites import SiteJob, SiteModel
from unspool.tasks.dna_weights import USUAL, Weights, fitted, preferred
from unspool.tasks.dna_windows import TILT, WINDOW, Labelled, Store, Windows
from unspool.tasks.task import Demonstration, Prepared, Task, Trained
from unspool.training import ModelFolder, Options, Progress, pick_device
from unspool.training.loop import Carry

__all__ = ["Dna"]

LEAST = 50  # genes
KEPT, STRETCH = 10_000_000, 1_000_000  # bases that gene weights are learned from, and at most of a contig
TIMES = 2  # that weights with habits are learned, which depend on each other
SHARE = 0.4  # of what the network says of starts, in genomes that it has not learned from
WEIGHT = 2.0  # of the loss of starts, which are few
HELD = 60 * WINDOW  # bases of a validation stretch at most


class Dna(Task):
    """Finding genes."""

    name = "dna"
    Config = DnaConfig

    def options(self, config: DnaConfig) -> Options:
        return config.options

    def load(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto") -> Trained:
        return (SiteModel if stored["codec"]["kind"] == "windows" else DnaModel)(folder, stored, device)

    def prepare(
        self,
        data: Sequence[str | Path],
        valid: Sequence[str | Path],
        config: DnaConfig,
        scratch: Path,
        progress: Progress,
        *,
        stored: Mapping[str, Any] | None = None,
        init: Trained | None = None,
    ) -> Prepared:
        if all(Path(p).suffix.lower() in TABLES for p in data):
            return self._windows(data, valid, settle(config, windows=True), progress)
        config = settle(config)
        parts = _Parts(data, valid, config, scratch)
        progress.say(parts.report)
        model = build(config, pick_device(config.device), config.seed)
        if isinstance(init, DnaModel):
            init.transfer(model)
        job = _Job(model, config, parts)
        facts = {"files": [str(p) for p in data], "read": parts.counts, "unit": job.unit}
        weights = sum(p.numel() for p in model.parameters())
        progress.say(
            f"{sum(parts.train.lengths):,} bases to train on, {sum(parts.held.lengths):,} to validate; steps of {STEP} bases, both "
            f"strands; bidirectional {config.cell} {config.layers}x{config.hidden}, {weights / 1e6:.2f} M weights"
        )
        return Prepared(job, config, {"kind": "bases"}, facts, {}, job.judge)

    def _windows(self, data: Sequence[str | Path], valid: Sequence[str | Path], config: DnaConfig, progress: Progress) -> Prepared:
        """Labelled windows instead of genomes."""
        job = SiteJob(data, valid, config)
        progress.say(f"read {job.report}")
        facts = {
            "files": [str(p) for p in data],
            "read": {"windows": job.feed.symbols},
            "unit": job.unit,
            "shares": job.shares.tolist(),
        }
        return Prepared(job, config, {"kind": "windows", "classes": job.classes}, facts, job.weights.arrays())

    def demonstration(self, scratch: Path) -> Demonstration:
        from unspool.tasks.dna_simulated import write

        parts = (("train", 600_000, 1), ("test", 150_000, 2))
        train, test = (write(scratch / name, name, length, seed) for name, length, seed in parts)
        about = (
            "A simulated genome of the project's own, with a codon usage, binding sites and overlaps: 0.6 Mb to learn "
            "from, another 0.15 Mb to test on."
        )
        return Demonstration([train], [test], {"budget": "50s", "hidden": 64, "embedding": 64, "batch": 4}, about)

    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        from unspool.tasks.dna_card import card

        return card(stored, metrics)


class _Parts:
    """Genomes on disk: what is learned from, and stretches that validate, one in each twenty of a contig; some contigs in memory
    too, for the weights of genes."""

    def __init__(self, data: Sequence[str | Path], valid: Sequence[str | Path], config: DnaConfig, scratch: Path):
        self.train, self.held = Store(scratch / "dna", "train"), Store(scratch / "dna", "held")
        genomes = Genomes(data, annotated=True)
        rng = np.random.default_rng(config.seed)
        self.kept: list[Contig] = []
        for contig in genomes:
            if valid:
                self.train.add(contig, 0, len(contig))
            else:
                self._divided(contig, config.valid_share, rng)
            self.kept.append(_stretch(contig, min(len(contig), STRETCH), rng))
            while sum(map(len, self.kept)) > KEPT:
                self.kept.pop(int(rng.integers(len(self.kept))))
        for contig in Genomes(valid, annotated=True) if valid else ():
            self.held.add(contig, 0, len(contig))
        self.counts = dict(sorted(genomes.counts.items()))
        genes = self.counts.get("genes", 0)
        self.report = "read " + ", ".join(f"{name}: {count:,}" for name, count in self.counts.items())
        if genes < LEAST or not self.held.lengths:
            raise DataError(f"there are only {genes} genes to learn from ({self.report}); training needs at least {LEAST}")

    def _divided(self, contig: Contig, share: float, rng: np.random.Generator) -> None:
        """Keeps a stretch at a seeded place for validation; a short contig may be all of it."""
        length = min(int(share * len(contig)), HELD) // STEP * STEP
        if length < WINDOW // 3:
            part = self.held if rng.random() < share else self.train
            part.add(contig, 0, len(contig))
            return
        at = int(rng.integers(0, len(contig) - length)) // 3 * 3
        self.train.add(contig, 0, at)
        self.held.add(contig, at, at + length)
        self.train.add(contig, at + length, len(contig))


def _stretch(contig: Contig, length: int, rng: np.random.Generator) -> Contig:
    """A stretch of a contig at a random place, with the genes that lie in it."""
    at = int(rng.integers(0, len(contig) - length + 1)) // 3 * 3
    inside = [g._replace(start=g.start - at, stop=g.stop - at) for g in contig.genes if at <= g.start and g.stop <= at + length]
    return Contig(contig.name, contig.bases[at : at + length], inside, contig.code, False, contig.place)


class _Job:
    """What the loop trains."""

    unit, per_symbol = "nats per step", 1.0

    def __init__(self, model: Strands, config: DnaConfig, parts: _Parts):
        self.model, self.config, self.kept = model, config, parts.kept
        self.feed: Any = Windows(parts.train, config.batch, config.seed)
        self._watched = Windows(parts.held, 8, config.seed)
        counts = np.zeros(7)
        for batch in self._watched.epoch(-1):
            counts += np.bincount(batch.classes[batch.classes >= 0].numpy(), minlength=7)
        p = (counts + 1) / (counts + 1).sum()
        self.baselines = {"frequencies": float(-(counts * np.log(p)).sum() / counts.sum())}

    def loss(self, batch: Labelled, carry: Carry) -> tuple[Tensor, int, Carry]:
        frames, starts = self._both(batch.to(self._device))
        return frames + WEIGHT * starts, int((batch.classes >= 0).sum()), None

    def _both(self, batch: Labelled) -> tuple[Tensor, Tensor]:
        """The summed losses of classes and of starts."""
        classes, starts = self.model(batch.bases)
        frames = F.cross_entropy(classes.flatten(0, 1), batch.classes.flatten(), ignore_index=-1, reduction="sum")
        known = batch.starts >= 0
        wrong = F.binary_cross_entropy_with_logits(starts[known], batch.starts[known].to(starts.dtype), reduction="sum")
        return frames, wrong

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def validate(self) -> float:
        total = count = 0.0
        for batch in self._watched.epoch(-1):
            frames, starts = self._both(batch.to(self._device))
            total, count = total + float(frames + WEIGHT * starts), count + int((batch.classes >= 0).sum())
        return total / count

    def sample(self) -> str:
        return ""

    def judge(self, folder: ModelFolder) -> dict[str, Any]:
        """What starts and genes are judged by, learned from stretches of the training genomes with the best weights."""
        folder.load_into(self.model)
        self.model.eval()
        rng = np.random.default_rng(self.config.seed)
        seen = [Seen(_recoded(contig, rng) if contig.code in (0, 11) else contig, self.model) for contig in self.kept]
        for one in seen:
            one.judge(one.contig.code or 11, Weights(), self.config.shortest)
        return {"weights": [asdict(way) for way in _ways(seen)]}


def _ways(seen: Sequence[Seen]) -> list[Weights]:
    """What genes are judged by: at first, beside those found before, and by the habits of a genome, too, if any shows some."""
    for one in seen:
        one.forget()
    ways = [_learned([(one, None) for one in seen])]
    for shown in (False, True):
        way: Weights | None = None
        for _ in range(TIMES):
            for one in seen:
                one.judge(one.code, ways[0], one.reading.least)
            known = [one for one in seen if one.sure >= FEW or not shown]
            if known:
                way = _learned([(one, settled([one], way, shown=shown)) for one in known], ways[0].start)
        ways += [way] if way else []
    return ways


def _recoded(contig: Contig, rng: np.random.Generator) -> Contig:
    """The same genes with other codons, as the network does not know them."""
    bases = recoded(contig.bases, labels(contig), rng, tilt=float(rng.uniform(*TILT)))
    return replace(contig, bases=bases)


def _learned(known: Sequence[tuple[Seen, Habits | None]], first: Sequence[float] = ()) -> Weights:
    """What is learned from contigs with their habits. With habits, what the network says of starts counts for less than it would in
    the genomes that it has learned from, where its weights were `first`: it is not as sure in others."""
    pairs = [part for one, habits in known for part in _starts(one, habits)]
    cut = float(np.concatenate([x[right, 1] for _, x, right in pairs]).mean())
    start = (first[0], SHARE * first[1], *USUAL[2:]) if first and known[0][1] else preferred(pairs)
    weights = Weights(start, cut=cut)
    parts = [_judged(one.contig, one.candidates(weights, habits)) for one, habits in known]
    return replace(weights, gene=fitted(*(np.concatenate(part) for part in zip(*parts, strict=True))))


def _starts(seen: Seen, habits: Habits | None) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each strand the frames of pairs (P,), their features (P, F), and which are right (P,)."""
    for way in (1, -1):
        pairs, right = seen.pairs(way, habits)
        whole = pairs.real
        yield pairs.frame[whole], pairs.features[whole], right[whole]


def _judged(contig: Contig, found: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """The features (M, F) of the candidates that count, and which of them are genes (M,)."""
    true, odd = ({_end(g) for g in contig.genes if bool(g.fault) == odd} for odd in (False, True))
    places = zip(found.start.tolist(), found.stop.tolist(), found.strand.tolist(), strict=True)
    ends = [(strand, stop if strand > 0 else start) for start, stop, strand in places]
    counts = np.array([end not in odd for end in ends], bool) & ~found.partial
    return found.features[counts], np.array([end in true for end in ends], bool)[counts]


def _end(gene: Gene) -> tuple[int, int]:
    return gene.strand, gene.stop if gene.strand > 0 else gene.start
