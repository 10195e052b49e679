"""The gated recurrent unit, in its three forms."""

from typing import Any

from unspool.cells.cell import Cell
from unspool.cells.ops import sigmoid, tanh
from unspool.errors import ConfigError

__all__ = ["GRU"]


class GRU(Cell):
    """a<t> = u * c + (1 - u) * a<t-1>: the update gate u decides how much of the candidate c replaces the memory.

    `reset="none"`:   the update gate alone, c = tanh(W_c x<t> + U_c a<t-1> + b_c).
    `reset="before"`: c = tanh(W_c x<t> + U_c (r * a<t-1>) + b_c) (Cho et al. 2014).
    `reset="after"`:  c = tanh(W_c x<t> + b_c + r * (U_c a<t-1> + b'_c)), the form of cuDNN and torch, and the default.

    torch's update gate is z = 1 - u.
    """

    state = ("a",)

    def __init__(self, reset: str = "after"):
        if reset not in ("none", "before", "after"):
            raise ConfigError(f"a GRU's reset is 'none', 'before' or 'after', not {reset!r}")
        self.reset = reset
        self.gates = ("update", "candidate") if reset == "none" else ("reset", "update", "candidate")

    @property
    def options(self) -> dict[str, Any]:
        return {} if self.reset == "after" else {"reset": self.reset}

    def step(self, gate: Any, state: Any) -> Any:
        u = sigmoid(gate.update)
        if self.reset == "none":
            c = tanh(gate.candidate)
        elif self.reset == "before":
            c = tanh(gate.candidate.of(sigmoid(gate.reset) * state.a))
        else:
            c = tanh(gate.candidate.x + sigmoid(gate.reset) * gate.candidate.h)
        return u * c + (1 - u) * state.a
