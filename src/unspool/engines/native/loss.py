"""The loss of a vocabulary, and its gradient in the same pass."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.engines.native.binding import loaded, missing

__all__ = ["cross_entropy"]


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The summed cross entropy of logits (N, V) and targets (N,) in nats, `smoothing` of each target spread over all symbols.

    The same as torch's with `reduction="sum"`. Where it is differentiated in float32 on the CPU, the logits are overwritten: they
    must not be used elsewhere.
    """
    fits = logits.device.type == "cpu" and logits.dtype == torch.float32 and logits.is_contiguous() and not logits.is_leaf
    if missing() or not fits or not torch.is_grad_enabled() or not logits.requires_grad:
        return F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    return _CrossEntropy.apply(logits, targets, smoothing)  # type: ignore[no-any-return]


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        ctx.gradient, (rows, symbols) = logits.detach(), logits.shape
        pointers = ctx.gradient.data_ptr(), targets.contiguous().data_ptr()
        threads = torch.get_num_threads()
        return logits.new_tensor(loaded().handle.unspool_cross_entropy(*pointers, rows, symbols, smoothing, threads))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return ctx.gradient.mul_(grads[0]), None, None
