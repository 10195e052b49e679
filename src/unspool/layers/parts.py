"""What stands around a recurrent stack: dropouts, embeddings, attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.errors import ConfigError

__all__ = ["Attention", "Embedding", "Keys", "OneHot", "dropout", "fitting", "variational_dropout"]


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Sets a share of x to 0 and scales up the rest. As `torch.nn.functional.dropout`, but four decisions to a random number on the
    CPU, where those numbers are what takes the time; the share is exact to 1 / 65536."""
    if not training or not share:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, share)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    kept = words.view(torch.int16)[: x.numel()].view(x.shape) >= min(round(share * 65536), 65535) - 32768
    return x * kept.to(x.dtype).mul_(1 / (1 - share))


def fitting(x: Tensor, lengths: Tensor | None, size: int) -> None:
    """ConfigError unless x is (B, T, size) and lengths, where given, are (B,)."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        got = f"{x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise ConfigError(f"expected x as a tensor of floats (B, T, {size}), got {got}")
    if lengths is not None and (not isinstance(lengths, Tensor) or lengths.is_floating_point()):
        got = f"{lengths.dtype}" if isinstance(lengths, Tensor) else type(lengths).__name__
        raise ConfigError(f"expected lengths as a tensor of whole numbers (B,), got {got}; a state is given as state=")
    if x.ndim != 3 or x.shape[2] != size:
        raise ConfigError(f"expected x of shape (B, T, {size}), got {tuple(x.shape)}")
    if x.shape[1] == 0:
        raise ConfigError(f"expected at least one step of time, got x of shape {tuple(x.shape)}")
    if lengths is not None and lengths.shape != x.shape[:1]:
        raise ConfigError(f"expected lengths of shape ({x.shape[0]},), one for each sequence, got {tuple(lengths.shape)}")


def variational_dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Dropout on x (B, T, D) with one mask for all steps of a sequence (Gal & Ghahramani 2016)."""
    if not training or not share:
        return x
    return x * dropout(torch.ones_like(x[:, :1]), share, training)


class Embedding(nn.Embedding):
    """Ids (B, T) to learned vectors (B, T, D), drawn with a standard deviation of 1.

    The weights are kept sqrt(D) times smaller, so that they may serve as an output's too (Vaswani et al. 2017, section 3.4).
    With a small `deviation` what is seldom seen stays near 0 and says little, as it should where there are few texts.
    """

    def __init__(self, symbols: int, size: int, deviation: float = 1.0):
        super().__init__(symbols, size)
        nn.init.normal_(self.weight, std=deviation / math.sqrt(size))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        return super().forward(input) * math.sqrt(self.embedding_dim)


class Keys(nn.Module):
    """Rolls (B, T, K) of zeros and ones to floats, scaled to a mean square of 1 where `sounding` keys of a step are ones."""

    def __init__(self, keys: int, sounding: float):
        super().__init__()
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor([math.sqrt(keys / max(sounding, 1.0))]))

    def forward(self, x: Tensor) -> Tensor:
        return x.float() * self.scale


class OneHot(nn.Module):
    """Ids (B, T) to vectors (B, T, V) of zeros with a single one, at the symbol's place in the vocabulary."""

    def __init__(self, symbols: int):
        super().__init__()
        self.embedding_dim = symbols
        self.register_buffer("_as", torch.zeros(()), persistent=False)  # carries the dtype and device

    def forward(self, ids: Tensor) -> Tensor:
        return F.one_hot(ids, self.embedding_dim).to(self._as)  # type: ignore[arg-type]


class Attention(nn.Module):
    """Where to look: queries (B, T, H) over a memory (B, S, M), of which what is `inside` (B, S) counts.

    Multiplicative attention (Luong et al. 2015): score = q W m / sqrt(M), weights by softmax over the true steps, context the
    weighted mean. Returns tanh(V [query; context]) (B, T, H) and the weights (B, T, S). The memory's products with W and with V
    are taken beforehand, by `prepare`, and serve all queries, though they come one at a time.
    """

    def __init__(self, query_size: int, memory_size: int):
        super().__init__()
        self.score = nn.Linear(query_size, memory_size, bias=False)
        self.combine = nn.Linear(query_size + memory_size, query_size)

    def prepare(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """A memory (B, S, M) as keys and values, (B, S, H) both."""
        keys = memory @ self.score.weight / math.sqrt(memory.shape[2])
        return keys, memory @ self.combine.weight[:, self.score.in_features :].T

    def forward(self, query: Tensor, keys: Tensor, values: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        scores = query @ keys.transpose(1, 2)
        weights = scores.masked_fill(~inside[:, None], -math.inf).softmax(dim=2)
        own = F.linear(query, self.combine.weight[:, : self.score.in_features], self.combine.bias)
        return torch.tanh(own + weights @ values), weights
