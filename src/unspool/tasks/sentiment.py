"""Sentiment: a text in, a rating out; or any other class of a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.corpus import Corpus
from unspool.codecs.labelled import Example, LabelledFiles
from unspool.codecs.text import TextCodec
from unspool.codecs.words import WordCodec
from unspool.errors import ConfigError, DataError
from unspool.models import ManyToOne
from unspool.scoring.tfidf import MOST_TEXTS, TfidfBaseline
from unspool.sequences import Sequences
from unspool.tasks.sentiment_config import SentimentConfig, settle
from unspool.tasks.sentiment_model import Codec, SentimentModel, build, codec_of
from unspool.tasks.task import Demonstration, Prepared, Task, Trained
from unspool.training import Examples, ModelFolder, Options, Progress, pick_device
from unspool.training.loop import Carry

__all__ = ["Sentiment"]

MOST_CLASSES = 100
MOST_VALID = 5000  # texts: more would only take time


class Sentiment(Task):
    """Rating and classification of texts."""

    name = "sentiment"
    Config = SentimentConfig

    def options(self, config: SentimentConfig) -> Options:
        return config.options

    def load(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto") -> Trained:
        return SentimentModel(folder, stored, device)

    def prepare(
        self,
        data: Sequence[str | Path],
        valid: Sequence[str | Path],
        config: SentimentConfig,
        scratch: Path,
        progress: Progress,
        *,
        stored: Mapping[str, Any] | None = None,
        init: Trained | None = None,
    ) -> Prepared:
        encoder = _Encoder(config.encoder) if config.encoder and stored is None else None
        config = encoder.adopted(config) if encoder else config
        split = _Split(data, valid, config)
        codec = encoder.codec if encoder else self._codec(config, split, stored, init)
        train, held = (_Stored(scratch, name, codec, split) for name in ("train", "valid"))
        progress.say(f"read {split.files.report}" + (f"; for validation {split.held.report}" if split.held else ""))
        config = settle(config, texts=train.corpus.documents, ordered=split.ordered)
        model = build(config, len(codec.vocabulary), len(split.classes), pick_device(config.device), config.seed)
        job = _Job(model, train, held, config, split)
        if isinstance(init, SentimentModel):
            init.transfer(model)
        elif encoder:
            encoder.start(model)
        facts = {
            "files": [str(p) for p in data],
            "classes": split.classes,
            "ordered": split.ordered,
            "texts": {"train": train.wholes, "validation": held.wholes},
            "phrases": train.corpus.documents - train.wholes,
            "unit": job.unit,
            "skipped": dict(split.files.skipped),
            "examples": held.texts[:3],
        }
        progress.say(_summary(config, train, split, model, len(codec.vocabulary)))
        return Prepared(job, config, codec.to_json(), facts, job.known, job.calibrate)

    def _codec(self, config: SentimentConfig, split: _Split, stored: Mapping[str, Any] | None, init: Trained | None) -> Codec:
        if stored is not None:
            return codec_of(stored["codec"])
        if isinstance(init, SentimentModel):
            return init.codec
        texts = (example.text for example in split.part("train") if not example.part)
        if config.unit == "words":
            return WordCodec().fit(texts)
        return TextCodec(config.unit, size=config.subwords).fit(list(islice(texts, MOST_TEXTS)))

    def demonstration(self, scratch: Path) -> Demonstration:
        from unspool.tasks.reviews import write

        train, test = scratch / "reviews.csv", scratch / "reviews-test.csv"
        write(train, 2000, seed=1)
        write(test, 300, seed=2)
        about = "Synthetic reviews out of a small grammar of the project's own: 2,000 to learn from and 300 to test on."
        return Demonstration([train], [test], {"budget": "30s", "hidden": 64, "embedding": 64}, about)

    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        from unspool.tasks.sentiment_card import card

        return card(stored, metrics)


class _Split:
    """Training and validation texts: a seeded choice of whole texts; the phrases of a tree go where it goes."""

    def __init__(self, data: Sequence[str | Path], valid: Sequence[str | Path], config: SentimentConfig):
        text, label = config.text_column, config.label_column
        self.files = LabelledFiles(data, text=text, label=label, parts=True)
        self.held = LabelledFiles(valid, text=text, label=label) if valid else None
        self.seed = config.seed
        counts: dict[str, int] = {}
        wholes = 0
        for example in self.files:  # a first pass, which also finds every fault before anything is made
            counts[example.label] = counts.get(example.label, 0) + 1
            wholes += not example.part
            if len(counts) > MOST_CLASSES:
                shown = ", ".join(map(repr, list(counts)[:5]))
                raise DataError(f"there are more than {MOST_CLASSES} different labels ({shown} ...): name the right --label-column")
        if len(counts) < 2:
            raise DataError(f"all {wholes:,} texts have the label {next(iter(counts))!r}; at least two classes are needed")
        if wholes < 10:
            raise DataError(f"there are only {wholes} texts; training needs at least 10")
        self.ordered = all(_is_number(label) for label in counts)
        self.classes = sorted(counts, key=float) if self.ordered else sorted(counts)
        if config.head == "ordinal" and (not self.ordered or len(counts) < 3):
            raise ConfigError(f"an ordinal head needs three or more numbers as labels, not {', '.join(self.classes[:5])}")
        self.share = max(1 / wholes, min(config.valid_share, MOST_VALID / wholes))

    def part(self, name: str) -> Iterator[Example]:
        """The examples of "train" or "valid"; of the latter whole texts alone."""
        if self.held is not None:
            yield from self.files if name == "train" else self.held
            return
        rng, chosen, seen = np.random.default_rng(self.seed), False, set[int]()
        for example in self.files:
            chosen = chosen if example.part else rng.random() < self.share
            if chosen != (name == "valid") or (chosen and example.part):
                continue
            if example.part:  # short ones come again and again, and say nothing new
                key = hash(example)
                if key in seen:
                    continue
                seen.add(key)
            yield example


class _Encoder:
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
class _Stored:
    """One part, encoded on disk; its first texts also as they are, for the baseline and for looking at."""

    scratch: Path
    name: str
    codec: Codec
    split: _Split
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = {name: i for i, name in enumerate(self.split.classes)}
        answers, wholes = list[int](), list[bool]()

        def encoded() -> Iterator[np.ndarray]:
            for example in self.split.part(self.name):
                if example.label not in known:
                    raise DataError(f"the label {example.label!r} occurs in validation alone; the training texts need it too")
                answers.append(known[example.label])
                wholes.append(not example.part)
                if wholes[-1] and len(self.texts) < MOST_TEXTS:
                    self.texts.append(example.text)
                ids = self.codec.encode(example.text)
                yield ids if len(ids) else np.ones(1, np.int64)

        self.corpus = Corpus(self.scratch, self.name, len(self.codec.vocabulary)).write(encoded())
        if not self.corpus.documents:
            raise DataError(f"no text is left for the {self.name} part; give more texts")
        self.answers = np.array(answers, np.int16)
        self.wholes = int(np.sum(wholes))
        self.whole_answers = self.answers[np.array(wholes)]


class _Job:
    """What the loop trains."""

    unit, per_symbol = "nats per text", 1.0

    def __init__(self, model: ManyToOne, train: _Stored, held: _Stored, config: SentimentConfig, split: _Split):
        self.model = model
        classes = len(split.classes)
        self.feed: Any = Examples(train.corpus, train.answers, config.batch, config.seed)
        self._watched = Examples(held.corpus, held.answers, 8192)
        counts = np.bincount(train.whole_answers, minlength=classes) + 0.5
        self.weights = torch.from_numpy(counts.mean() / counts).float() if config.class_weights else torch.ones(classes)
        shares = counts / counts.sum()
        model.head.expect(torch.from_numpy(shares).float())  # type: ignore[operator]
        truth = held.answers.astype(np.int64)
        baseline = TfidfBaseline.fit(train.texts, train.whole_answers[: len(train.texts)].astype(np.int64), held.texts, truth)
        p = baseline.probabilities(held.texts, classes)
        rows = np.arange(len(held.texts))
        self.baselines = {
            "majority": float(-np.log(shares[truth]).mean()),
            "tf-idf and logistic regression": float(-np.log(np.maximum(p[rows, truth[rows]], 1e-12)).mean()),
        }
        self.known = {"shares": shares, **baseline.arrays()}
        self._texts, self._classes = held.texts, split.classes

    def loss(self, batch: tuple[Sequences, Tensor], carry: Carry) -> tuple[Tensor, int, Carry]:
        texts, answers = batch[0].to(self._device), batch[1].to(self._device)
        nll = self.model.nll(texts, answers)
        return (nll * self.weights.to(nll.device)[answers]).sum(), len(answers), None

    def _held(self) -> tuple[list[Tensor], list[Tensor]]:
        """What the head stands on for each batch of the validation part, and the answers."""
        pairs = [(self.model(texts.to(self._device)), answers.to(self._device)) for texts, answers in self._watched.epoch(-1)]
        return [h for h, _ in pairs], [answers for _, answers in pairs]

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _nats(self, h: list[Tensor], answers: list[Tensor], temperature: float) -> float:
        log_probs = (self.model.head.log_probs(x, temperature) for x in h)  # type: ignore[operator]
        total = -sum(float(p.gather(1, y[:, None]).double().sum()) for p, y in zip(log_probs, answers, strict=True))
        return total / sum(map(len, answers))

    def validate(self) -> float:
        """The loss at the temperature that suits the validation part best: how sure the answers are is set right afterwards."""
        h, answers = self._held()
        return min(self._nats(h, answers, t) for t in TEMPERATURES)

    @torch.inference_mode()
    def calibrate(self, folder: ModelFolder) -> dict[str, Any]:
        """The temperature of the best model (Guo et al. 2017)."""
        folder.load_into(self.model)
        self.model.eval()
        h, answers = self._held()
        return {"temperature": min(TEMPERATURES, key=lambda t: self._nats(h, answers, t))}

    def sample(self) -> str:
        return ""


TEMPERATURES = tuple(round(float(t), 3) for t in np.geomspace(0.4, 4, 24))


def _is_number(label: str) -> bool:
    try:
        return bool(np.isfinite(float(label)))
    except ValueError:
        return False


def _summary(config: SentimentConfig, train: _Stored, split: _Split, model: ManyToOne, symbols: int) -> str:
    weights = sum(p.numel() for p in model.parameters())
    phrases = train.corpus.documents - train.wholes
    parts = f" and {phrases:,} of their phrases" if phrases else ""
    names = f"{'ordered ' if split.ordered else ''}classes {', '.join(split.classes)}"
    return (
        f"{train.wholes:,} texts{parts} to train on, {symbols:,} different {config.unit}; {names}; bidirectional {config.cell}, "
        f"{config.layers}x{config.hidden}, {weights / 1e6:.2f} M weights"
    )
