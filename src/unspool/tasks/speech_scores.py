"""How well speech was written down: error rates by kind and by speaker, times, and how sure a word's log p makes one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.codecs.recordings import Recording
from unspool.errors import extra
from unspool.scoring.words import Errors, bootstrap, matched, word_errors
from unspool.tasks.speech_words import Word

__all__ = ["NONE", "Row", "calibration", "scores"]

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


def calibration(found: list[tuple[str, list[Word], list[float]]]) -> dict[str, Any]:
    """The word error rate, and the slope and offset that turn a word's log p into the log odds that it is right (Platt 1999)."""
    total, values, right = Errors(0, 0, 0, 0), [], []
    for truth, words, raw in found:
        heard = [w.word for w in words]
        total += word_errors(truth, " ".join(heard))
        values += raw
        right += matched(truth, " ".join(heard))
    # As if one word at log p 0 had also been right and one at -3 wrong: else a part without errors would mean certainty.
    x, y = np.array([*values, 0.0, -3.0]), np.array([*right, 1.0, 0.0])

    def loss(weights: np.ndarray) -> float:
        logits = weights[0] * x + weights[1]
        return float((np.logaddexp(0, logits) - y * logits).sum() + 0.01 * weights[0] ** 2)

    slope, offset = extra("scipy.optimize", "speech").minimize(loss, [1.0, 2.0], bounds=[(0.01, None), (None, None)]).x.tolist()
    return {"validation, word error rate %": 100 * total.rate, "calibration": [slope, offset]}
