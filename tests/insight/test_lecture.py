"""What the lecture's pages say, checked numerically; above all where its slides have a slip."""

import numpy as np
import pytest
import torch

from unspool.cells import LSTM
from unspool.engines import reference
from unspool.insight import memory, positions
from unspool.layers import Recurrent


def test_the_state_at_t_has_read_the_input_at_t():
    torch.manual_seed(0)
    stack = Recurrent("rnn", 2, 3).double()
    x = torch.randn(1, 5, 2, dtype=torch.float64)
    other = x.clone()
    other[0, 3] += 1
    y, moved = stack(x)[0][0], stack(other)[0][0]
    assert torch.equal(y[:3], moved[:3])
    assert not torch.allclose(y[3], moved[3])


def test_the_derivative_by_the_recurrent_weight_is_a_recursion():
    w_x, b = 0.7, 0.1
    w_a = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    x = torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a, whole, direct = torch.zeros((), dtype=torch.float64), 0.0, 0.0
    for t in range(8):
        before = a.item()
        a = torch.tanh(w_x * x[t] + w_a * a + b)
        slope = 1 - a.item() ** 2
        whole, direct = slope * (before + 0.9 * whole), slope * before
    (true,) = torch.autograd.grad(a, w_a)
    assert whole == pytest.approx(float(true), rel=1e-12)
    assert direct != pytest.approx(float(true), rel=1e-2)  # the slide's


@pytest.mark.parametrize(("cell", "reads"), [(LSTM(), {"a"}), (LSTM("cell"), {"c"}), (LSTM(peepholes=True), {"a", "c"})])
def test_which_state_the_gates_read(cell, reads):
    torch.manual_seed(0)
    layer = Recurrent(cell, 2, 3).double().stack[0]
    if cell.peepholes:
        torch.nn.init.normal_(layer.p)
    x = torch.randn(1, 1, 2, dtype=torch.float64)
    forget = []
    for moved in (None, "a", "c"):
        state = {name: torch.full((1, 3), 0.5, dtype=torch.float64) for name in ("a", "c")}
        if moved:
            state[moved] = state[moved] + 1
        c = reference.step(cell, layer.weights(), x[:, 0], tuple(state.values()))[1]
        zero = {**state, "c": state["c"]}
        forget.append((c, zero))
    base = forget[0][0]
    assert ("a" in reads) == (not torch.allclose(base, forget[1][0]))
    # c acts on the memory itself; if the gates did not read it, the memory would be linear in it
    states = [torch.full((1, 3), v, dtype=torch.float64) for v in (0.0, 1.0, 2.0)]
    a = torch.full((1, 3), 0.5, dtype=torch.float64)
    low, middle, high = (reference.step(cell, layer.weights(), x[:, 0], (a, c))[1] for c in states)
    assert ("c" in reads) == (not torch.allclose(middle - low, high - middle))


def test_a_fact_learned_at_one_position_is_used_at_another(tmp_path):
    found = positions.demonstrate()
    recurrent, padded, plain = (f.accuracy for f in found)
    assert min(recurrent + padded) >= 0.95
    assert min(plain[:3]) >= 0.95
    assert max(plain[3:]) < 0.6
    assert found[2].parameters <= found[0].parameters
    assert "feed-forward" in positions.table(found)
    positions.draw(tmp_path / "p.png", found)
    assert (tmp_path / "p.png").exists()


def test_copying_asks_for_the_first_symbol():
    x, y = memory._copy(7, np.random.default_rng(0))
    assert x.shape[1] == 8
    assert x[:, 0, : memory.SYMBOLS].argmax(1).tolist() == y.tolist()
    assert len(set(y.tolist())) == memory.SYMBOLS


def test_a_straight_path_remembers_longer_than_none(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "DELAYS", (20,))
    monkeypatch.setattr(memory, "STEPS", 150)
    monkeypatch.setattr(memory, "CELLS", {name: memory.CELLS[name] for name in ("RNN", "LSTM")})
    said = []
    found = memory.demonstrate(say=said.append)
    lives = {f.cell: f.before.half_lives[f"layer 1, {'c' if f.cell == 'LSTM' else 'a'}"] for f in found if f.task == "copy"}
    assert lives["LSTM"] > lives["RNN"]
    assert len(said) == 2
    assert "learned, of 2" in memory.table(found)
    memory.draw(tmp_path / "m.png", found)
    assert (tmp_path / "m.png").exists()
