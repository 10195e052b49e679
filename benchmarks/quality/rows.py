"""What the scripts of quality share: their command line, where their models lie, and how a row trains."""

from __future__ import annotations

import argparse
import inspect
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import unspool

__all__ = ["MODELS", "command", "fresh", "run", "train"]

MODELS = Path("models")
KEPT = "--kept"

Row = Callable[[Path, float], None]


def run(task: str, rows: Mapping[str, tuple[Row, float]]) -> None:
    """The command line of a script: ROW [--minutes M] [--data FOLDER] [--kept]. A row gets its data's folder and its minutes."""
    module = inspect.getmodule(next(iter(rows.values()))[0])
    parser = argparse.ArgumentParser(description=module and module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=list(rows))
    parser.add_argument("--minutes", type=float, help="of training; the default is the row's own")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(KEPT, action="store_true", help="evaluate the model that the row trained before")
    given = parser.parse_args()
    MODELS.mkdir(exist_ok=True)
    row, minutes = rows[given.row]
    row(given.data / task, given.minutes or minutes)


def train(task: str, name: str, files: Sequence[Path], minutes: float, **options: Any) -> tuple[Any, float]:
    """A model in a new folder, and the seconds that it took; with --kept the one that is there."""
    if KEPT in sys.argv:
        model = unspool.load(MODELS / name)
        return model, model.metrics["seconds"]
    began = time.monotonic()
    model = unspool.train(task, list(files), fresh(name), budget=f"{minutes}m", **options)
    return model, time.monotonic() - began


def fresh(name: str) -> Path:
    """A model's folder, empty of an older one."""
    shutil.rmtree(MODELS / name, ignore_errors=True)
    return MODELS / name


def command(task: str) -> str:
    """The command that gives a row anew."""
    return " ".join([f"python -m benchmarks.quality.{task}", *(word for word in sys.argv[1:] if word != KEPT)])
