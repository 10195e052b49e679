"""Unspool: recurrent sequence models, each recurrence written once, as its equation.

    model = unspool.train("text", "tweets.txt", budget="10m")
    unspool.load("tweets").generate(5)
    layer = unspool.LSTM(64, 128, layers=2)        # inside any torch.nn.Module

Names are imported when they are first used, so that importing the package is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.cells import Cell
    from unspool.errors import UnspoolError
    from unspool.layers import GRU, LSTM, RNN, Recurrent
    from unspool.tasks.verbs import load, train

__version__ = "0.1.0"

__all__ = ["GRU", "LSTM", "RNN", "Cell", "Recurrent", "UnspoolError", "__version__", "load", "train"]

_HOMES = {
    "Cell": "unspool.cells",
    "GRU": "unspool.layers",
    "LSTM": "unspool.layers",
    "RNN": "unspool.layers",
    "Recurrent": "unspool.layers",
    "UnspoolError": "unspool.errors",
    "load": "unspool.tasks.verbs",
    "train": "unspool.tasks.verbs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unspool' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
