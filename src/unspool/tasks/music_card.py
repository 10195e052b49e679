"""The model card of a music model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["card"]

_KINDS = {
    "events": "REMI events (bars, places, notes with durations)",
    "notebook": "symbols, each a note or a chord, without rhythm",
    "roll": "steps of a piano roll",
}


def card(stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Markdown, generated from the configuration and what training reported."""
    config, data = stored["config"], stored["data"]
    score = next((f"{v:.3f}" for k, v in metrics.items() if k.startswith("validation")), "none")
    others = "\n".join(f"| {name} | {value:.3f} |" for name, value in metrics["baselines"].items())
    pieces, steps = data["pieces"], data["steps"]
    return f"""# A model of music

A {config["layers"]} x {config["hidden"]} {config["cell"].upper()} over {_KINDS[stored["codec"]["kind"]]}, made with unspool
{stored["versions"]["unspool"]}. It has learned from {pieces["train"]:,} pieces ({steps["train"]:,} steps), transposed by up to
{stored["codec"]["transpose"]} semitones, and {pieces["validation"]:,} more validated it.

| on the validation part | {data["unit"]} |
|---|---|
| this model | {score} |
{others}

Training {metrics["ended"]} after {metrics["seconds"]:.0f} seconds and {metrics["epochs"]} epochs. It writes what its pieces were
like, and may repeat parts of them: `unspool generate` says of each piece how long a run of notes it copied. Steps and rhythms of
the training pieces are stored with it for that. Whose music it learned from has a say in what may be done with it.

    unspool generate MODEL -n 5 -o piece.mid
    unspool generate MODEL --prompt beginning.mid -o piece.mid
    unspool evaluate MODEL FOLDER
"""
