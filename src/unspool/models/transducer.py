"""Many to many of different lengths, in order, each symbol given those before it: a recurrent network transducer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unspool.engines import State
from unspool.layers import Embedding, Recurrent
from unspool.models.ctc import BLANK
from unspool.vocabulary import Vocabulary

__all__ = ["Transducer", "transducer_nll"]

NEVER = -1e30  # finite, so that no gradient is nan


class Transducer(nn.Module):
    """At each step any number of symbols, then nothing, which leads to the next step; each given those before (Graves 2012).

    A prediction network reads the symbols said so far, and a joiner, tanh of a sum, says what comes next at a step.
    """

    def __init__(self, hidden: int, symbols: int, *, size: int = 128, cell: str = "lstm"):
        super().__init__()
        self.embed = Embedding(symbols, size)
        self.predict = Recurrent(cell, size, size)
        self.heard, self.written = nn.Linear(hidden, size), nn.Linear(size, size, bias=False)
        self.out = nn.Linear(size, symbols)

    def join(self, h: Tensor, g: Tensor) -> Tensor:
        """Steps h and predictions g, of shapes that broadcast, to log-probabilities (..., V)."""
        return self.out(torch.tanh(self.heard(h) + self.written(g))).log_softmax(-1)

    def nll(self, h: Tensor, lengths: Tensor, y: Tensor, said: Tensor) -> Tensor:
        """-log p in nats (B,) of the symbols y (B, U), `said` (B,) of them, given steps (B, T, H)."""
        before = torch.cat([y.new_full((len(y), 1), Vocabulary.begin), y], 1)
        g, _ = self.predict(self.embed(before))
        log_probs = self.join(h[:, :, None], g[:, None])
        emit = log_probs[:, :, :-1].gather(3, y[:, None, :, None].expand(-1, h.shape[1], -1, 1))[..., 0]
        return transducer_nll(log_probs[..., BLANK], emit, lengths, said)

    def begin(self, like: Tensor) -> tuple[Tensor, State]:
        """The prediction (1, G) before the first symbol, and the state behind it."""
        return self.next(torch.tensor([Vocabulary.begin], device=like.device), self.predict.zero_state(1, like))

    def next(self, symbols: Tensor, state: State) -> tuple[Tensor, State]:
        """The predictions (K, G) after symbols (K,), and the states."""
        return self.predict.step(self.embed(symbols), state)


def transducer_nll(blank: Tensor, emit: Tensor, lengths: Tensor, said: Tensor) -> Tensor:
    """-log of the sum over all ways through a lattice, in nats (B,).

    blank (B, T, U + 1): log p of nothing at step t after u symbols, which leads to step t + 1; emit (B, T, U): log p of symbol
    u + 1 there. A way ends with nothing at the last of `lengths` (B,) steps after the last of `said` (B,) symbols. All places with
    the same t + u are computed at once, so there are T + U steps.
    """
    B, T, U1 = blank.shape
    diagonals = torch.arange(T + U1 - 1, device=blank.device)[:, None] - torch.arange(U1, device=blank.device)  # t of each n, u
    inside = (diagonals >= 0) & (diagonals < T)
    at = diagonals.clamp(0, T - 1)
    units = torch.arange(U1, device=blank.device)
    blank = blank[:, at, units].masked_fill(~inside, NEVER)  # (B, N, U + 1)
    emit = torch.cat([emit, emit.new_full((B, T, 1), NEVER)], 2)[:, at, units].masked_fill(~inside, NEVER)
    alpha = torch.full_like(blank[:, 0], NEVER)
    alpha[:, 0] = 0.0
    alphas = [alpha]
    for n in range(1, T + U1 - 1):
        stay = alpha + blank[:, n - 1]
        move = torch.cat([alpha.new_full((B, 1), NEVER), (alpha + emit[:, n - 1])[:, :-1]], 1)
        alpha = torch.logaddexp(stay, move).clamp(min=NEVER)
        alphas.append(alpha)
    rows, last = torch.arange(B, device=blank.device), lengths - 1 + said
    return -(torch.stack(alphas, 1)[rows, last, said] + blank[rows, last, said])
