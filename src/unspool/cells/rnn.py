"""The plain recurrent network."""

from typing import Any

from unspool.cells.cell import Cell
from unspool.cells.ops import relu, tanh
from unspool.errors import ConfigError

__all__ = ["RNN"]


class RNN(Cell):
    """a<t> = g(W_ax x<t> + W_aa a<t-1> + b_a), with g = tanh or relu (Elman 1990)."""

    state = ("a",)
    gates = ("candidate",)

    def __init__(self, activation: str = "tanh"):
        if activation not in ("tanh", "relu"):
            raise ConfigError(f"an RNN's activation is 'tanh' or 'relu', not {activation!r}")
        self.activation = activation

    @property
    def options(self) -> dict[str, Any]:
        return {} if self.activation == "tanh" else {"activation": self.activation}

    def step(self, gate: Any, state: Any) -> Any:
        return (tanh if self.activation == "tanh" else relu)(gate.candidate)
