"""A cell's `step`, run on symbols: the equation as a graph, and the slots that its matrix products fill."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

from unspool.cells import Cell, Gate
from unspool.equations.graph import Graph, Node
from unspool.errors import CellError

__all__ = ["Equation", "Slot", "trace"]


class Slot(NamedTuple):
    """What matrix products fill before the elementwise part begins: a gate's whole sum, or its `x` or `h` half."""

    gate: str
    half: str  # "", "x" or "h"
    node: Node


class Equation(NamedTuple):
    """One step of a cell. Slots stand in four runs: filled by W and, within the step, by U `inner`; by W alone; by W and U; by U
    alone."""

    cell: Cell
    graph: Graph
    slots: tuple[Slot, ...]
    nested: int  # slots [0, nested) get U `inner`
    by_x: int  # slots [0, by_x) get W x
    by_h: int  # slots [by_h, ...) get U s
    state: tuple[Node, ...]
    parameters: tuple[Node, ...]
    new: tuple[Node, ...]
    inner: Node | None  # v, where gates are taken `of(v)`; it depends on the other slots alone

    @property
    def values(self) -> tuple[Node, ...]:
        """Everything that a step computes."""
        return self.new if self.inner is None else (*self.new, self.inner)


class _Nested(Gate):
    """A gate that is taken `of` a value, and so cannot be had without one."""

    def __init__(self, name: str, of: Callable[[Any], Node]):
        self._name, self.of = name, of

    def _whole(self) -> Any:
        raise _Beyond(f"gate.{self._name} is used with and without `of`")

    x = h = value = property(_whole)  # type: ignore[assignment]


class _Beyond(Exception):
    """An equation that is one, but not of the form that is traced."""


def trace(cell: Cell) -> Equation:
    """Runs `step` on symbols. CellError for an equation that branches on its data, or one whose gates are taken `of` more than one
    value."""
    used = cell.products
    graph, slots, gates = Graph(), {}, {}
    inner: list[Node] = []

    def within(slot: Node) -> Callable[[Any], Node]:
        def of(v: Any) -> Node:
            inner.append(graph.add(v, 0))
            if inner[-1] is not inner[0]:
                raise _Beyond("it takes second products `of` several values")
            return slot

        return of

    for name in cell.gates:
        halves = name in used.recurrent and name in used.halved
        parts = ("x", "h") if halves else ("",)
        for half in parts:
            slots[name, half] = graph.input(f"gate.{name}.{half}" if half else f"gate.{name}")
        x = slots[name, parts[0]]
        whole = Gate(x, slots[name, "h"] if halves else None, within(x))
        gates[name] = _Nested(name, whole.of) if name in used.nested else whole
    state = [graph.input(f"state.{name}") for name in cell.state]
    parameters = [graph.input(f"parameter.{name}") for name in cell.parameters]
    named = SimpleNamespace(**dict(zip(cell.state, state, strict=True)))
    try:
        new = cell.advance(SimpleNamespace(**gates), named, SimpleNamespace(**dict(zip(cell.parameters, parameters, strict=True))))
    except _Beyond as why:
        raise CellError(f"{cell!r} has no kernel, for {why}") from None
    except (AttributeError, TypeError) as error:
        raise CellError(cell.fault(error)) from error
    new = tuple(value if isinstance(value, Node) else graph.constant(0) + getattr(value, "value", value) for value in new)

    def run_of(key: tuple[str, str]) -> int:
        if key[0] in used.nested:
            return 0
        return 3 if key[1] == "h" else 1 if key[1] == "x" or key[0] not in used.recurrent else 2

    ordered = sorted(slots, key=run_of)
    runs = [run_of(key) for key in ordered]
    return Equation(
        cell,
        graph,
        tuple(Slot(gate, half, slots[gate, half]) for gate, half in ordered),
        len(used.nested),
        sum(run < 3 for run in runs),
        sum(run < 2 for run in runs),
        tuple(state),
        tuple(parameters),
        new,
        inner[0] if inner else None,
    )
