"""The errors a user may meet.

    UnspoolError
    ├── ConfigError          an option or configuration key that does not exist or does not fit
    ├── CellError            a cell whose definition cannot be run
    ├── EngineError          an engine asked for by name that cannot do the job
    ├── DataError            input data: what is wrong, in which file, and where in it
    ├── ModelError           a model folder that is missing, damaged or of another kind
    └── TrainingError        training that had to stop; says what is kept and what to try

Every message is one sentence or two: what was given, what was expected, what to do. The command line prints it and exits with 2.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "CellError",
    "ConfigError",
    "DataError",
    "EngineError",
    "ModelError",
    "TrainingError",
    "UnspoolError",
    "did_you_mean",
    "extra",
]


class UnspoolError(Exception):
    """Anything this library refuses, with a sentence that helps."""


class ConfigError(UnspoolError, ValueError):
    """An option or configuration key that does not exist or does not fit."""


class CellError(UnspoolError, TypeError):
    """A cell whose definition cannot be run."""


class EngineError(UnspoolError, RuntimeError):
    """An engine asked for by name that cannot do the job."""


class DataError(UnspoolError, ValueError):
    """Input data that cannot be used: says what, in which file, and where in it."""


class ModelError(UnspoolError, ValueError):
    """A model folder that is missing, damaged or of another kind."""


class TrainingError(UnspoolError, RuntimeError):
    """Training that had to stop: says at which step, what is kept, and what to try."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"`, or an empty string when nothing known is close."""
    close = difflib.get_close_matches(given, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def extra(module: str, name: str) -> Any:
    """A module that only some applications need, imported; ConfigError with the command that installs it, when it is not there."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"this needs {module.split('.')[0]}, which is not installed: pip install 'unspool[{name}]'") from error
