"""Short stretches of DNA with a label each, from tables: splice sites, promoters, any question about a window of bases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unspool.codecs import records
from unspool.codecs.bases import encoded
from unspool.errors import DataError, did_you_mean

__all__ = ["Site", "Sites"]

COLUMNS = {
    "sequence": ("sequence", "seq", "dna", "bases", "window"),
    "label": ("label", "class", "target", "category"),
    "group": ("group", "source", "entry"),
}


class Site(NamedTuple):
    """Bases (N,), 0 to 3 or 4 for an unknown one; a label; the group it belongs to ("" where there is none); where it stands."""

    bases: np.ndarray
    label: str
    group: str
    place: str


class Sites:
    """The rows of tables with columns for a sequence, its label and perhaps its group; others can be named. Rows without are
    counted in `skipped`; DataError, with file and line, for what is no DNA. With `labels=False` none are needed."""

    def __init__(self, paths: Sequence[str | Path], *, names: dict[str, str | None] | None = None, labels: bool = True):
        self.paths, self.names, self.labels, self.skipped = [Path(p) for p in paths], names or {}, labels, Counter[str]()
        self.items = [site for path in self.paths for site in self._of(path)]
        if not self.items:
            raise DataError(f"{', '.join(map(str, paths))} holds no row with a sequence" + (" and a label" if labels else ""))

    def _of(self, path: Path) -> Iterator[Site]:
        columns: dict[str, str | None] = {}
        for number, row in records.rows(path, path.suffix.lower(), self.skipped):
            columns = columns or {kind: self._column(path, list(row), kind) for kind in COLUMNS}
            sequence, label, group = (str(row.get(name) or "").strip() if name else "" for name in columns.values())
            if not sequence or (self.labels and not label):
                self.skipped["row without a sequence or a label"] += 1
                continue
            bases = encoded(sequence)
            if (bases == 255).any():
                wrong = sequence[int((bases == 255).argmax())]
                raise DataError(f"{path}, line {number}: {wrong!r} is no base; letters are those of DNA, ACGT and IUPAC's")
            yield Site(bases, label, group, f"{path}, line {number}")

    def _column(self, path: Path, names: list[str], kind: str) -> str | None:
        given = self.names.get(kind)
        if given is not None:
            if given not in names:
                raise DataError(f"{path} has no column {given!r}{did_you_mean(given, names)}; its columns are {', '.join(names)}")
            return given
        found = next((n for n in names if n.strip().lower() in COLUMNS[kind]), None)
        if found is None and (kind == "sequence" or (kind == "label" and self.labels)):
            raise DataError(f"{path}: which column holds the {kind}? Name one of {', '.join(names)} with --{kind}-column")
        return found
