import itertools
import math

import numpy as np
import pytest
import torch

from unspool.decoding.ctc import PrefixSearch, greedy
from unspool.decoding.hints import Hints, NextWords, WordNgrams
from unspool.decoding.transducer import TransducerSearch
from unspool.models.transducer import Transducer
from unspool.scoring.ngram import KneserNey

PIECES = ["", " ", "a", "b"]  # 0 is nothing


def steps(T, V, seed=0):
    return torch.randn(T, V, generator=torch.Generator().manual_seed(seed)).mul(2).log_softmax(1).double().numpy()


def collapsed(path):
    return tuple(s for s, _ in itertools.groupby(path) if s != 0)


def totals(log_probs):
    """log p of every text, by summing over all paths."""
    found = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        score = sum(log_probs[t, s] for t, s in enumerate(path))
        found[collapsed(path)] = np.logaddexp(found.get(collapsed(path), -math.inf), score)
    return found


def test_greedy_is_the_likeliest_path():
    log_probs = np.log(np.array([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.1, 0.9]]))
    assert greedy(log_probs) == [1, 1]
    assert greedy(np.log(np.array([[0.9, 0.1]]))) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_the_likeliest_text(seed):
    log_probs = steps(5, 4, seed)
    search = PrefixSearch(beams=500)
    search.push(log_probs[:2])
    search.push(log_probs[2:])
    expected = sorted(totals(log_probs).items(), key=lambda pair: -pair[1])
    for (symbols, score, _), (text, total) in zip(search.best(5), expected, strict=False):
        assert tuple(symbols) == text
        assert score == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_lexicon_allows_its_words_alone(seed):
    log_probs = steps(5, 4, seed)
    words = {"a", "ab", "bb"}
    search = PrefixSearch(beams=500, hints=Hints(PIECES, words))
    search.push(log_probs)

    def legal(text):
        said = "".join(PIECES[s] for s in text)
        return all(word in words for word in said.split(" ")) if said else True

    expected = max((pair for pair in totals(log_probs).items() if legal(pair[0])), key=lambda pair: pair[1])
    symbols, score, _ = search.best()[0]
    assert tuple(symbols) == expected[0]
    assert score == pytest.approx(expected[1], abs=1e-6)


def test_what_begins_no_word_is_given_up_at_once():
    hints = Hints(PIECES, {"ab"})
    _, a = hints.extend(hints.start(), 2)
    assert hints.extend(hints.start(), 3) is None
    assert hints.extend(a, 2) is None
    assert hints.extend(a, 1) is None  # "a" is no word
    assert hints.extend(a, 3) is not None
    one = Hints(PIECES, exactly=1)
    _, a = one.extend(one.start(), 2)
    assert one.extend(a, 1) is None  # a second word would begin


@pytest.mark.parametrize("exactly", [1, 2])
def test_as_many_words_as_are_asked_for(exactly):
    log_probs = steps(5, 4, 2)
    search = PrefixSearch(beams=500, hints=Hints(PIECES, exactly=exactly))
    search.push(log_probs)

    def legal(text):
        said = "".join(PIECES[s] for s in text).split(" ")
        return len(said) == exactly and all(said)

    expected = max((pair for pair in totals(log_probs).items() if legal(pair[0])), key=lambda pair: pair[1])
    assert tuple(search.best()[0][0]) == expected[0]


def test_a_language_model_turns_the_scale():
    ngram = KneserNey.fit([np.array([4, 5, 3])] * 20 + [np.array([5, 3])], 2, 6, 2)
    language = WordNgrams(ngram, {"a": 4, "b": 5}, 1, 3)
    log_probs = np.log(np.array([[0.02, 0.01, 0.37, 0.6], [0.02, 0.96, 0.01, 0.01], [0.02, 0.01, 0.37, 0.6]]))
    alone, hinted = PrefixSearch(8), PrefixSearch(8, Hints(PIECES, language=language, weight=1.0))
    for search in (alone, hinted):
        search.push(log_probs)
    assert "".join(PIECES[s] for s in alone.best()[0][0]) == "b b"
    assert "".join(PIECES[s] for s in hinted.best()[0][0]) == "a b"


def test_word_ngrams_add_up_to_the_models_own():
    ids = [np.array([4, 5, 3]), np.array([5, 5, 4, 3])]
    ngram = KneserNey.fit(ids, 2, 6, 2)
    language = WordNgrams(ngram, {"a": 4, "b": 5}, 1, 3)
    first, state = language.next(language.start(), "b")
    second, state = language.next(state, "a")
    expected = ngram.log_probs(np.array([5, 4, 3]))
    assert [first, second, language.end(state)] == pytest.approx(expected.tolist())


def test_a_recurrent_model_scores_words_by_its_symbols():
    table = np.log(np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.25] * 4, [0.7, 0.1, 0.1, 0.1]]))
    language = NextWords(
        lambda text: [{" ": 1, "a": 2, "b": 3}[c] for c in text], lambda symbol, state: (table[symbol], symbol), 0, [0]
    )
    first, state = language.next(language.start(), "ab")
    second, state = language.next(state, "a")
    assert first == pytest.approx(table[0, 2] + table[2, 3])
    assert second == pytest.approx(table[3, 1] + table[1, 2])
    assert language.end(state) == pytest.approx(table[2, 0])


def test_hints_go_on_over_segments():
    log_probs = steps(4, 4)
    search = PrefixSearch(50, Hints(PIECES, {"a", "b"}))
    search.push(log_probs)
    _, _, hint = search.best()[0]
    search.reset(hint)
    assert search.partial == []


def test_a_transducers_beam_finds_the_likeliest_text():
    torch.manual_seed(3)
    model, h = Transducer(4, 6, size=6).eval(), torch.randn(3, 4)
    with torch.no_grad():
        model.out.weight.mul_(3)
        model.out.bias[[1, 2, 3]] -= 20.0  # unknown, begin and end are never said
        found = {}
        for length in range(5):
            for y in itertools.product((4, 5), repeat=length):
                ids = torch.tensor([y], dtype=torch.long).reshape(1, length)
                found[y] = -float(model.nll(h[None], torch.tensor([3]), ids, torch.tensor([length]))[0])
        search = TransducerSearch(model, h, beams=40)
        search.push(h[:1])
        search.push(h[1:])
    best = max(found.items(), key=lambda pair: pair[1])
    assert search.best()[0][0].symbols == best[0]
    short = [(said, score) for said, score, _ in search.best(10) if 0 < len(said.symbols) <= 3]
    assert len(short) >= 3
    for said, score in short:  # said in several ways, which are all counted
        assert score == pytest.approx(found[said.symbols], abs=1e-3)
    said = short[0][0]
    assert list(said.steps) == sorted(said.steps)
    assert len(said.steps) == len(said.symbols)
