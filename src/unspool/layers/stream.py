"""A stack that goes step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unspool import engines
from unspool.engines import State, native
from unspool.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from unspool.layers.recurrent import Recurrent

__all__ = ["Stream"]


class Stream:
    """A stack that goes step by step in constant memory, its states inside; made by `Recurrent.stream`.

    On the CPU and in evaluation the native engine holds the weights packed; else the layers' own `step` is called. Nothing is
    differentiated.
    """

    def __init__(self, layers: Recurrent, batch: int, weights: str = "f32"):
        self._layers = layers
        first: Any = layers.stack[0]
        engine = engines.choose(layers.cell, first.W.device, first.W.dtype, first.engine).name
        fits = engine == "native" and not layers.training
        if weights != "f32" and not fits:
            why = "in evaluation, on the CPU" if engine == "native" else f"and this is {engine}"
            raise EngineError(f"{weights} weights are for the native engine, {why}; take f32")
        own = [layer.weights() for layer in layers.stack] if fits else []  # type: ignore[operator]
        self._native = native.Stream(layers.cell, own, batch, layers.residual, weights) if fits else None
        self._state = () if fits else layers.zero_state(batch, first.W)

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor:
        """x (B, D) to y (B, H)."""
        if self._native:
            return self._native.step(x)
        y, self._state = self._layers.step(x, self._state)
        return y

    @torch.no_grad()
    def run(self, x: Tensor) -> Tensor:
        """All steps of x (B, T, D) to y (B, T, H)."""
        if self._native:
            return self._native.run(x)
        return torch.stack([self.step(x[:, t]) for t in range(x.shape[1])], 1)

    @property
    def state(self) -> State:
        """What travels through time, (L, B, H) for each of the cell's states; can be set."""
        return self._native.state if self._native else self._state

    @state.setter
    def state(self, state: State) -> None:
        state = self._layers._checked(state, state[0].shape[1] if state and state[0].ndim == 3 else 0)
        if state[0].shape[1] != self.state[0].shape[1]:
            raise ConfigError(f"this stream holds {self.state[0].shape[1]} sequences, and the given state {state[0].shape[1]}")
        if self._native:
            self._native.state = state
        else:
            self._state = tuple(s.clone() for s in state)

    def reset(self) -> None:
        """Back to the state before the first step."""
        self.state = tuple(torch.zeros_like(s) for s in self.state)

    def keep(self, rows: Tensor) -> None:
        """Goes on with these sequences (n,) alone, in this order, some several times; no more than there were at first."""
        if self._native:
            self._native.keep(rows)
        else:
            self._state = tuple(s[:, rows] for s in self._state)
