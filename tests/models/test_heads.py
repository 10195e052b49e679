"""Heads over keys: probabilities sum to one, what is drawn has them, and nothing else than h and the earlier keys is asked."""

import itertools

import numpy as np
import pytest
import torch

from unspool.models import NADE, Bernoulli, Ordinal

KEYS = 5


def heads():
    torch.manual_seed(1)
    made = [Bernoulli(3, KEYS), NADE(3, KEYS, units=4)]
    for head in made:
        for p in head.parameters():
            torch.nn.init.normal_(p)
    return made


@pytest.mark.parametrize("head", heads(), ids=["bernoulli", "nade"])
def test_all_chords_together_have_probability_one(head):
    h = torch.randn(3)
    chords = torch.tensor(list(itertools.product((0, 1), repeat=KEYS)), dtype=torch.uint8)
    p = (-head.nll(h.expand(len(chords), 3), chords)).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-5)
    assert head.nlls(h.expand(len(chords), 3), chords).shape == chords.shape
    drawn = head.sample(h.expand(40_000, 3), rng=torch.Generator().manual_seed(0))
    index = (drawn.long() * 2 ** torch.arange(KEYS - 1, -1, -1)).sum(1)
    found = torch.bincount(index, minlength=len(chords)) / len(drawn)
    assert (found - p).abs().max() < 0.01
    for state in torch.randn(20, 3):
        p = (-head.nll(state.expand(len(chords), 3), chords)).exp()
        left = torch.ones(len(chords), dtype=torch.bool)  # what agrees with the answers so far, from the last key down
        for key in reversed(range(KEYS)):
            on = p[left & (chords[:, key] == 1)].sum() > p[left & (chords[:, key] == 0)].sum()
            left &= chords[:, key] == on
        assert torch.equal(head.sample(state[None], temperature=0.0), chords[left].float())
    shut = head.sample(h.expand(500, 3), torch.tensor([1, 0, 1, 0, 1]).expand(500, KEYS))
    assert shut[:, [1, 3]].sum() == 0
    assert shut.sum() > 0


def test_nade_is_the_equation_of_its_docstring():
    head = heads()[1].double()
    h, y = torch.randn(7, 3, dtype=torch.float64), torch.randint(0, 2, (7, KEYS))
    total = torch.zeros(7, dtype=torch.float64)
    for n, chord in enumerate(y.flip(1).double()):
        for k in range(KEYS):
            hidden = head.condition(h[n]) + sum(chord[j] * head.W[j] for j in range(k))
            logit = head.out(h[n])[k] + head.V[k] @ torch.sigmoid(hidden) + sum(chord[j] * head.A[j, k] for j in range(k))
            total[n] -= torch.nn.functional.logsigmoid(logit if chord[k] else -logit)
    assert torch.allclose(head.nll(h, y), total)
    assert torch.autograd.gradcheck(lambda x: head.nll(x, y), (h.requires_grad_(),))
    assert head.nll(h[None], torch.zeros(1, 7, KEYS)).shape == (1, 7)  # silence has no ones to look up


@pytest.mark.parametrize("kind", [Bernoulli, NADE])
def test_expected_frequencies_are_what_is_drawn_at_first(kind):
    torch.manual_seed(0)
    head, p = kind(3, KEYS), torch.tensor([0.1, 0.5, 0.02, 0.9, 0.3])
    head.expect(p)
    drawn = head.sample(torch.zeros(20_000, 3))
    assert np.allclose(drawn.detach().mean(0), p, atol=0.03)


def test_ordinal_probabilities():
    torch.manual_seed(0)
    head, h = Ordinal(4, 5).double(), torch.randn(9, 4, dtype=torch.float64) * 3
    torch.nn.init.normal_(head.spread.weight, std=0.2)
    p = head.log_probs(h).exp()
    assert torch.allclose(p.sum(1), torch.ones(9, dtype=torch.float64))
    above = torch.sigmoid((head.score(h) - head.borders) / head.spread(h).exp())
    assert torch.allclose(p[:, 1:].flip(1).cumsum(1).flip(1), above)
    y = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2, 3])
    assert torch.allclose(head.nll(h, y), -p[torch.arange(9), y].log())
    assert torch.autograd.gradcheck(lambda x: head.nll(x, y), (h.requires_grad_(),))
    far = head.nll(torch.full((1, 4), 300.0, dtype=torch.float64), torch.tensor([0]))
    assert torch.isfinite(far).all()
    shares = torch.tensor([0.1, 0.4, 0.2, 0.25, 0.05], dtype=torch.float64)
    head.expect(shares)
    assert torch.allclose(head.log_probs(torch.zeros(1, 4, dtype=torch.float64)).exp()[0], shares, atol=1e-6)
    assert (head.borders.diff() > 0).all()


@pytest.mark.parametrize("head", heads(), ids=["bernoulli", "nade"])
def test_a_key_is_judged_by_itself_or_by_those_above_it(head):
    h, y = torch.randn(1, 3), torch.tensor([[1, 0, 1, 1, 0]])
    before = head.nlls(h, y)
    torch.testing.assert_close(before.sum(-1), head.nll(h, y))
    for key in range(KEYS):
        other = y.clone()
        other[0, key] = 1 - y[0, key]
        changed = (head.nlls(h, other) - before)[0].abs() > 1e-6
        assert changed[key]
        assert not changed[key + 1 :].any()
