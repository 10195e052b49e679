"""A continuous cache: a language model that has read on looks up what followed when it was in a like state before."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Cache", "KeyCache", "SymbolCache"]

SHARPNESS = 16.0  # a state at cosine c counts exp(SHARPNESS (c - 1)) of one that is the same


class Cache:
    """The hidden states h<i> of the last `size` steps and the symbols y<i> that followed, for B sequences (Grave et al. 2017).

    P(y) = (own p(y) + sum of w_i where y<i> = y) / (own + sum of w_i), with w_i = exp(SHARPNESS (cos(h<t>, h<i>) - 1)). The model's
    own answer is one more entry, as in a pointer sentinel (Merity et al. 2017), so it alone decides where nothing like it was seen;
    it weighs as much as `own` states that are the same. Nothing is trained; memory is constant.
    """

    def __init__(self, size: int, batch: int, hidden: int, like: Tensor, own: float = 5.0):
        self.size, self.own, self.now = size, own, 0
        self._keys = like.new_empty(batch, size, hidden)  # pages that are not filled yet are not there yet
        self._values = self._room(like, batch)

    def _room(self, like: Tensor, batch: int) -> Tensor:
        return like.new_empty(batch, self.size, dtype=torch.long)

    def reset(self) -> None:
        """Forgets everything."""
        self.now = 0

    def keep(self, rows: Tensor) -> None:
        """Goes on with these sequences (n,) alone."""
        whole, filled = self._keys, min(self.now, self.size)
        self._keys = whole.new_empty(len(rows), *whole.shape[1:])
        self._keys[:, :filled] = whole[rows, :filled]
        self._values = self._values[rows]

    def add(self, h: Tensor, y: Tensor) -> None:
        """Remembers states (B, T, H) and the symbols (B, T), or keys (B, T, K), that followed; of more than `size` the last."""
        self._add(F.normalize(h, dim=2), y)

    def _add(self, keys: Tensor, y: Tensor) -> None:
        keys, y = keys[:, -self.size :], y[:, -self.size :]
        self.now += y.shape[1]
        at = torch.arange(self.now - y.shape[1], self.now, device=y.device) % self.size
        self._keys[:, at] = keys
        self._values[:, at] = y.to(self._values.dtype)

    def logits(self, h: Tensor, logits: Tensor) -> Tensor:
        """The model's logits (B, V) at states (B, H), to those of P, on the same scale."""
        filled = min(self.now, self.size)
        weights = _weights(F.normalize(h, dim=1)[:, None], self._keys[:, :filled])[:, 0]
        return self._mixed(logits, self._values[:, :filled], weights)

    def _mixed(self, logits: Tensor, symbols: Tensor, weights: Tensor) -> Tensor:
        p = (self.own * logits.softmax(1)).scatter_add(1, symbols, weights)
        return (p / (self.own + weights.sum(1, keepdim=True))).log() + logits.logsumexp(1, keepdim=True)

    def nll(self, h: Tensor, y: Tensor, given: Tensor) -> Tensor:
        """-log P (B, T) of symbols y (B, T) at states (B, T, H), `given` the model's own -log P (B, T); remembers them."""
        pieces = [self._piece(*part) for part in zip(*(t.split(min(512, self.size), 1) for t in (h, y, given)), strict=True)]
        return torch.cat(pieces, 1)

    def _piece(self, h: Tensor, y: Tensor, given: Tensor) -> Tensor:
        weights, values = self._seen(h, y)
        same = values[:, None] == y[:, :, None]
        return (self.own + weights.sum(2)).log() - torch.logaddexp(math.log(self.own) - given, (weights * same).sum(2).log())

    def _seen(self, h: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What each state (B, T, H) has seen: the weights (B, T, N) and values (B, N, ...) of the steps before. Then adds these."""
        filled, T, own = min(self.now, self.size), h.shape[1], F.normalize(h, dim=2)
        t = torch.arange(self.now, self.now + T, device=h.device)[:, None]
        slots = torch.arange(filled, device=h.device)
        age = (self.now - 1 - slots) % self.size + 1  # how long ago each was written, at the first step of this piece
        old = torch.cat([self.now - age, t[:, 0]])
        seen = (old < t) & (old >= t - self.size)
        weights = _weights(own, torch.cat([self._keys[:, :filled], own], 1)) * seen
        values = torch.cat([self._values[:, :filled], y.to(self._values.dtype)], 1)
        self._add(own, y)
        return weights, values


class SymbolCache(Cache):
    """The same, save that only steps behind the same symbol count: others are never alike in music, and a stream that looks at a
    twentieth of them alone is fast."""

    def __init__(self, size: int, batch: int, hidden: int, like: Tensor, own: float):
        super().__init__(size, batch, hidden, like, own)
        self._before = torch.full_like(self._values, -1)  # the symbol that led to each state
        self._last = torch.full_like(self._values[:, :1], -1)

    def reset(self) -> None:
        super().reset()
        self._last.fill_(-1)

    def keep(self, rows: Tensor) -> None:
        super().keep(rows)
        self._before, self._last = self._before[rows], self._last[rows]

    def _add(self, keys: Tensor, y: Tensor) -> None:
        before = torch.cat([self._last, y[:, :-1]], 1)[:, -self.size :]
        super()._add(keys, y)
        at = torch.arange(self.now - before.shape[1], self.now, device=y.device) % self.size
        self._before[:, at], self._last = before, y[:, -1:]

    def logits(self, h: Tensor, logits: Tensor) -> Tensor:
        alike = self._before[:, : min(self.now, self.size)] == self._last
        most = int(alike.sum(1).max()) if alike.shape[1] else 0
        if not most:
            return logits
        alike, at = alike.to(torch.uint8).topk(most, dim=1)
        keys = self._keys[torch.arange(len(h), device=h.device)[:, None], at]
        weights = _weights(F.normalize(h, dim=1)[:, None], keys)[:, 0] * alike
        return self._mixed(logits, self._values.gather(1, at), weights)

    def _seen(self, h: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        now = torch.cat([self._last, y[:, :-1]], 1)
        before = torch.cat([self._before[:, : min(self.now, self.size)], now], 1)
        weights, values = super()._seen(h, y)
        return weights * (before[:, None] == now[:, :, None]), values


class KeyCache(Cache):
    """The same for K yes-or-no answers at once, which stay independent: each probability is the mean of the model's own and of what
    that key did in like states, p<k> = (own p<k>(h) + sum of w_i y<i, k>) / (own + sum of w_i).

    Where a `Cache` is given the model's own -log P (B, T), this one is given its logits (B, T, K).
    """

    def __init__(self, size: int, batch: int, hidden: int, like: Tensor, own: float, keys: int):
        self.keys = keys
        super().__init__(size, batch, hidden, like, own)

    def _room(self, like: Tensor, batch: int) -> Tensor:
        return like.new_empty(batch, self.size, self.keys)

    def logits(self, h: Tensor, logits: Tensor) -> Tensor:
        """The model's logits (B, K) at states (B, H), to those of the mean."""
        filled = min(self.now, self.size)
        weights = _weights(F.normalize(h, dim=1)[:, None], self._keys[:, :filled])[:, 0]
        seen = (weights[:, None] @ self._values[:, :filled])[:, 0]
        return ((self.own * logits.sigmoid() + seen) / (self.own + weights.sum(1, keepdim=True))).logit(1e-7)

    def _piece(self, h: Tensor, y: Tensor, given: Tensor) -> Tensor:
        weights, values = self._seen(h, y)
        p = (self.own * given.sigmoid() + weights @ values) / (self.own + weights.sum(2, keepdim=True))
        return F.binary_cross_entropy(p.clamp(1e-7, 1 - 1e-7), y.to(p.dtype), reduction="none").sum(2)


def _weights(queries: Tensor, keys: Tensor) -> Tensor:
    """How much each key (B, N, H) counts at each query (B, T, H), both of length 1: (B, T, N)."""
    return (SHARPNESS * (queries @ keys.transpose(1, 2) - 1)).exp()
