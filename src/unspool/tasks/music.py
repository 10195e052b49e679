"""Music: from nothing, or from a beginning, a sequence of notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unspool.codecs import midi
from unspool.codecs.events import EventCodec
from unspool.codecs.notebook import NotebookCodec
from unspool.codecs.rolls import RollCodec
from unspool.errors import ConfigError, DataError
from unspool.models import OneToMany
from unspool.scoring.baselines import Baselines
from unspool.scoring.rolls import RollBaselines
from unspool.tasks.music_config import MusicConfig, settle, transposition
from unspool.tasks.music_data import Codec, EventPieces, RollPieces, Source, codec_of, split, store
from unspool.tasks.music_model import MusicModel, baselines, build, pieces_of
from unspool.tasks.music_pieces import signature_of
from unspool.tasks.task import Demonstration, Prepared, Task, Trained
from unspool.training import Likelihood, ModelFolder, Options, Pieces, Progress, pick_device

__all__ = ["Music"]

_ORDER = 5  # of the Kneser-Ney baseline
_LEAST = 100  # steps to train on


class Music(Task):
    """Modelling and generation of music."""

    name = "music"
    Config = MusicConfig

    def options(self, config: MusicConfig) -> Options:
        return config.options

    def load(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto") -> Trained:
        return MusicModel(folder, stored, device)

    def prepare(
        self,
        data: Sequence[str | Path],
        valid: Sequence[str | Path],
        config: MusicConfig,
        scratch: Path,
        progress: Progress,
        *,
        stored: Mapping[str, Any] | None = None,
        init: Trained | None = None,
    ) -> Prepared:
        source = Source(data)
        held = Source(valid, part="valid") if valid else None
        codec, train, validation = self._read(source, held, config, scratch, stored, init)
        progress.say(f"read {source.report}" + (f"; for validation {held.report}" if held else ""))
        config = self._settled(config, codec, train)
        sounding = float(np.mean([roll.sum(1).mean() for roll in train])) if isinstance(train, RollPieces) else 0.0
        model = build(config, codec, pick_device(config.device), config.seed, sounding)
        job = _Job(model, codec, train, validation, config)
        model.expect(job.expected())
        if isinstance(init, MusicModel):
            init.transfer(model)
        facts = {
            "files": list(source.names),
            "pieces": {"train": len(train.lengths), "validation": len(validation.lengths)},
            "steps": {"train": int(train.lengths.sum()), "validation": int(validation.lengths.sum())},
            "unit": job.unit,
            "skipped": source.skipped,
        }
        progress.say(_summary(config, codec, train, model))
        known = {f"baseline.{name}": array for name, array in job.baseline.arrays().items()}
        return Prepared(job, config, codec.to_json(), facts, {**known, **_signatures(codec, train)})

    def _read(
        self,
        source: Source,
        held: Source | None,
        config: MusicConfig,
        scratch: Path,
        stored: Mapping[str, Any] | None,
        init: Trained | None,
    ) -> tuple[Codec, EventPieces | RollPieces, EventPieces | RollPieces]:
        inside = np.ones(sum(1 for _ in source), bool) if held or source.held else split(source, config.valid_share, config.seed)
        codec = self._codec(source, inside, config, stored, init)
        train = store(scratch, "train", codec, source.encoded(codec, inside))
        others = held.encoded(codec) if held else source.held or source.encoded(codec, ~inside)
        validation = store(scratch, "valid", codec, others)
        for part, pieces in (("train", train), ("validate", validation)):
            if not len(pieces.lengths):
                raise DataError(f"no piece is left to {part} on: {source.report}")
        return codec, train, validation

    def _codec(
        self, source: Source, inside: np.ndarray, config: MusicConfig, stored: Mapping[str, Any] | None, init: Trained | None
    ) -> Codec:
        if stored is not None:
            return codec_of(stored["codec"])
        if isinstance(init, MusicModel):
            return codec_of(init.stored["codec"])
        kind = config.representation if config.representation != "auto" else "roll" if source.arrays else "events"
        if source.arrays and kind != "roll":
            raise ConfigError(f"arrays of rolls have no {kind}; leave out the representation, or give MIDI files")
        transpose = 6 if config.transpose is None else config.transpose
        if kind == "roll":
            return RollCodec(transpose, config.steps)
        codec = EventCodec(transpose) if kind == "events" else NotebookCodec(transpose)
        return codec.fit(raw for (_, raw), chosen in zip(source, inside, strict=True) if chosen)

    def _settled(self, config: MusicConfig, codec: Codec, train: EventPieces | RollPieces) -> MusicConfig:
        steps = int(train.lengths.sum())
        if steps < _LEAST:
            raise DataError(
                f"the music is too short: {steps} {codec.unit}s, and training needs at least {_LEAST}; give more pieces"
            )
        config = transposition(replace(config, representation=codec.name), steps=steps)
        codec.transpose = config.transpose or 0
        return settle(config, steps=steps)

    def demonstration(self, scratch: Path) -> Demonstration:
        from unspool.tasks.cadences import write

        train, test = scratch / "cadences", scratch / "cadences-test"
        write(train, 400, seed=1)
        write(test, 40, seed=2)
        about = "Synthetic music of the project's own: four-part cadences in all keys, 400 to learn from and 40 to test on."
        return Demonstration([train], [test], {"budget": "50s", "hidden": 256, "transpose": 0, "valid_share": 0.05}, about)

    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        from unspool.tasks.music_card import card

        return card(stored, metrics)


class _Job(Likelihood):
    """What the loop trains."""

    per_symbol = 1.0

    def __init__(
        self, model: OneToMany, codec: Codec, train: EventPieces | RollPieces, valid: EventPieces | RollPieces, config: MusicConfig
    ):
        super().__init__(model)
        self.codec, self.config = codec, config
        self.unit = f"nats per {codec.unit}"
        self.feed: Any = Pieces(train, max(1, config.batch // config.window), config.window, config.seed)
        self._watched = Pieces(valid, 16, 512)
        if isinstance(train, RollPieces):
            self.baseline: Baselines | RollBaselines = RollBaselines.fit(train)
        else:
            size = len(train.codec.vocabulary)
            self.baseline = Baselines.fit(train.corpus, _ORDER, size, train.codec.vocabulary.begin, train.variants())
        count = int(valid.lengths.sum())
        self.baselines = {name: total / count for name, total in baselines(valid, self.baseline).items()}

    def expected(self) -> torch.Tensor:
        """What the output starts from."""
        known = self.baseline.marginal if isinstance(self.baseline, RollBaselines) else self.baseline.unigram.distribution([])
        return torch.from_numpy(known).float()

    def validate(self) -> float:
        found = self.total(self._watched)
        return found.nats / found.steps

    def sample(self) -> str:
        return ""


def _signatures(codec: Codec, train: EventPieces | RollPieces) -> dict[str, np.ndarray]:
    """The training pieces' melodies and rhythms, so that a generated piece can be compared with them."""
    texts = (signature_of(midi.notes(codec.decode(values))) for values in pieces_of(train))
    codes = [np.array([ord(c) for c in text], np.uint16) for text in texts]
    return {"training.notes": np.concatenate(codes), "training.ends": np.cumsum([len(c) for c in codes]).astype(np.int64)}


def _summary(config: MusicConfig, codec: Codec, train: EventPieces | RollPieces, model: OneToMany) -> str:
    weights = sum(p.numel() for p in model.parameters())
    kinds = "" if isinstance(codec, RollCodec) else f", {len(codec.vocabulary):,} different"
    moved = f", transposed by up to {codec.transpose}" if codec.transpose else ""
    return (
        f"{codec.name}: {len(train.lengths):,} pieces, {int(train.lengths.sum()):,} {codec.unit}s to train on{kinds}{moved}; "
        f"{config.cell} {config.layers}x{config.hidden}, {weights / 1e6:.2f} M weights"
    )
