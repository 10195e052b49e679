"""Generated pieces: what is said of them, and how they are written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unspool.codecs import midi
from unspool.codecs.midi import Notes, Score
from unspool.errors import DataError
from unspool.scoring.copies import Copy
from unspool.scoring.music import histograms, key_of, overlap, signature

__all__ = ["Piece", "deliver", "facts_of", "overlaps", "signature_of"]


ENDINGS = ("mid", "wav", "png", "json")


@dataclass(frozen=True)
class Piece:
    """A generated piece: its score, whether it ended by itself, the values it was decoded from, and facts about its notes."""

    score: Score
    ended: bool
    values: np.ndarray = field(repr=False)
    given: Notes | None = None  # those of the prompt
    prompt: int = 0  # values of the prompt, which come first
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def written(self) -> Notes:
        """The notes that are not the prompt's."""
        notes = midi.notes(self.score)
        if self.given is None:
            return notes
        left = Counter(zip(*(column.tolist() for column in self.given), strict=True))
        new = []
        for note in zip(*(column.tolist() for column in notes), strict=True):
            new.append(not left[note])
            left[note] -= left[note] > 0
        return notes.where(np.array(new, bool))


def signature_of(notes: Notes) -> str:
    """Notes as `scoring.music.signature` has them."""
    return signature(notes.start, notes.pitch)


def facts_of(piece: Piece, copy: Copy, stuck: bool) -> dict[str, Any]:
    """What is said of a piece, given the longest run that what is written of it shares with the training pieces."""
    every = midi.notes(piece.score)
    notes = every.where(every.program >= 0)  # drums have no key
    low, high = (midi.pitch_name(p) for p in (notes.pitch.min(initial=127), notes.pitch.max(initial=0)))
    return {
        "notes": every.size,
        "quarter notes": round(float((every.start + every.duration).max(initial=0.0)), 2),
        "key": key_of(notes.pitch, notes.duration),
        "range": f"{low} to {high}" if notes.size else "none",
        "longest run of notes copied": copy.length + 1 if copy.length else 0,
        "stuck": stuck,
        "ended by itself": piece.ended,
    }


def overlaps(one: Sequence[Notes], other: Sequence[Notes]) -> dict[str, float]:
    """How alike two sets of pieces are in their pitches, durations and intervals."""

    def of(pieces: Sequence[Notes]) -> dict[str, np.ndarray]:
        melodic = [p.where(p.program >= 0) for p in pieces]
        parts = [histograms(p.duration, p.pitch) for p in melodic if p.size]
        return {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]} if parts else {}

    a, b = of(one), of(other)
    return {name: overlap(a[name], b[name]) for name in a if name in b}


def deliver(pieces: Sequence[Piece], output: Path | None, as_json: bool) -> str:
    """Writes each piece as MIDI, sound, picture and JSON, named after `output`, and says where and what it is."""
    if output is not None and not output.name:
        raise DataError(f"{output} is no name for a piece; give one such as -o {output / 'piece.mid'}")
    stems = _stems(output, len(pieces)) if output else _unused(len(pieces))
    lines = []
    for stem, piece in zip(stems, pieces, strict=True):
        files = _write(piece, stem)
        if as_json:
            lines.append(json.dumps({"files": files, **piece.facts}, ensure_ascii=False))
        else:
            facts = ", ".join(f"{name}: {value}" for name, value in piece.facts.items())
            lines.append(f"{' '.join(files)}\n    {facts}")
    return "\n".join(lines)


def _write(piece: Piece, stem: Path) -> list[str]:
    from unspool.codecs.rollpicture import write_picture
    from unspool.codecs.sound import synthesize, write_wav

    notes, score = midi.notes(piece.score), piece.score
    quarter = score.ticks_per_quarter
    tempos = [(t.time / quarter, float(t.qpm)) for t in score.tempos]
    files = {ending: f"{stem}.{ending}" for ending in ENDINGS}
    facts = {
        **piece.facts,
        "tempos": tempos,
        "time signatures": [(s.time / quarter, s.numerator, s.denominator) for s in score.time_signatures],
        "notes given": piece.given.size if piece.given else 0,
        "fields": list(Notes._fields),
        "music": [list(note) for note in zip(*(column.tolist() for column in notes), strict=True)],
    }
    try:
        score.dump_midi(files["mid"])
        write_wav(files["wav"], synthesize(notes, tempos))
        title = f"{notes.size} notes, {piece.facts.get('key', '')}"
        write_picture(files["png"], notes, title, midi.bar_lines(score), piece.given)
        Path(files["json"]).write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
    except (OSError, RuntimeError) as error:
        raise DataError(f"cannot write {stem}.*: {getattr(error, 'strerror', None) or error}; choose another -o") from error
    return list(files.values())


def _stems(output: Path, count: int) -> list[Path]:
    """What the files of each piece are named after."""
    return [output.with_suffix("")] if count == 1 else [output.with_name(f"{output.stem}-{n}") for n in range(1, count + 1)]


def _unused(count: int) -> list[Path]:
    """Names in this folder that nothing has."""
    for number in range(1, 100_000):
        stems = _stems(Path(f"piece{f'-{number}' if number > 1 else ''}.mid"), count)
        if not any(Path(f"{stem}.{ending}").exists() for stem in stems for ending in ENDINGS):
            return stems
    raise DataError("this folder is full of pieces; name another by -o")
