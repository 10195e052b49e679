"""BLEU and chrF, by sacrebleu (Post 2018), with their signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unspool.errors import extra

__all__ = ["bleu", "translation_scores"]


def bleu(answers: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU in [0, 100], sacrebleu's defaults."""
    return float(extra("sacrebleu", "translation").corpus_bleu(list(answers), [list(references)]).score)


def translation_scores(answers: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """BLEU, chrF, and what they were computed with."""
    metrics = extra("sacrebleu.metrics", "translation")
    found: dict[str, Any] = {}
    for name, metric in (("BLEU", metrics.BLEU()), ("chrF", metrics.CHRF())):
        found[name] = float(metric.corpus_score(list(answers), [list(references)]).score)
        found[f"{name} signature"] = str(metric.get_signature())
    return found
