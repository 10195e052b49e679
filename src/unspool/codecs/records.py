"""Texts out of tables: CSV, TSV, JSON, JSON Lines, and the tweets of a Twitter archive.

Each reader is a generator of texts. What it leaves out, it counts in `skipped`, by reason.
"""

from __future__ import annotations

import csv
import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from unspool.codecs.streams import characters, raw_lines, whole
from unspool.errors import DataError, did_you_mean

__all__ = ["COLUMNS", "TABLES", "cells", "json_lines", "json_values", "rows", "table", "tweets"]

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
COLUMNS = ("text", "tweet", "full_text", "content", "body", "sentence", "review", "message")
LONGEST_FIELD = 10_000_000  # characters of one record; more is a quote or bracket that never closes
LONGEST_VALUE = 1_000_000  # characters of one value within a JSON array
BLANK = "blank text"
ASSIGNMENT = re.compile(r"\s*window\.[\w.]+\s*=\s*")
BETWEEN = re.compile(r"[\s,\[\]]*")  # nested arrays are read as if flat
DECODER = json.JSONDecoder()


def choose(path: Path, column: str | None, known: Sequence[str]) -> str:
    """The name among `known` that holds the text: `column`, else the first of `COLUMNS` there, else the only one.

    Raises `DataError`, listing the names, if there is no such column or none to guess.
    """
    shown = ", ".join(name if len(name) <= 40 else name[:40] + "…" for name in known[:30])
    if column is not None:
        if column in known:
            return column
        raise DataError(f"{path} has no column {column!r}{did_you_mean(column, known)}; its columns are: {shown}")
    folded = {name.strip().lower(): name for name in reversed(known)}
    for guess in COLUMNS:
        if guess in folded:
            return folded[guess]
    if len(known) == 1:
        return known[0]
    raise DataError(f"{path}: which column holds the text? Name one of its columns: {shown}")


def table(path: Path, column: str | None, skipped: Counter[str], tabs: bool = False) -> Iterator[str]:
    """One text a row of a CSV file (comma, or semicolon or tab if only they divide the header) or of a TSV file.

    The first row names the columns. Line breaks within a quoted field stay as they are.
    """
    found = cells(path, tabs)
    _, header = next(found, (0, None))
    if header is None:
        return
    place = header.index(choose(path, column, header))
    for _, row in found:
        if not row:
            skipped["blank line"] += 1
        elif len(row) <= place:
            skipped["row without the column"] += 1
        elif row[place].strip():
            yield row[place]
        else:
            skipped[BLANK] += 1


def rows(path: Path, ending: str, skipped: Counter[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a .csv or .tsv file, or the objects of a .jsonl or .ndjson file, by column; each with its line."""
    if ending in (".jsonl", ".ndjson"):
        for number, value in _json_rows(path, skipped):
            if isinstance(value, dict):
                yield number, {key: whole(part) if isinstance(part, str) else part for key, part in value.items()}
            else:
                skipped["record without names"] += 1
        return
    found = cells(path, ending == ".tsv")
    _, header = next(found, (0, None))
    for number, row in found if header else ():
        if len(row) == len(header or ()):
            yield number, dict(zip(header or (), row, strict=True))
        else:
            skipped["blank line" if not row else "row of another width"] += 1


def cells(path: Path, tabs: bool, longest: int = LONGEST_FIELD) -> Iterator[tuple[int, list[str]]]:
    """Each row and the line that it starts in."""
    # A limit of the whole process, so only ever raised; the default of 131,072 is less than some documents.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    remedy = "a quotation mark may be missing its partner"
    source = enumerate(raw_lines(path, longest, remedy), 1)
    above, first = next(((number - 1, line) for number, line in source if line.strip()), (0, ""))
    divider = "\t" if tabs else next((mark for mark in ",;\t" if mark in first), ",")
    rows = csv.reader(chain([first] if first else [], (line for _, line in source)), delimiter=divider)
    last = 0
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise DataError(f"{path}: the row that starts in line {above + last + 1} cannot be read ({error}); {remedy}") from None
        if row is None:
            return
        yield above + last + 1, row
        last = rows.line_num


def json_lines(path: Path, column: str | None, skipped: Counter[str]) -> Iterator[str]:
    """One text a line: a JSON string, or an object whose key is chosen as a column is, from the first object."""

    return _texts(path, (value for _, value in _json_rows(path, skipped)), column, skipped)


def _json_rows(path: Path, skipped: Counter[str]) -> Iterator[tuple[int, Any]]:
    """The value of each line, and its number."""
    for number, line in enumerate(raw_lines(path, LONGEST_FIELD, "JSON Lines holds one short object a line"), 1):
        if not line.strip():
            skipped["blank line"] += 1
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: broken JSON ({_reason(error)})") from None


def json_values(path: Path, column: str | None, skipped: Counter[str]) -> Iterator[str]:
    """The texts of a JSON array of strings or objects, as `json_lines`."""
    return _texts(path, _stream(path), column, skipped)


def tweets(path: Path, skipped: Counter[str]) -> Iterator[str]:
    """The tweets of a Twitter archive's `tweets.js`, HTML entities undone; retweets are skipped."""
    for item in _stream(path):
        tweet = item.get("tweet", item) if isinstance(item, dict) else None
        text = tweet.get("full_text", tweet.get("text")) if isinstance(tweet, dict) else None
        if not isinstance(text, str):
            skipped["record without a text"] += 1
        elif text.startswith("RT @"):
            skipped["retweet"] += 1
        elif text.strip():
            yield html.unescape(whole(text))
        else:
            skipped[BLANK] += 1


def _texts(path: Path, values: Iterable[Any], column: str | None, skipped: Counter[str]) -> Iterator[str]:
    key: str | None = None
    for value in values:
        if isinstance(value, dict):
            key = choose(path, column, list(value)) if key is None and value else key
            value = value.get(key)
        if not isinstance(value, str):
            skipped["record without a text"] += 1
        elif value.strip():
            yield whole(value)
        else:
            skipped[BLANK] += 1


def _stream(path: Path) -> Iterator[Any]:
    """The values of a JSON array, or of JSON values one after another, an assignment before them left out."""
    buffer, line, depth = "", 1, 0
    for text in chain(characters(path), [None]):
        match = ASSIGNMENT.match(text) if text and not buffer and depth == 0 else None
        buffer += text or ""
        values, at, change = _take(path, buffer, match.end() if match else 0, line, final=text is None)
        yield from values
        line += buffer.count("\n", 0, at)
        depth += change
        buffer = buffer[at:]
    if depth:
        raise DataError(f"{path}, line {line}: broken JSON (its square brackets do not match); the file may be cut short")


def _take(path: Path, buffer: str, at: int, line: int, final: bool) -> tuple[list[Any], int, int]:
    """The whole values in `buffer` from `at`, the place after them, and how many arrays open there beyond those that close."""
    values: list[Any] = []
    depth = 0
    while True:
        match = BETWEEN.match(buffer, at)
        between = match.group() if match else ""
        if at + len(between) == len(buffer):
            return values, len(buffer), depth + between.count("[") - between.count("]")
        try:
            value, end = DECODER.raw_decode(buffer, at + len(between))
        except (ValueError, RecursionError) as error:
            if not final and len(buffer) - at < LONGEST_VALUE:
                return values, at, depth  # it may only be cut by the block's end: try again with more
            place = error.pos if isinstance(error, json.JSONDecodeError) else at
            also = "" if final else f", or one value longer than {LONGEST_VALUE:,} characters"
            reason = f"{error.msg}{also}" if isinstance(error, json.JSONDecodeError) else _reason(error)
            raise DataError(f"{path}, line {line + buffer.count(chr(10), 0, place)}: broken JSON ({reason})") from None
        if end == len(buffer) and not final:
            return values, at, depth  # a number may go on in the next block
        depth += between.count("[") - between.count("]")
        values.append(value)
        at = end


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
