"""unspool demo [TASK]"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TOYS = {"gradients": "unspool.insight.memory", "positions": "unspool.insight.positions"}


def demo(
    task: Annotated[
        str,
        typer.Argument(help="text, music, sentiment, speech, translation, dna, table or video; gradients or positions"),
    ] = "text",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder of the model [default: demo-TASK, numbered if it exists]; a .png of the other two"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and samples.")] = 0,
) -> None:
    """No data, no flags, about a minute: trains, shows, scores against baselines, prints the next commands."""
    if task not in TOYS:
        from unspool.errors import ConfigError, did_you_mean
        from unspool.tasks import TASKS
        from unspool.tasks.verbs import demo

        known = (*TASKS, *TOYS)
        if task not in known:
            raise ConfigError(f"there is no task {task!r}{did_you_mean(task, known)}; the demos are {', '.join(known)}")
        demo(task, output, seed=seed)
        return
    from importlib import import_module

    toy, picture = import_module(TOYS[task]), output or Path(f"demo-{task}.png")
    print(toy.ABOUT)
    found = toy.demonstrate(seed)
    print(f"\n{toy.table(found)}")
    toy.draw(picture, found)
    print(f"the same is drawn in {picture}")
