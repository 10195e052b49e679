"""The options of `unspool train text`, and how those left open are settled by the data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unspool.codecs.text import UNITS
from unspool.errors import ConfigError
from unspool.tasks.config import NetworkConfig, by_size

__all__ = ["TextConfig", "settle", "sized"]


@dataclass(frozen=True)
class TextConfig(NetworkConfig):
    """How text is read, what the network is, and how it is trained. "auto", 0 and None are settled by the data (see `settle`)."""

    corpus: str = "auto"  # documents (each line one, with an end) or running (one long text, the state carried over)
    unit: str = "auto"  # characters, words or subwords
    subwords: int = 0  # how many, where the unit is subwords
    column: str | None = None  # of CSV and JSONL files
    normalise: str = "none"  # or tweets
    one_hot: bool = False  # instead of an embedding
    window: int = 0  # steps of backpropagation through time
    tied: bool | None = None  # one matrix for input and output
    cache: int | None = None  # steps looked up when a running text is read or written (models/cache.py); 0 for none

    def __post_init__(self) -> None:
        super().__post_init__()
        self._one_of("corpus", ("auto", "documents", "running"))
        self._one_of("unit", ("auto", *UNITS))
        self._one_of("normalise", ("none", "tweets"))
        if self.cache and (self.cache < 0 or self.corpus == "documents"):
            raise ConfigError(f"cache is a number of steps of a running text to look up, and 0 for documents, not {self.cache}")


def settle(config: TextConfig, *, documents: bool, characters: int) -> TextConfig:
    """How the text is read, settled before it is encoded: whether it is documents, and its length in characters.

    A short running text is read by characters: its few subwords are soon known by heart, and new names are spelled badly.
    """
    unit = config.unit
    if unit == "auto":
        unit = "subwords" if documents or characters >= 2_000_000 else "characters"
    size = config.subwords or (500 if characters < 2_000_000 else 2000 if characters < 50_000_000 else 8000)
    return replace(config, corpus="documents" if documents else "running", unit=unit, subwords=size if unit == "subwords" else 0)


def sized(config: TextConfig, *, symbols: int) -> TextConfig:
    """The network and its training, settled by the number of symbols to train on: the fewer, the more dropout and decay."""
    characters, documents = config.unit == "characters", config.corpus == "documents"
    dropout = by_size(symbols, {300_000: 0.6, 700_000: 0.5, 2_000_000: 0.3, 10_000_000: 0.1})
    settled = {
        "embedding": 64 if characters else 256,
        "tied": not characters,
        "dropout": dropout,
        "input_dropout": 0.0 if characters else dropout / 2,
        "recurrent_dropout": by_size(symbols, {300_000: 0.4, 700_000: 0.35, **({2_000_000: 0.25} if characters else {})}),
        "learning_rate": 8e-3 if characters else 2e-3,
        "weight_decay": by_size(symbols, {700_000: 0.1}, 0.01),
        "window": 100 if characters else 64,
        "batch": 800 if documents else 3200 if characters else 1024,
        "cache": 0 if documents else 8000,
    }
    if config.one_hot:
        settled |= {"embedding": 0, "tied": False}
    return config.settled(settled)
