"""unspool demo [TASK]"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    if task == "gradients":
        from unspool.insight import memory

        print("Five recurrences of 32 units, each trained alike: who remembers over which delay? Scores: accuracy, squared error.")
        learned = memory.demonstrate(seed)
        print("\n" + memory.table(learned))
        memory.draw(output or "demo-gradients.png", learned)
        print(f"the gradients through time are drawn in {output or 'demo-gradients.png'}")
    elif task == "positions":
        from unspool.insight import positions

        print('"at Apple" or "an apple"? Learned with the word at positions 2 to 4, asked at all of them.')
        found = positions.demonstrate(seed)
        print("\n" + positions.table(found))
        positions.draw(output or "demo-positions.png", found)
        print(f"the same is drawn in {output or 'demo-positions.png'}")
    else:
        from unspool.tasks.verbs import demo

        demo(task, output, seed=seed)
