"""Clips with their labels or captions: folders named by class, or a table that names each clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from unspool.codecs import records
from unspool.codecs.streams import there
from unspool.codecs.video import ARRAYS, ENDINGS, PICTURES
from unspool.errors import DataError

__all__ = ["Clip", "Clips"]

COLUMNS = {
    "path": ("path", "video", "file", "filename", "clip"),
    "label": ("label", "class", "activity", "action"),
    "caption": ("caption", "text", "sentence", "description"),
    "group": ("group", "subject", "source", "person"),
    "scores": ("scores", "importance"),
}


class Clip(NamedTuple):
    """A video file, a folder of pictures, or an array; its label, its caption and its group, "" where there are none; where it is
    named; and how much each of its moments matters to somebody, as numbers with commas between."""

    path: Path
    label: str
    caption: str
    group: str
    place: str
    scores: str = ""


class Clips:
    """The clips of folders and tables. A table (.csv, .tsv, .jsonl) has a column `path`, from its own folder on, and `label`,
    `caption` or `scores`, perhaps `group`. In a folder each clip's label is the name of the folder around it. DataError for what
    is missing."""

    def __init__(self, paths: Sequence[str | Path]):
        self.skipped: Counter[str] = Counter()
        self.items = [clip for path in paths for clip in self._of(Path(path))]
        if not self.items:
            known = ", ".join(ENDINGS[:4])
            raise DataError(f"{', '.join(map(str, paths))} holds no clips: videos ({known}, ...), folders of pictures, or arrays")

    def _of(self, path: Path) -> Iterator[Clip]:
        there(path)
        if path.suffix.lower() in records.TABLES:
            yield from self._table(path)
        elif path.is_dir() and not _is_clip(path):
            for inner in sorted(path.iterdir()):
                if inner.is_dir() or _is_clip(inner):
                    yield from self._of(inner)
        elif _is_clip(path):
            yield Clip(path, path.parent.name, "", "", str(path))
        else:
            raise DataError(f"{path} is no video: names end in {', '.join(ENDINGS)}, or .npy, or it is a folder of pictures")

    def _table(self, path: Path) -> Iterator[Clip]:
        columns: dict[str, str | None] = {}
        for number, row in records.rows(path, path.suffix.lower(), self.skipped):
            names = list(row)
            columns = columns or {
                kind: next((n for n in names if n.strip().lower() in known), None) for kind, known in COLUMNS.items()
            }
            if columns["path"] is None:
                raise DataError(f"{path}: no column names the clips; call one 'path', of {', '.join(names)}")
            name, label, caption, group, scores = (str(row.get(c) or "").strip() if c else "" for c in columns.values())
            clip = path.parent / name
            if not name or not clip.exists():
                raise DataError(f"{path}, line {number}: there is no clip {clip}")
            yield Clip(clip, label, caption, group, f"{path}, line {number}", scores)


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return any(p.suffix.lower() in PICTURES for p in path.iterdir())
    return path.suffix.lower() in (*ENDINGS, *ARRAYS)
