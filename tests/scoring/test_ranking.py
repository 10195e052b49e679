import numpy as np
import pytest

from unspool.scoring.ranking import kendall, spearman


def test_as_scipy_says():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for levels in (3, 100):
        a, b = rng.integers(0, levels, (2, 60))
        assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_who_says_nothing_agrees_with_nobody():
    assert kendall([1, 1, 1], [1, 2, 3]) == spearman([1, 1, 1], [1, 2, 3]) == 0
    assert kendall([1, 2, 3], [2, 4, 9]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
