"""The README's table, made from `benchmarks/results/*.json`: `python -m benchmarks.table` writes it."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARKS = re.compile(r"(<!-- results: .*? -->\n).*?(<!-- end of results -->)", re.DOTALL)


def table() -> str:
    """Markdown: a row a record."""
    rows = ["| data | measure | Unspool | beside it | minutes | command |", "|---|---|---|---|---|---|"]
    for file in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        for record in json.loads(file.read_text("utf-8")):
            beside = ", ".join(f"{name} {_number(value)}" for name, value in record["baselines"].items() if name != "uniform")
            minutes = f"{record['seconds'] / 60:.0f}" if "seconds" in record else ""
            command, value = record["command"].removeprefix("python -m "), _number(record["value"]) + record.get("unit", "")
            rows.append(f"| {record['data']} | {record['measure']} | **{value}** | {beside} | {minutes} | `{command}` |")
    return "\n".join(rows) + "\n"


def updated(readme: str) -> str:
    """The README with the table as it should be."""
    return MARKS.sub(lambda found: found[1] + table() + found[2], readme)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"


if __name__ == "__main__":
    file = ROOT / "README.md"
    file.write_text(updated(file.read_text("utf-8")), "utf-8")
