"""From what the frames of a video show to its shots, and to those of them that a summary shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["coverage", "knapsack", "shots"]


def shots(features: np.ndarray, most: int, penalty: float = 2.0) -> list[int]:
    """Where the shots of frames with features (N, D) begin, the first at 0; at most `most` of them.

    Kernel temporal segmentation (Potapov et al. 2014, doi:10.1007/978-3-319-10599-4_35): the borders that make the frames of each
    shot most alike, found by dynamic programming over all of them, and as many as a penalty for each leaves worth while. The
    kernel is linear. Time O(most N^2), memory O(N^2).
    """
    count = len(features)
    most = min(most, count)
    if count < 2 or most < 2:
        return [0]
    spread = _spread(features)
    best = spread[0].copy()  # of the first n frames in one shot
    costs, came = [best[-1]], []
    for number in range(1, most):
        ways = best[:, None] + spread  # that end with a shot [t, n)
        ways[:number] = np.inf
        came.append(np.argmin(ways, axis=0))
        best = ways[came[-1], np.arange(count + 1)]
        costs.append(best[-1])
    numbers = np.arange(1, most + 1)
    borders = numbers - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        price = np.where(borders > 0, borders * (np.log(count / borders) + 1), 0)
    mean = costs[0] / count + 1e-12  # so that the penalty does not depend on the unit of the features
    number = int(np.argmin(np.array(costs) / count / mean + penalty * price / count)) + 1
    found, end = [], count
    for level in reversed(came[: number - 1]):
        end = int(level[end])
        found.append(end)
    return [0, *reversed(found)]


def _spread(features: np.ndarray) -> np.ndarray:
    """How unlike the frames [i, j) are: the sum of their squared distances from their mean, (N + 1, N + 1); infinite for j <= i."""
    count = len(features)
    x = features.astype(np.float64)
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
    square = np.concatenate([[0.0], np.cumsum(np.square(x).sum(1))])
    norms = np.square(total).sum(1)
    across = norms[:, None] + norms[None] - 2 * total @ total.T  # of the sums of [i, j)
    length = np.arange(count + 1)[None] - np.arange(count + 1)[:, None]
    found = square[None] - square[:, None] - across / np.maximum(length, 1)
    return np.where(length > 0, np.maximum(found, 0), np.inf)


def coverage(features: np.ndarray, begins: Sequence[int], costs: np.ndarray) -> np.ndarray:
    """How much each shot adds to what a summary shows, (S,): every frame counts as much as it is like the most similar shot that is
    shown, and shots come in the order of what they add for their `costs` (S,) (Lin and Bilmes 2010). So the scores favour what
    stands for many frames, and what no other shot shows."""
    ends = [*begins[1:], len(features)]
    centres = np.stack([features[a:b].mean(0) for a, b in zip(begins, ends, strict=True)])
    apart = np.square(features[:, None] - centres[None]).sum(2)
    alike = np.exp(-apart / (apart.mean() + 1e-12))
    shown = np.zeros(len(features))
    scores = np.zeros(len(centres))
    left = list(range(len(centres)))
    while left:
        gains = np.maximum(alike[:, left], shown[:, None]).sum(0) - shown.sum()
        at = int(np.argmax(gains / costs[left]))
        scores[left[at]] = gains[at]
        shown = np.maximum(shown, alike[:, left.pop(at)])
    return scores


def knapsack(values: np.ndarray, costs: np.ndarray, budget: int) -> np.ndarray:
    """Which things of the largest sum of `values` (S,) cost no more than the budget together, (S,); `costs` (S,) are whole."""
    best = np.zeros(budget + 1)
    taken = np.zeros((len(values), budget + 1), bool)
    for n, (value, cost) in enumerate(zip(values.tolist(), costs.tolist(), strict=True)):
        if cost <= budget:
            other = best[: budget + 1 - cost] + value
            taken[n, cost:] = other > best[cost:]
            best[cost:] = np.maximum(best[cost:], other)
    chosen = np.zeros(len(values), bool)
    room = budget
    for n in reversed(range(len(values))):
        if taken[n, room]:
            chosen[n] = True
            room -= int(costs[n])
    return chosen
