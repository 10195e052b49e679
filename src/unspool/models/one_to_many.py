"""One to many: nothing in (or a prompt), a sequence out.

A language model: P(y<1> .. y<T>) is the product of P(y<t> | y<1> .. y<t-1>).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unspool.engines import State
from unspool.layers import Embedding, OneHot, Recurrent, dropout, variational_dropout
from unspool.models.cache import Cache, KeyCache, SymbolCache
from unspool.models.heads import Bernoulli, Categorical

__all__ = ["OneToMany", "Steps", "language_model"]


class OneToMany(nn.Module):
    """embed -> recurrent stack -> head: each step's distribution given the steps before.

    `embed` maps values (B, T, ...) to (B, T, D); the first value is one that begins a sequence, such as a begin symbol. Dropout: on
    the input, inside the stack (the stack's own), on the output. `cache` is how many steps are looked up in a continuous cache, by
    `stream` and by those who ask for `memory`; `own` is what the model's own answer weighs in it, and with `follow`
    only steps behind the same symbol count.
    """

    def __init__(
        self,
        embed: nn.Module,
        stack: Recurrent,
        head: nn.Module,
        *,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        cache: int = 0,
        own: float = 5.0,
        follow: bool = False,
    ):
        super().__init__()
        self.embed, self.stack, self.head = embed, stack, head
        self.input_dropout, self.dropout, self.cache, self.own = input_dropout, dropout, cache, own
        self.follow = follow

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Inputs (B, T, ...) to hidden states (B, T, H) and the last state.

        Padding stands behind each sequence and is never seen by the steps before it, so no lengths are asked for.
        """
        x = variational_dropout(self.embed(inputs), self.input_dropout, self.training)
        h, last = self.stack(x, None, state)
        return dropout(h, self.dropout, self.training), last

    def nll(self, inputs: Tensor, targets: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """-log P of each target (B, T, ...) in nats, (B, T) (also where padding lies), and the last state."""
        h, last = self(inputs, state)
        return self.head.nll(h, targets), last  # type: ignore[operator]

    def memory(self, batch: int = 1) -> Cache | None:
        """An empty cache for `batch` sequences, where the model has one."""
        if not self.cache:
            return None
        sizes = self.cache, batch, self.stack.output_size, next(self.parameters()), self.own
        if isinstance(self.head, Bernoulli):
            return KeyCache(*sizes, self.head.out.out_features)
        return SymbolCache(*sizes) if self.follow else Cache(*sizes)

    def stream(self, batch: int = 1) -> Steps:
        """Goes step by step, for `batch` sequences at once, in constant memory."""
        return Steps(self, batch)

    def expect(self, frequencies: Tensor) -> None:
        """Starts the output from the frequencies of symbols (V,) or of keys (K,)."""
        self.head.expect(frequencies)  # type: ignore[operator]


def language_model(symbols: int, stack: Recurrent, *, embedding: int = 0, tied: bool = False, **options: Any) -> OneToMany:
    """Symbols -> embedding (or one-hot, with 0) -> stack -> the next symbol. `tied` lets input and output share one matrix.

    `options` are those of `OneToMany`.
    """
    embed = Embedding(symbols, embedding) if embedding else OneHot(symbols)
    head = Categorical(stack.output_size, symbols, embed.weight if tied else None)  # type: ignore[arg-type]
    return OneToMany(embed, stack, head, **options)


class Steps:
    """A model that is fed one step after the other; made by `OneToMany.stream`."""

    def __init__(self, model: OneToMany, batch: int):
        self._model, self._stream = model, model.stack.stream(batch)
        self._cache, self._last = model.memory(batch), None

    @property
    def device(self) -> torch.device:
        """Where values are expected."""
        return next(self._model.parameters()).device

    @torch.no_grad()
    def hidden(self, values: Tensor) -> Tensor:
        """The last values (B, ...) to the state (B, H) that the head stands on. A cache is not asked."""
        return self._stream.step(self._model.embed(values))

    @torch.no_grad()
    def step(self, ids: Tensor) -> Tensor:
        """The last symbol (B,), or keys (B, K), to the next one's logits (B, V) or (B, K)."""
        h = self.hidden(ids)
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
        """Goes on with these sequences (n,) alone, in this order; see `layers.Stream.keep`."""
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
