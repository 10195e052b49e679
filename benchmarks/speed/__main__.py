"""Speed beside peers, all of a row interleaved in one process: `python -m benchmarks.speed [--quick] [--only WORD...]`.

Ends in one line of JSON; without --quick the records go to `benchmarks/results/speed.json`. A ratio above 1 means that Unspool is
faster. GFLOP/s count the matrix products alone. Training is forward and backward of all weights, x needing no gradient.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import Any

import torch

from benchmarks.speed.memory import peak_memory
from benchmarks.speed.peers import CELLS, SHAPES, Loop, Shape, gflop, int8, onnx, torch_nn, unspool
from benchmarks.speed.runs import Runs, Table, inference, training
from benchmarks.speed.special import compiling, halves, linear, own_cell, recompute, rounded
from unspool.cells import LSTM, Cell
from unspool.engines import Weights, native, reference
from unspool.engines import torch as torch_engine


def layers(table: Table, threads: int, names: list[str]) -> None:
    """Training and inference of LSTM, GRU and RNN, and what share of the processor's peak they reach."""
    suffix = "" if threads == 2 else f", {threads} thread"
    peak = native.peak(threads)
    print(f"\n{threads} threads, peak {peak:.0f} GFLOP/s, {native.isa()}; ratios of the peers' times to Unspool's")
    for name in names:
        shape = SHAPES[name]
        directions = 2 if shape.bidirectional else 1
        x, gradient = torch.randn(shape.B, shape.T, shape.D), torch.randn(shape.B, shape.T, shape.H * directions)
        for kind, cell in CELLS.items():
            if not table.wanted(kind, name):
                continue
            mine, theirs = unspool(cell, shape), torch_nn(cell, shape)
            facts: dict[str, Any] = {"peak GFLOP/s": round(peak, 1)}
            work = gflop(cell, shape, True)
            table.row(
                f"{kind} training ratio{suffix}",
                name,
                {"unspool": training(mine, x, gradient), "torch.nn": training(theirs, x, gradient)},
                work,
                **facts,
            )
            if name == "C1":
                share = table.records[-1]["GFLOP/s"]["unspool"] / peak
                table.keep(f"{kind} share of f32 peak, training{suffix}", name, round(share, 3), "higher", {})
                print(f"{'':28} {'':18} {share:12.2f}   of the peak")
            runs: Runs = {"unspool": inference(mine, x), "torch.nn": inference(theirs, x)}
            session = onnx(cell, shape, threads)
            if session:
                runs["onnxruntime"] = session
            eight_bits = int8(cell, shape, threads, theirs, x) if name == "C1" else {}
            table.row(f"{kind} inference ratio{suffix}", name, runs, gflop(cell, shape, False), less_exact=eight_bits, **facts)


def lengths(table: Table) -> None:
    """C11: sequences of 5 to 50 steps, unsorted."""
    shape = SHAPES["C1"]
    torch.manual_seed(0)
    long = torch.randint(5, shape.T + 1, (shape.B,))
    x, gradient = torch.randn(shape.B, shape.T, shape.D), torch.randn(shape.B, shape.T, shape.H)
    for kind, cell in CELLS.items():
        if table.wanted(kind, "C11"):
            mine, theirs = unspool(cell, shape), torch_nn(cell, shape)

            def packed(theirs: Any = theirs) -> None:
                y = theirs(torch.nn.utils.rnn.pack_padded_sequence(x, long, batch_first=True, enforce_sorted=False))[0]
                torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0].backward(gradient[:, : int(long.max())])

            runs: Runs = {
                "unspool": training(mine, x, gradient, long),
                "torch packed": packed,
                "torch padded": training(theirs, x, gradient),
            }
            table.row(
                f"{kind} mixed lengths training ratio", "C11", runs, gflop(cell, shape, True, float(long.float().mean()) / shape.T)
            )


def peepholes(table: Table) -> None:
    """A cell that torch does not have, beside the loop one would write, and that loop compiled."""
    shape, cell = SHAPES["C1"], LSTM(peepholes=True)
    if not table.wanted("peephole lstm training ratio", "C1"):
        return
    x, gradient = torch.randn(shape.B, shape.T, shape.D), torch.randn(shape.B, shape.T, shape.H)
    loop = Loop(cell, shape)
    runs: Runs = {"unspool": training(unspool(cell, shape), x, gradient), "torch cell loop": training(loop, x, gradient)}
    if not table.quick:
        runs["the loop under torch.compile"] = training(torch.compile(Loop(cell, shape)), x, gradient)
    table.row("peephole lstm training ratio", "C1", runs, gflop(cell, shape, True))


def batch_one(table: Table) -> None:
    shape = SHAPES["S4"]
    x, gradient = torch.randn(shape.B, shape.T, shape.D), torch.randn(shape.B, shape.T, shape.H)
    for kind, cell in CELLS.items():
        if table.wanted(kind, "S4"):
            runs: Runs = {
                "unspool": training(unspool(cell, shape), x, gradient),
                "torch.nn": training(torch_nn(cell, shape), x, gradient),
            }
            table.row(f"{kind} batch-one training ratio", "S4", runs, gflop(cell, shape, True))


def streaming(table: Table) -> None:
    """S1: one step at batch 1 on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for hidden in (256, 512) if table.quick else (64, 128, 256, 512, 1024):
        if not table.wanted("streaming", "S1", "lstm"):
            continue
        cell, shape = LSTM(), Shape(1, 1, hidden, hidden)
        stream, module, single = unspool(cell, shape).eval().stream(), torch_nn(cell, shape), torch.nn.LSTMCell(hidden, hidden)
        x, zeros = torch.randn(1, hidden), torch.zeros(1, hidden)
        session = onnx(cell, shape, 1)
        runs: Runs = {
            "unspool": partial(stream.step, x),
            "torch.nn": inference(module, x[None]),
            "torch LSTMCell": inference(single, x, (zeros, zeros)),
        }
        if session:
            runs["onnxruntime"] = session
        eight_bits = int8(cell, shape, 1, module, x[None])
        table.row("streaming step ratio", f"S1, H = {hidden}", runs, steps=200, less_exact=eight_bits)
    torch.set_num_threads(before)


def memory(table: Table) -> None:
    """What a process that trains has at most in memory, beyond what it had before."""
    for name in ("C1", "C8"):
        for kind in CELLS:
            if table.wanted(kind, "memory", name) and not table.quick:
                ours, theirs = (peak_memory(kind, name, who) for who in ("unspool", "torch.nn"))
                print(f"{kind + ' training memory, MB':28} {name:18} {ours:12.0f}   torch.nn {theirs:.0f}")
                table.keep(f"{kind} training memory, MB", name, round(ours), "lower", {"torch.nn": round(theirs)})


def errors(table: Table) -> None:
    """The largest difference to float64, values and gradients, relative to the largest value; torch's beside it."""
    for kind, cell in CELLS.items():
        if not table.wanted(kind, "error", "C1"):
            continue
        shape = SHAPES["C1"]
        torch.manual_seed(0)
        module = torch_nn(cell, shape)
        weights = torch_engine.unflat(cell, [p.detach() for p in module.all_weights[0]])  # type: ignore[attr-defined]
        x, gradient = torch.randn(shape.B, shape.T, shape.D), torch.randn(shape.B, shape.T, shape.H)

        def outcome(
            engine: Any, dtype: torch.dtype, cell: Cell = cell, weights: Weights = weights, x: Any = x, gradient: Any = gradient
        ) -> list[Any]:
            leaves = [t.to(dtype).requires_grad_() for t in weights]
            state = tuple(torch.zeros(len(x), weights.W.shape[1], dtype=dtype) for _ in cell.state)
            y = engine.run(cell, Weights(*leaves), x.to(dtype), None, state).y
            return [y, *torch.autograd.grad(y, [t for t in leaves if t.numel()], gradient.to(dtype))]

        truth = outcome(reference, torch.float64)
        error = {
            name: max(
                ((m.double() - t).abs().max() / t.abs().max()).item() for m, t in zip(outcome(e, torch.float32), truth, strict=True)
            )
            for name, e in {"unspool": native, "torch.nn": torch_engine}.items()
        }
        print(f"{kind + ' error against float64':28} {'C1':18} {error['unspool']:12.1e}   torch.nn {error['torch.nn']:.1e}")
        table.keep(f"{kind} error against float64", "C1", error["unspool"], "lower", {"torch.nn": error["torch.nn"]})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a few shapes, in about a minute; nothing is recorded")
    options.add_argument("--only", nargs="*", default=[], help="rows whose measure or shape contains each of these words")
    given = options.parse_args()
    table = Table(given.quick, given.only)
    torch.manual_seed(0)
    torch.set_num_threads(2)
    layers(table, 2, ["C1", "C4", "C8"] if given.quick else [name for name in SHAPES if name != "S4"])
    batch_one(table)
    lengths(table)
    peepholes(table)
    streaming(table)
    own_cell(table)
    if not given.quick:
        for rows in (compiling, rounded, halves, recompute, linear):
            rows(table)
    errors(table)
    memory(table)
    if not given.quick:
        torch.set_num_threads(1)
        layers(table, 1, ["C1", "C4"])
    print(json.dumps({"isa": native.isa(), "records": table.records}))


if __name__ == "__main__":
    main()
