"""Notes to sound: a small additive synthesizer, so that no sound font is needed."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unspool.codecs.midi import Notes

__all__ = ["RATE", "synthesize", "write_wav"]

RATE = 44_100  # samples a second
LONGEST = 600.0  # seconds that are written at most
PARTIALS = 8
ATTACK, RELEASE = 0.006, 0.12  # seconds


def synthesize(notes: Notes, tempos: Sequence[tuple[float, float]] = ()) -> np.ndarray:
    """The sound of notes, float (N,) in [-1, 1]. `tempos`: (place in quarter notes, quarter notes a minute); without one, 120.

    Each note is a sum of partials that die away the sooner the higher they are, as those of a struck string; drums are noise.
    """
    first, last = (_seconds(x, tempos) for x in (notes.start, notes.start + notes.duration))
    chosen = first < LONGEST
    out = np.zeros(int(RATE * (min(float(last[chosen].max(initial=0.0)), LONGEST) + 1.5)), np.float32)
    noise = np.random.default_rng(0)
    for a, b, pitch, velocity, program in zip(first[chosen], last[chosen], *(c[chosen] for c in notes[2:]), strict=True):
        sound = _drum(noise) if program < 0 else _tone(440 * 2 ** ((pitch - 69) / 12), min(b, LONGEST) - a)
        at = int(a * RATE)
        out[at : at + len(sound)] += (sound * (velocity / 127) ** 1.5)[: len(out) - at]
    return out * (0.9 / max(1e-9, float(np.abs(out).max())))


def _tone(frequency: float, seconds: float) -> np.ndarray:
    t = np.arange(int(RATE * (seconds + RELEASE)), dtype=np.float32) / RATE
    sound = np.zeros_like(t)
    for k in range(1, PARTIALS + 1):
        partial = k * frequency * (1 + 0.0003 * k * k) ** 0.5  # strings are stiff, so partials stand a little high (Fletcher 1964)
        if partial < 0.45 * RATE:
            sound += k**-1.3 * np.exp(-t * (0.8 + 0.5 * k + frequency / 800)) * np.sin(2 * np.pi * partial * t)
    return sound * np.minimum(1, t / ATTACK) * np.clip((seconds + RELEASE - t) / RELEASE, 0, 1)


def _drum(rng: np.random.Generator) -> np.ndarray:
    t = np.arange(int(RATE * 0.15), dtype=np.float32) / RATE
    return rng.standard_normal(len(t)).astype(np.float32) * np.exp(-t * 40) * 0.5


def _seconds(quarters: np.ndarray, tempos: Sequence[tuple[float, float]]) -> np.ndarray:
    changes = sorted(tempos)
    if not changes or changes[0][0] > 0:
        changes = [(0.0, 120.0), *changes]  # what a MIDI file has until it says otherwise
    places = np.array([place for place, _ in changes])
    lasting = 60 / np.array([qpm for _, qpm in changes])
    at = np.concatenate([[0.0], np.cumsum(np.diff(places) * lasting[:-1])])
    index = np.maximum(np.searchsorted(places, quarters, side="right") - 1, 0)
    return at[index] + (quarters - places[index]) * lasting[index]


def write_wav(path: str | Path, sound: np.ndarray) -> None:
    """Sound as a WAV file of 16 bits, one channel."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
