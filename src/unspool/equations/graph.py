"""Expressions: what a cell's equation is made of once it has been traced.

A `Node` is an operation on other nodes. Equal expressions are the same object (they are interned in one `Graph`), so a common
subexpression is written, derived and computed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["TRANSCENDENTAL", "Graph", "Node", "in_order"]

TRANSCENDENTAL = frozenset({"sigmoid", "tanh", "exp", "log"})


class Node:
    """One operation. `op` is `input` (then `name` says which), `constant` (then `number`), or the name of an operation on `args`.

    Nodes take the operators and the methods that `unspool.cells.ops` asks for, so a cell's `step` runs on them unchanged.
    """

    __slots__ = ("args", "graph", "name", "number", "op")

    def __init__(self, graph: Graph, op: str, args: tuple[Node, ...] = (), name: str = "", number: float = 0.0):
        self.graph, self.op, self.args, self.name, self.number = graph, op, args, name, number

    def __repr__(self) -> str:
        if self.op == "input":
            return self.name
        return repr(self.number) if self.op == "constant" else f"{self.op}({', '.join(map(repr, self.args))})"

    def __add__(self, other: Any) -> Node:
        return self.graph.add(self, other)

    def __radd__(self, other: Any) -> Node:
        return self.graph.add(other, self)

    def __sub__(self, other: Any) -> Node:
        return self.graph.sub(self, other)

    def __rsub__(self, other: Any) -> Node:
        return self.graph.sub(other, self)

    def __mul__(self, other: Any) -> Node:
        return self.graph.mul(self, other)

    def __rmul__(self, other: Any) -> Node:
        return self.graph.mul(other, self)

    def __truediv__(self, other: Any) -> Node:
        return self.graph.div(self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return self.graph.div(other, self)

    def __neg__(self) -> Node:
        return self.graph.neg(self)

    def __bool__(self) -> bool:
        raise TypeError("an equation cannot branch on its data; use maximum, minimum or relu")

    def sigmoid(self) -> Node:
        return self.graph.node("sigmoid", self)

    def tanh(self) -> Node:
        return self.graph.node("tanh", self)

    def relu(self) -> Node:
        return self.graph.node("relu", self)

    def larger(self, other: Any, swapped: bool = False) -> Node:
        return self.graph.node("larger", other, self) if swapped else self.graph.node("larger", self, other)

    def exp(self) -> Node:
        return self.graph.node("exp", self)

    def log(self) -> Node:
        return self.graph.node("log", self)


class Graph:
    """Makes nodes, each only once, and simplifies where one operand is 0, 1 or both are numbers."""

    def __init__(self) -> None:
        self._interned: dict[tuple[Any, ...], Node] = {}

    def _intern(self, op: str, args: tuple[Node, ...] = (), name: str = "", number: float = 0.0) -> Node:
        key = (op, *map(id, args), name, number, math.copysign(1.0, number))
        return self._interned.setdefault(key, Node(self, op, args, name, number))

    def input(self, name: str) -> Node:
        return self._intern("input", name=name)

    def constant(self, number: float) -> Node:
        return self._intern("constant", number=float(number))

    def node(self, op: str, *args: Any) -> Node:
        return self._intern(op, tuple(self.of(a) for a in args))

    def of(self, value: Any) -> Node:
        """A node, a gate's whole sum, or a number as a node."""
        if isinstance(value, Node):
            return value
        value = getattr(value, "value", value)
        return value if isinstance(value, Node) else self.constant(value)

    def add(self, x: Any, y: Any) -> Node:
        x, y = self.of(x), self.of(y)
        if _is(x, 0):
            return y
        if _is(y, 0):
            return x
        if y.op == "neg":
            return self.sub(x, y.args[0])
        return self._folded("add", x, y, lambda a, b: a + b)

    def sub(self, x: Any, y: Any) -> Node:
        x, y = self.of(x), self.of(y)
        if _is(y, 0):
            return x
        return self.neg(y) if _is(x, 0) else self._folded("sub", x, y, lambda a, b: a - b)

    def mul(self, x: Any, y: Any) -> Node:
        x, y = self.of(x), self.of(y)
        if _is(x, 0) or _is(y, 0):
            return self.constant(0)
        if _is(x, 1):
            return y
        if _is(y, 1):
            return x
        return self._folded("mul", x, y, lambda a, b: a * b)

    def div(self, x: Any, y: Any) -> Node:
        x, y = self.of(x), self.of(y)
        return x if _is(y, 1) else self._folded("div", x, y, lambda a, b: a / b if b else math.nan)

    def neg(self, x: Any) -> Node:
        x = self.of(x)
        return x.args[0] if x.op == "neg" else self.constant(-x.number) if x.op == "constant" else self._intern("neg", (x,))

    def _folded(self, op: str, x: Node, y: Node, act: Callable[[float, float], float]) -> Node:
        if x.op == y.op == "constant":
            return self.constant(act(x.number, y.number))
        return self._intern(op, (x, y))


def _is(x: Node, number: float) -> bool:
    return x.op == "constant" and x.number == number


def in_order(roots: Iterable[Node], known: Iterable[Node] = ()) -> Iterator[Node]:
    """Every node under the roots, arguments first, each once; `known` nodes are given but not entered."""
    seen: set[Node] = set()
    leaves = set(known)
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, entered = stack.pop()
        if entered:
            yield node
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            if node not in leaves:
                stack.extend((arg, False) for arg in reversed(node.args))
