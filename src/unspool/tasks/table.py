"""Tables of numbers over time: a series in, a class out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from unspool.codecs.series import Series, SeriesFiles
from unspool.errors import DataError
from unspool.models import Categorical, ManyToOne
from unspool.tasks.classes import ClassFeed, ClassJob, ClassModel, Example
from unspool.tasks.config import divided
from unspool.tasks.features import Scale, points, summary, varied
from unspool.tasks.table_config import TableConfig, settle
from unspool.tasks.task import Demonstration, Prepared, Task, Trained, configure
from unspool.training import ModelFolder, Options, Progress, pick_device

__all__ = ["Table", "TableModel"]

LEAST = 10  # series
MOST_NEAREST = 2000  # series that the baseline remembers


class Table(Task):
    """Series of numbers to classes."""

    name = "table"
    Config = TableConfig

    def options(self, config: TableConfig) -> Options:
        return config.options

    def load(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto") -> Trained:
        return TableModel(folder, stored, device)

    def prepare(
        self,
        data: Sequence[str | Path],
        valid: Sequence[str | Path],
        config: TableConfig,
        scratch: Path,
        progress: Progress,
        *,
        stored: Mapping[str, Any] | None = None,
        init: Trained | None = None,
    ) -> Prepared:
        files = SeriesFiles(data, channels=config.channels)
        if len(files.items) < LEAST:
            raise DataError(f"there are only {len(files.items)} series; training needs at least {LEAST}")
        if valid:
            train, held, how = files.items, SeriesFiles(valid, channels=config.channels).items, "the validation files given"
        else:
            groups, labels = ([getattr(s, name) for s in files.items] for name in ("group", "label"))
            train, held, how = divided(files.items, groups, labels, config.valid_share, config.seed, "series")
        config = settle(config, series=len(train))
        classes = sorted({s.label for s in train})
        if len(classes) < 2 or {s.label for s in held} - set(classes):
            raise DataError(
                f"there must be two classes, each in the part to learn from; the classes there are {', '.join(classes)}"
            )
        scale = Scale.of([s.values for s in train])
        job = _job(config, train, held, classes, scale)
        if isinstance(init, TableModel):
            init.transfer(job.model)
        widths = train[0].values.shape[1]
        skipped = "".join(f"; skipped, {why}: {n:,}" for why, n in files.skipped.items())
        progress.say(
            f"read {len(files.items):,} series of {len(classes)} classes, {widths} numbers a step; validation on {how}{skipped}"
        )
        facts = {
            "files": [str(p) for p in data],
            "split": how,
            "unit": job.unit,
            "series": len(train),
            "shares": job.shares.tolist(),
        }
        codec = {"classes": classes, "width": widths}
        rows = [_features(config, scale, s.values) for s in train[:MOST_NEAREST]]
        known = {
            "nearest": np.stack([summary(row) for row in rows]).astype(np.float32),
            "classes": np.array([classes.index(s.label) for s in train[:MOST_NEAREST]]),
            "mean": scale.mean,
            "deviation": scale.deviation,
            "change": scale.change,
        }
        return Prepared(job, config, codec, facts, known)

    def demonstration(self, scratch: Path) -> Demonstration:
        rng = np.random.default_rng(1)
        paths = []
        for name, count in (("train", 60), ("test", 100)):
            x = np.zeros((count, 40, 2), np.float32)
            y = rng.integers(0, 3, count)
            for row, kind in zip(x, y, strict=True):
                turn = np.arange(40) * rng.uniform(0.15, 0.3) * (1, -1, 0)[kind] + rng.uniform(0, 6)
                drift = np.cumsum(rng.standard_normal((40, 2)) * 0.1, 0)
                row[:] = np.stack([np.cos(turn), np.sin(turn)], 1) + drift
            path = scratch / f"{name}.npz"
            np.savez(path, X=x, y=y, classes=np.array(["clockwise", "counter-clockwise", "still"])[[1, 0, 2]])
            paths.append(path)
        about = "Synthetic tracks of a point that turns one way, the other, or not at all: 60 to learn from, 100 to test on."
        return Demonstration([paths[0]], [paths[1]], {"budget": "20s"}, about)

    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        config, data = stored["config"], stored["data"]
        score = next((f"{v:.3f}" for k, v in metrics.items() if k.startswith("validation")), "none")
        files = ", ".join(f"`{f}`" for f in data["files"])
        return f"""# A classifier of series

A bidirectional {config["cell"].upper()} of {config["layers"]} x {config["hidden"]}, made with unspool
{stored["versions"]["unspool"]}. It has learned from {data["series"]:,} series of {files};
validation on {data["split"]}: {score} {data["unit"]} (majority {metrics["baselines"]["majority"]:.3f}).

    unspool predict MODEL FILE
    unspool evaluate MODEL FILE
"""


def _features(config: TableConfig, scale: Scale, values: np.ndarray) -> np.ndarray:
    return points(values, config.points) if config.points else scale.numbers(values)


def _build(config: TableConfig, inputs: int, classes: int, device: torch.device, seed: int) -> ManyToOne:
    torch.manual_seed(seed)
    dropout = config.dropout or 0.0
    stack = config.stack(config.embedding, bidirectional=True)
    embed = nn.Sequential(nn.Linear(inputs, config.embedding), nn.ReLU())
    head = Categorical(stack.output_size, classes)
    inputs_dropout = config.input_dropout or 0.0
    return ManyToOne(embed, stack, head, pooling="attention", input_dropout=inputs_dropout, dropout=dropout).to(device)


def _job(config: TableConfig, train: list[Series], held: list[Series], classes: list[str], scale: Scale) -> ClassJob:
    number = {name: n for n, name in enumerate(classes)}
    answers = [np.array([number[s.label] for s in part]) for part in (train, held)]

    def vary(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _features(config, scale, varied(values, rng, config.points, config.mirror))

    feed = ClassFeed([s.values for s in train], answers[0], config.batch, config.seed, vary)
    watched = ClassFeed([_features(config, scale, s.values) for s in held], answers[1], 64, config.seed)
    inputs = watched.values[0].shape[1]
    model = _build(config, inputs, len(classes), pick_device(config.device), config.seed)
    return ClassJob(model, feed, watched, classes, "nats per series")


class TableModel(ClassModel):
    """A classifier of series."""

    def built(self, device: str) -> ManyToOne:
        self.config: TableConfig = configure(TableConfig, self.stored["config"])
        known = {k: v.numpy() for k, v in self.folder.load_tensors("baseline")[0].items()}
        self._scale = Scale(known["mean"], known["deviation"], known["change"])
        self._nearest = known["nearest"], known["classes"]
        width = self.stored["codec"]["width"]
        inputs = _features(self.config, self._scale, np.zeros((2, width), np.float32)).shape[1]
        return _build(self.config, inputs, len(self.classes), pick_device(device), 0)

    def examples_of(self, data: Sequence[str | Path], labels: bool) -> list[Example]:
        found = SeriesFiles(data, channels=self.config.channels, labels=labels).items
        width = self.stored["codec"]["width"]
        for series in found:
            if series.values.shape[1] != width:
                raise DataError(f"{series.place} has {series.values.shape[1]} numbers a step; this model reads {width}")
        return [Example(_features(self.config, self._scale, s.values), s.label, s.place) for s in found]

    def others(self, values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        known, classes = self._nearest
        rows = (np.square(known - summary(v)).sum(1).argmin() for v in values)
        return {"nearest series": np.array([classes[int(row)] for row in rows])}
