"""How well speech was written down: error rates by kind and by speaker, times, and how sure a word's log p makes one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.codecs.recordings import Recording
from unspool.errors import extra
from unspool.scoring.words import Errors, bootstrap, matched, word_errors
from unspool.tasks.speech_words import Evidence, Word

__all__ = ["NONE", "Row", "calibrated", "scores"]

NONE = Errors(0, 0, 0, 0)


@dataclass(frozen=True)
class Row:
    """A recording that was evaluated."""

    item: Recording
    truth: str
    words: list[Word]
    greedy: str
    seconds: float

    @property
    def answer(self) -> str:
        return " ".join(w.word for w in self.words)


def scores(rows: list[Row]) -> dict[str, Any]:
    """What `evaluate` says of recordings, beside baselines."""
    errors = [word_errors(row.truth, row.answer) for row in rows]
    total = sum(errors, NONE)
    letters = sum((word_errors(row.truth, row.answer, characters=True) for row in rows), NONE)
    low, high = bootstrap(errors)
    answer: dict[str, Any] = {
        "words": total.words,
        "word error rate %": 100 * total.rate,
        "95 % interval": [round(100 * low, 2), round(100 * high, 2)],
        "substitutions": total.substitutions,
        "deletions": total.deletions,
        "insertions": total.insertions,
        "character error rate %": 100 * letters.rate,
        "likeliest path, word error rate %": 100 * sum((word_errors(row.truth, row.greedy) for row in rows), NONE).rate,
        "recordings right %": 100 * float(np.mean([e.wrong == 0 for e in errors])),
    }
    speakers = sorted({row.item.speaker for row in rows})
    if len(speakers) > 1:
        answer["word error rate % by speaker"] = {
            name or "unknown": _interval([e for e, row in zip(errors, rows, strict=True) if row.item.speaker == name])
            for name in speakers
        }
    off = [abs(a - b) for row in rows for pair in _paired(row) for a, b in zip(*pair, strict=True)]
    return answer | ({"word times off, ms": 1000 * float(np.mean(off))} if off else {})


def _paired(row: Row) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """The true and the found times of words, where all words are right."""
    if row.item.times and row.answer == row.truth and len(row.item.times) == len(row.words):
        yield from ((time, (word.start, word.end)) for time, word in zip(row.item.times, row.words, strict=True))


def _interval(errors: list[Errors]) -> str:
    low, high = bootstrap(errors)
    total = sum(errors, NONE)
    return f"{100 * total.rate:.2f} ({100 * low:.2f} to {100 * high:.2f}), {total.words:,} words"


def calibrated(found: Sequence[tuple[str, list[Word], list[Evidence]]]) -> dict[str, Any]:
    """What makes a word's evidence the log odds that it is right (Platt 1999): of utterances the truth, the words heard, and their
    evidence. Being far off never speaks for a word."""
    heard = [
        (evidence, right) for truth, words, known in found for evidence, right in zip(known, _right(truth, words), strict=True)
    ]
    # As if one likely word near by had also been right and one far off wrong: else a part without errors would mean certainty.
    heard += [(Evidence(0.0, 1.0), True), (Evidence(-3.0, 2.0), False)]
    x, y = np.array([evidence for evidence, _ in heard]), np.array([right for _, right in heard], float)

    def loss(weights: np.ndarray) -> float:
        logits = x @ weights[:2] + weights[2]
        return float((np.logaddexp(0, logits) - y * logits).sum() + 0.01 * np.square(weights[:2]).sum())

    bounds = [(0.01, None), (None, 0.0), (None, None)]
    return {"calibration": extra("scipy.optimize", "speech").minimize(loss, [1.0, -1.0, 3.0], bounds=bounds).x.tolist()}


def _right(truth: str, words: list[Word]) -> list[bool]:
    return matched(truth, " ".join(w.word for w in words))
