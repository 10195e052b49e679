"""What the commands of `unspool train` share: their options, and the training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Data = Annotated[list[Path], typer.Argument(help="Files or folders to learn from.", show_default=False)]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Folder of the model [default: named after the data]")]
Valid = Annotated[list[Path] | None, typer.Option(help="Files to validate on [default: a part of the data]")]
Budget = Annotated[str | None, typer.Option(help="How long to train, such as 90s, 10m, 1h [default: the task's, minutes]")]
Epochs = Annotated[float | None, typer.Option(help="Or how often to go through the data.")]
CellName = Annotated[
    str | None,
    typer.Option(
        "--cell", help="rnn, gru, lstm, mingru or minlstm [default: lstm for text, music, sentiment and translation, else gru]"
    ),
]
Hidden = Annotated[int | None, typer.Option(help="Size of a layer [default: the task's]")]
Layers = Annotated[int | None, typer.Option(help="How many [default: the task's]")]
Dropout = Annotated[float | None, typer.Option(help="[default: by the size of the data]")]
Rate = Annotated[float | None, typer.Option("--learning-rate", help="At the start.")]
Seed = Annotated[int | None, typer.Option(help="[default: 0]")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda [default: auto]")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")]
Init = Annotated[Path | None, typer.Option(help="A trained model to start from, with new data.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="More options, in a TOML or JSON file.")]
Json = Annotated[bool, typer.Option("--json", help="Progress as JSON lines, on standard output.")]


def run(task: str, given: dict[str, Any]) -> None:
    """Trains with what a task's command was given, and says what to do next."""
    import sys

    from unspool.tasks.task import read_config
    from unspool.tasks.verbs import train
    from unspool.training import Progress

    data, output, valid, resume, init, config, json = (
        given.pop(name) for name in ("data", "output", "valid", "resume", "init", "config", "json")
    )
    flags = {name: value for name, value in given.items() if value is not None and value is not False}
    options = {**(read_config(config) if config else {}), **flags}
    progress = Progress("json", sys.stdout) if json else Progress()
    model = train(task, data, output, valid=valid or (), resume=resume, init=init, progress=progress, **options)
    folder, ended = model.folder.path, model.metrics["ended"]
    if ended == "interrupted":
        progress.say(f"stopped; the best model so far is in {folder}. To go on, give the same command with --resume")
        raise typer.Exit(130)
    verb = "generate" if task in ("text", "music") else "predict"
    progress.say(
        f"the model is in {folder}. Next:\n  unspool {verb} {folder}{'' if verb == 'generate' else ' INPUT'}\n"
        f"  unspool evaluate {folder} FILE",
        model=str(folder),
    )
