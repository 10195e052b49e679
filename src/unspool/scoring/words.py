"""How well speech was written down: word and character error rates, their kinds of errors, and how sure the figures are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.errors import extra

__all__ = ["Errors", "bootstrap", "equal_error_rate", "matched", "word_errors"]


@dataclass(frozen=True)
class Errors:
    """The words (or characters) of the truth, and what is wrong in the answer. `rate` is all of it over the former."""

    words: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def wrong(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        return self.wrong / max(1, self.words)

    def __add__(self, other: Errors) -> Errors:
        return Errors(*(a + b for a, b in zip(self._values(), other._values(), strict=True)))

    def _values(self) -> tuple[int, int, int, int]:
        return self.words, self.substitutions, self.deletions, self.insertions


def word_errors(truth: str, answer: str, *, characters: bool = False) -> Errors:
    """The fewest edits from the truth to the answer, by words or by characters."""
    count = len(truth) if characters else len(truth.split())
    if not truth.strip():
        return Errors(0, 0, 0, len(answer) if characters else len(answer.split()))
    jiwer: Any = extra("jiwer", "speech")
    found = (jiwer.process_characters if characters else jiwer.process_words)(truth, answer)
    return Errors(count, found.substitutions, found.deletions, found.insertions)


def matched(truth: str, answer: str) -> list[bool]:
    """Of each word of the answer whether it is right, in the alignment of the fewest edits."""
    right = [False] * len(answer.split())
    if truth.strip() and right:
        jiwer: Any = extra("jiwer", "speech")
        for chunk in jiwer.process_words(truth, answer).alignments[0]:
            if chunk.type == "equal":
                right[chunk.hyp_start_idx : chunk.hyp_end_idx] = [True] * (chunk.hyp_end_idx - chunk.hyp_start_idx)
    return right


def bootstrap(errors: Sequence[Errors], seed: int = 0, draws: int = 1000) -> tuple[float, float]:
    """The interval that holds 95 % of the rates of as many recordings drawn anew (Bisani & Ney 2004)."""
    rng = np.random.default_rng(seed)
    words, wrong = (np.array([getattr(e, name) for e in errors]) for name in ("words", "wrong"))
    rows = rng.integers(0, len(errors), (draws, len(errors)))
    rates = wrong[rows].sum(1) / np.maximum(words[rows].sum(1), 1)
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), float(high)


def equal_error_rate(known: Sequence[float], unknown: Sequence[float]) -> float:
    """Where as large a share of the known is rejected as of the unknown accepted, by a threshold on their scores."""
    a, b = np.sort(np.asarray(known)), np.sort(np.asarray(unknown))
    thresholds = np.unique(np.concatenate([a, b]))
    rejected = np.searchsorted(a, thresholds, side="left") / len(a)
    accepted = 1 - np.searchsorted(b, thresholds, side="left") / len(b)
    at = int(np.abs(rejected - accepted).argmin())
    return float((rejected[at] + accepted[at]) / 2)
