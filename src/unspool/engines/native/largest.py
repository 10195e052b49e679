"""What decoding asks of logits, in one pass over each row."""

from __future__ import annotations

import torch
from torch import Tensor

from unspool.engines.native.binding import loaded, missing

__all__ = ["logsumexp", "topk"]


def logsumexp(x: Tensor) -> Tensor:
    """`x.logsumexp(-1)` of x (..., V); nothing is differentiated."""
    if not _serves(x):
        return x.logsumexp(-1)
    whole = x.new_empty(x.shape[:-1])
    _call(x, 0, whole, whole, whole)
    return whole


def topk(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`x.topk(count)` of x (..., V), the first of equals first; in place of what is -inf the first symbol may stand."""
    if not _serves(x):
        values, places = x.topk(count)
        return values, places
    values = x.new_empty(*x.shape[:-1], count)
    places = torch.empty_like(values, dtype=torch.int64)
    _call(x, count, None, values, places)
    return values, places


def _serves(x: Tensor) -> bool:
    return not missing() and x.device.type == "cpu" and x.dtype == torch.float32 and x.is_contiguous() and x.numel() > 0


def _call(x: Tensor, count: int, whole: Tensor | None, values: Tensor, places: Tensor) -> None:
    rows, n = x.numel() // x.shape[-1], x.shape[-1]
    pointer = None if whole is None else whole.data_ptr()
    threads = torch.get_num_threads()
    loaded().handle.unspool_largest(x.data_ptr(), rows, n, count, pointer, values.data_ptr(), places.data_ptr(), threads)
