"""unspool demo [TASK]"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    task: Annotated[str, typer.Argument(help="text, music, sentiment, speech, translation, dna, table or video")] = "text",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the model [default: demo-TASK, numbered if it exists]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and samples.")] = 0,
) -> None:
    """No data, no flags, about a minute: trains, shows, scores against baselines, prints the next commands."""
    from unspool.tasks.verbs import demo

    demo(task, output, seed=seed)
