import itertools

import numpy as np
import pytest

from unspool.codecs.bases import Gene, encoded
from unspool.codecs.genetic import codons, genetic_code
from unspool.decoding.genes import chosen, open_frames
from unspool.tasks.dna_scores import Tally, longest_frames
from unspool.tasks.dna_simulated import genome


def test_open_frames_lie_between_stops():
    code = genetic_code(11)
    bases = np.random.default_rng(0).integers(0, 4, 3000).astype(np.uint8)
    codon = codons(bases)
    frames = open_frames(codon, code.stops, 60)
    assert len(frames.low) > 5
    for low, stop, at_start, at_stop in zip(*(part.tolist() for part in frames), strict=True):
        inner = codon[low : stop - 3 : 3]
        assert (stop - low) % 3 == 0
        assert stop - low >= 60
        assert not code.stops[inner].any()
        assert at_stop == (stop > len(bases) - 3 and not code.stops[codon[stop - 3]])
        assert at_start == (low < 3)
        assert at_start or code.stops[codon[low - 3]]
    assert (np.diff(frames.stop) >= 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_the_best_set_of_genes_is_found(seed):
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 400, 9)
    stop = start + rng.integers(30, 150, 9)
    order = np.lexsort((start, stop))
    start, stop, score = start[order], stop[order], rng.normal(2, 3, 9)

    def total(kept):
        value = sum(score[i] for i in kept)
        for i, j in itertools.pairwise(kept):
            shared = stop[i] - start[j]
            if shared > 0 and (start[i] >= start[j] or stop[i] >= stop[j]):
                return -np.inf
            value -= 0.05 * max(0, shared)
        return value

    subsets = [s for n in range(10) for s in itertools.combinations(range(9), n)]
    best = max(subsets, key=total)
    found = tuple(np.flatnonzero(chosen(start, stop, np.ones(9, int), score, 0.05)).tolist())
    assert total(found) == pytest.approx(total(best))


def test_no_genes_are_chosen_from_none():
    empty = np.zeros(0)
    assert len(chosen(empty, empty, empty, empty, 0.1)) == 0


def test_counts_of_a_comparison():
    truth = [Gene(0, 300, 1), Gene(400, 700, -1), Gene(900, 960, 1)]
    odd = [Gene(1000, 1300, 1, pseudo=True)]
    found = [Gene(30, 300, 1), Gene(400, 700, -1), Gene(1000, 1150, 1), Gene(1500, 1800, -1)]
    tally = Tally()
    tally.add(truth, odd, found, 2000)
    scores = tally.scores()
    assert scores["genes"] == 3
    assert scores["found"] == 3  # what hits the pseudogene does not count
    assert scores["stop precision"] == pytest.approx(2 / 3)
    assert scores["stop recall"] == pytest.approx(2 / 3)
    assert scores["both ends F1"] == pytest.approx(1 / 3)
    assert scores["start accuracy"] == pytest.approx(1 / 2)
    assert scores["base precision"] == pytest.approx(570 / 870)
    assert scores["base recall"] == pytest.approx(570 / 660)
    assert scores["stop recall by length in bases"]["below 150"] == "0.000 of 1"


def test_a_gene_over_the_origin_is_one():
    tally = Tally()
    tally.add([Gene(950, 1100, 1)], [], [Gene(950, 1100, 1)], 1000)
    assert tally.scores()["both ends F1"] == 1
    assert tally.scores()["base F1"] == 1


def test_the_longest_frames_find_long_genes():
    bases, genes = genome(30_000, 3)
    tally = Tally()
    tally.add([Gene(*g) for g in genes], [], longest_frames(bases, genetic_code(11)), len(bases))
    assert 0.4 < tally.scores()["stop recall"] < 1
    assert longest_frames(encoded("ACGT"), genetic_code(11)) == []


def test_a_simulated_genome_has_whole_genes():
    code = genetic_code(11)
    bases, genes = genome(20_000, 1)
    from unspool.codecs.bases import reverse_complement

    for start, stop, strand in genes:
        own = bases[start:stop] if strand > 0 else reverse_complement(bases[start:stop])
        codon = codons(own)[::3]
        assert len(own) % 3 == 0
        assert code.starts[codon[0]]
        assert code.stops[codon[-1]]
        assert not code.stops[codon[:-1]].any()
    assert {s for _, _, s in genes} == {1, -1}
    assert any(a[1] > b[0] for a, b in itertools.pairwise(genes))
