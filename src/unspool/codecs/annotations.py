"""Genes as files: GFF3 (version 1.26 of the specification), protein and gene FASTA, bedGraph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote

import numpy as np

from unspool.codecs.bases import Contig, Gene, decoded
from unspool.codecs.genetic import genetic_code

__all__ = ["HEAD", "Called", "bedgraph", "gff3", "nucleotides", "proteins"]

WIDE = 60  # letters of a line of FASTA
HEAD = ("##gff-version 3",)


class Called(NamedTuple):
    """A gene that was found, with its score in nats and its probability."""

    gene: Gene
    score: float
    probability: float


def gff3(contig: Contig, genes: Sequence[Called], code: int, source: str = "unspool") -> Iterator[str]:
    """Lines of GFF3, to follow `HEAD`: the genes of a contig, sorted by start, with its genetic code."""
    name = quote(contig.name, safe=".:^*$@!+_?-|")
    yield f"##sequence-region {name} 1 {len(contig)}"
    if contig.circular:
        yield f"{name}\t{source}\tregion\t1\t{len(contig)}\t.\t.\t.\tID={_escaped(contig.name)};Is_circular=true"
    for number, (gene, score, probability) in enumerate(genes, 1):
        strand, partial = "+" if gene.strand > 0 else "-", ";partial=true" if gene.partial else ""
        rest = f"ID={_escaped(contig.name)}_{number};transl_table={code};probability={probability:.4f}{partial}"
        yield f"{name}\t{source}\tCDS\t{gene.start + 1}\t{gene.stop}\t{score:.2f}\t{strand}\t0\t{rest}"


def _escaped(text: str) -> str:
    return quote(text, safe=" .:^*$@!+_?-|/()[]{}<>'\"#~`")


def proteins(contig: Contig, genes: Sequence[Called], code: int) -> Iterator[str]:
    """Lines of FASTA: the protein of each gene."""
    table = genetic_code(code)
    yield from _fasta(contig, genes, lambda gene: table.translated(contig.gene_bases(gene)))


def nucleotides(contig: Contig, genes: Sequence[Called]) -> Iterator[str]:
    """Lines of FASTA: the bases of each gene."""
    yield from _fasta(contig, genes, lambda gene: decoded(contig.gene_bases(gene)))


def _fasta(contig: Contig, genes: Sequence[Called], letters: Callable[[Gene], str]) -> Iterator[str]:
    for number, called in enumerate(genes, 1):
        gene = called.gene
        yield f">{contig.name}_{number} {gene.start + 1}-{gene.stop} {'+' if gene.strand > 0 else '-'} p={called.probability:.4f}"
        text = letters(gene)
        yield from (text[at : at + WIDE] for at in range(0, len(text), WIDE))


def bedgraph(contig: Contig, probability: np.ndarray, step: int) -> Iterator[str]:
    """Lines of bedGraph: how likely a base is to be in a gene, of each step, neighbours of one value together."""
    values = np.round(probability, 2)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        yield f"{contig.name}\t{first * step}\t{min(last * step, len(contig))}\t{values[first]:.2f}"
