"""The options of `unspool train dna`, and how those left open are settled."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.errors import ConfigError
from unspool.tasks.config import NetworkConfig

__all__ = ["DnaConfig", "settle"]


@dataclass(frozen=True)
class DnaConfig(NetworkConfig):
    """What the network is and how it is trained. "auto", 0 and None are settled by the data."""

    cell: str = "gru"
    hidden: int = 96  # in each direction
    layers: int = 2
    shortest: int = 90  # bases of a gene
    sequence_column: str | None = None  # of a table of labelled windows
    label_column: str | None = None
    group_column: str | None = None
    budget: str = "40m"
    valid_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortest < 30:
            raise ConfigError(f"shortest must be at least 30 bases, not {self.shortest}")


def settle(config: DnaConfig, *, windows: bool = False) -> DnaConfig:
    """The network and its training, for genomes or for labelled `windows`."""
    if windows:
        own = {"hidden": 64, "layers": 1, "budget": "2m", "valid_share": 0.1, "batch": 32, "dropout": 0.4}
        return config.settled({**own, "embedding": 64, "learning_rate": 2e-3, "weight_decay": 0.01})
    return config.settled({"embedding": 96, "dropout": 0.1, "learning_rate": 2e-3, "weight_decay": 0.01, "batch": 12})
