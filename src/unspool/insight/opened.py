"""A model's answer to one input, laid open: what all ways of seeing inside ask of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unspool.engines import State
from unspool.insight.attribution import gradient_times_input, integrated_gradients, steps_left_out
from unspool.layers import Recurrent
from unspool.models import EncoderDecoder, ManyToOne, OneToMany
from unspool.vocabulary import Vocabulary

__all__ = ["BEGIN", "END", "Attention", "Opened", "judged", "predicted", "translated"]


@dataclass(frozen=True)
class Attention:
    """Where each of the symbols written was looked for: weights (written, read)."""

    read: Sequence[str]
    written: Sequence[str]
    weights: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Opened:
    """An input as `symbols`, one a step, embedded as x (1, T, D), and what a model makes of it.

    `losses` maps what the stack gives, outputs (1, T, H) and last states, to the loss of each step (T,) or of the one answer (1,);
    `answer` maps embedded inputs (B, T', D) to log-probabilities (B,) of what it `said`. `scored` are the symbols whose
    surprise (-log p in nats) the losses are, where each step has one; together they may be a `text`. `classes`: the probability of
    each, where there are some.
    """

    symbols: Sequence[str]
    x: Tensor
    stack: Recurrent
    losses: Callable[[Tensor, State], Tensor]
    answer: Callable[[Tensor], Tensor]
    said: str
    scored: Sequence[str] = ()
    text: bool = False
    attention: Attention | None = None
    classes: dict[str, str] = field(default_factory=dict)

    def surprise(self) -> list[float]:
        """-log p of each of the symbols that are scored, in nats."""
        if not self.scored:
            return []
        with torch.no_grad():
            return self.losses(*self.stack(self.x)).tolist()

    def attribution(self, ways: Sequence[str] = ("gradient x input", "integrated gradients", "left out")) -> dict[str, list[float]]:
        """What each step added to the log-probability of the answer (T,), by name of the way: the gradient there times the input;
        its integral from an input of zeros on, whose sum is the difference that the whole input makes; and the difference to the
        answer without that step."""
        known = {"gradient x input": gradient_times_input, "integrated gradients": integrated_gradients, "left out": steps_left_out}
        return {way: known[way](self.answer, self.x[0]).tolist() for way in ways}


BEGIN, END = "\u22a2", "\u22a3"  # how the marks around a sequence are shown


def predicted(model: OneToMany, values: Tensor, symbols: Sequence[str], *, text: bool = False) -> Opened:
    """What a model that goes on with a sequence makes of values (T, ...): each predicted by those before it."""
    first = torch.zeros_like(values[:1]) if values.ndim > 1 else torch.full_like(values[:1], Vocabulary.begin)
    inputs = torch.cat([first, values[:-1]])[None]
    x = model.embed(inputs).detach()

    def losses(y: Tensor, state: State) -> Tensor:
        return model.head.nll(y, values[None])[0]  # type: ignore[operator]

    def answer(x: Tensor) -> Tensor:
        h, _ = model.stack(x)
        return -model.head.nll(h[:, -1:], values[None, -1:].expand(len(x), *values[-1:].shape))[:, 0]  # type: ignore[operator]

    return Opened([BEGIN, *symbols[:-1]], x, model.stack, losses, answer, symbols[-1], scored=symbols, text=text)


def judged(model: ManyToOne, values: Tensor, symbols: Sequence[str], classes: Sequence[str], temperature: float = 1.0) -> Opened:
    """What a model that gives one class to a sequence makes of values (T, ...)."""
    x = model.embed(values[None]).detach()

    def log_probs(h: Tensor) -> Tensor:
        return model.head.log_probs(h, temperature)  # type: ignore[operator]

    def lengths(x: Tensor) -> Tensor:
        return torch.full((len(x),), x.shape[1], device=x.device)

    with torch.no_grad():
        p = log_probs(model.read(x, lengths(x)))[0]
    best = int(p.argmax())
    shares = {name: f"{float(value.exp()):.3f}" for name, value in zip(classes, p, strict=True)}
    return Opened(
        symbols,
        x,
        model.stack,
        lambda y, state: -log_probs(model.pooled(y, state[0], lengths(y)))[:, best],
        lambda x: log_probs(model.read(x, lengths(x)))[:, best],
        classes[best],
        classes=shares,
    )


def translated(
    model: EncoderDecoder, values: Tensor, symbols: Sequence[str], ids: Sequence[int], written: Sequence[str], said: str
) -> Opened:
    """What a model that writes another sequence makes of values (T, ...), given the ids that it wrote, the end included."""
    x = model.source(values[None]).detach()
    targets = torch.tensor([list(ids)], device=x.device)
    inputs = torch.cat([torch.full_like(targets[:, :1], Vocabulary.begin), targets[:, :-1]], 1)

    def loss(outputs: Tensor, state: State) -> Tensor:
        lengths = torch.full((len(outputs),), outputs.shape[1], device=outputs.device)
        h, _ = model(model.remember(outputs, state, lengths), inputs.expand(len(outputs), -1))
        return model.head.nll(h, targets.expand(len(outputs), -1)).sum(1)  # type: ignore[operator]

    with torch.no_grad():
        outputs, state = model.encoder(x)
        memory = model.remember(outputs, state, torch.tensor([x.shape[1]], device=x.device))
        weights = model(memory, inputs)[1][0].tolist()
    return Opened(
        symbols,
        x,
        model.encoder,
        loss,
        lambda x: -loss(*model.encoder(x)),
        said,
        attention=Attention(symbols, written, weights),
    )
