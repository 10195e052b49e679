"""Genetic codes: which codons start and stop a protein, and what the others mean (NCBI's tables, as Biopython has them)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from unspool.errors import ConfigError, extra

__all__ = ["GeneticCode", "codons", "genetic_code"]

BASES = "ACGT"
NO_CODON = 64  # of three bases not all are known


@dataclass(frozen=True)
class GeneticCode:
    """By the number of a codon (0 to 64): whether it starts or stops a protein, and its amino acid."""

    number: int
    starts: np.ndarray
    stops: np.ndarray
    letters: np.ndarray

    def translated(self, bases: np.ndarray) -> str:
        """The protein of a gene (N,), read from its first base; a start is methionine, and the stop at the end is left out."""
        found = self.letters[codons(bases)[::3]]
        if len(found) and self.starts[codons(bases[:3])[0]]:
            found[0] = ord("M")
        protein = found.tobytes().decode()
        return protein.removesuffix("*")


def codons(bases: np.ndarray) -> np.ndarray:
    """The number of the codon that begins at each base, (N - 2,) uint8; 64 where a base is not known."""
    found = 16 * bases[:-2] + 4 * bases[1:-1] + bases[2:]  # at most 84
    found[(bases[:-2] > 3) | (bases[1:-1] > 3) | (bases[2:] > 3)] = NO_CODON
    return found


@cache
def genetic_code(number: int) -> GeneticCode:
    """NCBI's table of that number; ConfigError when there is none."""
    tables: dict[int, Any] = extra("Bio.Data.CodonTable", "dna").unambiguous_dna_by_id
    if number not in tables:
        raise ConfigError(f"there is no genetic code {number}; bacteria and phages have 11, mycoplasmas 4, some 25")
    table = tables[number]
    names = [a + b + c for a in BASES for b in BASES for c in BASES]
    starts, stops = (np.array([*(name in group for name in names), False]) for group in (table.start_codons, table.stop_codons))
    letters = np.array([ord(table.forward_table.get(name, "*")) for name in names] + [ord("X")], np.uint8)
    return GeneticCode(number, starts & ~stops, stops, letters)
