"""Many to many of different lengths, in order: every step says a symbol or nothing (connectionist temporal classification)."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.vocabulary import Vocabulary

__all__ = ["BLANK", "CTC", "align"]

BLANK = Vocabulary.padding  # what a step says that says nothing


class CTC(nn.Module):
    """The probability of symbols y<1> .. y<U> given T steps: the sum over all ways to say them, a symbol or nothing a step, where
    a symbol that goes on over steps is said once (Graves et al. 2006)."""

    def __init__(self, hidden: int, symbols: int):
        super().__init__()
        self.out = nn.Linear(hidden, symbols)
        with torch.no_grad():
            self.out.bias[BLANK] = math.log(9 * symbols)  # most steps say nothing, which need not be learned

    def log_probs(self, h: Tensor) -> Tensor:
        """Hidden states (..., H) to log-probabilities (..., V)."""
        return self.out(h).log_softmax(-1)

    def nll(self, h: Tensor, lengths: Tensor, y: Tensor, said: Tensor) -> Tensor:
        """-log p in nats (B,) of the symbols y (B, U), `said` (B,) of them, given steps (B, T, H); 0 where those are too few."""
        log_probs = self.log_probs(h).transpose(0, 1)
        return F.ctc_loss(log_probs, y, lengths, said, BLANK, reduction="none", zero_infinity=True)


def align(log_probs: Tensor, symbols: list[int]) -> list[tuple[int, int]]:
    """The likeliest way to say symbols in a recording of log_probs (T, V): of each the steps (first, stop) that say it.

    ValueError when the steps are too few.
    """
    states = [BLANK] + [s for symbol in symbols for s in (symbol, BLANK)]
    T, S = len(log_probs), len(states)
    emitted = log_probs[:, states].double().cpu().numpy()

    jumps = np.array([s >= 2 and states[s] != BLANK and states[s] != states[s - 2] for s in range(S)])
    score = np.full(S, -np.inf)
    score[:2] = emitted[0, :2]
    back = np.zeros((T, S), np.int8)
    for t in range(1, T):
        ways = np.stack([score, np.concatenate([[-np.inf], score[:-1]]), np.concatenate([[-np.inf] * 2, score[:-2]])[:S]])
        ways[2, ~jumps] = -np.inf
        back[t] = ways.argmax(0)
        score = ways.max(0) + emitted[t]
    state = S - 1 if S == 1 or score[S - 1] >= score[S - 2] else S - 2
    if score[state] == -np.inf:
        raise ValueError(f"{T} steps are too few for {len(symbols)} symbols")
    found = [(T, 0)] * len(symbols)
    for t in range(T - 1, -1, -1):
        if state % 2:
            first, stop = found[state // 2]
            found[state // 2] = (min(first, t), max(stop, t + 1))
        state -= int(back[t, state])
    return found
