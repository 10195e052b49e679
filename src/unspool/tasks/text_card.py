"""The model card of a text model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["card"]


def card(stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Markdown, generated from the configuration and what training reported."""
    config, data = stored["config"], stored["data"]
    score = next((f"{v:.3f} {k.removeprefix('validation, ')}" for k, v in metrics.items() if k.startswith("validation")), "none")
    others = "\n".join(f"| {name} | {value:.3f} |" for name, value in metrics["baselines"].items())
    files = ", ".join(f"`{f}`" for f in data["files"])
    kind = "separate documents" if config["corpus"] == "documents" else "one running text"
    train, valid = data["symbols"]["train"], data["symbols"]["validation"]
    return f"""# A language model

A {config["layers"]} x {config["hidden"]} {config["cell"].upper()} over {stored["codec"]["unit"]}, made with unspool
{stored["versions"]["unspool"]}. It has learned {kind} from {files}: {train:,} symbols, and {valid:,} more to validate.

| on the validation part | {data["unit"]} |
|---|---|
| this model | {score.split()[0]} |
{others}

Training {metrics["ended"]} after {metrics["seconds"]:.0f} seconds and {metrics["epochs"]} epochs. It writes what its text was
like; it knows nothing else, and may repeat parts of it: `unspool generate MODEL --compare FILE` shows how much.

    unspool generate MODEL --prompt "..." -n 5
    unspool evaluate MODEL FILE
    unspool score MODEL FILE
"""
