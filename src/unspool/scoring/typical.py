"""How far something is from all that was learned: softmax is sure of itself there too, a distance is not."""

from __future__ import annotations

import numpy as np

__all__ = ["Typical"]

SHRUNK = 0.1  # share of the covariance that is that of independent values of the same size: few examples tell no more


class Typical:
    """Classes as Gaussians of vectors with one covariance, for Mahalanobis distances (Lee et al. 2018): means (K, H) and the
    inverse covariance (H, H)."""

    def __init__(self, means: np.ndarray, inverse: np.ndarray):
        self.means, self.inverse = means, inverse

    @classmethod
    def fit(cls, vectors: np.ndarray, classes: np.ndarray, count: int) -> Typical:
        """Of vectors (N, H) and their classes (N,), of `count`; one that never comes has the mean of all."""
        known = [vectors[classes == k] for k in range(count)]
        means = np.stack([part.mean(0) if len(part) else vectors.mean(0) for part in known])
        rest = vectors - means[classes]
        covariance = rest.T @ rest / len(vectors)
        size = np.trace(covariance) / len(covariance) + 1e-9
        return cls(means, np.linalg.inv((1 - SHRUNK) * covariance + SHRUNK * size * np.eye(len(covariance))))

    def distance(self, vector: np.ndarray, kind: int) -> float:
        """The squared distance of a vector (H,) to a class, over H: about 1 for what is like those learned from."""
        off = vector - self.means[kind]
        return float(off @ self.inverse @ off) / len(off)

    def arrays(self) -> dict[str, np.ndarray]:
        """Numeric arrays, to be stored."""
        return {"means": self.means.astype(np.float32), "inverse": self.inverse.astype(np.float32)}
