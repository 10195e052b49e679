"""A batch of variable-length sequences: values and lengths. It is made once, and nothing downstream asks again what was padding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Sequences", "batches_by_length", "mask"]


@dataclass(frozen=True)
class Sequences:
    """Values (B, T, ...) of any kind (ids, floats, frames) and the true lengths (B,); what lies beyond a length means nothing."""

    values: Tensor
    lengths: Tensor

    @classmethod
    def collate(cls, items: Sequence[np.ndarray | Tensor]) -> Sequences:
        """One batch of sequences (T_i, ...), padded with zeros to the longest."""
        tensors = [torch.as_tensor(item) for item in items]
        lengths = torch.tensor([len(item) for item in tensors])
        return cls(torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True), lengths)

    def to(self, device: torch.device | str) -> Sequences:
        return Sequences(self.values.to(device), self.lengths.to(device))

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[Tensor]:
        """Each sequence (T_i, ...) without its padding."""
        return (value[:length] for value, length in zip(self.values, self.lengths.tolist(), strict=True))


def mask(lengths: Tensor, time: int) -> Tensor:
    """True (B, T) where a step belongs to its sequence."""
    return torch.arange(time, device=lengths.device) < lengths[:, None]


def batches_by_length(lengths: Iterable[int], symbols: int, rng: np.random.Generator | None = None) -> list[np.ndarray]:
    """Groups sequences of like length into batches of about `symbols` padded steps each; returns their indices.

    With a generator, ties and the order of the batches are shuffled.
    """
    size = np.asarray(list(lengths) if not isinstance(lengths, np.ndarray) else lengths)
    order = np.argsort(size + (rng.random(len(size)) if rng else 0.0), kind="stable")
    batches: list[np.ndarray] = []
    end = len(order)
    while end > 0:  # from the longest down, whose length is the width of the batch
        start = max(0, end - max(1, symbols // max(1, int(size[order[end - 1]]))))
        batches.append(order[start:end])
        end = start
    if rng:
        rng.shuffle(batches)  # type: ignore[arg-type]
    return batches
