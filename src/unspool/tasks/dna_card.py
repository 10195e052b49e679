"""The model card of a finder of genes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["card"]


def card(stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Markdown, generated from the configuration and what training reported."""
    config, data = stored["config"], stored["data"]
    others = "\n".join(f"| {name} | {value:.3f} |" for name, value in metrics["baselines"].items())
    score = next((f"{v:.3f}" for k, v in metrics.items() if k.startswith("validation")), "none")
    read = ", ".join(f"{name}: {count:,}" for name, count in data["read"].items())
    return f"""# A finder of genes

A bidirectional {config["cell"].upper()} of {config["layers"]} x {config["hidden"]} that reads both strands in steps of nine
bases, made with unspool {stored["versions"]["unspool"]}. It has learned from {", ".join(f"`{f}`" for f in data["files"])} ({read}).

| on the validation part | {data["unit"]} |
|---|---|
| this model | {score} |
{others}

Training {metrics["ended"]} after {metrics["seconds"]:.0f} seconds and {metrics["epochs"]} epochs. It finds genes of bacteria,
archaea and phages, without introns; starts are less certain than stops.

    unspool predict MODEL GENOME.fa -o GENES.gff3 --proteins PROTEINS.faa
    unspool evaluate MODEL GENOME.gbk
"""
