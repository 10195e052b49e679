"""What a recogniser may hear beside the sound: a closed list of words, and how likely words are after one another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from unspool.scoring.ngram import KneserNey

__all__ = ["Hint", "Hints", "Language", "NextWords", "WordNgrams"]


class Language(Protocol):
    """A language model by words. A state stands for the words so far."""

    def start(self) -> Any: ...

    def next(self, state: Any, word: str) -> tuple[float, Any]:
        """log p in nats of the next word, and the state after it."""
        ...

    def end(self, state: Any) -> float:
        """log p in nats that no word follows."""
        ...


class Hint(NamedTuple):
    """Where a hypothesis stands: the word it is writing (None before the first), the language model's state, and how many words are
    written."""

    word: str | None
    state: Any
    written: int = 0


class Hints:
    """`pieces` are the symbols as text; one that begins with a space begins a word. With `words`, only those are written; with a
    `language` each word adds `weight` times its log p. With `exactly`, so many words
    are written."""

    def __init__(
        self,
        pieces: Sequence[str],
        words: Collection[str] | None = None,
        language: Language | None = None,
        weight: float = 0.5,
        exactly: int = 0,
    ):
        self.pieces, self.language, self.weight, self.exactly = pieces, language, weight, exactly
        self._words = None if words is None else frozenset(words)
        self._beginnings = None if words is None else frozenset(word[:n] for word in words for n in range(len(word) + 1))

    def start(self) -> Hint:
        return Hint(None, self.language.start() if self.language else None)

    def extend(self, hint: Hint, symbol: int) -> tuple[float, Hint] | None:
        """What one more symbol adds to the score, and where the hypothesis stands then; None where it may not follow."""
        piece = self.pieces[symbol]
        gain = 0.0
        if piece == " " and hint.word is None:
            return None
        if piece.startswith(" ") or hint.word is None:
            done = self._complete(hint)
            if done is None:
                return None
            gain, hint = done
            if hint.written == self.exactly > 0:
                return None
            piece = piece.removeprefix(" ")
        word = (hint.word or "") + piece
        if self._beginnings is not None and word not in self._beginnings:
            return None
        return gain, hint._replace(word=word)

    def finish(self, hint: Hint) -> tuple[float, Hint] | None:
        """What the end adds, and where what follows it stands; None in the middle of a word."""
        done = self._complete(hint)
        if done is None:
            return None
        gain, hint = done
        if self.exactly and hint.written != self.exactly:
            return None
        return gain + (self.weight * self.language.end(hint.state) if self.language else 0.0), hint._replace(word=None)

    def _complete(self, hint: Hint) -> tuple[float, Hint] | None:
        if not hint.word:
            return None if hint.word == "" else (0.0, hint._replace(word=""))
        if self._words is not None and hint.word not in self._words:
            return None
        if self.language is None:
            return 0.0, Hint("", hint.state, hint.written + 1)
        gain, state = self.language.next(hint.state, hint.word)
        return self.weight * gain, Hint("", state, hint.written + 1)


class WordNgrams:
    """A Kneser-Ney model of words as a `Language`. Words it does not know share the probability of an unknown one."""

    def __init__(self, model: KneserNey, codes: dict[str, int], unknown: int, end: int):
        self._model, self._codes, self._unknown, self._end = model, codes, unknown, end
        self._known: dict[tuple[int, ...], float] = {}

    def start(self) -> tuple[int, ...]:
        return ()

    def next(self, state: tuple[int, ...], word: str) -> tuple[float, tuple[int, ...]]:
        grown = (*state, self._codes.get(word, self._unknown))
        return self._log_p(grown), grown[-self._model.order :]

    def end(self, state: tuple[int, ...]) -> float:
        return self._log_p((*state, self._end))

    def _log_p(self, ids: tuple[int, ...]) -> float:
        if ids not in self._known:
            self._known[ids] = float(self._model.log_probs(np.asarray(ids))[-1])
        return self._known[ids]


class NextWords:
    """A recurrent language model as a `Language`. `encode` gives a text's symbols, `step` the log-probabilities (V,) of the next
    symbol and the state after a symbol and a state."""

    def __init__(
        self,
        encode: Callable[[str], Sequence[int]],
        step: Callable[[int, Any], tuple[np.ndarray, Any]],
        begin: int,
        ends: Sequence[int],
    ):
        self._encode, self._step, self._begin, self._ends = encode, step, begin, list(ends)

    def start(self) -> Any:
        return (*self._step(self._begin, None), True)

    def next(self, state: Any, word: str) -> tuple[float, Any]:
        log_probs, inner, first = state
        total = 0.0
        for symbol in self._encode(word if first else " " + word):
            total += float(log_probs[symbol])
            log_probs, inner = self._step(int(symbol), inner)
        return total, (log_probs, inner, False)

    def end(self, state: Any) -> float:
        return float(np.logaddexp.reduce(state[0][self._ends]))
