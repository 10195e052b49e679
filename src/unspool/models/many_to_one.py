"""Many to one: a sequence in, one answer out, as a rating of a review."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unspool.errors import ConfigError
from unspool.layers import Recurrent, dropout, variational_dropout
from unspool.sequences import Sequences, mask

__all__ = ["POOLS", "ManyToOne"]

POOLS = ("last", "mean", "max", "attention")


class ManyToOne(nn.Module):
    """embed -> recurrent stack -> pooling over the true steps -> head.

    `embed` maps values (B, T, ...) to (B, T, D). `pooling`: the last output (of both directions), their mean, their maximum, or a
    mean whose weights are learned (attention with one query, Lin et al. 2017). Dropout: on the input, inside the stack (the stack's
    own), on the output.
    """

    def __init__(
        self,
        embed: nn.Module,
        stack: Recurrent,
        head: nn.Module,
        *,
        pooling: str = "last",
        input_dropout: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        if pooling not in POOLS:
            raise ConfigError(f"pooling is one of {', '.join(POOLS)}, not {pooling!r}")
        self.embed, self.stack, self.head, self.pooling = embed, stack, head, pooling
        self.input_dropout, self.dropout = input_dropout, dropout
        self.weigh = nn.Linear(stack.output_size, 1) if pooling == "attention" else None

    def forward(self, batch: Sequences) -> Tensor:
        """One vector (B, H) a sequence, for the head."""
        return self.read(self.embed(batch.values), batch.lengths)

    def read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """One vector (B, H) a sequence of embedded steps x (B, T, D)."""
        x = variational_dropout(x, self.input_dropout, self.training)
        y, state = self.stack(x, lengths)
        return dropout(self.pooled(y, state[0], lengths), self.dropout, self.training)

    def pooled(self, y: Tensor, last: Tensor, lengths: Tensor) -> Tensor:
        """What the stack gave, outputs (B, T, H) and last states (L, B, H), as one vector (B, H) a sequence."""
        if self.pooling == "last":
            return torch.cat([*last[-2:]], dim=1) if self.stack.bidirectional else last[-1]
        inside = mask(lengths, y.shape[1])[:, :, None]
        if self.pooling == "max":
            return y.masked_fill(~inside, -torch.inf).amax(1)
        if self.weigh is not None:
            return (self.weigh(y).masked_fill(~inside, -torch.inf).softmax(1) * y).sum(1)
        return (y * inside).sum(1) / lengths[:, None].clamp(min=1)

    def nll(self, batch: Sequences, y: Tensor) -> Tensor:
        """-log p of each sequence's answer, (B,) in nats."""
        return self.head.nll(self(batch), y)  # type: ignore[operator]
