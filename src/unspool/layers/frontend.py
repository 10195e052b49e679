"""From pressure values to frames: log-mel features or a learned convolution, running normalisation, convolutions that stream."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.sequences import mask

__all__ = [
    "HOP",
    "WINDOW",
    "FrameConv",
    "FrameStream",
    "LogMel",
    "PatchConv",
    "Running",
    "RunningStream",
    "Waves",
    "disguised",
    "hz",
    "mel",
]

WINDOW, HOP = 0.032, 0.01  # seconds
PRIOR = 100.0  # frames
STRETCH, COLOUR, BAND = 0.12, 0.6, 0.15  # of disguises: share, deviations, share of the frequencies
FLOOR = 1e-6  # of energy: what is quieter is silence


def mel(hz: float) -> float:
    """A frequency on the mel scale (O'Shaughnessy 1987, as HTK has it)."""
    return 2595 * math.log10(1 + hz / 700)


def hz(mel: float) -> float:
    """A place on the mel scale as a frequency."""
    return 700 * (10 ** (mel / 2595) - 1)


class LogMel(nn.Module):
    """Pressure values (B, N) to the logarithms of M energies (B, T, M), a frame every 10 ms, of 32 ms through a Hann window.

    Triangular filters, evenly spaced on the mel scale from 0 to half the rate, each 1 at its middle (Davis & Mermelstein 1980; The
    HTK Book, section 5.4).
    """

    def __init__(self, rate: int, filters: int = 40):
        super().__init__()
        self.size, self.hop, self.filters = round(WINDOW * rate), round(HOP * rate), filters
        edges = torch.tensor([hz(mel(rate / 2) * i / (filters + 1)) for i in range(filters + 2)])[:, None]
        bins = torch.arange(self.size // 2 + 1) * rate / self.size
        rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
        self.window: Tensor
        self.bank: Tensor
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        self.register_buffer("bank", torch.minimum(rising, falling).clamp(min=0).T.contiguous(), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        spectrum = torch.stft(values, self.size, self.hop, window=self.window, center=False, return_complex=True)
        energy = torch.view_as_real(spectrum).square().sum(3).transpose(1, 2)
        return torch.log(energy @ self.bank + FLOOR)


class Waves(nn.Module):
    """Pressure values (B, N) to the logarithms of M energies (B, T, M), through learned filters, in the frames of `LogMel`.

    A convolution of 12 ms every 2.5 ms, squared, the mean under a Hann window of 20 ms (time-domain filterbanks, Zeghidour et al.
    2018). The filters start as tones in random phase, evenly spaced on the mel scale.
    """

    def __init__(self, rate: int, filters: int = 40):
        super().__init__()
        self.size, self.hop, self.filters = round(WINDOW * rate), round(HOP * rate), filters
        step = self.hop // 4
        length = self.size - 8 * step  # nine steps under the window
        tones = torch.tensor([hz(mel(rate / 2) * (i + 1) / (filters + 1)) for i in range(filters)])[:, None] / rate
        phase = torch.arange(length) * tones * 2 * math.pi + torch.rand(filters, 1) * 2 * math.pi
        self.weight = nn.Parameter((torch.cos(phase) * torch.hann_window(length, periodic=False))[:, None])
        self.step = step
        self.pool: Tensor
        self.register_buffer("pool", torch.hann_window(11, periodic=False)[1:-1].expand(filters, 1, 9).clone(), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        energy = F.conv1d(values[:, None], self.weight, stride=self.step).square()
        return torch.log(F.conv1d(energy, self.pool, stride=4, groups=self.filters) + FLOOR).transpose(1, 2)


class Running(nn.Module):
    """Frames (B, T, M) less their mean, over their deviation, as far as both are known: known beforehand (`learn`), which counts as
    much as `PRIOR` frames, and seen in this recording. `causal`: up to each frame; else in the whole recording.
    """

    def __init__(self, features: int, causal: bool):
        super().__init__()
        self.causal = causal
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    @torch.no_grad()
    def learn(self, frames: Tensor) -> None:
        """What frames (N, M) are like."""
        self.mean.copy_(frames.mean(0))
        self.deviation.copy_(frames.std(0).clamp(min=0.1))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        x = torch.where(mask(lengths, x.shape[1])[:, :, None], (x - self.mean) / self.deviation, 0.0)
        if self.causal:
            seen = torch.arange(1, x.shape[1] + 1, device=x.device)[None, :, None]
            return self._scaled(x, x.cumsum(1), x.square().cumsum(1), seen) * mask(lengths, x.shape[1])[:, :, None]
        seen = lengths[:, None, None]
        whole = self._scaled(x, x.sum(1, keepdim=True), x.square().sum(1, keepdim=True), seen)
        return whole * mask(lengths, x.shape[1])[:, :, None]

    def _scaled(self, x: Tensor, total: Tensor, squares: Tensor, seen: Tensor) -> Tensor:
        mean = total / (seen + PRIOR)
        variance = (squares + PRIOR) / (seen + PRIOR) - mean.square()
        return (x - mean) * variance.clamp(min=0.01).rsqrt()

    def stream(self) -> RunningStream:
        return RunningStream(self)


class RunningStream:
    """A causal `Running`, some frames (1, t, M) at a time."""

    def __init__(self, module: Running):
        self._module, self._seen = module, 0
        self._total = self._squares = torch.zeros_like(module.mean)[None, None]

    def push(self, x: Tensor) -> Tensor:
        x = (x - self._module.mean) / self._module.deviation
        seen = self._seen + torch.arange(1, x.shape[1] + 1, device=x.device)[None, :, None]
        total, squares = self._total + x.cumsum(1), self._squares + x.square().cumsum(1)
        if x.shape[1]:
            self._total, self._squares, self._seen = total[:, -1:], squares[:, -1:], self._seen + x.shape[1]
        return self._module._scaled(x, total, squares, seen)


class FrameConv(nn.Module):
    """A convolution over time, (B, T, C) to (B, T', C), of each channel by itself, that sees `before` frames before each and
    `after` frames after it. With a stride s, T' = (T - 1) // s + 1: every s-th frame has a result."""

    def __init__(self, channels: int, *, before: int, after: int, stride: int = 1):
        super().__init__()
        self.before, self.after, self.stride = before, after, stride
        self.conv: nn.Module = nn.Conv1d(channels, channels, before + 1 + after, stride, groups=channels)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What lies beyond a length must be 0, and is."""
        B, _, *rest = x.shape
        y = self.valid(torch.cat([x.new_zeros(B, self.before, *rest), x, x.new_zeros(B, self.after, *rest)], 1))
        lengths = (lengths - 1) // self.stride + 1
        inside = mask(lengths, y.shape[1])
        return y * inside.view(*inside.shape, *(1 for _ in rest)), lengths

    def valid(self, x: Tensor) -> Tensor:
        """The results that these frames determine by themselves."""
        return self.conv(x.transpose(1, 2)).transpose(1, 2)

    def stream(self) -> FrameStream:
        return FrameStream(self)


class PatchConv(FrameConv):
    """A convolution over time and frequency, (B, T, C, F) to (B, T', C', F // 2): relu, and of each two frequencies the larger
    value, so that a voice may be a little higher or lower (Abdel-Hamid et al. 2014)."""

    def __init__(self, inputs: int, outputs: int, *, reach: int, stride: int = 1):
        super().__init__(1, before=reach, after=reach, stride=stride)
        size = 2 * reach + 1
        self.conv = nn.Conv2d(inputs, outputs, size, (stride, 1), (0, reach))
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def valid(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.conv(x.transpose(1, 2))), (1, 2)).transpose(1, 2)


class FrameStream:
    """A `FrameConv`, some frames (1, t, ...) at a time."""

    def __init__(self, module: FrameConv):
        self._module = module
        self._buffer: Tensor | None = None

    def push(self, x: Tensor) -> Tensor:
        """The results that these frames determine."""
        m = self._module
        before = x.new_zeros(1, m.before, *x.shape[2:]) if self._buffer is None else self._buffer
        self._buffer = torch.cat([before, x], 1)
        count = (self._buffer.shape[1] - m.before - m.after - 1) // m.stride + 1
        if count <= 0:
            return m.valid(x.new_zeros(1, m.before + 1 + m.after, *x.shape[2:]))[:, :0]
        y = m.valid(self._buffer[:, : (count - 1) * m.stride + m.before + 1 + m.after])
        self._buffer = self._buffer[:, count * m.stride :]
        return y

    def finish(self) -> Tensor:
        """The results that waited for what follows, of which there must have been some."""
        assert self._buffer is not None
        return self.push(self._buffer.new_zeros(1, self._module.after, *self._buffer.shape[2:]))


def disguised(x: Tensor, lengths: Tensor) -> Tensor:
    """Normalised frames (B, T, M) as other voices and microphones might give them, for training alone.

    Each sequence's frequencies are stretched (vocal tract length perturbation, Jaitly & Hinton 2013), its spectrum is coloured by a
    smooth curve, and bands of frequencies and stretches of time are set to 0, the mean (SpecAugment, Park et al. 2019).
    """
    B, T, M = x.shape

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, device=x.device)

    places = torch.arange(M, device=x.device)
    stretched = places * (1 + 2 * STRETCH * (draw(B, 1) - 0.5)) + 2 * (draw(B, 1) - 0.5)
    low = stretched.clamp(0, M - 1.001).floor().long()
    share = (stretched.clamp(0, M - 1.001) - low)[:, None]
    left, right = (x.gather(2, at[:, None].expand(B, T, M)) for at in (low, (low + 1).clamp(max=M - 1)))
    x = left + (right - left) * share
    angles = places / M * math.pi
    colour = sum(((draw(B, 1) - 0.5) * 2 * COLOUR / k) * torch.cos(k * angles) for k in range(1, 4))
    x = x + (colour + (draw(B, 1) - 0.5) * COLOUR)[:, None]  # type: ignore[operator]
    for _ in range(2):
        width, start = draw(B, 1) * M * BAND, draw(B, 1) * M
        x = x * ~((places >= start) & (places < start + width))[:, None]
    steps = torch.arange(T, device=x.device)
    for _ in range(2):
        width = draw(B, 1) * torch.minimum(lengths * 0.1, torch.tensor(20.0))[:, None]
        start = draw(B, 1) * lengths[:, None]
        x = x * ~((steps >= start) & (steps < start + width))[:, :, None]
    return x * mask(lengths, T)[:, :, None]
