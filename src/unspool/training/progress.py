"""What a person sees while a model trains: a live table on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TextIO

__all__ = ["Progress", "Report", "advice"]


@dataclass(frozen=True)
class Report:
    """One moment of training. Losses are in `unit`; `speed` is symbols a second; times are in seconds; `done` goes from 0 to 1."""

    done: float
    seconds: float
    left: float
    step: int
    epoch: float
    speed: float
    unit: str
    train: float
    valid: float
    best: float
    baselines: dict[str, float]
    sample: str | None


def advice(report: Report) -> str:
    """One line: is this loss good, is it over-fitting."""
    if math.isnan(report.valid):
        return "no validation yet"
    worse = [name for name, value in report.baselines.items() if value <= report.valid]
    if report.valid > report.best * 1.01 and report.train < report.valid * 0.9:
        return "over-fitting: the best model so far is kept; more data or more dropout would help"
    if worse:
        return f"not yet better than {worse[-1]}: more time (--budget) or more data"
    if report.train < report.valid * 0.85:
        return "better than every baseline; memorising begins to show"
    return "better than every baseline" + ("" if report.done >= 1 else ", and still learning")


class Progress:
    """Shows reports. `style` is "auto" (live on a terminal, else plain), "plain", "json" or "silent"."""

    def __init__(self, style: str = "auto", stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.style = ("live" if self.stream.isatty() else "plain") if style == "auto" else style
        self._live: Any = None
        self._sample: str | None = None
        self._next = 0.0

    def say(self, text: str, **facts: Any) -> None:
        """A line that is not progress: a report of what was read, where something is."""
        if self.style == "json":
            self._line(json.dumps({"event": "note", "text": text, **facts}, ensure_ascii=False))
        elif self.style != "silent":
            self._line(text)

    def tick(self, report: Callable[[], Report]) -> None:
        """Called after every step; redraws a live table about twice a second."""
        if self.style == "live" and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.5
            self._draw(report())

    def show(self, report: Report) -> None:
        """Called after every validation."""
        self._sample = report.sample or self._sample
        if self.style == "live":
            self._draw(report)
        elif self.style == "json":
            facts = {k: (None if isinstance(v, float) and not math.isfinite(v) else v) for k, v in asdict(report).items()}
            self._line(json.dumps({"event": "progress", **facts, "advice": advice(report)}, ensure_ascii=False))
        elif self.style == "plain":
            self._line(_plain(report))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self, text: str) -> None:
        try:
            print(text, file=self.stream, flush=True)
        except BrokenPipeError:  # whoever read has gone; that is no reason to stop training
            self.style = "silent"

    def _draw(self, report: Report) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.table import Table
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=Console(file=self.stream), auto_refresh=False)
            self._live.start()
        table = Table.grid(padding=(0, 2))
        bar = "━" * int(30 * report.done) + "╌" * (30 - int(30 * report.done))
        table.add_row(f"{bar} {report.done:4.0%}", f"{clock(report.left)} left", f"step {report.step}, epoch {report.epoch:.1f}")
        table.add_row(f"loss {report.train:.3f}, valid {report.valid:.3f} {report.unit}", f"{report.speed:,.0f} symbols/s")
        table.add_row("beside it: " + ", ".join(f"{name} {value:.3f}" for name, value in report.baselines.items()))
        table.add_row(Text(advice(report), style="bold"))
        if self._sample:
            table.add_row(Text(self._sample.strip()[:280], style="italic"))
        self._live.update(table, refresh=True)


def clock(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _plain(report: Report) -> str:
    line = (
        f"{report.done:4.0%}  {clock(report.left)} left  epoch {report.epoch:.2f}  train {report.train:.4f}  "
        f"valid {report.valid:.4f} {report.unit}  {report.speed:,.0f} symbols/s  {advice(report)}"
    )
    return line + (f"\n      {report.sample.strip()[:160]!r}" if report.sample else "")
