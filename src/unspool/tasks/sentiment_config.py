"""The options of `unspool train sentiment`, and how those left open are settled by the data."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.codecs.text import UNITS
from unspool.errors import ConfigError
from unspool.models.many_to_one import POOLS
from unspool.tasks.config import NetworkConfig, by_size

__all__ = ["SentimentConfig", "settle"]


@dataclass(frozen=True)
class SentimentConfig(NetworkConfig):
    """How labelled texts are read, what the network is, and how it is trained. "auto", 0 and None are settled by the data."""

    hidden: int = 128  # in each direction
    text_column: str | None = None
    label_column: str | None = None
    unit: str = "words"  # or subwords, characters
    subwords: int = 4000
    ordered: bool | None = None  # whether the classes are; three or more numbers are taken for such
    head: str = "auto"  # classes, or ordinal, which knows that they are ordered
    pooling: str = "attention"
    class_weights: bool = False  # rare classes count as much as frequent ones
    encoder: str | None = None  # a text model to start from
    budget: str = "8m"
    valid_share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._one_of("unit", UNITS)
        self._one_of("head", ("auto", "classes", "ordinal"))
        self._one_of("pooling", POOLS)
        if self.subwords < 300:
            raise ConfigError(f"subwords must be at least 300, not {self.subwords}")


def settle(config: SentimentConfig, *, texts: int, phrases: int, ordered: bool, classes: int = 5) -> SentimentConfig:
    """The network and its training, settled by the number of texts to train on, and of phrases of theirs."""
    few = by_size(texts, {20_000: 1.0, 200_000: 0.6}, 0.4)
    return config.settled(
        {
            "head": "ordinal" if ordered and classes > 2 and texts < 5000 else "classes",  # one score for few; more can tell more
            "embedding": 192,
            "dropout": 0.5 * few,
            "input_dropout": 0.5 * few,
            "recurrent_dropout": 0.3 * few,
            "learning_rate": 1.5e-3,
            "most_epochs": 5.0 if phrases > texts else 25.0,  # with its phrases a text is read many times an epoch
            "weight_decay": 0.01,
            "batch": 2048,
        }
    )
