"""Series as a network reads them: gaps filled, numbers scaled, how they change beside them; points as a figure, wherever it
stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Scale", "filled", "points", "summary", "varied"]

MOST_DISTANCES = 25  # points whose distances from each other are told
SEGMENTS = 8  # of a summary


def filled(values: np.ndarray) -> np.ndarray:
    """Values (T, D) with what is missing taken from the last step before that has it, else the first after, else 0."""
    missing = ~np.isfinite(values)
    if not missing.any():
        return values
    place = np.where(missing, 0, np.arange(len(values))[:, None])
    before = np.maximum.accumulate(place, axis=0)
    found = np.take_along_axis(values, before, 0)
    late = ~np.isfinite(found)
    first = np.take_along_axis(values, np.argmin(missing, axis=0)[None].repeat(len(values), 0), 0)
    return np.nan_to_num(np.where(late, first, found)).astype(np.float32)


@dataclass(frozen=True)
class Scale:
    """What the numbers of a step are like: their means and deviations (D,), and those of their changes from step to step."""

    mean: np.ndarray
    deviation: np.ndarray
    change: np.ndarray

    @classmethod
    def of(cls, series: list[np.ndarray]) -> Scale:
        every = np.concatenate([filled(values) for values in series])
        changes = np.concatenate([np.diff(filled(values), axis=0) for values in series])
        return cls(every.mean(0), every.std(0) + 1e-6, changes.std(0) + 1e-6)

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """Values (T, D) to (T, 2 D): scaled, and how they change."""
        values = filled(values)
        changes = np.diff(values, axis=0, prepend=values[:1]) / self.change
        return np.concatenate([(values - self.mean) / self.deviation, changes], 1).clip(-10, 10).astype(np.float32)


def points(values: np.ndarray, coordinates: int) -> np.ndarray:
    """The coordinates of J points (T, J k) as a figure: the points about their middle in units of the figure's size, their
    distances from each other (Yang et al. 2019), and how they move over one step, two and four, and in the figure over one."""
    joints = filled(values).reshape(len(values), -1, coordinates)
    middle = joints.mean(1, keepdims=True)
    size = float(np.sqrt(np.square(joints - middle).sum(2)).mean()) + 1e-6
    own, place = (joints - middle) / size, joints / size
    parts = [own]
    if joints.shape[1] <= MOST_DISTANCES:
        upper = np.triu_indices(joints.shape[1], 1)
        parts.append(np.sqrt(np.square(own[:, upper[0]] - own[:, upper[1]]).sum(2))[:, :, None])
    parts += [5 * step**-0.5 * _moved(place, step) for step in (1, 2, 4)]
    parts.append(5 * _moved(own, 1))
    return np.concatenate([part.reshape(len(values), -1) for part in parts], 1).clip(-10, 10).astype(np.float32)


def _moved(place: np.ndarray, steps: int) -> np.ndarray:
    return place - np.concatenate([place[:1]] * steps + [place[:-steps]])[: len(place)]


def varied(values: np.ndarray, rng: np.random.Generator, coordinates: int = 0, mirror: bool = False) -> np.ndarray:
    """A series as it might also have been, for training: slower or faster, a part of it, a little noisy; a figure turned, wider or
    slanted, of other proportions, with `mirror` mirrored."""
    values = filled(values)
    length = max(2, int(len(values) * rng.uniform(0.75, 1.0)))
    start = int(rng.integers(0, len(values) - length + 1))
    part = values[start : start + length]
    steps = max(2, int(len(part) * np.exp(rng.uniform(-0.25, 0.25))))
    at = np.linspace(0, len(part) - 1, steps)
    low = np.floor(at).astype(int)
    share = (at - low)[:, None].astype(np.float32)
    part = part[low] * (1 - share) + part[np.minimum(low + 1, len(part) - 1)] * share
    if not coordinates:
        return part + rng.standard_normal(part.shape).astype(np.float32) * 0.05 * part.std(0, keepdims=True)
    joints = part.reshape(len(part), -1, coordinates).copy()
    middle = joints.mean((0, 1), keepdims=True)
    joints -= middle
    angle = rng.uniform(-0.2, 0.2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    joints[..., :2] = joints[..., :2] @ turn
    joints *= np.exp(rng.uniform(-0.15, 0.15, coordinates)).astype(np.float32)
    joints[..., 0] += rng.uniform(-0.15, 0.15) * joints[..., 1]
    if mirror and rng.random() < 0.5:
        joints[..., 0] *= -1
    for shape, share in ((joints.shape[1:], 0.03), (joints.shape, 0.01)):  # the figure's own proportions, and noise
        joints += rng.standard_normal(shape).astype(np.float32) * share * np.abs(joints).mean()
    return (joints + middle).reshape(len(part), -1)


def summary(values: np.ndarray) -> np.ndarray:
    """What a simple baseline knows of features (T, F): their means in eight stretches of time."""
    return np.concatenate([part.mean(0) if len(part) else values.mean(0) for part in np.array_split(values, SEGMENTS)])
