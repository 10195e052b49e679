"""Rendered clips for the demo and the benchmarks: shapes that move, grow or shrink before noise, with sub-pixel motion. The middle
picture does not tell which: there place and size are spread alike, whatever the motion."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np

__all__ = ["COLOURS", "MOTIONS", "SHAPES", "clip", "combinations", "film", "write_captions", "write_films", "write_motions"]

SHAPES = ("square", "circle", "triangle")
COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 80, 230), "yellow": (225, 205, 40)}
MOTIONS = {
    "moves left": (-1, 0, 0),
    "moves right": (1, 0, 0),
    "moves up": (0, -1, 0),
    "moves down": (0, 1, 0),
    "grows": (0, 0, 1),
    "shrinks": (0, 0, -1),
}
SIDE, FRAMES = 32, 15
FAR, MUCH = 0.22, 0.45  # how far a shape moves to either side of its place, of the picture; how much it grows, in nats


def clip(
    shape: str, colour: str, motion: str, rng: np.random.Generator, *, background: np.ndarray | None = None, frames: int = FRAMES
) -> np.ndarray:
    """A shape in motion, (T, S, S, 3), on its way through the place and the size that it has in the middle."""
    x, y, growth = MOTIONS[motion]
    now = np.linspace(-1, 1, frames) * rng.uniform(0.8, 1.0)
    centre = rng.uniform(0.3, 0.7, 2) + now[:, None] * np.array([x, y]) * FAR
    size = 0.15 * np.exp(rng.uniform(-0.3, 0.3) + now * growth * MUCH)
    ground = _ground(rng) if background is None else background
    pictures = np.stack(
        [_drawn(shape, COLOURS[colour], ground, x, y, s) for (x, y), s in zip(centre.tolist(), size.tolist(), strict=True)]
    )
    noisy = pictures + rng.normal(0, 12, pictures.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def _ground(rng: np.random.Generator) -> np.ndarray:
    """A background of soft grey patches (S, S, 3)."""
    coarse = rng.uniform(60, 150, (5, 5))
    at = np.linspace(0, 4, SIDE)
    low = np.minimum(at.astype(int), 3)
    part = at - low
    rows = coarse[low] * (1 - part)[:, None] + coarse[low + 1] * part[:, None]
    grey = rows[:, low] * (1 - part) + rows[:, low + 1] * part
    return np.repeat(grey[:, :, None], 3, 2)


def _drawn(shape: str, colour: tuple[int, int, int], ground: np.ndarray, x: float, y: float, size: float) -> np.ndarray:
    """A shape on a ground, its edge as soft as a pixel, so that it moves by parts of one."""
    place = (np.arange(SIDE) + 0.5) / SIDE
    dx, dy = place[None] - x, place[:, None] - y
    if shape == "circle":
        outside = np.hypot(dx, dy) - size
    elif shape == "square":
        outside = np.maximum(np.abs(dx), np.abs(dy)) - 0.9 * size
    else:
        outside = np.maximum(dy, np.abs(dx) * 0.866 - dy * 0.5) - 0.6 * size  # it stands on its side
    cover = np.clip(0.5 - outside * SIDE, 0, 1)[:, :, None]
    return ground * (1 - cover) + np.array(colour) * cover


def write_motions(folder: Path, count: int, seed: int) -> Path:
    """Clips of one shape each as arrays, in folders named by motion."""
    rng = np.random.default_rng(seed)
    names = list(MOTIONS)
    for number in range(count):
        motion = names[number % len(names)]
        place = folder / motion
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{number}.npy", clip(str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS))), motion, rng))
    return folder


def combinations(held: bool) -> list[tuple[str, str, str]]:
    """Colours, shapes and motions: a sixth is never trained, each value of which is seen in other combinations."""
    every = list(product(COLOURS, SHAPES, MOTIONS))
    chosen = np.random.default_rng(0).permutation(len(every))[: len(every) // 6]
    return [combination for n, combination in enumerate(every) if (n in chosen) == held]


def write_captions(folder: Path, count: int, seed: int, *, held: bool = False) -> Path:
    """Clips of two motions, one after the other, as arrays, and a table of what they show; `held` those never trained."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    known = combinations(held)
    rows: list[Iterable[str]] = [("path", "caption")]
    for number in range(count):
        ground = _ground(rng)
        parts, said = [], []
        for _ in range(2):
            colour, shape, motion = known[int(rng.integers(len(known)))]
            parts.append(clip(shape, colour, motion, rng, background=ground, frames=10))
            said.append(f"a {colour} {shape} {motion}")
        np.save(folder / f"{number}.npy", np.concatenate(parts))
        rows.append((f"{number}.npy", ", then ".join(said)))
    return _table(folder / "captions.csv", rows)


def film(rng: np.random.Generator, seconds: int, events: int) -> tuple[np.ndarray, list[tuple[int, int, str]]]:
    """Ten pictures a second (N, S, S, 3) of one place where nothing happens but noise, and in each of so many stretches for 2 to
    4 s a shape comes through; (start, stop, colour) of each, in frames."""
    count = 10 * seconds
    ground = np.repeat(np.repeat(rng.uniform(60, 150, (4, 4)), SIDE // 4, 0), SIDE // 4, 1)[:, :, None].repeat(3, 2)
    pictures = (ground + rng.normal(0, 12, (count, *ground.shape))).clip(0, 255).astype(np.uint8)
    places = []
    for number in range(events):
        length, room = int(rng.integers(20, 41)), count // events
        at = room * number + int(rng.integers(0, room - 40))
        shape, colour, motion = str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS))), str(rng.choice(list(MOTIONS)))
        pictures[at : at + length] = clip(shape, colour, motion, rng, background=ground, frames=length)
        places.append((at, at + length, colour))
    return pictures, places


def write_films(folder: Path, count: int, seed: int, *, seconds: int = 40, people: int = 3) -> Path:
    """Films as arrays, and a table of how much each half second matters to some people: a shape a little, a red one much; each
    starts and stops a little earlier or later, and with a scale of their own."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Iterable[str]] = [("path", "scores")]
    for number in range(count):
        pictures, places = film(rng, seconds, seconds // 7)
        np.save(folder / f"{number}.npy", pictures)
        for _ in range(people):
            scores = rng.normal(1, 0.2, 2 * seconds)
            for start, stop, colour in places:
                low, high = (round(t / 5 + rng.uniform(-1, 1)) for t in (start, stop))
                scores[max(0, low) : high] += (3 if colour == "red" else 0.5) * rng.uniform(0.7, 1.3)
            rows.append((f"{number}.npy", ", ".join(f"{s:.2f}" for s in scores)))
    return _table(folder / "scores.csv", rows)


def _table(path: Path, rows: Iterable[Iterable[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path
