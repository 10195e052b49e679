"""Text <-> words: the plain tokens of a sentence, for ratings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from unspool.errors import DataError
from unspool.vocabulary import Vocabulary

__all__ = ["WordCodec"]

TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
LONGEST = 1000  # words of a text that are read; of a longer one the middle is left out
SAMPLE = 500_000  # texts that the vocabulary is learned from, at most


class WordCodec:
    """Words and signs, in lower case. Those seen fewer than `rarest` times in the corpus are unknown."""

    unit = "words"

    def __init__(self, rarest: int = 2):
        self.rarest = rarest
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
        return TOKEN.findall(text.lower())

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where in the text the words stand that `encode` reads: (start, stop) of each."""
        return _short([found.span() for found in TOKEN.finditer(text)])

    def encode(self, text: str) -> np.ndarray:
        """The ids (T,) of a text, at least one: a text without words is unknown."""
        return np.asarray(self.vocabulary.encode(_short(self.split(text))) or [Vocabulary.unknown], np.int64)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.unit, "rarest": self.rarest, "vocabulary": self.vocabulary.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WordCodec:
        codec = cls(data["rarest"])
        codec.vocabulary = Vocabulary.from_json(data["vocabulary"])
        return codec


def _short(items: list[Any]) -> list[Any]:
    """The beginning and the end of what is too long."""
    return items if len(items) <= LONGEST else items[: LONGEST // 2] + items[-LONGEST // 2 :]
