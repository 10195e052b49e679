"""Beam search: one beam is greedy, many find the best, and scores are the model's own."""

import itertools

import pytest
import torch

from unspool.decoding.beam import beam_search
from unspool.errors import ConfigError
from unspool.layers import Embedding, Recurrent
from unspool.models import Categorical, EncoderDecoder
from unspool.sequences import Sequences

SYMBOLS, BEGIN, END = 6, 2, 3


@pytest.fixture(params=["native", "torch"])
def model(request):
    from unspool.engines import native

    if request.param == "native" and native.isa() is None:
        pytest.skip("the native engine was not built")
    torch.manual_seed(3)
    options = {"engine": request.param}
    encoder, decoder = Recurrent("lstm", 5, 4, bidirectional=True, **options), Recurrent("lstm", 5, 8, **options)
    made = EncoderDecoder(Embedding(SYMBOLS, 5), encoder, Embedding(SYMBOLS, 5), decoder, Categorical(8, SYMBOLS)).eval()
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(2.0)
    return made


SOURCES = Sequences(torch.tensor([[4, 5, 4, 1], [5, 5, 0, 0], [4, 1, 5, 0]]), torch.tensor([4, 2, 3]))


@torch.no_grad()
def own(model, row, ids, ended=True):
    """The model's own log-probability of ids, and of the end."""
    source = Sequences(SOURCES.values[row : row + 1, : SOURCES.lengths[row]], SOURCES.lengths[row : row + 1])
    targets = torch.tensor([[*ids, END] if ended else ids])
    inputs = torch.cat([torch.tensor([[BEGIN]]), targets[:, :-1]], 1)
    return -float(model.nll(source, inputs, targets).sum())


def search(model, limit=5, **options):
    writer = model.write(model.encode(SOURCES), options.get("beams", 5))
    return beam_search(writer, torch.full((3,), limit), begin=BEGIN, end=END, **options)


def test_scores_are_the_models_own(model):
    for row, found in enumerate(search(model, beams=4)):
        assert 1 <= len(found) <= 4
        assert len({tuple(h.ids) for h in found}) == len(found)
        for h in found:
            total = own(model, row, h.ids, h.ended)
            assert h.log_probability == pytest.approx(total, abs=1e-4)
            assert h.score == pytest.approx(total / ((5 + len(h.ids) + h.ended) / 6), abs=1e-4)
            assert h.looked.shape == (len(h.ids), 4)
            source = Sequences(SOURCES.values[row : row + 1, : SOURCES.lengths[row]], SOURCES.lengths[row : row + 1])
            with torch.no_grad():
                looked = model(model.encode(source), torch.tensor([[BEGIN, *h.ids]]))[1][0, : len(h.ids)]
            assert torch.allclose(h.looked[:, : SOURCES.lengths[row]], looked, atol=1e-5)
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_one_beam_is_greedy(model):
    for row, (best,) in enumerate(search(model, beams=1)):
        ids, state, memory = (
            [],
            None,
            model.encode(Sequences(SOURCES.values[row : row + 1, : SOURCES.lengths[row]], SOURCES.lengths[row : row + 1])),
        )
        state, last = memory.state, BEGIN
        for _ in range(5):
            with torch.no_grad():
                logits, state, _ = model.step(memory, torch.tensor([last]), state)
            last = int(logits.argmax())
            if last == END:
                break
            ids.append(last)
        assert best.ids == ids


def test_enough_beams_find_the_likeliest_of_all(model):
    for row, found in enumerate(search(model, limit=3, beams=60, length_penalty=0.0)):
        ways = [w for n in range(4) for w in itertools.product([i for i in range(SYMBOLS) if i != END], repeat=n)]
        ended = {w: own(model, row, w) for w in ways if len(w) < 3}
        best = max(ended, key=ended.__getitem__)
        first = next(h for h in found if h.ended)
        assert tuple(first.ids) == best
        assert first.log_probability == pytest.approx(ended[best], abs=1e-4)


def test_a_batch_is_its_inputs_one_by_one(model):
    together = search(model, beams=3)
    for row in range(3):
        source = Sequences(SOURCES.values[row : row + 1, : SOURCES.lengths[row]], SOURCES.lengths[row : row + 1])
        (alone,) = beam_search(model.write(model.encode(source), 3), torch.tensor([5]), begin=BEGIN, end=END, beams=3)
        assert [h.ids for h in alone] == [h.ids for h in together[row]]


def test_what_is_forbidden_and_what_would_repeat(model):
    for found in search(model, limit=12, beams=3, forbidden=(0, 1)):
        assert not any({0, 1} & set(h.ids) for h in found)
    for found in search(model, limit=14, beams=3, no_repeat=2):
        for h in found:
            pairs = list(itertools.pairwise([BEGIN, *h.ids]))
            assert len(set(pairs)) == len(pairs)
    with pytest.raises(ConfigError, match="beams must be at least 1"):
        search(model, beams=0)
    with pytest.raises(ConfigError, match="no_repeat must be at least 0"):
        search(model, no_repeat=-1)
