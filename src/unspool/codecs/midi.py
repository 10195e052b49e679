"""MIDI files to scores and back. The one module that knows symusic; notes leave it as plain arrays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unspool.errors import DataError, did_you_mean, extra

__all__ = ["ENDINGS", "MidiFiles", "MidiReport", "Notes", "Score", "merged", "named", "notes", "read_midi", "score_of"]

Score = Any  # symusic.Score, its times in ticks

ENDINGS = (".mid", ".midi", ".smf", ".kar")
LARGEST = 64 << 20  # bytes of a file
LONGEST = 100_000  # quarter notes: 14 hours at 120 a minute
MOST_NOTES = 2_000_000
SLOWEST, FASTEST = 10.0, 480.0  # quarter notes a minute
PIANOS = range(8)
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class Notes(NamedTuple):
    """N notes in the order of their starts, then pitches: arrays (N,). Times in quarter notes; `program` is -1 for drums."""

    start: np.ndarray
    duration: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    program: np.ndarray

    @property
    def size(self) -> int:
        """N."""
        return len(self.start)

    def where(self, chosen: np.ndarray) -> Notes:
        """Those that a mask or an index picks."""
        return Notes(*(column[chosen] for column in self))


@dataclass(frozen=True)
class MidiReport:
    """The files read and their notes, and what was skipped: files by reason, and oddities that were set right."""

    files: tuple[str, ...] = ()
    notes: int = 0
    skipped: dict[str, list[str]] = field(default_factory=dict)
    mended: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        mended = [f"{what}: {count:,}" for what, count in self.mended.items()]
        return "; ".join([f"{len(self.files):,} pieces, {self.notes:,} notes", *named(self.skipped), *mended])


def named(skipped: Mapping[str, Sequence[str]]) -> list[str]:
    """What was skipped, a sentence a reason."""
    more = {reason: f" and {len(names) - 5:,} more" if len(names) > 5 else "" for reason, names in skipped.items()}
    return [f"skipped, {reason}: {', '.join(names[:5])}{more[reason]}" for reason, names in skipped.items()]


class MidiFiles:
    """The scores of MIDI files and of all those in folders, in the order of their names. `report` tells what the last pass gave.

    A file that a folder stands for and that cannot be used is skipped, and the report says why; one that was named is an error.
    Raises DataError for paths that do not exist, and when nothing at all can be used.
    """

    def __init__(self, paths: Sequence[str | Path]):
        self._files: list[tuple[Path, bool]] = []  # and whether the caller named it
        self._others: list[str] = []
        for path in map(Path, paths):
            if not path.exists():
                near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
                raise DataError(f"there is no file {path}{did_you_mean(path.name, near)}")
            if not path.is_dir():
                self._files.append((path, True))
                continue
            inside = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
            self._files += [(file, False) for file in inside if file.suffix.lower() in ENDINGS]
            self._others += [file.name for file in inside if file.suffix.lower() not in ENDINGS]
        if not self._files:
            given = ", ".join(map(str, paths))
            raise DataError(f"there are no MIDI files ({' '.join(ENDINGS)}) in {given}; name files, or a folder that holds some")
        self.report = MidiReport()

    def __iter__(self) -> Iterator[tuple[str, Score]]:
        """Each file's name and its score."""
        files: list[str] = []
        skipped: dict[str, list[str]] = {"no MIDI file": list(self._others)} if self._others else {}
        mended: Counter[str] = Counter()
        notes = 0
        for path, named in self._files:
            try:
                score = read_midi(path, mended)
            except DataError as error:
                if named:
                    raise
                skipped.setdefault(str(error).removeprefix(f"{path} ").split("; ")[0], []).append(path.name)
                continue
            files.append(str(path))
            notes += score.note_num()
            yield str(path), score
        self.report = MidiReport(tuple(files), notes, skipped, dict(mended))
        if not files:
            reasons = "; ".join(f"{reason}: {', '.join(names[:3])}" for reason, names in skipped.items())
            raise DataError(f"none of the {len(self._files)} MIDI files can be used ({reasons})")


def read_midi(path: str | Path, mended: Counter[str] | None = None) -> Score:
    """A file's score, its odd tempos and time signatures left out (and counted in `mended`).

    Raises DataError, which begins with the path, for a file that is no MIDI, is cut short, has no notes, or has absurd times.
    """
    symusic, path, mended = extra("symusic", "music"), Path(path), Counter() if mended is None else mended
    try:
        size = path.stat().st_size
        score = symusic.Score(path) if size <= LARGEST else None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (RuntimeError, ValueError) as error:
        reason = "is cut short" if "EOF" in str(error) or "chunk length" in str(error) else "is no MIDI file"
        raise DataError(f"{path} {reason}; export it again as a standard MIDI file") from error
    if score is None or score.note_num() > MOST_NOTES:
        raise DataError(f"{path} is larger than any piece of music; give a file a piece")
    if score.ticks_per_quarter <= 0:
        raise DataError(f"{path} counts time in frames of film; export it with ticks a quarter note")
    if not score.note_num():
        raise DataError(f"{path} has no notes; it may hold only lyrics or settings")
    if score.end() > LONGEST * score.ticks_per_quarter:
        raise DataError(f"{path} is longer than {LONGEST:,} quarter notes; its times may be damaged")
    signatures = [s for s in score.time_signatures if 1 <= s.numerator <= 32 and s.denominator in (1, 2, 4, 8, 16, 32)]
    tempos = [t for t in score.tempos if math.isfinite(t.qpm) and SLOWEST <= t.qpm <= FASTEST]
    for what, kept, given in (
        ("odd time signatures left out", signatures, score.time_signatures),
        ("odd tempos left out", tempos, score.tempos),
    ):
        if len(kept) < len(given):
            mended[what] += len(given) - len(kept)
    score.time_signatures, score.tempos = signatures, tempos
    return score


def merged(score: Score) -> Score:
    """One track of all notes that are no drums; of notes that start together on one key the longest stays."""
    found = notes(score)
    melodic = found.program >= 0
    found = found.where(melodic)._replace(program=np.zeros(melodic.sum(), np.int64)) if melodic.any() else found
    order = np.lexsort((-found.duration, found.pitch, found.start))
    found = found.where(order)
    again = (np.diff(found.start, prepend=-1.0) == 0) & (np.diff(found.pitch, prepend=-1) == 0)
    one = score_of(found.where(~again), score.ticks_per_quarter)
    one.time_signatures, one.tempos = score.time_signatures, score.tempos
    return one


def notes(score: Score) -> Notes:
    """The notes of all tracks."""
    columns: list[list[np.ndarray]] = [[] for _ in Notes._fields]
    for track in score.tracks:
        arrays = track.notes.numpy()
        program = np.full(len(arrays["time"]), -1 if track.is_drum else track.program)
        for column, array in zip(columns, (*(arrays[k] for k in ("time", "duration", "pitch", "velocity")), program), strict=True):
            column.append(np.asarray(array))
    start, duration, pitch, velocity, program = (np.concatenate(c) if c else np.zeros(0, np.int64) for c in columns)
    order = np.lexsort((pitch, start))
    quarter = score.ticks_per_quarter
    return Notes(
        start[order] / quarter, duration[order] / quarter, *(c[order].astype(np.int64) for c in (pitch, velocity, program))
    )


def score_of(found: Notes, ticks: int = 480) -> Score:
    """A score of notes, a track a program, with `ticks` a quarter note. A note that starts again while it sounds ends there."""
    symusic = extra("symusic", "music")
    score = symusic.Score(ticks)
    for program in np.unique(found.program).tolist():
        start, duration, pitch, velocity, _ = found.where(found.program == program)
        first, last = np.rint(start * ticks).astype(np.int64), np.rint((start + duration) * ticks).astype(np.int64)
        order = np.lexsort((first, pitch))
        same = pitch[order][1:] == pitch[order][:-1]
        following = np.where(same, first[order][1:], np.iinfo(np.int64).max)
        last[order[:-1]] = np.minimum(last[order[:-1]], np.maximum(following, first[order][:-1] + 1))
        track = symusic.Track(program=max(program, 0), is_drum=program < 0)
        track.notes = [
            symusic.Note(int(a), max(1, int(b - a)), int(p), int(v))
            for a, b, p, v in zip(first, last, pitch, velocity, strict=True)
        ]
        track.sort()
        score.tracks.append(track)
    return score


def continued(given: Score, more: Notes, like: Score) -> Score:
    """A score followed by more notes, its own kept exactly; behind its end the tempos and time signatures are those of `like`."""
    score, ticks = given.copy(), given.ticks_per_quarter
    end = max((note.time for track in score.tracks for note in track.notes), default=0)  # the last onset
    for track in score_of(more, ticks).tracks:
        track.name = "continued"
        score.tracks.append(track)
    for mine, theirs in ((score.tempos, like.tempos), (score.time_signatures, like.time_signatures)):
        for change in theirs:
            change = change.copy()
            change.time = round(change.time * ticks / like.ticks_per_quarter)
            if change.time > end:
                mine.append(change)
    return score


def bar_lines(score: Score) -> list[float]:
    """Where bars begin, in quarter notes; four of these a bar where no time signature stands."""
    quarter, end = score.ticks_per_quarter, score.end()
    changes = [(s.time, s.numerator, s.denominator) for s in score.time_signatures] or [(0, 4, 4)]
    lines: list[float] = []
    for (at, numerator, denominator), until in zip(changes, [*(c[0] for c in changes[1:]), end], strict=True):
        lines += np.arange(at / quarter, until / quarter, 4 * numerator / denominator).tolist()
    return lines


def pitch_name(pitch: int) -> str:
    """A pitch as a note with its octave, 60 as C4."""
    return f"{NAMES[int(pitch) % 12]}{int(pitch) // 12 - 1}"
