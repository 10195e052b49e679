"""A user's own cell: the same values and gradients at native speed, compiled once, and a sentence where that cannot be."""

import copy
import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from engines.test_engines import outcome
from engines.test_native import has_bf16
from engines.tolerances import GRADIENT, VALUE
from unspool import engines
from unspool.cells import LSTM, Cell
from unspool.cells.ops import maximum, minimum, relu, sigmoid, tanh
from unspool.engines import native, reference
from unspool.engines.native import own
from unspool.errors import CellError, EngineError
from unspool.layers import Recurrent

pytestmark = pytest.mark.skipif(bool(native.missing()) or not native.compiler(), reason="there is no native engine, or no compiler")


def _example():
    path = Path(__file__).parents[2] / "examples" / "own_cell.py"
    spec = importlib.util.spec_from_file_location("own_cell", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SLSTM


SLSTM = _example()


class Minimal(Cell):
    """Zhou et al. 2016, with its reset after the product."""

    state = ("a",)
    gates = ("forget", "candidate")

    def __init__(self, power: int = 1):
        self.power = power

    def step(self, gate, state):
        f = sigmoid(gate.forget)
        return (1 - f) * state.a + f * tanh(gate.candidate.x + f * gate.candidate.h) * self.power


class Independent(Cell):
    """IndRNN (Li et al. 2018): no matrix between the units, only an elementwise weight."""

    state = ("a",)
    gates = ("new",)
    parameters = ("keep",)

    def step(self, gate, state, p):
        return relu(gate.new.x + p.keep * state.a)


class FedBackSecond(Cell):
    state = ("a", "c")
    gates = ("u", "v")
    feedback = "c"

    def step(self, gate, state):
        c = sigmoid(gate.u) * state.c + tanh(gate.v)
        return tanh(c) / (1 + c * c), c


class Namesakes(Cell):
    """One name for a state, a gate and a parameter, and one that looks like a gradient."""

    state = ("keep", "c")
    gates = ("keep", "d_c")
    parameters = ("keep",)

    def step(self, gate, state, p):
        c = tanh(gate.keep + p.keep * state.keep) + 0.5 * state.c
        return sigmoid(gate.d_c) * c, c


class Multiplicative(Cell):
    """The mLSTM (Krause et al. 2016): its gates read a product of input and state."""

    state = ("a", "c")
    gates = ("m", "update", "forget", "candidate", "output")

    def step(self, gate, state):
        m = gate.m.x * gate.m.h
        c = sigmoid(gate.forget.of(m)) * state.c + sigmoid(gate.update.of(m)) * tanh(gate.candidate.of(m))
        return sigmoid(gate.output.of(m)) * tanh(c), c


class Within(Cell):
    """No product but the one within the step, of all that there is."""

    state = ("a", "c")
    gates = ("k", "u")
    parameters = ("p",)
    feedback = "c"

    def step(self, gate, state, p):
        c = 0.5 * state.c + tanh(gate.u.of((1 + tanh(gate.k.x)) * state.a * p.p + 0.1))
        return sigmoid(gate.k.x) * c, c


class OfTheNew(Cell):
    """An output gate that looks at what the memory has become, through a matrix."""

    state = ("a", "c")
    gates = ("update", "candidate", "output")

    def step(self, gate, state):
        u = sigmoid(gate.update)
        c = u * tanh(gate.candidate) + (1 - u) * state.c
        return sigmoid(gate.output.of(c)) * tanh(c), c


class Bare(Cell):
    """One gate taken of another as it stands."""

    state = ("a",)
    gates = ("outer", "inner")

    def step(self, gate, state):
        return tanh(gate.outer.of(gate.inner))


class Largest(Cell):
    """The larger of numbers of very different sizes."""

    state = ("a",)
    gates = ("u", "v")

    def step(self, gate, state):
        return tanh(maximum(maximum(1e8 * gate.u - 1e9, gate.v), -state.a) + minimum(gate.u, 0.5) + maximum(0.25, gate.v))


OWN = [Minimal(), Independent(), FedBackSecond(), Namesakes(), Multiplicative(), Within(), OfTheNew(), Bare(), Largest()]


@pytest.mark.parametrize("cell", OWN, ids=lambda cell: type(cell).__name__)
@pytest.mark.parametrize("size", [(1, 6, 3, 20), (5, 4, 3, 7), (33, 3, 17, 40), (7, 8, 60, 90)], ids=str)
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
def test_an_own_cell_equals_reference(cell, size, lengths, two_threads):
    assert engines.choose(cell, torch.device("cpu"), torch.float32).name == "native"
    lengths = torch.arange(size[0], 0, -1) % size[1] + (size[1] == 1) if lengths else None
    truth = outcome(reference, cell, size, lengths, False, torch.float32)
    mine = outcome(native, cell, size, lengths, False, torch.float32)
    for table, expected, found in zip((VALUE, GRADIENT), truth, mine, strict=True):
        for e, f in zip(expected, found, strict=True):
            torch.testing.assert_close(f, e, rtol=10 * table[torch.float32][0], atol=10 * table[torch.float32][1])


def test_the_example_equals_reference():
    torch.manual_seed(0)
    x, found = torch.randn(33, 9, 5), []
    truth = Recurrent(SLSTM(), 5, 20, engine="reference").double()
    for layer in (truth, Recurrent(SLSTM(), 5, 20, engine="native")):
        layer.load_state_dict(truth.state_dict())
        y, state = layer(x.to(layer.stack[0].W.dtype))
        (y.square().sum() + state[1].sum()).backward()
        found.append([y, *state, *(p.grad for p in layer.parameters() if p.numel())])
    for e, f in zip(*found, strict=True):
        torch.testing.assert_close(f.double(), e, rtol=1e-4, atol=1e-4)


def test_equations_are_told_apart_not_names():
    places = [own.place_of(cell) for cell in (Minimal(), Minimal(2), Minimal(), copy.deepcopy(Minimal(2)), LSTM())]
    assert places[0] == places[2] != places[1] == places[3]
    assert repr(Minimal()) == repr(Minimal(2))
    assert places[4] == 5 or places[4] < min(places[:4])


@pytest.mark.parametrize("cell", [Multiplicative(), Within()], ids=repr)
def test_a_product_within_the_step_streams_and_is_computed_again(cell, two_threads):
    x = torch.randn(6, 130, 20)
    layers = [Recurrent(cell, 20, 72, layers=2, engine="native", recompute=recompute) for recompute in (False, True)]
    layers[1].load_state_dict(layers[0].state_dict())
    found = []
    for layer in layers:
        y, _ = layer(x)
        y.square().sum().backward()
        found.append([y, *(p.grad for p in layer.parameters() if p.numel())])
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layers[0].eval().stream(6).run(x), found[0][0])
    with torch.no_grad():
        exact, rounded = layers[1](x)[0], layers[0].narrow("bf16")(x)[0]
    assert 0 < (rounded - exact).abs().max() < 0.03


class Undefined(Cell):
    """Lanes behind the last unit, where everything is 0, would be 0 / 0 here."""

    state = ("a",)
    gates = ("k", "u")

    def step(self, gate, state):
        return tanh(gate.u.of(tanh(gate.k) / gate.k) + gate.k)


@pytest.mark.parametrize("weights", ["f32", "bf16", "int8"])
def test_what_lies_behind_the_last_unit_stays_out_of_streams(weights):
    layer, x = Recurrent(Undefined(), 5, 20).eval(), torch.randn(3, 4, 5)
    assert (layer.narrow(weights).stream(3).run(x) - layer(x)[0]).abs().max() < 0.05


@pytest.mark.parametrize("products", ["f32", "bf16"])
@pytest.mark.parametrize("cell", [Multiplicative(), Within(), Undefined()], ids=lambda cell: type(cell).__name__)
def test_a_product_within_the_step_in_bf16(cell, products, two_threads):
    if products == "bf16" and not has_bf16():
        pytest.skip("this processor has no AVX512-BF16")
    torch.manual_seed(0)
    x, found = torch.randn(6, 20, 20), []
    for layer in (Recurrent(cell, 20, 70, engine="reference"), Recurrent(cell, 20, 70, products=products)):
        layer.load_state_dict(found[0] if found else layer.state_dict())
        y, _ = layer(x)
        y.square().mean().backward()
        found += [layer.state_dict(), y.detach(), *(p.grad for p in layer.parameters() if p.numel())]
    half = len(found) // 2
    for e, f in zip(found[1:half], found[half + 1 :], strict=True):
        assert (f - e).norm() <= (0.03 if products == "bf16" else 1e-4) * e.norm()


def test_an_own_cell_streams_is_copied_and_compiled():
    layer, x = Recurrent(Minimal(), 3, 20, layers=2).eval(), torch.randn(2, 5, 3)
    y = layer(x)[0]
    stream = layer.stream(2)
    torch.testing.assert_close(torch.stack([stream.step(x[:, t]) for t in range(5)], 1), y)
    torch.testing.assert_close(copy.deepcopy(layer)(x)[0], y)
    torch.testing.assert_close(pickle.loads(pickle.dumps(layer))(x)[0], y)
    torch.testing.assert_close(torch.compile(layer, backend="aot_eager", fullgraph=True)(x)[0], y)
    assert pickle.loads(pickle.dumps(layer.cell)).__dict__.keys() == {"power", "products"}


def test_a_cell_may_be_called_anything():
    class Odd(Minimal):
        def __repr__(self):
            return 'a "cell" \\ of\nté'

    assert isinstance(own.place_of(Odd()), int)


def test_the_first_call_may_be_compiled_by_torch():
    layer, x = Recurrent(Minimal(7), 3, 20), torch.randn(2, 5, 3)
    torch.testing.assert_close(torch.compile(layer, backend="aot_eager", fullgraph=True)(x)[0], layer(x)[0])


class Branches(Minimal):
    def step(self, gate, state):
        return state.a if gate.forget > 0 else -state.a


class Compares(Minimal):
    def step(self, gate, state):
        return tanh(gate.forget + gate.candidate) if state.a == 0 else state.a


class Mixes(Minimal):
    def step(self, gate, state):
        return tanh(gate.forget + gate.candidate) / state.a.sum()


class Stacks(Minimal):
    def step(self, gate, state):
        return torch.stack([gate.forget, gate.candidate])[0]


class Joins(Minimal):
    def step(self, gate, state):
        return gate.forget * gate.candidate + torch.ones(3)


class Raises(Minimal):
    def step(self, gate, state):
        return sigmoid(gate.forget) * tanh(gate.candidate) + state.a**2


@pytest.mark.parametrize(
    ("kind", "line", "why"),
    [
        (Branches, "return state.a if gate.forget > 0", "not supported|branch"),
        (Compares, "if state.a == 0", "branch"),
        (Mixes, "state.a.sum()", "no attribute 'sum'"),
        (Joins, "torch.ones(3)", "joined with Tensor"),
        (Stacks, "torch.stack([gate.forget", "expected Tensor"),
    ],
)
def test_what_is_no_equation_is_named_with_its_line(kind, line, why):
    with pytest.raises(CellError, match=why) as caught:
        Recurrent(kind(), 3, 4)
    assert line in str(caught.value)
    assert "test_own.py, line" in str(caught.value)
    assert "it may use" in str(caught.value)


def test_what_cannot_be_compiled_runs_by_reference_and_says_so():
    layer = Recurrent(Raises(), 3, 4)
    with pytest.warns(UserWarning, match=r"Raises\(\) runs on the reference engine.* state\.a\*\*2"):
        layer(torch.zeros(1, 2, 3))
    with pytest.raises(EngineError, match=r"state\.a\*\*2"):
        Recurrent(Raises(), 3, 4, engine="native")(torch.zeros(1, 2, 3))


SCRIPT = """
import sys, warnings, torch
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("ignore")
from engines.test_own import Minimal
from unspool import engines
print(engines.explain(Minimal(3), torch.device("cpu"), torch.float32))
"""


def started(cache):
    settings = {**os.environ, "UNSPOOL_CACHE": str(cache)}
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1])]
    return subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def made(monkeypatch, tmp_path):
    """What becomes of a cell in a process that knows none yet, of a cache folder and other settings."""

    def made(cache, **settings):
        monkeypatch.setattr(own, "_by_source", {})
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        for name, value in {"UNSPOOL_CACHE": str(cache), **settings}.items():
            monkeypatch.setenv(name, value)
        found = own._made(Minimal(3))
        for name in settings:
            monkeypatch.delenv(name)
        return found

    return made


def test_the_cache_is_shared_by_processes_and_needs_no_compiler(made, tmp_path):
    racing = [started(tmp_path / "c") for _ in range(2)]
    assert [p.communicate()[0] for p in racing] == ["native\n"] * 2
    (file,) = (tmp_path / "c").iterdir()
    assert isinstance(made(tmp_path / "c", CXX="none"), int)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / file.name).write_bytes(b"damaged")
    assert "no C++ compiler" in made(tmp_path / "d", CXX="none")
    assert isinstance(made(tmp_path / "d"), int)  # it is made again
    assert (tmp_path / "d" / file.name).stat().st_size > 1000
    (tmp_path / "c").chmod(0o777)  # others could have written it
    assert "no C++ compiler" in made(tmp_path / "c", CXX="none")


def test_without_a_compiler_or_with_a_bad_one(made, tmp_path):
    assert made(tmp_path / "c", CXX="none").startswith("Minimal() is a cell of your own, and there is no C++ compiler; install one")
    assert "could not compile Minimal()" in made(tmp_path / "c", CXX="false -x")
    (tmp_path / "file").write_text("")
    assert isinstance(made(tmp_path / "file" / "c"), int)  # in the temporary folder
