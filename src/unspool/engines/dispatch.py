"""Which engine serves which cell: the only place that chooses."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from unspool.cells import CELLS, Cell
from unspool.engines import native, reference
from unspool.engines import torch as torch_engine
from unspool.engines.weights import Ran, State, Weights
from unspool.errors import ConfigError, EngineError, did_you_mean

__all__ = ["ENGINES", "Choice", "Engine", "choose", "explain"]


class Engine(Protocol):
    """A way to run a cell over time. All engines agree with `reference` in value and gradient."""

    def refusal(self, cell: Cell, device: torch.device, dtype: torch.dtype, trace: Sequence[str] = ()) -> str | None: ...

    def run(
        self,
        cell: Cell,
        weights: Weights,
        x: Tensor,
        lengths: Tensor | None,
        state: State,
        *,
        reverse: bool = False,
        trace: Sequence[str] = (),
    ) -> Ran: ...

    def step(self, cell: Cell, weights: Weights, x: Tensor, state: State) -> State: ...


ENGINES: dict[str, Engine] = {"native": native, "torch": torch_engine, "reference": reference}  # in the order of preference


class Choice(NamedTuple):
    """The engine that serves, and why those before it do not."""

    name: str
    engine: Engine
    refused: dict[str, str]


def choose(cell: Cell, device: torch.device, dtype: torch.dtype, name: str = "auto", trace: Sequence[str] = ()) -> Choice:
    """The engine for a cell: one asked for by name, or EngineError with the reason; for `auto`, the first that can.

    Raises ConfigError for a name that does not exist.
    """
    if name != "auto" and name not in ENGINES:
        raise ConfigError(f"there is no engine {name!r}{did_you_mean(name, ENGINES)}; the engines are auto, {', '.join(ENGINES)}")
    refused: dict[str, str] = {}
    for candidate in ENGINES if name == "auto" else (name,):
        reason = ENGINES[candidate].refusal(cell, device, dtype, trace)
        if reason is None:
            if candidate == "reference" and name == "auto" and type(cell) not in CELLS and device.type == "cpu":
                _warn(f"{cell!r} runs on the reference engine, which is slow: {refused['native']}")
            return Choice(candidate, ENGINES[candidate], refused)
        refused[candidate] = reason
    raise EngineError(f"engine {name!r} cannot run {cell!r}: {refused[name]}; use engine='auto' or 'reference'")


@functools.cache  # once a cell
def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=2)


def explain(cell: Cell, device: torch.device, dtype: torch.dtype) -> str:
    """One line: which engine `auto` takes for this cell, and why not a faster one."""
    choice = choose(cell, device, dtype)
    return choice.name + "".join(f" ({name}: {why})" for name, why in choice.refused.items())
