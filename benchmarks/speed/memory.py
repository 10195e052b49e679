"""The memory that training takes, each in a process of its own: `python -m benchmarks.speed.memory KIND SHAPE unspool|torch.nn`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["peak_memory"]


def peak_memory(kind: str, shape: str, who: str) -> float:
    """MB at the highest of three training steps, beyond what the process had before the first."""
    command = [sys.executable, "-m", "benchmarks.speed.memory", kind, shape, who]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _highest() -> float:
    """MB, of this process alone: what getrusage gives is handed down by the parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main(kind: str, name: str, who: str) -> None:
    import torch

    from benchmarks.speed.peers import CELLS, SHAPES, Shape, torch_nn, unspool

    torch.set_num_threads(2)
    make = unspool if who == "unspool" else torch_nn

    def step(shape: Shape) -> None:
        x, gradient = torch.randn(shape.B, shape.T, shape.D), torch.randn(shape.B, shape.T, shape.H)
        make(CELLS[kind], shape)(x)[0].backward(gradient)

    step(Shape(2, 2, 2, 2))  # what the first call brings with it, whatever its size
    before = _highest()
    for _ in range(3):
        step(SHAPES[name])
    print(_highest() - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
