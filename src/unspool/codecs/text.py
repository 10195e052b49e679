"""Text <-> ids: characters, words, or byte-pair subwords."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from unspool.codecs import normalise
from unspool.codecs.streams import whole
from unspool.errors import ConfigError, DataError, did_you_mean
from unspool.vocabulary import Vocabulary

__all__ = ["UNITS", "TextCodec"]

UNKNOWN_CHARACTER = "\ufffd"

UNITS = ("characters", "words", "subwords")
_SAMPLE = 20_000_000  # characters that a vocabulary is learned from, at most: constant memory, and more changes little


class TextCodec:
    """Text to ids and back.

    `characters`: each one symbol; those seen fewer than `rarest` times, and all never seen, are spelled in bytes.
    `words`: split at white space, a line's end being a word; what was never seen is unknown.
    `subwords`: byte-pair encoding over bytes (Sennrich et al. 2016), of about `size` symbols; nothing is ever unknown.
    With `normalised`, text passes through `normalise.tweets` first, and rare characters are unknown, as in the tweet notebook.
    """

    def __init__(self, unit: str = "characters", *, normalised: bool = False, size: int = 2000, rarest: int = 0):
        if unit not in UNITS:
            raise ConfigError(f"there is no unit {unit!r}{did_you_mean(unit, UNITS)}; the units are {', '.join(UNITS)}")
        if normalised and unit == "words":
            raise ConfigError("normalised tweets are read by characters or subwords: leave out the unit, or the normalisation")
        self.unit, self.normalised, self.size = unit, normalised, size
        self.rarest = rarest or (30 if normalised else 5)
        self.vocabulary = Vocabulary()
        self.common = ""  # the characters that normalised text is written in
        self._bpe: Tokenizer | None = None
        self._table = np.zeros(0, np.int32)

    def fit(self, texts: Iterable[str]) -> TextCodec:
        """Learns the vocabulary from texts, which are gone through twice where rare characters must be known first."""
        if self.normalised:
            counts = Counter(symbol for text in _limited(texts) for symbol in normalise.split(normalise.tweets(text)))
            self.common = "".join(sorted(s for s, n in counts.items() if n >= self.rarest and len(s) == 1))
        if self.unit == "subwords":
            self._adopt(_train_subwords((self.clean(text) for text in _limited(texts)), self.size, self.normalised))
            return self
        counts: Counter[str] = Counter()
        for text in _limited(texts):
            counts.update(self._split(text))
        rarest = self.rarest if self.unit == "characters" else 1
        kept = sorted((s for s, n in counts.items() if n >= rarest), key=lambda s: (-counts[s], s))
        self.vocabulary = Vocabulary(kept, fallback=self.unit == "characters" and not self.normalised)
        return self

    def grow(self, texts: Iterable[str]) -> TextCodec:
        """A codec whose vocabulary also holds the new symbols of these texts, after its own (subwords spell all text already)."""
        if self.unit == "subwords":
            return self
        other = TextCodec(self.unit, normalised=self.normalised, size=self.size, rarest=self.rarest).fit(texts)
        first = 4 + (256 if other.vocabulary.fallback else 0)
        grown = TextCodec.from_json(self.to_json())
        grown.vocabulary = self.vocabulary.grown(other.vocabulary.symbols[first:])
        return grown

    def encode(self, text: str) -> np.ndarray:
        """The ids (int64) of a text, without begin and end. Any text has ids."""
        text = whole(text)
        if self._bpe is not None:
            return np.asarray(self._bpe.encode(self.clean(text)).ids, np.int64) + 4
        if self.unit == "characters" and not self.normalised:
            return self._encode_characters(text)
        return np.asarray(self.vocabulary.encode(self._split(text)), np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; begin, end and padding are silent."""
        if self._bpe is not None:
            return self._bpe.decode([int(i) - 4 for i in ids if i >= 4], skip_special_tokens=False)
        if self.unit == "words":
            words = [self.vocabulary.symbols[int(i)] for i in ids if int(i) not in (0, 2, 3)]
            return " ".join(words).replace(" \n ", "\n").replace(" \n", "\n").replace("\n ", "\n")
        return self.vocabulary.decode([int(i) for i in ids])

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where in a text the symbols stand that `encode` gives: (start, stop) in characters, of subwords (not normalised)."""
        assert self._bpe is not None
        return list(self._bpe.encode(text).offsets)

    def clean(self, text: str) -> str:
        """The text as this codec sees it: normalised, and a rare character U+FFFD, where that is asked for."""
        if not self.normalised:
            return text
        text, common = normalise.tweets(text), set(self.common)
        return "".join(s if len(s) > 1 or s in common else UNKNOWN_CHARACTER for s in normalise.split(text)) if common else text

    def count(self, text: str) -> int:
        """What a loss is divided by: a text's characters, or its words, or its normalised symbols."""
        if self.unit == "words":
            return sum(1 for _ in self._split(text))
        return len(normalise.split(self.clean(text))) if self.normalised else len(text)

    def to_json(self) -> dict[str, Any]:
        return {
            "unit": self.unit,
            "normalised": self.normalised,
            "size": self.size,
            "rarest": self.rarest,
            "common": self.common,
            **({"subwords": self._bpe.to_str()} if self._bpe is not None else {"vocabulary": self.vocabulary.to_json()}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TextCodec:
        try:
            codec = cls(data["unit"], normalised=data["normalised"], size=data["size"], rarest=data["rarest"])
            codec.common = data["common"]
            if codec.unit == "subwords":
                codec._adopt(Tokenizer.from_str(data["subwords"]))
            else:
                codec.vocabulary = Vocabulary.from_json(data["vocabulary"])
        except KeyError as error:
            raise DataError(f"a stored text codec lacks its {error}") from error
        return codec

    def _split(self, text: str) -> Iterable[str]:
        if self.unit == "words":
            return [word for word in text.replace("\n", " \n ").replace("\t", " ").split(" ") if word]
        return normalise.split(self.clean(text)) if self.normalised else text

    def _adopt(self, bpe: Tokenizer) -> None:
        self._bpe, pieces = bpe, bpe.get_vocab()
        self.vocabulary = Vocabulary(sorted(pieces, key=pieces.__getitem__))

    def _encode_characters(self, text: str) -> np.ndarray:
        if not len(self._table):
            self._table = np.full(0x110000, -1, np.int32)
            for code, symbol in enumerate(self.vocabulary.symbols):
                if len(symbol) == 1:
                    self._table[ord(symbol)] = code
        codes = self._table[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)]
        if (codes >= 0).all():
            return codes.astype(np.int64)
        return np.asarray(self.vocabulary.encode(text), np.int64)


def _limited(texts: Iterable[str]) -> Iterator[str]:
    left = _SAMPLE
    for text in texts:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _train_subwords(texts: Iterable[str], size: int, normalised: bool) -> Tokenizer:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    whole = [AddedToken(marker, normalized=False) for marker in normalise.MARKERS] if normalised else []
    trainer = trainers.BpeTrainer(vocab_size=size - 4, initial_alphabet=alphabet, show_progress=False, special_tokens=whole)
    bpe.train_from_iterator(texts, trainer)
    return bpe
