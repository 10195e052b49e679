"""One to many: nothing in (or a prompt), a sequence out.

A language model: P(y<1> .. y<T>) is the product of P(y<t> | y<1> .. y<t-1>).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unspool.engines import State
from unspool.layers import Embedding, OneHot, Recurrent, variational_dropout
from unspool.models.heads import Categorical

__all__ = ["OneToMany"]


class OneToMany(nn.Module):
    """Symbols -> embedding (or one-hot) -> recurrent stack -> the next symbol. The first input is a begin symbol.

    `embedding=0` means one-hot input. `tied` lets input and output share one matrix. Dropout: on the input, inside the stack
    (the stack's own), on the output.
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
    ):
        super().__init__()
        self.embed = Embedding(symbols, embedding) if embedding else OneHot(symbols)
        self.stack = stack
        self.head = Categorical(stack.output_size, symbols, self.embed.weight if tied else None)  # type: ignore[arg-type]
        self.input_dropout, self.dropout = input_dropout, dropout

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Input ids (B, T) to hidden states (B, T, H) and the last state.

        Padding stands behind each sequence and is never seen by the steps before it, so no lengths are asked for.
        """
        x = variational_dropout(self.embed(inputs), self.input_dropout, self.training)
        h, last = self.stack(x, None, state)
        return nn.functional.dropout(h, self.dropout, self.training), last

    def nll(self, inputs: Tensor, targets: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """-log P of each target (B, T) in nats (also where padding lies), and the last state."""
        h, last = self(inputs, state)
        return self.head.nll(h, targets), last

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """The last symbol (B,) and a state to the next symbol's logits (B, V) and the next state."""
        h, state = self.stack.step(self.embed(ids), state)
        return self.head(h), state

    @torch.no_grad()
    def expect(self, frequencies: Tensor) -> None:
        """Starts the output from the symbols' frequencies (V,), so that training need not learn them first."""
        self.head.out.bias.copy_(frequencies.log())

    def start(self, batch: int) -> State:
        """The state before the first symbol."""
        return self.stack.zero_state(batch, self.head.out.weight)
