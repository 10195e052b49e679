"""A cell's `step`, run on symbols: the equation as a graph, and the slots that its matrix products fill."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

from unspool.cells import Cell, Gate
from unspool.equations.graph import Graph, Node
from unspool.errors import CellError

__all__ = ["Equation", "Slot", "trace"]


class Slot(NamedTuple):
    """What a matrix product fills before the elementwise part begins: a gate's whole sum, or its `x` or `h` half."""

    gate: str
    half: str  # "", "x" or "h"
    node: Node


class Equation(NamedTuple):
    """One step of a cell. Slots stand in three runs: filled by W alone, by W and U, by U alone."""

    cell: Cell
    graph: Graph
    slots: tuple[Slot, ...]
    by_x: int  # slots [0, by_x) get W x
    by_h: int  # slots [by_h, ...) get U s
    state: tuple[Node, ...]
    parameters: tuple[Node, ...]
    new: tuple[Node, ...]


def trace(cell: Cell) -> Equation:
    """Runs `step` on symbols. CellError for an equation with a product inside the step, or one that branches on its data."""
    used = cell.products
    if used.nested:
        raise CellError(f"{cell!r} takes a second product within a step (gate.{used.nested[0]}.of)")
    graph, slots, gates = Graph(), {}, {}
    for name in cell.gates:
        halves = name in used.recurrent and name in used.halved
        parts = ("x", "h") if halves else ("",)
        for half in parts:
            slots[name, half] = graph.input(f"gate.{name}.{half}" if half else f"gate.{name}")
        x = slots[name, parts[0]]
        gates[name] = Gate(x, slots[name, "h"] if halves else None, _no_product)
    state = [graph.input(f"state.{name}") for name in cell.state]
    parameters = [graph.input(f"parameter.{name}") for name in cell.parameters]
    named = SimpleNamespace(**dict(zip(cell.state, state, strict=True)))
    try:
        new = cell.advance(SimpleNamespace(**gates), named, SimpleNamespace(**dict(zip(cell.parameters, parameters, strict=True))))
    except (AttributeError, TypeError) as error:
        raise CellError(cell.fault(error)) from error
    new = tuple(value if isinstance(value, Node) else graph.constant(0) + getattr(value, "value", value) for value in new)

    def run_of(key: tuple[str, str]) -> int:
        return 2 if key[1] == "h" else 0 if key[1] == "x" or key[0] not in used.recurrent else 1

    ordered = sorted(slots, key=run_of)
    runs = [run_of(key) for key in ordered]
    return Equation(
        cell,
        graph,
        tuple(Slot(gate, half, slots[gate, half]) for gate, half in ordered),
        sum(run < 2 for run in runs),
        sum(run < 1 for run in runs),
        tuple(state),
        tuple(parameters),
        new,
    )


def _no_product(v: Any) -> Any:
    raise CellError("a second product within a step cannot be traced")
