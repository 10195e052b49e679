"""The options that every task has: the network and its training."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from unspool.errors import ConfigError, DataError, did_you_mean
from unspool.layers import Recurrent
from unspool.training import Options, seconds

__all__ = ["NetworkConfig", "by_size", "divided", "held_out"]

Own = TypeVar("Own", bound="NetworkConfig")
Item = TypeVar("Item")


@dataclass(frozen=True)
class NetworkConfig:
    """What the network is and how it is trained. "auto", 0 and None are settled by the data."""

    cell: str = "lstm"
    hidden: int = 512
    layers: int = 1
    embedding: int = 0
    residual: bool = False
    dropout: float | None = None  # on the output and between layers
    input_dropout: float | None = None
    recurrent_dropout: float | None = None  # on the weights U
    budget: str = "30m"
    epochs: float | None = None
    most_epochs: float | None = None  # the budget ends earlier with so many
    batch: int = 0  # symbols or steps at once
    learning_rate: float | None = None
    weight_decay: float | None = None
    valid_share: float = 0.03
    seed: int = 0
    device: str = "auto"
    engine: str = "auto"

    def __post_init__(self) -> None:
        for name in ("hidden", "layers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.valid_share < 0.5:
            raise ConfigError(f"valid_share must be above 0 and below 0.5, not {self.valid_share}")
        if self.epochs is not None and not self.epochs > 0:
            raise ConfigError(f"epochs must be above 0, not {self.epochs}")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed must be 0 or more and below 2^63, not {self.seed}")
        _ = self.options  # or what is wrong with them is said before anything is read

    def _one_of(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise ConfigError(f"{name} is one of {', '.join(choices)}, not {value!r}{did_you_mean(value, choices)}")

    @property
    def options(self) -> Options:
        budget = None if self.epochs else seconds(self.budget)  # who names epochs means all of them
        rate = Options.learning_rate if self.learning_rate is None else self.learning_rate
        return Options(budget, self.epochs or self.most_epochs, rate, self.weight_decay or 0.0, seed=self.seed, device=self.device)

    def stack(self, inputs: int, hidden: int = 0, *, bidirectional: bool = False) -> Recurrent:
        """The recurrent layers of this configuration, weights drawn by torch's generator; `hidden` where it is not its own."""
        return Recurrent(
            self.cell,
            inputs,
            hidden or self.hidden,
            layers=self.layers,
            bidirectional=bidirectional,
            residual=self.residual,
            dropout=self.dropout or 0.0,
            recurrent_dropout=self.recurrent_dropout or 0.0,
            engine=self.engine,
        )

    def settled(self: Own, values: dict[str, Any]) -> Own:
        """With these values where an option was left open, that is, stands as its default."""
        left_open = {field.name: field.default for field in fields(self)}
        return replace(self, **{name: value for name, value in values.items() if getattr(self, name) == left_open[name]})


def held_out(texts: Iterable[str], share: float, seed: int, most: int) -> np.ndarray:
    """True for a seeded share of the texts, at most `most` of them, at least one and never all; equal texts stay together.

    They are chosen by what they say, so that none is both learned from and validated on.
    """
    drawn = np.fromiter((zlib.crc32(f"{seed}:{text}".encode("utf-8", "surrogatepass")) for text in texts), np.uint32)
    values, place, counts = np.unique(drawn, return_inverse=True, return_counts=True)
    if len(values) < 2:
        return np.zeros(len(drawn), bool)
    limit = min(share * len(drawn), most)
    fits = counts <= max(limit / 4, counts.min())  # a text that half the world says would be most of what is held out
    taken = (counts * fits).cumsum() <= max(limit, counts.min())
    return (fits & taken)[place]


def divided(
    items: Sequence[Item], groups: Sequence[str], labels: Sequence[str], share: float, seed: int, what: str
) -> tuple[list[Item], list[Item], str]:
    """Items to learn from, a seeded share of them that validates, and how that was chosen: whole groups where all are known, else
    some of each label, else any. DataError where nothing is left of either."""
    if all(groups):
        chosen, how = held_out(groups, share, seed, len(items)), "held-out groups"
    elif all(labels):
        chosen, how = _of_each(labels, share, seed), f"held-out {what} of each class; their groups are not known"
    else:
        chosen = held_out(map(str, range(len(items))), share, seed, len(items))
        how = f"held-out {what}; their groups are not known"
    train, held = ([item for item, out in zip(items, chosen.tolist(), strict=True) if out == part] for part in (False, True))
    if not held or not train:
        raise DataError(f"no {what} are left to validate on: give --valid, or more {what}")
    return train, held, how


def _of_each(labels: Sequence[str], share: float, seed: int) -> np.ndarray:
    """True for a seeded share of the examples of each label, at least one, but never all."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for name in sorted(set(labels)):
        own = np.flatnonzero([label == name for label in labels])
        chosen[rng.permutation(own)[: max(1, round(share * len(own)))]] = len(own) > 1
    return chosen


def by_size(value: int, table: dict[int, float], beyond: float = 0.0) -> float:
    """The entry of the first bound above the value."""
    return next((entry for bound, entry in table.items() if value < bound), beyond)
