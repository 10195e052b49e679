"""From what a network says of each step to genes: candidates in open frames, how likely each is, and the best set of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unspool.codecs.bases import reverse_complement
from unspool.codecs.genetic import GeneticCode
from unspool.decoding.genes import chosen, open_frames
from unspool.models.strands import STEP
from unspool.tasks.dna_habits import Habits, Strand
from unspool.tasks.dna_weights import Weights

__all__ = ["Candidates", "Pairs", "Read", "Reading", "called"]

CLOSE = 60  # bases between neighbours of an operon, or that they share, at most
MOST = 60.0  # nats beyond which more do not make a gene surer
CUT = -1.0  # the logit of a start that lies beyond the contig, beside those of others


class Read(NamedTuple):
    """What a network says of a contig of N bases: log-probabilities of classes (T, 7) at each step of nine bases, and the logits
    of starts (N, 2)."""

    classes: np.ndarray
    starts: np.ndarray


class Candidates(NamedTuple):
    """The best candidate of each open frame of both strands: [start, stop) (M,) in bases of the forward strand, the strand,
    whether its start or stop lie beyond the contig, and features (M, F)."""

    start: np.ndarray
    stop: np.ndarray
    strand: np.ndarray
    partial: np.ndarray
    features: np.ndarray

    def logits(self, weights: Weights) -> np.ndarray:
        """How much likelier than not each is a gene, in nats."""
        return self.features @ np.array(weights.gene[:-1]) + weights.gene[-1]


class Pairs(NamedTuple):
    """All places of one strand where a gene of an open frame might start: the number of the frame (P,), the place, whether a
    start codon stands there, not the contig's edge, and features (P, F) by which one is preferred: the network's log odds of what
    lies behind, its logit of the start, and with habits those of the codon, of what stands before, and of the codon pairs."""

    frame: np.ndarray
    start: np.ndarray
    real: np.ndarray
    features: np.ndarray


class Reading:
    """A contig with what the network said of it, as both strands see it."""

    def __init__(self, bases: np.ndarray, read: Read, code: GeneticCode, least: int, edges: bool):
        """`edges`: genes may be cut off by the contig's ends."""
        self.code, self.least, self.edges = code, least, edges
        self.length = len(bases)
        self.strands = {1: Strand(bases), -1: Strand(reverse_complement(bases))}
        self.unknown = {way: np.append(0, np.cumsum(bases[::way] > 3)) for way in self.strands}  # bases before each place
        self.frames = {way: open_frames(strand.codons, code.stops, least) for way, strand in self.strands.items()}
        self._plain = {way: self._without_habits(way, read) for way in self.strands}

    def _without_habits(self, way: int, read: Read) -> Pairs:
        """Of one strand, 1 or -1: what the network says."""
        frames, strand = self.frames[way], self.strands[way]
        frame, start, real = _pairs(frames.low, frames.stop, frames.open_start & self.edges, strand.codons, self.code, self.least)
        total = _Sums(read, way, self.length).between(start % 3, start, frames.stop[frame])
        logits = read.starts[:, 0] if way > 0 else read.starts[::-1, 1]
        return Pairs(frame, start, real, np.stack([total, np.where(real, logits[start], CUT)], 1))

    def pairs(self, way: int, habits: Habits | None = None) -> Pairs:
        """Of one strand, 1 or -1."""
        plain, strand = self._plain[way], self.strands[way]
        if not habits:
            return plain
        frame, start, real, features = plain
        stop = self.frames[way].stop[frame]
        codon, before = habits.starting(strand, start)
        coding = habits.coding(strand)
        more = [np.where(real, codon, 0), np.where(real, before, 0), coding[stop - 6] - coding[start]]
        return plain._replace(features=np.column_stack([features, *more]))

    def candidates(self, weights: Weights, habits: Habits | None = None, genes: Candidates | None = None) -> Candidates:
        """The best of each open frame, sorted by where they end. The `genes` that were called before count too, where given."""
        found = [self._of_strand(way, weights, habits) for way in (1, -1)]
        joined = Candidates(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
        order = np.lexsort((joined.start, joined.stop))
        joined = Candidates(*(part[order] for part in joined))
        if genes is None:
            return joined
        return joined._replace(features=np.concatenate([joined.features, self._around(joined, genes)], 1))

    def _around(self, found: Candidates, genes: Candidates) -> np.ndarray:
        """Whether a gene of the same strand stands close before a candidate, and close behind it, as in operons, and how much of it
        other genes cover, (M, 3)."""
        near = np.zeros((len(found.start), 2))
        for way in (1, -1):
            own, theirs = found.strand == way, genes.strand == way
            starts, stops = np.sort(genes.start[theirs]), np.sort(genes.stop[theirs])
            if len(starts):
                before = stops[np.maximum(np.searchsorted(stops, found.start[own] + CLOSE, side="right") - 1, 0)]
                behind = starts[np.minimum(np.searchsorted(starts, found.stop[own] - CLOSE), len(starts) - 1)]
                gaps = np.stack([found.start[own] - before, behind - found.stop[own]], 1)
                near[own] = (gaps >= -CLOSE) & (gaps <= CLOSE)
        ends = np.zeros(self.length + 1, np.int32)
        np.add.at(ends, genes.start, 1)
        np.add.at(ends, genes.stop, -1)
        covered = np.concatenate([[0], np.cumsum(np.cumsum(ends))])
        shared = (covered[found.stop] - covered[found.start]).astype(float)
        known = {
            (way, end): stop - start
            for way, end, start, stop in zip(*_keys(genes), genes.start.tolist(), genes.stop.tolist(), strict=True)
        }
        mine = np.array([known.get(key, 0) for key in zip(*_keys(found), strict=True)])
        length = found.stop - found.start
        return np.concatenate([near, ((shared - np.minimum(mine, length)) / length)[:, None].clip(0, 1)], 1)

    def _of_strand(self, way: int, weights: Weights, habits: Habits | None) -> Candidates:
        frames, pairs = self.frames[way], self.pairs(way, habits)
        best = _best_of(pairs.frame, pairs.features @ np.array(weights.start), len(frames.low))
        frame = np.flatnonzero((best >= 0) & (self.edges | ~frames.open_stop))
        start, stop = pairs.start[best[frame]], frames.stop[frame]
        unread = self.unknown[way][stop] - self.unknown[way][start]
        known = 2 * unread < stop - start  # a stretch of N has no stop codon, but is no gene for that
        frame, start, stop = frame[known], start[known], stop[known]
        best = best[frame]
        total, logit, *more = pairs.features[best].T
        logit = np.where(pairs.real[best], logit, weights.cut)
        steps = (stop - start) / STEP
        mean = total / steps
        features = [
            total.clip(0, MOST) / 10,
            mean,
            total.clip(-MOST, 0) / 10,
            np.log(stop - start),
            logit,
            steps.clip(0, 60) / 60 * mean,
        ]
        if more:
            codon, before, coding = more
            features += [codon, before, coding.clip(-MOST, MOST) / 10, coding / steps]
        if way < 0:
            start, stop = self.length - stop, self.length - start
        partial = ~pairs.real[best] | frames.open_stop[frame]
        return Candidates(start, stop, np.full(len(start), way), partial, np.stack(features, 1))

    def show(self, habits: Habits, found: Candidates, sure: np.ndarray) -> None:
        """Adds the genes that are sure, the places (S,) of candidates, to a genome's habits."""
        whole = sure[~found.partial[sure]]
        for way, strand in self.strands.items():
            own = whole[found.strand[whole] == way]
            ends = zip(found.start[own].tolist(), found.stop[own].tolist(), strict=True)
            genes = list(ends) if way > 0 else [(self.length - b, self.length - a) for a, b in ends]
            habits.add(strand, genes, self.code.starts)


def _keys(found: Candidates) -> tuple[list[int], list[int]]:
    """What genes are known by: their strands and the places of their stops."""
    return found.strand.tolist(), np.where(found.strand > 0, found.stop, found.start).tolist()


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
