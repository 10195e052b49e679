"""Labelled windows of DNA: one class for a stretch of bases, as whether its middle is a splice site."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.codecs.sites import Sites
from unspool.errors import DataError
from unspool.models import Categorical, ManyToOne
from unspool.scoring.positions import PositionWeights
from unspool.scoring.rating import report
from unspool.sequences import Sequences, batches_by_length
from unspool.tasks.config import held_out
from unspool.tasks.dna_config import DnaConfig
from unspool.tasks.outputs import written
from unspool.tasks.task import Trained, configure
from unspool.training import ModelFolder, pick_device
from unspool.training.loop import Carry

__all__ = ["SiteJob", "SiteModel", "Sited"]

LEAST = 20  # windows
TOGETHER = 20_000  # bases that are read at once
NOISE = 0.05  # share of bases that are hidden while training


class Bases(nn.Module):
    """Bases (B, T), 0 to 3 or 4 for an unknown one, to vectors (B, T, D) that also see four bases on either side."""

    def __init__(self, size: int):
        super().__init__()
        self.conv = nn.Conv1d(4, size, 9, padding=4)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, bases: Tensor) -> Tensor:
        known = F.one_hot(bases, 5)[:, :, :4].to(self.conv.weight.dtype)
        return F.relu(self.conv(known.transpose(1, 2))).transpose(1, 2)


def _build(config: DnaConfig, classes: int, device: torch.device, seed: int) -> ManyToOne:
    torch.manual_seed(seed)
    dropout = config.dropout or 0.0
    stack = config.stack(config.embedding, bidirectional=True)
    head = Categorical(stack.output_size, classes)
    return ManyToOne(Bases(config.embedding), stack, head, pooling="attention", input_dropout=dropout, dropout=dropout).to(device)


class _Feed:
    """Windows in batches of like length, in training with some bases hidden."""

    full = 0

    def __init__(self, windows: list[np.ndarray], classes: np.ndarray, batch: int, seed: int):
        self.windows, self.classes, self.batch, self.seed = windows, classes, batch, seed
        self.symbols = len(windows)
        self._lengths = np.array([len(w) for w in windows])

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Sequences, Tensor]]:
        rng = np.random.default_rng((self.seed, number)) if number >= 0 else None
        longest = int(self._lengths.max())
        for index, rows in enumerate(batches_by_length(self._lengths, self.batch * longest, rng)):
            if index >= start:
                chosen = [self.windows[i] for i in rows.tolist()]
                if rng is not None:
                    chosen = [np.where(rng.random(len(w)) < NOISE, 4, w) for w in chosen]
                yield Sequences.collate([w.astype(np.int64) for w in chosen]), torch.from_numpy(self.classes[rows])


class SiteJob:
    """What the loop trains."""

    unit, per_symbol = "nats per window", 1.0

    def __init__(self, data: Sequence[str | Path], valid: Sequence[str | Path], config: DnaConfig):
        names = {"sequence": config.sequence_column, "label": config.label_column, "group": config.group_column}
        sites = Sites(data, names=names)
        self.classes = sorted({site.label for site in sites.items})
        if len(sites.items) < LEAST or len(self.classes) < 2:
            raise DataError(
                f"{len(sites.items)} windows of {len(self.classes)} classes are too few; training needs {LEAST} of two classes"
            )
        held = sites.items if not valid else Sites(valid, names=names).items
        if not valid:
            keys = [site.group or site.bases.tobytes().hex() for site in sites.items]
            chosen = held_out(keys, config.valid_share, config.seed, 2000)
            train, held = ([s for s, out in zip(sites.items, chosen, strict=True) if out == part] for part in (False, True))
        else:
            train = sites.items
        unknown = sorted({s.label for s in held} - set(self.classes))
        if unknown:
            raise DataError(f"the validation windows have the class {unknown[0]!r}, which the others lack")
        self.report = f"{len(sites.items):,} windows of {len(self.classes)} classes ({', '.join(self.classes)})" + "".join(
            f"; skipped, {why}: {n:,}" for why, n in sites.skipped.items()
        )
        number = {name: n for n, name in enumerate(self.classes)}
        parts = [([s.bases for s in part], np.array([number[s.label] for s in part])) for part in (train, held)]
        self.feed: Any = _Feed(*parts[0], config.batch, config.seed)
        self._watched = _Feed(*parts[1], 256, config.seed)
        self.model = _build(config, len(self.classes), pick_device(config.device), config.seed)
        self.weights = PositionWeights.fit(*parts[0], len(self.classes))
        shares = np.exp(self.weights.log_prior)
        self.model.head.expect(torch.from_numpy(shares).float())  # type: ignore[operator]
        truth = parts[1][1]
        weighed = np.stack([self.weights.log_probs(w) for w in parts[1][0]])[np.arange(len(truth)), truth]
        self.baselines = {"majority": float(-np.log(shares[truth]).mean()), "position weights": float(-weighed.mean())}

    def loss(self, batch: tuple[Sequences, Tensor], carry: Carry) -> tuple[Tensor, int, Carry]:
        device = next(self.model.parameters()).device
        return self.model.nll(batch[0].to(device), batch[1].to(device)).sum(), len(batch[1]), None

    def validate(self) -> float:
        return sum(float(self.loss(batch, None)[0]) for batch in self._watched.epoch(-1)) / self._watched.symbols

    def sample(self) -> str:
        return ""


@dataclass(frozen=True)
class Sited:
    """The class of a window, and the probability of each."""

    place: str
    label: str
    probabilities: dict[str, float]


class SiteModel(Trained):
    """A model of labelled windows."""

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.config: DnaConfig = configure(DnaConfig, stored["config"])
        self.classes: list[str] = stored["codec"]["classes"]
        self.model = _build(self.config, len(self.classes), pick_device(device), 0)
        folder.load_into(self.model)
        self.model.eval()

    def _sites(self, data: Sequence[str | Path], labels: bool) -> Sites:
        names = {"sequence": self.config.sequence_column, "label": self.config.label_column, "group": self.config.group_column}
        return Sites(data, names=names, labels=labels)

    @torch.inference_mode()
    def probabilities(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """(N, K) of windows of bases."""
        found = np.zeros((len(windows), len(self.classes)))
        device = next(self.model.parameters()).device
        for rows in batches_by_length([len(w) for w in windows], TOGETHER):
            batch = Sequences.collate([windows[i].astype(np.int64) for i in rows.tolist()]).to(device)
            found[rows] = self.model.head.log_probs(self.model(batch)).double().exp().cpu().numpy()  # type: ignore[operator]
        return found

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """Accuracy and more, and that of the majority and of position weights."""
        sites = self._sites(data, True).items
        number = {name: n for n, name in enumerate(self.classes)}
        for site in sites:
            if site.label not in number:
                raise DataError(f"{site.place}: the class {site.label!r} is none of those learned: {', '.join(self.classes)}")
        truth = np.array([number[site.label] for site in sites])
        windows = [site.bases for site in sites]
        answer = report(self.probabilities(windows), truth, self.classes, ordered=False)
        weights = PositionWeights(*(self.folder.load_tensors("baseline")[0][k].numpy() for k in ("log_p", "log_prior")))
        others = {
            "majority, accuracy": float((truth == weights.log_prior.argmax()).mean()),
            "position weights, accuracy": float(
                np.mean([weights.log_probs(w).argmax() == k for w, k in zip(windows, truth, strict=True)])
            ),
        }
        return {"data": [str(p) for p in data], "windows": len(sites), **answer, "baselines": others}

    def predict(self, inputs: Iterable[str | Path]) -> list[Sited]:
        """The class of each row of tables with a column for a sequence."""
        sites = self._sites([Path(p) for p in inputs], False).items
        p = self.probabilities([site.bases for site in sites])
        return [
            Sited(site.place, self.classes[int(row.argmax())], dict(zip(self.classes, row.tolist(), strict=True)))
            for site, row in zip(sites, p, strict=True)
        ]

    def examples(self, seed: int = 0) -> str:
        return f"\nNext:\n  unspool predict {self.folder.path} WINDOWS.csv -o CLASSES.csv"

    def deliver(self, samples: Iterable[Sited], output: Path | None = None, as_json: bool = False) -> str:
        """A line a window; an output file is .json (one object a line) or .csv."""
        found = list(samples)
        if as_json or (output and output.suffix in (".json", ".jsonl")):
            text = "".join(json.dumps({"place": s.place, "label": s.label, "probabilities": s.probabilities}) + "\n" for s in found)
        else:
            buffer = io.StringIO()
            rows = ((s.place, s.label, *(f"{p:.4f}" for p in s.probabilities.values())) for s in found)
            csv.writer(buffer, lineterminator="\n").writerows([("place", "label", *self.classes), *rows])
            text = buffer.getvalue()
        if output is None:
            return text.rstrip("\n")
        with written(output) as file:
            file.write(text)
        return f"{len(found):,} classes are in {output}"
