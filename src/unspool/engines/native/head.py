"""The output of a decoder, of which only the likeliest symbols are wanted."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import torch
from torch import Tensor

from unspool.engines.native.binding import loaded, missing
from unspool.errors import EngineError

__all__ = ["Head"]


class Head:
    """Weights (V, E) and bias (V), packed once. Logits are never written: a row's largest are kept while they are computed."""

    def __init__(self, weights: Tensor, bias: Tensor):
        self.shape = weights.shape
        self._handle = loaded().handle
        weights, bias = weights.detach().contiguous(), bias.detach().contiguous()
        self._head = self._handle.unspool_head_new(weights.data_ptr(), bias.data_ptr(), *weights.shape)
        if not self._head:
            raise EngineError(f"the native engine has no memory for an output of {self.shape[0]} symbols")
        weakref.finalize(self, self._handle.unspool_head_free, self._head).atexit = False

    @staticmethod
    def serves(weights: Tensor) -> bool:
        """Whether it can: on the CPU and in float32."""
        return not missing() and weights.device.type == "cpu" and weights.dtype == torch.float32

    def best(self, x: Tensor, count: int, forbidden: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        """x (..., E) to the log-probabilities (..., count) of the likeliest symbols that are not forbidden, and the symbols.

        `count` is at most V. Where fewer are allowed, symbol 0 stands in with -inf.
        """
        if x.shape[-1] != self.shape[1] or x.dtype != torch.float32 or x.device.type != "cpu":
            wanted = f"(..., {self.shape[1]}) on the CPU"
            raise EngineError(f"this output takes float32 of {wanted}, got {x.dtype} of {tuple(x.shape)} on {x.device}")
        if not 1 <= count <= self.shape[0]:
            raise EngineError(f"there are {self.shape[0]} symbols, of which {count} cannot be the likeliest")
        x = x.detach().contiguous()
        values = x.new_empty(*x.shape[:-1], count)
        symbols = torch.empty_like(values, dtype=torch.int64)
        whole = x.new_empty(x.shape[:-1])
        shut = torch.tensor(list(forbidden), dtype=torch.int64)
        if x.numel() and self._handle.unspool_head_best(
            self._head,
            x.data_ptr(),
            whole.numel(),
            shut.data_ptr(),
            len(shut),
            count,
            whole.data_ptr(),
            values.data_ptr(),
            symbols.data_ptr(),
            torch.get_num_threads(),
        ):
            raise EngineError("the native engine has no memory for the likeliest symbols; use fewer beams at once")
        return values - whole[..., None], symbols
