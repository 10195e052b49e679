"""Beam search: the likeliest sequences that a model can write, several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from unspool.errors import ConfigError

__all__ = ["Beams", "Hypothesis", "beam_search"]


class Beams(Protocol):
    """A model that writes K beams for each of B inputs; see `models.Writer`."""

    def likeliest(
        self, ids: Tensor, count: int, forbidden: Sequence[int], shut: Callable[[Tensor], None] | None
    ) -> tuple[Tensor, Tensor, Tensor]: ...

    def choose(self, inputs: Tensor, beams: Tensor) -> None: ...


@dataclass(frozen=True)
class Hypothesis:
    """What was written: ids (T,) without begin and end, their log-probability in nats (that of the end included), the score that
    hypotheses are ranked by, where was looked (T, S), and whether it ended by itself."""

    ids: list[int]
    log_probability: float
    score: float
    looked: Tensor
    ended: bool


@torch.inference_mode()
def beam_search(
    writer: Beams,
    limits: Tensor,
    *,
    begin: int,
    end: int,
    forbidden: tuple[int, ...] = (),
    beams: int = 5,
    length_penalty: float = 1.0,
    no_repeat: int = 0,
) -> list[list[Hypothesis]]:
    """For each input up to `beams` hypotheses, the best first, those that were cut off last, of at most `limits` (B,) symbols.

    The score is the log-probability over ((5 + T) / 6) ** length_penalty (Wu et al. 2016). An input is done when as many hypotheses
    as beams have ended. `no_repeat` forbids a run of so many symbols to come again. With one beam this is greedy.
    """
    if no_repeat < 0:
        raise ConfigError(f"no_repeat must be at least 0 (off), not {no_repeat}")
    search = _Search(limits, begin, end, beams, length_penalty)
    while True:
        shut = partial(_shut_repeats, ids=search.ids, n=no_repeat) if no_repeat else None
        # Of each beam no more than twice the beams can be among the best of all.
        likeliest, symbols, looked = writer.likeliest(search.ids[:, :, -1], 2 * beams, forbidden, shut)
        inputs, parents = search.take(likeliest, symbols, looked)
        if not len(inputs):
            return [sorted(found, key=lambda h: (not h.ended, -h.score)) for found in search.found]
        writer.choose(inputs, parents)


class _Search:
    """What is written so far: for the inputs that are not done, `alive` (b,), the ids (b, K, 1 + T) of their beams with the begin
    symbol, their log-probabilities (b, K), and where was looked (b, K, T, S)."""

    def __init__(self, limits: Tensor, begin: int, end: int, beams: int, length_penalty: float):
        B, device = len(limits), limits.device
        self.limits, self.end, self.beams, self.length_penalty = limits, end, beams, length_penalty
        self.found: list[list[Hypothesis]] = [[] for _ in range(B)]
        self.alive = torch.arange(B, device=device)
        self.ids = torch.full((B, beams, 1), begin, device=device)
        self.scores = torch.full((B, beams), -torch.inf, device=device)
        self.scores[:, 0] = 0.0  # at first all beams are the same
        self.looked = torch.zeros(0)

    def take(self, log_probs: Tensor, symbols: Tensor, looked: Tensor) -> tuple[Tensor, Tensor]:
        """Goes on by one symbol; gives the rows of inputs that are not done, and for each of their beams the one it came from."""
        step = looked[:, :, None]
        self.looked = torch.cat([self.looked, step], 2) if self.looked.numel() else step
        each = log_probs.shape[2]  # candidates of a beam
        total, index = (self.scores[:, :, None] + log_probs).flatten(1).topk(min(2 * self.beams, self.beams * each), dim=1)
        parent, symbol = index // each, symbols.flatten(1).gather(1, index)
        ends = symbol == self.end
        for row, place in ends[:, : self.beams].nonzero().tolist():
            self._keep(row, int(parent[row, place]), float(total[row, place]), True)
        self.scores, place = total.masked_fill(ends, -torch.inf).topk(self.beams, dim=1)
        parent, symbol = parent.gather(1, place), symbol.gather(1, place)
        rows = torch.arange(len(parent), device=parent.device)[:, None]
        self.ids = torch.cat([self.ids[rows, parent], symbol[:, :, None]], 2)
        self.looked = self.looked[rows, parent]
        full = self.ids.shape[2] > self.limits[self.alive]
        for row in full.nonzero().flatten().tolist():
            for beam in range(self.beams):
                self._keep(row, beam, float(self.scores[row, beam]), False)
        done = torch.tensor([len(self.found[i]) >= self.beams for i in self.alive.tolist()], device=parent.device) | full
        left = (~done).nonzero().flatten()
        self.alive, self.scores, self.ids, self.looked = self.alive[left], self.scores[left], self.ids[left], self.looked[left]
        return left, parent[left]

    def _keep(self, row: int, beam: int, total: float, ended: bool) -> None:
        found = self.found[int(self.alive[row])]
        if len(found) < self.beams and total > -torch.inf:
            ids = self.ids[row, beam, 1:].tolist()
            score = total / ((5 + len(ids) + ended) / 6) ** self.length_penalty
            found.append(Hypothesis(ids, total, score, self.looked[row, beam, : len(ids)].cpu().clone(), ended))


def _shut_repeats(log_probs: Tensor, ids: Tensor, n: int) -> None:
    """Forbids the symbols that would make a run of `n` come again."""
    for row, beams in enumerate(ids.tolist()):
        for beam, written in enumerate(beams):
            last = written[len(written) - n + 1 :]
            for at in range(1, len(written) - n + 1):
                if written[at : at + n - 1] == last:
                    log_probs[row, beam, written[at + n - 1]] = -torch.inf
