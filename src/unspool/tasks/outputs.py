"""Files that answers are written to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from unspool.errors import DataError

__all__ = ["written"]


@contextmanager
def written(path: Path, newline: str | None = None) -> Iterator[IO[str]]:
    """A text file that replaces another only when it is whole: the input may be the file that is written. DataError for a place
    where it cannot be."""
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("w", encoding="utf-8", newline=newline) as file:
            yield file
        os.replace(beside, path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
