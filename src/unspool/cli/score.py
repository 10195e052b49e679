"""unspool score MODEL DATA"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def score(
    model: Annotated[Path, typer.Argument(help="A model folder.", show_default=False)],
    data: Annotated[list[Path], typer.Argument(help="Files of texts, one a line; or MIDI files.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The log-probability of each given line or piece, in nats, and per character, word, or event, its end included."""
    import json as notation

    from unspool.tasks.verbs import load

    trained = load(model)
    for name, answer in trained.scores(data):
        if json:
            print(notation.dumps({trained.scored: name, **answer}, ensure_ascii=False))
        else:
            total, each = answer.values()
            print(f"{total:10.2f} {each:8.3f}  {name}")
