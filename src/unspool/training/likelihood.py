"""The loss of a one-to-many model on batches in order, for every task that has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unspool.models import OneToMany
from unspool.models.cache import Cache, KeyCache
from unspool.training.feeds import Batch
from unspool.training.loop import Carry

__all__ = ["Likelihood", "Total"]


@dataclass
class Total:
    """-log P in nats over a feed: of all steps; without the cache; of the first steps of sequences, both; and how many."""

    nats: float = 0.0
    own: float = 0.0
    first: float = 0.0
    first_own: float = 0.0
    steps: int = 0
    begun: int = 0


class Likelihood:
    """What the loop asks for, and the total over a feed."""

    def __init__(self, model: OneToMany):
        self.model = model

    def loss(self, batch: Batch, carry: Carry) -> tuple[Tensor, int, Carry]:
        """The summed loss of a batch in nats, how many steps it counts, and the state to carry."""
        batch = batch.to(next(self.model.parameters()).device)
        nll, state = self.model.nll(batch.inputs, batch.targets, batch.start(carry))
        return (nll * batch.inside).sum(), batch.counted, tuple(s.detach() for s in state)

    def _looked_up(self, cache: Cache, h: Tensor, targets: Tensor, own: Tensor) -> Tensor:
        return cache.nll(h, targets, self.model.head(h) if isinstance(cache, KeyCache) else own)

    @torch.inference_mode()
    def total(self, feed: Any, *, cached: bool = False) -> Total:
        """Over a feed in its order, each sequence with a cache of its own where the model has one and it is asked for."""
        found, state, cache = Total(), None, None
        for batch in feed.epoch(-1):
            batch = batch.to(next(self.model.parameters()).device)
            if batch.fresh:
                cache = self.model.memory(len(batch.inputs)) if cached else None
            elif cache and state and len(batch.inputs) < state[0].shape[1]:
                cache.keep(torch.arange(len(batch.inputs), device=batch.inputs.device))
            h, state = self.model(batch.inputs, batch.start(state))
            own = self.model.head.nll(h, batch.targets)  # type: ignore[operator]
            nll = self._looked_up(cache, h, batch.targets, own) if cache else own
            found.nats += float((nll * batch.inside).double().sum())
            found.own += float((own * batch.inside).double().sum())
            found.steps += batch.counted
            if batch.fresh:
                found.first += float(nll[:, 0].double().sum())
                found.first_own += float(own[:, 0].double().sum())
                found.begun += len(nll)
        return found
