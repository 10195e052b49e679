"""The recurrences, one file a family, each written once as its equation. `CELLS` is the only list of them."""

from typing import Any

from unspool.cells.cell import Cell, Gate, Products
from unspool.cells.gru import GRU
from unspool.cells.lstm import LSTM
from unspool.cells.minimal import MinGRU, MinLSTM
from unspool.cells.rnn import RNN
from unspool.errors import ConfigError, did_you_mean

__all__ = ["CELLS", "GRU", "LSTM", "RNN", "Cell", "Gate", "MinGRU", "MinLSTM", "Products", "cell"]

CELLS: tuple[type[Cell], ...] = (RNN, GRU, LSTM, MinGRU, MinLSTM)


def cell(name: str, **options: Any) -> Cell:
    """The built-in cell of that name (`"rnn"`, `"gru"`, `"lstm"`, `"mingru"`, `"minlstm"`), with its constructor's options.

    Raises ConfigError for a name or an option that does not exist.
    """
    known = {kind.__name__.lower(): kind for kind in CELLS}
    if name.lower() not in known:
        raise ConfigError(f"there is no cell {name!r}{did_you_mean(name.lower(), known)}; the cells are {', '.join(known)}")
    try:
        return known[name.lower()](**options)
    except TypeError as error:
        raise ConfigError(f"cell {name!r} does not take these options: {error}") from error
