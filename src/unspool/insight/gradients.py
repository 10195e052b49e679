"""How much a loss depends on what a network remembered earlier: the gradient through time, and its half-life."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unspool.engines import State, reference
from unspool.errors import ConfigError
from unspool.insight.unrolled import unroll
from unspool.layers import Recurrent

__all__ = ["ThroughTime", "half_life", "jacobian_norms", "through_time"]


class ThroughTime(NamedTuple):
    """||dL<t>/ds<t-k>|| by distance k = 0, 1, ..., the mean over the steps t that were looked at: `norms["layer 1, c"][k]`."""

    norms: dict[str, list[float]]
    half_lives: dict[str, float]  # steps
    steps: list[int]  # the t

    def to_json(self) -> dict[str, Any]:
        lives = {name: round(life, 2) if math.isfinite(life) else None for name, life in self.half_lives.items()}
        norms = {name: [float(f"{v:.4g}") for v in values] for name, values in self.norms.items()}
        return {"steps looked at": self.steps, "half-life in steps": lives, "norm by distance": norms}


def through_time(
    stack: Recurrent, x: Tensor, losses: Callable[[Tensor, State], Tensor], steps: Sequence[int] | None = None
) -> ThroughTime:
    """||dL<t>/ds<t-k>|| of each layer and state, exactly: a vector-Jacobian product of each loss, through all later steps and
    layers.

    `losses` maps outputs (1, T, H) and the last states, in torch's order, to the loss of each step (T,), or to one loss (1,).
    `steps` are the t looked at: the last, if not said otherwise, as for a single loss. A backward layer is asked for the states
    after t, which reach L<t> against time; for a single loss, for all from its last, that of the first step, on.
    """
    y, states = unroll(stack, x)
    ends = [0 if stack.bidirectional and i % 2 else -1 for i in range(len(states))]
    state = tuple(torch.stack([own[name][end] for own, end in zip(states, ends, strict=True)]) for name in stack.cell.state)
    loss = losses(y, state)
    last = x.shape[1] - 1
    steps = [last] if steps is None or len(loss) == 1 else list(steps)
    names = [
        f"layer {i // 2 + 1} {'backward' if i % 2 else 'forward'}" if stack.bidirectional else f"layer {i + 1}"
        for i in range(len(states))
    ]
    keys = [(i, name) for i, own in enumerate(states) for name in own]
    tensors = [t for i, name in keys for t in states[i][name]]
    norms = _norms(loss[steps] if len(loss) > 1 else loss, tensors).unflatten(1, (len(keys), last + 1))
    total, count = norms.new_zeros(len(keys), last + 1), norms.new_zeros(len(keys), last + 1)
    for own, t in zip(norms, steps, strict=True):
        for row, (i, _) in enumerate(keys):
            back = stack.bidirectional and i % 2 == 1
            ordered = own[row, 0 if len(loss) == 1 else t :] if back else own[row, : t + 1].flip(0)
            total[row, : len(ordered)] += ordered
            count[row, : len(ordered)] += 1
    rows = zip(keys, total, count, strict=True)
    means = {f"{names[i]}, {name}": (own[n > 0] / n[n > 0]).tolist() for (i, name), own, n in rows}
    return ThroughTime(means, {key: half_life(values) for key, values in means.items()}, steps)


def _norms(losses: Tensor, tensors: Sequence[Tensor]) -> Tensor:
    """||dL_i / dx_j|| of losses (N,) by tensors, (N, number of them): all losses go back together."""
    many = len(losses) > 1
    seeds = torch.eye(len(losses), dtype=losses.dtype, device=losses.device) if many else torch.ones_like(losses)
    found = torch.autograd.grad(losses, tensors, seeds, is_grads_batched=many, allow_unused=True)
    zero = losses.new_zeros(len(losses))
    return torch.stack([zero if g is None else g.reshape(len(losses), -1).norm(dim=1) for g in found], 1)


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
            x = x + ran.y if stack.residual and x.shape == ran.y.shape else ran.y
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
