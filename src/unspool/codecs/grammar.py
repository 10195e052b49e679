"""Which musical events may follow: the grammar of `EventCodec`'s vocabulary, walked event by event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["BEAT", "SPECIAL", "Grammar", "Walk"]

BEAT = 12  # places in a beat: sixteenths and triplets
SPECIAL = ("PAD", "UNK", "BOS", "EOS")  # the codes of `Vocabulary`


class Grammar:
    """Which events may follow: MidiTok's graph of types, and beyond it that time goes forward within a bar, that a place lies
    inside its bar, that no key is struck twice at once, and that a piece ends after a whole note."""

    def __init__(self, names: Sequence[str], graph: dict[str, set[str]]):
        kinds = [name.split("_")[0] for name in names]
        self._kind = kinds
        self._value = [name.split("_")[1] for name in names]
        types = dict.fromkeys(kinds[len(SPECIAL) :])
        column = np.array(kinds)
        self._after = {kind: np.isin(column, sorted(graph[kind] & types.keys())) for kind in types}
        self._end = SPECIAL.index("EOS")
        self._after["Duration"][self._end] = True
        # A bar begins with its time signature, and a place in it with its notes, so each key and each change has one place alone.
        self._after["TimeSig"] = np.isin(column, ["Position", "Bar"])
        if "Tempo" in self._after:
            self._after["Tempo"] &= column != "TimeSig"
        self._begin = column == "Bar"
        self._position = kinds.index("Position")
        self._positions = kinds.count("Position")
        self.keys = {kind: kinds.count(kind) for kind in ("Pitch", "PitchDrum")}
        self.of = {kind: column == kind for kind in self.keys}
        self._programs = {value: code for code, (k, value) in enumerate(zip(kinds, self._value, strict=True)) if k == "Program"}

    def ends(self, ids: np.ndarray) -> np.ndarray:
        """True (T,) where a note is whole."""
        return np.array([self._kind[i] == "Duration" for i in ids.tolist()], bool)

    def start(self) -> Walk:
        """A piece of which nothing is written yet."""
        return Walk(self)


class Walk:
    """One piece being written: `allowed` says what may come, `take` that it came."""

    def __init__(self, grammar: Grammar):
        self._grammar = grammar
        self._allowed = grammar._begin
        self._place, self._places = -1, grammar._positions
        self._struck: dict[str, list[int]] = {}
        self._program = ""

    @property
    def allowed(self) -> np.ndarray:
        """True (V,) for the events that may follow."""
        return self._allowed

    def take(self, event: int) -> None:
        """Goes on by one event."""
        g, kind = self._grammar, self._grammar._kind[event]
        if kind in ("Bar", "Position"):
            self._place = event - g._position if kind == "Position" else -1
            self._struck.clear()
        elif kind == "TimeSig":
            self._places = min(g._positions, int(g._value[event].split("/")[0]) * BEAT)
        elif kind == "Program":
            self._program = g._value[event]
        elif kind in g.keys:
            self._struck.setdefault(self._program, []).append(event)
        if kind in g._after:  # else it is the end
            self._allowed = self._next(kind)

    def _next(self, kind: str) -> np.ndarray:
        g = self._grammar
        allowed = g._after[kind].copy()
        allowed[g._position : g._position + self._place + 1] = False
        allowed[g._position + self._places : g._position + g._positions] = False
        if kind == "Program":  # drums have keys of their own
            allowed &= g.of["PitchDrum" if self._program == "-1" else "Pitch"]
        for program, struck in self._struck.items():
            if program == self._program or not program:
                allowed[struck] = False
            if program and len(struck) >= g.keys["PitchDrum" if program == "-1" else "Pitch"]:
                allowed[g._programs[program]] = False
        return allowed
