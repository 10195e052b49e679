"""The project's own CPU engine: `csrc/`, loaded with ctypes; torch sees it as custom operators with autograd.

Single precision, on the CPU. The built-in cells were compiled with it, a user's own is on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import library as operators
from torch.autograd import forward_ad

from unspool.cells import Cell
from unspool.engines import reference
from unspool.engines.native.binding import isa, missing, peak
from unspool.engines.native.calls import backward, forward, packed, saved_size
from unspool.engines.native.head import Head
from unspool.engines.native.loss import cross_entropy
from unspool.engines.native.own import compiler, place_of
from unspool.engines.native.stream import BITS, Stream
from unspool.engines.weights import Ran, State, Weights

__all__ = ["BITS", "Head", "Stream", "compiler", "cross_entropy", "isa", "missing", "packed", "peak", "refusal", "run", "step"]


def refusal(cell: Cell, device: torch.device, dtype: torch.dtype, trace: Sequence[str] = ()) -> str | None:
    """Why this engine cannot serve, or None when it can."""
    if missing():
        return missing()
    if device.type != "cpu":
        return "it runs on the CPU alone"
    if not torch.compiler.is_compiling() and (torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0):
        return "torch.func and forward-mode derivatives go through operations of torch alone"
    if dtype != torch.float32:
        return f"it computes in float32, not {str(dtype).removeprefix('torch.')}"
    place = place_of(cell)
    return place if isinstance(place, str) else None


def run(
    cell: Cell,
    weights: Weights,
    x: Tensor,
    lengths: Tensor | None,
    state: State,
    *,
    reverse: bool = False,
    trace: Sequence[str] = (),
    recompute: bool = False,
    bf16: bool = False,
) -> Ran:
    """Runs a cell over x (B, T, D); the same contract as `reference.run`, but no gradient flows through a trace. `recompute` saves
    the states and a quarter of the gates for the backward pass, which computes the others again: less memory for more time.
    `bf16` rounds what is multiplied to bf16; sums and states stay in f32."""
    if len(x) == 0:  # nothing to do, and the library takes no empty batch
        return reference.run(cell, weights, x, lengths, state, reverse=reverse, trace=trace)
    index = place_of(cell)
    assert isinstance(index, int)  # or it was refused
    states = torch.stack(state)
    if trace:
        y, last, traced = forward(index, [*weights], x, lengths, states, reverse, bf16=bf16, trace=_places(cell, trace))[:3]
        if _differentiated(weights, x, states):
            y, last = _run(index, weights, x, lengths, states, reverse, recompute, bf16)
        return Ran(y, tuple(last.unbind()), dict(zip(trace, traced.unbind(), strict=True)))
    y, last = _run(index, weights, x, lengths, states, reverse, recompute, bf16)
    return Ran(y, tuple(last.unbind()), {})


def step(cell: Cell, weights: Weights, x: Tensor, state: State) -> State:
    """One step: x (B, D) and the old state to the new state."""
    return run(cell, weights, x[:, None], None, state).state


def _run(
    cell: int, weights: Weights, x: Tensor, lengths: Tensor | None, state: Tensor, reverse: bool, recompute: bool, bf16: bool
) -> tuple[Tensor, Tensor]:
    if _differentiated(weights, x, state):
        return _recurrence(cell, *weights, x, lengths, state, reverse, 2 if recompute else 1, bf16)[:2]
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():  # somebody watches what is called
        return _recurrence(cell, *weights, x, lengths, state, reverse, 0, bf16)[:2]
    return forward(cell, [*weights], x, lengths, state, reverse, bf16=bf16, kept=None if bf16 else packed(weights))[:2]


def _differentiated(weights: Weights, x: Tensor, state: Tensor) -> bool:
    return torch.is_grad_enabled() and any(t.requires_grad for t in (x, state, *weights))


def _places(cell: Cell, names: Sequence[str]) -> list[tuple[str, int]]:
    return [("states", cell.state.index(n)) if n in cell.state else ("gates", cell.gates.index(n)) for n in names]


@operators.custom_op("unspool::recurrence", mutates_args=())
def _recurrence(
    cell: int,
    W: Tensor,
    U: Tensor,
    b: Tensor,
    b_h: Tensor,
    p: Tensor,
    x: Tensor,
    lengths: Tensor | None,
    state: Tensor,
    reverse: bool,
    save: int,
    bf16: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    y, last, _, saved = forward(cell, [W, U, b, b_h, p], x, lengths, state, reverse, save=save, bf16=bf16)
    return y, last, saved


@_recurrence.register_fake
def _(cell, W, U, b, b_h, p, x, lengths, state, reverse, save, bf16):
    size = saved_size(cell, save, bf16, *(int(n) for n in (*x.shape, W.shape[1]))) if save else 0
    return x.new_empty(x.shape[0], x.shape[1], W.shape[1]), state.new_empty(state.shape), x.new_empty(size)


# It overwrites `saved`, but fills it again for a second pass, so to its caller it looks as if it did not.
@operators.custom_op("unspool::recurrence_backward", mutates_args=())
def _recurrence_backward(
    dy: Tensor | None,
    d_last: Tensor | None,
    saved: Tensor,
    cell: int,
    W: Tensor,
    U: Tensor,
    b: Tensor,
    b_h: Tensor,
    p: Tensor,
    x: Tensor,
    lengths: Tensor | None,
    state: Tensor,
    reverse: bool,
    input_too: bool,
    save: int,
    bf16: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    found = backward(saved, dy, d_last, cell, [W, U, b, b_h, p], x, lengths, state, reverse, input_too, save, bf16)
    return found[0], found[1], found[2], found[3], found[4], found[5], found[6]


@_recurrence_backward.register_fake
def _(dy, d_last, saved, cell, W, U, b, b_h, p, x, lengths, state, reverse, input_too, save, bf16):
    return x.new_empty(x.shape if input_too else 0), *(t.new_empty(t.shape) for t in (W, U, b, b_h, p, state))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.cell, *tensors, ctx.reverse, ctx.save, ctx.bf16 = inputs
    ctx.save_for_backward(output[2], *tensors)
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, dy: Tensor | None, d_last: Tensor | None, _: Tensor | None) -> tuple[Any, ...]:
    saved, W, U, b, b_h, p, x, lengths, state = ctx.saved_tensors
    dx, dW, dU, db, db_h, dp, d_state = _recurrence_backward(
        dy, d_last, saved, ctx.cell, W, U, b, b_h, p, x, lengths, state, ctx.reverse, ctx.needs_input_grad[6], ctx.save, ctx.bf16
    )
    return None, dW, dU, db, db_h, dp, dx if ctx.needs_input_grad[6] else None, None, d_state, None, None, None


_recurrence.register_autograd(_gradients, setup_context=_setup)
