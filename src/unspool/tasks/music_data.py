"""Music to train on: from files to pieces, and pieces on disk in variants of key and tempo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from unspool.codecs import rolls
from unspool.codecs.corpus import Corpus
from unspool.codecs.events import EventCodec
from unspool.codecs.midi import MidiFiles, named
from unspool.codecs.notebook import NotebookCodec
from unspool.codecs.rolls import KEYS, RollCodec, all_rolls
from unspool.errors import DataError
from unspool.vocabulary import Vocabulary

__all__ = ["CODECS", "Codec", "EventPieces", "RollPieces", "Source", "codec_of", "split", "store"]

CODECS = {kind.name: kind for kind in (EventCodec, NotebookCodec, RollCodec)}
Codec = EventCodec | NotebookCodec | RollCodec
Raw = Any  # a symusic.Score, or a roll (T, 88)
_ROW = -(-KEYS // 8)  # bytes of a packed step


def codec_of(data: dict[str, Any]) -> Codec:
    """The codec that a model was stored with."""
    if data.get("kind") not in CODECS:
        raise DataError(f"a stored music codec is of the kind {data.get('kind')!r}, and the kinds are {', '.join(CODECS)}")
    return CODECS[data["kind"]].from_json(data)


class Source:
    """The pieces of files: scores of MIDI, or rolls of arrays. It can be gone through again; `report` tells of the last pass."""

    def __init__(self, paths: Sequence[str | Path], part: str = "train"):
        """`part` is what is wanted of array files that have parts (train, valid, test); `held` is then their validation part."""
        self._names = tuple(map(str, paths))
        arrays = [path for path in self._names if path.lower().endswith(rolls.ENDINGS)]
        if arrays and len(arrays) < len(paths):
            raise DataError("arrays of rolls and MIDI files cannot be read together; train on one or the other")
        parts = all_rolls(arrays)
        self.rolls = [*parts.get(part, []), *(parts.get("", []) if part == "train" or part not in parts else [])]
        if arrays and not self.rolls:
            raise DataError(f"{', '.join(arrays)} has no {part} part; its parts are {', '.join(parts)}")
        self.held = parts.get("valid", []) if part == "train" else []
        self._midi = None if arrays else MidiFiles(paths)
        self._refused: dict[str, list[str]] = {}

    @property
    def arrays(self) -> bool:
        """Whether these are arrays of rolls."""
        return self._midi is None

    def __iter__(self) -> Iterator[tuple[str, Raw]]:
        """Each piece's name, and its score or its roll."""
        return iter(self._midi or ((f"piece {i + 1}", roll) for i, roll in enumerate(self.rolls)))

    def encoded(self, codec: Codec, chosen: Iterable[bool] = repeat(True)) -> Iterator[np.ndarray]:
        """The values of the chosen pieces. What the codec cannot hold is left out, and told in the report."""
        for (name, raw), wanted in zip(self, chosen, strict=False):
            if not wanted:
                continue
            try:
                if isinstance(raw, np.ndarray) and not isinstance(codec, RollCodec):
                    raise DataError(f"{', '.join(self._names)} holds rolls, and this model reads {codec.name}; give MIDI files")
                yield raw if isinstance(raw, np.ndarray) else codec.encode(raw)
            except DataError as error:
                if self.arrays:
                    raise
                names = self._refused.setdefault(str(error).split("; ")[0], [])
                names += [Path(name).name] if Path(name).name not in names else []

    @property
    def names(self) -> tuple[str, ...]:
        """The files that the last pass has read."""
        return self._midi.report.files if self._midi else self._names

    @property
    def skipped(self) -> dict[str, list[str]]:
        """The files that were left out, by reason."""
        return {**(self._midi.report.skipped if self._midi else {}), **self._refused}

    @property
    def report(self) -> str:
        read = str(self._midi.report) if self._midi else f"{len(self.rolls):,} rolls"
        return "; ".join([read, *named(self._refused)])


def split(source: Source, share: float, seed: int) -> np.ndarray:
    """True for the pieces to train on, False for a seeded choice to validate on; at least one of each.

    This is a first pass over the files, which finds every fault before anything is made. DataError for a single piece.
    """
    count = sum(1 for _ in source)
    if count < 2:
        raise DataError("training needs at least 2 pieces, one of them to validate on; give more, or name some with --valid")
    drawn = np.random.default_rng(seed).random(count)
    border = np.sort(drawn)[min(max(1, round(share * count)), count - 1)]
    return drawn >= border


class _Pieces:
    """Pieces on disk, and of each the span of its pitches."""

    def __init__(self, corpus: Corpus, codec: Any):
        self.corpus, self.codec = corpus, codec
        self.spans: list[tuple[int, int]] = []
        self._starts = np.zeros(1, np.int64)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self._starts)

    def vary(self, piece: int, rng: np.random.Generator) -> Any:
        return self.codec.vary(self.spans[piece], rng)


class EventPieces(_Pieces):
    """Pieces of ids, each from its begin to its end symbol."""

    def write(self, pieces: Iterable[np.ndarray]) -> EventPieces:
        """Stores the pieces; returns itself."""

        def ended() -> Iterator[np.ndarray]:
            for ids in pieces:
                self.spans.append(self.codec.pitches(ids))
                yield np.append(ids, Vocabulary.end)

        self.corpus.write(ended())
        self._starts = self.corpus.ends(0, self.corpus.documents) if self.corpus.documents else self._starts
        return self

    def read(self, piece: int, start: int, stop: int, variant: Any = None) -> np.ndarray:
        at = int(self._starts[piece])
        ids = self.corpus.read(at + start - (start > 0), at + stop)
        ids = ids if start else np.concatenate([[Vocabulary.begin], ids])
        return ids if variant is None else variant[ids]

    def variants(self) -> Iterator[np.ndarray]:
        """Each piece's ids in every key that training may draw, the written ones first."""
        for semitones in sorted(range(-self.codec.transpose, self.codec.transpose + 1), key=abs):
            table = self.codec.shifted(semitones)
            yield from (table[ids] for ids in self.corpus)


class RollPieces(_Pieces):
    """Pieces of rolls, packed eight keys to a byte. Before the first step all keys are silent."""

    def write(self, pieces: Iterable[np.ndarray]) -> RollPieces:
        """Stores the pieces; returns itself."""

        def packed() -> Iterator[np.ndarray]:
            for roll in pieces:
                self.spans.append(self.codec.pitches(roll))
                yield np.packbits(roll, axis=1).ravel()

        self.corpus.write(packed())
        self._starts = self.corpus.ends(0, self.corpus.documents) // _ROW if self.corpus.documents else self._starts
        return self

    def read(self, piece: int, start: int, stop: int, variant: Any = None) -> np.ndarray:
        at = int(self._starts[piece])
        packed = self.corpus.read((at + start - (start > 0)) * _ROW, (at + stop) * _ROW).astype(np.uint8).reshape(-1, _ROW)
        roll = np.unpackbits(packed, axis=1, count=KEYS)
        roll = roll if start else np.concatenate([np.zeros((1, KEYS), np.uint8), roll])
        return np.roll(roll, variant, axis=1) if variant else roll

    def __iter__(self) -> Iterator[np.ndarray]:
        """Each piece's roll."""
        for piece, length in enumerate(self.lengths.tolist()):
            yield self.read(piece, 0, length)[1:]


def store(folder: Path, name: str, codec: Codec, pieces: Iterable[np.ndarray]) -> EventPieces | RollPieces:
    """Pieces on disk, to be read from."""
    if isinstance(codec, RollCodec):
        return RollPieces(Corpus(folder, name, 256), codec).write(pieces)
    return EventPieces(Corpus(folder, name, len(codec.vocabulary)), codec).write(pieces)
