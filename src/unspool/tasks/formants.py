"""Synthetic words for the demo: sweeps of formants, spoken by synthetic speakers of other pitches and sizes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unspool.errors import extra

__all__ = ["RATE", "WORDS", "say", "write"]

RATE = 8000
VOWELS = {"a": (800, 1250), "i": (290, 2300), "u": (320, 750)}  # Hz of the first two formants
WORDS = ("ai", "ia", "au", "ua", "iu", "ui", "aia", "iui", "uau", "uiu")
VOICES = 8  # speakers of a set


def say(word: str, rng: np.random.Generator, pitch: float, size: float) -> np.ndarray:
    """Pressure values (N,) of a word: the harmonics of a voice, through formants that glide from vowel to vowel.

    `pitch` in Hz; `size` multiplies the formants, as a shorter vocal tract does.
    """
    length = int(RATE * rng.uniform(0.1, 0.16) * (len(word) + 1))
    places = np.linspace(0, len(word) - 1, length)
    glide = [np.interp(places, range(len(word)), [VOWELS[c][n] * size * rng.uniform(0.96, 1.04) for c in word]) for n in (0, 1)]
    melody = pitch * (1 + 0.1 * np.sin(np.linspace(0, 2, length) + rng.uniform(0, 3)))
    phase = 2 * np.pi * np.cumsum(melody) / RATE
    values = np.zeros(length)
    for k in range(1, int(RATE / 2 / pitch / 1.15)):
        frequency = k * melody
        gain = sum(1 / (1 + ((frequency - f) / 90) ** 2) for f in (*glide, np.full(length, 2700.0 * size)))
        values += gain * np.sin(k * phase) / np.sqrt(k)
    rise = np.minimum(1, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.02 * RATE))
    values *= rise / np.abs(values).max() * rng.uniform(0.2, 0.7)
    values = np.pad(values, int(0.03 * RATE))  # what is quiet before and after a word is the recording's own noise
    return (values + rng.standard_normal(len(values)) * 0.002).astype(np.float32)


def write(folder: Path, takes: int, seed: int, *, strings: bool = False, words: Sequence[str] = WORDS) -> None:
    """`takes` recordings of each word, by eight speakers of the seed in turn, named {word}_{speaker}_{take}.wav; or so many strings
    of three to seven words, with a manifest that has their times."""
    soundfile = extra("soundfile", "speech")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    voices = [(rng.uniform(90, 230), rng.uniform(0.88, 1.15)) for _ in range(VOICES)]
    if not strings:
        for take in range(takes):
            for word in words:
                voice = take % VOICES
                soundfile.write(folder / f"{word}_s{voice}_{take}.wav", say(word, rng, *voices[voice]), RATE)
        return
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("audio", "text", "speaker", "times"))
        for number in range(takes):
            voice = number % VOICES
            said = [str(word) for word in rng.choice(words, rng.integers(3, 8))]
            parts, times, at = [], [], 0
            for word in said:
                sounds = say(word, rng, *voices[voice])
                gap = (rng.standard_normal(int(rng.uniform(0, 0.3) * RATE)) * 0.002).astype(np.float32)
                parts += [gap, sounds]
                times.append(f"{(at + len(gap)) / RATE:.3f}-{(at + len(gap) + len(sounds)) / RATE:.3f}")
                at += len(gap) + len(sounds)
            soundfile.write(folder / f"{number}.wav", np.concatenate(parts), RATE)
            table.writerow((f"{number}.wav", " ".join(said), f"s{voice}", " ".join(times)))
