"""The README's table, made from `benchmarks/results/*.json`: `python -m benchmarks.table` writes it."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARKS = re.compile(r"(<!-- results: .*? -->\n).*?(<!-- end of results -->)", re.DOTALL)
SPEED_MARKS = re.compile(r"(<!-- speed: .*? -->\n).*?(<!-- end of speed -->)", re.DOTALL)
SHAPES = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9")


def table() -> str:
    """Markdown: a row a record."""
    rows = ["| data | measure | Unspool | beside it | minutes | command |", "|---|---|---|---|---|---|"]
    for file in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        for record in json.loads(file.read_text("utf-8")) if file.stem != "speed" else ():
            beside = ", ".join(f"{name} {_number(value)}" for name, value in record["baselines"].items() if name != "uniform")
            minutes = f"{record['seconds'] / 60:.0f}" if "seconds" in record else ""
            command, value = record["command"].removeprefix("python -m "), _number(record["value"]) + record.get("unit", "")
            rows.append(f"| {record['data']} | {record['measure']} | **{value}** | {beside} | {minutes} | `{command}` |")
    return "\n".join(rows) + "\n"


def speed() -> str:
    """Markdown: the ratios of the LSTM, GRU and RNN to torch.nn, a row a measure, a column a shape."""
    file = ROOT / "benchmarks" / "results" / "speed.json"
    records = json.loads(file.read_text("utf-8")) if file.exists() else []
    ratios = {
        (r["measure"], r["data"]): r["baselines"]["torch.nn"]
        for r in records
        if "torch.nn" in r["baselines"] and "ratio" in r["measure"]
    }
    shapes = [shape for shape in SHAPES if any(data == shape for _, data in ratios)]
    rows = [f"| against torch.nn | {' | '.join(shapes)} |", "|---" * (len(shapes) + 1) + "|"]
    for measure in (f"{cell} {what} ratio" for what in ("training", "inference") for cell in ("lstm", "gru", "rnn")):
        cells = [_number(ratios[measure, shape]) if (measure, shape) in ratios else "" for shape in shapes]
        rows.append(f"| {measure.removesuffix(' ratio')} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def updated(readme: str) -> str:
    """The README with the tables as they should be."""
    for marks, made in ((MARKS, table), (SPEED_MARKS, speed)):
        readme = marks.sub(lambda found, made=made: found[1] + made() + found[2], readme)
    return readme


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"


if __name__ == "__main__":
    file = ROOT / "README.md"
    file.write_text(updated(file.read_text("utf-8")), "utf-8")
