"""What a model of genes learns from: for each base its class and whether a gene starts there."""

from __future__ import annotations

import numpy as np

from unspool.codecs.bases import Contig, Gene, reverse_complement
from unspool.codecs.genetic import GeneticCode, codons

__all__ = ["IGNORED", "labels", "starts"]

IGNORED = -1
UPSTREAM = 600  # bases before a true start in which other start codons are wrong answers


def labels(contig: Contig) -> np.ndarray:
    """The class (N,) of each base: 0 for no gene, 1 + s mod 3 in a forward gene [s, e), 4 + e mod 3 in a backward one; IGNORED
    where two genes overlap or a gene does not count."""
    found = np.zeros(len(contig), np.int8)
    for gene in contig.genes:
        kind = (1 + gene.start % 3 if gene.strand > 0 else 4 + gene.stop % 3) if not gene.fault else IGNORED
        for start, stop in _inside(gene, len(contig)):
            part = found[start:stop]
            part[:] = np.where(part == 0, kind, np.where(part == kind, kind, IGNORED))
    return found


def _inside(gene: Gene, length: int) -> list[tuple[int, int]]:
    """A gene's interval, in two parts where it runs over the origin; there the frame may change, so what is behind does not
    count."""
    return [(gene.start, gene.stop)] if gene.stop <= length else [(gene.start, length)]


def starts(contig: Contig, code: GeneticCode) -> np.ndarray:
    """For each base whether a forward gene starts there (N, 2), first column, or a backward one, second column: 1, or 0 for a
    start codon of the same open frame that is not the right one, else IGNORED."""
    found = np.full((len(contig), 2), IGNORED, np.int8)
    forward, backward = codons(contig.bases), codons(reverse_complement(contig.bases))
    for gene in contig.genes:
        if not gene.fault and gene.stop <= len(contig):
            if gene.strand > 0:
                _mark(found[:, 0], forward, gene.start, gene.stop, code)
            else:
                flipped = found[::-1, 1]
                _mark(flipped, backward, len(contig) - gene.stop, len(contig) - gene.start, code)
    return found


def _mark(found: np.ndarray, codon: np.ndarray, start: int, stop: int, code: GeneticCode) -> None:
    """Marks the start codons in the open frame of one gene, in the direction of its strand."""
    low = max(start % 3, start - UPSTREAM // 3 * 3)
    before = codon[low:start:3]
    stopped = np.flatnonzero(code.stops[before])
    low += 3 * (int(stopped[-1]) + 1) if len(stopped) else 0
    places = np.arange(low, min(stop - 30, len(codon)), 3)
    wrong = places[code.starts[codon[places]]]
    found[wrong] = np.maximum(found[wrong], 0)
    found[start] = 1
