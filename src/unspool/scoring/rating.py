"""How good ratings are: accuracy, distance, agreement, calibration, and whether one system is better by more than chance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["calibration_error", "confusion", "decided", "kappa", "macro_f1", "paired_bootstrap", "report"]

LIFT = 0.25  # 0 would leave probabilities as they are, 1 would take all classes for equally frequent


def confusion(truth: ArrayLike, answers: ArrayLike, classes: int) -> NDArray[np.int64]:
    """(K, K): how often each class (row) was answered as each (column)."""
    pairs = np.asarray(truth) * classes + np.asarray(answers)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def kappa(table: NDArray[np.int64], values: ArrayLike | None = None) -> float:
    """Quadratic weighted kappa (Cohen 1968) of a confusion table: 1 for full agreement, 0 for that of chance.

    `values` (K,) are the ratings that the classes stand for; else they lie one apart.
    """
    place = np.arange(len(table)) if values is None else np.asarray(values, float)
    n, weights = table.sum(), (place[:, None] - place) ** 2
    chance = np.outer(table.sum(1), table.sum(0)) / n
    expected = (weights * chance).sum()
    return float(1 - (weights * table).sum() / expected) if expected else 0.0


def macro_f1(table: NDArray[np.int64]) -> float:
    """The mean F1 of the classes that occur, in the truth or the answers."""
    right, of = np.diag(table), table.sum(0) + table.sum(1)
    return float((2 * right[of > 0] / of[of > 0]).mean())


def calibration_error(p: NDArray[np.float64], truth: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al. 2015): how far confidence, of p (N, K), and accuracy are apart, on average."""
    answers, sure = p.argmax(1), p.max(1)
    right = answers == np.asarray(truth)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs(right[place == b].mean() - sure[place == b].mean()) * (place == b).sum() for b in range(bins) if (place == b).any()]
    return float(sum(gaps) / len(sure))


def decided(p: NDArray[np.float64], shares: ArrayLike | None = None) -> NDArray[np.int64]:
    """The answers (N,) for probabilities (N, K): the likeliest class; of ordered classes, which come with their `shares` (K,) of
    what was learned from, the median, whose distance is least, after what is rare was lifted: else the most frequent class of
    many would be nearly the only answer.
    """
    if shares is None:
        return p.argmax(1)
    lifted = (p / np.asarray(shares) ** LIFT).cumsum(1)
    return (lifted < lifted[:, -1:] / 2).sum(1)


def report(
    p: NDArray[np.float64],
    truth: NDArray[np.int64],
    names: list[str],
    *,
    ordered: bool,
    chosen: NDArray[np.int64] | None = None,
    unit: str = "nats per text",
) -> dict[str, Any]:
    """All of it for probabilities (N, K) and the answers `chosen` (N,), else the likeliest; distances where `ordered`."""
    likeliest = p.argmax(1)
    answers = likeliest if chosen is None else chosen
    table = confusion(truth, answers, len(names))
    found: dict[str, Any] = {"accuracy": float((answers == truth).mean())}
    if ordered:
        values = np.array([float(name) for name in names])
        found |= {"mean absolute error": float(np.abs(values[answers] - values[truth]).mean())}
        found |= {"quadratic weighted kappa": kappa(table, values)}
    found |= {"macro-F1": macro_f1(table), "calibration error": calibration_error(p, truth)}
    found[unit] = float(-np.log(np.maximum(p[np.arange(len(truth)), truth], 1e-12)).mean())
    sure = p.max(1)
    bands = {f"sure {b / 5:.1f} to {b / 5 + 0.2:.1f}": (sure > b / 5) & (sure <= b / 5 + 0.2) for b in range(5)}
    found["reliability"] = {
        name: f"right {(likeliest == truth)[rows].mean():.2f} of {rows.sum():,}" for name, rows in bands.items() if rows.any()
    }
    return found | {"confusion": {name: row.tolist() for name, row in zip(names, table, strict=True)}}


def paired_bootstrap(
    one: NDArray[np.int64], other: NDArray[np.int64], truth: NDArray[np.int64], classes: int, seed: int = 0
) -> float:
    """The share of 2,000 resamplings of the texts in which `one` has no higher kappa than `other` (Efron & Tibshirani 1993)."""
    rng = np.random.default_rng(seed)
    worse = 0
    for _ in range(2000):
        drawn = rng.integers(0, len(truth), len(truth))
        a, b = (kappa(confusion(truth[drawn], answers[drawn], classes)) for answers in (one, other))
        worse += a <= b
    return worse / 2000
