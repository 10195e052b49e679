"""A simulated genome for the demo: genes with a codon usage of its own, ribosome binding sites, overlaps, on both strands."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unspool.codecs.bases import decoded, encoded, reverse_complement
from unspool.codecs.genetic import genetic_code

__all__ = ["genome", "write"]

BINDING = "AGGAGG"
GENES = (20, 350)  # codons


def genome(length: int, seed: int, *, usage: int = 0) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Bases (N,) and genes (start, stop, strand). Genomes of one `usage` prefer the same codons."""
    rng = np.random.default_rng(seed)
    own = np.random.default_rng(usage)
    code = genetic_code(11)
    weight = np.exp(1.0 * own.standard_normal(64)) * ~code.stops[:64]
    amino = own.dirichlet(np.full(20, 3.0))
    letters = sorted(set(code.letters[:64].tolist()) - {ord("*")})
    p = np.array([weight[c] * amino[letters.index(code.letters[c])] if code.letters[c] in letters else 0.0 for c in range(64)])
    background = own.dirichlet(np.full(4, 20.0))
    parts: list[np.ndarray] = []
    genes: list[tuple[int, int, int]] = []
    at = 0
    while at < length:
        gap = rng.choice(4, int(rng.integers(30, 250)), p=background).astype(np.uint8)
        parts.append(gap)
        at += len(gap)
        run = [_gene(rng, p / p.sum(), code) for _ in range(int(rng.integers(1, 4)))]
        strand = 1 if rng.random() < 0.5 else -1
        whole, places = _operon(run, rng)
        if strand < 0:
            whole = reverse_complement(whole)
            places = [(len(whole) - b, len(whole) - a) for a, b in places]
        genes += [(at + a, at + b, strand) for a, b in places]
        parts.append(whole)
        at += len(whole)
    parts.append(rng.choice(4, 60, p=background).astype(np.uint8))
    return np.concatenate(parts), sorted(genes)


def _gene(rng: np.random.Generator, p: np.ndarray, code: object) -> np.ndarray:
    """From a start codon to a stop codon."""
    inner = rng.choice(64, int(rng.integers(*GENES)), p=p)
    start, stop = rng.choice([14, 46, 62], p=[0.8, 0.12, 0.08]), rng.choice([48, 50, 56])
    number = np.concatenate([[start], inner, [stop]])
    return np.stack([number // 16, number // 4 % 4, number % 4], 1).ravel().astype(np.uint8)


def _operon(genes: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Genes in a row, each behind a binding site; some begin in the last bases of the one before (ATGA)."""
    whole = np.zeros(0, np.uint8)
    places = []
    for gene in genes:
        overlaps = len(whole) and gene[0] == 0 and rng.random() < 0.3
        if overlaps:  # ...ATGA: the start of this gene and the stop TGA of the one before
            whole[-4:] = encoded("ATGA")
            body = gene.copy()
            body[:4] = encoded("ATGA")
            start = len(whole) - 4
            whole = np.concatenate([whole[:-4], body])
        else:
            site = np.concatenate([rng.integers(0, 4, 8), encoded(BINDING), rng.integers(0, 4, int(rng.integers(5, 9)))])
            start = len(whole) + len(site)
            whole = np.concatenate([whole, site.astype(np.uint8), gene])
        places.append((start, start + len(gene)))
    return whole, places


def write(folder: Path, name: str, length: int, seed: int) -> Path:
    """A genome as FASTA, its genes as GFF3 beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    bases, genes = genome(length, seed)
    text = decoded(bases)
    file = folder / f"{name}.fa"
    file.write_text(f">{name}\n" + "\n".join(text[i : i + 60] for i in range(0, len(text), 60)) + "\n")
    rows = (
        f"{name}\tsimulated\tCDS\t{a + 1}\t{b}\t.\t{'+' if strand > 0 else '-'}\t0\tID=gene{n}"
        for n, (a, b, strand) in enumerate(genes)
    )
    (folder / f"{name}.gff3").write_text("##gff-version 3\n" + "\n".join(rows) + "\n")
    return file
