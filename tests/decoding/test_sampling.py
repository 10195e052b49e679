import pytest
import torch

from unspool.decoding.sampling import Sampling, generate, pick
from unspool.errors import ConfigError

LOGITS = torch.tensor([[0.0, 1.0, 2.0, 3.0]]).repeat(4000, 1)


def drawn(**how):
    chosen = pick(LOGITS, Sampling(**how), how.get("written"), torch.Generator().manual_seed(0))
    return torch.bincount(chosen, minlength=4) / 4000


def test_temperature():
    torch.testing.assert_close(drawn(), LOGITS[0].softmax(0), atol=0.03, rtol=0)
    torch.testing.assert_close(drawn(temperature=2.0), (LOGITS[0] / 2).softmax(0), atol=0.03, rtol=0)
    assert drawn(temperature=0.0).tolist() == [0, 0, 0, 1]


def test_top_k_and_top_p():
    assert (drawn(top_k=2) > 0).tolist() == [False, False, True, True]
    assert (drawn(top_p=0.5) > 0).tolist() == [False, False, False, True]  # the likeliest alone has 0.64
    assert (drawn(top_p=0.7) > 0).tolist() == [False, False, True, True]


def test_repetition_penalty():
    written = torch.zeros(4000, 4, dtype=torch.bool)
    written[:, 3] = True
    before, after = drawn(), pick(LOGITS, Sampling(repetition_penalty=1.5), written, torch.Generator().manual_seed(0))
    assert (after == 3).float().mean() < before[3] - 0.1


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_k": -1}, {"top_p": 0.0}, {"repetition_penalty": 0}])
def test_wrong_options_help(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Sampling(**wrong)


class Counter:
    """A model that counts: after symbol k the likeliest is k + 1. It is its own stream."""

    device = torch.device("cpu")

    def stream(self, batch=1):
        self.rows = batch
        return self

    def keep(self, rows):
        self.rows = len(rows)

    def step(self, ids):
        assert len(ids) == self.rows
        logits = torch.full((len(ids), 10), -50.0)
        logits[torch.arange(len(ids)), (ids + 1) % 10] = 0.0
        return logits


def test_the_prompt_is_kept_and_the_end_ends():
    options = {"begin": 0, "how": Sampling(), "limit": 20}
    assert generate(Counter(), [3, 4], 2, end=8, **options) == [[3, 4, 5, 6, 7]] * 2
    assert generate(Counter(), [], 1, end=None, **{**options, "limit": 4}) == [[1, 2, 3, 4]]
    assert generate(Counter(), [3], 1, end=9, done=lambda ids: ids[-1] == 5, **options) == [[3, 4, 5]]


def test_forbidden_symbols_never_come_and_the_seed_decides():
    class Uniform(Counter):
        def step(self, ids):
            return torch.zeros(len(ids), 10)

    def draw(seed):
        return generate(Uniform(), [], 5, begin=0, end=9, forbidden=[0, 1, 2], limit=30, how=Sampling(), seed=seed)

    assert draw(1) == draw(1) != draw(2)
    assert not {0, 1, 2, 9} & {i for row in draw(1) for i in row}
    assert len({len(row) for row in draw(1)}) > 1
