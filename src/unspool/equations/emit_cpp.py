"""Writes a cell as the pointwise C++ struct that the hand-written kernels of `csrc/` take.

`python -m unspool.equations.emit_cpp FILE` writes all built-in cells; the build calls it. It needs nothing but Python.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from inspect import signature
from itertools import product
from pathlib import Path

from unspool.cells import CELLS, Cell
from unspool.equations.derive import Passed, derive
from unspool.equations.graph import Node, in_order
from unspool.equations.trace import trace
from unspool.errors import CellError

__all__ = ["built_in", "emit", "library"]

_INNER = """
  template <class V> static inline void inner(const V* z, const V* s, const V* p, V& v) {{
{inner}
  }}
  template <class V> static inline void inner_backward(
      const V* held, const V* s, const V* n, const V* p, const V* dv, V* dz, V* ds, V* dp) {{
{inner_backward}
  }}"""
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


def built_in() -> list[Cell]:
    """Every built-in cell in every form that the kernels can take."""
    choices = {
        "activation": ("tanh", "relu"),
        "reset": ("after", "before", "none"),
        "feedback": ("hidden", "cell"),
        "peepholes": (False, True),
    }
    made: dict[str, Cell] = {}
    for kind in CELLS:
        for values in product(*choices.values()):
            arguments = dict(zip(choices, values, strict=True))
            cell = kind(**{name: arguments[name] for name in signature(kind).parameters if name in arguments})
            made[repr(cell)] = cell
    return list(made.values())


def library(cells: Iterable[Cell]) -> str:
    """The source of several cells, and a macro that lists them."""
    structs = {f"Cell{index}": cell for index, cell in enumerate(cells)}
    bodies = "\n".join(emit(cell, name) for name, cell in structs.items())
    return f"{bodies}\n#define UNSPOOL_CELLS {', '.join(f'cell_ops<{name}>()' for name in structs)}\n"


def emit(cell: Cell, struct: str) -> str:
    """One cell's struct. Raises CellError for a cell that the kernels cannot take (see `trace`)."""
    equation = trace(cell)
    gradient = derive(equation)
    used, slots, state, within = cell.products, equation.slots, cell.state, gradient.inner
    inner = [] if equation.inner is None else [("v", equation.inner)]
    given = _given("s", equation.state) | _given("p", equation.parameters)
    sums = _given("z", [slot.node for slot in slots]) | given
    forward = _lines(sums, _named("n", equation.new) + _named("k", gradient.kept))
    at_hand = {node: f"n[{i}]" for i, node in enumerate(equation.new) if node.op != "constant"} | given
    backward = _lines(
        _given("d", gradient.new.adjoints) | at_hand | _given("k", gradient.kept),
        _passed(gradient.new) + inner + _named("held", gradient.held),
    )
    nested = ""
    if within is not None:
        inner_backward = _lines(_given("dv", within.adjoints) | at_hand | _given("held", gradient.held), _passed(within))
        nested = _INNER.format(inner=_lines(sums, inner), inner_backward=inner_backward)
    numbers = {
        "states": len(state),
        "fed_back": cell.fed_back,
        "gates": len(cell.gates),
        "slots": len(slots),
        "nested": equation.nested,
        "by_x": equation.by_x,
        "by_h": equation.by_h,
        "kept": len(gradient.kept),
        "held": len(gradient.held),
        "biases": len(used.split),
        "parameters": len(cell.parameters),
    }
    tables = {
        "gate_of": [cell.gates.index(slot.gate) for slot in slots],
        "product_of": [used.recurrent.index(s.gate) if s.gate in used.recurrent and s.half != "x" else -1 for s in slots],
        "bias_of": [used.split.index(s.gate) if s.gate in used.split and s.half == "h" else -1 for s in slots],
    }
    constants = ", ".join(f"{name} = {value}" for name, value in numbers.items())
    arrays = "\n".join(f"  static constexpr int {name}[] = {{{', '.join(map(str, v))}}};" for name, v in tables.items())
    described = ", ".join(f"{slot.gate}{'.' + slot.half if slot.half else ''}" for slot in slots)
    name = json.dumps(repr(cell))  # a user may call it anything
    return f"""// {name}: states {", ".join(state)}; slots {described}
struct {struct} {{
  static constexpr const char* name = {name};
  static constexpr int {constants};
{arrays}
  template <class V> static inline void forward(const V* z, const V* s, const V* p, V* n, V* k) {{
{forward}
  }}
  template <class V> static inline void backward(
      const V* k, const V* s, const V* n, const V* p, const V* d, V* dz, V* ds, V* dp, V& v, V* held) {{
{backward}
  }}{nested}
}};
"""


def _named(array: str, nodes: Sequence[Node]) -> list[tuple[str, Node]]:
    return [(f"{array}[{i}]", node) for i, node in enumerate(nodes)]


def _given(array: str, nodes: Sequence[Node]) -> dict[Node, str]:
    return {node: name for name, node in _named(array, nodes)}


def _passed(to: Passed) -> list[tuple[str, Node]]:
    return _named("dz", to.slots) + _named("ds", to.state) + _named("dp", to.parameters)


def _lines(given: dict[Node, str], wanted: Sequence[tuple[str, Node]]) -> str:
    """Assignments, one for each node that is not given, then one for each wanted name."""
    names, lines = dict(given), []
    for node in in_order([node for _, node in wanted], given):
        if node in names:
            continue
        if node.op == "input":
            raise CellError(f"{node!r} is not at hand here")
        if node.op == "constant":
            names[node] = f"splat<V>({node.number!r}f)"
            continue
        args = [names[arg] for arg in node.args]
        value = (
            f"{args[0]} {_INFIX[node.op]} {args[1]}"
            if node.op in _INFIX
            else f"{'-' if node.op == 'neg' else node.op + '_'}({', '.join(args)})"
        )
        names[node] = f"t{len(lines)}"
        lines.append(f"    const V {names[node]} = {value};")
    return "\n".join([*lines, *(f"    {name} = {names[node]};" for name, node in wanted)])


def main(path: str) -> None:
    Path(path).write_text(library(built_in()), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("expected the name of the file to write")
    main(sys.argv[1])
