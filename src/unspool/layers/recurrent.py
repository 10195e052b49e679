"""Where a cell meets an engine: `Recurrent`, to be used inside any `torch.nn.Module`."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unspool import cells, engines
from unspool.cells import Cell
from unspool.engines import State, Weights, native
from unspool.engines import torch as torch_engine
from unspool.errors import ConfigError, EngineError, did_you_mean
from unspool.layers.parts import dropout, fitting, variational_dropout
from unspool.layers.stream import Stream
from unspool.sequences import mask

__all__ = ["Recurrent"]


_narrowing = threading.RLock()


class Recurrence(nn.Module):
    """One layer in one direction: the weights of a cell, and the engine that runs it."""

    W: Tensor
    U: Tensor
    b: Tensor
    b_h: Tensor
    p: Tensor

    def __init__(
        self,
        cell: Cell,
        inputs: int,
        hidden: int,
        *,
        reverse: bool = False,
        dropout: float = 0.0,
        engine: str = "auto",
        recompute: bool = False,
        products: str = "f32",
    ):
        super().__init__()
        self.cell, self.reverse, self.dropout, self.engine = cell, reverse, dropout, engine
        self._special = {"recompute": recompute, "bf16": products == "bf16"}
        if engine != "reference" and type(cell) not in cells.CELLS:
            native.refusal(cell, torch.device("cpu"), torch.float32)  # an own cell is compiled here, not inside torch.compile
        for name, shape in zip(Weights._fields, engines.shapes(cell, inputs, hidden), strict=True):
            self.register_parameter(name, nn.Parameter(torch.empty(shape.shape)))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Uniform W of variance 1 / D (LeCun et al. 1998), orthogonal U, biases 0 except where the cell says otherwise.

        So inputs of variance 1 give each gate a sum of variance 1, be there few inputs (an embedding of 64) or many.
        """
        bound = math.sqrt(3 / self.W.shape[2])
        nn.init.uniform_(self.W, -bound, bound)
        for U in self.U:
            nn.init.orthogonal_(U)
        self.b_h.zero_()
        self.p.zero_()
        self.b.zero_()
        for gate, start in self.cell.bias.items():
            self.b[self.cell.gates.index(gate)] = start

    def weights(self) -> Weights:
        return Weights(self.W, dropout(self.U, self.dropout, self.training), self.b, self.b_h, self.p)

    def forward(self, x: Tensor, lengths: Tensor | None, state: State, trace: Sequence[str] = ()) -> engines.Ran:
        choice = engines.choose(self.cell, x.device, x.dtype, self.engine, trace)
        if lengths is not None and choice.name != "native":  # what is not a number would reach the weights' gradient by 0 * nan
            x = torch.where(mask(lengths, x.shape[1])[:, :, None], x, 0.0)
        special = {name: True for name, asked in self._special.items() if asked}
        if special and choice.name != "native":
            why = engines.explain(self.cell, x.device, x.dtype)
            raise EngineError(f"{' and '.join(special)} needs the native engine, but this is {why}")
        return choice.engine.run(self.cell, self.weights(), x, lengths, state, reverse=self.reverse, trace=trace, **special)

    def step(self, x: Tensor, state: State) -> State:
        return engines.choose(self.cell, x.device, x.dtype, self.engine).engine.step(self.cell, self.weights(), x, state)


class Recurrent(nn.Module):
    """A stack of recurrent layers, batch first.

    `y, state = layer(x, lengths=None, state=None)`: x (B, T, D) to y (B, T, H), or (B, T, 2H) when bidirectional. `lengths` (B,) in
    any order: y is 0 beyond them and the state is that of each sequence's own last step. `state` is a tuple of (L, B, H), one for
    each of the cell's states (an LSTM's are a and c), with L = layers, times 2 when bidirectional, in torch's order. Passed back
    in, it makes two pieces equal the whole.

    `residual` adds a layer's input to its output where their sizes agree; `dropout` acts between layers (`variational`: one mask
    for all steps, Gal & Ghahramani 2016), `recurrent_dropout` on U (Merity et al. 2018). `cell` is a name or a `Cell` of your own.
    `recompute` saves the states for the gradient and computes most gates once more: less memory for more time (native engine).
    `products="bf16"` multiplies numbers rounded to bf16, where the processor has AVX512-BF16; sums, states and weights stay in f32.
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        residual: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        recompute: bool = False,
        products: str = "f32",
        engine: str = "auto",
    ):
        super().__init__()
        if products not in ("f32", "bf16") or (recompute and products != "f32"):
            raise ConfigError(f"products are f32 or bf16, and f32 with recompute, not {products!r}")
        for name, size in {"input_size": input_size, "hidden_size": hidden_size, "layers": layers}.items():
            if size < 1:
                raise ConfigError(f"{name} must be at least 1, not {size}")
        for name, share in {"dropout": dropout, "recurrent_dropout": recurrent_dropout}.items():
            if not 0 <= share < 1:
                raise ConfigError(f"{name} must be at least 0 and below 1, not {share}")
        self.cell = cells.cell(cell) if isinstance(cell, str) else cell
        if not isinstance(self.cell, Cell):
            raise ConfigError(f"a cell is a name or an instance of a Cell, not {cell!r}")
        self.input_size, self.hidden_size, self.layers = input_size, hidden_size, layers
        self.bidirectional, self.residual = bidirectional, residual
        self.dropout, self.variational = dropout, variational
        self._weights, self._narrow = "f32", None  # what rounded weights are kept in between calls, and what they were made from
        directions = (False, True) if bidirectional else (False,)
        width = hidden_size * len(directions)
        self.stack = nn.ModuleList(
            Recurrence(
                self.cell,
                width if depth else input_size,
                hidden_size,
                reverse=r,
                dropout=recurrent_dropout,
                engine=engine,
                recompute=recompute,
                products=products,
            )
            for depth in range(layers)
            for r in directions
        )

    @property
    def output_size(self) -> int:
        """The last dimension of y."""
        return self.hidden_size * (2 if self.bidirectional else 1)

    def zero_state(self, batch: int, like: Tensor) -> State:
        """The state before the first step: zeros, (L, B, H) each."""
        return tuple(like.new_zeros(len(self.stack), batch, self.hidden_size) for _ in self.cell.state)

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        fitting(x, lengths, self.input_size)
        if torch.is_autocast_enabled(x.device.type):  # recurrences keep the precision of their weights
            with torch.autocast(x.device.type, enabled=False):
                kind: Any = self.stack[0].W.dtype
                return self.forward(x.to(kind), lengths, None if state is None else tuple(s.to(kind) for s in state))
        if self._weights != "f32" and len(x) and not self.training and not torch.is_grad_enabled():
            return self._narrowed(x, lengths, state)
        state = self.zero_state(len(x), x) if state is None else self._checked(state, len(x))
        last: list[State] = []
        directions = 2 if self.bidirectional else 1
        for depth in range(self.layers):
            inputs = x if depth == 0 else self._drop(x)
            ys = []
            for i in range(depth * directions, (depth + 1) * directions):
                ran = self.stack[i](inputs, lengths, tuple(s[i] for s in state))
                ys.append(ran.y)
                last.append(ran.state)
            x = self.joined(x, torch.cat(ys, dim=2) if self.bidirectional else ys[0])
        if self.residual and lengths is not None:  # an input beyond its length has come through
            x = torch.where(mask(lengths, x.shape[1])[:, :, None], x, 0.0)
        return x, tuple(torch.stack(s) for s in zip(*last, strict=True))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step in evaluation: x (B, D) and a state to y (B, H) and the next state."""
        if self.bidirectional:
            raise ConfigError("a bidirectional layer reads its input from both ends and cannot go step by step")
        last: list[State] = []
        for i, layer in enumerate(self.stack):
            new = layer.step(x, tuple(s[i] for s in state))  # type: ignore[operator]
            last.append(new)
            x = self.joined(x, new[0])
        return x, tuple(torch.stack(s) for s in zip(*last, strict=True))

    def narrow(self, weights: str) -> Recurrent:
        """How weights are held in streams, and in evaluation where nothing is differentiated: "f32", or rounded to "bf16" or "int8"
        (a scale for each unit, and one for each row that is multiplied), for less memory and time. A single `step` takes weights as
        they are. ConfigError for another name, or a bidirectional stack."""
        if weights not in native.BITS:
            raise ConfigError(f"weights are {', '.join(native.BITS)}, not {weights!r}{did_you_mean(weights, native.BITS)}")
        if self.bidirectional and weights != "f32":
            raise ConfigError(f"{weights} weights are for stacks that read in one direction, and this one is bidirectional")
        self._weights, self._narrow = weights, None
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_narrow": None}  # a copy makes its own

    def _narrowed(self, x: Tensor, lengths: Tensor | None, state: State | None) -> tuple[Tensor, State]:
        with _narrowing:  # its stream holds the states
            return self._streamed(x, lengths, state)

    def _streamed(self, x: Tensor, lengths: Tensor | None, state: State | None) -> tuple[Tensor, State]:
        made_from = len(x), [native.packed(layer.weights()) for layer in self.stack]  # type: ignore[operator]
        if self._narrow is None or self._narrow[0] != made_from or None in made_from[1]:  # None where a weight is computed
            self._narrow = made_from, Stream(self, len(x), self._weights)
        stream = self._narrow[1]
        stream.state = state = self.zero_state(len(x), x) if state is None else self._checked(state, len(x))
        if lengths is None:
            return stream.run(x), stream.state
        y, last, at = x.new_zeros(*x.shape[:2], self.output_size), tuple(s.clone() for s in state), 0
        for stop in sorted(set(lengths.tolist()) - {0}):
            y[:, at:stop] = stream.run(x[:, at:stop])
            rows, at = lengths == stop, stop
            for whole, now in zip(last, stream.state, strict=True):
                whole[:, rows] = now[:, rows]
        return torch.where(mask(lengths, x.shape[1])[:, :, None], y, 0.0), last

    def stream(self, batch: int = 1) -> Stream:
        """Goes step by step from a zero state, for `batch` sequences at once. Change no weights while it is in use."""
        if self.bidirectional:
            raise ConfigError("a bidirectional layer reads its input from both ends and cannot be streamed")
        if batch < 1:
            raise ConfigError(f"a stream needs at least 1 sequence, not {batch}")
        return Stream(self, batch, self._weights)

    def joined(self, x: Tensor, y: Tensor) -> Tensor:
        """What a layer passes on, of its input and its output."""
        return x + y if self.residual and x.shape == y.shape else y

    def _drop(self, x: Tensor) -> Tensor:
        if self.variational:
            return variational_dropout(x, self.dropout, self.training)
        return dropout(x, self.dropout, self.training)

    def _checked(self, state: State, batch: int) -> State:
        expected = (len(self.stack), batch, self.hidden_size)
        if len(state) != len(self.cell.state) or any(getattr(s, "shape", None) != expected for s in state):
            names, got = ", ".join(self.cell.state), [tuple(getattr(s, "shape", ())) for s in state]
            raise ConfigError(f"expected a state of ({names}), each of shape {expected}, got {got}")
        return state

    @classmethod
    def from_torch(cls, module: nn.RNNBase) -> Recurrent:
        """The same network as a `torch.nn.RNN`, `GRU` or `LSTM`, its weights copied."""
        if getattr(module, "proj_size", 0) or not module.bias:
            raise ConfigError("from_torch takes modules with biases and without projections")
        cell = {"LSTM": cells.LSTM, "GRU": cells.GRU}.get(module.mode) or (lambda: cells.RNN(module.mode[4:].lower()))
        layer = Recurrent(
            cell(),
            module.input_size,
            module.hidden_size,
            layers=module.num_layers,
            bidirectional=module.bidirectional,
            dropout=module.dropout,
        )
        with torch.no_grad():
            for mine, theirs in zip(layer.stack, module.all_weights, strict=True):
                for name, value in torch_engine.unflat(layer.cell, theirs)._asdict().items():
                    getattr(mine, name).copy_(value)
        return layer.to(module.all_weights[0][0]).train(module.training)

    def to_torch(self) -> nn.RNNBase:
        """The same network as a torch module, where torch has that very network; EngineError or ConfigError where it has not."""
        engines.choose(self.cell, torch.device("cpu"), torch.float32, "torch")
        if self.residual or (self.training and (self.variational or any(layer.dropout for layer in self.stack))):
            raise ConfigError("torch's modules have no residual connections, nor, in training, variational dropout or dropout on U")
        module = torch_engine.module(
            self.cell,
            input_size=self.input_size,
            hidden_size=self.hidden_size,
            num_layers=self.layers,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            batch_first=True,
        )
        with torch.no_grad():
            for mine, theirs in zip(self.stack, module.all_weights, strict=True):
                for source, target in zip(torch_engine.flat(self.cell, mine.weights()), theirs, strict=True):  # type: ignore[operator]
                    target.copy_(source)
        return module.to(self.stack[0].W).train(self.training)  # type: ignore[arg-type]
