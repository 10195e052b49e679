"""From what a CTC model says at each step to symbols: the likeliest path, or prefix beam search."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unspool.decoding.hints import Hints

__all__ = ["Prefix", "PrefixSearch", "greedy"]

NEVER = -math.inf
UNLIKELY = -12.0  # log p of a symbol that is not worth a hypothesis, below the likeliest of its step


def greedy(log_probs: np.ndarray, blank: int = 0) -> list[int]:
    """The symbols (U,) of the likeliest path through log_probs (T, V)."""
    path = log_probs.argmax(1)
    kept = np.flatnonzero((np.diff(path, prepend=-1) != 0) & (path != blank))
    return path[kept].tolist()


@dataclass(eq=False, slots=True)
class Prefix:
    """What a hypothesis has said: its last symbol after another prefix; the log p of having ended in nothing and in that symbol,
    and what hints have added."""

    parent: Prefix | None
    symbol: int
    hint: Any = None
    added: float = 0.0
    nothing: float = NEVER
    said: float = NEVER
    followers: dict[int, Prefix | None] = field(default_factory=dict)

    @property
    def log_p(self) -> float:
        return _add(self.nothing, self.said)

    @property
    def symbols(self) -> list[int]:
        found: list[int] = []
        at: Prefix | None = self
        while at is not None and at.parent is not None:
            found.append(at.symbol)
            at = at.parent
        return found[::-1]


class PrefixSearch:
    """The likeliest symbols, summed over all paths that say them (Graves 2012, section 7.5; with hints Hannun et al. 2014), a piece
    of a recording at a time. Of hypotheses the `beams` best are kept at each step."""

    def __init__(self, beams: int = 8, hints: Hints | None = None, blank: int = 0):
        self.beams, self.hints, self.blank = beams, hints, blank
        self.reset()

    def reset(self, hint: Any = None) -> None:
        """Back to having said nothing, behind what `hint` stands for."""
        first = Prefix(None, -1, hint if hint is not None or self.hints is None else self.hints.start())
        first.nothing = 0.0
        self._alive = [first]

    def push(self, log_probs: np.ndarray) -> None:
        """Goes on by steps (t, V)."""
        for row in log_probs:
            self._step(row)

    def _step(self, row: np.ndarray) -> None:
        near = [s for s in np.flatnonzero(row > row.max() + UNLIKELY).tolist() if s != self.blank]
        values = row.tolist()
        found: dict[Prefix, tuple[float, float]] = {}  # log p of having ended in nothing, and in the last symbol
        for prefix in self._alive:
            total = prefix.log_p
            nothing, said = found.get(prefix, (NEVER, NEVER))
            found[prefix] = _add(nothing, total + values[self.blank]), _add(said, prefix.said + values[prefix.symbol])
            for symbol in near:
                before = prefix.nothing if symbol == prefix.symbol else total
                if before > NEVER and (longer := self._follower(prefix, symbol)):
                    nothing, said = found.get(longer, (NEVER, NEVER))
                    found[longer] = nothing, _add(said, before + values[symbol])
        for prefix, scores in found.items():
            prefix.nothing, prefix.said = scores
        self._alive = sorted(found, key=lambda p: p.log_p + p.added, reverse=True)[: self.beams]

    def _follower(self, prefix: Prefix, symbol: int) -> Prefix | None:
        if symbol not in prefix.followers:
            longer = None
            if self.hints is None:
                longer = Prefix(prefix, symbol)
            elif step := self.hints.extend(prefix.hint, symbol):
                longer = Prefix(prefix, symbol, step[1], prefix.added + step[0])
            prefix.followers[symbol] = longer
        return prefix.followers[symbol]

    @property
    def partial(self) -> list[int]:
        """The symbols of the best hypothesis so far."""
        return max(self._alive, key=lambda p: p.log_p + p.added).symbols

    def best(self, n: int = 1) -> list[tuple[list[int], float, Any]]:
        """The n best hypotheses, if the recording ends here: symbols, score in nats, the hint behind their end. Those that hints
        forbid to end here come only where there are no others."""
        ends = [(p, self.hints.finish(p.hint) if self.hints else (0.0, None)) for p in self._alive]
        whole = [(p.symbols, p.log_p + p.added + end[0], end[1]) for p, end in ends if end]
        return sorted(whole or [(p.symbols, p.log_p + p.added, None) for p in self._alive], key=lambda found: -found[1])[:n]


def _add(a: float, b: float) -> float:
    """log(exp a + exp b)."""
    if a < b:
        a, b = b, a
    return a if b == NEVER else a + math.log1p(math.exp(b - a))
