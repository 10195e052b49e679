from itertools import combinations, pairwise

import numpy as np
import pytest

from unspool.decoding.shots import coverage, knapsack, shots


def scatter(x, borders):
    edges = [0, *borders, len(x)]
    return sum(float(np.square(x[a:b] - x[a:b].mean(0)).sum()) for a, b in pairwise(edges))


def test_shots_are_the_best_of_all_ways_to_cut():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.standard_normal((9, 2)) + np.repeat(rng.standard_normal((3, 2)) * 3, 3, 0)
        for count in range(1, 5):
            best = min(scatter(x, borders) for borders in combinations(range(1, 9), count - 1))
            found = shots(x, count, penalty=-1e3)  # as many as are allowed
            assert len(found) == count
            assert scatter(x, found[1:]) == pytest.approx(best)


def test_the_number_of_shots_is_found():
    rng = np.random.default_rng(1)
    x = np.repeat(rng.standard_normal((5, 8)), (30, 12, 50, 20, 40), 0) + 0.1 * rng.standard_normal((152, 8))
    assert shots(x, 30) == [0, 30, 42, 92, 112]
    assert shots(x[:30], 10) == [0]
    assert shots(x[:1], 10) == [0]


def test_knapsack_is_the_best_of_all_choices():
    rng = np.random.default_rng(2)
    for _ in range(50):
        values, costs, budget = rng.random(7), rng.integers(1, 9, 7), int(rng.integers(1, 25))
        ways = (c for n in range(8) for c in combinations(range(7), n) if costs[list(c)].sum() <= budget)
        best = max(float(values[list(c)].sum()) for c in ways)
        taken = knapsack(values, costs, budget)
        assert costs[taken].sum() <= budget
        assert float(values[taken].sum()) == pytest.approx(best)


def test_what_others_show_already_scores_little():
    x = np.concatenate([np.zeros((40, 2)), np.full((5, 2), 3.0), np.zeros((40, 2))])
    scores = coverage(x, [0, 40, 45], np.array([5, 5, 5]))
    assert min(scores[0], scores[2]) == pytest.approx(0, abs=1e-6)
    assert max(scores[0], scores[2]) > scores[1] > 1
