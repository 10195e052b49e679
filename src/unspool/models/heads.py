"""What stands on top of a stack: h (..., H) to a distribution.

A head has `nll(h, y)` and `expect(p)`, which starts it from known frequencies, so that training need not learn them first; one that
writes has `sample(h, allowed, rng)`, and one that rates `log_probs(h)`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["NADE", "Bernoulli", "Categorical", "Ordinal", "tempered"]


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

    def log_probs(self, h: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probabilities (..., V)."""
        return (self(h) / temperature).log_softmax(-1)

    def nll(self, h: Tensor, y: Tensor) -> Tensor:
        """-log p(y) in nats, of the shape of y."""
        return F.cross_entropy(self(h).flatten(0, -2), y.flatten(), reduction="none").view(y.shape)

    @torch.no_grad()
    def expect(self, p: Tensor) -> None:
        """The symbols' frequencies (V,)."""
        self.out.bias.copy_(p.log())

    def sample(self, h: Tensor, allowed: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Draws symbols (...); `allowed` (..., V) shuts out the rest."""
        logits = self(h)
        if allowed is not None:
            logits = logits.masked_fill(~allowed, -torch.inf)
        return torch.multinomial(logits.softmax(-1).flatten(0, -2), 1, generator=rng).view(logits.shape[:-1])


class Ordinal(nn.Module):
    """One of K ordered answers, which knows that 4 is nearer 5 than 1: a cumulative link model with a place and a spread of its own
    for each h (McCullagh 1980, section 6.1).

        P(y > k) = sigmoid((w h - border<k>) / exp(v h)), the borders ascending
    """

    def __init__(self, hidden: int, answers: int):
        super().__init__()
        self.score, self.spread = nn.Linear(hidden, 1, bias=False), nn.Linear(hidden, 1, bias=False)
        nn.init.zeros_(self.spread.weight)
        self.first = nn.Parameter(torch.tensor([-float(answers - 2) / 2]))
        self.gaps = nn.Parameter(torch.full((answers - 2,), 0.5413))  # softplus of which is 1

    @property
    def borders(self) -> Tensor:
        """Between neighbouring answers, (K - 1,), ascending."""
        return torch.cat([self.first, self.first + F.softplus(self.gaps).cumsum(0)])

    def log_probs(self, h: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probabilities (..., K)."""
        above = (self.score(h) - self.borders) * self.spread(h).clamp(-3, 3).neg().exp() / temperature
        upper = F.pad(F.logsigmoid(above), (1, 0))  # log P(y > k - 1)
        # log(P(y > k - 1) - P(y > k)), where log P(y > k) = logsigmoid(above); for the last answer nothing is above.
        step = F.logsigmoid(above) - upper[..., :-1]
        return torch.cat([upper[..., :-1] + torch.log(-torch.expm1(step).clamp(max=-1e-12)), upper[..., -1:]], -1)

    def nll(self, h: Tensor, y: Tensor) -> Tensor:
        """-log p(y) in nats, of the shape of y."""
        return -self.log_probs(h).gather(-1, y[..., None])[..., 0]

    @torch.no_grad()
    def expect(self, p: Tensor) -> None:
        """How often each answer (K,) comes: the borders that give just that where w h = 0."""
        above = (1 - p.cumsum(0)[:-1]).clamp(1e-4, 1 - 1e-4)
        borders = -torch.logit(above)
        self.first.copy_(borders[:1])
        self.gaps.copy_(torch.log(torch.expm1(borders.diff().clamp(min=1e-3))))


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
        return self.nlls(h, y).sum(-1)

    def nlls(self, h: Tensor, y: Tensor) -> Tensor:
        """-log p in nats of each key of y (..., K): (..., K)."""
        return F.binary_cross_entropy_with_logits(self(h), y.to(h.dtype), reduction="none")

    def sample(
        self, h: Tensor, allowed: Tensor | None = None, rng: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draws keys (..., K), zeros and ones; `allowed` (..., K) shuts out the rest."""
        p = tempered(self(h), temperature)
        return torch.bernoulli(p if allowed is None else p * allowed, generator=rng)

    @torch.no_grad()
    def expect(self, p: Tensor) -> None:
        """How often each key (K,) is one, in (0, 1)."""
        self.out.bias.copy_(p.logit())


class NADE(nn.Module):
    """K yes-or-no answers one after the other, each given h and those before it: a neural autoregressive distribution estimator
    (Larochelle & Murray 2011) on a recurrent stack (RNN-NADE, Boulanger-Lewandowski et al. 2012).

        logit<k> = b<k>(h) + V<k> sigmoid(c(h) + sum of y<j> W<j>) + sum of y<j> A<j, k>, over j < k

    The answers go from the last key down, for music from the melody to the bass.
    """

    def __init__(self, hidden: int, keys: int, units: int = 128):
        super().__init__()
        self.keys = keys
        self.out, self.condition = nn.Linear(hidden, keys), nn.Linear(hidden, units)
        self.V = nn.Parameter(torch.randn(keys, units) / units**0.5)
        self.W = nn.Parameter(torch.randn(keys, units) * 0.5)
        self.A = nn.Parameter(torch.zeros(keys, keys))

    def nll(self, h: Tensor, y: Tensor) -> Tensor:
        """-log p(y) in nats for y (..., K) of zeros and ones, summed over the keys: (...)."""
        return self.nlls(h, y).sum(-1)

    def nlls(self, h: Tensor, y: Tensor) -> Tensor:
        """-log p in nats of each key of y (..., K), given those above it: (..., K).

        Between two ones nothing new is known, so the hidden units are computed once for each one of a row, not for each key.
        """
        rows = y.flatten(0, -2).flip(1)
        on = rows > 0
        before = on.cumsum(1) - on.long()  # (N, K) ones before each key
        row, key = on.nonzero(as_tuple=True)
        most = int(on.sum(1).max()) if len(row) else 0
        ones = key.new_full((len(rows), most), self.keys)
        ones[row, before[row, key]] = key
        known = (
            F.pad(self.W, (0, 0, 0, 1))[ones],
            F.pad(self.A, (0, 0, 0, 1))[ones],
        )  # a row of zeros where there is no further one
        hidden, linear = (F.pad(k, (0, 0, 1, 0)).cumsum(1) for k in known)
        units = torch.sigmoid(self.condition(h).flatten(0, -2)[:, None] + hidden)
        logits = (units @ self.V.T + linear).gather(1, before[:, None])[:, 0] + self.out(h).flatten(0, -2)
        return F.binary_cross_entropy_with_logits(logits, rows.to(h.dtype), reduction="none").flip(1).view(y.shape)

    def sample(
        self, h: Tensor, allowed: Tensor | None = None, rng: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draws keys (..., K), zeros and ones; `allowed` (..., K) shuts out the rest."""
        bias, hidden = self.out(h), self.condition(h)
        linear = torch.zeros_like(bias)
        y = torch.zeros_like(bias)
        for k in range(self.keys):
            p = tempered(bias[..., k] + torch.sigmoid(hidden) @ self.V[k] + linear[..., k], temperature)
            y[..., k] = torch.bernoulli(p if allowed is None else p * allowed[..., self.keys - 1 - k], generator=rng)
            hidden = hidden + y[..., k, None] * self.W[k]
            linear = linear + y[..., k, None] * self.A[k]
        return y.flip(-1)

    @torch.no_grad()
    def expect(self, p: Tensor) -> None:
        """How often each key (K,) is one, in (0, 1)."""
        self.out.bias.copy_(p.flip(0).logit() - torch.sigmoid(torch.zeros(())) * self.V.sum(1))


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Probabilities; at a temperature of 0 the likelier answer is certain."""
    return (logits / temperature).sigmoid() if temperature else (logits > 0).to(logits.dtype)
