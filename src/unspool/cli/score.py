"""unspool score MODEL DATA"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def score(
    model: Annotated[Path, typer.Argument(help="A model folder.", show_default=False)],
    data: Annotated[list[Path], typer.Argument(help="Files of texts, one a line.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The log-probability of each given line, in nats, and per character (or word), its end included."""
    import json as notation

    from unspool.codecs.textfiles import TextFiles
    from unspool.tasks.verbs import load

    trained = load(model)
    for line in TextFiles(data):
        answer = trained.score([line])[0]
        if json:
            print(notation.dumps({"text": line, **answer}, ensure_ascii=False))
        else:
            total, each = answer.values()
            print(f"{total:10.2f} {each:8.3f}  {line}")
