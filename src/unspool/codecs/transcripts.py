"""What is said <-> ids: whole words, characters, or subwords."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from unspool.codecs.text import TextCodec
from unspool.errors import DataError
from unspool.vocabulary import Vocabulary

__all__ = ["Transcripts", "clean"]

MOST_WORDS, LEAST_SEEN = 200, 10  # so few words, each so often, are heard as wholes
NO_WORD = re.compile(r"[^\w' ]|_|(?<!\w)'|'(?!\w)")


def clean(text: str) -> str:
    """Lower case, without punctuation, one space between words: what a transcript is compared as."""
    text = unicodedata.normalize("NFKC", text.replace("’", "'")).lower()
    return " ".join(NO_WORD.sub(" ", text).split())


class Transcripts:
    """Cleaned transcripts. `unit`: words, characters (the space is one), subwords, or auto: words where there are few and often."""

    def __init__(self, unit: str = "auto", size: int = 500):
        self.unit, self.size = unit, size
        self.vocabulary = Vocabulary()
        self._bpe: TextCodec | None = None

    def fit(self, texts: Iterable[str]) -> Transcripts:
        """Learns the vocabulary; DataError when there are no words."""
        counts = Counter(text := [clean(t) for t in texts])
        words = Counter(word for line, n in counts.items() for word in line.split() for _ in range(n))
        if not words:
            raise DataError("the transcripts hold no words; give at least one with letters or digits")
        if self.unit == "auto":
            few = len(words) <= MOST_WORDS and sum(words.values()) >= LEAST_SEEN * len(words)
            self.unit = "words" if few else "characters"
        if self.unit == "subwords":
            self._bpe = TextCodec("subwords", size=self.size).fit(f" {line}" for line in text)
            self.vocabulary = self._bpe.vocabulary
        else:
            self.vocabulary = Vocabulary(sorted(words if self.unit == "words" else set(" ".join(words))))
        return self

    def grown(self, texts: Iterable[str]) -> Transcripts:
        """A codec that also knows the words or characters of these texts, after its own (subwords spell all texts already)."""
        if self._bpe is not None:
            return self
        other, codec = Transcripts(self.unit).fit(texts), Transcripts(self.unit, self.size)
        codec.vocabulary = self.vocabulary.grown(other.vocabulary.symbols[4:])
        return codec

    def encode(self, text: str) -> np.ndarray:
        """The ids (T,) of a text; a word or character that was never met is unknown."""
        text = clean(text)
        if self._bpe is not None:
            return self._bpe.encode(" " + text)  # so that all words begin alike
        return np.asarray(self.vocabulary.encode(text.split() if self.unit == "words" else text), np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids."""
        if self._bpe is not None:
            return self._bpe.decode(ids).strip()
        shown = [self.vocabulary.symbols[int(i)] for i in ids if int(i) not in (0, 2, 3)]
        return (" " if self.unit == "words" else "").join(shown).strip()

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        """The words of ids, each with the places (start, stop) of its own."""
        if self.unit == "words":
            return [(self.vocabulary.symbols[i], n, n + 1) for n, i in enumerate(ids)]
        found: list[tuple[str, int, int]] = []
        begin = 0
        for at in range(len(ids) + 1):
            if at == len(ids) or (at > begin and self.begins(ids[at])):
                word = self.decode(ids[begin:at])
                if word:
                    found.append((word, begin + (ids[begin] == self.space), at))
                begin = at
        return found

    @property
    def pieces(self) -> list[str]:
        """The symbols as text; one that begins a word begins with a space."""
        symbols = self.vocabulary.symbols
        if self.unit == "subwords":
            return [self._bpe.decode([i]) if self._bpe and i > 3 else "" for i in range(len(symbols))]
        return [f" {symbol}" if self.unit == "words" else symbol for symbol in symbols]

    @property
    def space(self) -> int:
        """The id of the space between words; -1 where there is none."""
        return self.vocabulary.encode([" "])[0] if self.unit == "characters" and " " in self.vocabulary else -1

    def begins(self, symbol: int) -> bool:
        """Whether a symbol begins a word, or is the space before one."""
        if self.unit == "subwords":
            return self.vocabulary.symbols[symbol].startswith("Ġ")
        return self.unit == "words" or symbol == self.space

    def to_json(self) -> dict[str, Any]:
        held = {"bpe": self._bpe.to_json()} if self._bpe is not None else {"vocabulary": self.vocabulary.to_json()}
        return {"unit": self.unit, "size": self.size, **held}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Transcripts:
        codec = cls(data["unit"], data["size"])
        if codec.unit == "subwords":
            codec._bpe = TextCodec.from_json(data["bpe"])
            codec.vocabulary = codec._bpe.vocabulary
        else:
            codec.vocabulary = Vocabulary.from_json(data["vocabulary"])
        return codec
