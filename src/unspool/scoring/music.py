"""What can be said of a piece of music: its key, whether it is stuck, how its notes compare with a corpus."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["histograms", "key_of", "overlap", "signature", "stuck"]

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
# How well each of the twelve tones fits a key, in the probe-tone experiments of Krumhansl & Kessler (1982).
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])

TIMES = 4  # running, that a bar or a run of events may come before a piece is called stuck
RUN = 16  # events
GRID = 12  # places in a quarter note


def key_of(pitch: NDArray[np.int64], duration: NDArray[np.float64]) -> str:
    """The key whose profile correlates best with how long each tone sounds (Krumhansl 1990), as "G major"; "none" without notes."""
    sounding = np.bincount(pitch % 12, duration, 12)
    if not sounding.sum():
        return "none"
    if np.ptp(sounding) == 0:
        return "no key"
    profiles = {f"{NAMES[k]} {mode}": np.roll(p, k) for mode, p in (("major", MAJOR), ("minor", MINOR)) for k in range(12)}
    return max(profiles, key=lambda name: float(np.corrcoef(sounding, profiles[name])[0, 1]))


def stuck(ids: Sequence[int] | NDArray[np.int64], bars: Sequence[int] | NDArray[np.int64] = ()) -> bool:
    """Whether the same bar, or the same 16 events, comes more than four times running. `bars`: where in `ids` each bar begins."""
    events = np.asarray(ids)
    same = np.flatnonzero(np.append(events[RUN:] != events[:-RUN], True)) if len(events) > RUN else np.zeros(0, int)
    if len(same) and np.diff(same, prepend=-1).max() - 1 >= RUN * TIMES:
        return True
    whole: list[Hashable] = [tuple(bar.tolist()) for bar in np.split(events, np.asarray(bars, int))[1:]]
    running = 1
    for before, after in itertools.pairwise(whole):
        running = running + 1 if before == after else 1
        if running > TIMES:
            return True
    return False


def histograms(duration: NDArray[np.float64], pitch: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Of notes in time order: how often each pitch, each duration (in twelfths of a quarter note), each step between neighbours."""
    lasting = np.clip(np.rint(duration * GRID).astype(int), 0, 8 * GRID)
    return {
        "pitch": np.bincount(pitch, minlength=128).astype(float),
        "duration": np.bincount(lasting, minlength=8 * GRID + 1).astype(float),
        "interval": np.bincount(np.clip(np.diff(pitch), -48, 48) + 48, minlength=97).astype(float),
    }


def overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The area that two histograms share, in [0, 1], each divided by its sum."""
    if not one.sum() or not other.sum():
        return 0.0
    return float(np.minimum(one / one.sum(), other / other.sum()).sum())


def signature(start: NDArray[np.float64], pitch: NDArray[np.int64]) -> str:
    """A piece as text for `longest_copies`: a character a note, of its step from the note before and of the time since. The same in
    every key and at every tempo."""
    step = np.clip(np.diff(pitch), -127, 127) + 128
    since = np.clip(np.rint(np.diff(start) * GRID).astype(int), 0, 63)
    return "".join(map(chr, (step * 64 + since + 0x100).tolist()))
