"""From pictures to vectors: a small convolutional network, trained end to end."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FrameEncoder"]


class FrameEncoder(nn.Module):
    """Pictures (B, T, S, S, 3) of bytes to vectors (B, T, D): three convolutions, then what they found anywhere (the maximum and
    mean over the picture) and, in few channels, where. With `changes` they also see how each picture differs from the one before:
    motion needs no learning; with `saturation` how strong its colours are, so that a shape is the same in any. The first has a
    stride of 4, since large maps are what takes the time. Batch norm (Ioffe and Szegedy 2015), also of the vectors: pictures of
    one film are so alike that without it training stands still."""

    def __init__(
        self, side: int, size: int, *, places: int = 16, changes: bool = True, saturation: bool = False, drop: float = 0.0
    ):
        super().__init__()
        self.changes, self.saturation = changes, saturation
        layers: list[nn.Module] = []
        before = (4 if saturation else 3) * (2 if changes else 1)
        for width, reach, stride in ((32, 8, 4), (64, 3, 2), (96, 3, 1)):
            convolution = nn.Conv2d(before, width, reach, stride=stride, padding=(reach - stride + 1) // 2, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
            before, side = width, -(-side // stride)
        self.convolutions = nn.Sequential(*layers)
        self.where = nn.Sequential(nn.Conv2d(before, places, 1), nn.ReLU(), nn.Flatten())
        self.drop = nn.Dropout(drop)
        self.out = nn.Linear(2 * before + places * side * side, size, bias=False)
        self.norm = nn.BatchNorm1d(size)

    def forward(self, pictures: Tensor, last: Tensor | None = None) -> Tensor:
        """`last` (B, S, S, 3) are the pictures before the first ones, in a stream."""
        x = self._channels(pictures)
        if self.changes:
            first = x[:, :1] if last is None else self._channels(last[:, None])
            x = torch.cat([x, x - torch.cat([first, x[:, :-1]], 1)], 4)
        y = self.convolutions(x.flatten(0, 1).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last))
        found = self.out(self.drop(torch.cat([y.amax((2, 3)), y.mean((2, 3)), self.where(y)], 1)))
        alone = self.training and len(found) == 1  # one picture has no variance
        normal = (
            self.norm
            if not alone
            else lambda v: F.batch_norm(v, self.norm.running_mean, self.norm.running_var, self.norm.weight, self.norm.bias)
        )
        return F.relu(normal(found)).unflatten(0, pictures.shape[:2])

    def _channels(self, pictures: Tensor) -> Tensor:
        x = pictures.to(self.out.weight.dtype) / 127.5 - 1
        return torch.cat([x, x.amax(4, keepdim=True) - x.amin(4, keepdim=True)], 4) if self.saturation else x
