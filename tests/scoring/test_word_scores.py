import numpy as np
import pytest

from unspool.scoring.templates import Templates
from unspool.scoring.words import Errors, bootstrap, equal_error_rate, matched, word_errors


def test_errors_by_kind():
    assert word_errors("one two three", "one too three four") == Errors(3, 1, 0, 1)
    assert word_errors("one two", "") == Errors(2, 0, 2, 0)
    assert word_errors("", "one") == Errors(0, 0, 0, 1)
    assert word_errors("abc", "abd", characters=True) == Errors(3, 1, 0, 0)
    assert (Errors(3, 1, 0, 1) + Errors(1, 0, 1, 0)).rate == pytest.approx(3 / 4)


def test_which_words_are_right():
    assert matched("one two three", "one too three four") == [True, False, True, False]
    assert matched("", "one") == [False]
    assert matched("one", "") == []


def test_an_interval_holds_the_rate_and_narrows():
    few = [Errors(5, n % 2, 0, 0) for n in range(10)]
    low, high = bootstrap(few)
    assert low < 0.1 < high
    more = bootstrap(few * 50)
    assert more[1] - more[0] < (high - low) / 3


def test_equal_error_rates():
    assert equal_error_rate([0.9, 0.8, 0.7], [0.1, 0.2]) == 0.0
    assert equal_error_rate([0.1, 0.2], [0.8, 0.9]) == pytest.approx(1.0)
    same = np.random.default_rng(0).random(2000)
    assert equal_error_rate(same[:1000], same[1000:]) == pytest.approx(0.5, abs=0.05)


def test_the_nearest_recording_has_the_right_word():
    rng = np.random.default_rng(0)

    def sweep(first, last, length):
        hz = np.linspace(first, last, length)
        return 0.3 * np.sin(2 * np.pi * np.cumsum(hz) / 8000) + 0.005 * rng.standard_normal(length)

    kinds = [(300, 2500), (2500, 300), (1000, 1000)]
    known = [(sweep(*kinds[n % 3], int(rng.integers(2000, 4000))), n % 3) for n in range(12)]
    templates = Templates.of(known, 8000, ["up", "down", "flat"])
    templates = Templates.from_arrays(templates.arrays(), ["up", "down", "flat"], 8000)
    for word, kind in zip(["up", "down", "flat"], kinds, strict=True):
        assert templates.nearest(sweep(*kind, 3000)) == word
