"""The options of `unspool train translation`, and how those left open are settled by the data."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.errors import ConfigError
from unspool.tasks.config import NetworkConfig, by_size

__all__ = ["TranslationConfig", "settle"]


@dataclass(frozen=True)
class TranslationConfig(NetworkConfig):
    """How pairs are read, what the network is, and how it is trained. "auto", 0 and None are settled by the data."""

    source: str = "source"  # the languages, which are the endings of parallel files
    target: str = "target"
    swapped: bool = False  # files with a tab between: the target stands first
    unit: str = "subwords"  # or words
    subwords: int = 0
    shared: bool | None = None  # one vocabulary and one embedding for both languages
    deviation: float | None = None  # of the embeddings' numbers at the start
    label_smoothing: float = 0.1
    budget: str = "20m"
    stopping: str = "loss"  # what the best model is chosen by: loss or bleu
    valid_share: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        self._one_of("unit", ("subwords", "words"))
        self._one_of("stopping", ("loss", "bleu"))
        if self.source == self.target:
            raise ConfigError(f"source and target are both {self.source!r}; name two languages")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing must be at least 0 and below 1, not {self.label_smoothing}")
        if self.hidden % 2:
            raise ConfigError(f"hidden must be even, since the encoder reads in two directions, not {self.hidden}")


def settle(config: TranslationConfig, *, pairs: int) -> TranslationConfig:
    """The network and its training, settled by the number of pairs to train on: the fewer, the more dropout."""
    dropout = by_size(pairs, {60_000: 0.4, 300_000: 0.2}, 0.1)
    return config.settled(
        {
            "subwords": 6000 if pairs < 300_000 else 12_000,
            "shared": config.unit == "subwords",
            "embedding": 256,
            "deviation": by_size(pairs, {10_000: 1.0}, 0.1),  # faint inputs learn late, for which few pairs leave no time
            "dropout": dropout,
            "input_dropout": dropout / 2,
            "recurrent_dropout": dropout / 2,
            "learning_rate": 2e-3,
            "weight_decay": 0.01,
            "batch": 1250,
        }
    )
