"""Pairs of a text and its translation, read as a stream.

| files                                | a pair is                                                                        |
|--------------------------------------|----------------------------------------------------------------------------------|
| x.de and x.en (the languages' names) | a line of the one and the line of the other with the same number                  |
| .tsv .txt                            | a line of two texts with a tab between, the source first unless `swapped`         |
| .po                                  | a message of a gettext catalogue and its translation                              |

Each but .po may be compressed as .gz, .xz or .bz2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from unspool.codecs.streams import PACKERS, lines
from unspool.errors import DataError, did_you_mean, extra

__all__ = ["Pair", "PairFiles", "plain_lines"]

LONGEST_LINE = 1_000_000  # characters
MOST_WORDS, LONGEST = 200, 6000  # of one side; words, and bytes
RATIO = 4.0  # of the bytes of a pair, where the longer has more than SHORT
SHORT = 60


class Pair(NamedTuple):
    """A text and its translation."""

    source: str
    target: str


class PairFiles:
    """The pairs of `paths`; each iteration reads the files again, and `dropped` counts what the last left out, by reason.

    Files of the two languages are paired by their names without the endings, or else in their order. Pairs that can teach nothing
    are dropped: with an empty side, with more than 200 words, or one side of which is four times as long (in bytes) as the other;
    with `all_pairs` none is, as for a test. DataError for files that do not pair.
    """

    def __init__(self, paths: Sequence[str | Path], source: str, target: str, *, swapped: bool = False, all_pairs: bool = False):
        self.source, self.target, self.swapped, self.all_pairs = source, target, swapped, all_pairs
        self.dropped: Counter[str] = Counter()
        self.read = 0
        named = [Path(path) for path in paths]
        for path in named:
            if path.is_dir():
                raise DataError(f"{path} is a folder; name the two files, such as {path}/train.{source} {path}/train.{target}")
            if not path.is_file():
                near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
                raise DataError(f"there is no file {path}{did_you_mean(path.name, near)}")
        self.sources = [p for p in named if _ending(p) == f".{source}"]
        self.targets = [p for p in named if _ending(p) == f".{target}"]
        self.others = [p for p in named if _ending(p) not in (f".{source}", f".{target}")]
        if len(self.sources) != len(self.targets):
            raise DataError(
                f"there are {len(self.sources)} files that end in .{source} and {len(self.targets)} in .{target}: "
                "give them in pairs, such as train.de train.en"
            )
        if {*map(_stem, self.sources)} == {*map(_stem, self.targets)}:  # else they are paired in the order given
            self.sources, self.targets = sorted(self.sources, key=_stem), sorted(self.targets, key=_stem)
        self.names = [str(p) for p in named]

    def __iter__(self) -> Iterator[Pair]:
        self.dropped, self.read = Counter(), 0
        for pair in self._all():
            reason = "" if self.all_pairs else _fault(pair)
            if reason:
                self.dropped[reason] += 1
                continue
            self.read += 1
            yield pair
        if not self.read:
            raise DataError(f"there are no pairs of texts in {', '.join(self.names)} ({self.report})")

    def _all(self) -> Iterator[Pair]:
        for one, other in zip(self.sources, self.targets, strict=True):
            yield from _parallel(one, other)
        for path in self.others:
            for pair in _catalogue(path, self.dropped) if path.suffix.lower() == ".po" else _tabbed(path):
                yield Pair(pair.target, pair.source) if self.swapped else pair

    @property
    def report(self) -> str:
        """What the last pass read, and what it dropped."""
        return "; ".join([f"{self.read:,} pairs", *(f"dropped, {reason}: {count:,}" for reason, count in self.dropped.items())])


def plain_lines(path: str | Path) -> Iterator[str]:
    """The lines of a file, each a text."""
    return lines(Path(path), LONGEST_LINE, "give one text a line")


def _ending(path: Path) -> str:
    return Path(_unpacked(path)).suffix


def _stem(path: Path) -> str:
    """train for train.de and for train.de.gz, in its folder."""
    return str(path.parent / Path(_unpacked(path)).stem)


def _unpacked(path: Path) -> str:
    return path.name.removesuffix(path.suffix) if path.suffix.lower() in PACKERS else path.name


def _parallel(one: Path, other: Path) -> Iterator[Pair]:
    rows = zip_longest(plain_lines(one), plain_lines(other))
    for count, (source, target) in enumerate(rows):
        if source is None or target is None:
            rest = 1 + sum(1 for _ in rows)  # of the longer file alone
            a, b = (count + (rest if line is not None else 0) for line in (source, target))
            raise DataError(f"{one} has {a:,} lines and {other} has {b:,}; line by line they must be each other's translation")
        yield Pair(source.strip(), target.strip())


def _tabbed(path: Path) -> Iterator[Pair]:
    for number, line in enumerate(plain_lines(path), 1):
        if not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) < 2:
            raise DataError(
                f"{path}, line {number} has no tab: expected 'source<TAB>target', found {line[:60]!r}; of parallel files the "
                "names end in the languages, such as train.de train.en for --source de --target en"
            )
        if number > 1 or not all(c.strip().isdigit() for c in columns):  # some sets number their columns
            yield Pair(columns[0].strip(), columns[1].strip())


def _catalogue(path: Path, dropped: Counter[str]) -> Iterator[Pair]:
    try:
        entries = extra("polib", "translation").pofile(str(path))
    except (OSError, UnicodeDecodeError, ValueError, LookupError) as error:
        raise DataError(f"{path} cannot be read as a gettext catalogue: {error}") from error
    for entry in entries:
        if entry.obsolete or entry.fuzzy:
            dropped["outdated or fuzzy message"] += 1
        else:
            target = entry.msgstr or entry.msgstr_plural.get(0, "")
            yield Pair(" ".join(entry.msgid.split()), " ".join(target.split()))


def _fault(pair: Pair) -> str:
    if not pair.source or not pair.target:
        return "an empty side"
    a, b = (len(text.encode("utf-8", "surrogatepass")) for text in pair)  # in which languages differ less than in words
    if max(a, b) > LONGEST or max(len(text.split()) for text in pair) > MOST_WORDS:
        return f"more than {MOST_WORDS} words"
    return f"one side {RATIO:g} times as long" if max(a, b) > SHORT and max(a, b) > RATIO * min(a, b) else ""
