"""unspool evaluate MODEL DATA"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder.", show_default=False)],
    data: Annotated[list[Path], typer.Argument(help="Files or folders it has not seen.", show_default=False)],
    weights: Annotated[str, typer.Option(help="f32, or recurrent weights rounded to bf16 or int8, and what that changes.")] = "f32",
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Metrics on data, and those of trivial baselines beside them."""
    import json as notation

    from unspool.tasks.verbs import evaluate, facts, load

    answer = evaluate(load(model), data, weights)
    print(notation.dumps(answer, ensure_ascii=False) if json else facts(answer))
