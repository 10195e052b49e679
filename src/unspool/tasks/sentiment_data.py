"""Labelled texts to train on: which are held out, which classes there are, and the texts encoded on disk."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from unspool.codecs.corpus import Corpus
from unspool.codecs.labelled import Example, LabelledFiles
from unspool.codecs.text import TextCodec
from unspool.errors import ConfigError, DataError
from unspool.models import ManyToOne
from unspool.scoring.tfidf import MOST_TEXTS
from unspool.tasks.config import held_out
from unspool.tasks.inputs import filled, shortened
from unspool.tasks.sentiment_config import SentimentConfig
from unspool.tasks.sentiment_model import Codec, SentimentModel
from unspool.training import ModelFolder

__all__ = ["Encoder", "Split", "Stored"]

MOST_CLASSES = 100
MOST_VALID = 5000  # texts: more would only take time


class Split:
    """Training and validation texts: a seeded choice of whole texts; the phrases of a tree go where it goes."""

    def __init__(
        self,
        data: Sequence[str | Path],
        valid: Sequence[str | Path],
        config: SentimentConfig,
        known: SentimentModel | None = None,
    ):
        text, label = config.text_column, config.label_column
        self.files = LabelledFiles(data, text=text, label=label, parts=True)
        self.held = LabelledFiles(valid, text=text, label=label) if valid else None
        counts: Counter[str] = Counter()
        first: dict[str, str] = {}  # where each label stands
        self.wholes = 0

        def texts() -> Iterator[str]:
            for example in self.files:  # a first pass, which also finds every fault before anything is made
                counts[example.label] += 1
                first.setdefault(example.label, example.place)
                if not example.part:
                    self.wholes += 1
                    yield example.text
                if len(counts) > MOST_CLASSES:
                    shown = ", ".join(map(repr, list(counts)[:5]))
                    raise DataError(
                        f"there are more than {MOST_CLASSES} different labels ({shown} ...): name the right --label-column"
                    )

        self._held = held_out(texts(), config.valid_share, config.seed, MOST_VALID)
        self.classes, numbers = _classes(counts, first) if known is None else (known.classes, known.ordered)
        self.ordered = numbers and len(self.classes) > 2 if config.ordered is None else config.ordered
        if self.ordered and not numbers:
            raise ConfigError(f"only numbers as labels have an order, not {', '.join(self.classes[:5])}")
        if self.wholes < 10:
            raise DataError(f"there are only {self.wholes} texts; training needs at least 10")
        if config.head == "ordinal" and not self.ordered:
            raise ConfigError(f"an ordinal head needs three or more numbers as labels, not {', '.join(self.classes[:5])}")

    def part(self, name: str) -> Iterator[Example]:
        """The examples of "train" or "valid"; of the latter whole texts alone, and a phrase that came before is left out."""
        if self.held is not None and name == "valid":
            yield from self.held
            return
        chosen, whole, seen = False, -1, set[Example]()
        for example in self.files:
            if not example.part:
                whole += 1
                chosen = self.held is None and bool(self._held[whole])
            if chosen != (name == "valid") or (chosen and example.part):
                continue
            if example.part:  # short ones come again and again, and say nothing new
                key = example._replace(place="")
                if key in seen:
                    continue
                seen.add(key)
            yield example


def _classes(counts: Counter[str], first: dict[str, str]) -> tuple[list[str], bool]:
    """The classes, and whether they are numbers and so have an order; DataError for one class, or a stray word among numbers."""
    if len(counts) < 2:
        raise DataError(f"all {counts.total():,} texts have the label {next(iter(counts))!r}; at least two classes are needed")
    words = [label for label in counts if not _is_number(label)]
    if words and sum(counts[word] for word in words) < 0.05 * counts.total():
        shown = ", ".join(f"{word!r} ({first[word]})" for word in words[:5])
        raise DataError(f"the labels are numbers, but for {shown}; mend these, or leave them out")
    return (sorted(counts) if words else sorted(counts, key=float)), not words


class Encoder:
    """A language model of `unspool train text` to start from: its codec, its embedding, its layers as those that read forwards."""

    def __init__(self, path: str):
        folder = ModelFolder(path)
        stored = folder.config()
        if stored.get("task") != "text":
            raise ConfigError(f"{path} is a {stored.get('task')} model; an encoder is a model of unspool train text")
        self.config = stored["config"]
        if not self.config["embedding"]:
            raise ConfigError(f"{path} reads one-hot symbols; an encoder needs an embedding")
        self.codec = TextCodec.from_json(stored["codec"])
        self.tensors = folder.load_tensors("model")[0]

    def adopted(self, config: SentimentConfig) -> SentimentConfig:
        """The network has the language model's shape."""
        own = {name: self.config[name] for name in ("cell", "hidden", "layers", "embedding", "residual")}
        return replace(config, unit=self.codec.unit, **own)

    @torch.no_grad()
    def start(self, model: ManyToOne) -> None:
        """Copies the weights; of layers above the first only the part that reads what goes forwards."""
        own = model.state_dict()
        own["embed.weight"].copy_(self.tensors["embed.weight"])
        for name, tensor in self.tensors.items():
            if name.startswith("stack.stack."):
                layer, kind = name.split(".")[2:]
                target = own[f"stack.stack.{2 * int(layer)}.{kind}"]
                target[tuple(slice(size) for size in tensor.shape)].copy_(tensor)


@dataclass
class Stored:
    """One part, encoded on disk; some of its texts also as they are, for the baseline and for looking at."""

    scratch: Path
    name: str
    codec: Codec
    split: Split
    texts: list[str] = field(default_factory=list)
    text_answers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = {name: i for i, name in enumerate(self.split.classes)}
        answers, wholes = array("h"), bytearray()
        rng, share = np.random.default_rng(0), MOST_TEXTS / max(1, self.split.wholes) if self.name == "train" else 1.0

        def encoded() -> Iterator[np.ndarray]:
            for example in self.split.part(self.name):
                if example.label not in known:
                    names = ", ".join(self.split.classes)
                    raise DataError(f"{example.place}: the label {example.label!r} is none of those learned: {names}")
                answers.append(known[example.label])
                wholes.append(not example.part)
                if wholes[-1] and rng.random() < share and len(self.texts) < MOST_TEXTS:
                    self.texts.append(example.text)
                    self.text_answers.append(answers[-1])
                yield filled(shortened(self.codec.encode(example.text)))

        self.corpus = Corpus(self.scratch, self.name, len(self.codec.vocabulary)).write(encoded())
        if not self.corpus.documents:
            raise DataError(f"no text is left for the {self.name} part; give more texts")
        self.answers = np.frombuffer(answers, np.int16)
        self.wholes = sum(wholes)
        self.whole_answers = self.answers[np.frombuffer(wholes, bool)]


def _is_number(label: str) -> bool:
    try:
        return bool(np.isfinite(float(label)))
    except ValueError:
        return False
