"""Texts with labels, read as a stream: memory does not grow with the files.

| name ends in        | one example is                                                                                  |
|---------------------|-------------------------------------------------------------------------------------------------|
| .csv .tsv           | a row: its text and its label stand in named columns                                              |
| .jsonl .ndjson      | a line: an object with both                                                                       |
| .txt, and any other | a fastText line, `__label__3 text`, or a tree with a label at each phrase, `(3 (2 so) (4 good))` |

Each may be compressed as .gz, .xz or .bz2.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unspool.codecs import records
from unspool.codecs.streams import PACKERS, lines
from unspool.errors import DataError, did_you_mean

__all__ = ["Example", "LabelledFiles", "parse_tree"]

TEXTS = ("text", "review", "sentence", "tweet", "comment", "content", "body", "message", "title")
LABELS = ("label", "rating", "stars", "score", "sentiment", "class", "category", "target", "polarity")
LONGEST_LINE = 10_000_000  # characters
FASTTEXT = re.compile(r"__label__(\S+)[ \t]*(.*)", re.DOTALL)
TREE = re.compile(r"\(\d+ .*\)")
BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "\\/": "/", "\\*": "*"}


class Example(NamedTuple):
    """A text and its label; `part` says that it is a phrase out of a longer text, `place` in which file and line it stands."""

    text: str
    label: str
    part: bool = False
    place: str = ""


class LabelledFiles:
    """The examples of `paths`, in their order. Each iteration reads the files again; `skipped` counts what the last left out.

    `text` and `label` name the columns (else they are guessed, see `columns`); `parts` also gives the phrases of trees. With
    `labels=False` a file needs none, and each text comes with an empty one. DataError, with file and line, for what is no example.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        text: str | None = None,
        label: str | None = None,
        parts: bool = False,
        labels: bool = True,
    ):
        self.paths = [Path(path) for path in paths]
        for path in self.paths:
            if not path.is_file():
                near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
                raise DataError(f"there is no file {path}{did_you_mean(path.name, near)}")
        self.text, self.label, self.parts, self.labels = text, label, parts, labels
        self.columns: dict[str, tuple[str, str]] = {}  # of each table the columns that were read
        self.skipped: Counter[str] = Counter()
        self.read = 0

    def __iter__(self) -> Iterator[Example]:
        self.skipped, self.read = Counter(), 0
        for path in self.paths:
            before = self.read
            for example in self._of(path):
                if not example.text.strip() and self.labels:
                    self.skipped["blank text"] += 1
                    continue
                self.read += not example.part
                yield example
            if self.read == before:
                raise DataError(f"{path} holds no " + ("example of a text with its label" if self.labels else "text"))

    def _of(self, path: Path) -> Iterator[Example]:
        name = path.name.lower()
        name = name.removesuffix(path.suffix.lower()) if path.suffix.lower() in PACKERS else name
        ending = Path(name).suffix
        if ending in records.TABLES:
            yield from self._table(path, records.rows(path, ending, self.skipped))
            return
        for number, line in enumerate(lines(path, LONGEST_LINE, "give one example a line"), 1):
            if line.strip() or not self.labels:
                place = f"{path}, line {number}"
                yield from (example._replace(place=place) for example in self._line(place, line.strip()))

    def _line(self, place: str, line: str) -> Iterator[Example]:
        if found := FASTTEXT.fullmatch(line):
            if found[2].startswith("__label__"):
                raise DataError(f"{place} has more than one label; a text has one rating or class")
            yield Example(found[2], found[1])
        elif TREE.fullmatch(line):
            try:
                whole, *parts = parse_tree(line)
            except ValueError as error:
                if not self.labels:
                    yield Example(line, "")
                    return
                raise DataError(f"{place} is no tree of labelled phrases: {error}") from error
            yield whole
            if self.parts:
                yield from parts
        elif self.labels:
            raise DataError(f"{place} has no label: expected '__label__NAME text' or a tree, found {line[:40]!r}")
        else:
            yield Example(line, "")

    def _table(self, path: Path, rows: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[Example]:
        text = label = ""
        for number, row in rows:
            if not text:
                text = _column(path, list(row), self.text, TEXTS, "text", self.labels)
                others = [name for name in row if name != text]
                label = _column(path, others, self.label, LABELS, "label") if self.labels else ""
                self.columns[str(path)] = (text, label)
            value, mark = row.get(text), row.get(label)
            if not self.labels and not isinstance(value, str):
                value = ""  # each row has its answer
            if not isinstance(value, str) or (self.labels and mark in (None, "")):
                self.skipped["row without a text or a label"] += 1
                continue
            if isinstance(mark, (dict, list)):
                raise DataError(f"{path}, line {number}: the label is {mark!r}; one word or number was expected")
            yield Example(value, _plain(mark) if self.labels else "", place=f"{path}, line {number}")

    @property
    def report(self) -> str:
        """What the last pass read, from which columns, and what it left out."""
        parts = [f"{self.read:,} texts from {', '.join(map(str, self.paths))}"]
        parts += [
            f"{path}: text from {text!r}" + (f", label from {label!r}" if label else "")
            for path, (text, label) in self.columns.items()
        ]
        return "; ".join(parts + [f"skipped, {reason}: {count:,}" for reason, count in self.skipped.items()])


def _plain(label: Any) -> str:
    """A label as written, save that 4.0, as tables have it, is the class 4."""
    return re.sub(r"(\d)\.0+", r"\1", text) if re.fullmatch(r"-?\d+\.0+", text := str(label).strip()) else text


def _column(path: Path, names: Sequence[str], given: str | None, known: Sequence[str], what: str, labels: bool = True) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    if given is not None:
        if given in names:
            return given
        if not labels:
            return _column(path, names, None, known, what)
        raise DataError(f"{path} has no column {given!r}{did_you_mean(given, names)}; its columns are {shown}")
    folded = {name.strip().lower(): name for name in reversed(names)}
    for guess in known:
        if guess in folded:
            return folded[guess]
    inside = [name for guess in known for low, name in folded.items() if guess in low]
    if inside:
        return inside[0]
    raise DataError(f"{path}: which column holds the {what}? Name one of {shown} with --{what}-column")


def parse_tree(line: str) -> list[Example]:
    """The labelled phrases of a bracketed tree (Socher et al. 2013), the whole first. ValueError when the brackets do not match."""
    stack: list[tuple[str, list[str]]] = []
    found: list[Example] = []
    for token in re.findall(r"\(|\)|[^\s()]+", line):
        if token == "(":
            stack.append(("", []))
        elif not stack:
            raise ValueError(f"{token!r} stands outside the brackets")
        elif token == ")":
            label, words = stack.pop()
            if not label or not words:
                raise ValueError("a phrase without a label or without words")
            found.append(Example(" ".join(words), label, bool(stack)))
            if stack:
                stack[-1][1].extend(words)
        elif not stack[-1][0]:
            stack[-1] = (token, [])
        else:
            stack[-1][1].append(BRACKETS.get(token) or token)
    if stack or not found:
        raise ValueError("a bracket is not closed")
    return found[::-1]
