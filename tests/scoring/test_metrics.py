import math

import pytest

from unspool.errors import ConfigError
from unspool.scoring.metrics import bits, distinct, perplexity


def test_bits_and_perplexity():
    assert bits(math.log(8)) == pytest.approx(3)
    assert perplexity(math.log(8)) == pytest.approx(8)
    assert perplexity(1e4) == math.inf
    assert perplexity(math.inf) == math.inf
    assert math.isnan(perplexity(math.nan))


def test_distinct():
    assert distinct(["aab"], 1) == pytest.approx(2 / 3)
    assert distinct(["abab", "ab"], 2) == pytest.approx(2 / 4)  # ab ba ab ab, never across samples
    assert distinct([[1, 2, 3], (4,)], 2) == 1.0


def test_distinct_of_nothing_is_zero():
    assert distinct([], 1) == 0.0
    assert distinct(["a", ""], 2) == 0.0


def test_distinct_needs_a_positive_length():
    with pytest.raises(ConfigError, match="not of 0"):
        distinct(["a"], 0)
