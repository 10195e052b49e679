"""Recurrences that are linear in their memory: gates read the input alone, so all products of a sequence are one."""

from typing import Any

from unspool.cells.cell import Cell
from unspool.cells.ops import sigmoid

__all__ = ["MinGRU", "MinLSTM"]


class MinGRU(Cell):
    """a<t> = u * c + (1 - u) * a<t-1> with u = sigmoid(W_u x<t> + b_u) and c = W_c x<t> + b_c (Feng et al. 2024)."""

    state = ("a",)
    gates = ("update", "candidate")

    def step(self, gate: Any, state: Any) -> Any:
        u = sigmoid(gate.update.x)
        return u * gate.candidate.x + (1 - u) * state.a


class MinLSTM(Cell):
    """a<t> = (f * a<t-1> + u * c) / (f + u), with forget and update gates f and u that read x<t> alone, as c = W_c x<t> + b_c does
    (Feng et al. 2024)."""

    state = ("a",)
    gates = ("update", "forget", "candidate")
    bias = {"forget": 1.0}  # noqa: RUF012  remember at first

    def step(self, gate: Any, state: Any) -> Any:
        u, f = sigmoid(gate.update.x), sigmoid(gate.forget.x)
        return (f * state.a + u * gate.candidate.x) / (f + u)
