"""The options of `unspool train table`, and how those left open are settled by the data."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.errors import ConfigError
from unspool.tasks.config import NetworkConfig, by_size

__all__ = ["TableConfig", "settle"]


@dataclass(frozen=True)
class TableConfig(NetworkConfig):
    """How series are read, what the network is, and how it is trained. "auto", 0 and None are settled by the data."""

    cell: str = "gru"
    hidden: int = 128  # in each direction
    channels: int = 1  # numbers of a step, where a row of a CSV file holds all steps
    points: int = 0  # the numbers of a step are the coordinates of points: 2 for (x, y), 3 for (x, y, z)
    mirror: bool = False  # a mirrored figure of points is of the same class
    budget: str = "5m"
    valid_share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points not in (0, 2, 3):
            raise ConfigError(f"points have 2 or 3 coordinates (0: these are no points), not {self.points}")
        if self.channels < 1:
            raise ConfigError(f"channels must be at least 1, not {self.channels}")


def settle(config: TableConfig, *, series: int) -> TableConfig:
    """The network and its training, settled by the number of series to train on."""
    few = by_size(series, {200: 1.0, 2000: 0.8}, 0.5)
    own = {"embedding": 128, "dropout": 0.5 * few, "input_dropout": 0.2 * few, "learning_rate": 2e-3, "weight_decay": 0.01}
    return config.settled({**own, "batch": 16, "most_epochs": 300.0})
