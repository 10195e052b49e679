"""Many to one: a sequence in, one answer out, as a rating of a review."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unspool.errors import ConfigError
from unspool.layers import Recurrent
from unspool.sequences import Sequences, mask

__all__ = ["ManyToOne"]

_POOLS = ("last", "mean", "max")


class ManyToOne(nn.Module):
    """embed -> recurrent stack -> pooling over the true steps -> head.

    `embed` maps values (B, T, ...) to (B, T, D). `pooling`: the last output (of both directions), their mean, or their maximum.
    """

    def __init__(self, embed: nn.Module, stack: Recurrent, head: nn.Module, *, pooling: str = "last"):
        super().__init__()
        if pooling not in _POOLS:
            raise ConfigError(f"pooling is one of {', '.join(_POOLS)}, not {pooling!r}")
        self.embed, self.stack, self.head, self.pooling = embed, stack, head, pooling

    def forward(self, batch: Sequences) -> Tensor:
        """One vector (B, H) a sequence, for the head."""
        y, state = self.stack(self.embed(batch.values), batch.lengths)
        if self.pooling == "last":
            return torch.cat([*state[0][-2:]], dim=1) if self.stack.bidirectional else state[0][-1]
        inside = mask(batch.lengths, y.shape[1])[:, :, None]
        if self.pooling == "max":
            return y.masked_fill(~inside, -torch.inf).amax(1)
        return (y * inside).sum(1) / batch.lengths[:, None].clamp(min=1)

    def nll(self, batch: Sequences, y: Tensor) -> Tensor:
        """-log p of each sequence's answer, (B,) in nats."""
        return self.head.nll(self(batch), y)  # type: ignore[operator]
