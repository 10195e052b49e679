"""What stands on top of a stack: h (..., H) to a distribution. A head has `nll(h, y)` and `sample(h, allowed, rng)`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Bernoulli", "Categorical"]


class Categorical(nn.Module):
    """One symbol of V. With `tied` (V, E), an embedding's weights serve as the output's too (Press & Wolf 2017; Inan et al. 2017),
    behind a projection H -> E where the sizes differ."""

    def __init__(self, hidden: int, symbols: int, tied: nn.Parameter | None = None):
        super().__init__()
        width = hidden if tied is None else tied.shape[1]
        self.project = nn.Linear(hidden, width) if width != hidden else nn.Identity()
        self.out = nn.Linear(width, symbols)
        if tied is not None:
            self.out.weight = tied
        else:
            nn.init.normal_(self.out.weight, std=width**-0.5)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor) -> Tensor:
        """Logits (..., V)."""
        return self.out(self.project(h))

    def nll(self, h: Tensor, y: Tensor) -> Tensor:
        """-log p(y) in nats, of the shape of y."""
        return F.cross_entropy(self(h).flatten(0, -2), y.flatten(), reduction="none").view(y.shape)

    def sample(self, h: Tensor, allowed: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Draws symbols (...); `allowed` (..., V) shuts out the rest."""
        logits = self(h)
        if allowed is not None:
            logits = logits.masked_fill(~allowed, -torch.inf)
        return torch.multinomial(logits.softmax(-1).flatten(0, -2), 1, generator=rng).view(logits.shape[:-1])


class Bernoulli(nn.Module):
    """K yes-or-no answers at once, independent given h, as the keys of a piano."""

    def __init__(self, hidden: int, keys: int):
        super().__init__()
        self.out = nn.Linear(hidden, keys)

    def forward(self, h: Tensor) -> Tensor:
        """Logits (..., K)."""
        return self.out(h)

    def nll(self, h: Tensor, y: Tensor) -> Tensor:
        """-log p(y) in nats for y (..., K) of zeros and ones, summed over the keys: (...)."""
        return F.binary_cross_entropy_with_logits(self(h), y.to(h.dtype), reduction="none").sum(-1)

    def sample(self, h: Tensor, allowed: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Draws keys (..., K), zeros and ones; `allowed` (..., K) shuts out the rest."""
        p = self(h).sigmoid()
        return torch.bernoulli(p if allowed is None else p * allowed, generator=rng)
