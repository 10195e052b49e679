"""Figures of ratings, against sklearn and by hand."""

import numpy as np
import pytest
from sklearn import metrics

from unspool.scoring.rating import calibration_error, confusion, decided, kappa, macro_f1, paired_bootstrap, report
from unspool.scoring.tfidf import TfidfBaseline


@pytest.fixture
def rated():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 400)
    answers = np.clip(truth + rng.integers(-1, 2, 400), 0, 4)
    return truth, answers


def test_figures_are_those_of_sklearn(rated):
    truth, answers = rated
    table = confusion(truth, answers, 5)
    assert np.array_equal(table, metrics.confusion_matrix(truth, answers))
    assert kappa(table) == pytest.approx(metrics.cohen_kappa_score(truth, answers, weights="quadratic"))
    assert macro_f1(table) == pytest.approx(metrics.f1_score(truth, answers, average="macro"))
    found = report(np.eye(5)[answers], truth, list("12345"), ordered=True)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, answers))
    assert found["mean absolute error"] == pytest.approx(np.abs(truth - answers).mean())
    other = report(np.eye(5)[answers], truth, list("12345"), ordered=True, chosen=truth)
    assert other["accuracy"] == 1
    assert other["reliability"] == found["reliability"]
    assert "mean absolute error" not in report(np.eye(5)[answers], truth, list("12345"), ordered=False)


def test_the_answer_of_ordered_classes_is_the_median_with_rare_ones_lifted():
    p = np.array([[0.4, 0.25, 0.35], [0.2, 0.1, 0.7], [0.5, 0.2, 0.3]])
    assert decided(p).tolist() == [0, 2, 0]
    assert decided(p, [1 / 3] * 3).tolist() == [1, 2, 0]
    assert decided(p, [0.0016, 0.3, 0.6984]).tolist() == [0, 0, 0]  # 0.2 becomes 1, beside 0.14 and 0.77


def test_calibration():
    p = np.tile([0.8, 0.2], (100, 1))
    assert calibration_error(p, np.repeat([0, 1], [80, 20])) == pytest.approx(0)
    assert calibration_error(p, np.repeat([0, 1], [50, 50])) == pytest.approx(0.3)
    assert kappa(np.diag([5, 5])) == 1
    assert kappa(np.array([[3, 0], [0, 0]])) == 0  # one class alone: no more than chance


def test_bootstrap(rated):
    truth, answers = rated
    rng = np.random.default_rng(1)
    assert paired_bootstrap(answers, rng.integers(0, 5, 400), truth, 5) < 0.01
    assert paired_bootstrap(answers, answers, truth, 5) == 1


def test_the_baseline_is_stored_as_numbers():
    texts = ["good fine", "good nice", "bad poor", "bad awful"] * 20
    truth = np.array([1, 1, 0, 0] * 20)
    model = TfidfBaseline.fit(texts, truth, texts[:4], truth[:4])
    p = model.probabilities(["good", "bad"], 3)
    assert p[0].argmax() == 1
    assert p[1].argmax() == 0
    assert p[:, 2].tolist() == [0, 0]
    again = TfidfBaseline.from_arrays(model.arrays())
    assert np.allclose(again.probabilities(["good", "bad"], 3), p)
