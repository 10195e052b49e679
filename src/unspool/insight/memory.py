"""`unspool demo gradients`: which recurrences remember over which delay, and what their gradient through time says of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.cells import GRU, LSTM, RNN, Cell
from unspool.cells.ops import tanh
from unspool.errors import extra
from unspool.insight.gradients import ThroughTime, through_time
from unspool.insight.pictures import save
from unspool.layers import Recurrent

__all__ = ["ABOUT", "CELLS", "Learned", "demonstrate", "draw", "table"]


ABOUT = "Recurrences of 32 units, each trained alike: who remembers over which delay? Scores: accuracy, squared error."


class Residual(Cell):
    """a<t> = a<t-1> + tanh(W x<t> + U a<t-1> + b) / 4: a straight path for the gradient, which no gate can close."""

    state = ("a",)
    gates = ("candidate",)

    def step(self, gate: Any, state: Any) -> Any:
        return state.a + 0.25 * tanh(gate.candidate)


CELLS: dict[str, Callable[[], Cell]] = {
    "RNN, random start": RNN,  # U uniform within 1 / sqrt(H), as textbooks and torch have it; all others start orthogonal
    "RNN": RNN,
    "RNN, residual": Residual,
    "GRU, update gate alone": lambda: GRU("none"),
    "GRU": GRU,
    "LSTM": LSTM,
}
DELAYS = (5, 20, 60)
HIDDEN, BATCH, SYMBOLS = 32, 32, 8
STEPS, RATE = 600, 4e-3
RANDOM = "RNN, random start"
LEARNED = {"copy": 0.9, "adding": 0.03}  # accuracy from which, squared error (of 0.167 for the mean) to which a task is learned


class Learned(NamedTuple):
    """A cell on a task at a delay: its score in the end, and its gradient through time before training and after."""

    cell: str
    task: str
    delay: int
    score: float
    before: ThroughTime
    after: ThroughTime

    @property
    def learned(self) -> bool:
        return self.score >= LEARNED["copy"] if self.task == "copy" else self.score <= LEARNED["adding"]


def _copy(delay: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A symbol, then noise; at the end: which symbol was it? (B, delay + 1, SYMBOLS + 1), the last input asks."""
    y = rng.integers(0, SYMBOLS, BATCH)
    x = np.zeros((BATCH, delay + 1, SYMBOLS + 1), np.float32)
    x[:, 1:-1, :SYMBOLS] = rng.normal(0, 0.3, (BATCH, delay - 1, SYMBOLS))
    x[np.arange(BATCH), 0, y] = 3
    x[:, -1, SYMBOLS] = 3
    return torch.from_numpy(x), torch.from_numpy(y)


def _adding(delay: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Numbers, two of them marked, the first at the very beginning: their sum (Hochreiter and Schmidhuber 1997)."""
    x = np.zeros((BATCH, delay + 1, 2), np.float32)
    x[:, :, 0] = rng.uniform(0, 1, (BATCH, delay + 1))
    second = rng.integers(1, delay + 1, BATCH)
    x[:, 0, 1] = x[np.arange(BATCH), second, 1] = 1
    return torch.from_numpy(x), torch.from_numpy((x[:, :, 0] * x[:, :, 1]).sum(1))


_TASKS = {"copy": (_copy, SYMBOLS + 1, SYMBOLS), "adding": (_adding, 2, 1)}


def demonstrate(seed: int = 0, say: Callable[[str], None] = print) -> list[Learned]:
    """Trains each cell on each task at each delay, at the same size; says who learned."""
    found = []
    for task in _TASKS:
        for delay in DELAYS:
            for name in CELLS:
                found.append(_trained(name, task, delay, seed))
            row = ", ".join(f"{f.cell} {f.score:.2f}" for f in found[-len(CELLS) :])
            say(f"{task}, delay {delay}: {row}")
    return found


def _trained(name: str, task: str, delay: int, seed: int) -> Learned:
    make, inputs, outputs = _TASKS[task]
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    stack, out = Recurrent(CELLS[name](), inputs, HIDDEN), nn.Linear(HIDDEN, outputs)
    if name == RANDOM:
        nn.init.uniform_(stack.stack[0].U, -(HIDDEN**-0.5), HIDDEN**-0.5)  # type: ignore[arg-type]
    parameters = [*stack.parameters(), *out.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=RATE)

    def losses(y: Tensor, target: Tensor) -> Tensor:
        answer = out(y[:, -1])
        return F.cross_entropy(answer, target, reduction="none") if task == "copy" else (answer[:, 0] - target) ** 2

    def looked() -> ThroughTime:
        x, y = make(delay, np.random.default_rng(99))
        return through_time(stack.eval(), x[:1], lambda h, _: losses(h, y[:1]))

    before = looked()
    for step in range(STEPS):
        x, y = make(delay, rng)
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        optimizer.zero_grad()
        losses(stack(x)[0], y).mean().backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    after = looked()
    with torch.no_grad():
        scores = []
        for _ in range(8):
            x, y = make(delay, rng)
            answer = out(stack(x)[0][:, -1])
            scores.append(float((answer.argmax(1) == y).float().mean() if task == "copy" else F.mse_loss(answer[:, 0], y)))
    return Learned(name, task, delay, float(np.mean(scores)), before, after)


def table(found: list[Learned]) -> str:
    """Who learned at which delay, the half-life of the gradient at the longest, and the order that follows."""
    lines = [f"{'':24}{'copy':>{5 * len(DELAYS)}}{'adding':>{5 * len(DELAYS)}}   half-life, steps: before, after"]
    lines.append(f"{'delay':24}" + "".join(f"{d:>5}" for d in DELAYS * 2))
    counts: dict[str, int] = {}
    for name in CELLS:
        own = [f for f in found if f.cell == name]
        counts[name] = sum(f.learned for f in own)
        longest = next(f for f in own if f.task == "copy" and f.delay == DELAYS[-1])
        lives = [list(t.half_lives.values())[-1] for t in (longest.before, longest.after)]
        said = ", ".join("does not fall" if math.isinf(life) else f"{life:.1f}" for life in lives)
        lines.append(f"{name:24}" + "".join(f"{'yes' if f.learned else '-':>5}" for f in own) + f"   {said}")
    order = sorted(CELLS, key=lambda name: counts[name])
    joined = order[0]
    for a, b in pairwise(order):
        joined += (" < " if counts[a] < counts[b] else " = ") + b
    return "\n".join([*lines, "", f"learned, of {2 * len(DELAYS)}: " + joined])


def draw(path: str | Path, found: list[Learned]) -> None:
    """A PNG: the gradient of the copy problem's loss by distance at the longest delay, before training and after."""
    figure = extra("matplotlib.figure", "inspect").Figure(figsize=(10, 4), layout="constrained")
    for number, (when, axes) in enumerate(zip(("before", "after"), figure.subplots(1, 2, sharey=True), strict=True)):
        for f in found:
            if f.task == "copy" and f.delay == DELAYS[-1]:
                axes.plot(list(getattr(f, when).norms.values())[-1], label=f.cell)
        axes.set(yscale="log", xlabel="steps back", title=f"{when} training")
        if not number:
            axes.set(ylabel="norm of the gradient", ylim=(1e-12, 10))
            axes.legend(frameon=False)
    save(figure, path)
