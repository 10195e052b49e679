"""The native engine beyond what all engines share: odd sizes, its functions, autograd's corners, streams, refusals."""

import copy
import io
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import library as operators

import unspool
from unspool import engines
from unspool.cells import GRU, LSTM, RNN, MinGRU
from unspool.engines import Weights, native, reference
from unspool.engines.native import binding, calls
from unspool.equations.emit_cpp import built_in
from unspool.errors import ConfigError, EngineError
from unspool.layers import Recurrent

pytestmark = pytest.mark.skipif(native.isa() is None, reason="the native library was not built here")
SERVED = built_in()


def drawn(cell, B, T, D, H, seed=0):
    torch.manual_seed(seed)
    weights = Weights(*(torch.randn(s.shape) / max(1, s.shape[-1]) ** 0.5 for s in engines.shapes(cell, D, H)))
    return weights, torch.randn(B, T, D), tuple(torch.randn(B, H) * 0.5 for _ in cell.state)


def gradients(engine, cell, weights, x, lengths, state, reverse=False, dtype=torch.float32):
    leaves = [t.to(dtype).requires_grad_() for t in (*weights, x, *state)]
    ran = engine.run(cell, Weights(*leaves[:5]), leaves[5], lengths, tuple(leaves[6:]), reverse=reverse)
    torch.manual_seed(3)
    outputs = [ran.y, *ran.state]
    loss = sum((torch.randn(t.shape).to(dtype) * t).sum() for t in outputs)
    found = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return [t.double() for t in (*outputs, *found) if t.numel()]


@pytest.mark.parametrize("H", [1, 3, 17, 28, 130])
@pytest.mark.parametrize("cell", SERVED, ids=repr)
def test_odd_sizes_and_threads(cell, H):
    """One and many rows (units and rows divided among threads), lengths or not, against the truth in double precision."""
    before = torch.get_num_threads()
    try:
        for threads, B, T, D, lengths in [
            (1, 1, 1, 1, False),
            (2, 7, 9, 1, True),
            (2, 40, 5, 18, True),
            (2, 40, 5, 18, False),
            (2, 2, 30, 33, False),
            (2, 1, 140, 150, False),
        ]:
            torch.set_num_threads(threads)
            weights, x, state = drawn(cell, B, T, D, H)
            long = torch.randint(0, T + 1, (B,)) if lengths else None
            truth = gradients(reference, cell, weights, x, long, state, reverse=B > 5, dtype=torch.float64)
            mine = gradients(native, cell, weights, x, long, state, reverse=B > 5)
            for e, f in zip(truth, mine, strict=True):
                torch.testing.assert_close(f, e, rtol=2e-4, atol=1e-5 * (1 + e.abs().max().item()))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_no_less_exact_than_torch(kind):
    cell = getattr(unspool.cells, kind)()
    weights, x, state = drawn(cell, 32, 60, 64, 96)
    truth = gradients(reference, cell, weights, x, None, state, dtype=torch.float64)
    errors = {}
    for name in ("native", "torch"):
        found = gradients(engines.ENGINES[name], cell, weights, x, None, state)
        errors[name] = max(((f - e).abs().max() / e.abs().max()).item() for e, f in zip(truth, found, strict=True))
    assert errors["native"] <= 2 * errors["torch"]


def test_functions_within_two_ulp():
    """Every magnitude, both signs, and what is not finite."""
    bits = np.arange(0, 2**32, 40009, dtype=np.uint64).astype(np.uint32)
    edge = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 88.72284, 88.8, -87.4, -103.9, -104.1], dtype=np.float32)
    x = np.concatenate([bits.view(np.float32), np.linspace(-20, 20, 200_001, dtype=np.float32), edge])
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        small = np.exp(-np.abs(wide))
        truths = [np.exp(wide), np.where(wide < 0, small, 1.0) / (1 + small), np.tanh(wide), np.log(wide)]
        for which, truth in enumerate(truths):
            y = np.empty_like(x)
            binding.loaded().handle.unspool_function(which, x.ctypes.data, y.ctypes.data, len(x))
            expected = truth.astype(np.float32)
            finite = np.isfinite(expected)
            np.testing.assert_array_equal(y[~finite & ~np.isnan(x)], expected[~finite & ~np.isnan(x)])
            assert np.isnan(y[np.isnan(x)]).all()
            ulp = np.maximum(np.spacing(np.abs(expected[finite])), np.float32(2**-149)).astype(np.float64)
            assert (np.abs(y[finite].astype(np.float64) - truth[finite]) / ulp).max() <= 2


def test_large_results_are_ordinary_tensors():
    layer, x = unspool.LSTM(64, 128, engine="native"), torch.randn(32, 20, 64, requires_grad=True)
    y, _ = layer(x)
    assert y.numel() > 16384  # in the library's pool
    y.relu_()
    y.sum().backward()
    assert x.grad is not None
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert layer(x[:1, :2].detach())[0].dtype == torch.float32
    finally:
        torch.set_default_dtype(before)


def test_a_view_that_is_negated_lazily_is_read_with_its_sign():
    layer, x = unspool.LSTM(1, 4).eval(), torch.fft.fft(torch.randn(2, 5)).conj().imag[..., None]
    assert x.is_neg()
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], layer(x.clone().resolve_neg())[0])


def test_an_empty_batch():
    assert unspool.LSTM(3, 4)(torch.zeros(0, 5, 3))[0].shape == (0, 5, 4)
    with pytest.raises(ConfigError, match="at least 1 sequence"):
        unspool.LSTM(3, 4).stream(0)


def test_what_is_not_finite_comes_through():
    layer = unspool.LSTM(4, 20)
    x = torch.randn(3, 6, 4)
    x[1, 3, 2] = math.nan
    y = layer(x)[0]
    assert y[1, :3].isfinite().all()
    assert y[1, 3:].isnan().all()
    assert y[[0, 2]].isfinite().all()


@pytest.mark.parametrize("cell", SERVED, ids=repr)
def test_the_trace(cell):
    weights, x, state = drawn(cell, 5, 4, 3, 18)
    for reverse in (False, True):
        names = (*cell.gates, *cell.state)
        mine = native.run(cell, weights, x, None, state, reverse=reverse, trace=names)
        truth = reference.run(cell, weights, x, None, state, reverse=reverse, trace=names)
        for name in names:
            torch.testing.assert_close(mine.trace[name], truth.trace[name], rtol=1e-4, atol=1e-5)


def test_backward_twice_and_operators():
    weights, x, state = drawn(GRU(), 4, 6, 5, 9)
    leaves = [t.requires_grad_() for t in (*weights, x, *state)]
    y = native.run(GRU(), Weights(*leaves[:5]), x, None, tuple(leaves[6:])).y
    once = torch.autograd.grad(y.square().sum(), [t for t in leaves if t.numel()], retain_graph=True)
    twice = torch.autograd.grad(y.square().sum(), [t for t in leaves if t.numel()])
    torch.testing.assert_close(once, twice)
    arguments = (
        binding.loaded().cells["GRU()"],
        *leaves[:5],
        x,
        torch.tensor([6, 2, 0, 3]),
        torch.stack(leaves[6:]),
        False,
        1,
        False,
    )
    operators.opcheck(
        torch.ops.unspool.recurrence, arguments, test_utils=("test_schema", "test_faketensor", "test_autograd_registration")
    )


def test_torch_compile_works_around_it():
    layer, x = unspool.GRU(3, 8), torch.randn(2, 5, 3)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    y = compiled(x)[0]
    torch.testing.assert_close(y, layer(x)[0])
    y.sum().backward()
    mine = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    layer(x)[0].sum().backward()
    torch.testing.assert_close(mine, [p.grad for p in layer.parameters()])


def test_a_column_that_changes_behind_autograd_is_seen():
    layer, x = unspool.LSTM(65, 256).eval(), torch.randn(2, 3, 65)
    with torch.no_grad():
        before = layer(x)[0]
        layer.stack[0].W.data[:, :, 3] = 0
        assert not layer(x)[0].equal(before)


def test_weights_that_change_are_packed_anew():
    """Also by torch's fused optimizers, which do not raise a tensor's version; and copies start without."""
    layer, x = unspool.LSTM(3, 8), torch.randn(2, 5, 3)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)
    for _ in range(3):
        layer(x)[0].sum().backward()
        with torch.no_grad():
            layer(x)
            optimizer.step()
            mine = layer(x)[0]
        torch.testing.assert_close(mine, copy.deepcopy(layer)(x)[0].detach())
    again = io.BytesIO()
    torch.save(list(layer.parameters()), again)
    again.seek(0)
    torch.testing.assert_close(torch.load(again), list(layer.parameters()))


@pytest.mark.parametrize("cell", SERVED, ids=repr)
def test_packed_weights_serve_again(cell):
    weights, x, state = drawn(cell, 5, 4, 3, 18)
    assert calls.packed(weights) is None  # no parameters: they may be gone, or others, at the next call
    weights = Weights(*map(torch.nn.Parameter, weights))
    with torch.no_grad():
        once = native.run(cell, weights, x, None, state).y
        native.run(cell, weights, x[:2, :1], None, tuple(s[:2] for s in state))
        torch.testing.assert_close(native.run(cell, weights, x, None, state).y, once)
        torch.testing.assert_close(once, reference.run(cell, weights, x, None, state).y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("cell", [LSTM(peepholes=True), GRU(), GRU("before"), RNN()], ids=repr)
def test_a_stream_equals_the_layer(cell, residual):
    layer = Recurrent(cell, 20, 20, layers=3, residual=residual).eval()
    x = torch.randn(4, 6, 20)
    with torch.no_grad():
        y, last = layer(x)
    stream = layer.stream(4)
    for t in range(3):
        torch.testing.assert_close(stream.step(x[:, t]), y[:, t])
    middle = stream.state
    for t in range(3, 6):
        torch.testing.assert_close(stream.step(x[:, t]), y[:, t])
    torch.testing.assert_close(stream.state, last)
    stream.state = middle
    stream.keep(torch.tensor([1, 3]))
    torch.testing.assert_close(stream.step(x[[1, 3], 3]), y[[1, 3], 3])
    torch.testing.assert_close(stream.step(x[[1, 3], 4]), y[[1, 3], 4])
    stream.keep(torch.tensor([1, 0, 1]))  # in another order, one of them twice
    torch.testing.assert_close(stream.step(x[[3, 1, 3], 5]), y[[3, 1, 3], 5])
    stream.reset()
    torch.testing.assert_close(stream.step(x[[1, 3, 0], 0]), y[[1, 3, 0], 0])
    for rows in ([0, 3], [-1, 0], [0, 0, 1, 1, 2]):
        with pytest.raises(EngineError, match="keeps up to 4 rows given as int64 below 3"):
            stream.keep(torch.tensor(rows))
    with pytest.raises(ConfigError, match="holds 3 sequences"):
        stream.state = last


@pytest.mark.parametrize("cell", [LSTM(), GRU("before")], ids=repr)
def test_a_wide_stream_divides_its_units_among_threads(cell, two_threads):
    layer = Recurrent(cell, 40, 136, layers=2).eval()
    x = torch.randn(200, 3, 40)
    with torch.no_grad():
        y, last = layer(x)
    stream = layer.stream(200)
    for t in range(3):
        torch.testing.assert_close(stream.step(x[:, t]), y[:, t])
    torch.testing.assert_close(stream.state, last)


def test_refusals():
    weights, x, state = drawn(LSTM(), 2, 3, 4, 5)
    for lengths in ([1, 4], [-1, 2]):
        with pytest.raises(EngineError, match=r"a length lies outside 0 .. T"):
            native.run(LSTM(), weights, x, torch.tensor(lengths), state)
    index = binding.loaded().cells["LSTM()"]
    huge = x[:1, :1].expand(2**31, 1, 4)
    with pytest.raises(EngineError, match="too large for one call"):
        calls.forward(index, weights, huge, None, torch.zeros(1, 1, 5).expand(2, 2**31, 5), False)
    many = x[:1, :1].expand(2**20, 2**20, 4)
    with pytest.raises(EngineError, match="too large for one call"):
        calls.forward(index, weights, many, None, torch.zeros(1, 1, 5).expand(2, 2**20, 5), False)
    with pytest.raises(EngineError, match=r"takes float32 of \(1, 4\) on the CPU"):
        unspool.LSTM(4, 5).eval().stream().step(torch.zeros(1, 3))
    for wrong in ([*weights[:1], *weights[1:2], weights.b[:, :4], *weights[3:]], [weights.W.double(), *weights[1:]]):
        with pytest.raises(EngineError, match="the native engine expects"):
            calls.forward(index, wrong, x, None, torch.stack(state), False)
    assert "CPU alone" in native.refusal(LSTM(), torch.device("meta"), torch.float32)


def elsewhere(code, **environment):
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("isa", ["generic", "avx2", "avx512"])
def test_each_instruction_set_agrees(isa):
    code = """
import torch, unspool
from unspool.engines import native
print(native.isa())
for cell in (unspool.cells.LSTM(), unspool.cells.GRU(), unspool.cells.GRU("before"), unspool.cells.RNN()):
    torch.manual_seed(0)
    layer = unspool.Recurrent(cell, 19, 37, layers=2)
    y, state = layer(torch.randn(35, 6, 19), torch.arange(35) % 7)
    (y.square().sum() + state[0].sum()).backward()
    print(y.sum().item(), *(p.grad.abs().sum().item() for p in layer.parameters()))
"""
    used, *found = elsewhere(code, UNSPOOL_ISA=isa)
    assert used == isa or isa != "generic"  # the processor may have less than was asked for
    _, *expected = elsewhere(code)
    np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=2e-4, atol=1e-4)


def test_without_the_library_another_engine_serves():
    code = """
import torch, unspool
from unspool.engines import native
from unspool.engines.native import binding
binding._library = binding.Library(missing="it was not built")
print(unspool.engines.choose(unspool.cells.LSTM(), torch.device("cpu"), torch.float32).name, native.isa())
unspool.LSTM(2, 3).stream().step(torch.zeros(1, 2))
"""
    assert elsewhere(code) == ["torch", "None"]


def both(cell, size, lengths, **special):
    """y and all gradients of two layers over a batch, without and with what is special of the second, each taken twice."""
    B, T, D, H = size
    torch.manual_seed(0)
    x = torch.randn(B, T, D, requires_grad=True)
    long = torch.randint(0, T + 1, (B,)) if lengths else None
    usual = Recurrent(cell, D, H, layers=2, bidirectional=True, engine="native")
    other = Recurrent(cell, D, H, layers=2, bidirectional=True, engine="native", **special)
    other.load_state_dict(usual.state_dict())
    for layer in (usual, other):
        y, state = layer(x, long)
        with torch.no_grad():
            torch.testing.assert_close(layer(x, long)[0], y, rtol=1e-3, atol=1e-3)
        loss = (y * torch.sin(torch.arange(T))[:, None]).mean(1).sum() + state[0].sum()
        wanted = [x, *(p for p in layer.parameters() if p.numel())]
        once = torch.autograd.grad(loss, wanted, retain_graph=True)
        torch.testing.assert_close(torch.autograd.grad(loss, wanted), once)
        yield [y.detach(), *once]


@pytest.fixture(params=[1, 2])
def threads(request):
    if request.param == 2:
        request.getfixturevalue("two_threads")
    return request.param


@pytest.mark.parametrize("cell", [LSTM(peepholes=True), GRU(), GRU("before"), RNN(), MinGRU()], ids=repr)
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize(
    "size", [(1, 1500, 3, 20), (5, 433, 20, 7), (300, 9, 3, 17), (24, 100, 33, 64), (32, 30, 5, 7), (40, 120, 70, 90)], ids=str
)
def test_gates_computed_again_give_the_same_gradients(cell, size, lengths, threads):
    """Over several chunks, with rows and with units divided among threads."""
    for usual, again in zip(*both(cell, size, lengths, recompute=True), strict=True):
        torch.testing.assert_close(again, usual, rtol=1e-4, atol=2e-5 * float(usual.abs().max() + 1))


def test_computing_again_holds_less():
    index, (weights, x, state) = binding.loaded().cells["LSTM()"], drawn(LSTM(), 64, 100, 32, 32)
    saved = [calls.forward(index, weights, x, None, torch.stack(state), False, save=save)[3] for save in (1, 2)]
    assert saved[1].numel() < 0.45 * saved[0].numel()
    with pytest.raises(EngineError, match="recompute needs the native engine, but this is torch"):
        Recurrent(GRU(), 3, 4, recompute=True).double()(torch.zeros(1, 2, 3).double())


def has_bf16():
    return native.isa() == "avx512" and "avx512_bf16" in Path("/proc/cpuinfo").read_text()


@pytest.mark.parametrize("cell", [LSTM(peepholes=True), GRU(), GRU("before"), MinGRU()], ids=repr)
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("size", [(1, 150, 3, 20), (5, 33, 20, 7), (300, 9, 3, 17), (24, 30, 100, 70)], ids=str)
def test_products_in_bf16(cell, size, lengths, threads):
    """Nearly the same values and gradients, with rows and with units divided among threads."""
    if not has_bf16():
        pytest.skip("this processor has no AVX512-BF16")
    exact, rounded = both(cell, size, lengths, products="bf16")
    assert not exact[0].equal(rounded[0])
    for e, r in zip(exact, rounded, strict=True):
        assert (r - e).abs().max() <= 0.04 * e.abs().max()
        assert (r - e).norm() <= 0.02 * e.norm()


def test_products_in_bf16_are_refused_by_name():
    with pytest.raises(ConfigError, match="products are f32 or bf16, and f32 with recompute"):
        Recurrent("lstm", 3, 4, products="f16")
    with pytest.raises(ConfigError, match="and f32 with recompute"):
        Recurrent("lstm", 3, 4, products="bf16", recompute=True)
    with pytest.raises(EngineError, match="bf16 needs the native engine, but this is torch"):
        Recurrent(GRU(), 3, 4, products="bf16").double()(torch.zeros(1, 2, 3).double())
    script = "import torch, unspool; unspool.LSTM(3, 4, products='bf16')(torch.zeros(1, 2, 3))"
    settings = {**os.environ, "UNSPOOL_ISA": "avx2"}
    done = subprocess.run([sys.executable, "-c", script], env=settings, capture_output=True, text=True, check=False)
    assert "products in bf16 need a processor with AVX512-BF16" in done.stderr
