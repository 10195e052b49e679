"""How much a loss depends on what a network remembered earlier: the gradient through time, and its half-life."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from unspool.engines import State, reference
from unspool.errors import ConfigError
from unspool.insight.unrolled import unroll
from unspool.layers import Recurrent

__all__ = ["ThroughTime", "half_life", "jacobian_norms", "through_time"]


class ThroughTime(NamedTuple):
    """||dL/ds<t>|| of a loss by distance from its step: `norms["layer 1, c"][k]` is k steps away."""

    norms: dict[str, list[float]]
    half_lives: dict[str, float]  # steps


def through_time(stack: Recurrent, x: Tensor, losses: Callable[[Tensor, State], Tensor], at: int | None = None) -> ThroughTime:
    """||dL/ds<t>|| of each layer and state, exactly: a vector-Jacobian product through all later steps and layers.

    `losses` maps outputs (1, T, H) and the last states, in torch's order, to the loss of each step (T,), of which the last is
    looked at, or to the one loss (1,). Distances count from the step `at`, which that loss is about; else those of a forward layer
    from the last step, and those of a backward one from the first.
    """
    y, states = unroll(stack, x)
    back = [stack.bidirectional and i % 2 == 1 for i in range(len(states))]
    state = tuple(
        torch.stack([own[name][0 if b else -1] for own, b in zip(states, back, strict=True)]) for name in stack.cell.state
    )
    places = [
        f"layer {i // 2 + 1} {'backward' if b else 'forward'}" if stack.bidirectional else f"layer {i + 1}"
        for i, b in enumerate(back)
    ]
    ordered = {
        f"{place}, {name}": own[name][at or 0 :] if b else own[name][at::-1]
        for place, b, own in zip(places, back, states, strict=True)
        for name in own
    }
    tensors = [s for own in ordered.values() for s in own]
    found = iter(torch.autograd.grad(losses(y, state)[-1], tensors, allow_unused=True))
    norms = {key: [0.0 if g is None else float(g.norm()) for g in islice(found, len(own))] for key, own in ordered.items()}
    return ThroughTime(norms, {key: half_life(values) for key, values in norms.items()})


def half_life(norms: Sequence[float]) -> float:
    """In how many steps the norm halves, by a line through its logarithm; infinity where it does not fall.

    It falls roughly as a power of a factor, and the line weighs all distances at which it stands above a millionth of its largest
    value alike.
    """
    largest = max(norms, default=0.0)
    points = [(k, math.log2(v)) for k, v in enumerate(norms) if v > 1e-6 * largest]
    if len(points) < 2:
        return 0.0
    mean_k, mean_v = (sum(p[i] for p in points) / len(points) for i in (0, 1))
    slope = sum((k - mean_k) * (v - mean_v) for k, v in points) / sum((k - mean_k) ** 2 for k, v in points)
    return -1 / slope if slope < -1e-9 else math.inf


def jacobian_norms(stack: Recurrent, x: Tensor, layer: int = 0) -> list[float]:
    """||ds<T>/ds<T-k>|| (Frobenius) of a layer's whole state by distance k, exactly; time and memory O(T H^2): for small models."""
    if stack.bidirectional:
        raise ConfigError("the Jacobian through time is of a layer that reads in one direction")
    own = stack.stack[layer]
    weights = own.weights()  # type: ignore[operator]
    with torch.no_grad():
        for below in range(layer):
            ran = stack.stack[below](x, None, tuple(x.new_zeros(1, stack.hidden_size) for _ in stack.cell.state))
            x = stack.joined(x, ran.y)
        products = torch.einsum("btd,ghd->tbgh", x, weights.W) + weights.b
    size = len(stack.cell.state) * stack.hidden_size

    def step(joined: Tensor, product: Tensor) -> Tensor:
        state = tuple(joined.view(len(stack.cell.state), 1, -1))
        return torch.cat([s[0] for s in reference.advance(stack.cell, weights, product, state)[0]])

    state, jacobians = x.new_zeros(size), []
    for product in products:
        jacobians.append(torch.autograd.functional.jacobian(lambda s, p=product: step(s, p), state).detach())
        state = step(state, product).detach()
    total, norms = torch.eye(size, dtype=x.dtype, device=x.device), []
    for jacobian in reversed(jacobians):
        norms.append(float(total.norm()))
        total = total @ jacobian
    return [*norms, float(total.norm())]
