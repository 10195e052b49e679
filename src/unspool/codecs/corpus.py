"""Encoded symbols on disk: written once as a stream, read in windows, so a corpus of any size trains in the same memory.

Plain reads are used rather than a memory map, whose pages would count as memory of the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from unspool.errors import DataError

__all__ = ["Corpus"]


class Corpus:
    """Ids of symbols in one file, the ends of its documents in another. A running text is one document without an end symbol."""

    def __init__(self, folder: Path, name: str, size: int):
        """`size` is the number of different symbols; it sets the width of an id."""
        self._dtype = np.dtype(np.uint16 if size <= 1 << 16 else np.uint32)
        self._ids, self._ends = folder / f"{name}.ids", folder / f"{name}.ends"
        self._file: int | None = None
        self._ends_file: int | None = None
        self.symbols = self.documents = 0
        self.characters = 0  # of the raw text, where the writer knows it

    def write(self, documents: Iterable[np.ndarray], *, joined: bool = False) -> Corpus:
        """Stores the documents' ids, `joined` into one; returns itself. DataError when the disk does not take them."""
        try:
            self._store(documents, joined)
        except OSError as error:
            raise DataError(f"could not write the encoded text beside the model ({self._ids.parent}): {error.strerror}") from error
        self._file, self._ends_file = os.open(self._ids, os.O_RDONLY), os.open(self._ends, os.O_RDONLY)
        return self

    def _store(self, documents: Iterable[np.ndarray], joined: bool) -> None:
        with self._ids.open("wb") as ids, self._ends.open("wb") as ends:
            for document in documents:
                ids.write(document.astype(self._dtype).tobytes())
                self.symbols += len(document)
                if not joined:
                    self.documents += 1
                    ends.write(np.int64(self.symbols).tobytes())
            if joined:
                self.documents = 1
                ends.write(np.int64(self.symbols).tobytes())

    def read(self, start: int, stop: int) -> np.ndarray:
        """The ids from `start` to `stop` (int64)."""
        assert self._file is not None
        width = self._dtype.itemsize
        return np.frombuffer(os.pread(self._file, (stop - start) * width, start * width), self._dtype).astype(np.int64)

    def ends(self, first: int, last: int) -> np.ndarray:
        """Where the documents from `first` to before `last` end, preceded by where the first begins: `last - first + 1` places."""
        assert self._ends_file is not None
        if first == 0:
            return np.concatenate([[0], self._read_ends(0, last)])
        return self._read_ends(first - 1, last)

    def _read_ends(self, first: int, last: int) -> np.ndarray:
        return np.frombuffer(os.pread(self._ends_file or 0, (last - first) * 8, first * 8), np.int64)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Each document's ids."""
        for first in range(0, self.documents, 4096):
            ends = self.ends(first, min(first + 4096, self.documents))
            for start, stop in pairwise(ends.tolist()):
                for at in range(start, stop, 1 << 20):  # a running text comes in pieces
                    yield self.read(at, min(at + (1 << 20), stop))

    def close(self) -> None:
        for file in (self._file, self._ends_file):
            if file is not None:
                os.close(file)
        self._file = self._ends_file = None
