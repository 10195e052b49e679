"""A speech recogniser: what is heard, what is said, and where words begin and end."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from unspool.models.ctc import CTC
from unspool.models.listener import Listener
from unspool.models.transducer import Transducer
from unspool.sequences import Sequences

__all__ = ["Recogniser"]


class Recogniser(nn.Module):
    """A listener; a head that says symbols, by CTC or as a transducer; and `marks`, which says of each step whether it is a gap
    between words, the start of one, or inside (of which word, where there are few)."""

    def __init__(self, listener: Listener, head: CTC | Transducer, marks: int):
        super().__init__()
        self.listener, self.head = listener, head
        self.marks = nn.Linear(listener.stack.output_size, marks)

    def forward(self, batch: Sequences) -> Sequences:
        """Pressure values (B, N) to hidden states (B, T, H)."""
        return self.listener(batch)

    def loss(self, batch: Sequences, y: Tensor, said: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
        """-log p in nats (B,) of the symbols y (B, U), and the mean -log p of the marks (B, T) that are known, that is, not -1."""
        h = self(batch)
        known = marks >= 0
        wrong = F.cross_entropy(self.marks(h.values)[known], marks[known]) if known.any() else h.values.sum() * 0
        return self.head.nll(h.values, h.lengths, y, said), wrong
