"""What a cell is: names for its state and its gates, and one equation, `step`.

A cell knows nothing of tensors, sizes, batches or devices. An engine (`unspool.engines`) calls `step` with operands of its own
kind; `Cell.products` calls it with plain numbers, to learn which matrix products the equation needs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cached_property
from types import SimpleNamespace
from typing import Any, NamedTuple

from unspool.cells import ops
from unspool.errors import CellError

__all__ = ["Cell", "Gate", "Products"]


class Gate:
    """A gate before its squashing: `W x<t> + U s<t-1> + b`.

    It can be used as that sum directly, or in parts: `x` is `W x<t> + b`, `h` is `U s<t-1>` with a bias of its own when the cell
    uses the halves apart, and `of(v)` is `W x<t> + U v + b` for an elementwise `v` of gates and states.
    """

    def __init__(self, x: Any, h: Any, of: Callable[[Any], Any]):
        self.x, self.h, self.of = x, h, of

    @property
    def value(self) -> Any:
        """The whole sum."""
        return self.x if self.h is None else self.x + self.h


def _binary(name: str, swapped: bool) -> Callable[[Gate, Any], Any]:
    act = getattr(operator, name)

    def method(self: Gate, other: Any) -> Any:
        mine, theirs = self.value, other.value if isinstance(other, Gate) else other
        return act(theirs, mine) if swapped else act(mine, theirs)

    return method


def _unary(act: Callable[[Any], Any]) -> Callable[[Gate], Any]:
    return lambda self: act(self.value)


for _name in ("add", "sub", "mul", "truediv"):
    setattr(Gate, f"__{_name}__", _binary(_name, swapped=False))
    setattr(Gate, f"__r{_name}__", _binary(_name, swapped=True))
for _name in ("sigmoid", "tanh", "relu", "exp", "log"):
    setattr(Gate, _name, _unary(getattr(ops, _name)))
setattr(Gate, "__neg__", _unary(operator.neg))  # noqa: B010  (declared beside its siblings)


class Products(NamedTuple):
    """Which matrix products a cell's equation uses. Each field names gates, in the order of `Cell.gates`."""

    recurrent: tuple[str, ...]  # have a U: their second half, whole sum or `of` is used
    split: tuple[str, ...]  # the second half is used by itself, so it carries a bias of its own
    halved: tuple[str, ...]  # either half is used by itself
    nested: tuple[str, ...]  # `of(v)` is used: a second product within the step


class Cell:
    """A recurrence. Subclasses name `state` and `gates` and define `step`; see `unspool.cells.lstm` for an example.

    `state` is what travels through time; the first is what the layer gives out, and is fed back into the gates unless `feedback`
    names another. `parameters` names optional elementwise weights, handed to `step` as a third argument. `step(gate, state)` is the
    equation: it gives the new states, in the order of `state` (a single one may stand alone).
    """

    step: Callable[..., Any]

    state: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    feedback: str = ""  # empty: the first of `state`
    bias: dict[str, float] = {}  # noqa: RUF012  where a gate's bias starts, if not at 0

    def advance(self, gate: Any, state: Any, parameter: Any) -> tuple[Any, ...]:
        """`step`, its answer always a tuple; what engines call."""
        new = self.step(gate, state, parameter) if self.parameters else self.step(gate, state)
        new = new if isinstance(new, tuple) else (new,)
        if len(new) != len(self.state):
            raise CellError(f"{self!r}.step gives {len(new)} values, but state names {len(self.state)}: {', '.join(self.state)}")
        return new

    @property
    def fed_back(self) -> int:
        """The place in `state` of what the gates read."""
        return self.state.index(self.feedback) if self.feedback else 0

    @cached_property
    def products(self) -> Products:
        """Found by running `step` once on plain numbers."""
        if not self.state or not self.gates:
            raise CellError(f"{type(self).__name__} must name at least one state and one gate")
        seen: dict[str, set[str]] = {name: set() for name in self.gates}
        gate = SimpleNamespace(**{name: _Recorder(seen[name]) for name in self.gates})
        state = SimpleNamespace(**dict.fromkeys(self.state, 0.25))
        try:
            self.advance(gate, state, SimpleNamespace(**dict.fromkeys(self.parameters, 0.5)))
        except AttributeError as error:
            raise CellError(f"{type(self).__name__}.step uses what the cell does not name: {error}") from error
        return Products(
            tuple(g for g in self.gates if seen[g] & {"h", "of", "value"}),
            tuple(g for g in self.gates if "h" in seen[g]),
            tuple(g for g in self.gates if seen[g] & {"x", "h"}),
            tuple(g for g in self.gates if "of" in seen[g]),
        )

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments, as far as they differ from the defaults; enough to build the cell again."""
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.options.items())})"


class _Recorder(Gate):
    """A gate of plain numbers that notes which of its parts are read."""

    def __init__(self, seen: set[str]):
        self._seen = seen

    def _note(self, part: str) -> float:
        self._seen.add(part)
        return 0.5

    x = property(lambda self: self._note("x"))  # type: ignore[assignment]
    h = property(lambda self: self._note("h"))  # type: ignore[assignment]
    value = property(lambda self: self._note("value"))  # type: ignore[assignment]
    of = property(lambda self: lambda v: self._note("of"))  # type: ignore[assignment]
