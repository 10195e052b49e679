"""From what a transducer says at each step, given what was said before, to symbols: beam search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unspool.decoding.hints import Hints

__all__ = ["Said", "TransducerSearch"]

MOST = 3  # symbols that a step may say


@dataclass
class Said:
    """A hypothesis: its symbols, the step and log p of each, log p of all, what hints added and where they stand, and what the
    prediction network makes of it."""

    symbols: tuple[int, ...]
    steps: tuple[int, ...]
    log_ps: tuple[float, ...]
    log_p: float
    hint: Any
    added: float
    prediction: Tensor
    state: Any

    @property
    def score(self) -> float:
        return self.log_p + self.added


class TransducerSearch:
    """Time-synchronous beam search (Graves 2012, simplified: at most three symbols a step), a piece of a recording at a time.

    `model` is a `models.Transducer`; hypotheses of the same symbols are merged.
    """

    def __init__(self, model: Any, like: Tensor, beams: int = 4, hints: Hints | None = None, blank: int = 0):
        self.model, self.beams, self.hints, self.blank, self._like = model, beams, hints, blank, like
        self.reset()

    def reset(self, hint: Any = None) -> None:
        """Back to having said nothing, behind what `hint` stands for."""
        prediction, state = self.model.begin(self._like)
        hint = hint if hint is not None or self.hints is None else self.hints.start()
        self._alive = [Said((), (), (), 0.0, hint, 0.0, prediction, state)]
        self._now = 0

    def push(self, h: Tensor) -> None:
        """Goes on by hidden states (t, H)."""
        for step in h:
            self._step(step)
            self._now += 1

    def _step(self, h: Tensor) -> None:
        done: dict[tuple[int, ...], Said] = {}
        going = self._alive
        for _ in range(MOST + 1):
            log_probs = self.model.join(h, torch.cat([hyp.prediction for hyp in going]))
            values, symbols = log_probs.topk(min(self.beams + 1, log_probs.shape[1]), 1)
            grown: list[Said] = []
            for hyp, silent, row, names in zip(
                going, log_probs[:, self.blank].tolist(), values.tolist(), symbols.tolist(), strict=True
            ):
                _merge(done, hyp, hyp.log_p + silent)
                for value, symbol in zip(row, names, strict=True):
                    step = self.hints.extend(hyp.hint, symbol) if self.hints and symbol != self.blank else (0.0, None)
                    if symbol != self.blank and step is not None:
                        grown.append(
                            Said(
                                (*hyp.symbols, symbol),
                                (*hyp.steps, self._now),
                                (*hyp.log_ps, value),
                                hyp.log_p + value,
                                step[1],
                                hyp.added + step[0],
                                hyp.prediction,
                                hyp.state,
                            )
                        )
            worst = (
                sorted((hyp.score for hyp in done.values()), reverse=True)[: self.beams][-1]
                if len(done) >= self.beams
                else -math.inf
            )
            going = sorted((hyp for hyp in grown if hyp.score > worst), key=lambda hyp: -hyp.score)[: self.beams]
            if not going:
                break
            self._predict(going)
        self._alive = sorted(done.values(), key=lambda hyp: -hyp.score)[: self.beams]

    def _predict(self, going: list[Said]) -> None:
        """The prediction network goes on by each hypothesis' last symbol."""
        states = tuple(torch.cat([hyp.state[i] for hyp in going], 1) for i in range(len(going[0].state)))
        last = torch.tensor([hyp.symbols[-1] for hyp in going], device=self._like.device)
        predictions, states = self.model.next(last, states)
        for row, hyp in enumerate(going):
            hyp.prediction, hyp.state = predictions[row : row + 1], tuple(s[:, row : row + 1] for s in states)

    @property
    def silent(self) -> int:
        """Steps since the best hypothesis said something."""
        steps = self._alive[0].steps
        return self._now - (steps[-1] + 1 if steps else 0)

    @property
    def partial(self) -> list[int]:
        """The symbols of the best hypothesis so far."""
        return list(self._alive[0].symbols)

    def best(self, n: int = 1) -> list[tuple[Said, float, Any]]:
        """The n best hypotheses, if the recording ends here, their scores, and the hints at their ends."""
        ends = [(hyp, self.hints.finish(hyp.hint) if self.hints else (0.0, None)) for hyp in self._alive]
        whole = [(hyp, hyp.score + end[0], end[1]) for hyp, end in ends if end]
        return sorted(whole or [(hyp, hyp.score, None) for hyp in self._alive], key=lambda found: -found[1])[:n]


def _merge(done: dict[tuple[int, ...], Said], hyp: Said, log_p: float) -> None:
    other = done.get(hyp.symbols)
    if other is None:
        done[hyp.symbols] = Said(hyp.symbols, hyp.steps, hyp.log_ps, log_p, hyp.hint, hyp.added, hyp.prediction, hyp.state)
    else:
        high, low = max(other.log_p, log_p), min(other.log_p, log_p)
        other.log_p = high + math.log1p(math.exp(low - high))
