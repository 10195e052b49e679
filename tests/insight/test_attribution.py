"""Attributions: exact for what is left out, complete along the way, and the same on every engine."""

import pytest
import torch

from unspool.insight import integrated_gradients, leave_one_out
from unspool.insight.attribution import steps_left_out
from unspool.layers import Embedding, Recurrent
from unspool.models import ManyToOne, Ordinal
from unspool.sequences import Sequences


@pytest.fixture(params=["native", "torch", "reference"])
def model(request):
    from unspool.engines import native

    if request.param == "native" and native.isa() is None:
        pytest.skip("the native engine was not built")
    torch.manual_seed(0)
    stack = Recurrent("lstm", 6, 8, bidirectional=True, engine=request.param)
    return ManyToOne(Embedding(20, 6), stack, Ordinal(16, 5), pooling="attention").eval()


def test_shares_sum_to_the_difference(model):
    ids = torch.tensor([3, 7, 7, 2, 11, 5])
    x = model.embed(ids[None])[0].detach()

    def answer(inputs):
        return model.head.log_probs(model.read(inputs, torch.full((len(inputs),), len(ids))))[:, 3]

    shares = integrated_gradients(answer, x)
    assert shares.shape == (6,)
    whole = answer(torch.stack([x, torch.zeros_like(x)])).detach()
    assert shares.sum().item() == pytest.approx((whole[0] - whole[1]).item(), rel=0.01, abs=1e-3)


def test_leaving_out_is_exact(model):
    ids = torch.tensor([3, 7, 2, 11])

    def answer(batch):
        return model.head.log_probs(model(batch))[:, 1]

    found = leave_one_out(answer, ids)
    for t in range(4):
        rest = torch.cat([ids[:t], ids[t + 1 :]])
        by_hand = answer(Sequences.collate([ids])) - answer(Sequences.collate([rest]))
        assert found[t].item() == pytest.approx(by_hand.item(), abs=1e-5)
    assert leave_one_out(answer, ids[:1]).tolist() == [0]


def test_more_points_are_taken_where_the_answer_jumps():
    x = torch.ones(3, 2)

    def answer(inputs):
        return torch.sigmoid(12 * (inputs.sum((1, 2)) - 1.7))

    seen = []
    shares = integrated_gradients(lambda inputs: (seen.append(len(inputs)), answer(inputs))[1], x)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, rel=0.02)
    assert max(sum(seen[:n]) for n in range(len(seen))) > 16


def test_a_place_that_an_answer_is_about_stays_where_it_is():
    x = torch.tensor([[1.0], [2.0], [4.0]])
    assert steps_left_out(lambda inputs: inputs[:, 2, 0] + inputs.sum((1, 2)), x, silent=True).tolist() == [1, 2, 8]
