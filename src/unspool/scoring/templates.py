"""The nearest recording: what isolated words are told apart by without learning, by dynamic time warping (Sakoe & Chiba 1978)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

__all__ = ["Templates"]

EACH = 20  # recordings of a word at most
BANDS = 16
FRAME = 0.025  # seconds


class Templates:
    """Recordings (N, T, F) of known words as features, their lengths and words (N,)."""

    def __init__(self, features: np.ndarray, lengths: np.ndarray, words: np.ndarray, names: Sequence[str], rate: int):
        self.features, self.lengths, self.words, self.names, self.rate = features, lengths, words, list(names), rate

    @classmethod
    def of(cls, recordings: Iterable[tuple[np.ndarray, int]], rate: int, names: Sequence[str]) -> Templates:
        """Of pressure values with the number of the word, the first 20 of each word."""
        kept: list[tuple[np.ndarray, int]] = []
        counts = np.zeros(len(names), int)
        for values, word in recordings:
            if counts[word] < EACH:
                counts[word] += 1
                kept.append((_features(values, rate), word))
        lengths = np.array([len(f) for f, _ in kept])
        features = np.zeros((len(kept), lengths.max(), BANDS), np.float32)
        for row, (f, _) in enumerate(kept):
            features[row, : len(f)] = f
        return cls(features, lengths, np.array([word for _, word in kept]), names, rate)

    def nearest(self, values: np.ndarray) -> str:
        """The word of the nearest recording."""
        x = _features(values, self.rate)
        distance = np.sqrt(np.square(x[:, None, None] - self.features[None]).sum(3))  # (T, N, S)
        total = np.full((len(self.features), self.features.shape[1] + 1), np.inf)
        total[:, 0] = 0.0
        for t in range(len(x)):
            new = np.full_like(total, np.inf)
            from_before = np.minimum(total[:, 1:], total[:, :-1])
            for s in range(self.features.shape[1]):
                new[:, s + 1] = np.minimum(from_before[:, s], new[:, s]) + distance[t, :, s]
            total = new
        ends = total[np.arange(len(self.lengths)), self.lengths] / (self.lengths + len(x))
        return self.names[int(self.words[int(ends.argmin())])]

    def arrays(self) -> dict[str, np.ndarray]:
        """Numeric arrays, to be stored; the names are the model's own."""
        return {"features": self.features.astype(np.float16), "lengths": self.lengths, "words": self.words}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], names: Sequence[str], rate: int) -> Templates:
        return cls(arrays["features"].astype(np.float32), arrays["lengths"], arrays["words"], names, rate)


def _features(values: np.ndarray, rate: int) -> np.ndarray:
    """Log energies (T, F) of bands that widen with frequency, of frames of 25 ms, less their mean."""
    size = round(FRAME * rate)
    values = np.pad(values, (0, max(0, 2 * size - len(values))))
    frames = np.lib.stride_tricks.sliding_window_view(values, size)[:: size // 2] * np.hanning(size)
    energy = np.square(np.abs(np.fft.rfft(frames)))
    edges = np.unique(np.round(np.geomspace(3, energy.shape[1], BANDS + 1) - 2).astype(int))
    bands = np.log(np.stack([energy[:, a:b].sum(1) for a, b in pairwise(edges.tolist())], 1) + 1e-6)
    bands = bands[::2]
    return np.pad(bands - bands.mean(0), ((0, 0), (0, BANDS - bands.shape[1]))).astype(np.float32)
