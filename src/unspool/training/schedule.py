"""How long to train, and how fast to learn when."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from unspool.errors import ConfigError

__all__ = ["Options", "learning_rate", "seconds"]


@dataclass(frozen=True)
class Options:
    """How a model is trained; the same for every task.

    `budget` in seconds or `epochs`, whichever ends first, sets the schedule: a warm-up of `warmup` steps (at most a
    twentieth of the whole), then a cosine down to 0.
    `patience`: validations without improvement before training stops, of 20 in all.
    """

    budget: float | None = None
    epochs: float | None = None
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: int = 100
    clip: float = 1.0
    patience: int = 8
    validations: int = 20
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.budget is None and self.epochs is None:
            raise ConfigError("training needs a budget (such as 10m) or a number of epochs")
        for name in ("budget", "epochs", "learning_rate", "clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} must be above 0, not {value}")


def seconds(text: str | float) -> float:
    """`"90s"`, `"10m"`, `"1.5h"`, `"1h30m"` or a number of seconds, as seconds; ConfigError otherwise."""
    if isinstance(text, (int, float)):
        return float(text)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip().lower())
    if not text or not parts or not any(parts.groups()):
        raise ConfigError(f"a budget is a time such as 90s, 10m or 1h30m, not {text!r}")
    return sum(float(value or 0) * unit for value, unit in zip(parts.groups(), (3600, 60, 1), strict=True))


def learning_rate(options: Options, step: int, done: float) -> float:
    """The rate at a step, when a share `done` (0 to 1) of the training has passed."""
    warm = min(1.0, max((step + 1) / options.warmup, done / 0.05))  # a short training cannot spend itself on warming up
    return options.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
