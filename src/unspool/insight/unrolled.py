"""A recurrent stack spread out over time: every state of every layer, to be looked at or differentiated by."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unspool.engines import Weights, reference
from unspool.equations import in_order
from unspool.equations import trace as traced
from unspool.errors import CellError
from unspool.layers import Recurrent

__all__ = ["Unrolled", "gates", "unroll"]

SQUASHED = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}


class Unrolled(NamedTuple):
    """What a stack gave, y (B, T, H), and its states: `states[layer][name][t]` is (B, H), a part of the graph that led to y. The
    layers of a bidirectional stack come in torch's order, forward and backward in turn."""

    y: Tensor
    states: list[dict[str, list[Tensor]]]


def unroll(stack: Recurrent, x: Tensor, mute: tuple[int, str, int] | None = None) -> Unrolled:
    """Runs a stack over x (B, T, D) from a zero state, by the reference engine, in evaluation, its weights constants. `mute`: a
    layer, a state and the unit of it that is held at 0."""
    states: list[dict[str, list[Tensor]]] = []
    directions = 2 if stack.bidirectional else 1
    kept = x.new_ones(len(stack.cell.state), stack.hidden_size)
    if mute:
        kept[stack.cell.state.index(mute[1]), mute[2]] = 0
    for depth in range(stack.layers):
        ys = []
        for layer in stack.stack[depth * directions : (depth + 1) * directions]:
            muted = mute is not None and mute[0] == len(states)
            weights = Weights(*(w.detach() for w in layer.weights()))  # type: ignore[operator]
            products = (torch.einsum("btd,ghd->tbgh", x, weights.W) + weights.b).unbind()
            state = tuple(x.new_zeros(len(x), stack.hidden_size).requires_grad_() for _ in stack.cell.state)
            places = range(x.shape[1])
            found: list[tuple[Tensor, ...]] = [()] * x.shape[1]
            for t in reversed(places) if layer.reverse else places:
                state, _ = reference.advance(stack.cell, weights, products[t], state)
                if muted:
                    state = tuple(s * k for s, k in zip(state, kept, strict=True))
                found[t] = state
            ys.append(torch.stack([state[0] for state in found], 1))
            states.append({name: [state[i] for state in found] for i, name in enumerate(stack.cell.state)})
        x = stack.joined(x, torch.cat(ys, 2))
    return Unrolled(x, states)


@torch.no_grad()
def gates(stack: Recurrent, x: Tensor) -> list[dict[str, Tensor]]:
    """The gates, as the equation squashes them, and the states of each layer over x (B, T, D): (B, T, H) by name. By any engine."""
    squash = _squashes(stack)
    names = (*stack.cell.gates, *stack.cell.state)
    found: list[dict[str, Tensor]] = []
    directions = 2 if stack.bidirectional else 1
    zero = stack.zero_state(len(x), x)
    for depth in range(stack.layers):
        ys = []
        for i in range(depth * directions, (depth + 1) * directions):
            ran = stack.stack[i](x, None, tuple(s[i] for s in zero), names)
            ys.append(ran.y)
            found.append({name: SQUASHED[squash[name]](v) if name in squash else v for name, v in ran.trace.items()})
        x = stack.joined(x, torch.cat(ys, 2))
    return found


def _squashes(stack: Recurrent) -> dict[str, str]:
    """Which function the equation sends each gate's sum through. A gate that is used in halves, or through none, is left as it
    is."""
    try:
        equation = traced(stack.cell)
    except CellError:  # beyond what is traced: its gates are known by convention
        return {g: "tanh" if g == "candidate" else "sigmoid" for g in stack.cell.gates}
    found: dict[str, str] = {}
    for node in in_order(equation.values):
        found |= {slot.gate: node.op for slot in equation.slots if node.op in SQUASHED and slot.node in node.args and not slot.half}
    return found
