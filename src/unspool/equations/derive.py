"""The gradient of an equation, as a graph of its own, and what the forward step must keep for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from unspool.equations.graph import TRANSCENDENTAL, Node, in_order
from unspool.equations.trace import Equation

__all__ = ["Gradient", "derive"]


class Gradient(NamedTuple):
    """Reverse-mode differentiation of one step.

    From `adjoints`, the gradients with respect to the new states, to those of slots, old states and parameters. `kept` are the
    nodes that the forward step writes over its slots; everything else that the gradient needs, it computes again.
    """

    adjoints: tuple[Node, ...]
    slots: tuple[Node, ...]
    state: tuple[Node, ...]
    parameters: tuple[Node, ...]
    kept: tuple[Node, ...]


def derive(equation: Equation) -> Gradient:
    """Differentiates the traced graph."""
    graph = equation.graph
    adjoints = tuple(graph.input(f"d.{name}") for name in equation.cell.state)
    total: dict[Node, Node] = {}
    for new, adjoint in zip(equation.new, adjoints, strict=True):
        total[new] = total[new] + adjoint if new in total else adjoint
    forward = list(in_order(equation.new))
    for node in reversed(forward):
        if node in total:
            for arg, part in zip(node.args, _parts(node, total[node]), strict=True):
                total[arg] = total[arg] + part if arg in total else part
    zero = graph.constant(0)
    slots, state, parameters = (
        tuple(total.get(node, zero) for node in nodes)
        for nodes in ([s.node for s in equation.slots], equation.state, equation.parameters)
    )
    kept = _kept(equation, set(forward), (*slots, *state, *parameters))
    return Gradient(adjoints, slots, state, parameters, kept)


def _parts(node: Node, d: Node) -> tuple[Node, ...]:
    """The gradient d of a node, passed on to each of its arguments."""
    return _RULES[node.op](node, d, *node.args) if node.args else ()


_RULES: dict[str, Callable[..., tuple[Node, ...]]] = {
    "add": lambda node, d, x, y: (d, d),
    "sub": lambda node, d, x, y: (d, -d),
    "mul": lambda node, d, x, y: (d * y, d * x),
    "div": lambda node, d, x, y: (d / y, -(d / y * node)),
    "neg": lambda node, d, x: (-d,),
    "sigmoid": lambda node, d, x: (d * (node * (1 - node)),),
    "tanh": lambda node, d, x: (d * (1 - node * node),),
    "relu": lambda node, d, x: (node.graph.node("where_positive", node, d),),
    "exp": lambda node, d, x: (d * node,),
    "log": lambda node, d, x: (d / x,),
}


def _kept(equation: Equation, forward: set[Node], gradient: tuple[Node, ...]) -> tuple[Node, ...]:
    """The forward values that the gradient needs and cannot cheaply have from the states; or the slots as they were."""
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
    return tuple(kept) if len(kept) <= len(equation.slots) else tuple(slot.node for slot in equation.slots)
