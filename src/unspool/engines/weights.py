"""The weights of one recurrence, in the one layout that every engine takes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unspool.cells import Cell

__all__ = ["Ran", "State", "Weights", "shapes"]

State = tuple[Tensor, ...]  # one (B, H) for each name in `Cell.state`, in that order


class Weights(NamedTuple):
    """Gates stand in the order of the cell's own tuples (`Cell.gates`, `Cell.products`, `Cell.parameters`).

    W (G, H, D) on the input; U (R, H, H) on what is fed back; b (G, H); b_h (S, H) the second half's own bias, where the halves are
    used apart; p (P, H) elementwise parameters. R, S and P may be 0.
    """

    W: Tensor
    U: Tensor
    b: Tensor
    b_h: Tensor
    p: Tensor


class Ran(NamedTuple):
    """What an engine gives back: y (B, T, H), zero beyond each length; the state after each sequence's own last step; and the
    traced gates (before squashing) and states by name, each (B, T, H)."""

    y: Tensor
    state: State
    trace: dict[str, Tensor]


def shapes(cell: Cell, inputs: int, hidden: int) -> Weights:
    """The shapes of a cell's weights, as empty tensors on the `meta` device."""
    used = cell.products
    sizes = (len(cell.gates), hidden, inputs), (len(used.recurrent), hidden, hidden), (len(cell.gates), hidden)
    more = (len(used.split), hidden), (len(cell.parameters), hidden)
    return Weights(*(torch.empty(size, device="meta") for size in (*sizes, *more)))
