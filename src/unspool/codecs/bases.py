"""Contigs, genes, and bases as small numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

__all__ = ["IUPAC", "Contig", "Gene", "decoded", "encoded", "reverse_complement"]

BASES = "ACGTN"
IUPAC = "ACGTRYSWKMBDHVN"

_CODES = np.full(256, 255, np.uint8)
for _letter in IUPAC + "-.":
    _CODES[ord(_letter)] = _CODES[ord(_letter.lower())] = BASES.find(_letter) if _letter in BASES else 4


class Gene(NamedTuple):
    """A coding sequence: bases [start, stop) from 0 on, on strand 1 or -1. On a circular contig `stop` may lie beyond its end."""

    start: int
    stop: int
    strand: int
    name: str = ""
    pseudo: bool = False
    partial: bool = False

    @property
    def fault(self) -> str:
        """Why it does not count, "" where it does: only what is whole, of one interval, a multiple of three and no pseudogene."""
        if self.pseudo or self.partial:
            return "pseudo" if self.pseudo else "partial"
        return "length no multiple of three" if (self.stop - self.start) % 3 else ""


@dataclass(frozen=True)
class Contig:
    """A stretch of DNA: bases (N,) as 0 to 3 for A, C, G, T and 4 for what is not known; its genes; its genetic code, 0 where
    that is not said; and where it was read."""

    name: str
    bases: np.ndarray
    genes: list[Gene] = field(default_factory=list)
    code: int = 0
    circular: bool = False
    place: str = ""

    def __len__(self) -> int:
        return len(self.bases)

    def gene_bases(self, gene: Gene) -> np.ndarray:
        """The bases of a gene, in its own direction; one may run over the origin of a circle."""
        own = self.bases[gene.start : gene.stop]
        if gene.stop > len(self):
            own = np.concatenate([own, self.bases[: gene.stop - len(self)]])
        return own if gene.strand > 0 else reverse_complement(own)


def encoded(text: str | bytes) -> np.ndarray:
    """Letters as bases (N,); 255 for what is no letter of a nucleotide."""
    data = text.encode("ascii", "replace") if isinstance(text, str) else text
    return _CODES[np.frombuffer(data, np.uint8)]


def decoded(bases: np.ndarray) -> str:
    """Bases as letters."""
    return np.frombuffer(BASES.encode(), np.uint8)[bases].tobytes().decode()


def reverse_complement(bases: np.ndarray) -> np.ndarray:
    """The other strand, read in its own direction."""
    return np.where(bases < 4, 3 - bases, 4).astype(np.uint8)[::-1]
