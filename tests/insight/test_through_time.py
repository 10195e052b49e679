"""The gradient through time equals finite differences; gates and states are those of the equation."""

import math

import pytest
import torch

from unspool.cells import GRU, Cell
from unspool.cells.ops import sigmoid, tanh
from unspool.engines import native
from unspool.errors import ConfigError
from unspool.insight.gradients import half_life, jacobian_norms, through_time
from unspool.insight.unrolled import gates, unroll
from unspool.layers import Recurrent


def net(cell="lstm", layers=2, bidirectional=False, engine="reference", **options):
    torch.manual_seed(0)
    return Recurrent(cell, 3, 4, layers=layers, bidirectional=bidirectional, engine=engine, **options).double().eval()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_stack_spread_out_is_the_same_stack(cell, residual, bidirectional):
    stack = net(cell, residual=residual, bidirectional=bidirectional)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    y, states = unroll(stack, x)
    whole, last = stack(x)
    torch.testing.assert_close(y, whole)
    for i, own in enumerate(states):
        end = 0 if bidirectional and i % 2 else -1
        for name, state in zip(stack.cell.state, last, strict=True):
            torch.testing.assert_close(own[name][end], state[i])


def losses(y, state):
    return (y**2).sum(2)[0] + y[0].prod(1)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_norms_are_those_of_finite_differences(cell):
    stack = net(cell)
    x = torch.randn(1, 6, 3, dtype=torch.float64)
    found = through_time(stack, x, losses)
    h = 1e-6
    for layer in range(2):
        for name in stack.cell.state:
            for back in range(6):
                slopes = []
                for unit in range(4):
                    ends = [losses(nudged(stack, x, layer, name, 5 - back, unit, sign * h), None)[5] for sign in (1, -1)]
                    slopes.append((ends[0] - ends[1]).item() / (2 * h))
                expected = math.hypot(*slopes)
                assert found.norms[f"layer {layer + 1}, {name}"][back] == pytest.approx(expected, rel=1e-4, abs=1e-8)


def gate_of_output(own, x, state):
    weights = own.weights()
    index = own.cell.gates.index("output")
    return torch.sigmoid(x @ weights.W[index].T + state[0] @ weights.U[index].T + weights.b[index])


def nudged(stack, x, layer, name, at, unit, by):
    """What the stack gives when one unit of one state is moved at one step."""
    from unspool.engines import reference

    for depth, own in enumerate(stack.stack):
        state = tuple(torch.zeros(1, 4, dtype=torch.float64) for _ in stack.cell.state)
        ys = []
        for t in range(x.shape[1]):
            before = state
            state = reference.step(stack.cell, own.weights(), x[:, t], state)
            if depth == layer and t == at:
                state = tuple(s.clone() for s in state)
                state[stack.cell.state.index(name)][0, unit] += by
                if name == "c":  # a<t> is made of c<t>
                    o = gate_of_output(own, x[:, t], before)
                    state = (o * torch.tanh(state[1]), state[1])
            ys.append(state[0])
        x = torch.stack(ys, 1)
    return x


def test_a_single_loss_reaches_backward_layers_from_their_end():
    stack = net(bidirectional=True, layers=1)
    x = torch.randn(1, 5, 3, dtype=torch.float64)
    found = through_time(stack, x, lambda y, state: state[0].sum().view(1))
    assert {len(v) for v in found.norms.values()} == {5}
    assert all(v[0] > 0 for name, v in found.norms.items() if name.endswith("a"))


def test_distances_are_from_the_step_that_the_loss_is_about():
    stack = net(bidirectional=True, layers=1)
    x = torch.randn(1, 5, 3, dtype=torch.float64)
    found = through_time(stack, x, lambda y, state: y[:, 1].sum()[None], 1)
    assert len(found.norms["layer 1 forward, a"]) == 2
    assert len(found.norms["layer 1 backward, a"]) == 4
    assert all(v > 0 for name in ("forward", "backward") for v in found.norms[f"layer 1 {name}, c"])
    assert found.norms["layer 1 forward, a"][0] == pytest.approx(2)  # of four ones


def test_the_whole_jacobian():
    stack = net("gru", layers=1)
    x = torch.randn(1, 4, 3, dtype=torch.float64)
    norms = jacobian_norms(stack, x)
    assert norms[0] == pytest.approx(2)  # of the identity of four
    _, states = unroll(stack, x)
    rows = [torch.autograd.grad(u, states[0]["a"][1], retain_graph=True)[0] for u in states[0]["a"][3][0]]
    assert norms[2] == pytest.approx(float(torch.cat(rows).norm()))
    with pytest.raises(ConfigError, match="one direction"):
        jacobian_norms(net(bidirectional=True), x)


def test_half_lives():
    assert half_life([2.0 ** (-k / 3) for k in range(20)]) == pytest.approx(3)
    assert half_life([1.0, 1.0, 1.0]) == math.inf
    assert half_life([]) == half_life([1.0]) == 0


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_gates_are_squashed_as_the_equation_says(engine):
    if engine == "native" and native.missing():
        pytest.skip("the native engine was not built")
    torch.manual_seed(0)
    stack = Recurrent("lstm", 3, 4, layers=2, engine=engine).eval()
    x = torch.randn(2, 5, 3)
    for own in gates(stack, x):
        for name in ("update", "forget", "output"):
            assert 0 <= own[name].min() <= own[name].max() <= 1
        c = own["c"]
        kept = own["update"][:, 1:] * own["candidate"][:, 1:] + own["forget"][:, 1:] * c[:, :-1]
        torch.testing.assert_close(c[:, 1:], kept)
        torch.testing.assert_close(own["a"], own["output"] * c.tanh())


class Twice(Cell):
    """Products of two values within a step are not traced, so what squashes its gates is known by their names alone."""

    state = ("a",)
    gates = ("reset", "candidate")

    def step(self, gate, state):
        return tanh(gate.candidate.of(sigmoid(gate.reset.of(2 * state.a)) * state.a))


@pytest.mark.parametrize("cell", [GRU("before"), Twice()], ids=repr)
@pytest.mark.filterwarnings("ignore:.*runs on the reference engine")
def test_gates_taken_of_a_value_are_squashed_too(cell):
    torch.manual_seed(0)
    found = gates(Recurrent(cell, 3, 4).eval(), torch.randn(1, 3, 3))[0]
    assert 0 < found["reset"].min() < found["reset"].max() < 1
    assert -1 < found["candidate"].min() < 0 < found["candidate"].max() < 1


def test_a_muted_unit_is_0_and_others_follow():
    stack = net(layers=2)
    x = torch.randn(1, 5, 3, dtype=torch.float64)
    y, states = unroll(stack, x, (0, "c", 2))
    assert all(c[0, 2].item() == 0 for c in states[0]["c"])
    assert not torch.allclose(y, unroll(stack, x).y)
