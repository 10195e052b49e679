import itertools
import math

import pytest
import torch

from unspool.errors import ConfigError
from unspool.layers import Recurrent
from unspool.layers.frontend import LogMel
from unspool.models.ctc import BLANK, CTC, align
from unspool.models.listener import Listener
from unspool.models.transducer import Transducer, transducer_nll
from unspool.sequences import Sequences


def collapsed(path):
    return tuple(s for s, _ in itertools.groupby(path) if s != BLANK)


def test_ctc_is_the_sum_over_all_paths():
    head, h = CTC(4, 3), torch.randn(1, 4, 4)
    log_probs = head.log_probs(h)[0]
    for y in [(1,), (1, 2), (1, 1), (2, 1, 2)]:
        paths = [p for p in itertools.product(range(3), repeat=4) if collapsed(p) == y]
        expected = -torch.logsumexp(torch.stack([sum(log_probs[t, s] for t, s in enumerate(p)) for p in paths]), 0)
        found = head.nll(h, torch.tensor([4]), torch.tensor([y]), torch.tensor([len(y)]))
        torch.testing.assert_close(found[0], expected)


def test_the_likeliest_alignment_is_found():
    log_probs = torch.randn(5, 4).log_softmax(1)
    for symbols in ([1], [1, 2], [3, 3], [2, 1, 2]):
        best = max(
            (p for p in itertools.product(range(4), repeat=5) if collapsed(p) == tuple(symbols)),
            key=lambda p: sum(float(log_probs[t, s]) for t, s in enumerate(p)),
        )
        runs = [(s, len(list(g))) for s, g in itertools.groupby(best)]
        spans, at = [], 0
        for symbol, length in runs:
            if symbol != BLANK:
                spans.append((at, at + length))
            at += length
        assert align(log_probs, symbols) == spans


def test_too_few_steps_cannot_be_aligned():
    with pytest.raises(ValueError, match="2 steps are too few for 2 symbols"):
        align(torch.zeros(2, 3), [1, 1])


def brute(blank, emit, T, U):
    """The sum over all orders of T moves in time and U symbols that end with nothing."""
    total = -math.inf
    for places in itertools.combinations(range(T + U - 1), U):
        t = u = 0
        score = 0.0
        for n in range(T + U - 1):
            if n in places:
                score += float(emit[t, u])
                u += 1
            else:
                score += float(blank[t, u])
                t += 1
        total = float(torch.logaddexp(torch.tensor(total), torch.tensor(score + float(blank[T - 1, U]))))
    return -total


def test_the_transducer_loss_is_the_sum_over_all_ways():
    torch.manual_seed(1)
    blank, emit = -torch.rand(3, 4, 4) * 3, -torch.rand(3, 4, 3) * 3
    lengths, said = torch.tensor([4, 3, 1]), torch.tensor([3, 1, 0])
    found = transducer_nll(blank, emit, lengths, said)
    for row in range(3):
        assert float(found[row]) == pytest.approx(brute(blank[row], emit[row], int(lengths[row]), int(said[row])), abs=1e-4)


def test_the_transducer_loss_has_the_right_gradient():
    torch.manual_seed(2)
    blank, emit = (-torch.rand(2, 3, n, dtype=torch.float64) for n in (3, 2))
    blank.requires_grad_()
    emit.requires_grad_()
    lengths, said = torch.tensor([3, 2]), torch.tensor([2, 1])
    assert torch.autograd.gradcheck(lambda b, e: transducer_nll(b, e, lengths, said), (blank, emit))


def test_a_transducer_gives_one_to_all_ways_to_write_symbols():
    """Over all texts of up to three symbols the probabilities come near 1, where few symbols are likely."""
    torch.manual_seed(0)
    head = Transducer(4, 5, size=6)
    with torch.no_grad():
        head.out.bias[BLANK] = 3.0
        h = torch.randn(1, 2, 4)
        total = 0.0
        for length in range(4):
            for y in itertools.product(range(1, 5), repeat=length):
                ids = torch.tensor([y], dtype=torch.long).reshape(1, length)
                total += math.exp(-float(head.nll(h, torch.tensor([2]), ids, torch.tensor([length]))[0]))
    assert 0.9 < total <= 1.0001


def listener(**options):
    bidirectional = options.pop("bidirectional", False)
    stack = Recurrent("gru", 6, 8, layers=2, bidirectional=bidirectional)
    return Listener(LogMel(8000, 12), stack, **options).eval()


def test_a_batch_is_heard_as_each_recording():
    model = listener(bidirectional=True)
    values = [torch.randn(3000) * 0.1, torch.randn(1717) * 0.1]
    both = model(Sequences.collate(values))
    for row, alone in enumerate(values):
        h = model(Sequences.collate([alone]))
        assert int(both.lengths[row]) == int(h.lengths[0]) == model.steps(len(alone))
        torch.testing.assert_close(both.values[row, : int(h.lengths[0])], h.values[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("ahead", [0, 4])
@pytest.mark.parametrize("sizes", [[4000], [1, 255, 1, 300, 77, 1000, 80, 2286], [800] * 5])
def test_a_stream_is_heard_as_the_whole(ahead, sizes):
    model, values = listener(ahead=ahead), torch.randn(4000) * 0.1
    stream, at, found = model.stream(), 0, []
    for size in sizes:
        found.append(stream.push(values[at : at + size]))
        at += size
    found.append(stream.finish())
    whole = model(Sequences.collate([values])).values[0]
    torch.testing.assert_close(torch.cat(found), whole, atol=1e-5, rtol=1e-4)


def test_how_far_a_stream_looks_ahead():
    model = listener(ahead=4)
    values = torch.randn(8000) * 0.1
    base = model(Sequences.collate([values])).values[0]
    step = 20
    limit = int((model.middle(step) + model.look_ahead) * 8000)
    later, sooner = values.clone(), values.clone()
    later[limit + 1 :] += 1.0
    sooner[limit - 160 :] += 1.0
    assert torch.allclose(model(Sequences.collate([later])).values[0, step], base[step], atol=1e-5)
    assert not torch.allclose(model(Sequences.collate([sooner])).values[0, step], base[step], atol=1e-5)


def test_a_bidirectional_model_refuses_to_stream():
    with pytest.raises(ConfigError, match="cannot stream; train with --streaming"):
        listener(bidirectional=True).stream()
