"""The tables of the README and docs/results.md, from `benchmarks/results/*.json`: `python -m benchmarks.table` writes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MARKS = re.compile(r"(<!-- results: .*? -->\n).*?(<!-- end of results -->)", re.DOTALL)
SPEED_MARKS = re.compile(r"(<!-- speed: .*? -->\n).*?(<!-- end of speed -->)", re.DOTALL)
SHAPES = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9")
# What the README shows; all else stands in docs/results.md.
HEADLINES = (
    "text/tinyshakespeare",
    "text/trump",
    "text/wikitext2",
    "JSB roll",
    "Nottingham roll",
    "Nottingham events, split by piece",
    "Final Fantasy piano, notebook vocabulary, 10 % of the pieces held out",
    "sentiment/sst5",
    "sentiment/alexa_reviews",
    "translation/multi30k de→en, test 2016 Flickr",
    "translation/multi30k en→de, test 2016 Flickr",
    "speech/fsdd strings, official split",
    "speech/fsdd speakers",
    "speech/fsdd strings, streaming model, look-ahead ≤ 300 ms",
    "dna/S. aureus",
    "dna/Acinetobacter phages",
    "dna/M. mycoides, code not given",
    "dna/uci_splice",
    "video/jhmdb_skeletons",
    "video/jhmdb_skeletons, drawn as 64 x 64 pictures",
    "rendered captions",
)


def records() -> list[dict[str, Any]]:
    """The records of quality, file by file."""
    files = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    return [record for file in files if file.stem != "speed" for record in json.loads(file.read_text("utf-8"))]


def table() -> str:
    """Markdown: a row a record, for the README."""
    rows = ["| data | measure | Unspool | beside it | minutes |", "|---|---|---|---|---|"]
    chosen = (r for name in HEADLINES for r in records() if r["data"] == name and r.get("seconds"))  # what was trained
    return "\n".join([*rows, *(f"| {' | '.join(_cells(record))} |" for record in chosen)]) + "\n"


def results() -> str:
    """The page of all results: value, baselines, split and command of each."""
    source = "`benchmarks/results`, which also name the machine, versions and commit of each"
    lines = ["# Results", "", f"Made by `python -m benchmarks.table` from the records in {source}.", ""]
    for record in records():
        data, measure, value, beside, minutes = _cells(record)
        lines += [
            f"**{data}**, {measure}: {value}" + (f" after {minutes} minutes of training" if minutes not in ("", "0") else "") + "."
        ]
        lines += [f"Beside it: {beside}."] if beside else []
        lines += [f"{record['split'][:1].upper()}{record['split'][1:]}."] if "split" in record else []
        lines += [f"Settings: {record['settings']}. `{record['command']}`", ""]
    return "\n".join(lines)


def _cells(record: dict[str, Any]) -> list[str]:
    beside = ", ".join(f"{name} {_number(value)}" for name, value in record["baselines"].items() if name != "uniform")
    minutes = f"{record['seconds'] / 60:.0f}" if "seconds" in record else ""
    return [record["data"], record["measure"], f"**{_number(record['value'])}{record.get('unit', '')}**", beside, minutes]


def speed() -> str:
    """Markdown: the ratios of the LSTM, GRU and RNN to torch.nn, a row a measure, a column a shape."""
    file = ROOT / "benchmarks" / "results" / "speed.json"
    known = json.loads(file.read_text("utf-8")) if file.exists() else []
    ratios = {
        (r["measure"], r["data"]): r["baselines"]["torch.nn"]
        for r in known
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
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


if __name__ == "__main__":
    file = ROOT / "README.md"
    file.write_text(updated(file.read_text("utf-8")), "utf-8")
    (ROOT / "docs" / "results.md").write_text(results(), "utf-8")
