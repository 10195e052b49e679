"""Which part of the input made this answer: exactly, by leaving each part out, and along the way from no input at all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unspool.sequences import Sequences

__all__ = ["integrated_gradients", "leave_one_out"]


@torch.no_grad()
def leave_one_out(answer: Callable[[Sequences], Tensor], ids: Tensor) -> Tensor:
    """By how much each step of ids (T,) raises the answer: the answer with all of them less that without this one, (T,).

    `answer` maps a batch of ids to (B,). Of a single step nothing can be left out: its share is 0.
    """
    T = len(ids)
    if T < 2:
        return torch.zeros(T, device=ids.device)
    rows = [ids, *(torch.cat([ids[:t], ids[t + 1 :]]) for t in range(T))]
    found = [answer(Sequences.collate(rows[at : at + 256]).to(ids.device)) for at in range(0, len(rows), 256)]
    scores = torch.cat(found)
    return scores[0] - scores[1:]


def integrated_gradients(answer: Callable[[Tensor], Tensor], x: Tensor, steps: int = 64) -> Tensor:
    """Each step's share (T,) in the difference that the input x (T, D) makes to the answer, from an input of zeros on.

    Sundararajan et al. 2017. The shares sum to answer(x) - answer(0), up to the error of `steps` points of the midpoint rule.

    `answer` maps inputs (B, T, D) to (B,).
    """
    total = torch.zeros_like(x)
    places = (torch.arange(steps, device=x.device, dtype=x.dtype) + 0.5) / steps
    for part in places.split(32):
        points = (part[:, None, None] * x).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(answer(points).sum(), points)
        total += gradient.sum(0)
    return (total / steps * x).sum(1)
