"""Long short-term memory."""

from typing import Any

from unspool.cells.cell import Cell
from unspool.cells.ops import sigmoid, tanh
from unspool.errors import ConfigError

__all__ = ["LSTM"]


class LSTM(Cell):
    """c<t> = u * tanh(candidate) + f * c<t-1>, a<t> = o * tanh(c<t>).

    Hochreiter & Schmidhuber 1997; the forget gate is of Gers et al. 2000.

    `feedback="hidden"`: the gates read a<t-1>, the usual network; `"cell"`: they read c<t-1>.
    `peepholes=True`: the gates see the memory too, through elementwise weights (Gers & Schmidhuber 2000).
    """

    state = ("a", "c")
    gates = ("update", "forget", "candidate", "output")
    bias = {"forget": 1.0}  # noqa: RUF012  remember at first (Jozefowicz et al. 2015)

    def __init__(self, feedback: str = "hidden", peepholes: bool = False):
        if feedback not in ("hidden", "cell"):
            raise ConfigError(f"an LSTM's feedback is 'hidden' or 'cell', not {feedback!r}")
        self.feedback = "a" if feedback == "hidden" else "c"
        self.peepholes = bool(peepholes)
        self.parameters = ("peep_update", "peep_forget", "peep_output") if peepholes else ()

    @property
    def options(self) -> dict[str, Any]:
        return ({"feedback": "cell"} if self.feedback == "c" else {}) | ({"peepholes": True} if self.peepholes else {})

    def step(self, gate: Any, state: Any, peep: Any = None) -> Any:
        update, forget, output = gate.update, gate.forget, gate.output
        if peep:
            update, forget = update + peep.peep_update * state.c, forget + peep.peep_forget * state.c
        c = sigmoid(update) * tanh(gate.candidate) + sigmoid(forget) * state.c
        if peep:
            output = output + peep.peep_output * c
        return sigmoid(output) * tanh(c), c
