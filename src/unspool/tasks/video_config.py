"""The options of `unspool train video`, and how those left open are settled."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.errors import ConfigError
from unspool.tasks.config import NetworkConfig

__all__ = ["VideoConfig", "settle"]


@dataclass(frozen=True)
class VideoConfig(NetworkConfig):
    """How clips are read, what the network is, and how it is trained. "auto", 0 and None are settled by the data."""

    cell: str = "auto"  # gru; lstm for summaries, as published
    hidden: int = 128
    rate: float = 10.0  # frames a second that are looked at; folders of pictures and arrays have as many
    side: int = 0  # pixels of a picture: 64, or as many as the clips have
    single: bool = False  # one picture of the middle of each clip is all that is seen: a baseline
    mirror: bool = False  # a mirrored clip is the same activity
    budget: str = "15m"
    valid_share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.1 <= self.rate <= 240:
            raise ConfigError(f"rate must lie between 0.1 and 240 frames a second, not {self.rate}")
        if self.side and not 16 <= self.side <= 256:
            raise ConfigError(f"side must lie between 16 and 256 pixels, not {self.side}")


def settle(config: VideoConfig, side: int, kind: str = "label") -> VideoConfig:
    """The network and its training, for clips with a label, caption or scores; pictures are no larger than `side`."""
    side = max(16, min(64, side // 16 * 16))
    own = {"embedding": 128, "dropout": 0.3, "input_dropout": 0.1, "learning_rate": 1e-3, "weight_decay": 0.01, "batch": 16}
    own |= {"cell": "lstm" if kind == "scores" else "gru", "side": side, "layers": 2 if kind == "label" else 1}
    return config.settled({**own, "most_epochs": 300.0})
