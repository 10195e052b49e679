"""Genomes as they might be: the same proteins written with other codons, so that a model knows genomes poorer or richer in G and
C than those it learned from, and those in which TGA stops nothing."""

from __future__ import annotations

from functools import cache

import numpy as np

from unspool.codecs.genetic import genetic_code

__all__ = ["recoded"]

TGA, TGG, TAA = 56, 58, 48
G, C = 2, 1


@cache
def _content() -> np.ndarray:
    """How many G and C each codon has, (64,)."""
    n = np.arange(64)
    return sum(np.isin(part, (G, C)).astype(int) for part in (n // 16, n // 4 % 4, n % 4))  # type: ignore[return-value]


def _choices(tilt: float, habit: np.ndarray) -> np.ndarray:
    """For each codon the cumulated probabilities (64, 64) of codons for the same amino acid: each G or C is worth exp(tilt), and
    each codon as much as `habit` (64,) says."""
    letters = genetic_code(11).letters[:64]
    weight = (letters[:, None] == letters[None]) * (np.exp(tilt * _content()) * habit)[None]
    return np.cumsum(weight / weight.sum(1, keepdims=True), axis=1)


def recoded(
    bases: np.ndarray, classes: np.ndarray, rng: np.random.Generator, *, tilt: float, share: float = 0.9, tga: bool = False
) -> np.ndarray:
    """A window (N,) in which genes, as `classes` (N,) of the window's own frames tell, have other codons for the same amino
    acids, a share of them drawn anew, and what is between genes has other bases; `tilt` is what a G or C is worth, in nats. With
    `tga` tryptophan is written TGA, which stops nothing."""
    found = bases.copy()
    table = _choices(tilt, np.exp(0.6 * rng.standard_normal(64)))  # each genome prefers some codons
    for strand in (1, 4):
        for frame in range(3):
            inside = classes == strand + frame
            if not inside.any():
                continue
            whole = _whole(inside, frame)
            forward = strand == 1
            three = np.stack([found[whole], found[whole + 1], found[whole + 2]])
            three = three if forward else np.where(three[::-1] < 4, 3 - three[::-1], 4)
            known = (three < 4).all(0)
            number = np.where(known, 16 * three[0].astype(int) + 4 * three[1] + three[2], 0)
            new = (rng.random((len(number), 1)) > table[number]).sum(1)
            new = np.where(rng.random(len(number)) < share, new, number)
            new = np.where(known & ~_edge(whole), new, number)
            if tga:
                new = np.where(new == TGG, TGA, np.where(number == TGA, TAA, new))
            parts = np.stack([new // 16, new // 4 % 4, new % 4]).astype(np.uint8)
            parts = parts if forward else 3 - parts[::-1]
            for n in range(3):
                found[whole[known] + n] = parts[n][known]
    between = (classes == 0) & (found < 4) & (rng.random(len(found)) < _change(tilt)) & ~_near_genes(classes)
    p = np.exp(tilt * np.array([0, 1, 1, 0.0]))
    found[between] = rng.choice(4, int(between.sum()), p=p / p.sum())
    return found


def _whole(inside: np.ndarray, frame: int) -> np.ndarray:
    """Where whole codons of a frame begin that lie inside."""
    places = np.arange(frame, len(inside) - 2, 3)
    return places[inside[places] & inside[places + 1] & inside[places + 2]]


def _edge(whole: np.ndarray) -> np.ndarray:
    """The first and last codons of genes, which start and stop them."""
    edge = np.ones(len(whole), bool)
    if len(whole) > 2:
        edge[1:-1] = (np.diff(whole)[:-1] != 3) | (np.diff(whole)[1:] != 3)
    return edge


def _change(tilt: float) -> float:
    """The share of bases between genes that are drawn anew."""
    return min(0.8, abs(tilt))


def _near_genes(classes: np.ndarray, reach: int = 20) -> np.ndarray:
    """Bases before a gene, where what starts it stands."""
    coding = np.concatenate([[0], np.cumsum(classes != 0)])
    n = np.arange(len(classes))
    return coding[np.minimum(n + reach + 1, len(classes))] - coding[np.maximum(n - reach, 0)] > 0
