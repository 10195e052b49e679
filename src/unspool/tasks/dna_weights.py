"""What starts and genes are judged by, and how that is learned from genomes with known genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["BESIDE", "PRIOR", "USUAL", "Weights", "fitted", "preferred"]

USUAL = (0.02, 1.0, 0.5, 0.5, 0.1)  # the weights of a start's features where few genes teach others
PRIOR = 10.0  # how firmly


@dataclass(frozen=True)
class Weights:
    """What a start and a gene are judged by: learned from genomes with known genes."""

    start: tuple[float, ...] = USUAL[:2]  # of what `Pairs.features` are
    gene: tuple[float, ...] = (1.0, 0.5, 0.0, 0.0, 0.3, 0.0, -1.0)  # of the features of a candidate, the last for all
    cut: float = 2.0  # the logit of a start that lies beyond the contig, where a gene is judged
    cost: float = 0.01  # nats for each base that two genes share


BESIDE = (*Weights.gene[:-1], 0.0, 0.0, -3.0, Weights.gene[-1])  # the same where the genes found before count, too


def preferred(pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[float, ...]:
    """The weights of features by which the right start of a frame is preferred to its others (a conditional logit: McFadden
    1974), from (frame (P,), features (P, F), whether right (P,)) of several contigs; frames without a right one do not count."""
    usual = np.array(USUAL[: pairs[0][1].shape[1]])

    def gain(w: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """log p of the right ones with the prior of the weights, its slope, and its curvature."""
        total, slope, curve = -PRIOR / 2 * float(np.square(w - usual).sum()), PRIOR * (usual - w), PRIOR * np.eye(len(w))
        for frame, x, right in pairs:
            first = np.flatnonzero(np.diff(frame, prepend=-1))
            which = np.cumsum(np.diff(frame, prepend=-1) != 0) - 1
            score = x @ w
            score -= np.maximum.reduceat(score, first)[which]
            p = np.exp(score)
            norm = np.add.reduceat(p, first)
            counts = np.add.reduceat(right.astype(float), first) == 1
            total += float(score[right & counts[which]].sum() - np.log(norm[counts]).sum())
            p *= (counts / norm)[which]
            mean = np.add.reduceat(p[:, None] * x, first)
            slope += x[right & counts[which]].sum(0) - mean.sum(0)
            curve += (p[:, None] * x).T @ x - mean.T @ mean
        return total, slope, curve

    w, (value, slope, curve) = usual, gain(usual)
    for _ in range(30):  # Newton's method, whose step is halved until it gains
        step = np.linalg.solve(curve, slope)
        found = gain(w + step)
        while found[0] < value and np.abs(step).max() > 1e-6:
            step /= 2
            found = gain(w + step)
        if np.abs(step).max() < 1e-6:
            break
        w, (value, slope, curve) = w + step, found
    return tuple(w.tolist())


def fitted(features: np.ndarray, right: np.ndarray) -> tuple[float, ...]:
    """The weights of features (M, F), and one for all, by logistic regression on which candidates are genes (M,)."""
    x, y = np.concatenate([features, np.ones((len(features), 1))], 1), right.astype(float)
    size = np.maximum(np.abs(x).mean(0), 1e-6)
    x, w = x / size, np.zeros(x.shape[1])
    for _ in range(30):  # Newton's method, a little held back
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        slope = x.T @ (y - p) - 1e-3 * w
        curve = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(len(w))
        step = np.linalg.solve(curve, slope)
        w = w + step
        if np.abs(step).max() < 1e-6:
            break
    return tuple((w / size).tolist())
