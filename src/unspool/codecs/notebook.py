"""Scores <-> the symbols of the piano notebook (Skúli 2017): what starts together is one symbol, and rhythm is left out.

A single note is its name with its octave (`C#4`), a chord its pitch classes in normal order joined by dots (`4.7.11`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from unspool.codecs.midi import NAMES, Notes, Score, notes, pitch_name, score_of
from unspool.errors import DataError
from unspool.vocabulary import Vocabulary

__all__ = ["NotebookCodec", "normal_order"]

TOGETHER = 1 / 24  # quarter notes between starts that count as one
STEP = 0.5  # quarter notes from one symbol to the next, when written
MIDDLE = 60  # the octave that chords are written in


class NotebookCodec:
    """Pieces as symbols of notes and chords. The vocabulary is that of the corpus in all keys within `transpose` semitones."""

    name = "notebook"
    unit = "symbol"

    def __init__(self, transpose: int = 6):
        self.transpose = transpose
        self._use(Vocabulary())

    def _use(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._tables: dict[int, np.ndarray] = {}
        self._pitches = np.array([_pitch(symbol) for symbol in vocabulary.symbols])

    def fit(self, scores: Iterable[Score]) -> NotebookCodec:
        """Learns the vocabulary; DataError when there are no scores."""
        counts = Counter(symbol for score in scores for symbol in symbols(score))
        if not counts:
            raise DataError("there are no notes to learn from; give at least one MIDI file")
        shifts = sorted(range(-self.transpose, self.transpose + 1), key=abs)  # what the corpus itself holds comes first
        self._use(Vocabulary(_shifted(symbol, k) for k in shifts for symbol, _ in counts.most_common()))
        return self

    def encode(self, score: Score) -> np.ndarray:
        """The ids (T,) of a score, without begin and end; a chord never seen is unknown."""
        return np.asarray(self.vocabulary.encode(symbols(score)), np.int64)

    def decode(self, ids: Iterable[int]) -> Score:
        """A score with a symbol every half a quarter note; chords stand in the octave of middle C. Special codes take no time."""
        found: list[tuple[int, int]] = []
        kept = [self.vocabulary.symbols[int(i)] for i in ids if int(i) > 3]
        for place, symbol in enumerate(kept):
            found += [(place, pitch) for pitch in _keys(symbol)]
        place, pitch = np.array(found, np.int64).reshape(-1, 2).T
        n = len(place)
        return score_of(Notes(place * STEP, np.full(n, STEP), pitch, np.full(n, 90), np.zeros(n, np.int64)))

    def placed(self, ids: np.ndarray) -> list[tuple[int, float, float, int]]:
        """Each note as written: the place of its symbol in ids, its start and duration in quarter notes, and its pitch."""
        symbols = [self.vocabulary.symbols[i] if i > 3 else "" for i in ids.tolist()]
        return [(t, t * STEP, STEP, pitch) for t, symbol in enumerate(symbols) if symbol for pitch in _keys(symbol)]

    def pitches(self, ids: np.ndarray) -> tuple[int, int]:
        """The lowest and highest pitch of the single notes of a piece."""
        found = self._pitches[ids]
        found = found[found >= 0]
        return (int(found.min()), int(found.max())) if len(found) else (MIDDLE, MIDDLE)

    def vary(self, span: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """A table (V,) from ids to those of the piece in another key."""
        return self.shifted(int(rng.integers(-self.transpose, self.transpose + 1)))

    def shifted(self, semitones: int, tempo: int = 0) -> np.ndarray:
        """A table (V,) from ids to those some semitones higher (a symbol that the vocabulary lacks there becomes unknown)."""
        if semitones not in self._tables:
            moved = [_shifted(symbol, semitones) if code > 3 else symbol for code, symbol in enumerate(self.vocabulary.symbols)]
            self._tables[semitones] = np.asarray(self.vocabulary.encode(moved), np.int64)
        return self._tables[semitones]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.name, "transpose": self.transpose, "vocabulary": self.vocabulary.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NotebookCodec:
        codec = cls(data["transpose"])
        codec._use(Vocabulary.from_json(data["vocabulary"]))
        return codec


def symbols(score: Score) -> list[str]:
    """What starts together, in the order of time. Drums are left out."""
    found = notes(score)
    found = found.where(found.program >= 0) if (found.program >= 0).any() else found
    borders = np.flatnonzero(np.diff(found.start, prepend=-1.0) > TOGETHER)
    return [_symbol(np.unique(group)) for group in np.split(found.pitch, borders[1:])]


def _symbol(pitches: np.ndarray) -> str:
    if len(pitches) == 1:
        return pitch_name(int(pitches[0]))
    return ".".join(map(str, normal_order({int(p) % 12 for p in pitches})))


def normal_order(classes: set[int]) -> list[int]:
    """Pitch classes in their tightest order; of several the one packed most to the left (Forte 1973), then the lowest."""
    ordered = sorted(classes)
    turns = [ordered[i:] + ordered[:i] for i in range(len(ordered))]
    return min(turns, key=lambda t: ([(x - t[0]) % 12 for x in reversed(t[1:])][:1], [(x - t[0]) % 12 for x in t], t[0]))


def _pitch(symbol: str) -> int:
    """The pitch of a single note, -1 for all else."""
    name = symbol.rstrip("0123456789-")
    return (int(symbol[len(name) :]) + 1) * 12 + NAMES.index(name) if name in NAMES and name != symbol else -1


def _keys(symbol: str) -> list[int]:
    pitch = _pitch(symbol)
    return [pitch] if pitch >= 0 else [MIDDLE + int(c) for c in symbol.split(".")]


def _shifted(symbol: str, semitones: int) -> str:
    pitch = _pitch(symbol)
    if pitch >= 0:
        return pitch_name(min(max(pitch + semitones, 0), 127))
    return ".".join(map(str, normal_order({(int(c) + semitones) % 12 for c in symbol.split(".")})))
