"""DNA, read on both strands at once by the same weights: an answer for every few bases."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.layers import Recurrent, dropout

__all__ = ["CLASSES", "STEP", "Strands"]

STEP = 9  # bases; a multiple of three, so a gene stays in one frame from step to step
CLASSES = 7  # no gene, or one on the forward strand in frame 0, 1, 2, or on the backward strand
REACH = 6, 3, 5  # on either side of what the convolutions see, in bases, in codons, and in codons where a gene may start
NEAR = 48  # channels of the last


class Strands(nn.Module):
    """one-hot bases -> a convolution over codons, one over steps of nine bases -> bidirectional stack -> heads. What starts a gene
    stands close by, so the head of starts also looks at the codons themselves.

    A forward gene [s, e) is in frame s mod 3, a backward one in frame e mod 3, both from the first base of the window on. Both
    strands run through the same weights, and what is said of a place is the mean of both: so the answer for the reverse
    complement is exactly the mirrored answer.
    """

    _mirror: Tensor

    def __init__(self, stack: Recurrent, *, channels: int = 64, dropout: float = 0.0):
        super().__init__()
        self.codons = nn.Conv1d(4, channels, 2 * REACH[0] + 3, stride=3, padding=REACH[0])
        self.steps = nn.Conv1d(channels, stack.input_size, 2 * REACH[1] + 3, stride=3, padding=REACH[1])
        self.near = nn.Conv1d(channels, NEAR, 2 * REACH[2] + 1, padding=REACH[2])
        self.local = nn.Conv1d(NEAR, 2 * 3, 1)
        for conv in (self.codons, self.steps, self.near):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        self.stack, self.dropout = stack, dropout
        self.frames = nn.Linear(stack.output_size, CLASSES)
        self.starts = nn.Linear(stack.output_size, 2 * STEP)  # of forward genes at each base, and of backward ones
        mirror = [0, *(4 + -f % 3 for f in range(3)), *(1 + -f % 3 for f in range(3))]
        self.register_buffer("_mirror", torch.tensor(mirror), persistent=False)

    def forward(self, bases: Tensor) -> tuple[Tensor, Tensor]:
        """Bases (B, L), 0 to 3 or 4 for an unknown one, L a multiple of nine, to the logits of classes (B, L / 9, 7), and of a
        start at each base: (B, L, 2), forward ones at their first base, backward ones at their last."""
        B = len(bases)
        codons, x = self.read(bases)
        h, _ = self.stack(dropout(x, self.dropout, self.training))
        h = dropout(h, self.dropout, self.training)
        starts = self.starts(h).unflatten(2, (2, STEP))
        local = self.local(F.relu(self.near(codons))).transpose(1, 2).unflatten(2, (3, 2)).flatten(1, 2)
        starts = starts.transpose(2, 3).flatten(1, 2) + local  # (2B, L, 2)
        return self.both(h[:B], h[B:]), (starts[:B] + starts[B:].flip(1, 2)) / 2

    def read(self, bases: Tensor) -> tuple[Tensor, Tensor]:
        """Bases (B, L) to codons (2B, C, L / 3), and to what the stack reads, (2B, L / 9, D): strands given, then others."""
        known = F.one_hot(bases.long(), 5)[:, :, :4].to(self.frames.weight.dtype)
        codons = F.relu(self.codons(torch.cat([known, known.flip(1, 2)]).transpose(1, 2)))
        return codons, F.relu(self.steps(codons)).transpose(1, 2)

    def both(self, own: Tensor, other: Tensor) -> Tensor:
        """The logits of classes (B, T, 7), from what the stack gives of each strand, (B, T, H), the other one backward."""
        return (self.frames(own) + self.frames(other).flip(1)[:, :, self._mirror]) / 2
