"""What tasks share whose answer is one class for a whole sequence of numbers: the job, the trained model, its answers as files."""

from __future__ import annotations

import csv
import io
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unspool.engines import native
from unspool.errors import DataError
from unspool.insight.opened import Opened, judged
from unspool.models import ManyToOne
from unspool.scoring.rating import report
from unspool.sequences import Sequences, batches_by_length
from unspool.tasks.outputs import written
from unspool.tasks.task import Trained
from unspool.training import ModelFolder
from unspool.training.loop import Carry

__all__ = ["Answer", "ClassFeed", "ClassJob", "ClassModel", "Example"]

STEPS = 20_000  # that are read at once
SMOOTHING = 0.1  # of the classes to learn (Szegedy et al. 2016): few examples are soon known by heart


@dataclass(frozen=True)
class Example:
    """A sequence (T, ...), its class ("" where it is not known), and where it stands."""

    values: np.ndarray
    label: str
    place: str


@dataclass(frozen=True)
class Answer:
    """The class of a sequence, and the probability of each; or why it could not be read."""

    place: str
    label: str
    probabilities: dict[str, float]
    fault: str = ""

    def to_json(self) -> dict[str, Any]:
        if self.fault:
            return {"place": self.place, "error": self.fault}
        return {"place": self.place, "label": self.label, "probabilities": self.probabilities}


class ClassFeed:
    """Examples in batches of `batch` and of like length; in training each as `vary` changes it."""

    full = 0

    def __init__(
        self,
        values: Sequence[np.ndarray],
        classes: np.ndarray,
        batch: int,
        seed: int,
        vary: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    ):
        self.values, self.classes, self.batch, self.seed, self.vary = list(values), classes, batch, seed, vary
        self.symbols = len(self.values)
        self._lengths = np.array([len(v) for v in self.values])

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Sequences, Tensor]]:
        """The batches of an epoch from the `start`-th on; of a negative number in order, and unchanged."""
        rng = np.random.default_rng((self.seed, number)) if number >= 0 else None
        for index, rows in enumerate(batches_by_length(self._lengths, self.batch * int(self._lengths.max()), rng)):
            if index >= start:
                own = np.random.default_rng((self.seed, abs(number), index))
                chosen = [self.values[i] for i in rows.tolist()]
                if rng is not None and self.vary:
                    chosen = [self.vary(values, own) for values in chosen]
                yield Sequences.collate(chosen), torch.from_numpy(self.classes[rows])


class ClassJob:
    """What the loop trains: a `ManyToOne` whose head is categorical."""

    per_symbol = 1.0

    def __init__(self, model: ManyToOne, feed: ClassFeed, watched: ClassFeed, classes: Sequence[str], unit: str):
        self.model, self.unit, self.classes = model, unit, list(classes)
        self.feed: Any = feed
        self._watched = watched
        shares = np.bincount(feed.classes, minlength=len(self.classes)) + 0.5
        self.shares = shares / shares.sum()
        model.head.expect(torch.from_numpy(self.shares).float())  # type: ignore[operator]
        self.baselines = {"majority": float(-np.log(self.shares[watched.classes]).mean())}

    def loss(self, batch: tuple[Sequences, Tensor], carry: Carry) -> tuple[Tensor, int, Carry]:
        device = next(self.model.parameters()).device
        smoothing = SMOOTHING if self.model.training else 0.0
        logits = self.model.head(self.model(batch[0].to(device)))  # type: ignore[operator]
        return native.cross_entropy(logits, batch[1].to(device), smoothing), len(batch[1]), None

    def validate(self) -> float:
        device = next(self.model.parameters()).device
        found = torch.cat([self.model.nll(batch.to(device), y.to(device)) for batch, y in self._watched.epoch(-1)])
        self.slack = float(found.std(correction=0)) / len(found) ** 0.5
        return float(found.mean())

    def sample(self) -> str:
        return ""


class ClassModel(Trained):
    """A trained model that gives one class to a sequence. A task says how examples are read, and which baselines stand beside."""

    model: ManyToOne

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.classes: list[str] = stored["codec"]["classes"]
        self.model = self.built(device)
        folder.load_into(self.model)
        self.model.eval()

    @abstractmethod
    def built(self, device: str) -> ManyToOne:
        """The network of the configuration."""

    @abstractmethod
    def examples_of(self, data: Sequence[str | Path], labels: bool) -> list[Example]:
        """The examples of files, as the network reads them; with `labels` each has one."""

    def others(self, values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The answers (N,) of baselines besides the majority, by name."""
        return {}

    @torch.inference_mode()
    def probabilities(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """(N, K) of sequences."""
        found = np.zeros((len(values), len(self.classes)))
        device = next(self.model.parameters()).device
        for rows in batches_by_length([len(v) for v in values], STEPS):
            batch = Sequences.collate([values[i] for i in rows.tolist()]).to(device)
            found[rows] = self.model.head.log_probs(self.model(batch)).double().exp().cpu().numpy()  # type: ignore[operator]
        return found

    def opened(self, item: str | Path, most: int = 400) -> Opened:
        """The first sequence of a file: what its steps did to its class."""
        values = torch.from_numpy(self.examples_of([item], False)[0].values[:most])
        symbols = [str(step) for step in range(len(values))]
        return judged(self.model, values.to(next(self.model.parameters()).device), symbols, self.classes)

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """Accuracy and more, beside the majority and the task's other baselines."""
        examples = self.examples_of(data, True)
        number = {name: n for n, name in enumerate(self.classes)}
        for example in examples:
            if example.label not in number:
                raise DataError(f"{example.place}: the class {example.label!r} is none of those learned: {', '.join(self.classes)}")
        truth, values = np.array([number[e.label] for e in examples]), [e.values for e in examples]
        answer = report(self.probabilities(values), truth, self.classes, ordered=False, unit=self.stored["data"]["unit"])
        usual = int(np.argmax(self.stored["data"]["shares"]))
        others = {"majority, accuracy": float((truth == usual).mean())}
        others |= {f"{name}, accuracy": float((truth == found).mean()) for name, found in self.others(values).items()}
        return {"data": [str(p) for p in data], "examples": len(examples), **answer, "baselines": others}

    def predict(self, inputs: Iterable[str | Path]) -> list[Answer]:
        """The class of each example of files."""
        examples = self.examples_of([Path(p) for p in inputs], False)
        p = self.probabilities([e.values for e in examples])
        return [
            Answer(e.place, self.classes[int(row.argmax())], dict(zip(self.classes, row.tolist(), strict=True)))
            for e, row in zip(examples, p, strict=True)
        ]

    def examples(self, seed: int = 0) -> str:
        return f"\nNext:\n  unspool predict {self.folder.path} FILE -o CLASSES.csv\n  unspool evaluate {self.folder.path} FILE"

    def deliver(self, samples: Iterable[Answer], output: Path | None = None, as_json: bool = False) -> str:
        """A line an example; an output file is .json (one object a line) or .csv."""
        found = list(samples)
        if as_json or (output and output.suffix in (".json", ".jsonl")):
            text = "".join(json.dumps(a.to_json(), ensure_ascii=False) + "\n" for a in found)
        else:
            buffer = io.StringIO()
            table = (
                (a.place, f"error: {a.fault}" if a.fault else a.label, *(f"{p:.4f}" for p in a.probabilities.values()))
                for a in found
            )
            csv.writer(buffer, lineterminator="\n").writerows([("place", "label", *self.classes), *table])
            text = buffer.getvalue()
        if output is None:
            return text.rstrip("\n")
        with written(output) as file:
            file.write(text)
        odd = sum(bool(a.fault) for a in found)
        return f"{len(found) - odd:,} classes are in {output}" + (f"; {odd:,} could not be read, the file says why" if odd else "")
