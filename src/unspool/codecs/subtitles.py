"""Words with times as subtitles: SubRip (.srt) and WebVTT (.vtt, W3C candidate recommendation of 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Timed", "cues", "srt", "vtt"]

LONGEST, WIDEST = 6.0, 42  # seconds and characters of a subtitle
PAUSE = 0.8  # seconds between words that end one


class Timed(NamedTuple):
    """A text, and from when to when in seconds it is said."""

    text: str
    start: float
    end: float


def cues(words: Sequence[Timed]) -> list[Timed]:
    """Words in subtitles: a new one after a pause, and before one would be too long to read."""
    found: list[Timed] = []
    for word in words:
        last = found[-1] if found else None
        fits = (
            last
            and word.start - last.end < PAUSE
            and word.end - last.start <= LONGEST
            and len(last.text) + 1 + len(word.text) <= WIDEST
        )
        if last and fits:
            found[-1] = Timed(f"{last.text} {word.text}", last.start, word.end)
        else:
            found.append(word)
    return found


def srt(words: Sequence[Timed]) -> str:
    """As SubRip."""
    return "\n".join(f"{n}\n{_clock(c.start, ',')} --> {_clock(c.end, ',')}\n{c.text}\n" for n, c in enumerate(cues(words), 1))


def vtt(words: Sequence[Timed]) -> str:
    """As WebVTT."""
    return "WEBVTT\n\n" + "\n".join(f"{_clock(c.start, '.')} --> {_clock(c.end, '.')}\n{_escaped(c.text)}\n" for c in cues(words))


def _clock(seconds: float, point: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{point}{whole % 1000:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
