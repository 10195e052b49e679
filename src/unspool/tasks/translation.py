"""Translation: a text in one language in, a text in another out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.corpus import Corpus
from unspool.codecs.pairs import Pair, PairFiles
from unspool.codecs.text import TextCodec
from unspool.codecs.words import WordCodec, joined
from unspool.decoding.beam import beam_search
from unspool.engines import native
from unspool.errors import DataError
from unspool.models import EncoderDecoder
from unspool.scoring.bleu import bleu
from unspool.scoring.ibm1 import Dictionary
from unspool.scoring.ngram import KneserNey
from unspool.sequences import Sequences
from unspool.tasks.config import held_out
from unspool.tasks.inputs import filled
from unspool.tasks.task import Demonstration, Prepared, Task, Trained
from unspool.tasks.translation_config import TranslationConfig, settle
from unspool.tasks.translation_model import Codecs, TranslationModel, build, plain_words
from unspool.training import ModelFolder, Options, Paired, Pairs, Progress, pick_device
from unspool.training.loop import Carry
from unspool.vocabulary import Vocabulary

__all__ = ["Translate"]

LEAST = 50  # pairs
MOST_VALID = 1000  # pairs: more would only take time
MOST_PAIRS = 100_000  # that the baseline's dictionary is made of
MOST_SCORED = 300  # pairs that are translated at each validation, where BLEU chooses


class Translate(Task):
    """Translation."""

    name = "translation"
    Config = TranslationConfig

    def options(self, config: TranslationConfig) -> Options:
        return config.options

    def load(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto") -> Trained:
        return TranslationModel(folder, stored, device)

    def prepare(
        self,
        data: Sequence[str | Path],
        valid: Sequence[str | Path],
        config: TranslationConfig,
        scratch: Path,
        progress: Progress,
        *,
        stored: Mapping[str, Any] | None = None,
        init: Trained | None = None,
    ) -> Prepared:
        split = _Split(data, valid, config)
        config = settle(config, pairs=split.count)
        codecs = self._codecs(config, split, stored, init)
        train, held = (_Stored(scratch, part, codecs, split) for part in ("train", "valid"))
        progress.say(f"read {split.files.report}" + (f"; for validation {split.held.report}" if split.held else ""))
        model = build(config, codecs, pick_device(config.device), config.seed)
        job = _Job(model, codecs, train, held, config)
        if isinstance(init, TranslationModel):
            init.transfer(model)
        facts = {
            "files": split.files.names,
            "pairs": {"train": train.target.documents, "validation": held.target.documents},
            "symbols": {"train": train.target.symbols, "validation": held.target.symbols},
            "unit": job.unit,
            "dropped": dict(split.files.dropped),
            "examples": [pair.source[:300] for pair in held.pairs[:3]],
        }
        progress.say(_summary(config, codecs, train, model))
        return Prepared(job, config, codecs.to_json(), facts, job.dictionary.arrays())

    def _codecs(self, config: TranslationConfig, split: _Split, stored: Mapping[str, Any] | None, init: Trained | None) -> Codecs:
        if stored is not None:
            return Codecs.from_json(stored["codec"])
        if isinstance(init, TranslationModel):
            return init.codecs

        def fitted(*sides: int) -> TextCodec | WordCodec:
            texts = (pair[side] for pair in split.part("train") for side in sides)
            if config.unit == "words":
                return WordCodec(lower=False).fit(texts)
            return TextCodec("subwords", size=config.subwords).fit(texts)

        if config.shared:
            codec = fitted(0, 1)
            return Codecs(codec, codec)
        return Codecs(fitted(0), fitted(1))

    def demonstration(self, scratch: Path) -> Demonstration:
        from unspool.tasks.numerals import write

        write(scratch / "numbers", 4000, 1)
        write(scratch / "numbers-test", 200, 2, held=True)
        train, test = ([scratch / f"{name}.{language}" for language in ("en", "de")] for name in ("numbers", "numbers-test"))
        about = "Synthetic data made by rule: 4,000 numbers in English and German words to learn from, 200 others to test on."
        options = {"source": "en", "target": "de", "unit": "subwords", "subwords": 330, "hidden": 128, "embedding": 96}
        return Demonstration(train, test, {**options, "budget": "60s"}, about)

    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        from unspool.tasks.translation_card import card

        return card(stored, metrics)


class _Split:
    """Training and validation pairs: a seeded choice."""

    def __init__(self, data: Sequence[str | Path], valid: Sequence[str | Path], config: TranslationConfig):
        self.files = PairFiles(data, config.source, config.target, swapped=config.swapped)
        self.held = PairFiles(valid, config.source, config.target, swapped=config.swapped) if valid else None
        # A first pass, which also finds every fault before anything is made. Pairs of one source stay together.
        self._held = held_out((pair.source for pair in self.files), config.valid_share, config.seed, MOST_VALID)
        self.count = len(self._held)
        if self.count < LEAST:
            raise DataError(f"there are only {self.count} pairs ({self.files.report}); training needs at least {LEAST}")

    def part(self, name: str) -> Iterator[Pair]:
        """The pairs of "train" or "valid"."""
        if self.held is not None:
            yield from self.files if name == "train" else self.held
            return
        yield from (pair for pair, held in zip(self.files, self._held, strict=True) if held == (name == "valid"))


class _Stored:
    """One part, encoded on disk; its first pairs also as they are."""

    def __init__(self, scratch: Path, name: str, codecs: Codecs, split: _Split):
        self.pairs = list(islice(split.part(name), MOST_PAIRS if name == "train" else MOST_VALID))
        if not self.pairs:
            raise DataError(f"no pair is left for the {name} part: pairs of one source stay together; give more pairs")
        sides = (("source", codecs.source), ("target", codecs.target))
        self.source, self.target = (Corpus(scratch, f"{name}.{side}", len(codec.vocabulary)) for side, codec in sides)
        self.source.write(filled(codecs.source.encode(pair.source)) for pair in split.part(name))
        self.target.write(np.append(codecs.target.encode(pair.target), Vocabulary.end) for pair in split.part(name))


class _Job:
    """What the loop trains."""

    per_symbol = 1.0

    def __init__(self, model: EncoderDecoder, codecs: Codecs, train: _Stored, held: _Stored, config: TranslationConfig):
        self.model, self.codecs, self.config, self.held = model, codecs, config, held
        self.feed: Any = Pairs(train.source, train.target, config.batch, config.seed)
        self._watched = Pairs(held.source, held.target, 4096)
        self.dictionary = Dictionary.fit((plain_words(a), plain_words(b)) for a, b in train.pairs)
        unigram = KneserNey.fit(train.target, 1, len(codecs.target.vocabulary), Vocabulary.begin)
        model.head.expect(torch.from_numpy(unigram.distribution([])).float())  # type: ignore[operator]
        if config.stopping == "bleu":
            self.unit = "points of BLEU short of 100"
            sources, references = (list(column) for column in zip(*held.pairs[:MOST_SCORED], strict=True))
            words = [joined(self.dictionary.translate(plain_words(text))) for text in sources]
            self.baselines = {"copying the source": 100 - bleu(sources, references), "word by word": 100 - bleu(words, references)}
        else:
            self.unit = f"nats per target {'word' if config.unit == 'words' else 'subword'}"
            nats = -sum(float(unigram.log_probs(ids).sum()) for ids in held.target)
            self.baselines = {"unigram": nats / held.target.symbols}

    def loss(self, batch: Paired, carry: Carry) -> tuple[Tensor, int, Carry]:
        logits, targets = self._logits(batch)
        smoothing = self.config.label_smoothing if self.model.training else 0.0
        return native.cross_entropy(logits, targets, smoothing), len(targets), None

    def _logits(self, batch: Paired) -> tuple[Tensor, Tensor]:
        """Of the targets that count alone: logits (N, V) and targets (N,)."""
        batch = batch.to(next(self.model.parameters()).device)
        h, _ = self.model(self.model.encode(batch.source), batch.inputs)
        return self.model.head(h[batch.inside]), batch.targets[batch.inside]

    def validate(self) -> float:
        if self.config.stopping == "bleu":
            pairs = self.held.pairs[:MOST_SCORED]
            return 100 - bleu(self._greedy([pair.source for pair in pairs]), [pair.target for pair in pairs])
        found = [self.loss(batch, None) for batch in self._watched.epoch(-1)]
        return sum(float(loss) for loss, _, _ in found) / sum(count for _, count, _ in found)

    def _greedy(self, texts: Sequence[str]) -> list[str]:
        ids = [filled(self.codecs.source.encode(text)) for text in texts]
        batch = Sequences.collate(ids).to(next(self.model.parameters()).device)
        writer = self.model.write(self.model.encode(batch))
        found = beam_search(writer, batch.lengths * 2 + 10, begin=Vocabulary.begin, end=Vocabulary.end, beams=1)
        return [self.codecs.target.decode(hypotheses[0].ids) for hypotheses in found]

    def sample(self) -> str:
        pair = self.held.pairs[0]
        return f"{pair.source}\n-> {self._greedy([pair.source])[0]}"


def _summary(config: TranslationConfig, codecs: Codecs, train: _Stored, model: EncoderDecoder) -> str:
    weights, unit = sum(p.numel() for p in model.parameters()), config.unit
    sizes = " and ".join(f"{len(c.vocabulary):,}" for c in dict.fromkeys((codecs.source, codecs.target)))
    return (
        f"{config.source} to {config.target} by {unit}: {train.target.documents:,} pairs with {train.target.symbols:,} target "
        f"{unit} to train on, {sizes} different; {config.cell} {config.layers}x{config.hidden}, {weights / 1e6:.2f} M weights"
    )
