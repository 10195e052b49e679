"""unspool inspect MODEL INPUT"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    model: Annotated[Path, typer.Argument(help="A model folder.", show_default=False)],
    item: Annotated[str, typer.Argument(metavar="INPUT", help="A text, or a file of what the model reads.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A page (.html), the facts (.json), or the figures (.png).")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="gradient, gates, units, attribution, attention or surprise; can be repeated [default: all there are]"),
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="What units may follow: a .json of regular expressions by name [default: built in]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """What is inside: the gradient through time, gates, units that follow a rule, what made an answer, attention, surprise."""
    import json as notation

    from unspool.insight.report import write_report
    from unspool.tasks.verbs import inspect, load

    found = inspect(load(model), item, only or (), rules)
    if output:
        write_report(output, f"{model.name}: {item[:60]}", found)
        print(f"{', '.join(key for key in found if key not in ('input', 'answer', 'classes'))} are in {output}")
    if json or not output:
        print(notation.dumps(found, ensure_ascii=False) if json else shown(found))


def shown(found: dict) -> str:  # type: ignore[type-arg]
    """The facts for a terminal."""
    lines = [f"the answer: {found['answer']!r}"]
    for name, life in found.get("gradient", {}).get("half-life in steps", {}).items():
        lines.append(f"gradient through time, {name}: " + ("does not fall" if life is None else f"halves in {life:.3g} steps"))
    for row in found.get("units", [])[:8]:
        without = row.get("nats a symbol without it")
        cost = "" if without is None else f", {without:+.4f} nats a symbol without it"
        lines.append(
            f"{row['rule']}: unit {row['unit']} of layer {row['layer']} ({row['state']}), r = {row['r, other half']:+.2f}{cost}"
        )
    if "attribution" in found:
        symbols, values = found["input"], found["attribution"]["integrated gradients"]
        best = sorted(range(len(values)), key=lambda i: -abs(values[i]))[:8]
        lines.append("because of: " + ", ".join(f"{symbols[i]!r} {values[i]:+.2f}" for i in sorted(best)))
        whole = "(nats; the whole input: {difference:+.2f}, of which {missing:+.2f} are not found)"
        lines.append(whole.format_map(found["attribution"]))
    if "surprise" in found:
        pairs = sorted(zip(found["surprise"]["nats"], found["surprise"]["symbols"], strict=True), reverse=True)[:5]
        lines.append("least expected: " + ", ".join(f"{symbol!r} {nats:.1f}" for nats, symbol in pairs))
    return "\n".join(lines)
