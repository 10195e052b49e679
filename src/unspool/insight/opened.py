"""A model's answer to one input, laid open: what all ways of seeing inside ask of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unspool.engines import State
from unspool.insight.attribution import gradient_times_input, integrated_gradients, steps_left_out
from unspool.layers import Recurrent
from unspool.models import EncoderDecoder, ManyToOne, OneToMany
from unspool.vocabulary import Vocabulary

__all__ = ["BEGIN", "END", "Attention", "Note", "Opened", "answered", "judged", "predicted", "translated", "whole"]


@dataclass(frozen=True)
class Attention:
    """Where each of the symbols written was looked for: weights (written, read)."""

    read: Sequence[str]
    written: Sequence[str]
    weights: Sequence[Sequence[float]]


class Note(NamedTuple):
    """On a piano roll, how unexpected it was: `start` and `duration` in quarter notes, `nats` -log p of its pitch."""

    start: float
    duration: float
    pitch: int
    nats: float


@dataclass(frozen=True)
class Opened:
    """An input as `symbols`, one a step, embedded as x (1, T, D), and what a model makes of it.

    `losses` maps what the stack gives, outputs (1, T, H) and last states, to the loss of each step (T,) or of the one answer (1,);
    `answer` maps embedded inputs (B, T', D) to log-probabilities (B,) of what it `said`. `scored` are the symbols whose
    surprise (-log p in nats) the losses are, where each step has one; together they may be a `text`, or hold `notes`.
    `classes`: the probability of each, where there are some. `at`: the step that an answer in the middle is about.
    """

    symbols: Sequence[str]
    x: Tensor
    stack: Recurrent
    losses: Callable[[Tensor, State], Tensor]
    answer: Callable[[Tensor], Tensor]
    said: str
    scored: Sequence[str] = ()
    text: bool = False
    notes: Callable[[], Sequence[Note]] | None = None
    attention: Attention | None = None
    at: int | None = None
    classes: dict[str, str] = field(default_factory=dict)

    def surprise(self) -> list[float]:
        """-log p of each of the symbols that are scored, in nats."""
        if not self.scored:
            return []
        with torch.no_grad():
            return self.losses(*self.stack(self.x)).tolist()

    def difference(self) -> float:
        """By how much the whole input raises the log-probability of the answer, from an input of zeros on."""
        with torch.no_grad():
            whole, nothing = self.answer(torch.cat([self.x, torch.zeros_like(self.x)])).tolist()
        return whole - nothing

    def attribution(self, ways: Sequence[str] = ("gradient x input", "integrated gradients", "left out")) -> dict[str, list[float]]:
        """What each step added to the log-probability of the answer (T,), by name of the way: the gradient there times the input;
        its integral from an input of zeros on, whose sum is nearly the `difference` that the whole input makes; and the difference
        to the answer without that step."""
        known: dict[str, Callable[..., Tensor]] = {
            "gradient x input": gradient_times_input,
            "integrated gradients": integrated_gradients,
            "left out": partial(steps_left_out, silent=self.at is not None),
        }
        return {way: known[way](self.answer, self.x[0]).tolist() for way in ways}


BEGIN, END = "\u22a2", "\u22a3"  # how the marks around a sequence are shown


def answered(
    symbols: Sequence[str], x: Tensor, stack: Recurrent, loss: Callable[[Tensor, State], Tensor], said: str, **more: Any
) -> Opened:
    """What a model makes of x (1, T, D) whose `loss` maps what the stack gives, outputs (B, T', H) and last states, to
    -log p (B,) of what it `said`; `more` are fields of Opened."""
    return Opened(symbols, x.detach(), stack, loss, lambda x: -loss(*stack(x)), said, **more)


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
    x = model.embed(values[None])

    def log_probs(y: Tensor, state: State) -> Tensor:
        return model.head.log_probs(model.pooled(y, state[0], whole(y)), temperature)  # type: ignore[operator]

    with torch.no_grad():
        p = log_probs(*model.stack(x))[0]
    best = int(p.argmax())
    shares = {name: f"{float(value.exp()):.3f}" for name, value in zip(classes, p, strict=True)}
    return answered(symbols, x, model.stack, lambda y, state: -log_probs(y, state)[:, best], classes[best], classes=shares)


def translated(
    model: EncoderDecoder, values: Tensor, symbols: Sequence[str], ids: Sequence[int], written: Sequence[str], said: str
) -> Opened:
    """What a model that writes another sequence makes of values (T, ...), given the ids that it wrote, the end included."""
    x = model.source(values[None])
    targets = torch.tensor([list(ids)], device=x.device)
    inputs = torch.cat([torch.full_like(targets[:, :1], Vocabulary.begin), targets[:, :-1]], 1)

    def loss(outputs: Tensor, state: State) -> Tensor:
        h, _ = model(model.remember(outputs, state, whole(outputs)), inputs.expand(len(outputs), -1))
        return model.head.nll(h, targets.expand(len(outputs), -1)).sum(1)  # type: ignore[operator]

    with torch.no_grad():
        outputs, state = model.encoder(x)
        weights = model(model.remember(outputs, state, whole(outputs)), inputs)[1][0].tolist()
    return answered(symbols, x, model.encoder, loss, said, attention=Attention(symbols, written, weights))


def whole(y: Tensor) -> Tensor:
    """The lengths (B,) of outputs (B, T, H) that have no padding."""
    return torch.full((len(y),), y.shape[1], device=y.device)
