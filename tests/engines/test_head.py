"""The likeliest symbols of an output, as decoding asks for them."""

import pytest
import torch

from unspool.engines.native import Head
from unspool.errors import EngineError


@pytest.mark.parametrize(("rows", "size", "symbols"), [(1, 3, 2), (3, 16, 16), (7, 20, 131), (330, 40, 1000), (2, 513, 33)])
def test_they_are_those_of_torch(rows, size, symbols, two_threads):
    torch.manual_seed(0)
    weights, bias, x = torch.randn(symbols, size), torch.randn(symbols), torch.randn(rows, 2, size) * 3 / size**0.5
    count, forbidden = min(7, symbols - 1), (1,)
    log_probs = (x @ weights.T + bias).log_softmax(-1)
    log_probs[..., 1] = -torch.inf
    values, places = Head(weights, bias).best(x, count, forbidden)
    torch.testing.assert_close(values, log_probs.topk(count).values, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(log_probs.gather(-1, places), values, rtol=1e-5, atol=1e-5)
    assert all(len(set(row)) == count for row in places.flatten(0, 1).tolist())


def test_equals_large_numbers_and_what_is_forbidden():
    head = Head(torch.zeros(40, 4), torch.zeros(40))
    values, places = head.best(torch.randn(2, 4), 3, (0, 2))
    assert places.tolist() == [[1, 3, 4]] * 2  # the first of equals first
    torch.testing.assert_close(values, torch.full((2, 3), 1 / 40).log())
    steep = Head(torch.arange(40.0)[:, None] * 1000, torch.zeros(40))
    values, places = steep.best(torch.tensor([[1.0], [-1.0]]), 1)
    assert places.tolist() == [[39], [0]]
    assert values.tolist() == [[0.0], [0.0]]
    values, places = head.best(torch.randn(1, 4), 3, range(39))
    assert places[0, 0] == 39
    assert values[0, 1:].tolist() == [-torch.inf] * 2


def test_threads_share_the_symbols_and_the_first_of_equals_is_still_first(two_threads):
    head = Head(torch.ones(100, 40), torch.zeros(100))
    values, places = head.best(torch.randn(400, 40), 5)
    assert places.tolist() == [[0, 1, 2, 3, 4]] * 400
    torch.testing.assert_close(values, torch.full((400, 5), 1 / 100).log(), rtol=1e-5, atol=1e-5)


def test_refusals():
    head = Head(torch.zeros(5, 4), torch.zeros(5))
    with pytest.raises(EngineError, match=r"takes float32 of \(\.\.\., 4\) on the CPU"):
        head.best(torch.zeros(2, 3), 1)
    with pytest.raises(EngineError, match="there are 5 symbols, of which 6 cannot"):
        head.best(torch.zeros(2, 4), 6)
    assert head.best(torch.zeros(0, 4), 2)[0].shape == (0, 2)
