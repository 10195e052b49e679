"""What seeing inside costs and finds.

    python -m benchmarks.quality.insight ROW [--data FOLDER]

Rows: overhead (against a training step of the same input, of the model that `benchmarks.quality.text trump` leaves), units (of the
same model, on tweets it has not read), positions and gradients (the demos, three seeds).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import unspool
from benchmarks.quality.rows import MODELS, command, run
from benchmarks.record import record
from unspool.insight import memory, positions
from unspool.insight.report import inspect
from unspool.tasks.verbs import inspect as inspected

TEXT = "The FAKE NEWS media is not my enemy, it is the enemy of the American People! " * 4


def overhead(data: Path, minutes: float) -> None:
    model: Any = unspool.load(MODELS / "trump")
    opened = model.opened(TEXT)
    ids = torch.from_numpy(model.codec.encode(TEXT))[None]

    optimizer = torch.optim.AdamW(model.model.parameters(), lr=0.0, fused=True)  # at a rate of 0, so that the model stays the same

    def step() -> None:
        optimizer.zero_grad()
        model.model.nll(ids[:, :-1], ids[:, 1:])[0].sum().backward()
        torch.nn.utils.clip_grad_norm_(model.model.parameters(), 1.0)
        optimizer.step()

    parts = ("gradient", "gates", "surprise", "attribution")
    ways: dict[str, Callable[[], object]] = {"step": step}
    ways |= {name: lambda name=name: inspect(opened, [name]) for name in parts}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(9):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name in parts:
        facts = {"baselines": {"a training step": 1.0}, "command": command("insight"), "seconds": 0}
        facts["split"] = f"a text of {ids.shape[1]} symbols; median of nine, in turns"
        record("insight", f"inspect --only {name}", "times a training step", medians[name] / medians["step"], "lower", **facts)


def units(data: Path, minutes: float) -> None:
    rows = inspected(unspool.load(MODELS / "trump"), MODELS / "trump-test.txt", ["units"])["units"]
    found = {f"{row['rule']}: unit {row['unit']}, {row['state']}": row["r, other half"] for row in rows}
    good = sum(abs(r) >= 0.6 for r in found.values())
    facts: dict[str, Any] = {"baselines": {}, "found": found, "command": command("insight"), "seconds": 0}
    facts["split"] = "found on one half of tweets of the test part, reported on the other"
    record("insight", "text/trump", "rules that a unit follows with |r| >= 0.6", good, "higher", **facts)


def by_position(data: Path, minutes: float) -> None:
    worst, best, began = [], [], time.monotonic()
    for seed in range(3):
        found = positions.demonstrate(seed)
        unseen = [n for n in range(len(found[0].accuracy)) if n + 1 not in positions.SEEN]
        worst.append(min(found[0].accuracy[n] for n in unseen))
        best.append(max(found[2].accuracy[n] for n in unseen))
    facts: dict[str, Any] = {"baselines": {"feed-forward, its best": 100 * max(best), "chance": 50.0}, "seeds": 3}
    facts |= {"command": command("insight"), "seconds": round((time.monotonic() - began) / 3)}
    facts["split"] = "the worst position never seen, of three seeds"
    record("insight", "demo positions", "accuracy %, recurrent", 100 * min(worst), "higher", **facts)


def by_delay(data: Path, minutes: float) -> None:
    began, orders = time.monotonic(), []
    for seed in range(3):
        found = memory.demonstrate(seed)
        print(memory.table(found))
        counts = {name: sum(f.learned for f in found if f.cell == name) for name in memory.CELLS}
        orders.append(counts)
    total = {name: sum(counts[name] for counts in orders) for name in memory.CELLS}
    first, last = min(total, key=total.__getitem__), max(total, key=total.__getitem__)
    kept = sum(counts[first] < counts[last] for counts in orders)
    facts: dict[str, Any] = {"baselines": {}, "learned": orders, "command": command("insight"), "seeds": 3}
    facts |= {"seconds": round((time.monotonic() - began) / 3), "split": f"{last} learns over longer delays than {first}"}
    record("insight", "demo gradients", "seeds in which the order holds, of 3", kept, "higher", **facts)


ROWS = {
    "overhead": (overhead, math.nan),
    "units": (units, math.nan),
    "positions": (by_position, math.nan),
    "gradients": (by_delay, math.nan),
}

if __name__ == "__main__":
    run("insight", ROWS)
