"""Text: a language model of documents (tweets, titles, names) or of one running text (a novel, a play, source code)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unspool.codecs.corpus import Corpus
from unspool.codecs.text import TextCodec
from unspool.codecs.textfiles import TextFiles, guess_lines
from unspool.decoding.sampling import Sampling, generate
from unspool.errors import DataError
from unspool.models import OneToMany
from unspool.scoring.baselines import Baselines
from unspool.tasks.task import Demonstration, Prepared, Task, Trained
from unspool.tasks.text_config import TextConfig, settle, sized
from unspool.tasks.text_model import TextModel, build, store, unit_name
from unspool.training import Documents, Likelihood, ModelFolder, Options, Progress, RunningText, pick_device

__all__ = ["Text"]

_ORDERS = {"characters": 6, "words": 5, "subwords": 4}  # of the Kneser-Ney baseline
_LIGHT = {"dropout": 0.1, "input_dropout": 0.05, "recurrent_dropout": 0.05}  # nothing is learned by heart in a minute
_MOST_VALID = 60_000  # characters of the validation part, at most: more would only take time


class Text(Task):
    """Language modelling and generation."""

    name = "text"
    Config = TextConfig

    def options(self, config: TextConfig) -> Options:
        return config.options

    def load(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto") -> Trained:
        return TextModel(folder, stored, device)

    def prepare(
        self,
        data: Sequence[str | Path],
        valid: Sequence[str | Path],
        config: TextConfig,
        scratch: Path,
        progress: Progress,
        *,
        stored: Mapping[str, Any] | None = None,
        init: Trained | None = None,
    ) -> Prepared:
        documents = config.corpus == "documents" or (config.corpus == "auto" and guess_lines(data))
        files = TextFiles(data, column=config.column, lines=documents)
        held = TextFiles(valid, column=config.column, lines=documents) if valid else None
        split = _Split(files, held, config, documents)
        config = settle(config, documents=documents, characters=split.characters)
        codec = self._codec(config, split, stored, init)
        train, validation = split.encode(codec, scratch)
        progress.say(f"read {files.report}" + (f"; for validation {held.report}" if held else ""))
        self._check(train, validation, config)
        config = sized(config, symbols=train.symbols)
        model = build(config, codec, pick_device(config.device), config.seed)
        job = _Job(model, codec, train, validation, config)
        model.expect(torch.from_numpy(job.baseline.unigram.distribution([])))
        if isinstance(init, TextModel):
            init.transfer(model)
        facts = {
            "files": list(files.files),
            "documents": train.documents + validation.documents if documents else 1,
            "symbols": {"train": train.symbols, "validation": validation.symbols},
            "units": {"train": train.characters, "validation": validation.characters},
            "unit": job.unit,
            "skipped": files.report.skipped,
        }
        progress.say(_summary(config, codec, train, model))
        return Prepared(job, config, codec.to_json(), facts, job.baseline.arrays())

    def demonstration(self, scratch: Path) -> Demonstration:
        from pydoc_data.topics import topics

        text = "\n\n".join(topics[name].strip() for name in sorted(topics))
        border = int(0.9 * len(text))
        train, test = scratch / "python-topics.txt", scratch / "python-topics-test.txt"
        train.write_text(text[:border], "utf-8")
        test.write_text(text[border:], "utf-8")
        about = f"The reference pages of Python: {border:,} characters to learn from, {len(text) - border:,} to test on."
        return Demonstration(
            [train],
            [test],
            {"corpus": "running", "unit": "subwords", "budget": "55s", "hidden": 256, "learning_rate": 4e-3, **_LIGHT},
            about,
        )

    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        from unspool.tasks.text_card import card

        return card(stored, metrics)

    def _codec(self, config: TextConfig, split: _Split, stored: Mapping[str, Any] | None, init: Trained | None) -> TextCodec:
        if stored is not None:
            return TextCodec.from_json(stored["codec"])
        if isinstance(init, TextModel):
            return init.codec.grow(split)
        return TextCodec(config.unit, normalised=config.normalise == "tweets", size=config.subwords).fit(split)

    def _check(self, train: Corpus, valid: Corpus, config: TextConfig) -> None:
        least = 200 if config.corpus == "running" else 50
        if train.symbols < least or valid.symbols < 1:
            found = train.symbols + valid.symbols
            need = f"at least {least} to train on, and some to validate"
            raise DataError(f"the text is too short: it has {found} symbols, and training needs {need}; give more text")


class _Split:
    """Training and validation parts: a seeded choice of documents, or a stretch of a running text at a seeded place.

    Not its end: what is nearest to the text to come should be learned from.
    """

    def __init__(self, files: TextFiles, held: TextFiles | None, config: TextConfig, documents: bool):
        self.files, self.held, self.config, self.documents = files, held, config, documents
        self.characters = sum(len(text) for text in files)  # a first pass, which also finds every fault before anything is made
        self.share = min(config.valid_share, _MOST_VALID / max(1, self.characters))
        start = np.random.default_rng(config.seed).random() * (1 - self.share) * self.characters
        self.stretch = (int(start), int(start + self.share * self.characters)) if held is None else (0, 0)

    def __iter__(self) -> Iterator[str]:
        """The training part; it can be gone through again."""
        return (text for text, inside in self._parts() if inside)

    def _parts(self) -> Iterator[tuple[str, bool]]:
        """Each text, or piece of one, and whether it is for training."""
        rng = np.random.default_rng(self.config.seed)
        at = 0
        for text in self.files:
            if self.documents:
                yield text, self.held is not None or rng.random() >= self.share
                continue
            first, last = (min(max(border - at, 0), len(text)) for border in self.stretch)
            for piece, inside in ((text[:first], True), (text[first:last], False), (text[last:], True)):
                if piece:
                    yield piece, inside
            at += len(text)

    def encode(self, codec: TextCodec, scratch: Path) -> tuple[Corpus, Corpus]:
        size = len(codec.vocabulary)
        train, valid = Corpus(scratch, "train", size), Corpus(scratch, "valid", size)
        store(train, self, codec, self.documents)
        store(valid, self.held or (t for t, inside in self._parts() if not inside), codec, self.documents)
        if self.documents and not valid.documents and train.documents > 1:  # a handful of documents, and none was drawn
            valid = store(Corpus(scratch, "valid", size), [next(iter(self.files))], codec, True)
        return train, valid


class _Job(Likelihood):
    """What the loop trains."""

    def __init__(self, model: OneToMany, codec: TextCodec, train: Corpus, valid: Corpus, config: TextConfig):
        super().__init__(model)
        self.codec, self.valid, self.config = codec, valid, config
        documents = config.corpus == "documents"
        self.unit = "nats per " + unit_name(codec)
        self.per_symbol = train.symbols / train.characters
        if documents:
            self.feed: Any = Documents(train, config.batch, config.seed)
            self._watched: Any = Documents(valid, 8192)
        else:
            self.feed = RunningText(train, max(1, config.batch // config.window), config.window, config.seed)
            self._watched = RunningText(valid, 8, 256)
        size, begin = len(codec.vocabulary), codec.vocabulary.begin
        self.baseline = Baselines.fit(train, _ORDERS[codec.unit], size, begin if documents else None)
        self.baselines = {k: v / valid.characters for k, v in self.baseline.nats(valid).items()}

    def validate(self) -> float:
        found = self.total(self._watched)
        return found.nats / found.steps * self.valid.symbols / self.valid.characters

    def sample(self) -> str:
        vocabulary = self.codec.vocabulary
        end = vocabulary.end if self.config.corpus == "documents" else None
        ids = generate(
            self.model,
            [],
            1,
            begin=vocabulary.begin,
            end=end,
            forbidden=(vocabulary.padding, vocabulary.begin, vocabulary.unknown),
            limit=60 if self.codec.unit != "characters" else 160,
            how=Sampling(0.8),
        )[0]
        return self.codec.decode(ids)


def _summary(config: TextConfig, codec: TextCodec, train: Corpus, model: OneToMany) -> str:
    weights = sum(p.numel() for p in model.parameters())
    return (
        f"{config.corpus} text by {codec.unit}: {train.symbols:,} symbols to train on, {len(codec.vocabulary):,} different; "
        f"{config.cell} {config.layers}x{config.hidden}, {weights / 1e6:.2f} M weights"
    )
