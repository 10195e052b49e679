"""A translator's glossary: what some words of the source are to become."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unspool.codecs.pairs import plain_lines
from unspool.errors import DataError

__all__ = ["read_glossary", "with_fixed"]


def read_glossary(given: str | Path | Mapping[str, str] | None) -> dict[str, str]:
    """What words become, from a mapping or a file of lines with a tab; DataError for one that cannot be used, with its line."""
    if given is None:
        return {}
    entries: list[tuple[str, str, str]] = []
    if isinstance(given, Mapping):
        entries = [(f"the glossary's entry {a!r}", a, b) for a, b in given.items()]
    else:
        for number, line in enumerate(plain_lines(given), 1):
            if line.strip():
                source, tab, target = line.partition("\t")
                where = f"{given}, line {number}"
                if not tab:
                    raise DataError(f"{where} is no glossary entry: expected 'source<TAB>target', found {line[:60]!r}")
                entries.append((where, source, target))
    found: dict[str, str] = {}
    for where, source, target in entries:
        source, target = source.strip(), target.strip()
        if not source or not target:
            raise DataError(f"{where} cannot be used: one of its sides is empty")
        if found.get(source, target) != target:
            raise DataError(f"{where} cannot be used: {source!r} is to become both {found[source]!r} and {target!r}")
        found[source] = target
    return found


def with_fixed(
    source: str, places: Sequence[tuple[int, int]], written: Sequence[str], looked: np.ndarray, fixed: Mapping[str, str]
) -> str:
    """The text of symbols `written`, in which each place of the source that an entry names has become what the entry says.

    `places` are those of the symbols read, `looked` (T, S) where each symbol written was looked for. The longest entries come
    first, and no part of the source serves twice. A place whose translation is there already is left alone; else the run of
    neighbouring words gives way that looked there most, its brackets and stops aside.
    """
    words: list[str] = []
    weights: list[np.ndarray] = []
    for symbol, row in zip(written, looked, strict=True):
        if not words or symbol.startswith(" "):
            words.append(symbol.strip())
            weights.append(row)
        else:
            words[-1], weights[-1] = words[-1] + symbol, np.maximum(weights[-1], row)
    taken, free = np.zeros(len(source), bool), np.ones(len(words), bool)
    for entry in sorted(fixed, key=len, reverse=True):
        found = [m.span() for m in re.finditer(rf"(?<!\w){re.escape(entry)}(?!\w)", source) if not taken[m.start() : m.end()].any()]
        there = len(re.findall(rf"(?<!\w){re.escape(fixed[entry])}(?!\w)", " ".join(words)))
        for a, b in found:
            taken[a:b] = True
        for a, b in found[there:]:
            inside = np.array([x < b and y > a for x, y in places])
            if inside.any() and free.any():
                _replace(words, weights, free, inside, fixed[entry])
    return " ".join(word for word in words if word)


def _replace(words: list[str], weights: list[np.ndarray], free: np.ndarray, inside: np.ndarray, target: str) -> None:
    mass = np.array([row[inside].sum() for row in weights])
    most = np.array([bool(inside[int(row.argmax())]) for row in weights]) & free
    first = last = int(np.where(free, mass * (1 + most), -1).argmax())
    while first > 0 and most[first - 1]:
        first -= 1
    while last + 1 < len(words) and most[last + 1]:
        last += 1
    before, after = re.match(r"\W*", words[first]), re.search(r"\W*$", words[last])
    words[first] = (before.group() if before else "") + target + (after.group() if after and words[last].strip(".,!?;:()") else "")
    words[first + 1 : last + 1] = [""] * (last - first)
    free[first : last + 1] = False
