"""What a picture looks like, in numbers that need no training: how bright where, its colours, the directions of its edges."""

from __future__ import annotations

import numpy as np

__all__ = ["look"]

BINS, DIRECTIONS, CELLS = 8, 8, 4


def look(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) of bytes to a vector (D,): brightness of 4 x 4 cells, histograms of its three colours, and of the
    directions of edges in each quarter (Dalal and Triggs 2005), each part scaled alike."""
    x = picture.astype(np.float32) / 255
    grey = x.mean(2)
    height, width = grey.shape
    rows, columns = (np.minimum(np.arange(n) * CELLS // n, CELLS - 1) for n in (height, width))
    cell = rows[:, None] * CELLS + columns
    size = np.bincount(cell.ravel(), minlength=CELLS**2)
    bright = np.bincount(cell.ravel(), grey.ravel(), CELLS**2) / np.maximum(size, 1)
    colours = [np.histogram(x[:, :, c], BINS, (0, 1))[0] / grey.size for c in range(3)]
    dy, dx = np.gradient(grey) if min(height, width) > 1 else (np.zeros_like(grey),) * 2
    strength = np.hypot(dx, dy)
    way = ((np.arctan2(dy, dx) / np.pi % 1) * DIRECTIONS).astype(int) % DIRECTIONS
    quarter = (rows[:, None] * 2 // CELLS) * 2 + columns * 2 // CELLS
    edges = np.bincount((quarter * DIRECTIONS + way).ravel(), strength.ravel(), 4 * DIRECTIONS) / grey.size
    return np.concatenate([bright, *(np.sqrt(c) for c in colours), 4 * np.sqrt(edges)]).astype(np.float32)
