"""What speech recognisers share: from pressure values to hidden states, whole or as a stream."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.errors import ConfigError
from unspool.layers import Recurrent, dropout
from unspool.layers.frontend import HOP, FrameConv, LogMel, PatchConv, Running, Waves, disguised
from unspool.sequences import Sequences

__all__ = ["Listener", "ListenerStream"]

STRIDE = 2
REACH = 2, 1  # frames, and frequencies, on either side that each of the two convolutions sees
CHANNELS = 16, 32


class Listener(nn.Module):
    """pressure values -> frames -> running normalisation -> two convolutions over time and frequency, the second of stride 2 ->
    recurrent stack.

    A step is 20 ms. Bidirectional stacks read whole recordings; one-directional ones can stream, and see `ahead` steps of what
    follows through a convolution of each unit by itself (Deep Speech 2, Amodei et al. 2016). While training frames are disguised.
    """

    def __init__(
        self,
        frames: LogMel | Waves,
        stack: Recurrent,
        *,
        ahead: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.frames, self.stack, self.dropout = frames, stack, dropout
        self.normalise = Running(frames.filters, causal=not stack.bidirectional)
        self.first = PatchConv(1, CHANNELS[0], reach=REACH[0])
        self.second = PatchConv(*CHANNELS, reach=REACH[1], stride=STRIDE)
        self.project = nn.Linear(CHANNELS[1] * (frames.filters // 4), stack.input_size)
        nn.init.kaiming_normal_(self.project.weight, nonlinearity="relu")
        size = stack.output_size
        self.ahead = FrameConv(size, before=0, after=ahead) if ahead else None

    @property
    def seconds(self) -> float:
        """Of a step."""
        return STRIDE * HOP

    @property
    def look_ahead(self) -> float:
        """Seconds of sound after a step's middle that it depends on; infinity where the stack is bidirectional."""
        if self.stack.bidirectional:
            return float("inf")
        steps = self.ahead.after * STRIDE if self.ahead else 0
        return (steps + sum(REACH)) * HOP + self.frames.size / self.frames.hop * HOP / 2

    def steps(self, values: int) -> int:
        """How many steps so many pressure values give."""
        frames = (values - self.frames.size) // self.frames.hop + 1
        return max(0, (frames - 1) // STRIDE + 1)

    def middle(self, step: float) -> float:
        """The time of a step's middle in seconds."""
        return step * self.seconds + self.frames.size / self.frames.hop * HOP / 2

    def forward(self, batch: Sequences) -> Sequences:
        """Pressure values (B, N), each of at least one window, to hidden states (B, T, H)."""
        x = self.read(batch)
        h, _ = self.stack(dropout(x.values, self.dropout, self.training), x.lengths)
        return Sequences(dropout(self.told(h, x.lengths), self.dropout, self.training), x.lengths)

    def read(self, batch: Sequences) -> Sequences:
        """Pressure values (B, N) to what the stack reads, (B, T, D)."""
        lengths = (batch.lengths - self.frames.size) // self.frames.hop + 1
        x = self.normalise(self.frames(batch.values), lengths)
        if self.training:
            x = disguised(x, lengths)
        x, lengths = self.first(x[:, :, None], lengths)
        x, lengths = self.second(x, lengths)
        return Sequences(self.seen(x), lengths)

    def told(self, h: Tensor, lengths: Tensor) -> Tensor:
        """What the stack gives, (B, T, H), to hidden states: a streaming model looks ahead."""
        return F.relu(self.ahead(h, lengths)[0]) if self.ahead else h

    def seen(self, x: Tensor) -> Tensor:
        """Patches (B, T, C, F) to what the stack reads, (B, T, D)."""
        return F.relu(self.project(x.flatten(2)))

    def stream(self) -> ListenerStream:
        """Goes on by pieces of any size, in constant memory; the steps together equal those of the whole recording."""
        if self.stack.bidirectional:
            raise ConfigError("a bidirectional model reads whole recordings and cannot stream; train with --streaming")
        return ListenerStream(self)


class ListenerStream:
    """A listener in the middle of a recording; made by `Listener.stream`."""

    def __init__(self, listener: Listener):
        self._listener = listener
        self._values = torch.zeros(1, 0, device=next(listener.parameters()).device)
        self._normalise = listener.normalise.stream()
        self._convs = [listener.first.stream(), listener.second.stream()]
        self._ahead = listener.ahead.stream() if listener.ahead else None
        self._state = None

    @torch.no_grad()
    def push(self, values: Tensor) -> Tensor:
        """The next pressure values (n,) to the hidden states (t, H) of the steps that they determine."""
        frames = self._listener.frames
        self._values = torch.cat([self._values, values[None].to(self._values)], 1)
        count = (self._values.shape[1] - frames.size) // frames.hop + 1
        if count <= 0:
            return self._steps(self._values.new_zeros(1, 0, frames.filters), False)
        x = frames(self._values[:, : (count - 1) * frames.hop + frames.size])
        self._values = self._values[:, count * frames.hop :]
        return self._steps(self._normalise.push(x), False)

    @torch.no_grad()
    def finish(self) -> Tensor:
        """The steps that waited for what follows."""
        return self._steps(self._values.new_zeros(1, 0, self._listener.frames.filters), True)

    def _steps(self, x: Tensor, last: bool) -> Tensor:
        x = x[:, :, None]
        for conv in self._convs:
            x = torch.cat([conv.push(x), conv.finish()], 1) if last else conv.push(x)
        x = self._listener.seen(x)
        if x.shape[1]:
            x, self._state = self._listener.stack(x, None, self._state)
        else:
            x = x.new_zeros(1, 0, self._listener.stack.output_size)
        if self._ahead:
            x = F.relu(torch.cat([self._ahead.push(x), self._ahead.finish()], 1) if last else self._ahead.push(x))
        return x[0]
