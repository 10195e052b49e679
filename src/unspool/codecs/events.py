"""Scores <-> events: MidiTok's REMI (Huang & Yang 2020; with programs REMI+, von Rütte et al. 2022).

A bar is `Bar`, `TimeSig`, then for each place in it a `Position` and its notes, each `Pitch`, `Velocity`, `Duration`. Velocities,
tempos and programs are events only where the corpus has more than one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from unspool.codecs.grammar import BEAT, SPECIAL, Grammar
from unspool.codecs.midi import PIANOS, Score, merged, notes
from unspool.errors import DataError, ModelError, extra
from unspool.vocabulary import Vocabulary

__all__ = ["EventCodec"]

LONGEST_NOTE = 12  # beats
TEMPOS = (40, 250, 32)  # slowest, fastest, how many
VELOCITIES = 16


class EventCodec:
    """Pieces as REMI events. `fit` learns from a corpus which kinds of events it needs, and its range of pitches."""

    name = "events"
    unit = "event"

    def __init__(self, transpose: int = 6):
        self.transpose = transpose
        self.velocity, self.tempo = 90, 120.0  # where they are no events
        self._tokenizer: Any = None
        self.vocabulary = Vocabulary()

    def fit(self, scores: Iterable[Score]) -> EventCodec:
        """Learns the vocabulary; DataError when there are no scores."""
        low, high = 128, -1
        drums = np.zeros(128, bool)
        velocities, tempos, programs = np.zeros(128, np.int64), set[float](), np.zeros(129, np.int64)
        signatures = {(4, 4)}
        for score in scores:
            found = notes(score)
            pitch = found.pitch[found.program >= 0]
            low, high = min(low, int(pitch.min(initial=128))), max(high, int(pitch.max(initial=-1)))
            drums[found.pitch[found.program < 0]] = True
            velocities += np.bincount(found.velocity, minlength=128)
            programs += np.bincount(found.program + 1, minlength=129)
            tempos |= {round(t.qpm, 1) for t in score.tempos} or {120.0}
            signatures |= {_metre(s) for s in score.time_signatures}
        if not velocities.sum():
            raise DataError("there are no notes to learn from; give at least one MIDI file")
        melodic = programs[1:]
        several = programs[0] + melodic[len(PIANOS) :].sum() > 0.05 * programs.sum()
        low, high = (max(0, low - self.transpose), min(127, high + self.transpose)) if high >= 0 else (60, 60)
        struck = np.flatnonzero(drums).tolist() if several else []
        if struck:  # MidiTok writes no note outside of the range of pitches, and drums are none the less
            low, high = min(low, struck[0]), max(high, struck[-1])
        used = [*([-1] if programs[0] else []), *np.flatnonzero(melodic).tolist()] if several else None
        self.velocity, self.tempo = int(velocities.argmax()), min(tempos)
        self._make(
            {
                "pitch_range": _range(low, high),
                "drums": _range(struck[0], struck[-1]) if struck else None,
                "velocities": bool((velocities > 0).sum() > 1),
                "tempos": len(tempos) > 1,
                "signatures": sorted(signatures),
                "programs": used,
            }
        )
        return self

    def _make(self, facts: dict[str, Any]) -> None:
        self.facts: dict[str, Any] = facts
        miditok = extra("miditok", "music")
        denominators: dict[int, list[int]] = {}
        for numerator, denominator in facts["signatures"]:
            denominators.setdefault(denominator, []).append(numerator)
        programs = facts["programs"]
        config = miditok.TokenizerConfig(
            pitch_range=tuple(facts["pitch_range"]),
            **({"drums_pitch_range": tuple(facts["drums"])} if facts["drums"] else {}),
            beat_res={(0, LONGEST_NOTE): BEAT},
            num_velocities=VELOCITIES,
            special_tokens=list(SPECIAL),
            remove_duplicated_notes=True,
            use_velocities=facts["velocities"],
            use_tempos=facts["tempos"],
            tempo_range=TEMPOS[:2],
            num_tempos=TEMPOS[2],
            log_tempos=True,
            use_time_signatures=True,
            time_signature_range=denominators,
            use_programs=programs is not None,
            one_token_stream_for_programs=programs is not None,
            use_pitchdrum_tokens=bool(facts["drums"]),  # of their own, since drums are not transposed
            **({"programs": programs} if programs is not None else {}),
        )
        self._tokenizer = miditok.REMI(config)
        by_code = sorted(self._tokenizer.vocab.items(), key=lambda item: item[1])
        self._names = [name for name, _ in by_code]
        self.vocabulary = Vocabulary(self._names[len(SPECIAL) :])
        assert len(self.vocabulary) == len(self._names)
        self.grammar = Grammar(self._names, self._tokenizer.tokens_types_graph)
        pitches = [(code, int(name.split("_")[1])) for code, name in enumerate(self._names) if name.startswith("Pitch_")]
        self._first, (self._low, self._high) = pitches[0][0], (pitches[0][1], pitches[-1][1])
        assert [code for code, _ in pitches] == list(range(self._first, self._first + len(pitches)))

    def encode(self, score: Score) -> np.ndarray:
        """The ids (T,) of a score, without begin and end. DataError for what the vocabulary does not hold."""
        score = score.copy() if self.facts["programs"] is not None else merged(score)
        kind = extra("symusic", "music").TimeSignature
        score.time_signatures = [kind(s.time, *_metre(s)) for s in score.time_signatures] or [kind(0, 4, 4)]
        self._check(score)
        found = self._tokenizer.encode(score, no_preprocess_score=False)
        ids = np.asarray((found[0] if isinstance(found, list) else found).ids, np.int64)
        return ids[: np.flatnonzero(self.grammar.ends(ids))[-1] + 1]  # what comes after the last note is not heard

    def _check(self, score: Score) -> None:
        found = notes(score)
        pitch = found.pitch[found.program >= 0]
        low, high = int(pitch.min(initial=self._low)), int(pitch.max(initial=self._high))
        if low < self._low or high > self._high:
            raise DataError(
                f"it has pitches that this model does not know; they go from {low} to {high}, its from {self._low} to {self._high}"
            )
        known = {tuple(s) for s in self.facts["signatures"]}
        for s in score.time_signatures:
            if (s.numerator, s.denominator) not in known:
                names = ", ".join(f"{a}/{b}" for a, b in sorted(known))
                raise DataError(
                    f"it has a time signature that this model does not know; {s.numerator}/{s.denominator}, and it knows {names}"
                )
        if self.facts["programs"] is not None and (unknown := set(found.program.tolist()) - set(self.facts["programs"])):
            raise DataError(
                f"it has instruments that this model does not know; programs {sorted(unknown)}, it knows {self.facts['programs']}"
            )

    def decode(self, ids: Iterable[int]) -> Score:
        """The score of ids; begin, end and padding are silent, and so is a note whose events are not all there."""
        tokens = [self._names[int(i)] for i in ids if i >= len(SPECIAL)]
        miditok = extra("miditok", "music")
        sequence = miditok.TokSequence(tokens=tokens)
        score = self._tokenizer.decode(sequence if self.facts["programs"] is not None else [sequence])
        symusic = extra("symusic", "music")
        if not self.facts["velocities"]:
            for track in score.tracks:
                for note in track.notes:
                    note.velocity = self.velocity
        if not self.facts["tempos"]:
            score.tempos = [symusic.Tempo(0, self.tempo)]
        return score

    def errors(self, ids: Sequence[int]) -> int:
        """How many events MidiTok itself calls invalid: of a type or value that cannot follow the one before."""
        tokens = [self._names[int(i)] for i in ids]
        return self._tokenizer._tokens_errors(tokens) if tokens else 0

    def bars(self, ids: np.ndarray) -> np.ndarray:
        """The places (N,) of the `Bar` events."""
        return np.flatnonzero(np.asarray(ids) == self.vocabulary["Bar_None"])

    def placed(self, ids: np.ndarray) -> list[tuple[int, float, float, int]]:
        """Each whole note: the place (in ids) of its pitch, its start and duration in quarter notes, and the pitch."""
        found, bar, length, beat, start, at = list[tuple[int, float, float, int]](), 0.0, 0.0, 1.0, 0.0, 0
        for t, (kind, value) in enumerate(self._names[i].split("_") for i in ids.tolist()):
            if kind == "Bar":
                bar += length
            elif kind == "TimeSig":
                beats, denominator = map(int, value.split("/"))
                beat = 4 / denominator
                length = beats * beat
            elif kind == "Position":
                start = bar + int(value) * beat / BEAT
            elif kind in self.grammar.keys:
                at = t
            elif kind == "Duration":
                whole, part, parts = map(int, value.split("."))
                found.append((at, start, (whole + part / parts) * beat, int(self._names[ids[at]].split("_")[1])))
        return found

    def pitches(self, ids: np.ndarray) -> tuple[int, int]:
        """The lowest and highest pitch of a piece."""
        found = ids[(ids >= self._first) & (ids <= self._first + self._high - self._low)] - self._first + self._low
        return (int(found.min()), int(found.max())) if len(found) else (self._low, self._high)

    def vary(self, span: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """A table (V,) from ids to those of the piece in another key and tempo, drawn from those that fit its pitches."""
        shift = int(rng.integers(max(-self.transpose, self._low - span[0]), min(self.transpose, self._high - span[1]) + 1))
        return self.shifted(shift, int(rng.integers(-1, 2)))

    def shifted(self, semitones: int, tempo: int = 0) -> np.ndarray:
        """A table (V,) from ids to those some semitones higher and tempo classes faster, as far as the range goes; drums stay."""
        table = np.arange(len(self._names))
        for kind, by in (("Pitch_", semitones), ("Tempo_", tempo)):
            codes = np.array([code for code, name in enumerate(self._names) if name.startswith(kind)], np.int64)
            if len(codes):
                table[codes] = np.clip(codes + by, codes[0], codes[-1])
        return table

    def to_json(self) -> dict[str, Any]:
        own = {"transpose": self.transpose, "velocity": self.velocity, "tempo": self.tempo}
        return {"kind": self.name, **own, **self.facts, "symbols": self._names}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EventCodec:
        codec = cls(data["transpose"])
        codec.velocity, codec.tempo = data["velocity"], data["tempo"]
        codec._make({k: data[k] for k in ("pitch_range", "drums", "velocities", "tempos", "signatures", "programs")})
        if codec._names != data["symbols"]:
            raise ModelError(
                "this version of miditok names events differently from the one this model was trained with; train it again"
            )
        return codec


def _range(low: int, high: int) -> list[int]:
    """From the lowest to the highest pitch; MidiTok asks for two at least."""
    return [low, high] if low < high else [min(low, 126), min(low, 126) + 1]


def _metre(signature: Any) -> tuple[int, int]:
    """A time signature with beats no longer than a quarter note, so that sixteenths have places: 2/2 is read as 4/4."""
    numerator, denominator = int(signature.numerator), int(signature.denominator)
    while denominator < 4:
        numerator, denominator = 2 * numerator, 2 * denominator
    return numerator, denominator
