"""How rows are measured and kept: all of a row interleaved in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.record import record

__all__ = ["Runs", "Table", "inference", "training"]

Runs = dict[str, Callable[[], Any]]


def interleaved(runs: Runs, seconds: float, least: int, steps: int) -> dict[str, list[float]]:
    """Seconds of each call, in turns of `steps` calls, after a call of each to warm up.

    Before each there is a pause, in which the threads of the one before stop spinning: two runtimes' threads on the same cores
    would otherwise take from each other.
    """
    took: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(next(iter(took.values()))) < least * steps:
        for name, run in runs.items():
            time.sleep(_PAUSE)
            for _ in range(steps):
                start = time.perf_counter()
                run()
                took[name].append(time.perf_counter() - start)
    return took


_PAUSE = 0.01


class Table:
    """Measures rows, prints them and keeps the records."""

    def __init__(self, quick: bool, only: list[str]):
        self.quick, self.only, self.records = quick, only, []
        self.seconds, self.least = (0.4, 3) if quick else (1.5, 5)

    def wanted(self, *words: str) -> bool:
        return not self.only or all(any(o in word for word in words) for o in self.only)

    def row(
        self, measure: str, data: str, runs: Runs, work: float = 0.0, steps: int = 1, less_exact: Runs | None = None, **facts: Any
    ) -> None:
        """The first of `runs` is ours; the value is the ratio to the fastest of the others; `less_exact` ones only stand beside."""
        less_exact = less_exact or {}
        took = interleaved(runs | less_exact, self.seconds, self.least, steps)
        middle = {name: statistics.median(times) for name, times in took.items()}
        ours, *others = middle
        against = {name: round(middle[name] / middle[ours], 3) for name in others}
        value = min(against[name] for name in runs if name in against)
        speed = {name: round(work / seconds, 1) for name, seconds in middle.items()} if work else {}
        shown = ", ".join(
            f"{name} {seconds * 1e3:.3g} ms" + (f" ({speed[name]:.0f} GFLOP/s)" if work else "") for name, seconds in middle.items()
        )
        print(f"{measure:28} {data:18} {'/'.join(f'{r:.2f}' for r in against.values()):>12}   {shown}", flush=True)
        milliseconds = {name: round(seconds * 1e3, 4) for name, seconds in middle.items()}
        more: dict[str, Any] = {"GFLOP/s": speed} if work else {}
        if steps > 1:
            more["p99 milliseconds"] = {name: round(sorted(times)[int(0.99 * len(times))] * 1e3, 4) for name, times in took.items()}
        self.keep(measure, data, value, "higher", against, milliseconds=milliseconds, **more, **facts)

    def keep(self, measure: str, data: str, value: float, better: str, against: dict[str, float], **facts: Any) -> None:
        kept = {"baselines": against, "threads": torch.get_num_threads(), "command": "python -m benchmarks.speed", **facts}
        self.records.append({"data": data, "measure": measure, "value": value} | kept)
        if not self.quick:
            record("speed", data, measure, value, better, quiet=True, **kept)


def training(model: Any, x: torch.Tensor, gradient: torch.Tensor, *more: Any) -> Callable[[], None]:
    def run() -> None:
        model(x, *more)[0].backward(gradient)

    return run


def inference(model: Any, *inputs: Any) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            model(*inputs)

    return run
