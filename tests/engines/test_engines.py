"""Every engine agrees with the truth, in value and gradient; and the truth is the plain formula."""

import pytest
import torch

from engines.tolerances import GRADIENT, VALUE
from unspool import engines
from unspool.cells import GRU, LSTM, RNN, MinGRU, MinLSTM
from unspool.engines import Weights, reference
from unspool.errors import ConfigError, EngineError

CELLS = [RNN(), RNN("relu"), GRU(), GRU("before"), GRU("none"), LSTM(), LSTM("cell"), LSTM(peepholes=True), MinGRU(), MinLSTM()]
OTHERS = [name for name in engines.ENGINES if name != "reference"]
SIZES = [(1, 1, 1, 1), (3, 5, 4, 6), (4, 7, 3, 17), (33, 3, 17, 130)]  # B, T, D, H


def problem(cell, size, dtype=torch.float64):
    """Random weights, input and state that need gradients."""
    B, T, D, H = size
    draw = [torch.randn(s.shape, dtype=dtype) / max(1, s.shape[-1]) ** 0.5 for s in engines.shapes(cell, D, H)]
    tensors = [*draw, torch.randn(B, T, D, dtype=dtype), *(torch.randn(B, H, dtype=dtype) * 0.5 for _ in cell.state)]
    tensors = [t.requires_grad_() for t in tensors]
    return Weights(*tensors[:5]), tensors[5], tuple(tensors[6:]), tensors


def outcome(engine, cell, size, lengths, reverse, dtype):
    torch.manual_seed(1)
    weights, x, state, tensors = problem(cell, size, dtype)
    ran = engine.run(cell, weights, x, lengths, state, reverse=reverse)
    torch.manual_seed(2)
    loss = sum((torch.randn(t.shape, dtype=dtype) * t).sum() for t in (ran.y, *ran.state))
    gradients = torch.autograd.grad(loss, [t for t in tensors if t.numel()], allow_unused=True, materialize_grads=True)
    return [ran.y, *ran.state], list(gradients)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=repr)
@pytest.mark.parametrize("name", OTHERS)
def test_engine_equals_reference(name, cell, size, lengths, reverse, dtype):
    if engines.ENGINES[name].refusal(cell, torch.device("cpu"), dtype):
        pytest.skip("refuses this cell")
    lengths = torch.arange(size[0], 0, -1) % size[1] + (size[1] == 1) if lengths else None  # unsorted, a 0 among them
    truth = outcome(reference, cell, size, lengths, reverse, dtype)
    mine = outcome(engines.ENGINES[name], cell, size, lengths, reverse, dtype)
    for table, expected, found in zip((VALUE, GRADIENT), truth, mine, strict=True):
        assert len(expected) == len(found)
        for e, f in zip(expected, found, strict=True):
            torch.testing.assert_close(f, e, rtol=table[dtype][0], atol=table[dtype][1])


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_gradcheck(cell):
    _, _, _, tensors = problem(cell, (2, 3, 2, 3))
    lengths = torch.tensor([2, 3])

    def run(*t):
        ran = reference.run(cell, Weights(*t[:5]), t[5], lengths, t[6:])
        return ran.y, *ran.state

    assert torch.autograd.gradcheck(run, tensors)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
@pytest.mark.parametrize("name", engines.ENGINES)
def test_step_by_step_equals_run(name, cell):
    dtype = torch.float32 if name == "native" else torch.float64
    if engines.ENGINES[name].refusal(cell, torch.device("cpu"), dtype):
        pytest.skip("refuses this cell")
    weights, x, state, _ = problem(cell, (3, 5, 4, 6), dtype)
    ran = engines.ENGINES[name].run(cell, weights, x, None, state)
    for t in range(5):
        state = engines.ENGINES[name].step(cell, weights, x[:, t], state)
        torch.testing.assert_close(state[0], ran.y[:, t])
    torch.testing.assert_close(state, ran.state)


def test_the_trace_holds_gates_and_states():
    cell = LSTM()
    weights, x, state, _ = problem(cell, (2, 4, 3, 5))
    for reverse in (False, True):
        ran = reference.run(cell, weights, x, None, state, reverse=reverse, trace=("forget", "c", "a"))
        torch.testing.assert_close(ran.trace["a"], ran.y)
        previous = ran.y.roll(-1 if reverse else 1, 1)
        previous[:, -1 if reverse else 0] = state[0]
        forget = x @ weights.W[1].T + previous @ weights.U[1].T + weights.b[1]
        torch.testing.assert_close(ran.trace["forget"], forget)
        torch.testing.assert_close(ran.trace["c"][:, 0 if reverse else -1], ran.state[1])


def test_the_trace_of_a_gate_taken_of_a_value():
    cell = GRU("before")
    weights, x, state, _ = problem(cell, (2, 4, 3, 5))
    ran = reference.run(cell, weights, x, None, state, trace=cell.gates)
    u, c = ran.trace["update"].sigmoid(), ran.trace["candidate"].tanh()
    previous = torch.cat([state[0][:, None], ran.y[:, :-1]], 1)
    torch.testing.assert_close(u * c + (1 - u) * previous, ran.y)


@pytest.mark.parametrize("cell", [LSTM(peepholes=True), GRU(), GRU("before")], ids=repr)
def test_torch_compile_sees_through_the_loop(cell):
    weights, x, state, _ = problem(cell, (2, 3, 3, 5))

    def loop(x, *state):
        return reference.run(cell, weights, x, None, state)[:2]

    torch.testing.assert_close(torch.compile(loop, backend="eager", fullgraph=True)(x, *state), loop(x, *state))


def test_auto_chooses_and_a_name_is_obeyed_or_refused():
    cpu, f32, f64 = torch.device("cpu"), torch.float32, torch.float64
    assert engines.choose(LSTM(), cpu, f32).name == "native"
    assert engines.choose(LSTM(), cpu, f64).name == "torch"
    assert engines.choose(LSTM(), cpu, f32, "reference").name == "reference"
    assert engines.choose(LSTM(), cpu, f64, trace=("forget",)).name == "reference"
    assert engines.choose(GRU("before"), cpu, f32).name == "native"
    assert engines.explain(GRU("before"), cpu, f64) == (
        "reference (native: it computes in float32, not float64) (torch: torch has no GRU(reset='before'))"
    )
    with pytest.raises(EngineError, match="torch has no GRU"):
        engines.choose(GRU("before"), cpu, f32, "torch")
    with pytest.raises(EngineError, match="computes in float32, not float64"):
        engines.choose(GRU(), cpu, f64, "native")
    with pytest.raises(ConfigError, match="did you mean 'reference'"):
        engines.choose(LSTM(), cpu, f32, "referense")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_the_gpu_equals_the_cpu(cell):
    weights, x, state, _ = problem(cell, (3, 5, 4, 6), torch.float32)
    truth = reference.run(cell, weights, x, None, state)
    there = [t.cuda() for t in (*weights, x, *state)]
    engine = engines.choose(cell, torch.device("cuda"), torch.float32).engine
    with torch.backends.cudnn.flags(allow_tf32=False):  # it would round to 10 bits
        ran = engine.run(cell, Weights(*there[:5]), there[5], None, tuple(there[6:]))
    torch.testing.assert_close(ran.y.cpu(), truth.y, rtol=1e-4, atol=1e-4)
