"""How well genes were found: by base, by stop, by both ends; and the baseline of the longest open frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from unspool.codecs.bases import Gene, reverse_complement
from unspool.codecs.genetic import GeneticCode, codons
from unspool.decoding.genes import chosen, open_frames

__all__ = ["Tally", "longest_frames"]

LENGTHS = (150, 300, 600, 1200)  # bases that divide genes into classes


def _end(gene: Gene, length: int) -> tuple[int, int]:
    """What a gene is known by: its strand and the place of its stop."""
    return gene.strand, (gene.stop if gene.strand > 0 else gene.start) % length


def _first(gene: Gene, length: int) -> int:
    return (gene.start if gene.strand > 0 else gene.stop) % length


@dataclass
class Tally:
    """Counts over contigs. What hits a pseudogene, or a gene that does not count, is left out."""

    true: int = 0
    found: int = 0
    stops: int = 0
    ends: int = 0
    bases: np.ndarray = field(default_factory=lambda: np.zeros(3, np.int64))  # true, found, both
    by_length: np.ndarray = field(default_factory=lambda: np.zeros((len(LENGTHS) + 1, 2), np.int64))  # true ones, and those found

    def add(self, truth: Sequence[Gene], odd: Sequence[Gene], found: Sequence[Gene], length: int) -> None:
        """The genes of one contig of `length` bases: the true ones, those that do not count, and those found."""
        known = {_end(gene, length): gene for gene in truth}
        left_out = _covered(odd, length)
        real = _covered(truth, length)
        counted = [gene for gene in found if _end(gene, length) in known or not _hits(gene, left_out, length)]
        right = [gene for gene in counted if _end(gene, length) in known]
        self.true, self.found, self.stops = self.true + len(known), self.found + len(counted), self.stops + len(right)
        self.ends += sum(_first(gene, length) == _first(known[_end(gene, length)], length) for gene in right)
        covered = _covered(counted, length)
        count = ~(left_out.any(0) & ~real.any(0))
        a, b = real & count, covered & count
        self.bases += np.array([a.sum(), b.sum(), (a & b).sum()])
        hit = {_end(gene, length) for gene in right}
        for key, gene in known.items():
            self.by_length[np.searchsorted(LENGTHS, gene.stop - gene.start, side="right")] += np.array([1, key in hit])

    def scores(self) -> dict[str, Any]:
        """Precision, recall and F1 of bases, stops and both ends; the share of right starts; recall by length."""
        answer: dict[str, Any] = {"genes": self.true, "found": self.found}
        for name, hit, true, found in (
            ("stop", self.stops, self.true, self.found),
            ("both ends", self.ends, self.true, self.found),
            ("base", int(self.bases[2]), int(self.bases[0]), int(self.bases[1])),
        ):
            answer |= {
                f"{name} precision": hit / max(1, found),
                f"{name} recall": hit / max(1, true),
                f"{name} F1": 2 * hit / max(1, true + found),
            }
        answer["start accuracy"] = self.ends / max(1, self.stops)
        names = [
            f"below {LENGTHS[0]}",
            *(f"{a} to {b - 1}" for a, b in pairwise(LENGTHS)),
            f"{LENGTHS[-1]} and more",
        ]
        answer["stop recall by length in bases"] = {
            name: f"{hit / max(1, true):.3f} of {true:,}" for name, (true, hit) in zip(names, self.by_length.tolist(), strict=True)
        }
        return answer


def _covered(genes: Iterable[Gene], length: int) -> np.ndarray:
    """Which bases of each strand lie in genes, (2, N)."""
    found = np.zeros((2, length), bool)
    for gene in genes:
        row = found[int(gene.strand < 0)]
        row[gene.start : min(gene.stop, length)] = True
        if gene.stop > length:
            row[: gene.stop - length] = True
    return found


def _hits(gene: Gene, covered: np.ndarray, length: int) -> bool:
    row = covered[int(gene.strand < 0)]
    inside = int(row[gene.start : min(gene.stop, length)].sum()) + (
        int(row[: gene.stop - length].sum()) if gene.stop > length else 0
    )
    return 2 * inside > gene.stop - gene.start


def longest_frames(bases: np.ndarray, code: GeneticCode, least: int = 300) -> list[Gene]:
    """The baseline: of every open frame of at least so many bases the longest gene, longer ones before shorter ones that overlap
    them."""
    found = []
    for strand in (1, -1):
        own = bases if strand > 0 else reverse_complement(bases)
        codon = codons(own)
        frames = open_frames(codon, code.stops, least)
        place = np.flatnonzero(code.starts[codon])
        for low, stop, cut in zip(frames.low.tolist(), frames.stop.tolist(), frames.open_stop.tolist(), strict=True):
            if not cut:
                at = place[np.searchsorted(place, low) :]
                begin = next((int(p) for p in at[:200] if p % 3 == low % 3), stop)
                if stop - begin >= least:
                    found.append((begin, stop, 1) if strand > 0 else (len(bases) - stop, len(bases) - begin, -1))
    found.sort(key=lambda gene: gene[1])
    start, stop, strand = (np.array(column) for column in zip(*found, strict=True)) if found else (np.zeros(0, int),) * 3
    taken = chosen(start, stop, strand, (stop - start).astype(float), 2.0)
    return [Gene(int(row[0]), int(row[1]), int(row[2])) for row, keep in zip(found, taken, strict=True) if keep]
