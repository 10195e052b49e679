"""What no peer has: a user's own cell, weights of fewer bits, gates computed again, recurrences that are linear in their memory."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.speed.peers import CELLS, SHAPES, Loop, Shape, gflop, int8, onnx, torch_nn, unspool
from benchmarks.speed.runs import Runs, Table, training
from unspool.cells import GRU, LSTM, Cell, MinGRU
from unspool.engines import native
from unspool.engines.native import binding, calls
from unspool.layers import Recurrent

__all__ = ["compiling", "halves", "linear", "own_cell", "recompute", "rounded"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_cell.py"


def slstm() -> Cell:
    """The cell of `examples/own_cell.py`, which torch does not have."""
    spec = importlib.util.spec_from_file_location("own_cell", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where torch.compile looks for it
    spec.loader.exec_module(module)
    return module.SLSTM()


def own_cell(table: Table) -> None:
    """Cells that torch does not have beside the loop one would write, that loop compiled, and a cell that multiplies as much."""
    _beside_loops(table, "own cell", slstm(), LSTM())
    _beside_loops(table, "gru reset before", GRU("before"), GRU())


def _beside_loops(table: Table, what: str, cell: Cell, like: Cell) -> None:
    for name in ("C1", "C4"):
        if not table.wanted(f"{what} training ratio", name):
            continue
        shape = SHAPES[name]
        x, gradient = torch.randn(shape.B, shape.T, shape.D), torch.randn(shape.B, shape.T, shape.H)
        runs: Runs = {
            "unspool": training(unspool(cell, shape), x, gradient),
            "torch cell loop": training(Loop(cell, shape), x, gradient),
        }
        if not table.quick:
            runs["the loop under torch.compile"] = training(torch.compile(Loop(cell, shape)), x, gradient)
        kind = type(like).__name__
        beside = {f"unspool {kind.lower()}": training(unspool(like, shape), x, gradient)}
        table.row(f"{what} training ratio", name, runs, gflop(cell, shape, True), less_exact=beside)
        share = table.records[-1]["baselines"][f"unspool {kind.lower()}"]
        table.keep(f"{what}, share of the built-in {kind}'s speed", name, share, "higher", {})
        print(f"{'':28} {'':18} {share:12.2f}   of the {kind}'s speed")


_FIRST = """
import sys, time, json, torch
sys.path.insert(0, {root!r})
from benchmarks.speed.special import slstm
from unspool.engines.native import place_of
cell = slstm()
began = time.perf_counter()
assert isinstance(place_of(cell), int)
print(time.perf_counter() - began)
"""


def compiling(table: Table) -> None:
    """What the first use of an own cell costs, and the first of a later process."""
    if not table.wanted("own cell, seconds", "first use"):
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _FIRST.format(root=str(Path(__file__).parents[2]))]
        environment = {**os.environ, "UNSPOOL_CACHE": folder}
        first, again = (
            float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout) for _ in range(2)
        )
    print(f"{'own cell, first use':28} {'':18} {first:12.2f} s, from the cache {1e3 * again:.1f} ms, {native.compiler()}")
    table.keep("own cell, seconds of its first use", "compiled", round(first, 3), "lower", {})
    table.keep("own cell, seconds of its first use", "from the cache", round(again, 5), "lower", {})


def rounded(table: Table) -> None:
    """S1 with weights of 16 and of 8 bits."""
    before = torch.get_num_threads()
    for threads in (2, 1):
        suffix = "" if threads == 2 else ", 1 thread"
        torch.set_num_threads(threads)
        for hidden in (512, 1024):
            cell, shape, x = CELLS["lstm"], Shape(1, 1, hidden, hidden), torch.randn(1, hidden)
            session, small = onnx(cell, shape, threads), int8(cell, shape, threads, torch_nn(cell, shape), x[None])
            for weights, peers in (("bf16", {"onnxruntime": session} if session else {}), ("int8", small)):
                if table.wanted(f"streaming step ratio, {weights} weights", "S1") and peers:
                    stream = unspool(cell, shape).eval().narrow(weights).stream()
                    runs: Runs = {"unspool": partial(stream.step, x), **peers}
                    table.row(f"streaming step ratio, {weights} weights{suffix}", f"S1, H = {hidden}", runs, steps=200)
    torch.set_num_threads(before)


def halves(table: Table) -> None:
    """Training with products in bf16 against torch's modules in bf16."""
    for name in ("C1", "C9"):
        shape = SHAPES[name]
        x, gradient = torch.randn(shape.B, shape.T, shape.D), torch.randn(shape.B, shape.T, shape.H)
        for kind in ("lstm", "gru"):
            if not table.wanted(f"{kind} bf16 training ratio", name):
                continue
            ours = Recurrent(CELLS[kind], shape.D, shape.H, layers=shape.layers, products="bf16", engine="native")
            theirs, half = torch_nn(CELLS[kind], shape).bfloat16(), (x.bfloat16(), gradient.bfloat16())
            runs: Runs = {"unspool": training(ours, x, gradient), "torch.nn in bf16": training(theirs, *half)}
            table.row(f"{kind} bf16 training ratio", name, runs, gflop(CELLS[kind], shape, True))


def recompute(table: Table) -> None:
    """C6 with the gates computed again, against itself."""
    if not table.wanted("recompute", "C6"):
        return
    shape, place = SHAPES["C6"], binding.loaded().cells["LSTM()"]
    x, gradient = torch.randn(shape.B, shape.T, shape.D), torch.randn(shape.B, shape.T, shape.H)
    layers = {name: Recurrent(LSTM(), shape.D, shape.H, engine="native", recompute=name == "again") for name in ("held", "again")}
    runs: Runs = {name: training(layer, x, gradient) for name, layer in layers.items()}
    table.row("recompute: times as long", "C6", {"held": runs["held"], "again": runs["again"]}, gflop(LSTM(), shape, True))
    held, again = (calls.saved_size(place, save, False, shape.B, shape.T, shape.D, shape.H) for save in (1, 2))
    table.keep("recompute: share of what is saved", "C6", round(again / held, 3), "lower", {})
    print(f"{'recompute: share saved':28} {'C6':18} {again / held:12.2f}   {held * 4e-6:.0f} MB without")


class Steps(nn.Module):
    """A stack run by its own step, T calls, through which gradients flow."""

    def __init__(self, cell: Cell, shape: Shape, engine: str):
        super().__init__()
        self.inner = Recurrent(cell, shape.D, shape.H, layers=shape.layers, engine=engine)

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        state, ys = self.inner.zero_state(len(x), x), []
        for now in x.unbind(1):
            y, state = self.inner.step(now, state)
            ys.append(y)
        return torch.stack(ys, 1), state


def linear(table: Table) -> None:
    """minGRU over all time at once against its own step by step, and the GRU's time beside."""
    for name, shape in (("16,1024,768,768", Shape(16, 1024, 768, 768)), ("64,128,512,512,2", Shape(64, 128, 512, 512, 2))):
        if not table.wanted("mingru training ratio", name):
            continue
        x, gradient = torch.randn(shape.B, shape.T, shape.D), torch.randn(shape.B, shape.T, shape.H)
        runs: Runs = {
            "unspool": training(unspool(MinGRU(), shape), x, gradient),
            "its own steps": training(Steps(MinGRU(), shape, "native"), x, gradient),
        }
        beside: Runs = {
            "its steps as a torch loop": training(Steps(MinGRU(), shape, "reference"), x, gradient),
            "unspool gru": training(unspool(GRU(), shape), x, gradient),
        }
        work = 2.0 * shape.B * shape.T * 2 * shape.H * (2 * shape.D + 3 * shape.H * (shape.layers - 1)) / 1e9
        table.row("mingru training ratio", name, runs, work, less_exact=beside)
