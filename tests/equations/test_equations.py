"""The traced graph and its gradient equal what torch makes of the same `step`, for every cell and for cells made at random."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool import equations
from unspool.cells import GRU, LSTM, RNN, Cell, Gate, ops
from unspool.equations.emit_cpp import built_in, emit
from unspool.errors import CellError

BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}
UNARY = {name: getattr(torch, name) for name in ("sigmoid", "tanh", "relu", "exp", "log", "neg")}


def evaluate(nodes, given):
    """The nodes' values, the `given` ones by node."""
    values = dict(given)
    for node in equations.in_order(nodes, given):
        if node in values:
            continue
        args = [values[arg] for arg in node.args]
        if node.op == "constant":
            values[node] = torch.tensor(node.number, dtype=torch.float64)
        elif node.op == "where_positive":
            values[node] = torch.where(args[0] > 0, args[1], 0.0)
        elif node.op == "larger":
            values[node] = torch.where(args[0] >= args[1], *args)
        else:
            values[node] = {**BINARY, **UNARY}[node.op](*args)
    return [values[node] for node in nodes]


def check(cell):
    """Forward values and gradients by the graph against the equation run on tensors under autograd."""
    equation = equations.trace(cell)
    gradient = equations.derive(equation)
    torch.manual_seed(0)
    leaves = [s.node for s in equation.slots] + [*equation.state, *equation.parameters]
    given = {node: torch.randn(5, dtype=torch.float64, requires_grad=True) for node in leaves}
    slots = {(s.gate, s.half): given[s.node] for s in equation.slots}
    gates, inner = {}, []
    for name in cell.gates:
        x = slots.get((name, ""), slots.get((name, "x")))
        gates[name] = Gate(x, slots.get((name, "h")), lambda v, x=x: inner.append(getattr(v, "value", v)) or x)
    parameters = dict(zip(cell.parameters, [given[n] for n in equation.parameters], strict=True))
    states = dict(zip(cell.state, [given[n] for n in equation.state], strict=True))
    truth = cell.advance(SimpleNamespace(**gates), SimpleNamespace(**states), SimpleNamespace(**parameters))
    truth = [getattr(value, "value", value) for value in truth]
    for found, expected in zip(evaluate(equation.new, given), truth, strict=True):
        torch.testing.assert_close(found.expand(5), expected)

    # as the kernels do it: from the kept values, the states before and after, and the parameters alone
    around = {node: value.detach() for node, value in zip(equation.new, truth, strict=True) if node.op != "constant"}
    around |= {node: given[node].detach() for node in (*equation.state, *equation.parameters)}
    at_hand = around | dict(zip(gradient.kept, (v.detach() for v in evaluate(gradient.kept, given)), strict=True))
    passes = [(gradient.new, truth, at_hand)]
    if equation.inner is None:
        assert gradient.inner is None
    else:  # from what the pass before holds for it
        torch.testing.assert_close(evaluate([equation.inner], at_hand)[0], inner[0].detach())
        held = dict(zip(gradient.held, evaluate(gradient.held, at_hand), strict=True))
        passes.append((gradient.inner, inner[:1], around | held))
    for passed, values, known in passes:
        adjoints = [torch.randn(5, dtype=torch.float64) for _ in values]
        loss = sum((d * value).sum() for d, value in zip(adjoints, values, strict=True))
        expected = torch.autograd.grad(loss, [given[n] for n in leaves], allow_unused=True, retain_graph=True)
        found = evaluate(passed.gradients, known | dict(zip(passed.adjoints, adjoints, strict=True)))
        for f, e in zip(found, expected, strict=True):
            torch.testing.assert_close(f.expand(5), torch.zeros(5, dtype=torch.float64) if e is None else e)
    assert len(gradient.kept) <= len(equation.slots)


@pytest.mark.parametrize("cell", built_in(), ids=repr)
def test_a_cell_and_its_gradient(cell):
    check(cell)
    source = emit(cell, "Struct")
    assert repr(cell) in source
    assert len(source.splitlines()) < 90


@st.composite
def steps(draw):
    """An expression of gates, halves, states and parameters, as a function of (gate, state, parameter)."""

    def leaf():
        return draw(
            st.sampled_from(
                [
                    lambda g, s, p: g.one.value,
                    lambda g, s, p: g.two.x,
                    lambda g, s, p: g.two.h,
                    lambda g, s, p: s.a,
                    lambda g, s, p: s.c,
                    lambda g, s, p: p.w,
                    lambda g, s, p: 0.5,
                ]
            )
        )

    def tree(depth):
        if depth == 0 or (draw(st.booleans()) and depth < 3):
            return leaf()
        kind = draw(st.sampled_from(["sigmoid", "tanh", "relu", "maximum", "add", "sub", "mul", "div"]))
        x = tree(depth - 1)
        if kind in ("sigmoid", "tanh", "relu"):
            return lambda g, s, p: getattr(ops, kind)(x(g, s, p))
        y = tree(depth - 1)
        if kind == "maximum":
            return lambda g, s, p: ops.maximum(x(g, s, p), y(g, s, p))
        if kind == "div":  # kept away from 0
            return lambda g, s, p: x(g, s, p) / (2 + ops.tanh(y(g, s, p)))
        act = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b}[kind]
        return lambda g, s, p: act(x(g, s, p), y(g, s, p))

    return tree(draw(st.integers(1, 4))), tree(draw(st.integers(1, 3))), tree(draw(st.integers(1, 3)))


@given(steps())
@settings(max_examples=150, deadline=None)
def test_random_cells(triple):
    class Random(Cell):
        state, gates, parameters = ("a", "c"), ("one", "two", "three", "four"), ("w",)

        def step(self, gate, state, parameter):
            first, second, third = (f(gate, state, parameter) for f in triple)
            taken = gate.four.of(third * state.a + gate.one)
            return ops.tanh(gate.three) * first + taken, ops.tanh(
                gate.two.x + gate.two.h + gate.one + parameter.w
            ) + second * state.c * taken + state.a

    check(Random())


def test_a_bare_gate_as_state():
    class Bare(Cell):
        state, gates = ("a", "c"), ("g", "k")

        def step(self, gate, state):
            return gate.g, ops.tanh(gate.g) * state.a + gate.k

    check(Bare())
    assert "backward" in emit(Bare(), "Bare")


def test_equal_expressions_are_one():
    graph = equations.Graph()
    x, y = graph.input("x"), graph.input("y")
    assert (x + y).sigmoid() is (x + y).sigmoid()
    assert x * 1 is x
    assert x + 0 is x
    assert graph.neg(graph.neg(x)) is x


def test_what_cannot_be_traced_says_why():
    class Branching(Cell):
        state, gates = ("a",), ("g",)

        def step(self, gate, state):
            return gate.g if isinstance(state.a, float) or gate.g.tanh() else 0

    with pytest.raises(CellError, match="cannot branch on its data"):
        equations.trace(Branching())
    assert [s.gate + s.half for s in equations.trace(GRU()).slots] == ["candidatex", "reset", "update", "candidateh"]
    assert [s.gate + s.half for s in equations.trace(GRU("before")).slots] == ["candidate", "reset", "update"]
    assert equations.derive(equations.trace(RNN())).kept == ()
    assert len(equations.derive(equations.trace(LSTM())).kept) == 4


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (lambda gate, a: gate.g.of(a) + gate.g, "uses gate.g with and without `of`"),
        (lambda gate, a: gate.g.of(a) * gate.g.x, "uses gate.g with and without `of`"),
        (lambda gate, a: gate.g.of(a) + gate.k.of(2 * a), "takes products `of` 2 values within a step"),
        (lambda gate, a: gate.g.of(a) + gate.g.of(-a), "takes products `of` 2 values within a step"),
        (lambda gate, a: gate.k.of(ops.tanh(gate.g.of(a))), "takes products `of` 2 values within a step"),
        (lambda gate, a: gate.g.of(1.0) + a, "`of` takes a value of units, not float"),
    ],
)
def test_products_within_a_step_that_have_no_kernel(step, why):
    class Own(Cell):
        state, gates = ("a",), ("g", "k")

        def step(self, gate, state):
            return step(gate, state.a)

    with pytest.raises(CellError, match=why):
        equations.trace(Own())
