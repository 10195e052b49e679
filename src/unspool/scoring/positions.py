"""The baseline for windows of DNA: how likely each base is at each place in each class (a position weight matrix)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["PositionWeights"]


class PositionWeights:
    """Naive Bayes over the bases at each place (Stormo et al. 1982): log p (K, W, 5) and of classes (K,). Windows are aligned by
    their middles."""

    def __init__(self, log_p: np.ndarray, log_prior: np.ndarray):
        self.log_p, self.log_prior = log_p, log_prior

    @classmethod
    def fit(cls, windows: Sequence[np.ndarray], classes: np.ndarray, count: int) -> PositionWeights:
        width = max(len(w) for w in windows)
        counts = np.ones((count, width, 5))
        for window, k in zip(windows, classes.tolist(), strict=True):
            at = (width - len(window)) // 2
            counts[k, np.arange(at, at + len(window)), window] += 1
        prior = np.bincount(classes, minlength=count) + 1.0
        return cls(np.log(counts / counts.sum(2, keepdims=True)), np.log(prior / prior.sum()))

    def log_probs(self, window: np.ndarray) -> np.ndarray:
        """log p (K,) of the classes of a window (N,)."""
        width = self.log_p.shape[1]
        at = (width - len(window)) // 2
        window, at = (window[-at : -at + width], 0) if at < 0 else (window, at)
        score = self.log_prior + self.log_p[:, np.arange(at, at + len(window)), window].sum(1)
        return score - np.logaddexp.reduce(score)

    def arrays(self) -> dict[str, np.ndarray]:
        """Numeric arrays, to be stored."""
        return {"log_p": self.log_p.astype(np.float32), "log_prior": self.log_prior.astype(np.float32)}
