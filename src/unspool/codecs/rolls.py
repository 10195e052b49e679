"""Piano rolls: which of 88 keys sound at each step. From the chorale sets' arrays, or from scores, and back to scores.

| file      | holds                                                                                                      |
|-----------|------------------------------------------------------------------------------------------------------------|
| .mat      | cell arrays traindata, validdata, testdata of (T, 88) rolls (the benchmark of Boulanger-Lewandowski et al. 2012) |
| .npz      | one (T, 88) array a piece, under names that may begin with train, valid or test                             |
| .json     | an object of train, valid, test, or a list: pieces, each a list of steps, each a list of MIDI pitches        |
"""

from __future__ import annotations

import json
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unspool.codecs.midi import Notes, Score, notes, score_of
from unspool.codecs.streams import blocks
from unspool.errors import DataError, extra

__all__ = ["ENDINGS", "KEYS", "LOWEST", "RollCodec", "read_rolls"]

ENDINGS = (".mat", ".npz", ".json", ".json.xz", ".json.gz")
PARTS = ("train", "valid", "test")
KEYS = 88
LOWEST = 21  # the pitch of the lowest key, A0
LONGEST = 1_000_000  # steps of a piece

Roll = np.ndarray


class RollCodec:
    """Pieces as rolls (T, 88) of zeros and ones. A key that sounds in steps running is one note, when written."""

    name = "roll"
    unit = "step"

    def __init__(self, transpose: int = 6, steps: int = 4):
        """`steps` to a quarter note, when a score is read or written."""
        self.transpose, self.steps = transpose, steps

    def encode(self, score: Score) -> Roll:
        """The roll of a score, its drums left out; DataError for pitches that a piano has not."""
        found = notes(score)
        found = found.where(found.program >= 0)
        if not found.size:
            raise DataError("it has no notes but drums; a roll holds the keys of a piano")
        low, high = int(found.pitch.min()), int(found.pitch.max())
        if low < LOWEST or high >= LOWEST + KEYS:
            raise DataError(
                f"it has pitches that a piano has not; they go from {low} to {high}, its from {LOWEST} to {LOWEST + KEYS - 1}"
            )
        first = np.rint(found.start * self.steps).astype(int)
        last = np.maximum(np.rint((found.start + found.duration) * self.steps).astype(int), first + 1)
        roll = np.zeros((int(last.max()), KEYS), np.uint8)
        for a, b, pitch in zip(first.tolist(), last.tolist(), found.pitch.tolist(), strict=True):
            roll[a:b, pitch - LOWEST] = 1
        return roll

    def decode(self, roll: Roll) -> Score:
        """The score of a roll."""
        edges = np.diff(np.pad(roll.astype(np.int8), ((1, 1), (0, 0))), axis=0)
        key, first = np.nonzero(edges.T == 1)
        last = np.nonzero(edges.T == -1)[1]
        n = len(key)
        found = Notes(first / self.steps, (last - first) / self.steps, key + LOWEST, np.full(n, 90), np.zeros(n, np.int64))
        return score_of(found)

    def placed(self, roll: Roll) -> list[tuple[int, float, float, int]]:
        """Each key in each step: the step, its start and duration in quarter notes, and the pitch."""
        steps, keys = np.nonzero(roll)
        return [(t, t / self.steps, 1 / self.steps, LOWEST + key) for t, key in zip(steps.tolist(), keys.tolist(), strict=True)]

    def pitches(self, roll: Roll) -> tuple[int, int]:
        """The lowest and highest key of a piece; all of them in one that is silent."""
        used = np.flatnonzero(roll.any(0))
        return (int(used[0]), int(used[-1])) if len(used) else (0, KEYS - 1)

    def vary(self, span: tuple[int, int], rng: np.random.Generator) -> int:
        """By how many semitones a piece is moved, drawn from what fits the keyboard."""
        return int(rng.integers(max(-self.transpose, -span[0]), min(self.transpose, KEYS - 1 - span[1]) + 1))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.name, "transpose": self.transpose, "steps": self.steps}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RollCodec:
        return cls(data["transpose"], data["steps"])


def read_rolls(path: str | Path) -> dict[str, list[Roll]]:
    """The pieces of an array file by part (train, valid, test; "" where the file has no parts). DataError for what is none."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"there is no file {path}")
    name = path.name.lower()
    reader = _mat if name.endswith(".mat") else _npz if name.endswith(".npz") else _json
    parts = {part: [_checked(roll, path, part, i) for i, roll in enumerate(rolls)] for part, rolls in reader(path).items() if rolls}
    if not parts:
        raise DataError(f"{path} holds no piano rolls; see the table in unspool.codecs.rolls for what is read")
    return parts


def _checked(roll: Any, path: Path, part: str, index: int) -> Roll:
    found = np.asarray(roll)
    where = f"{path}, {part or 'its'} piece {index + 1}"
    if found.ndim != 2 or found.shape[1] != KEYS or not len(found) or len(found) > LONGEST:
        raise DataError(f"{where} is no roll of (steps, {KEYS}) but of shape {found.shape}")
    if not np.isin(found, (0, 1)).all():
        raise DataError(f"{where} holds other values than 0 and 1")
    return found.astype(np.uint8)


def _mat(path: Path) -> dict[str, Sequence[Any]]:
    try:
        found = extra("scipy.io", "music").loadmat(path)
    except Exception as error:  # scipy's reader raises of everything on damaged files
        raise DataError(f"{path} is no MATLAB file of version 5 ({error}); fetch it again") from error
    return {part: list(found[f"{part}data"].ravel()) for part in PARTS if f"{part}data" in found}


def _npz(path: Path) -> dict[str, Sequence[Any]]:
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in sorted(found.files)}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, TypeError, AttributeError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error
    parts: dict[str, list[Any]] = {}
    for name, array in arrays.items():
        parts.setdefault(next((part for part in PARTS if name.startswith(part)), ""), []).append(array)
    return dict(parts)


def _json(path: Path) -> dict[str, Sequence[Any]]:
    try:
        found = json.loads(b"".join(blocks(path)))
    except (ValueError, RecursionError, lzma.LZMAError) as error:
        raise DataError(f"{path} is no JSON: {error}") from error
    named = found if isinstance(found, dict) else {"": found}
    named = {next((part for part in PARTS if name.startswith(part)), ""): pieces for name, pieces in named.items()}
    if not all(isinstance(pieces, list) for pieces in named.values()):
        raise DataError(f"{path} holds no lists of pieces; expected train, valid and test, or a list")
    return {
        part: [_from_pitches(piece, f"{path}, {part or 'its'} piece {i + 1}") for i, piece in enumerate(pieces)]
        for part, pieces in named.items()
    }


def _from_pitches(piece: Any, where: str) -> Roll:
    try:
        steps: list[list[int]] = [[int(p) for p in step if p is not None and p >= 0] for step in piece]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where} is no list of steps that are lists of pitches") from error
    outside = {p for step in steps for p in step if not LOWEST <= p < LOWEST + KEYS}
    if outside:
        raise DataError(f"{where} has the pitches {sorted(outside)[:5]}, and a piano those from {LOWEST} to {LOWEST + KEYS - 1}")
    roll = np.zeros((len(steps), KEYS), np.uint8)
    for t, step in enumerate(steps):
        roll[t, np.asarray(step, int) - LOWEST] = 1
    return roll


def all_rolls(paths: Iterable[str | Path]) -> dict[str, list[Roll]]:
    """The pieces of several files, by part."""
    parts: dict[str, list[Roll]] = {}
    for path in paths:
        for part, rolls in read_rolls(path).items():
            parts.setdefault(part, []).extend(rolls)
    return parts
