"""Sentiment: a text in, a rating out; or any other class of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.text import TextCodec
from unspool.codecs.words import WordCodec
from unspool.models import ManyToOne
from unspool.scoring.tfidf import MOST_TEXTS, TfidfBaseline
from unspool.sequences import Sequences
from unspool.tasks.sentiment_config import SentimentConfig, settle
from unspool.tasks.sentiment_data import Encoder, Split, Stored
from unspool.tasks.sentiment_model import Codec, SentimentModel, build, codec_of
from unspool.tasks.task import Demonstration, Prepared, Task, Trained
from unspool.training import Examples, ModelFolder, Options, Progress, pick_device
from unspool.training.loop import Carry
from unspool.vocabulary import Vocabulary

__all__ = ["Sentiment"]

UNKNOWN = 0.1  # share of words that are hidden in training


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
        encoder = Encoder(config.encoder) if config.encoder and stored is None and init is None else None
        config = encoder.adopted(config) if encoder else config
        split = Split(data, valid, config, init if isinstance(init, SentimentModel) else None)
        codec = encoder.codec if encoder else self._codec(config, split, stored, init)
        train, held = (Stored(scratch, name, codec, split) for name in ("train", "valid"))
        progress.say(f"read {split.files.report}" + (f"; for validation {split.held.report}" if split.held else ""))
        parts = train.corpus.documents - train.wholes
        config = settle(config, texts=train.wholes, phrases=parts, ordered=split.ordered, classes=len(split.classes))
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
            "shares": job.shares.tolist(),
            "texts": {"train": train.wholes, "validation": held.wholes},
            "phrases": parts,
            "unit": job.unit,
            "skipped": dict(split.files.skipped),
            "examples": [text[:300] for text in held.texts[:3]],
        }
        progress.say(_summary(config, train, split, model, len(codec.vocabulary)))
        return Prepared(job, config, codec.to_json(), facts, job.known, job.calibrate)

    def _codec(self, config: SentimentConfig, split: Split, stored: Mapping[str, Any] | None, init: Trained | None) -> Codec:
        if stored is not None:
            return codec_of(stored["codec"])
        if isinstance(init, SentimentModel):
            return init.codec
        if config.unit == "words":  # a word that only one text has is also a phrase of its own, which says what it means
            return WordCodec().fit(example.text for example in split.part("train"))
        texts = (example.text for example in split.part("train") if not example.part)
        return TextCodec(config.unit, size=config.subwords).fit(islice(texts, MOST_TEXTS))

    def demonstration(self, scratch: Path) -> Demonstration:
        from unspool.tasks.reviews import write

        train, test = scratch / "reviews.csv", scratch / "reviews-test.csv"
        write(train, 2000, seed=1)
        write(test, 300, seed=2)
        about = "Synthetic reviews out of a small grammar of the project's own: 2,000 to learn from and 300 to test on."
        return Demonstration([train], [test], {"budget": "30s", "most_epochs": 100, "hidden": 64, "embedding": 64}, about)

    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        from unspool.tasks.sentiment_card import card

        return card(stored, metrics)


class _Job:
    """What the loop trains."""

    unit, per_symbol = "nats per text", 1.0

    def __init__(self, model: ManyToOne, train: Stored, held: Stored, config: SentimentConfig, split: Split):
        self.model = model
        classes = len(split.classes)
        self.feed: Any = Examples(train.corpus, train.answers, config.batch, config.seed)
        self._watched = Examples(held.corpus, held.answers, 8192)
        counts = np.bincount(train.whole_answers, minlength=classes) + 0.5
        self.weights = torch.from_numpy(counts.mean() / counts).float() if config.class_weights else torch.ones(classes)
        shares, weighted = counts / counts.sum(), counts * self.weights.double().numpy()
        self.shares = weighted / weighted.sum()  # as the loss counts them
        model.head.expect(torch.from_numpy(self.shares).float())  # type: ignore[operator]
        truth = held.answers.astype(np.int64)
        weights = self.weights.double().numpy()
        self.baselines = {"majority": float(np.average(-np.log(shares[truth]), weights=weights[truth]))}
        self.known = {"shares": shares}
        answers, known = np.array(train.text_answers), np.array(held.text_answers)
        baseline = TfidfBaseline.fit(train.texts, answers, held.texts, known)
        if baseline:
            p = baseline.probabilities(held.texts, classes)[np.arange(len(known)), known]
            nats = float(np.average(-np.log(np.maximum(p, 1e-12)), weights=weights[known]))
            self.baselines["tf-idf and logistic regression"] = nats
            self.known |= baseline.arrays()
        self.words = config.unit == "words"

    def loss(self, batch: tuple[Sequences, Tensor], carry: Carry) -> tuple[Tensor, int, Carry]:
        texts, answers = batch[0].to(self._device), batch[1].to(self._device)
        if self.words and self.model.training:  # what is unknown must be met to be known as such
            texts = Sequences(
                torch.where(torch.rand_like(texts.values, dtype=torch.float) < UNKNOWN, Vocabulary.unknown, texts.values),
                texts.lengths,
            )
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
        weights = [self.weights.to(y.device)[y].double() for y in answers]
        nats = ((-p.gather(1, y[:, None])[:, 0] * w).sum() for p, y, w in zip(log_probs, answers, weights, strict=True))
        return float(sum(nats) / sum(w.sum() for w in weights))

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


def _summary(config: SentimentConfig, train: Stored, split: Split, model: ManyToOne, symbols: int) -> str:
    weights = sum(p.numel() for p in model.parameters())
    phrases = train.corpus.documents - train.wholes
    parts = f" and {phrases:,} of their phrases" if phrases else ""
    names = f"{'ordered ' if split.ordered else ''}classes {', '.join(split.classes)}"
    return (
        f"{train.wholes:,} texts{parts} to train on, {symbols:,} different {config.unit}; {names}; bidirectional {config.cell}, "
        f"{config.layers}x{config.hidden}, {weights / 1e6:.2f} M weights"
        + (
            ""
            if config.epochs
            else f"; at most {config.most_epochs:g} epochs, else so few texts would be learned by heart (--epochs for more)"
        )
    )
