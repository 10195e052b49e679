"""The equations, on plain numbers, against the formulas written out once more."""

import math
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from unspool import cells
from unspool.cells import GRU, LSTM, RNN, Cell, Gate
from unspool.errors import CellError, ConfigError


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def gates(**values):
    """Gates of plain numbers: x half, h half; `of(v)` is x + 2 v."""
    return SimpleNamespace(**{name: Gate(x, h, lambda v, x=x: x + 2 * v) for name, (x, h) in values.items()})


def test_rnn():
    gate = gates(candidate=(0.3, 0.4))
    assert RNN().advance(gate, None, None) == (pytest.approx(math.tanh(0.7)),)
    assert RNN("relu").advance(gates(candidate=(-1.0, 0.5)), None, None) == (0.0,)


def test_gru_in_its_three_forms():
    gate = gates(reset=(0.1, 0.2), update=(-0.3, 0.5), candidate=(0.7, -0.4))
    state = SimpleNamespace(a=0.6)
    r, u = sigmoid(0.3), sigmoid(0.2)
    candidates = {"none": math.tanh(0.3), "before": math.tanh(0.7 + 2 * r * 0.6), "after": math.tanh(0.7 + r * -0.4)}
    for reset, c in candidates.items():
        assert GRU(reset).advance(gate, state, None) == (pytest.approx(u * c + (1 - u) * 0.6),), reset


def test_lstm_and_its_peepholes():
    gate = gates(update=(0.1, 0.2), forget=(0.3, 0.1), candidate=(0.5, 0.2), output=(-0.2, 0.1))
    state = SimpleNamespace(a=9.0, c=0.8)
    c = sigmoid(0.3) * math.tanh(0.7) + sigmoid(0.4) * 0.8
    assert LSTM().advance(gate, state, None) == (pytest.approx(sigmoid(-0.1) * math.tanh(c)), pytest.approx(c))
    peep = SimpleNamespace(peep_update=0.5, peep_forget=-0.5, peep_output=2.0)
    c = sigmoid(0.3 + 0.4) * math.tanh(0.7) + sigmoid(0.4 - 0.4) * 0.8
    expected = pytest.approx(sigmoid(-0.1 + 2 * c) * math.tanh(c)), pytest.approx(c)
    assert LSTM(peepholes=True).advance(gate, state, peep) == expected


class Bare(Cell):
    state = ("a",)
    gates = ("outer", "inner")

    def step(self, gate, state):
        return cells.ops.tanh(gate.outer.of(gate.inner))


def test_products_are_found_by_running_the_equation():
    assert GRU("after").products == (("reset", "update", "candidate"), ("candidate",), ("candidate",), GRU().gates, ())
    assert GRU("before").products == (("reset", "update", "candidate"), (), (), ("reset", "update"), ("candidate",))
    assert Bare().products == (("outer", "inner"), (), (), ("inner",), ("outer",))
    assert LSTM().products == (LSTM.gates, (), (), LSTM.gates, ())
    assert LSTM().fed_back == 0
    assert LSTM("cell").fed_back == 1


def test_a_gate_whose_second_half_is_never_used_has_no_recurrent_weight():
    class Leaky(Cell):
        state = ("a",)
        gates = ("keep", "new")

        def step(self, gate, state):
            return cells.ops.sigmoid(gate.keep.x) * state.a + gate.new

    assert Leaky().products.recurrent == ("new",)


def test_a_cell_that_names_too_little_says_so():
    class Wrong(Cell):
        state = ("a",)
        gates = ("new",)

        def step(self, gate, state):
            return gate.forgotten

    class Two(Cell):
        state = ("a", "c")
        gates = ("new",)

        def step(self, gate, state):
            return gate.new.value

    class Astray(Two):
        feedback = "b"

    class Bias(Two):
        bias = {"old": 1.0}  # noqa: RUF012

    class Double(Two):
        gates = ("new", "new")

    for cell, why in ((Astray(), "feedback is 'b'"), (Bias(), "bias names 'old'"), (Double(), "names one twice: new, new")):
        with pytest.raises(CellError, match=why):
            _ = cell.products
    with pytest.raises(CellError, match="forgotten"):
        _ = Wrong().products
    with pytest.raises(CellError, match="gives 1 values, but state names 2"):
        _ = Two().products


@pytest.mark.parametrize("name", ["rnn", "gru", "LSTM"])
def test_cells_by_name(name):
    assert type(cells.cell(name)).__name__ == name.upper()


def test_a_wrong_name_or_option_helps():
    with pytest.raises(ConfigError, match="did you mean 'lstm'"):
        cells.cell("lstn")
    with pytest.raises(ConfigError, match="reset is 'none', 'before' or 'after'"):
        cells.cell("gru", reset="never")
    with pytest.raises(ConfigError, match="does not take"):
        cells.cell("rnn", peepholes=True)


def test_a_gate_that_is_given_back_as_it_stands_is_its_sum():
    class Plain(Cell):
        state = ("a",)
        gates = ("u",)

        def step(self, gate, state):
            return gate.u

    assert Plain().products.recurrent == ("u",)
    assert Plain().advance(gates(u=(0.25, 0.5)), None, None) == (0.75,)


@pytest.mark.parametrize(("x", "y"), [(1.0, 2.0), (2.0, 1.0), (-1e8, 1.0), (-math.inf, 1.0), (1.0, -math.inf)])
def test_the_larger_is_exact(x, y):
    larger, smaller = max(x, y), min(x, y)
    for a, b in ((x, y), (torch.tensor(x), y), (x, torch.tensor(y)), (torch.tensor(x), torch.tensor(y))):
        assert cells.ops.maximum(a, b) == larger
        assert cells.ops.minimum(a, b) == smaller
    leaf = torch.tensor([1.0, 1.0], requires_grad=True)
    cells.ops.maximum(leaf, torch.tensor([1.0, 2.0])).sum().backward()
    assert leaf.grad.tolist() == [1.0, 0.0]
    assert cells.ops.maximum(torch.tensor(math.nan), 1.0).isnan()
    assert cells.ops.maximum(1.0, torch.tensor(math.nan)).isnan()


def test_every_cell_can_be_built_again_from_its_options():
    for cell in (RNN("relu"), GRU("none"), GRU(), LSTM("cell", peepholes=True)):
        options = {"feedback": "cell"} | cell.options if isinstance(cell, LSTM) else cell.options
        assert repr(type(cell)(**options)) == repr(cell)


def test_cells_import_no_tensor_library():
    code = "import sys, unspool.cells; print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False False"
