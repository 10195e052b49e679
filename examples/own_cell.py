"""A cell that torch does not have, at native speed: the sLSTM of xLSTM (Beck et al. 2024), from its equations.

`python examples/own_cell.py` compiles it, checks it against the loop one would write in torch, and says how much faster it is.
"""

import time

import torch

from unspool.cells import Cell
from unspool.cells.ops import exp, log, maximum, sigmoid, tanh
from unspool.layers import Recurrent


class SLSTM(Cell):
    """Exponential gates: what is new can outweigh all that was, since the memory c is divided by the weight n that went into it. m
    holds the largest exponent, so that nothing overflows (equations 8 to 17)."""

    state = ("a", "c", "n", "m")
    gates = ("update", "forget", "candidate", "output")
    bias = {"forget": 3.0}  # noqa: RUF012  remember at first

    def step(self, gate, state):
        kept = log(sigmoid(gate.forget)) + state.m
        m = maximum(kept, gate.update)
        update, forget = exp(gate.update - m), exp(kept - m)
        c = forget * state.c + update * tanh(gate.candidate)
        n = forget * state.n + update
        return sigmoid(gate.output) * c / n, c, n, m


def main() -> None:
    torch.manual_seed(0)
    layers = {name: Recurrent(SLSTM(), 128, 128, engine=name) for name in ("native", "reference")}
    layers["reference"].load_state_dict(layers["native"].state_dict())
    x, seconds, found = torch.randn(32, 100, 128), {}, {}
    for name, layer in layers.items():
        layer(x)[0].sum().backward()  # the first call compiles
        began = time.perf_counter()
        for _ in range(5):
            layer.zero_grad()
            y, _ = layer(x)
            y.sum().backward()
        seconds[name], found[name] = time.perf_counter() - began, [y, *(p.grad for p in layer.parameters() if p.numel())]
    far = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(found["native"], found["reference"], strict=True))
    print(f"values and gradients agree to {far:.0e} of the largest")
    print(f"training: {seconds['reference'] / seconds['native']:.1f} times as fast as the loop")


if __name__ == "__main__":
    main()
