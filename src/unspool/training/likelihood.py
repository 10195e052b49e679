"""The loss of a one-to-many model on batches in order, for every task that has one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unspool.models import OneToMany
from unspool.training.feeds import Batch
from unspool.training.loop import Carry

__all__ = ["Likelihood"]


class Likelihood:
    """What the loop asks for, and the total over a feed."""

    def __init__(self, model: OneToMany):
        self.model = model

    def steps(self, batch: Batch, carry: Carry) -> tuple[Tensor, Carry]:
        """-log P of each step (B, T) in nats, 0 on padding, and the state to carry."""
        batch = batch.to(next(self.model.parameters()).device)
        nll, state = self.model.nll(batch.inputs, batch.targets, batch.start(carry))
        return nll * batch.inside, tuple(s.detach() for s in state)

    def loss(self, batch: Batch, carry: Carry) -> tuple[Tensor, int, Carry]:
        """The summed loss in nats, how many steps it counts, and the state to carry."""
        nll, state = self.steps(batch, carry)
        return nll.sum(), batch.counted, state

    @torch.inference_mode()
    def total(self, feed: Any) -> tuple[float, int, float, int]:
        """The total in nats and the steps counted; and the same of the first steps of pieces alone."""
        total, count, first, begun, state = 0.0, 0, 0.0, 0, None
        for batch in feed.epoch(-1):
            nll, state = self.steps(batch, state)
            total, count = total + float(nll.double().sum()), count + batch.counted
            if batch.fresh:
                first, begun = first + float(nll[:, 0].double().sum()), begun + len(nll)
        return total, count, first, begun
