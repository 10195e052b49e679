"""Clips as a network sees them: decoded once, small pictures on disk; in training a little different each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from unspool.codecs.clips import Clip
from unspool.codecs.video import Frame, Video
from unspool.errors import DataError

__all__ = ["Store", "middle", "smallest", "varied", "watched"]

MOST = 64  # frames of a clip that are learned from at once


def watched(clip: Path, rate: float, side: int) -> Iterator[Frame]:
    """The frames of a clip at `rate` a second, `side` pixels wide and high."""
    return Video(clip, rate).frames(rate, (side, side))


def smallest(clips: Sequence[Clip], rate: float) -> int:
    """The smaller side of the first clip that can be read."""
    for clip in clips:
        try:
            return min(next(Video(clip.path, rate).frames()).picture.shape[:2])
        except DataError:
            continue
    raise DataError(f"none of the {len(clips)} clips can be read; the first is {clips[0].path}")


class Store:
    """The frames of clips on disk: `items` are those that could be read, `frames` their pictures (T, S, S, 3), `skipped` says why
    others are missing. Of a damaged clip the frames before the damage count."""

    def __init__(self, clips: Sequence[Clip], rate: float, side: int, scratch: Path, name: str):
        self.items: list[Clip] = []
        self.skipped: Counter[str] = Counter()
        self.first = ""
        scratch.mkdir(parents=True, exist_ok=True)
        file, lengths = scratch / f"{name}.frames", []
        with file.open("wb") as out:
            for clip in clips:
                count = 0
                try:
                    for frame in watched(clip.path, rate, side):
                        out.write(frame.picture.tobytes())
                        count += 1
                except DataError as error:
                    self.first = self.first or f"{clip.place}: {error}"
                    self.skipped["damaged clip, read up to there" if count else "clip that cannot be read"] += 1
                if count:
                    self.items.append(clip)
                    lengths.append(count)
        if not self.items:
            raise DataError(f"none of the {len(clips)} clips can be read; {self.first}")
        every = np.memmap(file, np.uint8, "r", shape=(sum(lengths), side, side, 3))
        ends = np.cumsum(lengths)
        self.frames: list[np.ndarray] = [every[end - length : end] for end, length in zip(ends, lengths, strict=True)]

    @property
    def report(self) -> str:
        """What was left out, and the first reason."""
        return "".join(f"; skipped, {why}: {n:,}" for why, n in self.skipped.items()) + (f" ({self.first})" if self.first else "")


def middle(frames: np.ndarray) -> np.ndarray:
    """One picture of a clip, (1, S, S, 3)."""
    return frames[len(frames) // 2 : len(frames) // 2 + 1]


def varied(frames: np.ndarray, rng: np.random.Generator, mirror: bool) -> np.ndarray:
    """A clip as it might also have been: a part of it, slower or faster, a little nearer and elsewhere, darker or brighter,
    in other light."""
    length = min(MOST, max(1, round(len(frames) * rng.uniform(0.8, 1.0))))
    start = int(rng.integers(0, len(frames) - length + 1))
    steps = max(1, min(MOST, round(length * np.exp(rng.uniform(-0.2, 0.2)))))
    at = start + np.round(np.linspace(0, length - 1, steps)).astype(int)
    side = frames.shape[1]
    zoom = np.exp(rng.uniform(-0.12, 0.12))
    places = []
    for _ in range(2):
        centre = (side - 1) / 2 + rng.uniform(-0.08, 0.08) * side
        places.append(np.clip(np.round(centre + (np.arange(side) - (side - 1) / 2) * zoom), 0, side - 1).astype(int))
    if mirror and rng.random() < 0.5:
        places[1] = places[1][::-1]
    part = np.asarray(frames)[at[:, None, None], places[0][:, None], places[1]].astype(np.float32)
    contrast, light = rng.uniform(0.8, 1.2) * rng.uniform(0.85, 1.15, 3), rng.uniform(-20, 20) + rng.uniform(-15, 15, 3)
    return ((part - 127.5) * contrast.astype(np.float32) + (127.5 + light).astype(np.float32)).clip(0, 255).astype(np.uint8)
