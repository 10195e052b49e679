"""`Recurrent` under the names of its cells."""

from __future__ import annotations

from typing import Any

from unspool import cells
from unspool.cells import Cell
from unspool.layers.recurrent import Recurrent

__all__ = ["GRU", "LSTM", "RNN", "MinGRU", "MinLSTM"]


class _Named(Recurrent):
    kind: type[Cell]

    def __init__(self, input_size: int, hidden_size: int, *, layers: int = 1, **options: Any):
        own = {k: options.pop(k) for k in list(options) if k not in _LAYER_OPTIONS}
        super().__init__(cells.cell(self.kind.__name__, **own), input_size, hidden_size, layers=layers, **options)


_LAYER_OPTIONS = {"bidirectional", "residual", "dropout", "variational", "recurrent_dropout", "recompute", "products", "engine"}


class RNN(_Named):
    """`Recurrent` with an RNN cell; takes `activation="tanh" | "relu"` and the options of `Recurrent`."""

    kind = cells.RNN


class GRU(_Named):
    """`Recurrent` with a GRU cell; takes `reset="after" | "before" | "none"` and the options of `Recurrent`."""

    kind = cells.GRU


class LSTM(_Named):
    """`Recurrent` with an LSTM cell; takes `feedback="hidden" | "cell"`, `peepholes` and the options of `Recurrent`."""

    kind = cells.LSTM


class MinGRU(_Named):
    """`Recurrent` with a minimal GRU cell, whose gates read the input alone; takes the options of `Recurrent`."""

    kind = cells.MinGRU


class MinLSTM(_Named):
    """`Recurrent` with a minimal LSTM cell, whose gates read the input alone; takes the options of `Recurrent`."""

    kind = cells.MinLSTM
