"""The largest of rows and the logarithms of their sums, as decoding asks for them."""

import pytest
import torch

from unspool.engines import native


@pytest.mark.parametrize("symbols", [1, 5, 64, 131, 1000])
def test_they_are_those_of_torch(symbols):
    torch.manual_seed(0)
    x = torch.randn(3, 400, symbols) * 8
    count = min(7, symbols)
    torch.testing.assert_close(native.logsumexp(x), x.logsumexp(-1))
    values, places = native.topk(x, count)
    torch.testing.assert_close(values, x.topk(count).values)
    torch.testing.assert_close(x.gather(-1, places), values)
    assert all(len(set(row)) == count for row in places.flatten(0, 1).tolist())


def test_what_is_forbidden_is_not_chosen():
    x = torch.full((2, 100), -torch.inf)
    x[0, 70], x[0, 3], x[1, 99] = 2.0, 2.0, 1.0
    values, places = native.topk(x, 3)
    assert values.tolist() == [[2.0, 2.0, -torch.inf], [1.0, -torch.inf, -torch.inf]]
    assert places[0, :2].tolist() == [3, 70]  # the first of equals first
    assert places[1, 0] == 99
    torch.testing.assert_close(native.logsumexp(x), x.logsumexp(-1))
    assert native.logsumexp(torch.full((1, 80), -torch.inf)).item() == -torch.inf
    assert native.logsumexp(torch.tensor([[1.0, torch.nan] * 40])).isnan().all()


def test_other_numbers_are_left_to_torch():
    x = torch.randn(4, 30, dtype=torch.float64)
    torch.testing.assert_close(native.topk(x, 2), tuple(x.topk(2)))
    torch.testing.assert_close(native.logsumexp(x.T), x.T.logsumexp(-1))
