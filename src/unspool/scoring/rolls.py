"""The trivial models of piano rolls: how often each key sounds, and how often it does so after sounding or not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["RollBaselines"]

Roll = NDArray[np.uint8]


class RollBaselines:
    """Marginal: each of K keys sounds with its own probability. Markov: that depends on whether it sounded a step before."""

    def __init__(self, counts: NDArray[np.int64]):
        """`counts` (2, 2, K): how often a key went from silent or sounding to silent or sounding."""
        self.counts = counts

    @classmethod
    def fit(cls, rolls: Iterable[Roll]) -> RollBaselines:
        """Counts the rolls (T, K), each preceded by silence."""
        counts = np.zeros(0, np.int64)
        for roll in rolls:
            now, before = roll.astype(bool), _before(roll)
            pairs = np.stack([np.stack([(b & n).sum(0) for n in (~now, now)]) for b in (~before, before)])
            counts = counts + pairs if counts.size else pairs
        return cls(counts)

    @property
    def marginal(self) -> NDArray[np.float64]:
        """(K,) how often each key sounds."""
        silent, sounding = self.counts.sum(0)
        return (sounding + 0.5) / (silent + sounding + 1)

    def nats(self, rolls: Iterable[Roll], *, first: bool = True) -> dict[str, float]:
        """The total -log P of the rolls under each, with or without their first steps."""
        p, q = self.marginal, (self.counts[:, 1] + 0.5) / (self.counts.sum(1) + 1)
        totals = np.zeros(2)
        for roll in rolls:
            now, before = (r[0 if first else 1 :] for r in (roll.astype(bool), _before(roll)))
            for i, on in enumerate((p, np.where(before, q[1], q[0]))):
                totals[i] -= np.log(np.where(now, on, 1 - on)).sum()
        return dict(zip(("marginal", "per-key markov"), totals.tolist(), strict=True))

    def arrays(self) -> dict[str, np.ndarray]:
        """Numeric arrays, to be stored."""
        return {"counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> RollBaselines:
        return cls(arrays["counts"])


def _before(roll: Roll) -> NDArray[np.bool_]:
    return np.concatenate([np.zeros_like(roll[:1]), roll[:-1]]).astype(bool)
