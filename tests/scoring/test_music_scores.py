"""What is said of pieces of music."""

import numpy as np
import pytest

from unspool.scoring.music import histograms, key_of, overlap, signature, stuck
from unspool.scoring.rolls import RollBaselines

SCALE = np.array([0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0])


@pytest.mark.parametrize(
    ("pitches", "key"),
    [(60 + SCALE, "C major"), (67 + SCALE, "G major"), (57 + np.array([0, 2, 3, 5, 7, 8, 11, 12, 7, 3, 0]), "A minor")],
)
def test_keys(pitches, key):
    assert key_of(pitches, np.ones(len(pitches))) == key


def test_what_has_no_key():
    assert key_of(np.zeros(0, int), np.zeros(0)) == "none"
    assert key_of(np.arange(12), np.ones(12)) == "no key"


def test_the_same_sixteen_events_more_than_four_times():
    run, rng = list(range(16)), np.random.default_rng(0)
    assert not stuck(run * 4)
    assert stuck(run * 5)
    assert stuck([99, 98] + run * 5 + [97])
    assert not stuck(rng.integers(0, 9, 500))
    assert stuck([7] * 80)
    assert not stuck([7] * 79)
    assert not stuck([])


def test_the_same_bar_more_than_four_times():
    bar, other = [1, 5, 6], [1, 5, 7]

    def piece(*bars):
        return [event for bar in bars for event in bar], np.cumsum([0] + [len(b) for b in bars])[:-1]

    assert not stuck(*piece(*[bar] * 4, other, *[bar] * 4))
    assert stuck(*piece(other, *[bar] * 5))
    assert stuck(*piece(*[bar] * 5, other))


def test_overlaps():
    one = histograms(np.array([1.0, 0.5]), np.array([60, 64]))
    assert {name: overlap(h, h) for name, h in one.items()} == {"pitch": 1, "duration": 1, "interval": 1}
    other = histograms(np.array([1.0, 1.0]), np.array([60, 59]))
    assert overlap(one["pitch"], other["pitch"]) == 0.5
    assert overlap(one["interval"], other["interval"]) == 0
    assert overlap(one["pitch"], np.zeros(128)) == 0


def test_a_signature_is_the_same_in_every_key_and_differs_with_the_rhythm():
    start, pitch = np.array([0, 1, 1.5, 2]), np.array([60, 62, 59, 59])
    assert signature(start, pitch) == signature(start + 8, pitch + 5)
    assert signature(start, pitch) != signature(start * 2, pitch)
    assert len(signature(start, pitch)) == 3


def test_baselines_of_rolls():
    rng = np.random.default_rng(0)
    held = np.repeat(rng.random((40, 6)) < 0.3, 4, axis=0).astype(np.uint8)  # keys that sound for four steps
    model = RollBaselines.fit([held[:80], held[80:]])
    found = model.nats([held])
    assert found["per-key markov"] < 0.8 * found["marginal"]
    p = model.marginal
    by_hand = -np.log(np.where(held, p, 1 - p)).sum()
    assert found["marginal"] == pytest.approx(by_hand)
    assert model.nats([held], first=False)["marginal"] == pytest.approx(by_hand + np.log(np.where(held[0], p, 1 - p)).sum())
    again = RollBaselines.from_arrays(model.arrays())
    assert again.nats([held]) == found
    chords = np.array([[(n >> k) & 1 for k in range(6)] for n in range(64)], np.uint8)
    for silent in (True, False):  # all chords after one step have probability one
        nats = [model.nats([np.stack([np.full(6, not silent), c]).astype(np.uint8)], first=False) for c in chords]
        for name in found:
            assert sum(np.exp(-n[name]) for n in nats) == pytest.approx(1)
