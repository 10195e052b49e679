"""The native library: found, loaded, its structures and functions declared, its memory lent. Nothing else loads it."""

from __future__ import annotations

import ctypes
import math
import os
import sysconfig
import weakref
from ctypes import POINTER, Structure, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unspool.errors import EngineError

__all__ = ["Buffer", "CellFacts", "Problem", "Sizes", "call", "each", "isa", "loaded", "missing", "peak", "sizes"]

_STATES, _SLOTS = 4, 16
REASONS = {
    1: "every size must be at least 1",
    2: "the sizes are too large for one call",
    3: "a length lies outside 0 .. T",
    4: "there is not enough memory",
    5: "products in bf16 need a processor with AVX512-BF16",
}


class CellFacts(Structure):
    """`unspool_cell` of csrc/unspool.h."""

    _fields_ = [
        ("name", c_char_p),
        *((n, c_int32) for n in ["states", "fed_back", "gates", "slots", "nested", "by_x", "by_h", "biases", "parameters"]),
    ]


class Problem(Structure):
    """`unspool_problem` of csrc/unspool.h."""

    _fields_ = [
        *((name, c_int32) for name in ["cell", "threads", "save", "reverse", "packed", "bf16"]),
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


class Sizes(Structure):
    """`unspool_buffers` of csrc/unspool.h."""

    _fields_ = [(name, c_int64) for name in ("saved", "weights", "work")]


class Library(NamedTuple):
    """The loaded library, the place of each of its cells by name, and the folder of what own cells are compiled with; without a
    library, `missing` says why."""

    handle: Any = None
    cells: dict[str, int] = {}  # noqa: RUF012
    own: Path = Path()
    missing: str = ""


def _load() -> Library:
    homes = [Path(__file__).parents[2], Path(sysconfig.get_path("platlib")) / "unspool"]
    asked = os.environ.get("UNSPOOL_LIBRARY")
    places = [Path(asked)] if asked else [home / "_native" / "libunspool.so" for home in homes]
    found = [place for place in places if place.exists()]
    if not found:
        return Library(
            missing="it was not built when the package was installed (a C++ compiler was missing, or failed); see `pip install -v`"
        )
    try:
        handle = ctypes.CDLL(str(found[0]))
        _declare(handle)
    except OSError as error:
        return Library(missing=f"its library cannot be loaded ({error})")
    except AttributeError:
        handle = None
    if not handle or handle.unspool_problem_size() != ctypes.sizeof(Problem):
        return Library(missing="its library is of another version; install the package again")
    cells = {handle.unspool_cell_at(place).contents.name.decode(): place for place in range(handle.unspool_cells())}
    own = next((home / "_native" / "own" for home in homes if (home / "_native" / "own").is_dir()), Path())
    return Library(handle, cells, own)


def _declare(handle: Any) -> None:
    """What the functions take and give; AttributeError where one is not there."""
    for function in ("unspool_forward", "unspool_backward"):
        getattr(handle, function).argtypes = [POINTER(Problem)]
    handle.unspool_sizes.argtypes = [POINTER(Problem), c_int, POINTER(Sizes)]
    handle.unspool_cell_at.restype = POINTER(CellFacts)
    handle.unspool_add_cell.argtypes = [c_void_p]
    handle.unspool_isa.restype = c_char_p
    handle.unspool_peak.argtypes, handle.unspool_peak.restype = [c_int], c_double
    handle.unspool_function.argtypes = [c_int, c_void_p, c_void_p, c_int64]
    handle.unspool_head_new.argtypes, handle.unspool_head_new.restype = [c_void_p, c_void_p, c_int64, c_int64], c_void_p
    handle.unspool_head_best.argtypes = [c_void_p, c_void_p, c_int64, c_void_p, c_int64, c_int64, *[c_void_p] * 3, c_int]
    handle.unspool_cross_entropy.argtypes = [c_void_p, c_void_p, c_int64, c_int64, c_float, c_int]
    handle.unspool_cross_entropy.restype = c_double
    handle.unspool_head_free.argtypes, handle.unspool_head_free.restype = [c_void_p], None
    handle.unspool_stream_new.argtypes = [POINTER(Problem), c_int, c_int, c_int]
    handle.unspool_stream_run.argtypes, handle.unspool_stream_run.restype = [*[c_void_p] * 3, c_int64], None
    handle.unspool_stream_step.argtypes, handle.unspool_stream_step.restype = [c_void_p] * 3, None
    handle.unspool_stream_keep.argtypes, handle.unspool_stream_keep.restype = [c_void_p, c_void_p, c_int64], None
    handle.unspool_stream_new.restype, handle.unspool_stream_free.argtypes = c_void_p, [c_void_p]
    for function in ("unspool_stream_get", "unspool_stream_set"):
        getattr(handle, function).argtypes = [c_void_p, c_int, c_int, c_void_p]
    handle.unspool_take.argtypes, handle.unspool_take.restype = [c_int64], c_void_p
    handle.unspool_give.argtypes, handle.unspool_give.restype = [c_void_p], None


_library = _load()  # when the module is imported, so that torch.compile need not trace it


def loaded() -> Library:
    """The library, or EngineError."""
    if _library.missing:
        raise EngineError(f"the native engine cannot serve: {_library.missing}")
    return _library


def isa() -> str | None:
    """The instruction set in use (`avx512`, `avx2`, `generic`), or None without the library."""
    return None if _library.missing else _library.handle.unspool_isa().decode()


def missing() -> str:
    """Why there is no library, or nothing when there is one."""
    return _library.missing


def peak(threads: int) -> float:
    """Single precision multiply-adds of this machine, in GFLOP/s, measured on the spot."""
    return loaded().handle.unspool_peak(threads)


class Buffer:
    """Memory from the library's pool, given back when nobody holds it any more."""

    def __init__(self, *shape: int):
        floats = math.prod(shape)
        give = loaded().handle.unspool_give
        self.address = loaded().handle.unspool_take(max(floats, 1))
        if not self.address:
            raise EngineError(
                f"there is no memory for {floats * 4 / 1e6:.0f} MB of the native engine's working space; use a smaller batch"
            )
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": "<f4", "data": (self.address, False)}
        weakref.finalize(self, give, self.address).atexit = False

    def tensor(self) -> Tensor:
        """As a tensor that keeps it alive."""
        return torch.from_numpy(np.asarray(self))


def each(pointers: Any, tensor: Tensor) -> None:
    """Points to each part of a tensor."""
    for index, part in enumerate(tensor.unbind()):
        pointers[index] = part.data_ptr()


def sizes(q: Problem, backward: bool) -> Sizes:
    """What memory a call needs; EngineError for one that the library refuses."""
    found = Sizes()
    reason = loaded().handle.unspool_sizes(ctypes.byref(q), backward, ctypes.byref(found))
    if reason:
        raise EngineError(f"the native engine cannot take x of shape ({q.B}, {q.T}, {q.D}) and {q.H} units: {REASONS[reason]}")
    return found


def call(function: str, q: Problem) -> None:
    """Runs `unspool_forward` or `unspool_backward`."""
    reason = getattr(loaded().handle, function)(ctypes.byref(q))
    if reason:
        raise EngineError(f"the native engine cannot go on: {REASONS[reason]}")
