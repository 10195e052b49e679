"""The project's own CPU engine: `csrc/`, loaded with ctypes; torch sees it as custom operators with autograd.

The only module that loads the native library. Single precision, on the CPU, for every built-in cell that needs no second product
within a step.
"""

from __future__ import annotations

import ctypes
import os
import sysconfig
import weakref
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unspool.cells import CELLS, Cell
from unspool.engines.weights import Ran, State, Weights
from unspool.errors import EngineError

__all__ = ["Stream", "isa", "peak", "refusal", "run", "step"]

_STATES, _SLOTS = 4, 16
_REASONS = {
    1: "every size must be at least 1",
    2: "the sizes are too large for one call",
    3: "a length lies outside 0 .. T",
}


class _Cell(Structure):
    _fields_ = [("name", c_char_p), *((n, c_int32) for n in ["states", "fed_back", "gates", "slots", "by_x", "by_h", "parameters"])]


class _Problem(Structure):
    _fields_ = [
        *((name, c_int32) for name in ["cell", "threads", "save", "reverse", "packed", "unused"]),
        *((name, c_int64) for name in "BTDH"),
        ("x", c_void_p),
        ("x_batch", c_int64),
        ("x_step", c_int64),
        *((name, c_void_p) for name in ["W", "U", "b", "b_h", "p", "lengths"]),
        ("state", c_void_p * _STATES),
        ("y", c_void_p),
        ("last", c_void_p * _STATES),
        ("gates", c_void_p * _SLOTS),
        ("states", c_void_p * _STATES),
        *((name, c_void_p) for name in ["saved", "weights", "work", "dy"]),
        ("dy_batch", c_int64),
        ("dy_step", c_int64),
        ("d_last", c_void_p * _STATES),
        *((name, c_void_p) for name in ["dx", "dW", "dU", "db", "db_h", "dp"]),
        ("d_state", c_void_p * _STATES),
    ]


class _Sizes(Structure):
    _fields_ = [(name, c_int64) for name in ("saved", "weights", "work")]


class _Library(NamedTuple):
    """The loaded library and the place of each cell in it; without one, `missing` says why."""

    handle: Any = None
    cells: dict[str, int] = {}  # noqa: RUF012
    missing: str = ""


def _load() -> _Library:
    homes = [Path(__file__).parent.parent, Path(sysconfig.get_path("platlib")) / "unspool"]
    places = [Path(os.environ.get("UNSPOOL_LIBRARY", "none")), *(home / "_native" / "libunspool.so" for home in homes)]
    found = [place for place in places if place.exists()]
    if not found:
        return _Library(
            missing="it was not built when the package was installed (a C++ compiler was missing, or failed); see `pip install -v`"
        )
    try:
        handle = ctypes.CDLL(str(found[0]))
    except OSError as error:
        return _Library(missing=f"its library cannot be loaded ({error})")
    for function in ("unspool_forward", "unspool_backward"):
        getattr(handle, function).argtypes = [POINTER(_Problem)]
    handle.unspool_sizes.argtypes = [POINTER(_Problem), c_int, POINTER(_Sizes)]
    handle.unspool_cells.argtypes = [POINTER(POINTER(_Cell))]
    handle.unspool_isa.restype = c_char_p
    handle.unspool_peak.argtypes, handle.unspool_peak.restype = [c_int], c_double
    handle.unspool_function.argtypes = [c_int, c_void_p, c_void_p, c_int64]
    handle.unspool_stream_new.argtypes = [POINTER(_Problem), c_int, c_int]
    handle.unspool_stream_step.argtypes, handle.unspool_stream_step.restype = [c_void_p] * 3, None
    handle.unspool_stream_keep.argtypes, handle.unspool_stream_keep.restype = [c_void_p, c_void_p, c_int64], None
    handle.unspool_stream_new.restype, handle.unspool_stream_free.argtypes = c_void_p, [c_void_p]
    for function in ("unspool_stream_get", "unspool_stream_set"):
        getattr(handle, function).argtypes = [c_void_p, c_int, c_int, c_void_p]
    handle.unspool_take.argtypes, handle.unspool_take.restype = [c_int64], c_void_p
    handle.unspool_give.argtypes, handle.unspool_give.restype = [c_void_p], None
    cells = POINTER(_Cell)()
    count = handle.unspool_cells(ctypes.byref(cells))
    return _Library(handle, {cells[i].name.decode(): i for i in range(count)})


_library = _load()  # when the module is imported, so that torch.compile need not trace it


def _loaded() -> _Library:
    if _library.missing:
        raise EngineError(f"the native engine cannot serve: {_library.missing}")
    return _library


def isa() -> str | None:
    """The instruction set in use (`avx512`, `avx2`, `generic`), or None without the library."""
    return None if _library.missing else _library.handle.unspool_isa().decode()


def peak(threads: int) -> float:
    """Single precision multiply-adds of this machine, in GFLOP/s, measured on the spot."""
    return _loaded().handle.unspool_peak(threads)


def refusal(cell: Cell, device: torch.device, dtype: torch.dtype, trace: Sequence[str] = ()) -> str | None:
    """Why this engine cannot serve, or None when it can."""
    if _library.missing:
        return _library.missing
    if device.type != "cpu":
        return "it runs on the CPU alone"
    if dtype != torch.float32:
        return f"it computes in float32, not {str(dtype).removeprefix('torch.')}"
    if cell.products.nested:
        return f"{cell!r} takes a second product within a step"
    if type(cell) not in CELLS or repr(cell) not in _library.cells:
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


class Stream:
    """A stack of layers of one cell that goes step by step: weights packed once, states inside. See `Recurrent.stream`."""

    def __init__(self, cell: Cell, layers: Sequence[Weights], batch: int, residual: bool):
        self._handle, self._states, self.batch = _loaded().handle, len(cell.state), batch
        problems = (_Problem * len(layers))()
        alive = []
        for place, weights in enumerate(layers):
            tensors = [t.detach().contiguous() for t in weights]
            alive.append(tensors)
            problems[place].cell, problems[place].B, problems[place].T = _loaded().cells[repr(cell)], batch, 1
            _, problems[place].H, problems[place].D = tensors[0].shape
            q = problems[place]
            q.W, q.U, q.b, q.b_h, q.p = (t.data_ptr() for t in tensors)
        self._sizes = problems[0].D, problems[len(layers) - 1].H
        self._layers = len(layers)
        self._stream = self._handle.unspool_stream_new(problems, len(layers), residual)
        if not self._stream:
            raise EngineError(f"the native engine has no memory for a stream of {batch} rows")
        weakref.finalize(self, self._handle.unspool_stream_free, self._stream).atexit = False

    def step(self, x: Tensor) -> Tensor:
        """x (B, D) in float32 to y (B, H)."""
        if x.shape != (self.batch, self._sizes[0]) or x.dtype != torch.float32:
            raise EngineError(
                f"this stream takes float32 of shape ({self.batch}, {self._sizes[0]}), got {x.dtype} of {tuple(x.shape)}"
            )
        x = x.detach().contiguous()
        y = torch.empty(self.batch, self._sizes[1])
        self._handle.unspool_stream_step(self._stream, x.data_ptr(), y.data_ptr())
        return y

    @property
    def state(self) -> State:
        """A copy of the states, (L, B, H) each."""
        states = torch.empty(self._states, self._layers, self.batch, self._sizes[1])
        for k in range(self._states):
            for layer in range(self._layers):
                self._handle.unspool_stream_get(self._stream, layer, k, states[k, layer].data_ptr())
        return tuple(states.unbind())

    @state.setter
    def state(self, state: State) -> None:
        for k, whole in enumerate(state):
            for layer, part in enumerate(whole.to(torch.float32).contiguous().unbind()):
                self._handle.unspool_stream_set(self._stream, layer, k, part.data_ptr())

    def keep(self, rows: Tensor) -> None:
        """Goes on with these rows (n,), ascending, alone."""
        rows = rows.to(torch.int64).contiguous()
        self._handle.unspool_stream_keep(self._stream, rows.data_ptr(), len(rows))
        self.batch = len(rows)


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
            raise EngineError(
                f"there is no memory for {floats * 4 / 1e6:.0f} MB of the native engine's working space; use a smaller batch"
            )
        self.__array_interface__ = {"version": 3, "shape": (max(floats, 1),), "typestr": "<f4", "data": (self.address, False)}
        weakref.finalize(self, give, self.address).atexit = False

    def tensor(self) -> Tensor:
        """As a tensor that keeps it alive."""
        return torch.from_numpy(np.asarray(self))


class _Packed:
    """Weights in the engine's own layout, and by what the weights they were packed from can be known."""

    def __init__(self, versions: tuple[tuple[int, int], ...], sample: Tensor):
        self.versions, self.sample = versions, sample
        self.buffer: _Buffer | None = None

    def __reduce__(self) -> tuple[Any, ...]:  # a copy of the tensor, or a pickled one, goes without
        return type(None), ()


def _packed(weights: Weights) -> _Packed:
    """What is kept with W between calls; filled by the first call, thrown away when a weight has changed.

    A tensor's version does not tell of torch's fused optimizers, which change weights without raising it; so a sample of the values
    is compared too.
    """
    versions = tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in weights)
    sample = torch.cat([t.detach().flatten()[:: max(1, t.numel() // 32)] for t in weights])
    kept = getattr(weights.W, "_unspool_packed", None)
    if kept is None or kept.versions != versions or not torch.equal(kept.sample, sample):
        kept = _Packed(versions, sample)
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
    q, _alive = _problem(cell, weights, x, lengths, state, reverse, save)
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
def _(cell, W, U, b, b_h, p, x, lengths, state, reverse, save):
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
    q, _alive = _problem(cell, weights, x, lengths, state, reverse, True)
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
def _(dy, d_last, saved, cell, W, U, b, b_h, p, x, lengths, state, reverse, input_too):
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
