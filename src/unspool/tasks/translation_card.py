"""The model card of a translation model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["card"]


def card(stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Markdown, generated from the configuration and what training reported."""
    config, data = stored["config"], stored["data"]
    score = next((f"{v:.3f}" for k, v in metrics.items() if k.startswith("validation")), "none")
    others = "\n".join(f"| {name} | {value:.3f} |" for name, value in metrics["baselines"].items())
    return f"""# A translation model, {config["source"]} to {config["target"]}

A bidirectional {config["cell"].upper()} reads, another with attention writes, {config["layers"]} x {config["hidden"]}, by
{config["unit"]}, made with unspool {stored["versions"]["unspool"]}. It has learned from {data["pairs"]["train"]:,} pairs of
{", ".join(f"`{f}`" for f in data["files"])}; {data["pairs"]["validation"]:,} more validated it.

| on the validation part | {data["unit"]} |
|---|---|
| this model | {score} |
{others}

Training {metrics["ended"]} after {metrics["seconds"]:.0f} seconds and {metrics["epochs"]} epochs. It translates what is like its
pairs; of other things it makes up something, and says so at most by a warning.

    unspool predict MODEL "a text"
    unspool predict MODEL FILE -o FILE
    unspool evaluate MODEL FILES
"""
