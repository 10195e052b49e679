"""Kneser-Ney against a slow twin written with dictionaries, and against what must hold of any distribution."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.errors import ConfigError, DataError, ModelError
from unspool.scoring.ngram import KneserNey

Model = Callable[[tuple[int, ...], int], float]
SIZE = 4
corpora = st.lists(st.lists(st.integers(0, SIZE - 1), max_size=12), min_size=1, max_size=5).filter(any)
begins = st.sampled_from([None, 0, SIZE - 1])


def slow(sequences: list[list[int]], order: int, size: int, begin: int | None) -> Model:
    """P(symbol | everything before it in this sequence), one gram at a time."""
    raw: Counter[tuple[int, ...]] = Counter()
    before: defaultdict[tuple[int, ...], set[int | None]] = defaultdict(set)
    lead = [] if begin is None else [begin] * (order - 1)
    for sequence in sequences:
        whole = lead + sequence
        for end in range(len(lead) + 1, len(whole) + 1):
            for k in range(1, min(order, end) + 1):
                gram = tuple(whole[end - k : end])
                raw[gram] += 1
                before[gram].add(whole[end - k - 1] if end - k > 0 else None)
    count = {g: n if len(g) == order or g[0] == begin else len(before[g]) for g, n in raw.items()}
    discount = {k: three([n for g, n in count.items() if len(g) == k]) for k in range(1, order + 1)}

    def probability(context: tuple[int, ...], symbol: int) -> float:
        lower = probability(context[1:], symbol) if context else 1 / size
        row = [count.get((*context, w), 0) for w in range(size)]
        if not sum(row):
            return lower
        d = [discount[len(context) + 1][min(n, 3)] for n in row]
        return (row[symbol] - d[symbol] + sum(d) * lower) / sum(row)

    def model(past: tuple[int, ...], symbol: int) -> float:
        context = (*lead, *past)
        return probability(context[max(0, len(context) - order + 1) :], symbol) if order else 1 / size

    return model


def three(counts: list[int]) -> list[float]:
    n = Counter(counts)
    found = [0.0]
    for c in (1, 2, 3):
        d = c - (c + 1) * n[1] / (n[1] + 2 * n[2]) * n[c + 1] / n[c] if n[1] and n[c] else c / 2
        found.append(d if 0 < d < c else c / 2)
    return found


@settings(max_examples=60, deadline=None)
@given(corpora, st.integers(0, 4), begins, st.lists(st.integers(0, SIZE - 1), max_size=6))
def test_distributions_are_those_of_the_slow_twin_and_sum_to_one(corpus, order, begin, past):
    fast = KneserNey.fit([np.array(s, dtype=np.int64) for s in corpus], order, SIZE, begin)
    model = slow(corpus, order, SIZE, begin)
    for t in range(len(past) + 1):
        found = fast.distribution(past[:t])
        assert found.min() > 0
        assert found.sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(found, [model(tuple(past[:t]), w) for w in range(SIZE)], rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(corpora, st.integers(0, 4), begins, st.lists(st.integers(0, SIZE - 1), max_size=9))
def test_log_probs_are_the_distribution_at_each_position(corpus, order, begin, ids):
    model = KneserNey.fit([np.array(s, dtype=np.int64) for s in corpus], order, SIZE, begin)
    expected = [math.log(model.distribution(ids[:t])[w]) for t, w in enumerate(ids)]
    np.testing.assert_allclose(model.log_probs(ids), expected, rtol=1e-12)


@pytest.mark.parametrize("begin", [None, 7])
def test_random_text_agrees_with_the_slow_twin(begin):
    rng = np.random.default_rng(3)
    corpus = [rng.geometric(0.3, n).clip(max=7).tolist() for n in (300, 1, 2, 150, 80)]
    text = rng.geometric(0.4, 120).clip(max=7).tolist()
    model = slow(corpus, 4, 8, begin)
    found = KneserNey.fit(map(np.array, corpus), 4, 8, begin).log_probs(text)
    np.testing.assert_allclose(found, [math.log(model(tuple(text[:t]), w)) for t, w in enumerate(text)], rtol=1e-12)


def test_unigram_by_hand():
    # counts 4, 2, 1, 1, 0: n1 = 2, n2 = 1, n3 = 0, n4 = 1, so Y = 1/2, D(1) = 1 - 2 (1/2) (1/2) = 1/2;
    # D(2) would be 2 - 0 and D(3+) has no n3: they fall back to 1 and 3/2. Held back: (3/2 + 1 + 1/2 + 1/2) / 8 = 7/16.
    model = KneserNey.fit([np.array([0, 1, 0, 2, 0, 1, 0, 3])], 1, 5)
    floor = 7 / 16 / 5
    expected = [2.5 / 8 + floor, 1 / 8 + floor, 0.5 / 8 + floor, 0.5 / 8 + floor, floor]
    np.testing.assert_allclose(model.distribution([]), expected, rtol=1e-14)


def test_order_zero_is_uniform():
    model = KneserNey.fit([np.array([1, 1])], 0, 4)
    np.testing.assert_allclose(np.exp(model.log_probs([0, 3])), 0.25)
    np.testing.assert_allclose(model.distribution([1, 1]), 0.25)


def test_longer_contexts_help_on_structured_text():
    text = np.tile([0, 1, 2, 0, 2, 1], 200)
    nats = [-KneserNey.fit([text], order, 3).log_probs(text).mean() for order in (1, 2, 3)]
    assert nats[0] > 1.09
    assert nats[0] > nats[1] > nats[2]
    assert nats[2] < 0.05


def test_an_unseen_context_backs_off_to_a_shorter_one():
    model = KneserNey.fit([np.array([0, 1, 2, 0, 1, 3, 0, 1, 2])], 3, 6)
    np.testing.assert_array_equal(model.distribution([5, 1]), model.distribution([1]))
    np.testing.assert_array_equal(model.distribution([0, 4]), model.distribution([]))


def test_lower_orders_count_different_neighbours():
    # 1 is frequent but follows only 0; 2 is rarer, and follows 3, 4 and 5: after a new context 2 is the likelier.
    model = KneserNey.fit([np.array([0, 1] * 20 + [3, 2, 4, 2, 5, 2])], 2, 7)
    unseen = model.distribution([6])
    assert unseen[2] > unseen[1]


def test_begin_marks_the_start():
    model = KneserNey.fit([np.array([1, 2])] * 5 + [np.array([1, 3])], 3, 5, begin=0)
    assert model.distribution([])[1] > 0.7
    np.testing.assert_allclose(model.distribution([0, 0]), model.distribution([]))
    assert model.distribution([])[0] == model.distribution([])[4]  # no more than the floor


def test_reads_no_more_than_the_limit():
    asked = []

    def endless():
        while True:
            asked.append(1)
            yield np.array([0, 1, 2])

    model = KneserNey.fit(endless(), 2, 3, limit=7)
    assert model.symbols == 7
    assert len(asked) == 3
    same = KneserNey.fit([np.array([0, 1, 2]), np.array([0, 1, 2]), np.array([0])], 2, 3)
    np.testing.assert_array_equal(model.distribution([0]), same.distribution([0]))


@pytest.mark.parametrize("begin", [None, 2])
@pytest.mark.parametrize("order", [0, 1, 4])
def test_arrays_bring_the_model_back_exactly(order, begin):
    rng = np.random.default_rng(1)
    model = KneserNey.fit([rng.integers(300, size=50), np.array([5]), rng.integers(9, size=900)], order, 300, begin)
    stored = {name: array.copy() for name, array in model.arrays().items()}
    again = KneserNey.from_arrays(stored)
    assert (again.order, again.size, again.begin, again.symbols) == (order, 300, begin, 951)
    text = rng.integers(9, size=200)
    np.testing.assert_array_equal(again.log_probs(text), model.log_probs(text))
    assert all(array.dtype.kind in "iu" and array.dtype == again.arrays()[name].dtype for name, array in stored.items())
    assert all(np.array_equal(array, again.arrays()[name]) for name, array in stored.items())


def test_damaged_arrays_are_refused():
    arrays = KneserNey.fit([np.array([0, 1, 2, 1, 0])], 3, 4).arrays()
    with pytest.raises(ModelError, match=r"counts\.2"):
        KneserNey.from_arrays({name: array for name, array in arrays.items() if name != "counts.2"})
    with pytest.raises(ModelError, match="length 2 do not fit"):
        KneserNey.from_arrays(arrays | {"counts.2": arrays["counts.2"][:-1]})
    with pytest.raises(ModelError, match="length 1 are out of order"):
        KneserNey.from_arrays(arrays | {"symbols.1": arrays["symbols.1"][::-1]})


def test_large_alphabets_do_not_overflow():
    rng = np.random.default_rng(2)
    text = rng.integers(50_000, size=3000)
    model = KneserNey.fit([text], 5, 50_000)
    assert model.log_probs(text).mean() > -2
    assert model.distribution(text[:4]).sum() == pytest.approx(1)


def test_a_corpus_shorter_than_the_order():
    model = KneserNey.fit([np.array([0])], 3, 2)
    np.testing.assert_allclose(model.log_probs([0, 0, 0]), math.log(0.75))  # D(1) = 1/2: 1/2 + 1/2 of 1/2
    np.testing.assert_allclose(model.distribution([0, 0]), [0.75, 0.25])
    again = KneserNey.from_arrays(model.arrays())
    np.testing.assert_array_equal(again.log_probs([0, 1]), model.log_probs([0, 1]))


def test_empty_text_scores_nothing():
    assert KneserNey.fit([np.array([0])], 3, 2).log_probs([]).shape == (0,)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": -1, "size": 2}, "order >= 0"),
        ({"order": 1, "size": 0}, "size >= 1"),
        ({"order": 1, "size": 2, "begin": 2}, "begin must be"),
        ({"order": 1, "size": 2, "limit": 0}, "limit >= 1"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(ConfigError, match=words):
        KneserNey.fit([np.array([0])], **options)


@pytest.mark.parametrize(
    ("sequences", "words"),
    [
        ([], "nothing to count"),
        ([np.array([], dtype=np.int64)], "nothing to count"),
        ([np.array([0, 2])], "run from 0 to 2"),
        ([np.array([-1, 1])], "run from -1 to 1"),
        ([np.array([[0, 1]])], "one row"),
        ([np.array([0.5])], "one row of integers"),
    ],
)
def test_wrong_data(sequences, words):
    with pytest.raises(DataError, match=words):
        KneserNey.fit(sequences, 2, 2)
