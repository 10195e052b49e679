"""Whether two scores of the same things put them in the same order."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["kendall", "spearman"]


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's tau-b of scores (N,): 1 for the same order, -1 for the reverse, 0 where either says nothing. Memory O(N^2)."""
    x, y = (np.sign(np.subtract.outer(v, v)) for v in (np.asarray(a, float), np.asarray(b, float)))
    pairs = np.sqrt(np.abs(x).sum() * np.abs(y).sum())
    return float((x * y).sum() / pairs) if pairs else 0.0


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rho of scores (N,), ties sharing their mean rank: 0 where either says nothing."""
    x, y = (ranks - ranks.mean() for ranks in (_ranks(np.asarray(a, float)), _ranks(np.asarray(b, float))))
    size = np.sqrt(np.square(x).sum() * np.square(y).sum())
    return float((x * y).sum() / size) if size else 0.0


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
