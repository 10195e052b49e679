"""Synthetic music for the demo: four-part cadences, made by rule.

They follow the textbook's functions (tonic, subdominant, dominant, tonic), each voice moving as little as it can.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from unspool.codecs.midi import Notes, score_of

__all__ = ["write"]

# Which degree of the scale (0 for the tonic) may follow which.
_FOLLOWS = {0: (1, 2, 3, 3, 4, 5), 1: (4, 4, 6), 2: (3, 5), 3: (0, 1, 4, 4), 4: (0, 0, 5), 5: (1, 3), 6: (0,)}
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 11)}
_VOICES = ((60, 79), (55, 72), (48, 67), (40, 60))  # soprano, alto, tenor, bass: lowest and highest pitch
_RHYTHMS = ((1, 1, 1, 1), (2, 1, 1), (1, 1, 2), (2, 2))  # quarter notes of a bar


def write(folder: Path, count: int, seed: int) -> None:
    """Writes `count` pieces of four to eight bars as MIDI files."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        score_of(_piece(rng)).dump_midi(str(folder / f"cadence-{number:03}.mid"))


def _piece(rng: np.random.Generator) -> Notes:
    key, scale = int(rng.integers(12)), _SCALES["major" if rng.random() < 0.6 else "minor"]
    bars = int(rng.choice([4, 6, 8]))
    durations = [d for _ in range(bars - 1) for d in _RHYTHMS[rng.integers(len(_RHYTHMS))]]
    degrees = [0]
    while len(degrees) < len(durations) - 1:
        degrees.append(int(rng.choice(_FOLLOWS[degrees[-1]])))
    degrees = [*degrees[: len(durations) - 1], 4, 0]  # a perfect cadence
    durations.append(4)
    chords: list[tuple[int, ...]] = []
    for degree in degrees:
        tones = [(key + scale[(degree + third) % 7]) % 12 for third in (0, 2, 4)]
        chords.append(_voiced(tones, chords[-1] if chords else (72, 65, 58, 48), rng))
    starts = np.concatenate([[0], np.cumsum(durations)[:-1]])
    notes = [(s, d, p) for s, d, chord in zip(starts, durations, chords, strict=True) for p in sorted(set(chord))]
    start, duration, pitch = (np.array(column) for column in zip(*notes, strict=True))
    return Notes(start.astype(float), duration.astype(float), pitch.astype(int), np.full(len(pitch), 80), np.zeros(len(pitch), int))


def _voiced(tones: list[int], before: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
    """The chord's tones in four voices: the root in the bass, all of them heard, none crossing, the whole moving least."""
    bass = [p for p in range(_VOICES[3][0], _VOICES[3][1] + 1) if p % 12 == tones[0]]
    upper = [[p for p in range(low, high + 1) if p % 12 in tones] for low, high in _VOICES[:3]]
    best, least = before, 1e9
    for soprano, alto, tenor in itertools.product(*upper):
        if not soprano > alto > tenor or soprano - alto > 12 or alto - tenor > 12 or len({soprano % 12, alto % 12, tenor % 12}) < 2:
            continue
        for low in bass:
            chord = (soprano, alto, tenor, low)
            if low >= tenor or {p % 12 for p in chord} != set(tones):
                continue
            cost = sum(abs(a - b) for a, b in zip(chord, before, strict=True)) + 0.9 * rng.random()
            if cost < least:
                best, least = chord, cost
    return best
