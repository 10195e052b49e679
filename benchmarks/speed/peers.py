"""What runs the same recurrence: Unspool's engines, torch.nn, torch cell loops, onnxruntime."""

from __future__ import annotations

import importlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from unspool import cells
from unspool.cells import Cell
from unspool.engines import reference
from unspool.layers import Recurrent

MODULES = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}


class Shape(NamedTuple):
    """Sequences, steps, inputs, units, layers."""

    B: int
    T: int
    D: int
    H: int
    layers: int = 1
    bidirectional: bool = False


SHAPES = {
    "C1": Shape(64, 50, 500, 500),
    "C2": Shape(20, 35, 200, 200, 2),
    "C3": Shape(20, 35, 650, 650, 2),
    "C4": Shape(32, 100, 128, 128),
    "C5": Shape(128, 28, 28, 128),
    "C6": Shape(16, 1024, 768, 768),
    "C7": Shape(64, 128, 512, 512, 2),
    "C7 bidirectional": Shape(64, 128, 512, 512, 2, True),
    "C8": Shape(64, 314, 71, 300, 2),
    "C9": Shape(64, 100, 512, 512, 3),
    "S4": Shape(1, 200, 256, 256),
}


def gflop(cell: Cell, shape: Shape, training: bool, share: float = 1.0) -> float:
    """What is multiplied and added, in 1e9 operations, x needing no gradient; `share` of the steps are run."""
    gates, directions = len(cell.gates), 2 if shape.bidirectional else 1
    total = 0.0
    for layer in range(shape.layers):
        inputs = shape.H * directions if layer else shape.D
        forward = 2.0 * shape.B * shape.T * gates * shape.H * (inputs + shape.H)
        through = 2.0 * shape.B * shape.T * gates * shape.H * (shape.H + (inputs if layer else 0))
        total += directions * (2 * forward + through if training else forward)
    return total * share / 1e9


def unspool(cell: Cell, shape: Shape) -> Recurrent:
    return Recurrent(cell, shape.D, shape.H, layers=shape.layers, bidirectional=shape.bidirectional, engine="native")


def torch_nn(cell: Cell, shape: Shape) -> nn.Module:
    kind = MODULES[type(cell).__name__]
    return kind(shape.D, shape.H, shape.layers, batch_first=True, bidirectional=shape.bidirectional)


class Loop(nn.Module):
    """A cell as one writes it in torch: a loop over time of elementwise operations and one product with all gates."""

    def __init__(self, cell: Cell, shape: Shape):
        super().__init__()
        self.inner = Recurrent(cell, shape.D, shape.H, engine="reference")
        self.cell = cell

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        weights = self.inner.stack[0].weights()  # type: ignore[operator]
        state = tuple(x.new_zeros(len(x), self.inner.hidden_size) for _ in self.cell.state)
        return reference.run(self.cell, weights, x, None, state)[:2]


_FLOAT = 1  # as onnx.TensorProto numbers its types


def int8(cell: Cell, shape: Shape, threads: int, module: nn.Module, x: Tensor) -> dict[str, Callable[[], Any]]:
    """The peers' dynamic quantization to 8 bits, where they have it for the cell; less exact than what it stands beside."""
    runs: dict[str, Callable[[], Any]] = {}
    with warnings.catch_warnings():  # torch announces that another package will take over
        warnings.simplefilter("ignore")
        if type(cell).__name__ in ("LSTM", "GRU"):
            small = torch.ao.quantization.quantize_dynamic(nn.Sequential(module), {type(module)}, torch.qint8)
            runs["torch dynamic int8"] = lambda: small(x)
    session = onnx(cell, shape, threads, small=True) if type(cell).__name__ == "LSTM" else None
    return runs | ({"onnxruntime dynamic int8": session} if session else {})


def onnx(cell: Cell, shape: Shape, threads: int, small: bool = False) -> Any:
    """An onnxruntime session of the ONNX operator, or None where packages or operator are missing. `small`: int8 weights."""
    try:
        onnxruntime, helper, arrays = map(importlib.import_module, ("onnxruntime", "onnx.helper", "onnx.numpy_helper"))
    except ImportError:
        return None
    kind, gates = type(cell).__name__, len(cell.gates)
    if shape.layers > 1 or cell.options:
        return None
    rng = np.random.default_rng(0)
    sizes = {"W": (1, gates * shape.H, shape.D), "R": (1, gates * shape.H, shape.H), "Bias": (1, 2 * gates * shape.H)}
    weights = [arrays.from_array((rng.standard_normal(s) * 0.04).astype(np.float32), n) for n, s in sizes.items()]
    states = ["h0", "c0"] if kind == "LSTM" else ["h0"]
    after = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = helper.make_node(
        kind, ["X", "W", "R", "Bias", "", *states], ["Y", *(s + "_n" for s in states)], hidden_size=shape.H, **after
    )

    def described(name: str, *size: int) -> Any:
        return helper.make_tensor_value_info(name, _FLOAT, size)

    inputs = [described("X", shape.T, shape.B, shape.D), *(described(s, 1, shape.B, shape.H) for s in states)]
    outputs = [described("Y", shape.T, 1, shape.B, shape.H), *(described(s + "_n", 1, shape.B, shape.H) for s in states)]
    graph = helper.make_graph([node], kind, inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    serialized = model.SerializeToString()
    if small:
        quantization = importlib.import_module("onnxruntime.quantization")
        with tempfile.TemporaryDirectory() as folder:
            quantization.quantize_dynamic(model, Path(folder) / "small.onnx")
            serialized = (Path(folder) / "small.onnx").read_bytes()
    session = onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
    feed = {"X": rng.standard_normal((shape.T, shape.B, shape.D)).astype(np.float32)}
    feed |= {s: np.zeros((1, shape.B, shape.H), np.float32) for s in states}
    return lambda: session.run(None, feed)


CELLS: dict[str, Cell] = {"lstm": cells.LSTM(), "gru": cells.GRU(), "rnn": cells.RNN()}
