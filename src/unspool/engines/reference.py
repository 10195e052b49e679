"""The truth: the equation, one step after the other. Every other engine is tested against this one, in value and gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unspool.cells import Cell, Gate
from unspool.engines.weights import Ran, State, Weights

__all__ = ["advance", "refusal", "run", "step"]


class Names:
    """Values by name. Unlike `types.SimpleNamespace`, torch.compile sees through it."""

    def __init__(self, **values: Any):
        for name, value in values.items():
            setattr(self, name, value)


def refusal(cell: Cell, device: torch.device, dtype: torch.dtype, trace: Sequence[str] = ()) -> str | None:
    """Why this engine cannot serve; it always can."""
    return None


def run(
    cell: Cell,
    weights: Weights,
    x: Tensor,
    lengths: Tensor | None,
    state: State,
    *,
    reverse: bool = False,
    trace: Sequence[str] = (),
) -> Ran:
    """Runs a cell over x (B, T, D) from `state`; in `reverse`, each sequence from its own last step to its first."""
    # W x<t> + b for all t at once; unbound at once too, for the gradient of each indexing would be as large as the whole
    products = (torch.einsum("btd,ghd->tbgh", x, weights.W) + weights.b).unbind()
    ys: list[Tensor] = []
    traced: dict[str, list[Tensor]] = {name: [] for name in trace}
    order = range(x.shape[1])
    for t in reversed(order) if reverse else order:
        new, gates = advance(cell, weights, products[t], state)
        if lengths is not None:
            alive = (t < lengths)[:, None]
            state = tuple(torch.where(alive, n, old) for n, old in zip(new, state, strict=True))
            ys.append(torch.where(alive, new[0], 0.0))
        else:
            state = new
            ys.append(new[0])
        for name, values in traced.items():
            values.append(new[cell.state.index(name)] if name in cell.state else getattr(gates, name).value)

    def over_time(values: list[Tensor]) -> Tensor:
        return torch.stack(values[::-1] if reverse else values, dim=1)

    return Ran(over_time(ys), state, {name: over_time(values) for name, values in traced.items()})


def step(cell: Cell, weights: Weights, x: Tensor, state: State) -> State:
    """One step: x (B, D) and the old state to the new state."""
    return advance(cell, weights, torch.einsum("bd,ghd->bgh", x, weights.W) + weights.b, state)[0]


def advance(cell: Cell, weights: Weights, product: Tensor, state: State) -> tuple[State, Names]:
    """The equation, given W x<t> + b as (B, G, H): the new state, and the gates that made it."""
    used = cell.products
    read = state[cell.fed_back]
    within: dict[str, Gate] = {}
    fed = weights.U[: used.recurrent.index(used.fed[-1]) + 1 if used.fed else 0]
    through = (read @ fed.flatten(0, 1).T).view(len(read), *fed.shape[:2])  # U s<t-1> of all gates that have it

    def gate(index: int, name: str) -> Gate:
        x = product[:, index]
        if name not in used.recurrent:
            return Gate(x, None, lambda v: x)
        place = used.recurrent.index(name)
        U, h = weights.U[place], through[:, place] if name in used.fed else None
        if h is not None and name in used.split:
            h = h + weights.b_h[used.split.index(name)]

        def of(v: Tensor | Gate) -> Tensor:
            within[name] = Gate(x, (v.value if isinstance(v, Gate) else v) @ U.T, of)
            return within[name].value

        return Gate(x, h, of)

    gates = Names(**{name: gate(index, name) for index, name in enumerate(cell.gates)})
    states = Names(**dict(zip(cell.state, state, strict=True)))
    parameters = Names(**dict(zip(cell.parameters, weights.p, strict=True)))
    new = cell.advance(gates, states, parameters)
    for name, taken in within.items():  # a gate taken `of` a value was that
        setattr(gates, name, taken)
    return new, gates
