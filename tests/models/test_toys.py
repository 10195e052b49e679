"""Each architecture learns a toy to the end."""

import pytest
import torch

from unspool.errors import ConfigError
from unspool.layers import Embedding, OneHot, Recurrent
from unspool.models import Bernoulli, Categorical, EncoderDecoder, ManyToMany, ManyToOne, language_model
from unspool.sequences import Sequences

SYMBOLS = 6


def learn(model, loss, steps, rate=1e-2):
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()


def batch(n=32, longest=7, symbols=SYMBOLS):
    lengths = torch.randint(2, longest + 1, (n,))
    return Sequences(torch.randint(2, symbols, (n, longest)), lengths)


def inside(b):
    return torch.arange(b.values.shape[1]) < b.lengths[:, None]


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_many_to_one_counts_parity(pooling):
    bidirectional = pooling == "last"
    stack = Recurrent("gru", 2, 24, bidirectional=bidirectional)
    model = ManyToOne(OneHot(2), stack, Categorical(stack.output_size, 2), pooling=pooling)

    def sample(n=64):
        b = Sequences(torch.randint(0, 2, (n, 5)), torch.randint(1, 6, (n,)))
        return b, (b.values * inside(b)).sum(1) % 2

    learn(model, lambda: model.nll(*sample()).mean(), 400)
    b, y = sample(500)
    assert (model.head(model(b)).argmax(1) == y).float().mean() >= 0.99


def test_many_to_many_tags_what_came_before():
    stack = Recurrent("lstm", 8, 24)
    model = ManyToMany(Embedding(SYMBOLS, 8), stack, Categorical(24, SYMBOLS))

    def tagged(n=32):
        b = batch(n)
        return b, b.values.roll(1, 1).index_fill(1, torch.tensor([0]), 0)  # the tag is the symbol before

    learn(model, lambda: model.nll(*tagged()).mean(), 250)
    b, y = tagged(200)
    assert (model.head(model(b)[0]).argmax(2) == y)[inside(b)].all()


def test_one_to_many_learns_a_cycle():
    model = language_model(SYMBOLS, Recurrent("rnn", 8, 16), embedding=8, tied=True)
    text = torch.arange(60) % 4 + 2

    def loss():
        nll, _ = model.nll(text[None, :-1], text[None, 1:])
        return nll.mean()

    learn(model, loss, 150)
    ids, stream, seen = torch.tensor([2]), model.eval().stream(), []
    for _ in range(6):
        ids = stream.step(ids).argmax(1)
        seen.append(int(ids))
    assert seen == [3, 4, 5, 2, 3, 4]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_encoder_decoder_reverses(bidirectional):
    encoder = Recurrent("gru", 12, 32, bidirectional=bidirectional)
    model = EncoderDecoder(
        Embedding(SYMBOLS, 12), encoder, Embedding(SYMBOLS, 12), Recurrent("gru", 12, 32), Categorical(32, SYMBOLS)
    )

    def reversal(n=64):
        b = Sequences(torch.randint(2, SYMBOLS, (n, 5)), torch.full((n,), 5))
        y = b.values.flip(1)
        return b, torch.cat([torch.ones(n, 1, dtype=torch.long), y[:, :-1]], 1), y

    learn(model, lambda: model.nll(*reversal()).mean(), 300)
    b, _, y = reversal(100)
    memory = model.encode(b)
    ids, state, out = torch.ones(100, dtype=torch.long), memory.state, []
    for _ in range(5):
        logits, state, weights = model.step(memory, ids, state)
        ids = logits.argmax(1)
        out.append(ids)
    assert (torch.stack(out, 1) == y).float().mean() > 0.99
    torch.testing.assert_close(weights.sum(1), torch.ones(100))


def test_teacher_forcing_equals_step_by_step():
    model = EncoderDecoder(Embedding(5, 3), Recurrent("lstm", 3, 4), Embedding(5, 3), Recurrent("lstm", 3, 4), Categorical(4, 5))
    b, inputs = Sequences(torch.tensor([[1, 2, 3], [4, 1, 0]]), torch.tensor([3, 2])), torch.tensor([[1, 2], [3, 4]])
    memory = model.encode(b)
    whole = model.head(model(memory, inputs)[0])
    state = memory.state
    for t in range(2):
        logits, state, _ = model.step(memory, inputs[:, t], state)
        torch.testing.assert_close(logits, whole[:, t])


def test_a_tied_head_shares_the_matrix_and_projects():
    model = language_model(50, Recurrent("lstm", 8, 16), embedding=8, tied=True)
    assert model.head.out.weight is model.embed.weight
    assert model(torch.zeros(1, 2, dtype=torch.long))[0].shape == (1, 2, 16)


def test_a_head_draws_what_it_believes_and_what_is_allowed():
    head, h = Categorical(3, 4), torch.zeros(2000, 3)
    with torch.no_grad():
        head.out.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]).log())
    share = torch.bincount(head.sample(h), minlength=4) / 2000
    torch.testing.assert_close(share, torch.tensor([0.1, 0.2, 0.3, 0.4]), atol=0.05, rtol=0)
    allowed = torch.tensor([True, False, False, True]).expand(2000, 4)
    assert set(head.sample(h, allowed).tolist()) == {0, 3}
    keys = Bernoulli(3, 5)
    drawn = keys.sample(h, torch.tensor([1.0, 0, 1, 1, 1]).expand(2000, 5))
    assert not drawn[:, 1].any()
    torch.testing.assert_close(keys.nll(h[:1], torch.ones(1, 5)), -keys(h[:1]).sigmoid().log().sum(1))


def test_wrong_use_gets_a_sentence():
    with pytest.raises(ConfigError, match="pooling is one of last, mean, max"):
        ManyToOne(OneHot(2), Recurrent("gru", 2, 3), Categorical(3, 2), pooling="first")
    with pytest.raises(ConfigError, match="the same states"):
        EncoderDecoder(OneHot(2), Recurrent("gru", 2, 3), OneHot(2), Recurrent("lstm", 2, 3), Categorical(3, 2))
