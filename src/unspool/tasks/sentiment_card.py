"""The model card of a rating model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["card"]


def card(stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Markdown, generated from the configuration and what training reported."""
    config, data = stored["config"], stored["data"]
    score = next((f"{v:.3f}" for k, v in metrics.items() if k.startswith("validation")), "none")
    answer = " The classes are ordered: its answer is the median, with rare classes lifted." if data["ordered"] else ""
    others = "\n".join(f"| {name} | {value:.3f} |" for name, value in metrics["baselines"].items())
    return f"""# A model that rates texts

A {config["cell"].upper()} in both directions, {config["layers"]} x {config["hidden"]}, over {config["unit"]}, made with unspool
{stored["versions"]["unspool"]}. It gives a text one of the classes {", ".join(data["classes"])}.{answer} It has learned from
{data["texts"]["train"]:,} texts of {", ".join(f"`{f}`" for f in data["files"])}; {data["texts"]["validation"]:,} more validated it.

| on the validation part | {data["unit"]} |
|---|---|
| this model | {score} |
{others}

Training {metrics["ended"]} after {metrics["seconds"]:.0f} seconds and {metrics["epochs"]} epochs. How sure it says it is was set
right on the validation part. It knows texts like those it was given, and their authors' opinions; others may be rated badly.

    unspool predict MODEL "a text"
    unspool predict MODEL FILE.csv -o ratings.csv
    unspool evaluate MODEL FILE
"""
