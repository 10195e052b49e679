"""What a model of genes is fed: windows of genomes on disk, at random places, some of them recoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.bases import Contig, reverse_complement
from unspool.codecs.genetic import codons, genetic_code
from unspool.models.strands import STEP
from unspool.tasks.dna_labels import IGNORED, labels, starts
from unspool.tasks.dna_recode import recoded

__all__ = ["TILT", "WINDOW", "Labelled", "Store", "Windows"]

WINDOW = 333 * STEP  # bases
SHORTEST = 100 * STEP  # bases of a window at the beginning of a contig
RECODED = 0.5  # share of windows in training
TILT = (-1.4, 0.7)  # nats that a G or C is worth there
NO_STOP = 0.3  # share of those poor in G and C in which TGA stops nothing


class Labelled(NamedTuple):
    """A batch: bases (B, L), the class of each step (B, L / 9), and whether a gene starts at each base (B, L, 2); -1 where not
    known."""

    bases: Tensor
    classes: Tensor
    starts: Tensor

    def to(self, device: torch.device) -> Labelled:
        return Labelled(*(part.to(device) for part in self))


class Store:
    """Contigs with their labels on disk, one after another; memory does not grow with them."""

    def __init__(self, folder: Path, name: str):
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [folder / f"{name}.{part}" for part in ("bases", "classes", "starts")]
        for file in self._files:
            file.write_bytes(b"")
        self.lengths: list[int] = []
        self._begins = [0]  # where each contig begins

    def add(self, contig: Contig, low: int, high: int) -> None:
        """Keeps the bases [low, high) of a contig, a multiple of three from its beginning."""
        code = genetic_code(contig.code or 11)
        parts = (contig.bases, labels(contig), starts(contig, code))
        for file, part in zip(self._files, parts, strict=True):
            with file.open("ab") as out:
                out.write(part[low:high].tobytes())
        self._begins.append(self._begins[-1] + high - low)
        self.lengths.append(high - low)

    def read(self, contig: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bases (N,), classes (N,) in the frames of this stretch, and starts (N, 2)."""
        at = self._begins[contig] + start
        count = stop - start
        bases = np.fromfile(self._files[0], np.uint8, count, offset=at)
        classes = np.fromfile(self._files[1], np.int8, count, offset=at)
        found = np.fromfile(self._files[2], np.int8, 2 * count, offset=2 * at).reshape(-1, 2)
        return bases, _shifted(classes, start), found


def _shifted(classes: np.ndarray, start: int) -> np.ndarray:
    """Classes in the frames of a stretch that starts there."""
    table = np.array([0, *(1 + (f - start) % 3 for f in range(3)), *(4 + (f - start) % 3 for f in range(3)), IGNORED], np.int8)
    return table[classes]  # the last stands for -1


class Windows:
    """Windows of 3,000 bases at random places, `batch` at once. In training half of them are recoded."""

    full = 0

    def __init__(self, store: Store, batch: int, seed: int = 0):
        self.store, self.batch, self.seed = store, batch, seed
        self.symbols = sum(store.lengths) // STEP

    def epoch(self, number: int, start: int = 0) -> Iterator[Labelled]:
        """About as many bases as there are; of a negative number the windows lie side by side and are as they are."""
        rng = np.random.default_rng((self.seed, abs(number), int(number < 0)))
        places = self._places(rng if number >= 0 else None)
        for index in range(0, len(places), self.batch):
            if index // self.batch >= start:
                own = np.random.default_rng((self.seed, abs(number), index))
                yield _batch([self._window(contig, at, own, number >= 0) for contig, at in places[index : index + self.batch]])

    def _places(self, rng: np.random.Generator | None) -> list[tuple[int, int]]:
        found = []
        for contig, length in enumerate(self.store.lengths):
            shift = int(rng.integers(WINDOW)) if rng and length > WINDOW else 0
            places = range(-shift, max(1, length - WINDOW // 2), WINDOW)
            found += [(contig, at) for at in places if at + WINDOW > SHORTEST]
        if rng:
            rng.shuffle(found)
        return found

    def _window(self, contig: int, at: int, rng: np.random.Generator, training: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        low, high = max(0, at), min(self.store.lengths[contig], at + WINDOW)
        bases, classes, found = self.store.read(contig, low, high)
        if training and rng.random() < RECODED:
            tilt = float(rng.uniform(*TILT))
            bases = recoded(bases, classes, rng, tilt=tilt, tga=tilt < -0.3 and rng.random() < NO_STOP)
            found = _again(bases, classes, found)
        return bases, classes, found


def _again(bases: np.ndarray, classes: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The starts of a window whose codons have changed: what is no start codon any longer is none, and new ones in genes are
    wrong."""
    code, length = genetic_code(11), len(bases)
    found = found.copy()
    for column, first in ((0, 1), (1, 4)):
        strand = bases if column == 0 else reverse_complement(bases)
        marks = found[:, 0] if column == 0 else found[::-1, 1]
        kinds = classes if column == 0 else classes[::-1]
        number = np.append(codons(strand), [64, 64])
        place = np.arange(length)
        frame = place % 3 if column == 0 else (length - place) % 3
        start = code.starts[number]
        marks[(marks == 0) & ~start] = IGNORED
        marks[(marks == IGNORED) & start & (kinds == first + frame)] = 0
    return found


def _batch(windows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Labelled:
    """Windows side by side, padded by unknown bases to a multiple of nine."""
    length = -(-max(len(bases) for bases, _, _ in windows) // STEP) * STEP

    def filled(part: np.ndarray, value: int) -> np.ndarray:
        return np.pad(part, [(0, length - len(part))] + [(0, 0)] * (part.ndim - 1), constant_values=value)

    bases = np.stack([filled(b, 4) for b, _, _ in windows])
    classes = np.stack([filled(c, IGNORED) for _, c, _ in windows])[:, STEP // 2 :: STEP]
    found = np.stack([filled(f, IGNORED) for _, _, f in windows])
    return Labelled(torch.from_numpy(bases), torch.from_numpy(classes.astype(np.int64)), torch.from_numpy(found))
