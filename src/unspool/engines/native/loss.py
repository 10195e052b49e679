"""The loss of a vocabulary, and its gradient in the same pass."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.engines.native.binding import loaded, missing
from unspool.errors import EngineError

__all__ = ["cross_entropy"]


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The summed cross entropy of logits (N, V) and targets (N,) in nats, `smoothing` of each target spread over all symbols.

    The same as torch's with `reduction="sum"`. Where it is differentiated in float32 on the CPU, the logits are overwritten: they
    must not be used elsewhere, and there is one backward pass. EngineError for targets that are no symbols.
    """
    fits = logits.device.type == "cpu" and logits.dtype == torch.float32 and logits.is_contiguous() and not logits.is_leaf
    if missing() or not fits or not torch.is_grad_enabled() or not logits.requires_grad:
        return F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    if targets.dtype != torch.int64 or targets.shape != logits.shape[:1]:
        raise EngineError(f"targets are int64 of {tuple(logits.shape[:1])}, not {targets.dtype} of {tuple(targets.shape)}")
    if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < logits.shape[1]:  # the library does not look
        raise EngineError(f"targets lie between 0 and {logits.shape[1] - 1}, not {int(targets.min())} and {int(targets.max())}")
    return _CrossEntropy.apply(logits, targets, smoothing)  # type: ignore[no-any-return]


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        ctx.gradient, targets = logits.detach(), targets.contiguous()
        call = loaded().handle.unspool_cross_entropy
        loss = call(ctx.gradient.data_ptr(), targets.data_ptr(), *logits.shape, smoothing, torch.get_num_threads())
        return logits.new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return ctx.gradient.mul_(grads[0]), None, None
