"""The options of `unspool train music`, and how those left open are settled by the data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unspool.errors import ConfigError
from unspool.tasks.config import NetworkConfig, by_size

__all__ = ["MusicConfig", "settle"]


@dataclass(frozen=True)
class MusicConfig(NetworkConfig):
    """How music is read, what the network is, and how it is trained. "auto", 0 and None are settled by the data (see `settle`)."""

    representation: str = "auto"  # events (REMI), notebook (a note or chord a step, no rhythm) or roll (88 keys a step)
    keys: str = "joint"  # of a roll: joint (each given those above it) or separate (one sigmoid each)
    steps: int = 4  # of a roll, to a quarter note, when it is made from MIDI
    transpose: int | None = None  # semitones up and down, at most, by which a piece may be moved while training
    window: int = 0  # steps of backpropagation through time
    cache: int | None = None  # steps of the same piece looked up when it is read or written (models/cache.py); 0 for none
    budget: str = "15m"
    valid_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        self._one_of("representation", ("auto", "events", "notebook", "roll"))
        self._one_of("keys", ("joint", "separate"))
        if self.cache and self.cache < 0:
            raise ConfigError(f"cache is a number of steps to look up, 0 for none, not {self.cache}")
        if not 1 <= self.steps <= 24:
            raise ConfigError(f"steps must be from 1 to 24 to a quarter note, not {self.steps}")
        if self.transpose is not None and not 0 <= self.transpose <= 12:
            raise ConfigError(f"transpose must be from 0 to 12 semitones, not {self.transpose}")


def transposition(config: MusicConfig, *, steps: int) -> MusicConfig:
    """Settles by how much pieces are moved: many keys make up for few pieces, and where there are many only cost time."""
    if config.transpose is not None:
        return config
    return replace(config, transpose=6 if steps < (50_000 if config.representation == "roll" else 500_000) else 0)


def settle(config: MusicConfig, *, steps: int) -> MusicConfig:
    """The network and its training, settled by the number of steps (or events) to train on."""
    roll = config.representation == "roll"
    few = by_size(steps, {50_000: 1, 300_000: 0.6}, 0.4)
    settled = {
        "embedding": 0 if roll else 256,
        "cache": 4000,
        "dropout": 0.5 * few,
        "input_dropout": 0.1,
        "recurrent_dropout": 0.3 * few,
        "learning_rate": 4e-3 if roll else 2e-3,
        "weight_decay": 0.01,
        "window": 128 if roll else 256,
        "batch": 1024 if roll else 2048,
    }
    config = config.settled(settled)
    return replace(config, cache=0) if roll and config.keys == "joint" else config  # joint keys have no probability each
