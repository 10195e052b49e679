"""What a cell is: names for its state and its gates, and one equation, `step`.

A cell knows nothing of tensors, sizes, batches or devices. An engine (`unspool.engines`) calls `step` with operands of its own
kind; `Cell.products` calls it with a unit that stands for all, to learn which matrix products the equation needs.
"""

from __future__ import annotations

import operator
import traceback
from collections.abc import Callable
from functools import cached_property
from types import SimpleNamespace
from typing import Any, NamedTuple

from unspool.cells import ops
from unspool.errors import CellError

__all__ = ["Cell", "Gate", "Products"]

ALLOWED = "it may use + - * / and what unspool.cells.ops holds (sigmoid, tanh, relu, exp, log, maximum, minimum)"


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

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """torch's protocol: a gate beside a tensor is its sum. Without it torch.compile does not follow the methods below."""
        return func(*_sums(args), **{name: _sums(value) for name, value in (kwargs or {}).items()})


def _sums(value: Any) -> Any:
    """Gates as their sums, alone or in lists and tuples."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_sums, value))
    return value.value if isinstance(value, Gate) else value


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
    fed: tuple[str, ...]  # their second half or whole sum is used: a product with the state before
    nested: tuple[str, ...]  # `of(v)` is used: a product within the step


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
        new = tuple(_sums(new if isinstance(new, tuple) else (new,)))
        if len(new) != len(self.state):
            raise CellError(f"{self!r}.step gives {len(new)} values, but state names {len(self.state)}: {', '.join(self.state)}")
        return new

    @property
    def fed_back(self) -> int:
        """The place in `state` of what the gates read."""
        return self.state.index(self.feedback) if self.feedback else 0

    @cached_property
    def products(self) -> Products:
        """Found by running `step` once, on a unit that stands for all."""
        kind = type(self).__name__
        if not self.state or not self.gates:
            raise CellError(f"{kind} must name at least one state and one gate")
        if self.feedback and self.feedback not in self.state:
            raise CellError(f"{kind}.feedback is {self.feedback!r}, which is none of its states: {', '.join(self.state)}")
        if unknown := [name for name in self.bias if name not in self.gates]:
            raise CellError(f"{kind}.bias names {unknown[0]!r}, which is none of its gates: {', '.join(self.gates)}")
        for names in (self.state, self.gates, self.parameters):
            if len(set(names)) < len(names):
                raise CellError(f"{kind} names one twice: {', '.join(names)}")
        seen: dict[str, set[str]] = {name: set() for name in self.gates}
        gate = SimpleNamespace(**{name: _Recorder(seen[name]) for name in self.gates})
        state = SimpleNamespace(**dict.fromkeys(self.state, _Unit()))
        try:
            self.advance(gate, state, SimpleNamespace(**dict.fromkeys(self.parameters, _Unit())))
        except (AttributeError, TypeError) as error:
            raise CellError(self.fault(error)) from error
        return Products(
            tuple(g for g in self.gates if seen[g] & {"h", "of", "value"}),
            tuple(g for g in self.gates if "h" in seen[g]),
            tuple(g for g in self.gates if seen[g] & {"x", "h"}),
            tuple(g for g in self.gates if seen[g] & {"h", "value"}),
            tuple(g for g in self.gates if "of" in seen[g]),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_place"}  # an engine's note, of this process alone

    def fault(self, error: Exception) -> str:
        """A sentence on what went wrong in `step`, and in which line of it."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == self.step.__code__.co_filename]
        place = f" at {own[-1].filename}, line {own[-1].lineno}: {own[-1].line}" if own else ""
        return f"{type(self).__name__}.step is no equation of single units{place} ({error}); {ALLOWED}"

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments, as far as they differ from the defaults; enough to build the cell again."""
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.options.items())})"


class _Unit:
    """What any unit might hold: whatever is done to it, as long as it is done to that unit alone, gives such a one again."""

    def _again(self, *others: Any) -> _Unit:
        for other in others:
            if not isinstance(other, (_Unit, Gate, int, float)):
                raise TypeError(f"a unit cannot be joined with {type(other).__name__}")
            if isinstance(other, Gate):
                other.value  # noqa: B018  notes that the gate is read
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = _again
    __neg__ = __abs__ = sigmoid = tanh = relu = exp = log = _again

    def larger(self, other: Any, swapped: bool = False) -> _Unit:
        return self._again(other)

    def _branch(self, *others: Any) -> bool:
        raise TypeError("an equation cannot branch on its data")

    __bool__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _branch  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class _Recorder(Gate):
    """A gate that notes which of its parts are read."""

    def __init__(self, seen: set[str]):
        self._seen = seen

    __bool__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _Unit._branch  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]

    def _note(self, part: str) -> _Unit:
        self._seen.add(part)
        return _Unit()

    x = property(lambda self: self._note("x"))  # type: ignore[assignment]
    h = property(lambda self: self._note("h"))  # type: ignore[assignment]
    value = property(lambda self: self._note("value"))  # type: ignore[assignment]

    def of(self, v: Any) -> _Unit:  # type: ignore[override]
        if not isinstance(v, (_Unit, Gate)):
            raise TypeError(f"`of` takes a value of units, not {type(v).__name__}")
        _Unit()._again(v)
        return self._note("of")
