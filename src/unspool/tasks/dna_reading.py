"""A contig that the network has read: its genetic code, the habits of its genes, and the genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from unspool.codecs.annotations import Called
from unspool.codecs.bases import Contig, Gene, reverse_complement
from unspool.codecs.genetic import codons, genetic_code
from unspool.models.strands import STEP, Strands
from unspool.tasks.dna_calling import Candidates, Pairs, Read, Reading, called
from unspool.tasks.dna_habits import Habits
from unspool.tasks.dna_weights import Weights

__all__ = ["FEW", "Seen", "code_of", "read_contig", "recognised", "settled"]

PIECE, MARGIN = 3000 * STEP, 300 * STEP  # bases that are read as one window, and on either side of what counts of it
ROWS = 4  # windows that are read at once
ROUND = 9_000  # bases of the other end that are seen at the ends of a circle
CLEAR = 0.8  # probability of a class where codons are counted
SURE = 0.95  # probability of a gene that shows a genome's habits
FEW = 40  # such genes at least
ROUNDS = 2  # in which genes are found by those found before
TGA, TGG, ENDING = 56, 58, (48, 50)


@torch.inference_mode()
def read_contig(model: Strands, bases: np.ndarray) -> Read:
    """What the network says of a contig (N,), in windows that overlap, so that memory does not grow with it; each step is taken
    from the window in whose middle it lies."""
    device = next(model.parameters()).device
    length = -(-len(bases) // STEP) * STEP
    padded = np.full(length, 4, np.uint8)
    padded[: len(bases)] = bases
    classes = np.empty((length // STEP, 7), np.float32)
    starts = np.empty((length, 2), np.float16)
    places = list(range(0, length, PIECE))
    for first in range(0, len(places), ROWS):
        spans = [(max(0, at - MARGIN), min(length, at + PIECE + MARGIN)) for at in places[first : first + ROWS]]
        if len({b - a for a, b in spans}) == 1:
            parts = [np.stack([padded[a:b] for a, b in spans])]
        else:
            parts = [padded[a:b][None] for a, b in spans]
        answers = [answer for part in parts for answer in zip(*(x.float().cpu() for x in _said(model, part, device)), strict=True)]
        for at, (a, _), (kinds, begins) in zip(places[first : first + ROWS], spans, answers, strict=True):
            stop = min(length, at + PIECE)
            classes[at // STEP : stop // STEP] = kinds[(at - a) // STEP : (stop - a) // STEP].numpy()
            starts[at:stop] = begins[at - a : stop - a].numpy()
    return Read(classes, starts[: len(bases)])


def _said(model: Strands, bases: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    classes, starts = model(torch.from_numpy(bases).to(device))
    return classes.log_softmax(2), starts


def recognised(bases: np.ndarray, read: Read) -> np.ndarray:
    """What tells the genetic code: of the codons that the network is sure to lie in genes, how many are TGA, TGG, TAA or TAG, and
    how many there are, (4,)."""
    counts = np.zeros(4, np.int64)
    likely = np.exp(read.classes)
    for strand in (1, -1):
        own = bases if strand > 0 else reverse_complement(bases)
        codon = codons(own)
        for frame in range(3):
            kind = 1 + frame if strand > 0 else 4 + (len(bases) - frame) % 3
            steps = likely[:, kind] > CLEAR
            steps = steps & np.roll(steps, 2) & np.roll(steps, -2)  # a stop at the end of a gene tells nothing
            sure = np.repeat(steps, STEP)[: len(bases)]
            sure = sure if strand > 0 else sure[::-1]
            inside = codon[frame::3][sure[: len(codon)][frame::3]]
            counts += [(inside == TGA).sum(), (inside == TGG).sum(), np.isin(inside, ENDING).sum(), len(inside)]
    return counts


def code_of(counts: np.ndarray) -> int:
    """The genetic code: 11, or 4 where TGA is tryptophan, or 25 where it is glycine, which is far more frequent."""
    tga, tgg, ends, total = counts.tolist()
    if tga < 4 * ends + 5 or tga < 0.001 * total:
        return 11
    return 25 if tga + tgg > 0.02 * total else 4


class Seen:
    """A contig that the network has read."""

    def __init__(self, contig: Contig, model: Strands):
        self.contig = contig
        self._around = min(ROUND, len(contig)) if contig.circular else 0
        bases = np.concatenate([contig.bases[len(contig) - self._around :], contig.bases, contig.bases[: self._around]])
        rest = -len(bases) % STEP
        half = (rest + STEP * (rest % 2)) // 2  # as much on either side, so that the other strand is read in the same steps
        self._bases, self._offset = np.pad(bases, half, constant_values=4), self._around + half
        self._read = read_contig(model, self._bases)
        self.counts = recognised(self._bases, self._read)

    def judge(self, code: int, weights: Weights, least: int) -> None:
        """Finds genes without habits, so that those that are sure show them; `least` bases are a gene."""
        self.code = code
        self.reading = Reading(self._bases, self._read, genetic_code(code), least, edges=not self._around)
        self._genes: Candidates | None = None
        self.refine(weights, None)

    def refine(self, weights: Weights, habits: Habits | None) -> None:
        """Finds genes anew, beside those found before; which are sure?"""
        self._found = self.reading.candidates(weights, habits, self._genes)
        places, likely = called(self._found, weights)
        self._genes = Candidates(*(part[places] for part in self._found))
        self._sure = places[likely > SURE]
        self.sure = len(self._sure)

    def forget(self) -> None:
        """What was found does not count as neighbours."""
        self._genes = None

    def show(self, habits: Habits) -> None:
        """Adds the genes that are sure to a genome's habits."""
        self.reading.show(habits, self._found, self._sure)

    def candidates(self, weights: Weights, habits: Habits | None) -> Candidates:
        """Of all open frames, in the contig's own places; what begins beyond its ends is left out."""
        found = self.reading.candidates(weights, habits, self._genes)
        start, stop, length = found.start - self._offset, found.stop - self._offset, len(self.contig)
        if not self._around:  # whole codons within the contig
            start, stop = start + 3 * np.maximum(0, -(start // 3)), stop - 3 * np.maximum(0, -((length - stop) // 3))
        inside = (start >= 0) & (start < length)
        return Candidates(*(part[inside] for part in (start, stop, *found[2:])))

    def genes(self, weights: Weights, habits: Habits | None) -> list[Called]:
        """The genes, by where they begin."""
        found = self.candidates(weights, habits)
        places, likely = called(found, weights)
        logits = found.logits(weights)
        genes = []
        for n, p in zip(places.tolist(), likely.tolist(), strict=True):
            gene = Gene(int(found.start[n]), int(found.stop[n]), int(found.strand[n]), partial=bool(found.partial[n]))
            genes.append(Called(gene, float(logits[n]), p))
        return sorted(genes, key=lambda called: (called.gene.start, called.gene.stop))

    def coding(self) -> np.ndarray:
        """How likely each step of nine bases is to be in a gene, (T,)."""
        likely = np.repeat(1 - np.exp(self._read.classes[:, 0]), STEP)
        return likely[self._offset : self._offset + len(self.contig)][STEP // 2 :: STEP]

    def pairs(self, way: int, habits: Habits | None) -> tuple[Pairs, np.ndarray]:
        """Of one strand, with whether each is the start of a gene that is annotated."""
        pairs = self.reading.pairs(way, habits)
        true = [g for g in self.contig.genes if not g.fault and g.strand == way]
        starts = [g.start + self._offset if way > 0 else len(self._bases) - g.stop - self._offset for g in true]
        return pairs, np.isin(pairs.start, np.array(starts, int)) & pairs.real


def settled(seen: Sequence[Seen], weights: Weights | None, *, shown: bool) -> Habits | None:
    """Finds the genes of one genome, which `judge` has found already, in rounds, beside those of the round before and, if `shown`,
    by the habits of those that are sure. Without weights these habits are all that is found."""
    habits = _habits(seen) if shown else None
    for _ in range(ROUNDS if weights else 0):
        for one in seen:
            one.refine(weights, habits)  # type: ignore[arg-type]
        habits = _habits(seen) if shown else None
    return habits


def _habits(seen: Sequence[Seen]) -> Habits:
    habits = Habits()
    for one in seen:
        one.show(habits)
    habits.learn()
    return habits
