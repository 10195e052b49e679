import numpy as np
import pytest

from unspool.scoring.typical import Typical


def test_a_distance_is_about_1_for_what_was_learned_and_large_for_what_was_not():
    rng = np.random.default_rng(0)
    mixing, means = rng.standard_normal((6, 6)), np.array([[5.0] * 6, [-5.0] * 6])
    classes = rng.integers(2, size=4000)
    vectors = rng.standard_normal((4000, 6)) @ mixing + means[classes]
    typical = Typical.fit(vectors, classes, 3)
    own = [typical.distance(v, k) for v, k in zip(vectors, classes, strict=True)]
    assert np.mean(own) == pytest.approx(0.8, abs=0.2)
    assert min(typical.distance(v, 1 - k) for v, k in zip(vectors[:200], classes[:200], strict=True)) > 2
    assert typical.distance(np.full(6, 50.0), 0) > 20
    np.testing.assert_allclose(typical.means[2], vectors.mean(0))


def test_few_examples_still_give_a_distance():
    rng = np.random.default_rng(0)
    typical = Typical.fit(rng.standard_normal((5, 20)), np.array([0, 0, 1, 1, 1]), 2)
    assert np.isfinite(typical.distance(rng.standard_normal(20), 0))
