"""The project's own CPU engine: `csrc/`, loaded with ctypes; torch sees it as custom operators with autograd.

The only module that loads the native library. Single precision, on the CPU, for every built-in cell that needs no second product
within a step.
"""

from __future__ import annotations

import ctypes
import sysconfig
import weakref
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unspool.cells import CELLS, Cell
from unspool.engines.weights import Ran, State, Weights
from unspool.errors import EngineError

__all__ = ["isa", "peak", "refusal", "run", "step"]

_STATES, _SLOTS = 4, 16
_REASONS = {
    1: "every size must be at least 1",
    2: "the sizes are too large for one call",
    3: "a length lies outside 0 .. T",
}


class _Cell(Structure):
    _fields_ = [("name", c_char_p), *((n, c_int32) for n in "states fed_back gates slots by_x by_h parameters".split())]  # noqa: RUF012


class _Problem(Structure):
    _fields_ = [  # noqa: RUF012
        *((name, c_int32) for name in "cell threads save reverse packed unused".split()),
        *((name, c_int64) for name in "BTDH"),
        ("x", c_void_p),
        ("x_batch", c_int64),
        ("x_step", c_int64),
        *((name, c_void_p) for name in "W U b b_h p lengths".split()),
        ("state", c_void_p * _STATES),
        ("y", c_void_p),
        ("last", c_void_p * _STATES),
        ("gates", c_void_p * _SLOTS),
        ("states", c_void_p * _STATES),
        *((name, c_void_p) for name in "saved weights work dy".split()),
        ("dy_batch", c_int64),
        ("dy_step", c_int64),
        ("d_last", c_void_p * _STATES),
        *((name, c_void_p) for name in "dx dW dU db db_h dp".split()),
        ("d_state", c_void_p * _STATES),
    ]


class _Sizes(Structure):
    _fields_ = [(name, c_int64) for name in ("saved", "weights", "work")]  # noqa: RUF012


class _Library(NamedTuple):
    handle: Any
    cells: dict[str, int]


@cache
def _library() -> _Library | str:
    """The library, or why there is none."""
    name = "libunspool.so"
    homes = [Path(__file__).parent.parent, Path(sysconfig.get_path("platlib")) / "unspool"]
    found = [home / "_native" / name for home in homes if (home / "_native" / name).exists()]
    if not found:
        return "it was not built when the package was installed (a C++ compiler was missing, or failed); see `pip install -v`"
    try:
        handle = ctypes.CDLL(str(found[0]))
    except OSError as error:
        return f"its library cannot be loaded ({error})"
    for function in ("unspool_forward", "unspool_backward"):
        getattr(handle, function).argtypes = [POINTER(_Problem)]
    handle.unspool_sizes.argtypes = [POINTER(_Problem), c_int, POINTER(_Sizes)]
    handle.unspool_cells.argtypes = [POINTER(POINTER(_Cell))]
    handle.unspool_isa.restype = c_char_p
    handle.unspool_peak.argtypes, handle.unspool_peak.restype = [c_int], c_double
    handle.unspool_function.argtypes = [c_int, c_void_p, c_void_p, c_int64]
    handle.unspool_take.argtypes, handle.unspool_take.restype = [c_int64], c_void_p
    handle.unspool_give.argtypes, handle.unspool_give.restype = [c_void_p], None
    cells = POINTER(_Cell)()
    count = handle.unspool_cells(ctypes.byref(cells))
    return _Library(handle, {cells[i].name.decode(): i for i in range(count)})


def _loaded() -> _Library:
    library = _library()
    if isinstance(library, str):
        raise EngineError(f"the native engine cannot serve: {library}")
    return library


def isa() -> str | None:
    """The instruction set in use (`avx512`, `avx2`, `generic`), or None without the library."""
    library = _library()
    return None if isinstance(library, str) else library.handle.unspool_isa().decode()


def peak(threads: int) -> float:
    """Single precision multiply-adds of this machine, in GFLOP/s, measured on the spot."""
    return _loaded().handle.unspool_peak(threads)


def refusal(cell: Cell, device: torch.device, dtype: torch.dtype, trace: Sequence[str] = ()) -> str | None:
    """Why this engine cannot serve, or None when it can."""
    library = _library()
    if isinstance(library, str):
        return library
    if device.type != "cpu":
        return "it runs on the CPU alone"
    if dtype != torch.float32:
        return f"it computes in float32, not {str(dtype).removeprefix('torch.')}"
    if cell.products.nested:
        return f"{cell!r} takes a second product within a step"
    if type(cell) not in CELLS or repr(cell) not in library.cells:
        return f"{cell!r} was not among the cells when the library was built"
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
    """Runs a cell over x (B, T, D); the same contract as `reference.run`, but no gradient flows through a trace."""
    index = _loaded().cells[repr(cell)]
    states = torch.stack(state)
    if trace:
        y, last, traced = _forward(index, [*weights], x, lengths, states, reverse, False, None, _places(cell, trace))[:3]
        if torch.is_grad_enabled():
            y, last = _run(index, weights, x, lengths, states, reverse)
        return Ran(y, tuple(last.unbind()), dict(zip(trace, traced.unbind(), strict=True)))
    y, last = _run(index, weights, x, lengths, states, reverse)
    return Ran(y, tuple(last.unbind()), {})


def step(cell: Cell, weights: Weights, x: Tensor, state: State) -> State:
    """One step: x (B, D) and the old state to the new state."""
    return run(cell, weights, x[:, None], None, state).state


def _run(cell: int, weights: Weights, x: Tensor, lengths: Tensor | None, state: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    if torch.is_grad_enabled() and any(t.requires_grad for t in (x, state, *weights)):
        return _recurrence(cell, *weights, x, lengths, state, reverse, True)[:2]
    if torch.compiler.is_compiling():
        return _recurrence(cell, *weights, x, lengths, state, reverse, False)[:2]
    return _forward(cell, [*weights], x, lengths, state, reverse, False, _packed(weights))[:2]


def _places(cell: Cell, names: Sequence[str]) -> list[tuple[str, int]]:
    return [("states", cell.state.index(n)) if n in cell.state else ("gates", cell.gates.index(n)) for n in names]


class _Buffer:
    """Memory from the library's pool, given back when nobody holds it any more."""

    def __init__(self, floats: int):
        give = _loaded().handle.unspool_give
        self.address = _loaded().handle.unspool_take(max(floats, 1))
        if not self.address:
            raise EngineError(f"there is no memory for {floats * 4 / 1e6:.0f} MB of the native engine's working space; use a smaller batch")
        self.__array_interface__ = {"version": 3, "shape": (max(floats, 1),), "typestr": "<f4", "data": (self.address, False)}
        weakref.finalize(self, give, self.address).atexit = False

    def tensor(self) -> Tensor:
        """As a tensor that keeps it alive."""
        return torch.from_numpy(np.asarray(self))


class _Packed:
    """Weights in the engine's own layout, of the versions of the tensors they were packed from."""

    def __init__(self, versions: tuple[tuple[int, int], ...]):
        self.versions, self.buffer = versions, None


def _packed(weights: Weights) -> _Packed:
    """What is kept with W between calls; filled by the first call, thrown away when a weight has changed."""
    versions = tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in weights)
    kept = getattr(weights.W, "_unspool_packed", None)
    if kept is None or kept.versions != versions:
        kept = _Packed(versions)
        if not weights.W.is_inference():
            weights.W._unspool_packed = kept  # type: ignore[attr-defined]
    return kept


def _problem(
    cell: int, weights: Sequence[Tensor], x: Tensor, lengths: Tensor | None, state: Tensor, reverse: bool, save: bool
) -> tuple[_Problem, list[Any]]:
    """The call in the library's words, and what must live as long as it."""
    weights = [t.contiguous() for t in weights]
    x = x if x.stride(2) == 1 or x.shape[2] == 1 else x.contiguous()
    state = state.contiguous()
    q = _Problem(cell=cell, threads=torch.get_num_threads(), save=save, reverse=reverse)
    (q.B, q.T, q.D), q.H = x.shape, weights[0].shape[1]
    q.x, q.x_batch, q.x_step = x.data_ptr(), x.stride(0), x.stride(1)
    q.W, q.U, q.b, q.b_h, q.p = (t.data_ptr() for t in weights)
    alive: list[Any] = [weights, x, state]
    if lengths is not None:
        lengths = lengths.to(torch.int64).contiguous()
        q.lengths = lengths.data_ptr()
        alive.append(lengths)
    _each(q.state, state)
    return q, alive


def _each(pointers: Any, tensor: Tensor) -> None:
    for index, part in enumerate(tensor.unbind()):
        pointers[index] = part.data_ptr()


def _sizes(q: _Problem, backward: bool) -> _Sizes:
    sizes = _Sizes()
    reason = _loaded().handle.unspool_sizes(ctypes.byref(q), backward, ctypes.byref(sizes))
    if reason:
        raise EngineError(f"the native engine cannot take x of shape ({q.B}, {q.T}, {q.D}) and {q.H} units: {_REASONS[reason]}")
    return sizes


def _forward(
    cell: int,
    weights: Sequence[Tensor],
    x: Tensor,
    lengths: Tensor | None,
    state: Tensor,
    reverse: bool,
    save: bool,
    packed: _Packed | None = None,
    trace: Sequence[tuple[str, int]] = (),
    saved: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """y (B, T, H), the last state (S, B, H), the traces (N, B, T, H) and what the backward pass needs (or nothing)."""
    q, alive = _problem(cell, weights, x, lengths, state, reverse, save)
    sizes = _sizes(q, False)
    y, last = x.new_empty(q.B, q.T, q.H), torch.empty_like(state, memory_format=torch.contiguous_format)
    traced = (x.new_zeros if lengths is not None else x.new_empty)(len(trace), q.B, q.T, q.H)
    for (kind, index), part in zip(trace, traced.unbind(), strict=True):
        getattr(q, kind)[index] = part.data_ptr()
    if save and saved is None:
        saved = _Buffer(sizes.saved + 16).tensor()  # the last float: whether a backward pass has been
    buffers = [_Buffer(sizes.work)] if saved is not None else [_Buffer(sizes.work), _Buffer(sizes.saved)]
    q.work, q.saved = buffers[0].address, buffers[1].address if saved is None else saved.data_ptr()
    kept = packed.buffer if packed else None
    q.packed = kept is not None
    kept = kept or _Buffer(sizes.weights)
    q.y, q.weights = y.data_ptr(), kept.address
    _each(q.last, last)
    _call("unspool_forward", q)
    if packed:
        packed.buffer = kept
    if saved is None:
        return y, last, traced, x.new_empty(0)
    saved[-1] = 0
    return y, last, traced, saved


def _call(function: str, q: _Problem) -> None:
    reason = getattr(_loaded().handle, function)(ctypes.byref(q))
    if reason:
        raise EngineError(f"the native engine cannot go on: {_REASONS[reason]}")


@torch.library.custom_op("unspool::recurrence", mutates_args=())
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
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    y, last, _, saved = _forward(cell, [W, U, b, b_h, p], x, lengths, state, reverse, save)
    return y, last, saved


@_recurrence.register_fake
def _(cell, W, U, b, b_h, p, x, lengths, state, reverse, save):  # noqa: ANN001, ANN202
    q = _Problem(cell=cell, threads=torch.get_num_threads(), save=save)
    q.B, q.T, q.D, q.H = (int(n) for n in (*x.shape, W.shape[1]))
    size = _sizes(q, False).saved + 16 if save else 0
    return x.new_empty(x.shape[0], x.shape[1], W.shape[1]), torch.empty_like(state), x.new_empty(size)


@torch.library.custom_op("unspool::recurrence_backward", mutates_args=())
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    weights = [W, U, b, b_h, p]
    consumed = c_float.from_address(saved.data_ptr() + 4 * (saved.numel() - 1))  # written past torch's version counter
    if consumed.value:
        _forward(cell, weights, x, lengths, state, reverse, True, saved=saved)
    consumed.value = 1
    q, alive = _problem(cell, weights, x, lengths, state, reverse, True)
    q.saved = saved.data_ptr()
    if dy is not None:
        dy = dy if dy.stride(2) == 1 or dy.shape[2] == 1 else dy.contiguous()
        q.dy, q.dy_batch, q.dy_step = dy.data_ptr(), dy.stride(0), dy.stride(1)
    if d_last is not None:
        d_last = d_last.contiguous()
        _each(q.d_last, d_last)
    dx = torch.empty_like(x, memory_format=torch.contiguous_format) if input_too else x.new_empty(0)
    q.dx = dx.data_ptr() if input_too else None
    gradients = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in weights]
    q.dW, q.dU, q.db, q.db_h, q.dp = (t.data_ptr() for t in gradients)
    d_state = torch.empty_like(state, memory_format=torch.contiguous_format)
    _each(q.d_state, d_state)
    sizes = _sizes(q, True)
    packed, work = _Buffer(sizes.weights), _Buffer(sizes.work)
    q.weights, q.work = packed.address, work.address
    _call("unspool_backward", q)
    return dx, gradients[0], gradients[1], gradients[2], gradients[3], gradients[4], d_state


@_recurrence_backward.register_fake
def _(dy, d_last, saved, cell, W, U, b, b_h, p, x, lengths, state, reverse, input_too):  # noqa: ANN001, ANN202
    dx = torch.empty_like(x) if input_too else x.new_empty(0)
    return dx, *(torch.empty_like(t) for t in (W, U, b, b_h, p, state))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.cell, *tensors, ctx.reverse, _ = inputs
    ctx.save_for_backward(output[2], *tensors)
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, dy: Tensor | None, d_last: Tensor | None, _: Tensor | None) -> tuple[Any, ...]:
    saved, W, U, b, b_h, p, x, lengths, state = ctx.saved_tensors
    dx, dW, dU, db, db_h, dp, d_state = _recurrence_backward(
        dy, d_last, saved, ctx.cell, W, U, b, b_h, p, x, lengths, state, ctx.reverse, ctx.needs_input_grad[6]
    )
    return None, dW, dU, db, db_h, dp, dx if ctx.needs_input_grad[6] else None, None, d_state, None, None


_recurrence.register_autograd(_gradients, setup_context=_setup)
