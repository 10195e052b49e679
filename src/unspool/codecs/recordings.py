"""Recordings with what is said in them: a manifest, transcripts beside the audio, or labels in the names of files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from unspool.codecs import records
from unspool.codecs.audio import ENDINGS
from unspool.codecs.streams import lines, there
from unspool.errors import ConfigError, DataError

__all__ = ["Recording", "Recordings"]

COLUMNS = {
    "audio": ("audio", "path", "file", "filename", "file_name", "wav", "audio_filepath"),
    "text": ("text", "transcript", "transcription", "sentence", "words", "label"),
    "speaker": ("speaker", "speaker_id", "client_id", "spk"),
    "times": ("times",),
}
GUESS = "{text}_{speaker}_{take}"


class Recording(NamedTuple):
    """An audio file, what is said in it, who says it ("" where that is not known), where this is written, and when each word starts
    and ends in seconds, where that is known."""

    path: Path
    text: str
    speaker: str
    place: str
    times: tuple[tuple[float, float], ...] = ()


class Recordings:
    """The recordings of folders, manifests and audio files, in their order.

    A manifest is a CSV, TSV or JSON Lines file with columns for the audio file (relative to it), its text and, if known, its
    speaker. Other audio has its text in a .txt file of the same name, or in its name, as `pattern` says: "{text}_{speaker}_{take}"
    (a path such as "{text}/{speaker}_{take}" is of the last folders as well). What lacks a text is counted in `skipped`.
    """

    def __init__(self, paths: Sequence[str | Path], pattern: str | None = None):
        self.paths, self.pattern, self.skipped = [Path(p) for p in paths], pattern, Counter[str]()
        self.how: list[str] = []
        self._regex = _compiled(pattern) if pattern else None
        alone = [path for path in self.paths if path.is_file() and path.suffix.lower() not in records.TABLES]
        self.items = [*self._audio(alone), *(item for path in self.paths if path not in alone for item in self._of(path))]
        if not self.items:
            found = "; ".join(f"{reason}: {count}" for reason, count in self.skipped.items())
            raise DataError(
                f"{', '.join(map(str, self.paths))} holds no recording with a text"
                + (f" ({found})" if found else "")
                + "; give a manifest with columns audio and text, a .txt file beside each recording, or --pattern"
            )

    def _of(self, path: Path) -> Iterator[Recording]:
        there(path)
        if path.is_file():
            yield from self._manifest(path)
            return
        tables = sorted(p for p in path.iterdir() if p.suffix.lower() in records.TABLES)
        if len(tables) > 1:
            raise DataError(f"{path} holds more than one table ({', '.join(p.name for p in tables)}); name the manifest itself")
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
        if not tables and not files:
            raise DataError(f"{path} holds no audio ({', '.join(ENDINGS)}) and no manifest ({', '.join(records.TABLES)})")
        yield from self._manifest(tables[0]) if tables else self._audio(files)

    def _manifest(self, path: Path) -> Iterator[Recording]:
        names: dict[str, str | None] = {}
        for number, row in records.rows(path, path.suffix.lower(), self.skipped):
            if not names:
                names = {kind: next((n for n in row if n.strip().lower() in known), None) for kind, known in COLUMNS.items()}
                missing = [kind for kind in ("audio", "text") if names[kind] is None]
                if missing:
                    raise DataError(
                        f"{path} has no column {' and none '.join(missing)}; its columns are {', '.join(map(repr, row))}, and "
                        f"{missing[0]} may be called {', '.join(COLUMNS[missing[0]])}"
                    )
                self.how.append(f"{path}: " + ", ".join(f"{kind} from {name!r}" for kind, name in names.items() if name))
            audio, text, speaker, times = (str(row.get(name) or "").strip() if name else "" for name in names.values())
            if not audio or not text:
                self.skipped["row without audio or text"] += 1
                continue
            place = f"{path}, line {number}"
            yield Recording(path.parent / audio, text, speaker, place, _times(times, place))

    def _audio(self, files: list[Path]) -> Iterator[Recording]:
        regex = self._regex
        if files and regex is None and not any(file.with_suffix(".txt").exists() for file in files):
            guess = _compiled(GUESS)
            if all(guess.search(file.with_suffix("").as_posix()) for file in files):
                regex = guess
                self.how.append(f"names of files as {GUESS} (other names: --pattern)")
        for file in files:
            found = regex and regex.search(file.with_suffix("").as_posix())
            beside = file.with_suffix(".txt")
            if found:
                parts = found.groupdict()
                yield Recording(file, parts["text"].replace("_", " "), parts.get("speaker") or "", str(file))
            elif (
                regex is None
                and beside.exists()
                and (text := " ".join(lines(beside, 100_000, "a transcript is a short text")).strip())
            ):
                yield Recording(file, text, "", str(beside))
            else:
                self.skipped["name that does not follow the pattern" if regex else "audio without a text"] += 1


def _times(text: str, place: str) -> tuple[tuple[float, float], ...]:
    """Times such as "0.10-0.42 0.55-0.98"."""
    found = [re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", pair) for pair in text.split()]
    if None in found:
        raise DataError(f"{place}: times are pairs in seconds such as 0.10-0.42, one a word, not {text[:40]!r}")
    return tuple((float(pair[1]), float(pair[2])) for pair in found if pair)


def _compiled(pattern: str) -> re.Pattern[str]:
    """What a pattern of names says, as an expression for the end of a path without its ending."""
    fields = re.findall(r"\{(\w*)\}", pattern)
    wrong = [name for name in fields if name not in ("text", "speaker", "take")]
    if "text" not in fields or wrong or len(set(fields)) < len(fields):
        raise ConfigError(f"a pattern has {{text}} and may have {{speaker}} and {{take}}, each once, not {pattern!r}")
    parts = re.split(r"\{\w+\}", pattern)
    kinds = {"text": r"(?P<text>[^/]+?)", "speaker": r"(?P<speaker>[^/_]+?)", "take": r"(?P<take>[^/]+?)"}
    body = "".join(re.escape(part) + (kinds[fields[i]] if i < len(fields) else "") for i, part in enumerate(parts))
    return re.compile(rf"(?:^|/){body}$")
