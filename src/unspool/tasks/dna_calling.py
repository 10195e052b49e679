"""From what a network says of each step to genes: candidates in open frames, how likely each is, and the best set of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from unspool.codecs.bases import reverse_complement
from unspool.codecs.genetic import GeneticCode, codons
from unspool.decoding.genes import chosen, open_frames
from unspool.models.strands import STEP

__all__ = ["Candidates", "Read", "Weights", "called", "candidates", "fitted"]

FEATURES = 6


class Read(NamedTuple):
    """What a network says of a contig of N bases: log-probabilities of classes (T, 7) at each step of nine bases, and the logits
    of starts (N, 2)."""

    classes: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class Weights:
    """What a start and a gene are judged by: learned from genomes with known genes."""

    start: tuple[float, ...] = (0.3, 1.0)  # of the sum of log odds behind a candidate, and of its logit
    gene: tuple[float, ...] = (1.0, 0.5, 0.0, 0.0, 0.3, 0.0, -1.0)  # of the features of a candidate, the last for all
    cost: float = 0.05  # nats for each base that two genes share


class Candidates(NamedTuple):
    """The best candidate of each open frame of both strands: [start, stop) (M,) in bases of the forward strand, the strand,
    whether its start or stop lie beyond the contig, and features (M, 6)."""

    start: np.ndarray
    stop: np.ndarray
    strand: np.ndarray
    partial: np.ndarray
    features: np.ndarray

    def logits(self, weights: Weights) -> np.ndarray:
        """How much likelier than not each is a gene, in nats."""
        return self.features @ np.array(weights.gene[:-1]) + weights.gene[-1]


def candidates(bases: np.ndarray, read: Read, code: GeneticCode, weights: Weights, least: int, edges: bool) -> Candidates:
    """The candidates of a contig. `edges`: genes may be cut off by its ends."""
    found = [_of_strand(strand, bases, read, code, weights, least, edges) for strand in (1, -1)]
    joined = Candidates(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    order = np.lexsort((joined.start, joined.stop))
    return Candidates(*(part[order] for part in joined))


def _of_strand(
    strand: int, bases: np.ndarray, read: Read, code: GeneticCode, weights: Weights, least: int, edges: bool
) -> Candidates:
    length = len(bases)
    own = bases if strand > 0 else reverse_complement(bases)
    codon = codons(own)
    frames = open_frames(codon, code.stops, least)
    logit = read.starts[:, 0] if strand > 0 else read.starts[::-1, 1]
    sums = _Sums(read, strand, length)
    pairs = _pairs(frames.low, frames.stop, frames.open_start & edges, codon, code, least)
    kind = frames.low % 3  # all starts of a frame are in one
    total = sums.between(kind[pairs[0]], pairs[1], frames.stop[pairs[0]])
    real = pairs[2]
    judged = weights.start[0] * total + weights.start[1] * np.where(real, logit[pairs[1]], -1.0)
    best = _best_of(pairs[0], judged, len(frames.low))
    frame = np.flatnonzero((best >= 0) & (edges | ~frames.open_stop))
    best = best[frame]
    start, stop, total = pairs[1][best], frames.stop[frame], total[best]
    steps = (stop - start) / STEP
    partial = ~real[best] | frames.open_stop[frame]
    features = np.stack(
        [
            total / 10,
            total / steps,
            np.minimum(total, 0) / 10,
            np.log(stop - start),
            np.where(real[best], logit[start], -1.0),
            np.minimum(steps, 60) / 60 * (total / steps),
        ],
        1,
    )
    if strand < 0:
        start, stop = length - stop, length - start
    return Candidates(start, stop, np.full(len(start), strand), partial, features)


class _Sums:
    """The sum of log odds of each frame of a strand up to any of its bases, in its own direction."""

    def __init__(self, read: Read, strand: int, length: int):
        self._strand, self._length = strand, length
        # A backward gene [s, e) begins at N - e of its own direction, so its frame e mod 3 is that of N less where it begins.
        kinds = [1 + f if strand > 0 else 4 + (length - f) % 3 for f in range(3)]
        odds = (read.classes[:, kinds] - read.classes[:, :1]).astype(np.float64)
        self._odds = np.concatenate([odds, np.zeros((1, 3))])
        self._total = np.concatenate([np.zeros((1, 3)), np.cumsum(odds, axis=0)])

    def between(self, frame: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """Of bases [start, stop) in frames (M,)."""
        if self._strand < 0:
            start, stop = self._length - stop, self._length - start
        return self._up_to(frame, stop) - self._up_to(frame, start)

    def _up_to(self, frame: np.ndarray, base: np.ndarray) -> np.ndarray:
        step, rest = np.divmod(base, STEP)
        return self._total[step, frame] + self._odds[step, frame] * (rest / STEP)


def _pairs(
    low: np.ndarray, stop: np.ndarray, cut: np.ndarray, codon: np.ndarray, code: GeneticCode, least: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All (frame, start) pairs: number of the open frame, place of the start, and whether it is a start codon, not the contig's
    edge."""
    frames, places, real = [], [], []
    place = np.flatnonzero(code.starts[codon])
    for residue in range(3):
        own = np.flatnonzero(low % 3 == residue)
        here = place[place % 3 == residue]
        if not len(own):
            continue
        at = np.searchsorted(stop[own], here, side="right")  # stops ascend
        inside = at < len(own)
        here, number = here[inside], own[at[inside]]
        fits = (here >= low[number]) & (stop[number] - here >= least)
        frames.append(number[fits])
        places.append(here[fits])
        real.append(np.ones(int(fits.sum()), bool))
    number = np.flatnonzero(cut)
    frames.append(number)
    places.append(low[number])
    real.append(np.zeros(len(number), bool))
    return np.concatenate(frames), np.concatenate(places), np.concatenate(real)


def _best_of(group: np.ndarray, value: np.ndarray, count: int) -> np.ndarray:
    """For each group the place of its largest value, -1 where it has none."""
    order = np.lexsort((-value, group))
    best = np.full(count, -1)
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    best[group[order][first]] = order[first]
    return best


def called(found: Candidates, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """The places of the candidates that are genes, by stop, and how likely each is by itself."""
    logits = found.logits(weights)
    likely = np.flatnonzero(logits > -3)
    taken = chosen(found.start[likely], found.stop[likely], found.strand[likely], logits[likely], weights.cost)
    genes = likely[taken]
    return genes, 1 / (1 + np.exp(-logits[genes]))


def fitted(features: np.ndarray, right: np.ndarray) -> tuple[float, ...]:
    """The weights of features (M, 6), and one for all, by logistic regression on which candidates are genes (M,)."""
    x, y = np.concatenate([features, np.ones((len(features), 1))], 1), right.astype(float)
    size = np.maximum(np.abs(x).mean(0), 1e-6)
    x, w = x / size, np.zeros(x.shape[1])
    for _ in range(30):  # Newton's method, a little held back
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        slope = x.T @ (y - p) - 1e-3 * w
        curve = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(len(w))
        step = np.linalg.solve(curve, slope)
        w = w + step
        if np.abs(step).max() < 1e-6:
            break
    return tuple((w / size).tolist())
