"""Pictures of what a model does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unspool.errors import extra

__all__ = ["write_alignment"]


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
