"""The trivial language models that every score stands beside."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from unspool.scoring.ngram import KneserNey

__all__ = ["Baselines"]


class Baselines:
    """Uniform, unigram, and an interpolated Kneser-Ney n-gram, learned from the same symbols as the model beside them."""

    def __init__(self, unigram: KneserNey, ngram: KneserNey):
        self.unigram, self.ngram = unigram, ngram

    @classmethod
    def fit(
        cls, sequences: Iterable[np.ndarray], order: int, size: int, begin: int | None, variants: Iterable[np.ndarray] | None = None
    ) -> Baselines:
        """See `KneserNey.fit`; the sequences are read twice. The n-gram learns from `variants` instead, where there are some."""
        learned = sequences if variants is None else variants
        return cls(KneserNey.fit(sequences, 1, size, begin), KneserNey.fit(learned, order, size, begin))

    def nats(self, sequences: Iterable[np.ndarray]) -> dict[str, float]:
        """The total -log P of the sequences under each."""
        names = "uniform", "unigram", f"kneser-ney {self.ngram.order}-gram"
        totals = np.zeros(3)
        for ids in sequences:
            totals += len(ids) * math.log(self.ngram.size), -self.unigram.log_probs(ids).sum(), -self.ngram.log_probs(ids).sum()
        return dict(zip(names, totals.tolist(), strict=True))

    def arrays(self) -> dict[str, np.ndarray]:
        """Numeric arrays, to be stored."""
        parts = {"unigram": self.unigram, "ngram": self.ngram}
        return {f"{part}.{name}": array for part, model in parts.items() for name, array in model.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Baselines:
        parts = ({k.split(".", 1)[1]: v for k, v in arrays.items() if k.startswith(p)} for p in ("unigram.", "ngram."))
        return cls(*(KneserNey.from_arrays(part) for part in parts))
