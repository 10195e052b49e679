import numpy as np
import torch

from unspool.codecs.bases import Contig, Gene, reverse_complement
from unspool.layers import Recurrent
from unspool.models.strands import STEP, Strands
from unspool.tasks.dna_labels import labels, starts
from unspool.tasks.dna_reading import read_contig
from unspool.tasks.dna_simulated import genome


def model():
    return Strands(Recurrent("gru", 12, 10, layers=2, bidirectional=True), channels=8).eval()


def mirrored(classes, starts):
    mirror = [0, *(4 + -f % 3 for f in range(3)), *(1 + -f % 3 for f in range(3))]
    return classes.flip(1)[:, :, mirror], starts.flip(1, 2)


def test_the_other_strand_has_exactly_the_mirrored_answer():
    network = model()
    bases = torch.from_numpy(np.random.default_rng(0).integers(0, 5, (2, 30 * STEP)).astype(np.uint8))
    other = torch.from_numpy(np.stack([reverse_complement(b.numpy()) for b in bases]))
    with torch.inference_mode():
        classes, begins = network(bases)
        found = mirrored(*network(other))
    assert classes.shape == (2, 30, 7)
    assert begins.shape == (2, 30 * STEP, 2)
    assert torch.equal(found[0], classes)
    assert torch.equal(found[1], begins)


def test_labels_mirror_as_answers_do():
    bases, genes = genome(9 * 900, 5)
    bases = bases[: 9 * 900]
    genes = [Gene(*g) for g in genes if g[1] <= len(bases)]
    flipped = [Gene(len(bases) - g.stop, len(bases) - g.start, -g.strand) for g in genes]
    from unspool.codecs.genetic import genetic_code

    here, there = Contig("a", bases, genes), Contig("b", reverse_complement(bases), flipped)
    mirror = np.array([0, *(4 + -f % 3 for f in range(3)), *(1 + -f % 3 for f in range(3)), -1])
    np.testing.assert_array_equal(mirror[labels(there)][::-1], labels(here))
    np.testing.assert_array_equal(starts(there, genetic_code(11))[::-1, ::-1], starts(here, genetic_code(11)))
    assert (labels(here) > 0).any()
    assert (starts(here, genetic_code(11)) == 1).sum() == len(genes)


def test_overlaps_and_odd_genes_are_not_learned_from():
    contig = Contig("a", np.zeros(60, np.uint8), [Gene(0, 30, 1), Gene(24, 45, 1), Gene(50, 56, 1, pseudo=True)])
    found = labels(contig)
    assert found[:24].tolist() == [1] * 24
    assert found[24:30].tolist() == [1] * 6  # the same frame
    contig = Contig("a", np.zeros(60, np.uint8), [Gene(0, 30, 1), Gene(25, 46, 1), Gene(50, 56, 1, pseudo=True)])
    found = labels(contig)
    assert found[25:30].tolist() == [-1] * 5
    assert found[30:46].tolist() == [2] * 16
    assert found[50:56].tolist() == [-1] * 6
    assert found[56:].tolist() == [0] * 4


def test_a_long_contig_is_read_in_windows(monkeypatch):
    import unspool.tasks.dna_reading as room

    network, bases = model(), genome(9 * 1000, 6)[0]
    whole = read_contig(network, bases)
    monkeypatch.setattr(room, "PIECE", 100 * STEP)
    monkeypatch.setattr(room, "MARGIN", 60 * STEP)
    pieces = read_contig(network, bases)
    assert len(whole.starts) == len(bases)
    np.testing.assert_allclose(pieces.classes, whole.classes, atol=1e-3)
    np.testing.assert_allclose(pieces.starts, whole.starts, atol=5e-3)
