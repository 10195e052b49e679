"""The continuous cache: a distribution, the same step by step as over the whole, and of use where text repeats."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from unspool.layers import Keys, Recurrent
from unspool.models import Bernoulli, OneToMany, language_model
from unspool.models.cache import SHARPNESS, Cache, KeyCache, SymbolCache

V, T, H = 5, 40, 6


def drawn(batch=2):
    torch.manual_seed(0)
    return torch.randn(batch, T, H), torch.randint(V, (batch, T)), torch.randn(batch, T, V)


@pytest.mark.parametrize("size", [1, 7, T, 3 * T])
def test_step_by_step_is_the_whole_and_the_formula(size):
    h, y, logits = drawn()
    own = -logits.log_softmax(2).gather(2, y[..., None])[..., 0]
    whole = Cache(size, 2, H, torch.empty(0)).nll(h, y, own)
    pieces = Cache(size, 2, H, torch.empty(0))
    torch.testing.assert_close(torch.cat([pieces.nll(*(t[:, a:b] for t in (h, y, own))) for a, b in ((0, 11), (11, T))], 1), whole)
    stream = Cache(size, 2, H, torch.empty(0))
    for t in range(T):
        found = stream.logits(h[:, t], logits[:, t])
        torch.testing.assert_close(found.logsumexp(1), logits[:, t].logsumexp(1))  # the scale is the model's own
        p = found.softmax(1)
        torch.testing.assert_close(-p.log().gather(1, y[:, t : t + 1])[:, 0], whole[:, t])
        for row in range(2):
            mass, total = 5.0 * math.exp(-own[row, t]), 5.0
            for i in range(max(0, t - size), t):
                w = math.exp(SHARPNESS * (float(normalize(h[row, t], dim=0) @ normalize(h[row, i], dim=0)) - 1))
                mass, total = mass + w * (y[row, i] == y[row, t]), total + w
            assert float(whole[row, t]) == pytest.approx(-math.log(mass / total), abs=1e-4)
        stream.add(h[:, t : t + 1], y[:, t : t + 1])


def test_rows_are_kept_and_all_is_forgotten():
    h, y, logits = drawn(3)
    cache, alone = Cache(T + 5, 3, H, torch.empty(0)), Cache(T + 5, 1, H, torch.empty(0))
    cache.add(h, y)
    alone.add(h[1:2], y[1:2])
    cache.keep(torch.tensor([1]))
    for one in (cache, alone):
        one.add(h[2:, :9], y[2:, :9])  # goes round the ring
    torch.testing.assert_close(cache.logits(h[1:2, 3], logits[1:2, 3]), alone.logits(h[1:2, 3], logits[1:2, 3]))
    cache.reset()
    torch.testing.assert_close(cache.logits(h[:1, 3], logits[:1, 3]), logits[:1, 3])


def test_a_language_model_streams_with_it_and_gains_where_text_repeats():
    torch.manual_seed(0)
    model = language_model(V, Recurrent("lstm", 4, 8), embedding=4, cache=30).eval()
    y = torch.randint(V, (1, 12)).repeat(1, 8)
    inputs = torch.cat([torch.zeros(1, 1, dtype=torch.long), y[:, :-1]], 1)
    with torch.no_grad():
        h, _ = model(inputs)
        own = model.head.nll(h, y)
        whole = model.memory().nll(h, y, own)
    assert whole.mean() < own.mean() - 0.5
    stream = model.stream(1)
    for _ in range(2):  # a second time after forgetting the first
        steps = [stream.step(inputs[:, t]).log_softmax(1)[0, y[0, t]] for t in range(y.shape[1])]
        torch.testing.assert_close(-torch.stack(steps), whole[0], atol=1e-4, rtol=1e-4)
        stream.reset()


def test_a_stream_goes_on_with_some_rows_and_from_another_state():
    torch.manual_seed(0)
    model = language_model(V, Recurrent("lstm", 4, 8), embedding=4, cache=30).double().eval()
    ids = torch.randint(V, (2, 20))
    both, alone = model.stream(2), model.stream(1)
    for t in range(10):
        both.step(ids[:, t]), alone.step(ids[1:, t])
    both.keep(torch.tensor([1]))
    for t in range(10, 20):
        torch.testing.assert_close(both.step(ids[1:, t]), alone.step(ids[1:, t]))
    both.state = alone.state = tuple(torch.zeros_like(s) for s in both.state)
    remembered = both._cache.now
    both.step(ids[1:, 0])
    assert both._cache.now == remembered  # the last symbol before did not lead to this one


def test_an_impossible_symbol_stays_finite():
    h, y, _ = drawn(1)
    assert Cache(9, 1, H, torch.empty(0)).nll(h[:, :1], y[:, :1], torch.full((1, 1), 200.0)).item() == pytest.approx(200, abs=1)


def test_a_cache_of_keys_is_its_equation_whole_in_pieces_and_step_by_step():
    torch.manual_seed(0)
    h, y, logits = torch.randn(2, T, H).double(), torch.randint(2, (2, T, 5)), torch.randn(2, T, 5).double()

    def made():
        return KeyCache(9, 2, H, torch.empty(0).double(), 0.3, 5)

    whole, pieces, stream = made().nll(h, y, logits), made(), made()
    parts = [pieces.nll(*(t[:, a:b] for t in (h, y, logits))) for a, b in ((0, 11), (11, T))]
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    for t in range(T):
        p = stream.logits(h[:, t], logits[:, t]).sigmoid()
        found = -torch.where(y[:, t] > 0, p, 1 - p).log().sum(1)
        torch.testing.assert_close(found, whole[:, t])
        for row in range(2):
            own, total = 0.3 * logits[row, t].sigmoid(), 0.3
            for i in range(max(0, t - 9), t):
                w = math.exp(SHARPNESS * (float(normalize(h[row, t], dim=0) @ normalize(h[row, i], dim=0)) - 1))
                own, total = own + w * y[row, i], total + w
            torch.testing.assert_close(p[row], own / total)
        stream.add(h[:, t : t + 1], y[:, t : t + 1])


def test_a_model_of_keys_streams_with_it_and_gains_where_music_repeats():
    torch.manual_seed(0)
    model = OneToMany(Keys(5, 2.0), Recurrent("lstm", 5, 8), Bernoulli(8, 5), cache=30, own=0.3).eval()
    y = torch.randint(2, (1, 12, 5)).repeat(1, 8, 1)
    inputs = torch.cat([torch.zeros(1, 1, 5), y[:, :-1]], 1)
    with torch.no_grad():
        h, _ = model(inputs)
        own, whole = model.head.nll(h, y), model.memory().nll(h, y, model.head(h))
    assert whole.mean() < own.mean() - 0.5
    stream = model.stream(1)
    steps = [stream.step(inputs[:, t]).sigmoid()[0] for t in range(y.shape[1])]
    found = [-torch.where(key > 0, p, 1 - p).log().sum() for p, key in zip(steps, y[0], strict=True)]
    torch.testing.assert_close(torch.stack(found), whole[0], atol=1e-4, rtol=1e-4)


def test_a_cache_of_what_follows_a_symbol_is_its_equation_whole_in_pieces_and_step_by_step():
    h, y, logits = drawn(2)
    own = -logits.log_softmax(2).gather(2, y[:, :, None])[:, :, 0]
    for size in (9, T + 5):

        def made(size=size):
            return SymbolCache(size, 2, H, torch.empty(0), 0.3)

        whole, pieces, stream = made().nll(h, y, own), made(), made()
        parts = [pieces.nll(*(t[:, a:b] for t in (h, y, own))) for a, b in ((0, 11), (11, T))]
        torch.testing.assert_close(torch.cat(parts, 1), whole)
        for t in range(T):
            p = stream.logits(h[:, t], logits[:, t]).softmax(1)
            torch.testing.assert_close(-p.log().gather(1, y[:, t : t + 1])[:, 0], whole[:, t])
            for row in range(2):
                mass, total = 0.3 * math.exp(-own[row, t]), 0.3
                for i in range(max(0, t - size), t):
                    if t and i and y[row, i - 1] == y[row, t - 1]:
                        w = math.exp(SHARPNESS * (float(normalize(h[row, t], dim=0) @ normalize(h[row, i], dim=0)) - 1))
                        mass, total = mass + w * (y[row, i] == y[row, t]), total + w
                assert float(whole[row, t]) == pytest.approx(-math.log(mass / total), abs=1e-4)
            stream.add(h[:, t : t + 1], y[:, t : t + 1])
    both, alone = made(), SymbolCache(T + 5, 1, H, torch.empty(0), 0.3)
    both.add(h, y)
    alone.add(h[1:], y[1:])
    both.keep(torch.tensor([1]))
    torch.testing.assert_close(both.logits(h[1:, 5], logits[1:, 5]), alone.logits(h[1:, 5], logits[1:, 5]))
    both.reset()
    torch.testing.assert_close(both.logits(h[1:, 5], logits[1:, 5]), logits[1:, 5])
