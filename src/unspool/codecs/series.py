"""Tables of numbers over time with a label each: sensors, keypoints, any series.

| name ends in   | one series is                                                                                          |
|----------------|--------------------------------------------------------------------------------------------------------|
| .ts            | a line: dimensions with colons between, the label last (the format of the UEA and UCR archives)          |
| .npz           | an entry of `X` (N, T, ...) or a stretch of `pose` (sum of lengths, ...), with `y` or `labels`           |
| .npy           | the file (T, ...), its label the folder's name                                                          |
| .csv .tsv      | a row of numbers with its label, `channels` of them a step; or the rows with the same `series`           |

Each may be compressed as .gz, .xz or .bz2, save arrays. Missing values are NaN.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unspool.codecs.records import cells
from unspool.codecs.streams import PACKERS, lines, there
from unspool.errors import DataError

__all__ = ["ENDINGS", "Series", "SeriesFiles"]

ENDINGS = (".ts", ".npz", ".npy", ".csv", ".tsv")
LABELS, GROUPS, NAMES = (
    ("label", "class", "target", "activity"),
    ("group", "subject", "source"),
    ("series", "id", "clip", "sequence"),
)
LONGEST_LINE = 50_000_000


class Series(NamedTuple):
    """Values (T, D), NaN where they are missing; a label; the group it belongs to ("" where there is none); where it stands."""

    values: np.ndarray
    label: str
    group: str
    place: str


class SeriesFiles:
    """The series of files and folders, in their order. `channels`: how many numbers of a CSV's row are one step. With
    `labels=False` none are needed. What has fewer than two steps, or no numbers, is counted in `skipped`; DataError, with file
    and place, for the rest."""

    def __init__(self, paths: Sequence[str | Path], *, channels: int = 1, labels: bool = True):
        self.paths, self.channels, self.labels, self.skipped = [Path(p) for p in paths], channels, labels, Counter[str]()
        self.items = [series for path in self.paths for series in self._of(path)]
        if not self.items:
            found = "; ".join(f"{why}: {n}" for why, n in self.skipped.items())
            raise DataError(f"{', '.join(map(str, paths))} holds no series" + (f" ({found})" if found else ""))
        widths = Counter(series.values.shape[1] for series in self.items)
        if len(widths) > 1:
            usual = widths.most_common(1)[0][0]
            odd = next(s for s in self.items if s.values.shape[1] != usual)
            raise DataError(f"{odd.place} has {odd.values.shape[1]} numbers a step, the others {usual}")

    def _of(self, path: Path) -> Iterator[Series]:
        there(path)
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if _ending(p) in ENDINGS)
            if not files:
                raise DataError(f"{path} holds no series ({', '.join(ENDINGS)})")
            yield from (series for file in files for series in self._of(file))
            return
        readers: dict[str, Any] = {".ts": self._ts, ".npz": self._npz, ".npy": self._npy, ".csv": self._csv, ".tsv": self._csv}
        if _ending(path) not in readers:
            raise DataError(f"{path} is no table of numbers that can be read; names end in {', '.join(ENDINGS)}")
        for series in readers[_ending(path)](path):
            if len(series.values) < 2 or not np.isfinite(series.values).any():
                self.skipped["series of fewer than two steps or without numbers"] += 1
            elif self.labels and not series.label:
                self.skipped["series without a label"] += 1
            else:
                yield series

    def _ts(self, path: Path) -> Iterator[Series]:
        begun, labelled = False, True
        for number, line in enumerate(lines(path, LONGEST_LINE, "a line holds one series"), 1):
            text, place = line.strip(), f"{path}, line {number}"
            if not text or text.startswith("#"):
                continue
            if text.startswith("@"):
                begun = begun or text.lower().startswith("@data")
                labelled = labelled and not text.lower().startswith("@classlabel false")
                continue
            if not begun:
                raise DataError(f"{place}: a .ts file has @data before its series")
            parts = text.split(":")
            label = parts.pop() if labelled else ""
            columns = [_numbers(part.split(","), place) for part in parts]
            longest = max(map(len, columns))
            yield Series(np.stack([np.pad(c, (0, longest - len(c)), constant_values=np.nan) for c in columns], 1), label, "", place)

    def _npz(self, path: Path) -> Iterator[Series]:
        arrays = _arrays(path)
        labels = next((arrays[k] for k in ("labels", "y", "label") if k in arrays), None)
        values = next((arrays[k] for k in ("X", "x", "pose", "data", "values") if k in arrays), None)
        if values is None or not np.issubdtype(values.dtype, np.number) or np.issubdtype(values.dtype, np.complexfloating):
            raise DataError(f"{path} holds no series: it needs X (N, T, ...) or pose with lengths, and has {', '.join(arrays)}")
        if "lengths" in arrays:
            ends = np.cumsum(arrays["lengths"])
            if not len(ends) or ends[-1] != len(values):
                raise DataError(
                    f"{path}: the lengths add up to {ends[-1] if len(ends) else 0:,}, but there are {len(values):,} steps"
                )
            parts = np.split(values, ends[:-1])
        else:
            parts = list(values)
        if any(not part.ndim for part in parts):
            raise DataError(f"{path} holds no series: X has the shape {values.shape}, and (N, T, ...) was expected")
        names = arrays.get("classes")
        groups = next((arrays[k] for k in ("groups", "subjects", "group") if k in arrays), None)
        for what, of_each in (("labels", labels), ("groups", groups)):
            if of_each is not None and len(of_each) != len(parts):
                raise DataError(f"{path}: there are {len(of_each):,} {what} for {len(parts):,} series")
        if labels is not None and names is not None:
            if not np.issubdtype(labels.dtype, np.integer) or not ((labels >= 0) & (labels < len(names))).all():
                raise DataError(f"{path}: with classes, labels are their places, whole numbers from 0 to {len(names) - 1}")
            labels = names[labels]
        for number, part in enumerate(parts):
            label = "" if labels is None else str(labels[number])
            group = "" if groups is None else str(groups[number])
            yield Series(part.reshape(len(part), -1).astype(np.float32), label, group, f"{path}, series {number}")

    def _npy(self, path: Path) -> Iterator[Series]:
        try:
            values = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"{path} cannot be read as an array ({error})") from error
        if values.ndim < 1 or not np.issubdtype(values.dtype, np.number):
            raise DataError(f"{path} holds no series: its array has the shape {values.shape} and the type {values.dtype}")
        yield Series(values.reshape(len(values), -1).astype(np.float32), path.parent.name, "", str(path))

    def _csv(self, path: Path) -> Iterator[Series]:
        rows = cells(path, _ending(path) == ".tsv", LONGEST_LINE)
        _, first = next(rows, (0, None))
        if first is None:
            raise DataError(f"{path} is empty")
        named = any(not _is_number(cell) for cell in first[1:])
        folded = [cell.strip().lower() for cell in first]
        if named:
            label, group, name = (next((i for i, c in enumerate(folded) if c in known), None) for known in (LABELS, GROUPS, NAMES))
            numbers = [i for i in range(len(first)) if i not in (label, group, name)]
        else:
            label, group, name, numbers = 0, None, None, list(range(1, len(first)))
        if name is not None:
            yield from self._long(path, self._whole(rows, first), label, group, name, numbers)
            return
        for number, row in self._whole(rows if named else chain([(1, first)], rows), first):
            place = f"{path}, line {number}"
            values = _numbers([row[i] for i in numbers], place)
            if len(values) % self.channels:
                raise DataError(f"{place}: {len(values)} numbers are no whole steps of {self.channels} channels")
            text = row[label] if label is not None else ""
            yield Series(values.reshape(-1, self.channels), text, row[group] if group is not None else "", place)

    def _whole(self, rows: Iterable[tuple[int, list[str]]], first: list[str]) -> Iterator[tuple[int, list[str]]]:
        for number, row in rows:
            if len(row) == len(first):
                yield number, row
            else:
                self.skipped["row of another width"] += 1

    def _long(
        self, path: Path, rows: Iterator[tuple[int, list[str]]], label: int | None, group: int | None, name: int, numbers: list[int]
    ) -> Iterator[Series]:
        """The rows of one series stand together."""
        now: list[np.ndarray] = []
        last: list[str] = []
        begun = 2

        def done() -> Series:
            text = last[label] if label is not None else ""
            return Series(np.stack(now), text, last[group] if group is not None else "", f"{path}, line {begun}")

        for number, row in rows:
            if last and row[name] != last[name]:
                yield done()
                now, begun = [], number
            last = row
            now.append(_numbers([row[i] for i in numbers], f"{path}, line {number}"))
        if now:
            yield done()


def _ending(path: Path) -> str:
    name = path.name.lower()
    name = name.removesuffix(path.suffix.lower()) if path.suffix.lower() in PACKERS else name
    return Path(name).suffix


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return cell.strip() == "?"
    return True


def _numbers(cells: Sequence[str], place: str) -> np.ndarray:
    found = np.empty(len(cells), np.float32)
    for i, cell in enumerate(cells):
        text = cell.strip()
        try:
            found[i] = math.nan if text in ("", "?") else float(text)
        except ValueError:
            raise DataError(f"{place}: {text[:20]!r} is no number (column {i + 1})") from None
    return found


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as source, np.load(source, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as arrays ({error}); objects are not unpickled") from error
