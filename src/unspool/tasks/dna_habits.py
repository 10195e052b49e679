"""What one genome's genes have in common, learned from those that are sure, without its annotation: which codons follow each
other, and what stands before a start (as Prodigal's "single" mode does: Hyatt et al. 2010, doi:10.1186/1471-2105-11-119)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from unspool.codecs.genetic import NO_CODON, codons

__all__ = ["Habits", "Strand"]

KINDS = NO_CODON + 1
BEFORE = 24  # bases before a start in which its binding site stands
PRIOR, PAIRS = 50.0, 1000.0  # how many observations what is known beforehand is worth; of the codons that follow another
WRONG = 4  # start codons further into a gene that show how a wrong start looks


class Strand:
    """One strand of a contig, in its own direction: its bases (N,) and the number of the codon at each of them, (N - 2,)."""

    def __init__(self, bases: np.ndarray):
        self.bases, self.codons = bases, codons(bases)

    def before(self, places: np.ndarray) -> np.ndarray:
        """Which three bases stand at each place before starts (M,): (M, BEFORE - 2); unknown beyond the contig."""
        at = places[:, None] + np.arange(-BEFORE, -2)
        return np.where(at >= 0, self.codons[np.maximum(at, 0)], NO_CODON)


class Habits:
    """The habits of a genome, counted gene by gene."""

    def __init__(self) -> None:
        self._pairs = np.zeros((KINDS, KINDS))
        self._every = np.zeros((KINDS, KINDS))  # the same of all places of both strands
        self._starts = np.zeros((2, KINDS))  # codons of right and wrong starts
        self._before = np.zeros((2, BEFORE - 2, KINDS))
        self.genes = 0

    def add(self, strand: Strand, genes: Iterable[tuple[int, int]], starts: np.ndarray) -> None:
        """Counts a strand's genes [start, stop); `starts` (65,) are the codons that start one."""
        codon = strand.codons
        _count(self._every, codon[:-3], codon[3:])
        right, wrong = [], []
        for start, stop in genes:
            own = codon[start : stop - 3 : 3]
            _count(self._pairs, own[:-1], own[1:])
            right.append(start)
            wrong += (start + 3 * (1 + np.flatnonzero(starts[own[1 : len(own) // 2]])[:WRONG])).tolist()
        self.genes += len(right)
        for row, places in enumerate((right, wrong)):
            at = np.array(places, int)
            np.add.at(self._starts[row], codon[at], 1)
            np.add.at(self._before[row], (np.arange(BEFORE - 2), strand.before(at)), 1)

    def learn(self) -> None:
        """From counts to log odds, in nats: what is rare is drawn to what is known beforehand."""
        every = _shares(self._every, _shares(self._every.sum(0), np.full(KINDS, 1 / KINDS)))
        alone = _shares(self._pairs.sum(0), _shares(self._every.sum(0), np.full(KINDS, 1 / KINDS)))
        self._coding = np.log(_shares(self._pairs, alone, PAIRS) / every).astype(np.float32)
        self._coding[NO_CODON] = self._coding[:, NO_CODON] = 0
        usual = _shares(self._starts[1], np.full(KINDS, 1 / KINDS))
        self._start = np.log(_shares(self._starts[0], usual) / usual)
        usual = _shares(self._before[1], _shares(self._before[1].sum(0), np.full(KINDS, 1 / KINDS)))
        self._site = np.log(_shares(self._before[0], usual) / usual) / 3  # three places in a row share each base
        self._site[:, NO_CODON] = 0

    def coding(self, strand: Strand) -> np.ndarray:
        """Summed log odds of codon pairs (N + 3,): a gene [a, b) has those at b - 6 less those at a, its stop left out."""
        value = self._coding[strand.codons[:-3], strand.codons[3:]] if len(strand.codons) > 3 else np.zeros(0, np.float32)
        found = np.zeros(len(strand.bases) + 3)
        for frame in range(3):
            part = value[frame::3]
            found[3 + frame :: 3][: len(part)] = np.cumsum(part)
        return found

    def starting(self, strand: Strand, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log odds (M,) of the codons and of what stands before them, where genes might start."""
        before = np.zeros(len(places))
        for at in range(0, len(places), 1 << 16):  # memory does not grow
            some = slice(at, at + (1 << 16))
            before[some] = self._site[np.arange(BEFORE - 2), strand.before(places[some])].sum(1)
        return self._start[strand.codons[places]], before


def _count(counts: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    for at in range(0, len(first), 1 << 20):
        pair = first[at : at + (1 << 20)].astype(np.int32) * KINDS + second[at : at + (1 << 20)]
        counts += np.bincount(pair, minlength=counts.size).reshape(counts.shape)


def _shares(counts: np.ndarray, before: np.ndarray, worth: float = PRIOR) -> np.ndarray:
    """Shares of the last axis, `before` those that are expected beforehand."""
    return (counts + worth * before) / (counts.sum(-1, keepdims=True) + worth)
