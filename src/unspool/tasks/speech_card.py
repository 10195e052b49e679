"""The model card of a speech recogniser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["card"]


def card(stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Markdown, generated from the configuration and what training reported."""
    config, data = stored["config"], stored["data"]
    others = "\n".join(f"| {name} | {value:.3f} |" for name, value in metrics["baselines"].items())
    score = next((f"{v:.3f}" for k, v in metrics.items() if k == f"validation, {data['unit']}"), "none")
    way = "one-directional, for streams," if config["streaming"] else "bidirectional"
    strings = " Single words were strung together, with gaps of up to 0.3 seconds." if config["strings"] else ""
    return f"""# A speech recogniser

A {way} {config["cell"].upper()} of {config["layers"]} x {config["hidden"]} on {config["features"]} features ({config["loss"]},
by {config["unit"]}), made with unspool {stored["versions"]["unspool"]}. It has learned from {data["recordings"]["train"]:,}
recordings, {data["seconds"] / 60:.1f} minutes at {data["rate"]:,} values a second.{strings} Validation: {data["split"]}.

| on the validation part | {data["unit"]} |
|---|---|
| this model | {score} |
{others}

Its word error rate there is {metrics.get("validation, word error rate %", float("nan")):.2f} %. Training {metrics["ended"]} after
{metrics["seconds"]:.0f} seconds and {metrics["epochs"]} epochs. Voices, microphones and noise unlike those it learned from cost it
more errors; a word's confidence is calibrated on the validation part alone.

    unspool predict MODEL FILE.wav
    unspool predict MODEL FILE.wav -o FILE.srt
    unspool evaluate MODEL RECORDINGS
"""
