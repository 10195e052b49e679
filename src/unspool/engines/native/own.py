"""A user's own cell at native speed: its elementwise code, written from its equation, compiled on first use and kept by content."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import torch

from unspool.cells import CELLS, Cell
from unspool.engines.native.binding import loaded
from unspool.equations.emit_cpp import emit
from unspool.errors import CellError, EngineError

__all__ = ["cache", "compiler", "place_of"]

FLAGS = {  # as CMakeLists.txt has them for the built-in cells
    "avx512": ["-mavx512f", "-mavx512dq", "-mfma", "-mprefer-vector-width=512"],
    "avx2": ["-mavx2", "-mfma"],
    "generic": [],
}
COMMON = ["-std=gnu++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared", "-fvisibility=hidden", "-w"]
LONGEST = 120  # seconds that a compiler may take

_lock = threading.Lock()
_by_source: dict[str, int] = {}


def place_of(cell: Cell) -> int | str:
    """A cell's place in the library, or why there is none. One that the library was not built with is compiled, or taken from the
    cache, and stays for the life of the process."""
    if type(cell) in CELLS and (place := loaded().cells.get(repr(cell))) is not None:
        return place
    known = getattr(cell, "_place", None)  # noted in the cell, where torch.compile sees it too
    return _noted(cell) if known is None else known


@torch.compiler.assume_constant_result  # not to be looked into while compiling
def _noted(cell: Cell) -> int | str:
    place = _made(cell)
    object.__setattr__(cell, "_place", place)  # also of a frozen dataclass
    return place


def _made(cell: Cell) -> int | str:
    try:
        source = emit(cell, "Cell")
        with _lock:
            if source not in _by_source:
                _by_source[source] = _added(source, repr(cell))
            return _by_source[source]
    except (CellError, EngineError) as error:
        return str(error)
    except (OSError, RuntimeError) as error:  # of files and folders
        return f"{cell!r} is a cell of your own, and cannot be compiled ({error}); set UNSPOOL_CACHE to a folder of yours"


def compiler() -> str | None:
    """The C++ compiler that own cells are compiled with: the environment's CXX, else the system's."""
    asked = os.environ.get("CXX")
    return next((name for name in ([asked] if asked else ["c++", "g++", "clang++"]) if shutil.which(shlex.split(name)[0])), None)


def cache() -> Path:
    """The folder of what was compiled: the environment's UNSPOOL_CACHE, else `unspool` in the user's cache folder."""
    if asked := os.environ.get("UNSPOOL_CACHE"):
        return Path(asked)
    if asked := os.environ.get("XDG_CACHE_HOME"):
        return Path(asked) / "unspool"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "unspool"


def _library(source: str, name: str, anew: bool = False) -> Path:
    """The compiled cell, by all that it depends on. Two processes that compile at once each move a whole file to its place."""
    isa = loaded().handle.unspool_isa().decode()
    headers = sorted(loaded().own.iterdir()) if loaded().own.is_dir() else []
    if not headers:
        raise EngineError(f"the sources that {name} is compiled with were not installed; install the package again")
    parts = [source, isa, sys.platform, *COMMON, *FLAGS[isa], *(file.read_text() for file in headers)]
    file = f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}.so"
    folders = cache(), Path(tempfile.gettempdir()) / f"unspool-{os.getuid()}"
    for folder in folders:
        with contextlib.suppress(OSError):  # a folder that cannot be entered
            if not anew and (folder / file).exists() and _mine(folder / file):
                return folder / file
    program = compiler()
    if not program:
        raise EngineError(
            f"{name} is a cell of your own, and there is no C++ compiler; install one (Debian: apt-get install g++), or set CXX"
        )
    for folder in folders:
        with contextlib.suppress(OSError):  # a home that cannot be written to
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _mine(folder):
                continue
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                made = _compiled(program, source, isa, Path(scratch), name)
                os.replace(made, folder / file)
            return folder / file
    raise EngineError(f"{name} is a cell of your own, and {cache()} cannot be written to; set UNSPOOL_CACHE to a folder that can")


def _mine(path: Path) -> bool:
    """Whether only this user can have written what stands there: what is in the cache is run."""
    places = [path] if path.is_dir() else [path, path.parent]
    return all(place.stat().st_uid == os.getuid() and not place.stat().st_mode & 0o022 for place in places)


def _compiled(program: str, source: str, isa: str, scratch: Path, name: str) -> Path:
    (scratch / "cell.inc").write_text(source, "utf-8")
    made = scratch / "cell.so"
    command = [
        *shlex.split(program),
        *COMMON,
        *FLAGS[isa],
        f'-DUNSPOOL_CELL="{scratch / "cell.inc"}"',
        str(loaded().own / "own.cpp"),
        "-o",
        str(made),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise EngineError(f"{program} did not compile {name} in {LONGEST} seconds") from None
    if done.returncode or not made.exists():
        said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[-200:])
        raise EngineError(f"{program} could not compile {name}: {said}")
    made.chmod(0o700)
    return made


def _added(source: str, name: str) -> int:
    try:
        library = ctypes.CDLL(str(_library(source, name)))
    except OSError:  # a damaged file
        library = ctypes.CDLL(str(_library(source, name, anew=True)))
    library.unspool_own_cell.restype = ctypes.c_void_p
    place = loaded().handle.unspool_add_cell(library.unspool_own_cell())
    if place < 0:
        raise EngineError("there are too many cells in this process")
    return place
