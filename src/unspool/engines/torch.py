"""torch's own recurrences (oneDNN on CPU, cuDNN on CUDA), for the cells that torch has: RNN, GRU with reset "after", and LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unspool import sequences
from unspool.cells import GRU, LSTM, RNN, Cell
from unspool.engines.weights import Ran, State, Weights

__all__ = ["flat", "refusal", "run", "step", "unflat"]


def refusal(cell: Cell, device: torch.device, dtype: torch.dtype, trace: Sequence[str] = ()) -> str | None:
    """Why this engine cannot serve, or None when it can."""
    if type(cell) not in (RNN, GRU, LSTM) or cell.options.keys() - {"activation"}:
        return f"torch has no {cell!r}"
    if trace:
        return "torch's kernels give out no gates"
    return None


def run(
    cell: Cell,
    weights: Weights,
    x: Tensor,
    lengths: Tensor | None,
    state: State,
    *,
    reverse: bool = False,
    trace: Sequence[str] = (),
) -> Ran:
    """Runs a cell over x (B, T, D); the same contract as `reference.run`."""
    flat_weights = flat(cell, weights)
    if lengths is not None and isinstance(cell, LSTM):
        x, flat_weights = _frozen_padding(x, lengths, flat_weights)
    if x.is_cuda:
        flat_weights = _together(flat_weights)
    if reverse:
        x = _reversed(x, lengths)
    last = tuple(s[None] for s in state)
    if isinstance(cell, LSTM):
        y, *last = torch.lstm(x, last, flat_weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    elif isinstance(cell, GRU):
        y, *last = torch.gru(x, last[0], flat_weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    else:
        kernel = torch.rnn_relu if cell.options else torch.rnn_tanh
        y, *last = kernel(x, last[0], flat_weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    last = [s[0] for s in last]
    if lengths is not None:
        at = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, y.shape[2])
        last[0] = torch.where((lengths > 0)[:, None], y.gather(1, at)[:, 0], state[0])
        y = torch.where(sequences.mask(lengths, y.shape[1])[:, :, None], y, 0.0)
    return Ran(_reversed(y, lengths) if reverse else y, tuple(last), {})


def step(cell: Cell, weights: Weights, x: Tensor, state: State) -> State:
    """One step: x (B, D) and the old state to the new state."""
    if isinstance(cell, LSTM):
        return torch.lstm_cell(x, state, *flat(cell, weights))
    if isinstance(cell, GRU):
        return (torch.gru_cell(x, state[0], *flat(cell, weights)),)
    return ((torch.rnn_relu_cell if cell.options else torch.rnn_tanh_cell)(x, state[0], *flat(cell, weights)),)


def flat(cell: Cell, weights: Weights) -> list[Tensor]:
    """torch's weight_ih (G*H, D), weight_hh (G*H, H), bias_ih, bias_hh. A GRU's update gate changes sign: torch's z is 1 - u."""
    W, U, b, b_h, _ = weights
    second = torch.zeros_like(b)
    if isinstance(cell, GRU):
        sign = torch.tensor([1.0, -1.0, 1.0], dtype=W.dtype, device=W.device)[:, None]
        W, U, b = W * sign[:, None], U * sign[:, None], b * sign
        second = torch.cat([second[:2], b_h])
    return [W.flatten(0, 1), U.flatten(0, 1), b.flatten(), second.flatten()]


def unflat(cell: Cell, tensors: Sequence[Tensor]) -> Weights:
    """The inverse of `flat`. The two biases that torch adds up become one, except where a GRU needs both."""
    gates = len(cell.gates)
    W, U, b, b_h = (t.unflatten(0, (gates, -1)) for t in tensors)
    none = b.new_zeros(0, b.shape[1])
    if not isinstance(cell, GRU):
        return Weights(W, U, b + b_h, none, none)
    sign = torch.tensor([1.0, -1.0, 1.0], dtype=W.dtype, device=W.device)[:, None]
    return Weights(W * sign[:, None], U * sign[:, None], torch.cat([b[:2] + b_h[:2], b[2:]]) * sign, b_h[2:], none)


def _frozen_padding(x: Tensor, lengths: Tensor, tensors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """One more input, 1 on padding, that shuts the update gate and opens the forget gate: the memory then stands still to the end.

    torch returns no memory but the last one, and packed sequences, the other way to have it, are about three times slower on CPU.
    """
    padding = ~sequences.mask(lengths, x.shape[1])[:, :, None]
    W = tensors[0]
    shut = W.new_tensor([-1e4, 1e4, 0.0, 0.0]).repeat_interleave(len(W) // 4)
    x = torch.cat([torch.where(padding, 0.0, x), padding.to(x.dtype)], dim=2)
    return x, [torch.cat([W, shut[:, None]], dim=1), *tensors[1:]]


def _together(tensors: list[Tensor]) -> list[Tensor]:
    """One after the other in memory, as cuDNN reads them; apart, it would warn and copy them at every call."""
    parts = torch.cat([t.flatten() for t in tensors]).split([t.numel() for t in tensors])
    return [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]


def _reversed(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Each sequence turned round within its own length; padding stays behind it."""
    if lengths is None:
        return x.flip(1)
    t = torch.arange(x.shape[1], device=x.device)
    at = torch.where(t < lengths[:, None], lengths[:, None] - 1 - t, t)
    return x.gather(1, at[:, :, None].expand_as(x))


def module(cell: Cell, **arguments: Any) -> torch.nn.RNNBase:
    """An empty torch module for the cell."""
    if isinstance(cell, LSTM):
        return torch.nn.LSTM(**arguments)
    if isinstance(cell, GRU):
        return torch.nn.GRU(**arguments)
    return torch.nn.RNN(nonlinearity="relu" if cell.options else "tanh", **arguments)
