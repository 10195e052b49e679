"""unspool predict MODEL INPUT..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[Path, typer.Argument(help="A model folder.", show_default=False)],
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Texts, or files of them.", show_default=False)],
    explain: Annotated[
        bool | None, typer.Option("--explain/--no-explain", help="Which words moved the answer [default: for texts, not for files]")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write here: .csv, .tsv, or JSON lines.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The answer of a model to each input: the rating of a text."""
    from unspool.tasks.verbs import load, predict

    trained = load(model)
    options = {} if explain is None else {"explain": explain}
    print(trained.deliver(predict(trained, inputs, **options), output, json))
