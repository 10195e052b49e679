"""What holds for every stack: pieces, batches, lengths; and that torch's modules are the same networks."""

import copy
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

import unspool
from unspool.cells import GRU, LSTM, RNN, MinGRU
from unspool.engines import native
from unspool.errors import ConfigError, EngineError
from unspool.layers import Attention, Embedding, OneHot, Recurrent
from unspool.sequences import mask

STACKS = [
    {"cell": "lstm", "layers": 2},
    {"cell": "gru", "layers": 2, "residual": True},
    {"cell": "rnn"},
    {"cell": unspool.cells.GRU("none"), "layers": 2},
    {"cell": unspool.cells.LSTM("cell", peepholes=True)},
]


def stack(cell, **options):
    return Recurrent(cell, 4, 4, **options).double()


@pytest.mark.parametrize("options", STACKS, ids=str)
def test_whole_equals_two_pieces(options):
    layer, x = stack(**options), torch.randn(3, 9, 4, dtype=torch.float64)
    whole, last = layer(x)
    first, state = layer(x[:, :4])
    second, state = layer(x[:, 4:], state=state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("options", STACKS, ids=str)
@settings(max_examples=8, deadline=None)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_a_batch_equals_its_sequences_one_by_one(options, bidirectional, lengths):
    layer = stack(**options, bidirectional=bidirectional)
    x = torch.randn(len(lengths), max(lengths), 4, dtype=torch.float64)
    y, state = layer(x, torch.tensor(lengths))
    assert not y[~mask(torch.tensor(lengths), y.shape[1])].any()
    for i, length in enumerate(lengths):
        alone, last = layer(x[i : i + 1, :length])
        torch.testing.assert_close(y[i : i + 1, :length], alone)
        torch.testing.assert_close([s[:, i : i + 1] for s in state], list(last))


def test_padding_is_never_read():
    layer, x = stack("lstm"), torch.randn(2, 5, 4, dtype=torch.float64)
    lengths = torch.tensor([5, 2])
    y, state = layer(x, lengths)
    x[1, 2:] = torch.nan
    again, same = layer(x, lengths)
    torch.testing.assert_close(again, y)
    torch.testing.assert_close(same, state)


@pytest.mark.parametrize("options", STACKS, ids=str)
def test_step_by_step_equals_the_whole(options):
    layer, x = stack(**options), torch.randn(3, 5, 4, dtype=torch.float64)
    whole, last = layer(x)
    state = layer.zero_state(3, x)
    for t in range(5):
        y, state = layer.step(x[:, t], state)
        torch.testing.assert_close(y, whole[:, t])
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("module", [nn.LSTM, nn.GRU, nn.RNN, lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k)])
def test_torch_modules_are_the_same_networks(module, bidirectional):
    theirs = module(5, 7, 2, batch_first=True, bidirectional=bidirectional).double()
    mine = Recurrent.from_torch(theirs)
    x = torch.randn(3, 6, 5, dtype=torch.float64)
    expected, state = theirs(x)
    y, last = mine(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(last, state if isinstance(state, tuple) else (state,))
    torch.testing.assert_close(mine.to_torch()(x)[0], expected)


def test_what_torch_has_not_is_refused():
    with pytest.raises(EngineError, match="torch has no GRU"):
        unspool.GRU(3, 4, reset="none").to_torch()
    with pytest.raises(ConfigError, match="residual"):
        unspool.LSTM(4, 4, residual=True).to_torch()
    with pytest.raises(ConfigError, match="projections"):
        Recurrent.from_torch(nn.LSTM(3, 4, proj_size=2))


def test_residual_adds_the_input():
    plain, residual = stack("rnn"), stack("rnn", residual=True)
    residual.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(residual(x)[0], plain(x)[0] + x)


def test_variational_dropout_keeps_one_mask_over_time():
    x = unspool.layers.variational_dropout(torch.ones(4, 10, 50), 0.5, True)
    assert (x == x[:, :1]).all()
    assert 0.3 < (x == 0).float().mean() < 0.7
    layer = unspool.LSTM(4, 6, layers=2, dropout=0.5, variational=True)
    y, _ = layer(torch.randn(2, 3, 4))
    assert y.shape == (2, 3, 6)


def test_recurrent_dropout_acts_in_training_only():
    layer, x = unspool.LSTM(4, 6, recurrent_dropout=0.5), torch.randn(2, 5, 4)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])


def test_initialisation():
    layer = unspool.LSTM(5, 8).stack[0]
    for U in layer.U:
        torch.testing.assert_close(U @ U.T, torch.eye(8), atol=1e-5, rtol=0)
    assert layer.b[1].eq(1).all()
    assert layer.b[[0, 2, 3]].eq(0).all()
    inputs = Embedding(50, 64)(torch.arange(50))  # of variance 1, and so are what the gates make of them
    sums = inputs @ unspool.GRU(64, 300).stack[0].W.flatten(0, 1).T
    assert inputs.std().item() == pytest.approx(1, abs=0.1)
    assert sums.std().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: unspool.LSTM(4, 0), "hidden_size must be at least 1, not 0"),
        (lambda: unspool.LSTM(4, 5, dropout=1.0), "dropout must be at least 0 and below 1"),
        (lambda: unspool.LSTM(4, 5)(torch.zeros(2, 3)), r"expected x of shape \(B, T, 4\), got \(2, 3\)"),
        (lambda: unspool.LSTM(4, 5)(torch.zeros(2, 0, 4)), "at least one step"),
        (lambda: unspool.LSTM(4, 5)(torch.zeros(2, 3, 4), torch.tensor([1])), r"lengths of shape \(2,\)"),
        (lambda: unspool.LSTM(4, 5)(torch.zeros(2, 3, 4), state=(torch.zeros(1, 2, 5),)), r"a state of \(a, c\)"),
        (lambda: unspool.LSTM(4, 5, bidirectional=True).step(torch.zeros(2, 4), ()), "both ends"),
        (lambda: unspool.LSTM(4, 5, peephole=True), "does not take"),
    ],
)
def test_wrong_use_gets_a_sentence(call, sentence):
    with pytest.raises(ConfigError, match=sentence):
        call()


def test_one_hot_and_attention():
    assert OneHot(3)(torch.tensor([[0, 2]])).tolist() == [[[1, 0, 0], [0, 0, 1]]]
    attention = Attention(4, 6)
    inside = mask(torch.tensor([2, 5]), 5)
    query, memory = torch.randn(2, 3, 4), torch.randn(2, 5, 6)
    h, weights = attention(query, *attention.prepare(memory), inside)
    scores = (attention.score(query) @ memory.transpose(1, 2) / 6**0.5).masked_fill(~inside[:, None], -torch.inf)
    torch.testing.assert_close(weights, scores.softmax(2))
    torch.testing.assert_close(h, torch.tanh(attention.combine(torch.cat([query, weights @ memory], 2))))
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 3))
    assert not weights[0, :, 2:].any()


def test_it_lives_inside_a_users_own_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = unspool.LSTM(3, 8, layers=2), nn.Linear(8, 1)

        def forward(self, x, lengths):
            return self.out(self.rnn(x, lengths)[0])

    net = Net()
    net(torch.randn(2, 5, 3), torch.tensor([5, 3])).sum().backward()
    used = [p for name, p in net.named_parameters() if p.numel()]
    assert all(p.grad is not None for p in used)
    again = Net()
    again.load_state_dict(net.state_dict())


def test_dropout_drops_its_share_and_keeps_the_mean():
    x = torch.ones(200, 500, requires_grad=True)
    y = unspool.layers.dropout(x, 0.3, True)
    y.sum().backward()
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert y.mean().item() == pytest.approx(1, abs=0.01)
    assert torch.equal(x.grad, y)
    assert unspool.layers.dropout(x, 0.3, False) is x


@pytest.mark.parametrize("cell", [LSTM(peepholes=True), GRU(), GRU("before"), RNN(), MinGRU()], ids=repr)
@pytest.mark.parametrize(("weights", "bits"), [("bf16", 8), ("int8", 7)])
def test_rounded_weights_are_nearly_the_same(cell, weights, bits):
    if native.missing():
        pytest.skip("the native engine was not built")
    torch.manual_seed(0)
    layer, x, lengths = Recurrent(cell, 20, 33, layers=2).eval(), torch.randn(5, 9, 20), torch.tensor([9, 0, 4, 9, 1])
    exact, (a, *_) = layer(x, lengths)
    with torch.no_grad():
        assert layer.narrow("f32")(x, lengths)[0].equal(exact)
        y, state = layer.narrow(weights)(x, lengths)
        assert 0 < (y - exact).abs().max() < 8 * 2**-bits
        assert (state[0] - a).abs().max() < 8 * 2**-bits
        assert y[2, 4:].abs().sum() == y[1].abs().sum() == 0
        first, between = layer(x[:, :4])
        torch.testing.assert_close(torch.cat([first, layer(x[:, 4:], None, between)[0]], 1)[0], y[0])
        stream = layer.stream(5)
        torch.testing.assert_close(torch.stack([stream.step(x[:, t]) for t in range(9)], 1)[0], y[0])
    assert layer(x, lengths)[0].equal(exact)  # where something may be differentiated, nothing is rounded


def test_rounded_weights_follow_the_weights_and_are_not_copied():
    if native.missing():
        pytest.skip("the native engine was not built")
    torch.manual_seed(0)
    layer, other, x = Recurrent("gru", 5, 20).eval(), Recurrent("gru", 5, 20).eval(), torch.randn(2, 3, 5)
    with torch.no_grad():
        before = layer.narrow("int8")(x)[0]
        twin = pickle.loads(pickle.dumps(copy.deepcopy(layer)))
        layer.load_state_dict(other.state_dict())
        torch.testing.assert_close(layer(x)[0], other.narrow("int8")(x)[0])
        torch.testing.assert_close(twin(x)[0], before)
        for p in layer.parameters():
            p.add_(0.1)
        assert not layer(x)[0].equal(other(x)[0])
        assert layer(x[:0])[0].shape == (0, 3, 20)
        nn.utils.parametrizations.weight_norm(layer.stack[0], "U")
        before = layer(x)[0]
        layer.stack[0].parametrizations.U.original0.mul_(2)
        assert not layer(x)[0].equal(before)
        stream = other.stream(2)
        for wrong in (x.double(), x[:1], x[:, :, :4]):
            with pytest.raises(EngineError, match=r"takes float32 of \(2, 3, 5\) on the CPU"):
                stream.run(wrong)


@pytest.mark.parametrize("weights", ["f32", "bf16", "int8"])
def test_a_rounded_stream_keeps_rows_and_adds_its_input(weights):
    if native.missing():
        pytest.skip("the native engine was not built")
    torch.manual_seed(0)
    layer, x = Recurrent("lstm", 33, 33, layers=2, residual=True).eval().narrow(weights), torch.randn(5, 4, 33)
    with torch.no_grad():
        whole = layer(x)[0]
        stream = layer.stream(5)
        assert stream.run(x[:, :2]).equal(whole[:, :2])
        stream.keep(torch.tensor([3, 0, 3]))
        again = torch.stack([stream.step(x[[3, 0, 3], t]) for t in (2, 3)], 1)
        torch.testing.assert_close(again, whole[[3, 0, 3], 2:])


def test_int8_is_as_exact_as_its_scales():
    """What a unit of the plain network says, from rounded weights and inputs, against the same sums in plain numbers."""
    if native.missing():
        pytest.skip("the native engine was not built")
    torch.manual_seed(0)
    layer, x = Recurrent("rnn", 40, 17).eval(), torch.randn(1, 40) * torch.logspace(-2, 1, 40)
    W = layer.stack[0].W[0].detach()
    scale, unit = W.abs().amax(1, keepdim=True) / 127, x.abs().max() / 127
    expected = torch.tanh((torch.round(W / scale) * scale) @ (torch.round(x[0] / unit) * unit))
    torch.testing.assert_close(layer.narrow("int8").stream().step(x)[0], expected, rtol=1e-4, atol=1e-4)


def test_weights_that_cannot_be_rounded():
    with pytest.raises(ConfigError, match="did you mean 'int8'"):
        Recurrent("lstm", 3, 4).narrow("int4")
    with pytest.raises(ConfigError, match="this one is bidirectional"):
        Recurrent("lstm", 3, 4, bidirectional=True).narrow("int8")
    with torch.no_grad(), pytest.raises(EngineError, match="int8 weights are for the native engine, and this is reference"):
        Recurrent("lstm", 3, 4, engine="reference").eval().narrow("int8")(torch.zeros(1, 2, 3))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # of torch's own
def test_functional_transforms_and_forward_derivatives_are_those_of_the_equation():
    torch.manual_seed(0)
    x, direction = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    found = {}
    for name in ("auto", "reference"):
        torch.manual_seed(1)
        layer = unspool.GRU(3, 4, engine=name)
        _, tangent = torch.func.jvp(lambda z, layer=layer: layer(z)[0], (x,), (direction,))
        gradient = torch.func.grad(lambda z, layer=layer: layer(z)[0].square().sum())(x)
        found[name] = [tangent, gradient]
    assert found["auto"][0].abs().max() > 0
    torch.testing.assert_close(found["auto"], found["reference"])


def test_what_traces_a_call_sees_it():
    layer, x = unspool.LSTM(3, 4).eval(), torch.randn(2, 5, 3)
    with torch.no_grad():
        traced = make_fx(lambda z: layer(z)[0])(torch.zeros(2, 5, 3))
        torch.testing.assert_close(traced(x), layer(x)[0])


@pytest.mark.parametrize("cell", [LSTM(peepholes=True), GRU("before")], ids=repr)
def test_autocast_leaves_the_recurrence_in_its_precision(cell):
    layer, x, state = Recurrent(cell, 3, 4, layers=2), torch.randn(2, 5, 3), None
    truth, state = layer(x.bfloat16().float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = layer(x.bfloat16())
        layer(x.bfloat16(), None, tuple(s.bfloat16() for s in state))
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, truth)


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_what_lies_beyond_a_length_reaches_no_gradient(engine):
    layer, x, lengths = unspool.GRU(3, 4, engine=engine).double(), torch.randn(2, 5, 3).double(), torch.tensor([5, 2])
    x[1, 2:] = math.nan
    y, _ = layer(x, lengths)
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters() if p.numel())


@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_threads_share_a_rounded_stack(weights):
    if native.missing():
        pytest.skip("the native engine was not built")
    layer = unspool.LSTM(32, 64, layers=2).eval().narrow(weights)
    inputs = [torch.randn(4, 6, 32) for _ in range(24)]

    def answer(x):
        with torch.no_grad():
            return layer(x)[0]

    truth = [answer(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for found, expected in zip(pool.map(answer, inputs), truth, strict=True):
            assert found.equal(expected)


def test_int8_passes_on_what_is_no_number():
    if native.missing():
        pytest.skip("the native engine was not built")
    layer, x = unspool.LSTM(3, 20).eval().narrow("int8"), torch.randn(2, 4, 3)
    x[1, 2, 0] = math.nan
    with torch.no_grad():
        y, _ = layer(x)
    assert y[0].isfinite().all()
    assert y[1, :2].isfinite().all()
    assert y[1, 2:].isnan().all()


def test_conversions_keep_what_mode_a_module_is_in():
    layer = Recurrent.from_torch(torch.nn.LSTM(3, 4, 2, dropout=0.5, batch_first=True).eval())
    assert not layer.training
    assert not layer.to_torch().training
    assert layer.train().to_torch().training


def test_a_stream_of_another_engine_holds_a_state_of_its_own():
    stream, state = unspool.GRU(3, 4, engine="reference").eval().stream(), (torch.ones(1, 1, 4),)
    stream.state = state
    state[0].zero_()
    assert stream.state[0].min() == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (([[1.0]],), "expected x as a tensor of floats"),
        ((torch.ones(1, 2, 3, dtype=torch.int64),), "got torch.int64"),
        ((torch.zeros(1, 2, 3), [2]), "expected lengths as a tensor of whole numbers"),
        ((torch.zeros(1, 2, 3), (torch.zeros(1, 1, 4),)), "a state is given as state="),
        ((torch.zeros(1, 2, 3), None, (None,)), "expected a state of"),
    ],
)
def test_arguments_of_the_wrong_kind_get_a_sentence(arguments, why):
    with pytest.raises(ConfigError, match=why):
        unspool.GRU(3, 4)(*arguments)
    with pytest.raises(ConfigError, match="a cell is a name or an instance of a Cell"):
        Recurrent(GRU, 3, 4)
