"""Many to many of different lengths: one network reads the whole input, another writes the output, looking back with attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unspool.engines import State, native
from unspool.errors import ConfigError
from unspool.layers import Attention, Recurrent, dropout, variational_dropout
from unspool.sequences import Sequences, mask

__all__ = ["EncoderDecoder", "Memory", "Writer"]


class Memory(NamedTuple):
    """What the encoder read, as the attention's keys and values (B, S, H), which of them are real (B, S), and the decoder's first
    state."""

    keys: Tensor
    values: Tensor
    inside: Tensor
    state: State


class EncoderDecoder(nn.Module):
    """The attention stands after the decoder's stack (Luong et al. 2015, without input feeding), so that with teacher forcing the
    decoder runs over all steps in one call. Encoder and decoder have the same cell and number of layers; the decoder starts from a
    learned map of the encoder's last states. Dropout: on both inputs, inside the stacks (their own), on the output.
    """

    def __init__(
        self,
        source: nn.Module,
        encoder: Recurrent,
        target: nn.Module,
        decoder: Recurrent,
        head: nn.Module,
        *,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        if encoder.cell.state != decoder.cell.state or encoder.layers != decoder.layers or decoder.bidirectional:
            raise ConfigError("encoder and decoder need the same states and number of layers, and a decoder of one direction")
        self.source, self.encoder, self.target, self.decoder, self.head = source, encoder, target, decoder, head
        self.input_dropout, self.dropout = input_dropout, dropout
        self.bridge = nn.ModuleList(nn.Linear(encoder.output_size, decoder.hidden_size) for _ in decoder.cell.state)
        self.attention = Attention(decoder.hidden_size, encoder.output_size)

    def encode(self, batch: Sequences) -> Memory:
        """Reads the input."""
        x = variational_dropout(self.source(batch.values), self.input_dropout, self.training)
        outputs, state = self.encoder(x, batch.lengths)
        return self.remember(outputs, state, batch.lengths)

    def remember(self, outputs: Tensor, state: State, lengths: Tensor) -> Memory:
        """What the encoder gave, its outputs (B, S, H) and last states, as the decoder looks at it."""
        layers, directions = self.encoder.layers, 2 if self.encoder.bidirectional else 1
        joined = (s.unflatten(0, (layers, directions)).permute(0, 2, 1, 3).flatten(2) for s in state)
        first = tuple(torch.tanh(bridge(s)) for bridge, s in zip(self.bridge, joined, strict=True))
        return Memory(*self.attention.prepare(outputs), mask(lengths, outputs.shape[1]), first)

    def forward(self, memory: Memory, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing: ids (B, T), each the symbol before, to hidden states (B, T, H) and attention weights (B, T, S)."""
        x = variational_dropout(self.target(inputs), self.input_dropout, self.training)
        h, _ = self.decoder(x, None, memory.state)
        h, weights = self.attention(h, *memory[:3])
        return dropout(h, self.dropout, self.training), weights

    def nll(self, batch: Sequences, inputs: Tensor, y: Tensor) -> Tensor:
        """-log p of each target (B, T) in nats (also where padding lies)."""
        return self.head.nll(self(self.encode(batch), inputs)[0], y)  # type: ignore[operator]

    def step(self, memory: Memory, ids: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        """The last symbol (B,) and a state to the next symbol's logits (B, V), the next state, and the attention weights (B, S)."""
        h, state = self.decoder.step(self.target(ids), state)
        h, weights = self.attention(h[:, None], *memory[:3])
        return self.head(h[:, 0]), state, weights[:, 0]

    def write(self, memory: Memory, beams: int = 1) -> Writer:
        """Goes step by step, `beams` ways for each of the inputs that were read."""
        if beams < 1:
            raise ConfigError(f"beams must be at least 1, not {beams}")
        return Writer(self, memory, beams)


class Writer:
    """A decoder in the middle of writing: K beams for each of B inputs; made by `EncoderDecoder.write`."""

    def __init__(self, model: EncoderDecoder, memory: Memory, beams: int):
        self._model, self._memory, self._beams = model, memory, beams
        self._stream = model.decoder.stream(len(memory.inside) * beams)
        self._stream.state = tuple(s.repeat_interleave(beams, 1) for s in memory.state)
        out = model.head.out  # type: ignore[union-attr]
        self._head = native.Head(out.weight, out.bias) if native.Head.serves(out.weight) else None  # type: ignore[union-attr]

    @torch.no_grad()
    def likeliest(
        self, ids: Tensor, count: int, forbidden: Sequence[int] = (), shut: Callable[[Tensor], None] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The last symbols (B, K) to the likeliest next ones that are not forbidden: their log-probabilities (B, K, count), they
        themselves, and where was looked (B, K, S). `shut` is given all log-probabilities (B, K, V), to make some of them -inf."""
        h = self._stream.step(self._model.target(ids.flatten())).unflatten(0, ids.shape)
        h, weights = self._model.attention(h, *self._memory[:3])
        count = min(count, self._model.head.out.out_features)  # type: ignore[union-attr, arg-type]
        if self._head and not shut:
            return *self._head.best(self._model.head.project(h), count, forbidden), weights  # type: ignore[operator]
        log_probs = self._model.head(h).log_softmax(2)
        log_probs[:, :, list(forbidden)] = -torch.inf
        if shut:
            shut(log_probs)
        values, symbols = log_probs.topk(count)
        return values, symbols, weights

    def choose(self, inputs: Tensor, beams: Tensor) -> None:
        """Goes on with these inputs (b,), ascending, alone, and for each with these of its beams (b, K), in their order."""
        rows = (inputs[:, None] * self._beams + beams).flatten()
        if len(inputs) < len(self._memory.inside):
            keys, values, inside, first = self._memory
            self._memory = Memory(keys[inputs], values[inputs], inside[inputs], tuple(s[:, inputs] for s in first))
        self._stream.keep(rows)
