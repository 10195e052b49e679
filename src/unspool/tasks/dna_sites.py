"""Labelled windows of DNA: one class for a stretch of bases, as whether its middle is a splice site."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.codecs.sites import Sites
from unspool.errors import DataError
from unspool.models import Categorical, ManyToOne
from unspool.scoring.positions import PositionWeights
from unspool.tasks.classes import ClassFeed, ClassJob, ClassModel, Example
from unspool.tasks.config import held_out
from unspool.tasks.dna_config import DnaConfig
from unspool.tasks.task import configure
from unspool.training import pick_device

__all__ = ["SiteJob", "SiteModel"]

LEAST = 20  # windows
REACH = 64  # bases on either side of the middle whose places are told apart
PLACES = 2 * REACH + 1
NOISE = 0.2  # share of bases that are hidden while training


class Bases(nn.Module):
    """Bases with their places (B, T) as `placed` makes them, to vectors (B, T, D): what a base and four on either side say,
    wherever they are, and what the base says at its place."""

    def __init__(self, size: int):
        super().__init__()
        self.conv = nn.Conv1d(4, size, 9, padding=4)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.place = nn.Embedding(5 * PLACES, size)
        nn.init.normal_(self.place.weight, std=0.1)

    def forward(self, placed: Tensor) -> Tensor:
        known = F.one_hot(placed // PLACES, 5)[:, :, :4].to(self.conv.weight.dtype)
        return F.relu(self.conv(known.transpose(1, 2)).transpose(1, 2) + self.place(placed))


def placed(bases: np.ndarray) -> np.ndarray:
    """Bases (T,), each with how far it is from the middle of its window, as one number."""
    far = np.arange(len(bases)) - len(bases) // 2
    return bases.astype(np.int64) * PLACES + (far + REACH).clip(0, 2 * REACH)


def _build(config: DnaConfig, classes: int, device: torch.device, seed: int) -> ManyToOne:
    torch.manual_seed(seed)
    dropout = config.dropout or 0.0
    stack = config.stack(config.embedding, bidirectional=True)
    head = Categorical(stack.output_size, classes)
    return ManyToOne(Bases(config.embedding), stack, head, pooling="attention", input_dropout=dropout, dropout=dropout).to(device)


def _sites(data: Sequence[str | Path], config: DnaConfig, labels: bool = True) -> Sites:
    names = {"sequence": config.sequence_column, "label": config.label_column, "group": config.group_column}
    return Sites(data, names=names, labels=labels)


def _hidden(window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some bases hidden, their places not."""
    return np.where(rng.random(len(window)) < NOISE, 4 * PLACES + window % PLACES, window)


class SiteJob(ClassJob):
    """What the loop trains; windows of one group, or the same bases, are never both learned from and validated on."""

    def __init__(self, data: Sequence[str | Path], valid: Sequence[str | Path], config: DnaConfig):
        sites = _sites(data, config)
        classes = sorted({site.label for site in sites.items})
        if len(sites.items) < LEAST or len(classes) < 2:
            raise DataError(
                f"{len(sites.items)} windows of {len(classes)} classes are too few; training needs {LEAST} of two classes"
            )
        if valid:
            train, held = sites.items, _sites(valid, config).items
        else:
            keys = [site.group or site.bases.tobytes().hex() for site in sites.items]
            chosen = held_out(keys, config.valid_share, config.seed, 2000)
            train, held = ([s for s, out in zip(sites.items, chosen, strict=True) if out == part] for part in (False, True))
        number = {name: n for n, name in enumerate(classes)}
        if unknown := sorted({s.label for s in held} - set(classes)):
            raise DataError(f"the validation windows have the class {unknown[0]!r}, which the others lack")
        parts = [([placed(s.bases) for s in part], np.array([number[s.label] for s in part])) for part in (train, held)]
        self.report = f"{len(sites.items):,} windows of {len(classes)} classes ({', '.join(classes)})"
        self.report += "".join(f"; skipped, {why}: {n:,}" for why, n in sites.skipped.items())
        model = _build(config, len(classes), pick_device(config.device), config.seed)
        feeds = ClassFeed(*parts[0], config.batch, config.seed, _hidden), ClassFeed(*parts[1], 256, config.seed)
        super().__init__(model, *feeds, classes, "nats per window")
        self.weights = PositionWeights.fit([w // PLACES for w in parts[0][0]], parts[0][1], len(classes))
        weighed = np.stack([self.weights.log_probs(w // PLACES) for w in parts[1][0]])[np.arange(len(held)), parts[1][1]]
        self.baselines["position weights"] = float(-weighed.mean())


class SiteModel(ClassModel):
    """A model of labelled windows."""

    def built(self, device: str) -> ManyToOne:
        self.config: DnaConfig = configure(DnaConfig, self.stored["config"])
        return _build(self.config, len(self.classes), pick_device(device), 0)

    def examples_of(self, data: Sequence[str | Path], labels: bool) -> list[Example]:
        return [Example(placed(site.bases), site.label, site.place) for site in _sites(data, self.config, labels).items]

    def others(self, values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        tensors = self.folder.load_tensors("baseline")[0]
        weights = PositionWeights(tensors["log_p"].numpy(), tensors["log_prior"].numpy())
        return {"position weights": np.array([weights.log_probs(window // PLACES).argmax() for window in values])}
