"""Many to many of equal lengths: an answer for every step, as the tag of a word or the label of a base."""

from __future__ import annotations

from torch import Tensor, nn

from unspool.engines import State
from unspool.layers import Recurrent
from unspool.sequences import Sequences, mask

__all__ = ["ManyToMany"]


class ManyToMany(nn.Module):
    """embed -> recurrent stack -> head at every step. `embed` maps values (B, T, ...) to (B, T, D)."""

    def __init__(self, embed: nn.Module, stack: Recurrent, head: nn.Module):
        super().__init__()
        self.embed, self.stack, self.head = embed, stack, head

    def forward(self, batch: Sequences, state: State | None = None) -> tuple[Tensor, State]:
        """Hidden states (B, T, H) for the head, and the last state."""
        return self.stack(self.embed(batch.values), batch.lengths, state)

    def nll(self, batch: Sequences, y: Tensor) -> Tensor:
        """-log p of each step's answer, (B, T) in nats, 0 on padding."""
        h, _ = self(batch)
        return self.head.nll(h, y) * mask(batch.lengths, h.shape[1])  # type: ignore[operator]
