"""Step by step, with nothing of torch in the loop."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import torch
from torch import Tensor

from unspool.cells import Cell
from unspool.engines.native.binding import Problem, loaded
from unspool.engines.native.own import place_of
from unspool.engines.weights import State, Weights
from unspool.errors import EngineError

__all__ = ["BITS", "Stream"]

BITS = {"f32": 32, "bf16": 16, "int8": 8}


class Stream:
    """A stack of layers of one cell that goes step by step: weights packed once, states inside. See `Recurrent.stream`."""

    def __init__(self, cell: Cell, layers: Sequence[Weights], batch: int, residual: bool, weights: str = "f32"):
        self._handle, self._states, self.batch, self._most = loaded().handle, len(cell.state), batch, batch
        problems = (Problem * len(layers))()
        alive = []
        for place, own in enumerate(layers):
            tensors = [t.detach().contiguous() for t in own]
            alive.append(tensors)
            problems[place].cell, problems[place].B, problems[place].T = place_of(cell), batch, 1
            problems[place].threads = torch.get_num_threads()
            _, problems[place].H, problems[place].D = tensors[0].shape
            q = problems[place]
            q.W, q.U, q.b, q.b_h, q.p = (t.data_ptr() for t in tensors)
        self._sizes = problems[0].D, problems[len(layers) - 1].H
        self._layers = len(layers)
        self._stream = self._handle.unspool_stream_new(problems, len(layers), residual, BITS[weights])
        if not self._stream:
            raise EngineError(f"the native engine has no memory for a stream of {batch} rows")
        weakref.finalize(self, self._handle.unspool_stream_free, self._stream).atexit = False

    def step(self, x: Tensor) -> Tensor:
        """x (B, D) in float32 to y (B, H)."""
        x = self._checked(x, (self.batch, self._sizes[0]))
        y = x.new_empty(self.batch, self._sizes[1])
        self._handle.unspool_stream_step(self._stream, x.data_ptr(), y.data_ptr())
        return y

    def run(self, x: Tensor) -> Tensor:
        """All steps of x (B, T, D) in float32 to y (B, T, H)."""
        x = self._checked(x, (self.batch, x.shape[1], self._sizes[0]))
        y = x.new_empty(*x.shape[:2], self._sizes[1])
        self._handle.unspool_stream_run(self._stream, x.data_ptr(), y.data_ptr(), x.shape[1])
        return y

    @staticmethod
    def _checked(x: Tensor, wanted: tuple[int, ...]) -> Tensor:
        if x.shape != wanted or x.dtype != torch.float32 or x.device.type != "cpu":
            raise EngineError(f"this stream takes float32 of {wanted} on the CPU, got {x.dtype} of {tuple(x.shape)} on {x.device}")
        return x.detach().contiguous()

    @property
    def state(self) -> State:
        """A copy of the states, (L, B, H) each."""
        states = torch.empty(self._states, self._layers, self.batch, self._sizes[1], dtype=torch.float32, device="cpu")
        for k in range(self._states):
            for layer in range(self._layers):
                self._handle.unspool_stream_get(self._stream, layer, k, states[k, layer].data_ptr())
        return tuple(states.unbind())

    @state.setter
    def state(self, state: State) -> None:
        for k, whole in enumerate(state):
            for layer, part in enumerate(whole.to("cpu", torch.float32).contiguous().unbind()):
                self._handle.unspool_stream_set(self._stream, layer, k, part.data_ptr())

    def keep(self, rows: Tensor) -> None:
        """Goes on with these rows (n,) alone, in this order; one may come several times, but there are no more than at first."""
        rows = rows.to("cpu").contiguous()
        if rows.dtype != torch.int64 or len(rows) > self._most or not all(0 <= row < self.batch for row in rows.tolist()):
            raise EngineError(
                f"a stream of {self.batch} keeps up to {self._most} rows given as int64 below {self.batch}, got {rows}"
            )
        self._handle.unspool_stream_keep(self._stream, rows.data_ptr(), len(rows))
        self.batch = len(rows)
