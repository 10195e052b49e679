"""`unspool demo positions`: a fact learned at one position is used at another by a recurrent network, and not by a plain one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.errors import extra
from unspool.insight.pictures import save
from unspool.layers import Embedding, Recurrent

__all__ = ["ABOUT", "ByPosition", "demonstrate", "draw", "table"]

ABOUT = '"at Apple" or "an apple"? Learned with the word at positions 2 to 4, asked at all of them.'
FILLERS, CUES, LONGEST = 20, 3, 10
PAD, APPLE = 0, 1
WORDS = 2 + 2 * CUES + FILLERS
SEEN = (1, 2, 3)  # positions of the word, from 1, in training
HIDDEN, STEPS, BATCH, RATE = 16, 600, 64, 5e-3
Net = Callable[[Tensor, Tensor], Tensor]


class ByPosition(NamedTuple):
    """A network, its parameters, and its accuracy with the word at each position 1, 2, ..."""

    name: str
    parameters: int
    accuracy: list[float]


def _sentences(count: int, positions: tuple[int, ...], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ids (B, LONGEST), 0 behind the end; lengths; where the apple is, from 0; and whether it is a firm or a fruit, which the word
    before it says: "at Apple", "an apple"."""
    ids = rng.integers(2 + 2 * CUES, WORDS, (count, LONGEST))
    place, kind = rng.choice(positions, count), rng.integers(0, 2, count)
    rows = np.arange(count)
    ids[rows, place - 1], ids[rows, place] = 2 + kind * CUES + rng.integers(0, CUES, count), APPLE
    lengths = np.minimum(LONGEST, np.maximum(place + 1, rng.integers(4, LONGEST + 1, count)))
    ids[np.arange(LONGEST)[None] >= lengths[:, None]] = PAD
    return torch.from_numpy(ids), torch.from_numpy(lengths), torch.from_numpy(place), torch.from_numpy(kind)


class _Recurrent(nn.Module):
    def __init__(self, true_lengths: bool):
        super().__init__()
        self.true_lengths = true_lengths
        self.embed = Embedding(WORDS, 8)
        self.stack = Recurrent("gru", 8, HIDDEN, bidirectional=True)
        self.out = nn.Linear(2 * HIDDEN, 2)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, LONGEST, 2) at each position."""
        x = self.embed(ids) * (ids != PAD)[:, :, None]
        return self.out(self.stack(x, lengths if self.true_lengths else None)[0])


class _Plain(nn.Module):
    """A hidden layer over the whole padded sentence, one-hot; as many parameters as the recurrent network, nearly."""

    def __init__(self, parameters: int):
        super().__init__()
        inputs, outputs = LONGEST * WORDS, LONGEST * 2
        hidden = max(1, (parameters - outputs) // (inputs + 1 + outputs))
        self.net = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, LONGEST, 2) at each position."""
        x = F.one_hot(ids, WORDS).float()
        x[:, :, PAD] = 0
        return self.net(x.flatten(1)).unflatten(1, (LONGEST, 2))


def demonstrate(seed: int = 0) -> list[ByPosition]:
    """Trains three networks on sentences with the word at the first positions, and tests them with it at all."""
    torch.manual_seed(seed)
    first = _Recurrent(True)
    size = _size(first)
    nets = {
        "recurrent, true lengths": first,
        "recurrent, zero-padded": _Recurrent(False),
        "feed-forward, zero-padded": _Plain(size),
    }
    return [_trained(name, net, seed) for name, net in nets.items()]


def _size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def _trained(name: str, net: nn.Module, seed: int) -> ByPosition:
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)

    def answers(ids: Tensor, lengths: Tensor, place: Tensor) -> Tensor:
        return net(ids, lengths)[torch.arange(len(ids)), place]

    for _ in range(STEPS):
        ids, lengths, place, kind = _sentences(BATCH, SEEN, rng)
        optimizer.zero_grad()
        F.cross_entropy(answers(ids, lengths, place), kind).backward()
        optimizer.step()
    found = []
    with torch.no_grad():
        for position in range(1, LONGEST):
            ids, lengths, place, kind = _sentences(1000, (position,), np.random.default_rng(1000 + position))
            found.append(float((answers(ids, lengths, place).argmax(1) == kind).float().mean()))
    return ByPosition(name, _size(net), found)


def table(found: list[ByPosition]) -> str:
    """Accuracy by position; those of training are marked."""
    places = range(2, LONGEST + 1)
    head = f"{'position of the word':28}{'weights':>8}  " + "".join(f"{f'{p}*' if p - 1 in SEEN else p:>6}" for p in places)
    rows = [f"{f.name:28}{f.parameters:>8,}  " + "".join(f"{a:>6.0%}" for a in f.accuracy) for f in found]
    return "\n".join([head, *rows, "* in training; elsewhere the word was never seen. Chance is 50 %."])


def draw(path: str | Path, found: list[ByPosition]) -> None:
    """The same as a PNG."""
    figure = extra("matplotlib.figure", "inspect").Figure(figsize=(7, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(min(SEEN) + 0.5, max(SEEN) + 1.5, color="#888888", alpha=0.15, label="positions of training")
    for f in found:
        axes.plot(range(2, LONGEST + 1), f.accuracy, marker="o", label=f.name)
    axes.axhline(0.5, color="#888888", linewidth=0.8)
    axes.set(xlabel="position of the word", ylabel="accuracy", ylim=(0.4, 1.03))
    axes.legend(frameon=False, loc="center right")
    save(figure, path)
