"""How much of a sample is copied: the longest run of characters it shares with the corpus.

Searching a corpus for every run of every sample would take minutes. So each block of the corpus is first asked, for lengths 1, 2,
4, 8 ..., which runs of that length it holds at all (by hashes, of the whole block at once). That bounds how far a copy may reach
from each place in a sample, and only places that could beat the best so far are searched for. Hashes only rule out; what is
found, is found by comparing characters, so the answer is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Copy", "longest_copies"]

BLOCK = 1 << 18  # characters searched at once: some 20 MB of hashes while it lasts
BREAK = "\0"  # stands between documents and between samples; no run crosses it
MARKS = 22  # bits of a hash that the first, coarse look goes by


@dataclass(frozen=True)
class Copy:
    """A run of `length` characters, `text`, that a sample shares with the corpus."""

    length: int
    text: str


def longest_copies(samples: Sequence[str], corpus: Iterable[str]) -> list[Copy]:
    """For each sample the longest run of characters that also occurs in the corpus (one of them, if several are as long).

    `corpus` gives documents, or chunks; no run goes from one into the next, nor over a NUL character. It is read once, a block at
    a time, so its size does not matter to the memory. A sample that shares nothing gets a Copy of length 0.
    """
    probe = _Probe(samples)
    if len(probe.text):
        for block in _blocks(corpus, max(map(len, samples))):
            probe.search(block)
    return [Copy(len(best), best) for best in probe.best]


def _blocks(corpus: Iterable[str], longest: int) -> Iterator[str]:
    """The corpus in blocks of about BLOCK characters. Pieces of a long document overlap, so that no run is cut."""
    parts: list[str] = []
    size = 0
    for document in corpus:
        for start in range(0, max(1, len(document) - longest + 1), BLOCK):
            parts.append(document[start : start + BLOCK + longest - 1])
            size += len(parts[-1]) + 1
            if size >= BLOCK:
                yield BREAK.join(parts)
                parts, size = [], 0
    if parts:
        yield BREAK.join(parts)


class _Probe:
    """All samples laid end to end, N characters with the breaks, and the best copy found of each."""

    def __init__(self, samples: Sequence[str]):
        self.text = BREAK.join(samples)
        self.best = [""] * len(samples)
        self.codes = _codes(self.text)
        lengths = [len(sample) + 1 for sample in samples]
        self.owner = np.repeat(np.arange(len(samples)), lengths)[: len(self.text)]  # (N,) which sample
        self.room = _until(self.codes == 0)  # (N,) how far a run may reach before a break

    def search(self, block: str) -> None:
        """Lengthen `best` by what this block holds."""
        best = np.array([len(run) for run in self.best])
        reach = self._reach(_codes(block), best[self.owner])
        absent: set[str] = set()  # samples that repeat themselves ask the same again and again
        for place in np.argsort(-reach, kind="stable"):  # the most promising first, they rule out the others
            sample, most = self.owner[place], int(reach[place])
            if not most:
                break
            beat = len(self.best[sample])
            if most <= beat or (needed := self.text[place : place + beat + 1]) in absent:
                continue
            run = self._longest(block, int(place), beat, most)
            if run:
                self.best[sample] = self.text[place : place + run]
            else:
                absent.add(needed)

    def _longest(self, block: str, place: int, beat: int, most: int) -> int:
        """The length of the longest run from `place` in the block, if longer than `beat`; else 0. It cannot pass `most`."""
        text, found, at = self.text, 0, -1
        while beat < most:
            at = block.find(text[place : place + beat + 1], at + 1)
            if at < 0:
                break
            beat += 1
            while beat < most and block[at + beat : at + beat + 1] == text[place + beat]:
                beat += 1
            found = beat
        return found

    def _reach(self, block: NDArray[np.uint64], best: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) how far a copy from each place may reach in this block: never too little, and 0 where it cannot beat `best` (N,)."""
        reach = self.room.copy()
        mine, theirs, k = self.codes, block, 1
        while True:
            open_ = (reach > best) & (reach >= k)
            if not open_.any():
                return np.where(reach > best, reach, 0)
            mine, theirs = _mixed(mine), _mixed(theirs)  # hashes of the runs of length k from each place
            wanted = np.flatnonzero(open_ & (best + 1 < 2 * k))  # for others 2 k says more
            missing = np.zeros(len(reach), dtype=bool)
            missing[wanted[~_held(mine[wanted], theirs)]] = True
            missing |= reach < k
            np.minimum(reach, _until(missing) + k - 1, out=reach)
            theirs = _doubled(theirs, k)
            mine[: max(0, len(mine) - k)] = _doubled(mine, k)  # the last are cut short by the end, so `reach` excludes them
            k *= 2


def _codes(text: str) -> NDArray[np.uint64]:
    """(N,) the characters' code points."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)


def _until(stop: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,) how many places from each one to the next where `stop` is true, or to the end."""
    place = np.arange(len(stop))
    ahead = np.where(stop, place, len(stop))
    return np.minimum.accumulate(ahead[::-1])[::-1] - place


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over the upper ones, where `_held` looks, and back down."""
    mixed = hashes * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(32))


def _doubled(hashes: NDArray[np.uint64], k: int) -> NDArray[np.uint64]:
    """From the hashes of the runs of length k those of length 2 k, of which there are k fewer."""
    return hashes[: max(0, len(hashes) - k)] * np.uint64(0xD6E8FEB86659FD93) + hashes[k:]


def _held(mine: NDArray[np.uint64], theirs: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of `mine` are among `theirs`, many more: a table of marks drops most of those before any are sorted."""
    shift = np.uint64(64 - MARKS)
    marks = np.zeros(1 << MARKS, dtype=bool)
    marks[mine >> shift] = True
    return np.isin(mine, theirs[marks[theirs >> shift]])
