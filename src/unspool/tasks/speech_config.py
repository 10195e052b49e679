"""The options of `unspool train speech`, and how those left open are settled by the data."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.errors import ConfigError
from unspool.tasks.config import NetworkConfig

__all__ = ["SpeechConfig", "settle"]


@dataclass(frozen=True)
class SpeechConfig(NetworkConfig):
    """How recordings are read, what the network is, and how it is trained. "auto", 0 and None are settled by the data."""

    cell: str = "gru"  # learns faster here than an LSTM: see the log
    hidden: int = 128  # in each direction
    layers: int = 2
    pattern: str | None = None  # what names of files say, as "{text}_{speaker}_{take}"
    rate: int = 0  # values a second; else that of most recordings, at most 16,000
    unit: str = "auto"  # words, characters or subwords
    subwords: int = 500
    features: str = "log-mel"  # or waves: learned filters
    loss: str = "ctc"  # or transducer
    streaming: bool = False  # one direction, looking ahead by 0.27 seconds
    strings: bool | None = None  # recordings of one speaker are strung together; where each is a single word, they are
    split: str = "auto"  # hold out speakers or recordings
    budget: str = "12m"
    valid_share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._one_of("unit", ("auto", "words", "characters", "subwords"))
        self._one_of("features", ("log-mel", "waves"))
        self._one_of("loss", ("ctc", "transducer"))
        self._one_of("split", ("auto", "speakers", "recordings"))
        if self.rate and not 4000 <= self.rate <= 48000:
            raise ConfigError(f"rate must be between 4000 and 48000 values a second, not {self.rate}")
        if self.subwords < 300:
            raise ConfigError(f"subwords must be at least 300, not {self.subwords}")


def settle(config: SpeechConfig, *, single: bool) -> SpeechConfig:
    """The network and its training; `single`: every recording is of one word."""
    own = {"embedding": 128, "dropout": 0.2, "learning_rate": 3e-3, "weight_decay": 0.01, "batch": 15, "strings": single}
    return config.settled(own)
