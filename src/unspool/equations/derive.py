"""The gradient of an equation, as a graph of its own, and what the forward step must keep for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from unspool.equations.graph import TRANSCENDENTAL, Node, in_order
from unspool.equations.trace import Equation

__all__ = ["Gradient", "Passed", "derive"]


class Passed(NamedTuple):
    """From `adjoints`, the gradients with respect to some values, to those of slots, old states and parameters."""

    adjoints: tuple[Node, ...]
    slots: tuple[Node, ...]
    state: tuple[Node, ...]
    parameters: tuple[Node, ...]

    @property
    def gradients(self) -> tuple[Node, ...]:
        return *self.slots, *self.state, *self.parameters


class Gradient(NamedTuple):
    """Reverse-mode differentiation of one step: from the new states, and from what gates are taken `of`.

    `kept` are the nodes that the forward step writes over its slots, `held` those that the gradient's first half leaves for its
    second; everything else is computed again.
    """

    new: Passed
    inner: Passed | None
    kept: tuple[Node, ...]
    held: tuple[Node, ...]


def derive(equation: Equation) -> Gradient:
    """Differentiates the traced graph."""
    graph, v = equation.graph, equation.inner
    new = _passed(equation, equation.new, [graph.input(f"d.{name}") for name in equation.cell.state])
    inner = None if v is None else _passed(equation, [v], [graph.input("d.inner")])
    through = inner.gradients if inner else ()
    kept = _kept(equation, (*new.gradients, *through, *equation.values))
    if len(kept) > len(equation.slots):
        kept = tuple(slot.node for slot in equation.slots)
    return Gradient(new, inner, kept, _kept(equation, through))


def _passed(equation: Equation, values: Sequence[Node], adjoints: Sequence[Node]) -> Passed:
    total: dict[Node, Node] = {}
    for value, adjoint in zip(values, adjoints, strict=True):
        total[value] = total[value] + adjoint if value in total else adjoint
    for node in reversed(list(in_order(values))):
        if node in total:
            for arg, part in zip(node.args, _parts(node, total[node]), strict=True):
                total[arg] = total[arg] + part if arg in total else part
    zero = equation.graph.constant(0)
    slots, state, parameters = (
        tuple(total.get(node, zero) for node in nodes)
        for nodes in ([s.node for s in equation.slots], equation.state, equation.parameters)
    )
    return Passed(tuple(adjoints), slots, state, parameters)


def _parts(node: Node, d: Node) -> tuple[Node, ...]:
    """The gradient d of a node, passed on to each of its arguments."""
    return _RULES[node.op](node, d, *node.args) if node.args else ()


def _second(d: Node, x: Node, y: Node) -> Node:
    return d.graph.node("where_positive", y - x, d)


_RULES: dict[str, Callable[..., tuple[Node, ...]]] = {
    "add": lambda node, d, x, y: (d, d),
    "sub": lambda node, d, x, y: (d, -d),
    "mul": lambda node, d, x, y: (d * y, d * x),
    "div": lambda node, d, x, y: (d / y, -(d / y * node)),
    "neg": lambda node, d, x: (-d,),
    "sigmoid": lambda node, d, x: (d * (node * (1 - node)),),
    "tanh": lambda node, d, x: (d * (1 - node * node),),
    "relu": lambda node, d, x: (node.graph.node("where_positive", node, d),),
    "larger": lambda node, d, x, y: (d - _second(d, x, y), _second(d, x, y)),
    "exp": lambda node, d, x: (d * node,),
    "log": lambda node, d, x: (d / x,),
}


def _kept(equation: Equation, gradient: Sequence[Node]) -> tuple[Node, ...]:
    """The forward values that a gradient needs and cannot cheaply have from the states."""
    forward = set(in_order(equation.values))
    needed = [node for node in in_order(gradient, forward) if node in forward and node.op != "constant"]
    have = {*equation.state, *equation.new, *equation.parameters}
    kept: list[Node] = []
    for node in in_order(needed):
        if node in needed and node not in have:
            inner = list(in_order([node], have))
            dear = any(n.op == "input" and n not in have for n in inner)
            if dear or sum(n.op in TRANSCENDENTAL for n in inner if n not in have) > 1:
                kept.append(node)
            have.add(node)
    return tuple(kept)
