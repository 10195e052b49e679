"""The loss of a vocabulary and its gradient, against torch."""

import pytest
import torch
import torch.nn.functional as F

from unspool.engines import native
from unspool.errors import EngineError


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("rows", "symbols"), [(1, 2), (5, 16), (7, 131), (300, 1000)])
def test_it_is_that_of_torch(rows, symbols, smoothing, two_threads):
    torch.manual_seed(0)
    x = (torch.randn(rows, symbols) * 5).requires_grad_()
    y = torch.randint(symbols, (rows,))
    truth = F.cross_entropy(x * 1, y, reduction="sum", label_smoothing=smoothing)
    (wanted,) = torch.autograd.grad(truth / 3, x)
    loss = native.cross_entropy(x * 1, y, smoothing)
    torch.testing.assert_close(loss, truth, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(torch.autograd.grad(loss / 3, x)[0], wanted, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(native.cross_entropy(x, y, smoothing), truth)  # and x is left as it was
    torch.testing.assert_close(native.cross_entropy(x, y, smoothing), truth)


def test_what_is_no_number_stays_none():
    x = torch.tensor([[1.0, torch.nan, 2.0]], requires_grad=True)
    assert native.cross_entropy(x * 1, torch.tensor([0])).isnan()


def test_targets_are_symbols_side_by_side_or_not():
    x, y = torch.randn(4, 30, requires_grad=True), torch.arange(8)[::2]
    torch.testing.assert_close(native.cross_entropy(x * 1, y), F.cross_entropy(x, y, reduction="sum"))
    for wrong in (torch.tensor([0, 1, 2, 30]), torch.tensor([-1, 0, 0, 0])):
        with pytest.raises(EngineError, match="targets lie between 0 and 29"):
            native.cross_entropy(x * 1, wrong)
    with pytest.raises(EngineError, match="targets are int64 of"):
        native.cross_entropy(x * 1, y[:3])
