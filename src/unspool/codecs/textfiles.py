"""Texts from files of many kinds, read as a stream: memory does not grow with the files.

    for text in TextFiles(["tweets.csv", "novels/", "more.txt.gz"]): ...

| name ends in                              | one document is                                          |
|-------------------------------------------|----------------------------------------------------------|
| .txt .text .md, and any other             | a line that is not blank, or a block of the running text |
| .csv .tsv                                 | a row's column                                           |
| .jsonl .ndjson                            | a line: an object's key, or a string                     |
| .json                                     | an object's key, or a string, of an array                |
| tweets.js tweet.js tweets-part1.js ...    | a tweet of a Twitter archive that is no retweet          |

Each may be compressed as .gz, .xz or .bz2. Documents are handed out as they stand; a document of a table may hold line breaks.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from unspool.codecs import records
from unspool.codecs.streams import PACKERS, characters, lines
from unspool.errors import DataError, did_you_mean

__all__ = ["Report", "TextFiles", "guess_lines"]

LONGEST_WORD = 1 << 17  # characters; a longer one is torn
LONGEST_LINE = 1_000_000  # characters; a longer one is no document but text without line breaks
SAMPLE = 200_000  # characters that `guess_lines` looks at
WIDEST = 120  # characters of a line that someone may have wrapped
TEXT_ENDINGS = (".txt", ".text", ".md")
TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
TWEETS = re.compile(r"tweets?(-part\d+)?\.js")


@dataclass(frozen=True)
class Report:
    """What a pass over the files gave: the files read, documents and characters handed out, and what was skipped, by reason."""

    files: tuple[str, ...]
    documents: int = 0
    characters: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = (_count(len(self.files), "file"), _count(self.documents, "document"), _count(self.characters, "character"))
        left_out = ", ".join(f"{reason} ({count:,})" for reason, count in sorted(self.skipped.items()))
        return ", ".join(parts) + (f"; skipped: {left_out}" if left_out else "")


class TextFiles:
    """The documents of `paths`, in their order; a folder stands for its files of known endings, sorted by name.

    Each iteration reads the files again from the start; after each full one `report` tells what it gave. `column` names the
    column or key of tables that holds the text (else it is guessed: 'text', 'tweet', 'full_text', 'content', 'body', 'sentence',
    'review', 'message', or the only one). `lines=False`: a text file is not cut into lines but handed out unchanged, as running
    text, in blocks of about 65,536 characters that tear no word.

    Raises `DataError`, when made, for paths that do not exist and folders with nothing to read; while read, for files that
    are empty, binary, damaged, not in UTF-8, or without the column. Only a file that a folder stands for may be empty.
    """

    def __init__(self, paths: Sequence[str | Path] | str | Path, *, column: str | None = None, lines: bool = True):
        self.column, self.lines = column, lines
        self._unread: Counter[str] = Counter()
        self._files: list[tuple[Path, bool]] = []  # and whether the caller named it
        for path in _paths(paths):
            inside = _contents(path, self._unread) if path.is_dir() else None
            self._files += [(path, True)] if inside is None else [(file, False) for file in inside]
        if not self._files:
            raise DataError("no file was given to read text from")
        self.report = Report(self.files)

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files, in the order they are read."""
        return tuple(str(path) for path, _ in self._files)

    def __iter__(self) -> Iterator[str]:
        skipped = Counter(self._unread)
        documents = characters = 0
        for path, named in self._files:
            before, empty = Counter(skipped), True
            for text in _documents(path, self.column, self.lines, skipped):
                documents += 1
                characters += len(text)
                empty = empty and (not text or text.isspace())
                yield text
            if empty and named:
                reasons = ", ".join(f"{reason}: {count:,}" for reason, count in (skipped - before).items())
                raise DataError(f"{path} is empty: there is no text in it" + (f" (skipped: {reasons})" if reasons else ""))
            skipped["empty file"] += empty
        if documents == 0:
            raise DataError(f"there is no text in any of the {len(self._files)} files of the folder")
        self.report = Report(self.files, documents, characters, dict(+skipped))


def guess_lines(paths: Sequence[str | Path] | str | Path) -> bool:
    """Whether the first file looks like one document a line (True) or like running text (False).

    Tables and tweets are always one a line. A text file is running text when one of these holds for its first 200,000 characters:
    it has fewer than two lines; more than 3 % of its lines are blank; half its lines are shorter than 40 characters; or it is
    wrapped: half its lines are full, that is, the first word of the next line would not have fitted. The width it is wrapped to is
    that which all but 2 % of the lines keep, and at most 120 characters (tweets fill 140 or 280).
    """
    path = Path(TextFiles(paths).files[0])
    if _kind(path) != "text":
        return True
    sample = ""
    for text in characters(path):
        sample += text
        if len(sample) >= SAMPLE:
            break
    found = [line.strip() for line in io.StringIO(sample, newline=None)]
    full = [line for line in found if line]
    if len(found) < 2 or len(full) < 0.97 * len(found) or median(map(len, full)) < 40:
        return False
    width = sorted(map(len, full))[int(0.98 * (len(full) - 1))]
    if width > WIDEST:
        return True
    wrapped = sum(len(line) + 1 + len(after.split(None, 1)[0]) > width for line, after in pairwise(full))
    return wrapped < len(full) / 2


def _documents(path: Path, column: str | None, by_line: bool, skipped: Counter[str]) -> Iterator[str]:
    match _kind(path):
        case ".csv" | ".tsv" as kind:
            return records.table(path, column, skipped, tabs=kind == ".tsv")
        case ".jsonl" | ".ndjson":
            return records.json_lines(path, column, skipped)
        case ".json":
            return records.json_values(path, column, skipped)
        case "tweets":
            return records.tweets(path, skipped)
        case _:
            return _lines(path, skipped) if by_line else _blocks(characters(path))


def _blocks(pieces: Iterator[str]) -> Iterator[str]:
    """The same text, cut only before white space, so that no word is torn in two."""
    rest = ""
    for piece in pieces:
        text = rest + piece
        cut = max(text.rfind(" "), text.rfind("\n"))
        if cut <= 0 and len(text) < LONGEST_WORD:
            rest = text
            continue
        cut = cut if cut > 0 else len(text)
        yield text[:cut]
        rest = text[cut:]
    if rest:
        yield rest


def _lines(path: Path, skipped: Counter[str]) -> Iterator[str]:
    for line in lines(path, LONGEST_LINE, "if the file is not one document a line, read it as running text (--running)"):
        if line.strip():
            yield line
        else:
            skipped["blank line"] += 1


def _kind(path: Path) -> str:
    """A table's ending, "tweets", or "text" for all else."""
    name = _unpacked(path)
    if TWEETS.fullmatch(name):
        return "tweets"
    ending = Path(name).suffix
    return ending if ending in TABLE_ENDINGS else "text"


def _unpacked(path: Path) -> str:
    """The file's name in lower case, without the ending that tells its compression."""
    name = path.name.lower()
    return name.removesuffix(path.suffix.lower()) if path.suffix.lower() in PACKERS else name


def _contents(folder: Path, unread: Counter[str]) -> list[Path]:
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            unread["folder within a folder"] += 1
        elif _kind(path) != "text" or Path(_unpacked(path)).suffix in TEXT_ENDINGS:
            found.append(path)
        else:
            unread["file of another kind"] += 1
    if not found:
        known = " ".join((*TEXT_ENDINGS, *TABLE_ENDINGS))
        raise DataError(f"the folder {folder} holds no file of a known ending ({known}, or tweets.js); name the files themselves")
    return found


def _paths(paths: Sequence[str | Path] | str | Path) -> list[Path]:
    given = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    for path in given:
        if not path.exists():
            near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
            raise DataError(f"there is no file {path}{did_you_mean(path.name, near)}")
    return given


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
