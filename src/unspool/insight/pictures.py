"""Pictures of what a model does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unspool.errors import DataError, extra

__all__ = ["save", "write_alignment", "write_region", "write_strip"]


def save(figure: Any, path: str | Path) -> None:
    """A figure of matplotlib as a PNG; DataError where it cannot be written."""
    try:
        figure.savefig(str(path), dpi=110, format="png")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


def write_alignment(path: str | Path, source: Sequence[str], target: Sequence[str], weights: Sequence[Sequence[float]]) -> None:
    """A PNG of attention: a row for each symbol written, a column for each that was read, dark where it was looked."""
    figure = extra("matplotlib.figure", "translation").Figure(
        figsize=(max(3.0, 0.45 * len(source) + 1.5), max(2.5, 0.35 * len(target) + 1)), layout="constrained"
    )
    axes = figure.add_subplot()
    axes.imshow([list(row) for row in weights] or [[0.0]], cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=60, ha="right")
    axes.set_yticks(range(len(target)), target)
    figure.savefig(str(path), dpi=110, format="png")


def write_region(
    path: str | Path,
    title: str,
    genes: Sequence[tuple[int, int, int, float]],
    coding: Sequence[float],
    span: tuple[int, int],
    step: int,
) -> None:
    """A PNG of a stretch of DNA: genes (start, stop, strand, probability) as arrows, those of the forward strand above, darker
    where they are surer; below them how likely each step is to lie in a gene."""
    first, last = span
    figure = extra("matplotlib.figure", "dna").Figure(
        figsize=(max(8.0, min(40.0, (last - first) / 800)), 3.6), layout="constrained"
    )
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for start, stop, strand, probability in genes:
        tip = min(stop - start, (last - first) / 80)
        flat = (start, stop - tip) if strand > 0 else (start + tip, stop)
        point = stop if strand > 0 else start
        low, high = (0.15, 0.85) if strand > 0 else (-0.85, -0.15)
        outline = [(flat[0], low), (flat[1], low), (point, (low + high) / 2), (flat[1], high), (flat[0], high)]
        if strand < 0:
            outline = [(flat[1], low), (flat[0], low), (point, (low + high) / 2), (flat[0], high), (flat[1], high)]
        xs, ys = zip(*outline, strict=True)
        above.fill(xs, ys, color="#1f6fb4" if strand > 0 else "#b4541f", alpha=0.25 + 0.75 * probability)
    above.axhline(0, color="#888888", linewidth=0.8)
    above.set_yticks([0.5, -0.5], ["forward", "backward"])
    above.set(ylim=(-1, 1), xlim=span, title=title)
    places = range(first // step, min(-(-last // step), len(coding)))
    below.fill_between([place * step for place in places], [coding[place] for place in places], color="#777777", linewidth=0)
    below.set(ylim=(0, 1), xlabel="base", ylabel="in a gene")
    figure.savefig(str(path), dpi=110, format="png")


def write_strip(path: str | Path, pictures: Sequence[Any], across: int = 6) -> None:
    """A PNG of key frames (H, W, 3), side by side, the first on the left."""
    rows = -(-len(pictures) // across)
    height, width = pictures[0].shape[:2]
    wide = 2.6
    size = (wide * min(across, len(pictures)), wide * height / width * rows)
    figure = extra("matplotlib.figure", "video").Figure(figsize=size, layout="constrained")
    for number, picture in enumerate(pictures):
        axes = figure.add_subplot(rows, min(across, len(pictures)), number + 1)
        axes.imshow(picture)
        axes.set_axis_off()
    figure.savefig(str(path), dpi=110, format="png")
