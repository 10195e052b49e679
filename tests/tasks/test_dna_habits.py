"""What one genome's genes have in common, and the weights by which genes are judged."""

import numpy as np
import pytest

pytest.importorskip("Bio")

from unspool.codecs.bases import Contig, Gene, encoded, reverse_complement
from unspool.codecs.genetic import NO_CODON, codons, genetic_code
from unspool.tasks.dna_calling import Candidates
from unspool.tasks.dna_habits import BEFORE, Habits, Strand
from unspool.tasks.dna_simulated import genome
from unspool.tasks.dna_weights import PRIOR, USUAL, preferred


@pytest.fixture(scope="module")
def shown():
    """The habits of a simulated genome, its forward strand and the genes there."""
    bases, genes = genome(60_000, 3)
    strand = Strand(bases)
    forward = [(a, b) for a, b, way in genes if way > 0]
    habits = Habits()
    habits.add(strand, forward, genetic_code(11).starts)
    habits.learn()
    return habits, strand, forward


def test_codon_pairs_are_summed_from_start_to_before_the_stop(shown):
    habits, strand, genes = shown
    total = habits.coding(strand)
    for start, stop in genes[:20]:
        own = strand.codons[start : stop - 3 : 3]
        expected = habits._coding[own[:-1], own[1:]].sum()
        assert total[stop - 6] - total[start] == pytest.approx(float(expected), rel=1e-4, abs=1e-3)


def test_genes_and_their_starts_have_the_habits_and_other_places_have_not(shown):
    habits, strand, genes = shown
    total = habits.coding(strand)
    here = np.array([(total[b - 6] - total[a]) / (b - a) for a, b in genes])
    shifted = np.array([(total[b - 5] - total[a + 1]) / (b - a) for a, b in genes])
    assert here.mean() > 0.02 > 0 > shifted.mean()
    right = np.array([a for a, _ in genes])
    rng = np.random.default_rng(0)
    codon, before = habits.starting(strand, right)
    assert before.mean() > habits.starting(strand, rng.integers(0, 59_000, 500))[1].mean() + 1
    assert codon.mean() > 0


def test_what_stands_before_a_start_is_not_known_at_a_contigs_edge():
    strand = Strand(encoded("ACGTACGTACGT"))
    found = strand.before(np.array([0, 4]))
    assert found.shape == (2, BEFORE - 2)
    assert (found[0] == NO_CODON).all()
    assert found[1, -2:].tolist() == strand.codons[:2].tolist()


def test_few_genes_teach_little(shown):
    _, strand, genes = shown
    few = Habits()
    few.add(strand, genes[:1], genetic_code(11).starts)
    few.learn()
    assert np.abs(few._coding).mean() < np.abs(shown[0]._coding).mean()
    assert np.abs(few._site).max() < np.abs(shown[0]._site).max()


def test_the_preferred_weights_are_the_likeliest():
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(300), rng.integers(1, 6, 300))
    x = rng.standard_normal((len(frame), 2))
    score = x @ np.array([1.5, -0.5]) + rng.gumbel(size=len(frame))
    right = np.zeros(len(frame), bool)
    for number in range(290):  # the last ones have no right start
        own = np.flatnonzero(frame == number)
        right[own[score[own].argmax()]] = True

    def gain(w):
        total = -PRIOR / 2 * np.square(w - np.array(USUAL[:2])).sum()
        for number in range(290):
            own = frame == number
            value = x[own] @ w
            total += value[right[own]].sum() - np.log(np.exp(value).sum())
        return total

    w = np.array(preferred([(frame, x, right)]))
    assert w == pytest.approx([1.5, -0.5], abs=0.35)
    for step in np.eye(2):
        assert gain(w) > max(gain(w + 0.02 * step), gain(w - 0.02 * step))
    far = preferred([(frame, 100 * x, right)])  # a step too long is halved
    assert far == pytest.approx((0.015, -0.005), abs=0.004)


def test_neighbours_of_a_candidate():
    from unspool.tasks.dna_calling import Read, Reading

    bases = np.zeros(3000, np.uint8)
    read = Read(np.zeros((334, 7), np.float32), np.zeros((3000, 2), np.float32))
    reading = Reading(bases, read, genetic_code(11), 90, False)

    def made(*genes):
        start, stop, strand = (np.array(column) for column in zip(*genes, strict=True))
        return Candidates(start, stop, strand, np.zeros(len(start), bool), np.zeros((len(start), 0)))

    genes = made((0, 600, 1), (650, 1250, 1), (1400, 2000, -1))
    found = reading._around(made((610, 1250, 1), (1300, 1390, 1), (1310, 1490, -1), (2010, 2300, -1)), genes)
    np.testing.assert_allclose(found[0], [1, 0, 0])  # itself, found before with another start, is no neighbour
    np.testing.assert_allclose(found[1], [1, 0, 0])  # that of the other strand is none either
    np.testing.assert_allclose(found[2], [0, 0, 0.5])
    np.testing.assert_allclose(found[3], [1, 0, 0])


def test_genes_of_the_other_strand_are_read_in_their_direction():
    contig = Contig("x", np.concatenate([encoded("CC"), reverse_complement(encoded("ATGAAATAA"))]))
    assert codons(contig.gene_bases(Gene(2, 11, -1)))[0] == 14
