"""Interpolated modified Kneser-Ney n-grams: the baseline beside every language model's score.

With c(h w) the count of symbol w after context h, and h' the context without its oldest symbol,

    P(w | h) = (c(h w) - D(c(h w))) / C(h) + B(h) P(w | h'),   C(h) = sum_w c(h w),   B(h) = sum_w D(c(h w)) / C(h)

down to P = 1 / V. At the full order c counts occurrences; below it, the different symbols seen before `h w` (Kneser & Ney 1995).
Each order has three discounts, D(1), D(2) and D(3 or more) (Chen & Goodman 1999).

The counts are a trie laid out in arrays. A gram of length k is known by its place in the sorted keys of level k, and its key is
`place of its first k - 1 symbols * V + last symbol`; the empty gram has place 0. A place of -1 means "not there".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unspool.errors import ConfigError, DataError, ModelError

__all__ = ["KneserNey"]

Ints = NDArray[np.int64]
Counts = NDArray[np.integer]
Floats = NDArray[np.float64]


class _Level(NamedTuple):
    """The grams of one length. G grams, and N of the length below, which are their contexts."""

    keys: Ints  # (G,) sorted
    counts: Counts  # (G,) c(h w); 0 for a gram that is only ever a context
    discount: Floats  # (4,) D(0) = 0, D(1), D(2), D(3 or more)
    total: Floats  # (N,) C(h), or 1 where nothing follows h
    backoff: Floats  # (N,) B(h), or 1 where nothing follows h
    padding: int  # the place of `begin` repeated, or -1

    def kept(self, places: Ints | slice) -> Floats:
        """c - D(c) of the grams at these places."""
        counts = self.counts[places]
        return counts - self.discount[np.minimum(counts, 3)]


class KneserNey:
    """An n-gram model over the symbols 0 .. V - 1 (Chen & Goodman 1999). Make one with `fit`, or `from_arrays`.

    `order` n (the context is n - 1 symbols; 0 is the uniform distribution), `size` V, `begin`, and `symbols`, how many were read.
    Every symbol has a positive probability after every context. `begin` padding is never counted as a prediction, so `begin` holds
    its share of the uniform floor and no more, unless the sequences themselves contain it.
    """

    def __init__(self, order: int, size: int, begin: int | None, symbols: int, grams: Sequence[tuple[Ints, Counts]]):
        """`grams`: for each length from 1 to `order` the sorted keys and the counts, as in the module's docstring."""
        self.order, self.size, self.begin, self.symbols = order, size, begin, symbols
        self._levels: list[_Level] = []
        contexts, padding = 1, 0
        for keys, counts in grams:
            padding = -1 if begin is None else int(_find(keys, np.array([padding * size + begin]))[0])
            self._levels.append(_level(keys, counts, contexts, size, padding))
            contexts = len(keys)

    @classmethod
    def fit(
        cls, sequences: Iterable[ArrayLike], order: int, size: int, begin: int | None = None, limit: int = 2_000_000
    ) -> KneserNey:
        """Count `sequences`, each (T,) integers in [0, size): a document, or a chunk of a running text.

        Before a sequence stands `begin`, repeated; without one, the first symbols are predicted from what context there is.
        Reading stops after `limit` symbols, so the memory does not grow with the corpus.

        Raises ConfigError for options that do not fit, DataError for a sequence that is no such array, or when all are empty.
        """
        if order < 0 or size < 1 or limit < 1:
            raise ConfigError(f"an n-gram model needs order >= 0, size >= 1 and limit >= 1, not {order}, {size} and {limit}")
        if begin is not None and not 0 <= begin < size:
            raise ConfigError(f"begin must be one of the {size} symbols 0 .. {size - 1}, not {begin}")
        parts: list[NDArray[np.int32]] = []
        left = limit
        for sequence in sequences:
            part = _checked(sequence, size)[:left].astype(np.int32)
            left -= len(part)
            if len(part):
                parts.append(part)
            if not left:
                break
        if not parts:
            raise DataError("there is nothing to count: every sequence is empty; give at least one symbol")
        first = np.zeros(limit - left, dtype=bool)
        first[np.cumsum([0, *(len(part) for part in parts[:-1])])] = True
        return cls(order, size, begin, limit - left, _count(np.concatenate(parts), first, order, size, begin))

    def log_probs(self, ids: ArrayLike) -> Floats:
        """(T,) natural-log probability of each symbol of one sequence, given those before it. DataError as in `fit`."""
        symbols = _checked(ids, self.size)
        probability = np.full(len(symbols), 1 / self.size)
        for level, context, gram in self._walk(symbols):
            known, seen = np.flatnonzero(context >= 0), np.flatnonzero(gram >= 0)
            probability[known] *= level.backoff[context[known]]
            probability[seen] += level.kept(gram[seen]) / level.total[context[seen]]
        return np.log(probability)

    def distribution(self, context: Sequence[int] | Ints) -> Floats:
        """(V,) probability of each next symbol, given those of this sequence so far, of which the last n - 1 matter.

        A shorter context stands at the start of a sequence, behind `begin` if there is one. DataError as in `fit`.
        """
        recent = _checked(context[max(0, len(context) - max(self.order - 1, 0)) :], self.size)
        probability = np.full(self.size, 1 / self.size)
        for level, contexts, _ in self._walk(np.append(recent, 0)):  # the 0 stands for the symbol to come
            h = contexts[-1]
            if h < 0:
                continue
            row = slice(*np.searchsorted(level.keys, (h * self.size, (h + 1) * self.size)))
            probability *= level.backoff[h]
            probability[level.keys[row] - h * self.size] += level.kept(row) / level.total[h]
        return probability

    def arrays(self) -> dict[str, Counts]:
        """The model as plain integer arrays in the smallest types that hold them, for `from_arrays`.

        For each length k, `symbols.k` and `counts.k` (one a gram, sorted), and `children.k` (how many of them share each context).
        """
        begin = -1 if self.begin is None else self.begin
        header = {"order": self.order, "size": self.size, "begin": begin, "read": self.symbols}
        found: dict[str, Counts] = {name: np.array([value], dtype=np.int64) for name, value in header.items()}
        for k, level in enumerate(self._levels, 1):
            context, symbol = np.divmod(level.keys, self.size)
            found[f"symbols.{k}"] = _compact(symbol)
            found[f"counts.{k}"] = level.counts
            found[f"children.{k}"] = _compact(np.bincount(context, minlength=len(level.total)))
        return found

    @classmethod
    def from_arrays(cls, arrays: dict[str, Counts]) -> KneserNey:
        """The model that `arrays` describes. Raises ModelError when one is missing or they do not fit together."""
        try:
            order, size, begin, read = (int(arrays[name][0]) for name in ("order", "size", "begin", "read"))
            grams: list[tuple[Ints, Counts]] = []
            contexts = 1
            for k in range(1, order + 1):
                symbol, counts, children = (arrays[f"{name}.{k}"] for name in ("symbols", "counts", "children"))
                if len(children) != contexts or not int(children.sum(dtype=np.int64)) == len(symbol) == len(counts):
                    raise ModelError(f"the n-gram arrays of length {k} do not fit together; the file is damaged, fit it again")
                keys = np.repeat(np.arange(contexts), children) * size + symbol
                if (symbol >= size).any() or (np.diff(keys) <= 0).any():
                    raise ModelError(f"the n-gram arrays of length {k} are out of order; the file is damaged, fit it again")
                grams.append((keys, counts))
                contexts = len(keys)
        except KeyError as error:
            raise ModelError(f"the n-gram model lacks the array {error}; the file is damaged, fit it again") from error
        return cls(order, size, None if begin < 0 else begin, read, grams)

    def _walk(self, symbols: Ints) -> Iterator[tuple[_Level, Ints, Ints]]:
        """For each level, the place of every symbol's context (one shorter than the level), and of context and symbol together."""
        first = np.arange(len(symbols)) == 0
        gram, padding = np.zeros(len(symbols), dtype=np.int64), 0
        for level in self._levels:
            context = _before(gram, first, padding)
            gram = _find(level.keys, context * self.size + symbols)
            yield level, context, gram
            padding = level.padding


def _count(
    symbols: NDArray[np.int32], first: NDArray[np.bool_], order: int, size: int, begin: int | None
) -> list[tuple[Ints, Counts]]:
    """Keys and counts for each length up to `order`, of sequences laid end to end, each starting where `first` is true."""
    grams: list[tuple[Ints, Counts]] = []
    ends, padding = np.zeros(len(symbols), dtype=np.int64), 0  # the place of the gram that ends at each symbol
    padded = np.zeros(1, dtype=bool)  # which grams start with `begin`
    for k in range(1, order + 1):
        context = _before(ends, first, padding)
        inside = context >= 0
        keys, suffix = context[inside] * size + symbols[inside], ends[inside]
        if begin is not None:  # the padding is a context, though nobody predicts it
            keys, suffix = np.append(keys, padding * size + begin), np.append(suffix, padding)
        unique, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
        if begin is not None:
            padding = place[-1]
            counts[padding] -= 1
        if k > 1:
            starts = ends[~inside & (ends >= 0)]  # grams with no symbol before them
            shorter, raw = grams[-1]
            link = np.empty(len(unique), dtype=np.int64)
            link[place] = suffix
            different = np.bincount(link[counts > 0], minlength=len(shorter))
            different[np.unique(starts)] += 1  # the start of a sequence is one more neighbour
            # What starts with `begin` has nothing else before it, so its neighbours say nothing: it keeps its count.
            grams[-1] = shorter, _compact(np.where(padded, raw, different))
        padded = unique % size == begin if k == 1 else padded[unique // size]
        grams.append((unique, _compact(counts)))
        ends = np.full(len(symbols), -1, dtype=np.int64)
        ends[inside] = place[: np.count_nonzero(inside)]
        padding = -1 if begin is None else padding
    return grams


def _level(keys: Ints, counts: Counts, contexts: int, size: int, padding: int) -> _Level:
    discount = _discounts(counts)
    parent = keys // size
    total = np.bincount(parent, counts, contexts).astype(np.float64)  # an empty one comes back as integers
    held = np.bincount(parent, discount[np.minimum(counts, 3)], contexts).astype(np.float64)
    silent = total == 0
    total[silent] = held[silent] = 1  # nothing follows: back off whole
    return _Level(keys, counts, discount, total, held / total, padding)


def _discounts(counts: Counts) -> Floats:
    """D(0) = 0, D(1), D(2) and D(3 or more), from how many grams have a count of 1, 2, 3 and 4 (Chen & Goodman 1999, eq. 17).

    Where these are too few to tell, or would take a whole count or nothing (each symbol needs some probability), D(c) = c / 2.
    """
    n = [np.count_nonzero(counts == c) for c in range(5)]
    discount = np.array([0.0, 0.5, 1.0, 1.5])
    for c in (1, 2, 3):
        if n[c] and n[1]:
            estimate = c - (c + 1) * n[1] / (n[1] + 2 * n[2]) * n[c + 1] / n[c]
            discount[c] = estimate if 0 < estimate < c else discount[c]
    return discount


def _before(ends: Ints, first: NDArray[np.bool_], padding: int) -> Ints:
    """Each symbol's context: the gram that ends one earlier, or the padding at the start of a sequence."""
    return np.where(first, padding, np.roll(ends, 1))


def _find(keys: Ints, wanted: Ints) -> Ints:
    """The place of each wanted key, -1 for one that is not there (as none is that was made from a context of -1)."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def _compact(values: Counts) -> Counts:
    return values.astype(np.min_scalar_type(values.max(initial=0)))


def _checked(ids: ArrayLike, size: int) -> Ints:
    """`ids` as (T,) int64, or a DataError."""
    found = np.asarray(ids)
    if found.ndim != 1 or (found.dtype.kind not in "iu" and len(found)):
        raise DataError(f"a sequence must be one row of integers, not {found.dtype} of shape {found.shape}")
    if len(found) and not (found.min() >= 0 and found.max() < size):
        raise DataError(f"symbols must lie in 0 .. {size - 1}, but these run from {found.min()} to {found.max()}")
    return found.astype(np.int64)
