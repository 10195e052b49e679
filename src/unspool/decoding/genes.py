"""From open reading frames with scores to genes: the best set of them, found by dynamic programming."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Frames", "chosen", "open_frames"]

MOST_OVERLAP = 200  # bases that two genes may share
NEAR = 60  # genes before one that may overlap it


class Frames(NamedTuple):
    """Open reading frames, each by its stop: the first and last-but-stop places in bases of their own strand.

    `low` (M,): where the frame opens, behind the stop before it, or at the contig's edge; `stop` (M,): the base behind its stop
    codon. `open_start`, `open_stop`: whether the contig's edge cuts the frame off, so that a gene there may be partial.
    """

    low: np.ndarray
    stop: np.ndarray
    open_start: np.ndarray
    open_stop: np.ndarray


def open_frames(codons: np.ndarray, stops: np.ndarray, least: int) -> Frames:
    """All frames of at least so many bases on one strand, read in its own direction; `codons` (N,) begins at each base, `stops`
    (65,) says which of them stop."""
    length = len(codons) + 2
    found = []
    for frame in range(3):
        places = np.flatnonzero(stops[codons[frame::3]]) * 3 + frame
        last = (length - frame) // 3 * 3 + frame  # behind the last whole codon
        low = np.concatenate([[frame], places + 3])
        stop = np.concatenate([places + 3, [last]])
        edge = np.zeros((2, len(low)), bool)
        edge[0, 0] = edge[1, -1] = True
        kept = stop - low >= least
        found.append((low[kept], stop[kept], edge[0][kept], edge[1][kept]))
    low, stop, at_start, at_stop = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(stop, kind="stable")
    return Frames(low[order], stop[order], at_start[order], at_stop[order])


def chosen(start: np.ndarray, stop: np.ndarray, strand: np.ndarray, score: np.ndarray, cost: float) -> np.ndarray:
    """Which of genes [start, stop) (M,), sorted by stop, make the set of the largest sum of scores (M,), where each base that two
    genes next to each other share costs `cost`, and none share more than 200 or lie inside another.

    O(M) for all that matters: a gene looks back at the 60 before it, and at the best of all further ones.
    """
    count = len(start)
    best = np.zeros(count)  # of sets that end with each gene
    back = np.full(count, -1)
    ahead = np.zeros(count + 1)  # the best of sets among the first n genes
    which = np.full(count + 1, -1)  # and the gene that ends it
    for i in range(count):
        clear = int(np.searchsorted(stop[:i], start[i], side="right"))
        total, before = ahead[clear], int(which[clear])
        for j in range(max(clear, i - NEAR), i):
            shared = stop[j] - start[i]
            if shared <= MOST_OVERLAP and start[j] < start[i] and stop[j] < stop[i] and best[j] - cost * shared > total:
                total, before = best[j] - cost * shared, j
        best[i], back[i] = score[i] + total, before
        better = best[i] > ahead[i]
        ahead[i + 1], which[i + 1] = (best[i], i) if better else (ahead[i], which[i])
    taken = np.zeros(count, bool)
    at = int(which[count]) if count else -1
    while at >= 0:
        taken[at] = True
        at = int(back[at])
    return taken
