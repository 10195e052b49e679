"""A cell's `step`, run on symbols: the equation as a graph, and the slots that its matrix products fill."""

from __future__ import annotations

from functools import partial
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


def trace(cell: Cell) -> Equation:
    """Runs `step` on symbols. CellError for an equation that branches on its data, one whose gates are taken `of` more than one
    value, or one that uses a gate with and without `of`."""
    used = cell.products
    for name in used.nested:
        if name in (*used.fed, *used.halved):
            raise CellError(f"{cell!r} uses gate.{name} with and without `of`, for which there is no kernel")
    graph, slots, gates = Graph(), {}, {}
    inner: set[Node] = set()

    def within(slot: Node, v: Any) -> Node:
        inner.add(graph.of(v))
        return slot

    for name in cell.gates:
        halves = name in used.recurrent and name in used.halved
        parts = ("x", "h") if halves else ("",)
        for half in parts:
            slots[name, half] = graph.input(f"gate.{name}.{half}" if half else f"gate.{name}")
        x = slots[name, parts[0]]
        gates[name] = Gate(x, slots[name, "h"] if halves else None, partial(within, x))
    state = [graph.input(f"state.{name}") for name in cell.state]
    parameters = [graph.input(f"parameter.{name}") for name in cell.parameters]
    named = SimpleNamespace(**dict(zip(cell.state, state, strict=True)))
    try:
        new = cell.advance(SimpleNamespace(**gates), named, SimpleNamespace(**dict(zip(cell.parameters, parameters, strict=True))))
    except (AttributeError, TypeError) as error:
        raise CellError(cell.fault(error)) from error
    if len(inner) > 1:
        raise CellError(f"{cell!r} takes products `of` {len(inner)} values within a step, and there are kernels for one")
    new = tuple(map(graph.of, new))

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
        next(iter(inner), None),
    )
