"""One call of the library, forward or backward, from and to tensors."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from ctypes import c_float
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from unspool.engines.native.binding import Buffer, Problem, call, each, loaded, sizes
from unspool.engines.weights import Weights
from unspool.errors import EngineError

__all__ = ["Packed", "backward", "forward", "packed", "saved_size"]

_TAIL = 16  # floats behind what the library saves: how many threads it was laid out for, and whether a backward pass has been


class Packed:
    """Weights in the engine's own layout, and by what the weights they were packed from can be known."""

    def __init__(self, versions: tuple[tuple[int, int], ...], sample: Tensor):
        self.versions, self.sample = versions, sample
        self.buffer: Buffer | None = None


_kept = WeakTensorKeyDictionary()


@functools.cache
def _sample(size: int) -> Tensor | slice:
    """Places that are compared: drawn, for every n-th might be all of one column."""
    if size <= 1024:
        return slice(None)
    return torch.randint(size, (1024,), generator=torch.Generator().manual_seed(size))


def packed(weights: Weights) -> Packed | None:
    """What is kept for these parameters between calls; filled by the first call, thrown away when they have changed.

    A tensor's version does not tell of torch's fused optimizers, which change weights without raising it, so a sample of a thousand
    values is compared too. Only a change of a few values behind autograd's back (`W.data[0, 0, 0] = 1`) goes unseen.
    """
    if not all(isinstance(t, torch.nn.Parameter) for t in weights):
        return None
    versions = tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in weights)
    sample = torch.cat([t.detach().flatten()[_sample(t.numel())] for t in weights])
    kept = _kept.get(weights.W)
    if kept is None or kept.versions != versions or not torch.equal(kept.sample, sample):
        kept = _kept[weights.W] = Packed(versions, sample)
    return kept


def forward(
    cell: int,
    weights: Sequence[Tensor],
    x: Tensor,
    lengths: Tensor | None,
    state: Tensor,
    reverse: bool,
    *,
    save: int = 0,
    bf16: bool = False,
    kept: Packed | None = None,
    trace: Sequence[tuple[str, int]] = (),
    saved: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """y (B, T, H), the last state (S, B, H), the traces (N, B, T, H) and what the backward pass needs: all for `save` of 1, the
    states and a quarter of the gates for 2, nothing for 0.

    `bf16` rounds what is multiplied. `kept` holds the packed weights between calls; `saved` is filled again by a call that is
    repeated.
    """
    q, _alive = _problem(cell, weights, x, lengths, state, reverse, save, bf16)
    if saved is not None:
        q.threads = int(saved[-2])
    need = sizes(q, False)
    y, last = _empty(q.B, q.T, q.H), torch.empty_like(state, memory_format=torch.contiguous_format)
    traced = (x.new_zeros if lengths is not None else x.new_empty)(len(trace), q.B, q.T, q.H)
    for (kind, index), part in zip(trace, traced.unbind(), strict=True):
        getattr(q, kind)[index] = part.data_ptr()
    work = Buffer(need.work)
    if saved is None:
        saved = Buffer(need.saved + _TAIL).tensor()
        saved[-2] = q.threads
    ready = kept.buffer if kept else None  # read once: another thread may fill it meanwhile
    panels = ready or Buffer(need.weights)
    q.packed = ready is not None
    q.work, q.saved, q.weights, q.y = work.address, saved.data_ptr(), panels.address, y.data_ptr()
    each(q.last, last)
    call("unspool_forward", q)
    _consumed(saved).value = 0
    if kept and not ready:
        kept.buffer = panels
    return y, last, traced, saved if save else x.new_empty(0)


def saved_size(cell: int, save: int, bf16: bool, B: int, T: int, D: int, H: int) -> int:
    """How many floats `forward` gives for the backward pass."""
    return sizes(Problem(cell=cell, threads=torch.get_num_threads(), save=save, bf16=bf16, B=B, T=T, D=D, H=H), False).saved + _TAIL


def backward(
    saved: Tensor,
    dy: Tensor | None,
    d_last: Tensor | None,
    cell: int,
    weights: Sequence[Tensor],
    x: Tensor,
    lengths: Tensor | None,
    state: Tensor,
    reverse: bool,
    input_too: bool,
    save: int = 1,
    bf16: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of x (empty if not asked for), the weights and the first state. Uses up `saved`, and refills it if need be."""
    if _consumed(saved).value:
        forward(cell, weights, x, lengths, state, reverse, save=save, bf16=bf16, saved=saved)
    q, _alive = _problem(cell, weights, x, lengths, state, reverse, save, bf16)
    q.threads, q.saved = int(saved[-2]), saved.data_ptr()
    if dy is not None:
        dy = _rows(dy)
        q.dy, q.dy_batch, q.dy_step = dy.data_ptr(), dy.stride(0), dy.stride(1)
    if d_last is not None:
        d_last = d_last.contiguous()
        each(q.d_last, d_last)
    dx = _empty(*x.shape) if input_too else x.new_empty(0)
    q.dx = dx.data_ptr() if input_too else None
    gradients = [_empty(*t.shape) for t in weights]
    q.dW, q.dU, q.db, q.db_h, q.dp = (t.data_ptr() for t in gradients)
    d_state = torch.empty_like(state, memory_format=torch.contiguous_format)
    each(q.d_state, d_state)
    need = sizes(q, True)
    if saved.numel() != need.saved + _TAIL:
        raise EngineError("what was saved in the forward pass does not fit this backward pass")
    work, panels = Buffer(need.work), Buffer(need.weights if save == 2 else 0)
    q.work, q.weights = work.address, panels.address
    call("unspool_backward", q)
    _consumed(saved).value = 1
    return dx, *gradients, d_state


def _consumed(saved: Tensor) -> c_float:
    """Whether a backward pass has been; written past torch's version counter, since autograd holds the tensor."""
    return c_float.from_address(saved.data_ptr() + 4 * (saved.numel() - 1))


def _empty(*shape: int) -> Tensor:
    """Where results go. Large ones lie in the library's pool: memory that is new to the process costs a page fault every 4 KB."""
    large = math.prod(shape) > 16384
    return Buffer(*shape).tensor() if large else torch.empty(shape, dtype=torch.float32, device="cpu")


def _rows(x: Tensor) -> Tensor:
    return x.resolve_neg() if x.stride(2) == 1 or x.shape[2] == 1 else x.contiguous().resolve_neg()


def _problem(
    cell: int, weights: Sequence[Tensor], x: Tensor, lengths: Tensor | None, state: Tensor, reverse: bool, save: int, bf16: bool
) -> tuple[Problem, list[Any]]:
    """The call in the library's words, and what must live as long as it. EngineError for tensors that do not fit together."""
    facts = loaded().handle.unspool_cell_at(cell).contents
    if x.ndim != 3 or weights[0].ndim != 3:
        raise EngineError(f"expected x (B, T, D) and W (G, H, D), got {tuple(x.shape)} and {tuple(weights[0].shape)}")
    (B, T, D), H = x.shape, weights[0].shape[1]
    expected = {
        "W": (facts.gates, H, D),
        "U": (facts.slots - facts.by_h + facts.nested, H, H),
        "b": (facts.gates, H),
        "b_h": (facts.biases, H),
        "p": (facts.parameters, H),
        "state": (facts.states, B, H),
        "x": (B, T, D),
    }
    for (name, shape), tensor in zip(expected.items(), (*weights, state, x), strict=True):
        if tensor.shape != shape or tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            got = f"{tensor.dtype} of {tuple(tensor.shape)} on {tensor.device}"
            raise EngineError(f"the native engine expects {name} in float32 of {shape} on the CPU, got {got}")
    q = Problem(cell=cell, threads=torch.get_num_threads(), save=save, reverse=reverse, bf16=bf16, B=B, T=T, D=D, H=H)
    sizes(q, False)  # before anything of such a size is copied
    weights, x, state = [t.contiguous() for t in weights], _rows(x), state.contiguous()
    q.x, q.x_batch, q.x_step = x.data_ptr(), x.stride(0), x.stride(1)
    q.W, q.U, q.b, q.b_h, q.p = (t.data_ptr() for t in weights)
    each(q.state, state)
    alive: list[Any] = [weights, x, state]
    if lengths is not None:
        if lengths.shape != (B,):
            raise EngineError(f"expected lengths of ({B},), one for each sequence, got {tuple(lengths.shape)}")
        lengths = lengths.to("cpu", torch.int64).contiguous()
        q.lengths = lengths.data_ptr()
        alive.append(lengths)
    return q, alive
