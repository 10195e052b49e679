"""Text <-> words: the plain tokens of a sentence, for ratings and for translation by words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from unspool.errors import DataError
from unspool.vocabulary import Vocabulary

__all__ = ["WordCodec", "joined"]

# Marks stand on letters, of which many scripts are made, and are no letters to `re`.
_LETTER = rf"[\w{''.join(chr(c) for c in range(0x300, 0xFFFF) if unicodedata.category(chr(c))[0] == 'M')}]"
PARTS = re.compile(rf"{_LETTER}+(?:['’]{_LETTER}+)*|\S")
WHOLE = re.compile(rf"{_LETTER}+(?:['’.,-]{_LETTER}+)*|\S")
LONGEST = 1000  # words of a text that are read; of a longer one the middle is left out
CLOSING, OPENING = ".,!?;:%)]}»”’", "([{«“"  # signs that stand close to the word before, or after
SAMPLE = 500_000  # texts that the vocabulary is learned from, at most


class WordCodec:
    """Words and signs. With `lower`, for ratings, in lower case and compounds in their parts; else, for translation, as they stand.

    Those seen fewer than `rarest` times are unknown.
    """

    unit = "words"

    def __init__(self, rarest: int = 2, lower: bool = True):
        self.rarest, self.lower = rarest, lower
        self._token = PARTS if lower else WHOLE
        self.vocabulary = Vocabulary()

    def fit(self, texts: Iterable[str]) -> WordCodec:
        """Learns the vocabulary, the most frequent word first; DataError when there are no words."""
        counts = Counter(word for text in islice(texts, SAMPLE) for word in self.split(text))
        kept = sorted((word for word, n in counts.items() if n >= self.rarest), key=lambda word: (-counts[word], word))
        if not counts:
            raise DataError("there are no words to learn from; give at least one text")
        self.vocabulary = Vocabulary(kept)
        return self

    def split(self, text: str) -> list[str]:
        """The words of a text."""
        words = self._token.findall(text)
        return [word.lower() for word in words] if self.lower else words

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where in the text the words stand that `encode` reads: (start, stop) of each."""
        return _short([found.span() for found in self._token.finditer(text)])

    def encode(self, text: str) -> np.ndarray:
        """The ids (T,) of a text."""
        return np.asarray(self.vocabulary.encode(_short(self.split(text))), np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The words of ids as a sentence; begin, end and padding are silent."""
        return joined([self.vocabulary.symbols[int(i)] for i in ids if int(i) not in (0, 2, 3)])

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.unit, "rarest": self.rarest, "lower": self.lower, "vocabulary": self.vocabulary.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WordCodec:
        codec = cls(data["rarest"], data["lower"])
        codec.vocabulary = Vocabulary.from_json(data["vocabulary"])
        return codec


def joined(words: Iterable[str]) -> str:
    """Words and signs as a sentence, with spaces where they belong; of two quotation marks the first opens."""
    text, quoted, close = "", False, True
    for word in words:
        closing = word in CLOSING or (word == '"' and quoted)
        text += word if close or closing else " " + word
        quoted = quoted != (word == '"')
        close = word in OPENING or (word == '"' and quoted)
    return text


def _short(items: list[Any]) -> list[Any]:
    """The beginning and the end of what is too long."""
    return items if len(items) <= LONGEST else items[: LONGEST // 2] + items[-LONGEST // 2 :]
