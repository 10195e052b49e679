"""Small figures beside a loss: bits, perplexity, and how varied a set of samples is."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from unspool.errors import ConfigError

__all__ = ["bits", "distinct", "perplexity"]


def bits(nats: float) -> float:
    """A loss in nats, in bits."""
    return nats / math.log(2)


def perplexity(nats: float) -> float:
    """exp(nats) of a mean loss in nats per symbol; infinity where that is too large for a float."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def distinct(samples: Sequence[Sequence[Hashable]], n: int) -> float:
    """distinct-n (Li et al. 2016): the different n-grams over all n-grams of all samples, in [0, 1]; 0.0 when there are none.

    Near 0 the samples repeat themselves or each other. It falls as samples grow, so compare only sets of equal size.
    Raises ConfigError when n is less than 1.
    """
    if n < 1:
        raise ConfigError(f"distinct-n counts runs of n >= 1 symbols, not of {n}")
    grams = [tuple(sample[i : i + n]) for sample in samples for i in range(len(sample) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0
