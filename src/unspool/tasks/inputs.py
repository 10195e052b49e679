"""What is given to `predict`: texts, and names of files of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from unspool.errors import DataError, did_you_mean
from unspool.vocabulary import Vocabulary

__all__ = ["blocks", "file_of", "filled", "shortened"]

BLOCK = 2048  # texts
LONGEST = 4000  # symbols
ENDINGS = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".gz", ".xz", ".bz2")


def blocks(inputs: Iterable[str | Path], texts_of: Callable[[Path], Iterator[str]]) -> Iterator[tuple[bool, list[str]]]:
    """The texts of inputs in blocks of at most 2,048, and whether they were given one by one, not in a file.

    DataError for what looks like the name of a file that is not there.
    """
    single: list[str] = []
    for given in inputs:
        path = file_of(given)
        if path is None:
            single.append(str(given))
        if single and (path is not None or len(single) == BLOCK):
            yield True, single
            single = []
        if path is not None:
            texts = texts_of(path)
            while block := list(islice(texts, BLOCK)):
                yield False, block
    if single:
        yield True, single


def filled(ids: np.ndarray) -> np.ndarray:
    """The ids of a text; of one without any a single unknown."""
    return ids if len(ids) else np.array([Vocabulary.unknown])


def shortened(ids: np.ndarray) -> np.ndarray:
    """The beginning and the end of a text of more than 4,000 symbols."""
    return ids if len(ids) <= LONGEST else np.concatenate([ids[: LONGEST // 2], ids[-LONGEST // 2 :]])


def file_of(given: str | Path) -> Path | None:
    try:
        path = Path(given)
        if path.is_file():
            return path
    except (OSError, ValueError):  # a text may be too long for a name, or hold what no name can
        return None
    name = str(given)
    if isinstance(given, Path) or (name.lower().endswith(ENDINGS) and not any(c.isspace() for c in name)):
        near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"there is no file {name}{did_you_mean(path.name, near)}")
    return None
