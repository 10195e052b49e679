"""From pictures to vectors: a small convolutional network, trained end to end."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FrameEncoder"]


class FrameEncoder(nn.Module):
    """Pictures (B, T, S, S, 3) of bytes to vectors (B, T, D): four convolutions of stride 2, group norm, a linear map of what is
    left of the picture. With `changes` it also sees how each picture differs from the one before: motion needs no learning."""

    def __init__(
        self, side: int, size: int, *, channels: tuple[int, ...] = (24, 48, 96, 96), changes: bool = True, drop: float = 0.0
    ):
        super().__init__()
        self.changes = changes
        layers: list[nn.Module] = []
        before = 6 if changes else 3
        for width in channels:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.GroupNorm(width // 12, width), nn.ReLU()]
            before, side = width, -(-side // 2)
        self.convolutions = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(drop))
        self.out = nn.Linear(before * side * side, size)
        nn.init.kaiming_normal_(self.out.weight, nonlinearity="relu")

    def forward(self, pictures: Tensor, last: Tensor | None = None) -> Tensor:
        """`last` (B, S, S, 3) are the pictures before the first ones, in a stream."""
        x = pictures.to(self.out.weight.dtype) / 127.5 - 1
        if self.changes:
            first = x[:, :1] if last is None else last[:, None].to(x.dtype) / 127.5 - 1
            x = torch.cat([x, x - torch.cat([first, x[:, :-1]], 1)], 4)
        y = self.convolutions(x.flatten(0, 1).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last))
        return F.relu(self.out(y)).unflatten(0, pictures.shape[:2])
