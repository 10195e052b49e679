"""Drawing sequences from a model, symbol by symbol."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unspool.errors import ConfigError

__all__ = ["Sampling", "Walk", "generate", "pick"]


@dataclass(frozen=True)
class Sampling:
    """How the next symbol is chosen. `temperature` 0 takes the likeliest; `top_k` 0 and `top_p` 1 leave all symbols in;
    `repetition_penalty` above 1 makes symbols already written less likely (Keskar et al. 2019)."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        checks = (
            (0 <= self.temperature < math.inf, f"temperature must be 0 or more, not {self.temperature}"),
            (self.top_k >= 0, f"top_k must be 0 (off) or more, not {self.top_k}"),
            (0 < self.top_p <= 1, f"top_p must be above 0 and at most 1, not {self.top_p}"),
            (self.repetition_penalty > 0, f"repetition_penalty must be above 0, not {self.repetition_penalty}"),
        )
        for fits, sentence in checks:
            if not fits:
                raise ConfigError(sentence)


class Symbols(Protocol):
    """A model fed symbol by symbol: the last ones (B,) to the next ones' logits (B, V)."""

    @property
    def device(self) -> torch.device: ...

    def step(self, ids: Tensor) -> Tensor: ...

    def keep(self, rows: Tensor) -> None: ...


class Walk(Protocol):
    """A sequence being written under a grammar: which symbols (V,) may follow, and that one came."""

    @property
    def allowed(self) -> np.ndarray: ...

    def take(self, symbol: int, /) -> None: ...


class Generator(Protocol):
    """What `generate` asks of a model."""

    def stream(self, batch: int = 1) -> Symbols: ...


def pick(logits: Tensor, how: Sampling, written: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
    """One symbol (B,) from logits (B, V); `written` (B, V) is true for the symbols that a sequence already holds."""
    logits = logits.float()
    if how.repetition_penalty != 1 and written is not None:
        scale = torch.where(logits > 0, 1 / how.repetition_penalty, how.repetition_penalty)
        logits = torch.where(written, logits * scale, logits)
    if how.temperature == 0:
        return logits.argmax(1)
    logits = logits / how.temperature
    if 0 < how.top_k < logits.shape[1]:
        logits = logits.masked_fill(logits < logits.topk(how.top_k).values[:, -1:], -torch.inf)
    probabilities = logits.softmax(1)
    if how.top_p < 1:  # the fewest symbols whose probabilities reach top_p (Holtzman et al. 2020)
        ordered, index = probabilities.sort(1, descending=True)
        beyond = (ordered.cumsum(1) - ordered) >= how.top_p
        probabilities = probabilities.masked_fill(beyond.scatter(1, index, beyond), 0.0)
    return torch.multinomial(probabilities, 1, generator=rng)[:, 0]


class _Anything:
    """A walk where everything may follow."""

    allowed = np.ones(0, bool)

    def take(self, symbol: int, /) -> None:
        pass


def _started(grammar: Callable[[], Walk] | None, prompt: Sequence[int]) -> Walk:
    walk = grammar() if grammar else _Anything()
    for symbol in prompt:
        walk.take(symbol)
    return walk


@torch.inference_mode()
def generate(
    model: Generator,
    prompt: Sequence[int],
    n: int,
    *,
    begin: int,
    end: int | None,
    forbidden: Sequence[int] = (),
    limit: int,
    how: Sampling,
    seed: int = 0,
    done: Callable[[list[int]], bool] | None = None,
    grammar: Callable[[], Walk] | None = None,
) -> list[list[int]]:
    """`n` sequences as one batch, each the prompt's ids followed by at most `limit` new ones, without begin and end.

    A sequence stops at `end`, or when `done`, asked about its ids after each new one, says so. `grammar` starts the walk that says
    what may follow what was written.
    """
    stream = model.stream(n)
    device = stream.device
    logits = stream.step(torch.full((n,), begin, device=device))
    for symbol in prompt:
        logits = stream.step(torch.full((n,), symbol, device=device))
    rng = torch.Generator(device).manual_seed(seed)
    written = torch.zeros(logits.shape, dtype=torch.bool, device=device)
    written[:, list(prompt)] = True
    out = [list(prompt) for _ in range(n)]
    alive = list(range(n))
    walks = [_started(grammar, prompt) for _ in range(n)]
    for _ in range(limit):
        logits[:, list(forbidden)] = -torch.inf
        if grammar:
            allowed = torch.from_numpy(np.stack([walk.allowed for walk in walks])).to(device)
            logits = logits.masked_fill(~allowed, -torch.inf)
        chosen = pick(logits, how, written, rng)
        written.scatter_(1, chosen[:, None], True)
        keep = []
        for place, (row, symbol) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            if symbol == end:
                continue
            out[row].append(symbol)
            walks[place].take(symbol)
            if not (done and done(out[row])):
                keep.append(place)
        if not keep:
            break
        if len(keep) < len(alive):  # finished sequences leave the batch
            at = torch.tensor(keep, device=device)
            alive, chosen, written = [alive[k] for k in keep], chosen[at], written[at]
            walks = [walks[k] for k in keep]
            stream.keep(at)
        logits = stream.step(chosen)
    return out
