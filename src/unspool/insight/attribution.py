"""Which part of the input made this answer: exactly, by leaving each part out, and along the way from no input at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from unspool.sequences import Sequences

__all__ = ["gradient_times_input", "integrated_gradients", "leave_one_out", "steps_left_out"]


@torch.no_grad()
def leave_one_out(answer: Callable[[Sequences], Tensor], ids: Tensor, groups: Sequence[Sequence[int]] | None = None) -> Tensor:
    """By how much each step of ids (T,), or each group of steps, raises the answer: that with all of them less that without.

    `answer` maps a batch of ids to (B,). Where nothing would be left, the share is 0.
    """
    T = len(ids)
    groups = [[t] for t in range(T)] if groups is None else groups
    if len(groups) < 2:
        return torch.zeros(len(groups), device=ids.device)
    rest = torch.ones(len(groups), T, dtype=torch.bool)
    for row, group in enumerate(groups):
        rest[row, list(group)] = False
    rows = [ids, *(ids[kept.to(ids.device)] for kept in rest)]
    most = max(1, 32_768 // T)
    found = [answer(Sequences.collate(rows[at : at + most]).to(ids.device)) for at in range(0, len(rows), most)]
    scores = torch.cat(found)
    return scores[0] - scores[1:]


def integrated_gradients(answer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Each step's share (T,) in the difference that the input x (T, D) makes to the answer, from an input of zeros on.

    Sundararajan et al. 2017. The shares sum to answer(x) - answer(0), up to the error of a Gauss-Legendre rule: of 16 points, or of
    twice as many as long as a hundredth of the difference is missing, up to 128. Where a long recurrence jumps along the way, more
    is missing: compare the sum. `answer` maps inputs (B, T, D) to (B,).
    """
    with torch.no_grad():
        whole, nothing = answer(torch.stack([x, torch.zeros_like(x)])).tolist()
    points = 16
    while True:
        places, weights = (torch.from_numpy(v).to(x) / 2 for v in np.polynomial.legendre.leggauss(points))  # of [-1, 1]
        total = torch.zeros_like(x)
        for place, weight in zip(places.split(32), weights.split(32), strict=True):
            way = ((place + 0.5)[:, None, None] * x).requires_grad_()
            with torch.enable_grad():
                total += torch.autograd.grad(answer(way) @ weight, way)[0].sum(0)
        shares = (total * x).sum(1)
        if points == 128 or abs(shares.sum().item() - (whole - nothing)) <= max(0.01 * abs(whole - nothing), 1e-3):
            return shares
        points *= 2


def gradient_times_input(answer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The first-order share (T,) of each step of x (T, D) in the answer (Simonyan et al. 2013). `answer` maps (B, T, D) to (B,)."""
    point = x[None].clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(answer(point).sum(), point)
    return (gradient[0] * x).sum(1)


@torch.no_grad()
def steps_left_out(answer: Callable[[Tensor], Tensor], x: Tensor, *, silent: bool = False) -> Tensor:
    """By how much each step of x (T, D) raises the answer: that with all of them less that without, or, where the answer is about
    one of the places, with zeros in its stead (`silent`); 0 for a single one."""
    T = len(x)
    if T < 2:
        return x.new_zeros(T)
    kept = ~torch.eye(T, dtype=torch.bool, device=x.device)
    most = max(1, 32_768 // T)
    rest = torch.cat(
        [answer(rows[:, :, None] * x if silent else torch.stack([x[row] for row in rows])) for rows in kept.split(most)]
    )
    return answer(x[None]) - rest
