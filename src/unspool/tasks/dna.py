"""DNA: genomes in, the stretches that become proteins out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.codecs.genetic import genetic_code
from unspool.codecs.genomes import Contig, Gene, Genomes
from unspool.codecs.sites import TABLES
from unspool.errors import DataError
from unspool.models.strands import STEP, Strands
from unspool.tasks.dna_calling import Weights, candidates, fitted
from unspool.tasks.dna_config import DnaConfig, settle
from unspool.tasks.dna_labels import usable
from unspool.tasks.dna_model import DnaModel, build, read_contig
from unspool.tasks.dna_sites import SiteJob, SiteModel
from unspool.tasks.dna_windows import WINDOW, Labelled, Store, Windows
from unspool.tasks.task import Demonstration, Prepared, Task, Trained
from unspool.training import ModelFolder, Options, Progress, pick_device
from unspool.training.loop import Carry

__all__ = ["Dna"]

LEAST = 50  # genes
KEPT = 3_000_000  # bases that gene weights are learned from
HELD = 20 * WINDOW  # bases of a validation stretch at most


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
        size = 0
        for contig in genomes:
            if valid:
                self.train.add(contig, 0, len(contig))
            else:
                self._divided(contig, config.valid_share, rng)
            if size < KEPT:
                self.kept.append(_stretch(contig, min(len(contig), KEPT // 4), rng))
                size += len(self.kept[-1])
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
        return frames + starts, int((batch.classes >= 0).sum()), None

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
            total, count = total + float(frames + starts), count + int((batch.classes >= 0).sum())
        return total / count

    def sample(self) -> str:
        return ""

    @torch.inference_mode()
    def judge(self, folder: ModelFolder) -> dict[str, Any]:
        """What starts and genes are judged by, learned from stretches of the training genomes with the best weights."""
        folder.load_into(self.model)
        self.model.eval()
        weights = Weights()
        features, right = [], []
        for contig in self.kept:
            read = read_contig(self.model, contig.bases)
            code = genetic_code(contig.code or 11)
            found = candidates(contig.bases, read, code, weights, self.config.shortest, edges=False)
            true = {_end(g) for g in contig.genes if usable(g)}
            odd = {_end(g) for g in contig.genes if not usable(g)}
            ends = [(int(s), int(b if s > 0 else a)) for a, b, s in zip(found.start, found.stop, found.strand, strict=True)]
            counts = np.array([end not in odd for end in ends], bool)
            features.append(found.features[counts])
            right.append(np.array([end in true for end in ends], bool)[counts])
        gene = fitted(np.concatenate(features), np.concatenate(right))
        return {"weights": {"start": list(weights.start), "gene": list(gene), "cost": weights.cost}}


def _end(gene: Gene) -> tuple[int, int]:
    return gene.strand, gene.stop if gene.strand > 0 else gene.start
