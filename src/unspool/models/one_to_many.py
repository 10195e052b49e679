"""One to many: nothing in (or a prompt), a sequence out.

A language model: P(y<1> .. y<T>) is the product of P(y<t> | y<1> .. y<t-1>).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unspool.engines import State
from unspool.layers import Embedding, OneHot, Recurrent, dropout, variational_dropout
from unspool.models.cache import Cache
from unspool.models.heads import Categorical

__all__ = ["OneToMany", "SymbolStream"]


class OneToMany(nn.Module):
    """Symbols -> embedding (or one-hot) -> recurrent stack -> the next symbol. The first input is a begin symbol.

    `embedding=0` means one-hot input. `tied` lets input and output share one matrix. Dropout: on the input, inside the stack
    (the stack's own), on the output. `cache` is how many steps are looked up in a continuous cache, by `stream` and by those who
    ask for `memory`.
    """

    def __init__(
        self,
        symbols: int,
        stack: Recurrent,
        *,
        embedding: int = 0,
        tied: bool = False,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        cache: int = 0,
    ):
        super().__init__()
        self.embed = Embedding(symbols, embedding) if embedding else OneHot(symbols)
        self.stack = stack
        self.head = Categorical(stack.output_size, symbols, self.embed.weight if tied else None)  # type: ignore[arg-type]
        self.input_dropout, self.dropout, self.cache = input_dropout, dropout, cache

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Input ids (B, T) to hidden states (B, T, H) and the last state.

        Padding stands behind each sequence and is never seen by the steps before it, so no lengths are asked for.
        """
        x = variational_dropout(self.embed(inputs), self.input_dropout, self.training)
        h, last = self.stack(x, None, state)
        return dropout(h, self.dropout, self.training), last

    def nll(self, inputs: Tensor, targets: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """-log P of each target (B, T) in nats (also where padding lies), and the last state."""
        h, last = self(inputs, state)
        return self.head.nll(h, targets), last

    def memory(self, batch: int = 1) -> Cache | None:
        """An empty cache for `batch` sequences, where the model has one."""
        return Cache(self.cache, batch, self.stack.output_size, self.head.out.weight) if self.cache else None

    def stream(self, batch: int = 1) -> SymbolStream:
        """Goes symbol by symbol, for `batch` sequences at once, in constant memory."""
        return SymbolStream(self, batch)

    @torch.no_grad()
    def expect(self, frequencies: Tensor) -> None:
        """Starts the output from the symbols' frequencies (V,), so that training need not learn them first."""
        self.head.out.bias.copy_(frequencies.log())


class SymbolStream:
    """A language model that is fed one symbol after the other; made by `OneToMany.stream`."""

    def __init__(self, model: OneToMany, batch: int):
        self._model, self._stream = model, model.stack.stream(batch)
        self._cache, self._last = model.memory(batch), None

    @property
    def device(self) -> torch.device:
        """Where ids are expected."""
        return self._model.head.out.weight.device

    @torch.no_grad()
    def step(self, ids: Tensor) -> Tensor:
        """The last symbol (B,) to the next one's logits (B, V)."""
        h = self._stream.step(self._model.embed(ids))
        logits = self._model.head(h)
        if self._cache:
            if self._last is not None:
                self._cache.add(self._last[:, None], ids[:, None])
            self._last = h
            logits = self._cache.logits(h, logits)
        return logits

    def reset(self) -> None:
        """Back to the state before the first step."""
        self._stream.reset()
        self._last = None
        if self._cache:
            self._cache.reset()

    def keep(self, rows: Tensor) -> None:
        """Goes on with these sequences (n,), in ascending order, alone."""
        self._stream.keep(rows)
        if self._cache:
            self._cache.keep(rows)
            self._last = None if self._last is None else self._last[rows]

    @property
    def state(self) -> State:
        """The stack's, (L, B, H) for each of the cell's states; can be set. What a cache remembers stays."""
        return self._stream.state

    @state.setter
    def state(self, state: State) -> None:
        self._stream.state, self._last = state, None
