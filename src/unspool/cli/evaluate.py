"""unspool evaluate MODEL DATA"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder.", show_default=False)],
    data: Annotated[list[Path], typer.Argument(help="Files or folders it has not seen.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Metrics on data, and those of trivial baselines beside them."""
    import json as notation

    from unspool.tasks.verbs import facts, load

    answer = load(model).evaluate(data)
    print(notation.dumps(answer, ensure_ascii=False) if json else facts(answer))
