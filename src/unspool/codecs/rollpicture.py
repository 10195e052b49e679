"""Notes as a picture: a piano roll."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unspool.codecs.midi import Notes
from unspool.errors import extra

__all__ = ["write_picture"]

GIVEN, WRITTEN = "#8a8a8a", "#1f6fb4"


def write_picture(path: str | Path, notes: Notes, title: str, bars: Sequence[float] = (), given: Notes | None = None) -> None:
    """A PNG: time in quarter notes to the right, pitch upwards, lines at the `bars`; a prompt is grey."""
    figures, collections = extra("matplotlib.figure", "music"), extra("matplotlib.collections", "music")
    length = float((notes.start + notes.duration).max(initial=4.0))
    figure = figures.Figure(figsize=(min(40.0, max(8.0, length / 6)), 4.5), layout="constrained")
    axes = figure.add_subplot()
    low, high = (int(notes.pitch.min()), int(notes.pitch.max())) if notes.size else (60, 72)
    for part, color in ((notes, WRITTEN), (given, GIVEN)):
        if part is not None and part.size:
            edges = zip(part.start, part.start + part.duration, part.pitch - 0.45, part.pitch + 0.45, strict=True)
            boxes = [[(a, low), (b, low), (b, high), (a, high)] for a, b, low, high in edges]
            axes.add_collection(collections.PolyCollection(boxes, facecolors=color, edgecolors="white", linewidths=0.3))
    for bar in bars:
        axes.axvline(bar, color="#d8d8d8", linewidth=0.6, zorder=0)
    octaves = [p for p in range(low - 2, high + 3) if p % 12 == 0]
    axes.set_yticks(octaves, [f"C{p // 12 - 1}" for p in octaves])
    axes.set(xlim=(0, length), ylim=(low - 2, high + 2), xlabel="quarter notes", title=title)
    figure.savefig(str(path), dpi=110, format="png")
