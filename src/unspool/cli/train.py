"""unspool train TASK DATA... -o MODEL"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Train a model on your data: unspool train TASK DATA... -o MODEL")

Data = Annotated[list[Path], typer.Argument(help="Files or folders to learn from.", show_default=False)]


@app.command("text")
def text(
    data: Data,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the model [default: named after the data]")
    ] = None,
    valid: Annotated[list[Path] | None, typer.Option(help="Files to validate on [default: a part of the data]")] = None,
    budget: Annotated[str | None, typer.Option(help="How long to train, such as 90s, 10m, 1h [default: 30m]")] = None,
    epochs: Annotated[float | None, typer.Option(help="Or how often to go through the data.")] = None,
    documents: Annotated[bool, typer.Option("--documents", help="Each line is a text of its own [default: guessed]")] = False,
    running: Annotated[bool, typer.Option("--running", help="The files are one long text [default: guessed]")] = False,
    unit: Annotated[str | None, typer.Option(help="characters, words or subwords [default: auto]")] = None,
    normalise: Annotated[str | None, typer.Option(help="tweets: lower case; links, names, numbers as single symbols.")] = None,
    column: Annotated[str | None, typer.Option(help="Column of a CSV or JSONL file [default: guessed]")] = None,
    cell: Annotated[str | None, typer.Option(help="rnn, gru or lstm [default: lstm]")] = None,
    hidden: Annotated[int | None, typer.Option(help="Size of a layer [default: 512]")] = None,
    layers: Annotated[int | None, typer.Option(help="How many [default: 1]")] = None,
    dropout: Annotated[float | None, typer.Option(help="[default: by the size of the data]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the start.")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda [default: auto]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    init: Annotated[Path | None, typer.Option(help="A trained model to start from, with new data.")] = None,
    config: Annotated[Path | None, typer.Option(help="More options, in a TOML or JSON file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Progress as JSON lines, on standard output.")] = False,
) -> None:
    """A language model of tweets, titles, novels, plays, code ... that writes more of the same."""
    from unspool.errors import ConfigError

    if documents and running:
        raise ConfigError("--documents and --running exclude each other; leave both out to have it guessed")
    flags = {
        "corpus": "documents" if documents else "running" if running else None,
        "budget": budget,
        "epochs": epochs,
        "unit": unit,
        "normalise": normalise,
        "column": column,
        "cell": cell,
        "hidden": hidden,
        "layers": layers,
        "dropout": dropout,
        "learning_rate": learning_rate,
        "seed": seed,
        "device": device,
    }
    run("text", data, output, valid or [], resume, init, config, json, flags)


@app.command("music")
def music(
    data: Data,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the model [default: named after the data]")
    ] = None,
    valid: Annotated[list[Path] | None, typer.Option(help="Files to validate on [default: some of the pieces]")] = None,
    budget: Annotated[str | None, typer.Option(help="How long to train, such as 90s, 10m, 1h [default: 15m]")] = None,
    epochs: Annotated[float | None, typer.Option(help="Or how often to go through the data.")] = None,
    representation: Annotated[
        str | None,
        typer.Option(help="events (notes with durations), notebook (notes and chords, no rhythm) or roll [default: auto]"),
    ] = None,
    keys: Annotated[
        str | None, typer.Option(help="Of a roll: joint (each given those above it) or separate [default: joint]")
    ] = None,
    transpose: Annotated[
        int | None, typer.Option(help="Semitones by which pieces may be moved while training [default: auto]")
    ] = None,
    cell: Annotated[str | None, typer.Option(help="rnn, gru or lstm [default: lstm]")] = None,
    hidden: Annotated[int | None, typer.Option(help="Size of a layer [default: 512]")] = None,
    layers: Annotated[int | None, typer.Option(help="How many [default: 1]")] = None,
    dropout: Annotated[float | None, typer.Option(help="[default: by the size of the data]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the start.")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda [default: auto]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    init: Annotated[Path | None, typer.Option(help="A trained model to start from, with new data.")] = None,
    config: Annotated[Path | None, typer.Option(help="More options, in a TOML or JSON file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Progress as JSON lines, on standard output.")] = False,
) -> None:
    """A model of folders of MIDI files, or of arrays of piano rolls (.mat, .npz, .json), that writes more such music."""
    flags = {
        "budget": budget,
        "epochs": epochs,
        "representation": representation,
        "keys": keys,
        "transpose": transpose,
        "cell": cell,
        "hidden": hidden,
        "layers": layers,
        "dropout": dropout,
        "learning_rate": learning_rate,
        "seed": seed,
        "device": device,
    }
    run("music", data, output, valid or [], resume, init, config, json, flags)


@app.command("sentiment")
def sentiment(
    data: Data,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the model [default: named after the data]")
    ] = None,
    valid: Annotated[list[Path] | None, typer.Option(help="Files to validate on [default: some of the texts]")] = None,
    budget: Annotated[str | None, typer.Option(help="How long to train, such as 90s, 10m, 1h [default: 8m]")] = None,
    epochs: Annotated[float | None, typer.Option(help="Or how often to go through the data.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text [default: guessed]")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label [default: guessed]")] = None,
    unit: Annotated[str | None, typer.Option(help="words, subwords or characters [default: words]")] = None,
    head: Annotated[
        str | None, typer.Option(help="classes, or ordinal, which knows that 4 is nearer 5 than 1 [default: auto]")
    ] = None,
    pooling: Annotated[str | None, typer.Option(help="last, mean, max or attention [default: max]")] = None,
    class_weights: Annotated[bool, typer.Option("--class-weights", help="Rare classes count as much as frequent ones.")] = False,
    encoder: Annotated[Path | None, typer.Option(help="A model of `unspool train text` to start from.")] = None,
    cell: Annotated[str | None, typer.Option(help="rnn, gru or lstm [default: lstm]")] = None,
    hidden: Annotated[int | None, typer.Option(help="Size of a layer, in each direction [default: 192]")] = None,
    layers: Annotated[int | None, typer.Option(help="How many [default: 1]")] = None,
    dropout: Annotated[float | None, typer.Option(help="[default: by the size of the data]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the start.")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda [default: auto]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    init: Annotated[Path | None, typer.Option(help="A trained model to start from, with new data.")] = None,
    config: Annotated[Path | None, typer.Option(help="More options, in a TOML or JSON file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Progress as JSON lines, on standard output.")] = False,
) -> None:
    """A model that rates texts: tables with a text and a label, fastText lines, or trees with labelled phrases."""
    flags = {
        "budget": budget,
        "epochs": epochs,
        "text_column": text_column,
        "label_column": label_column,
        "unit": unit,
        "head": head,
        "pooling": pooling,
        "class_weights": class_weights or None,
        "encoder": str(encoder) if encoder else None,
        "cell": cell,
        "hidden": hidden,
        "layers": layers,
        "dropout": dropout,
        "learning_rate": learning_rate,
        "seed": seed,
        "device": device,
    }
    run("sentiment", data, output, valid or [], resume, init, config, json, flags)


@app.command("translation")
def translation(
    data: Data,
    source: Annotated[str, typer.Option(help="The language translated from; the ending of its files, as de of train.de")],
    target: Annotated[str, typer.Option(help="The language translated to.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the model [default: named after the data]")
    ] = None,
    valid: Annotated[list[Path] | None, typer.Option(help="Files to validate on [default: some of the pairs]")] = None,
    budget: Annotated[str | None, typer.Option(help="How long to train, such as 90s, 10m, 1h [default: 30m]")] = None,
    epochs: Annotated[float | None, typer.Option(help="Or how often to go through the data.")] = None,
    swapped: Annotated[bool, typer.Option("--swapped", help="In files with a tab between, the target stands first.")] = False,
    unit: Annotated[str | None, typer.Option(help="subwords or words [default: subwords]")] = None,
    stopping: Annotated[str | None, typer.Option(help="What the best model is chosen by: loss or bleu [default: loss]")] = None,
    cell: Annotated[str | None, typer.Option(help="rnn, gru or lstm [default: lstm]")] = None,
    hidden: Annotated[int | None, typer.Option(help="Size of a layer [default: 512]")] = None,
    layers: Annotated[int | None, typer.Option(help="How many [default: 1]")] = None,
    dropout: Annotated[float | None, typer.Option(help="[default: by the size of the data]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the start.")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda [default: auto]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    init: Annotated[Path | None, typer.Option(help="A trained model to start from, with new data.")] = None,
    config: Annotated[Path | None, typer.Option(help="More options, in a TOML or JSON file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Progress as JSON lines, on standard output.")] = False,
) -> None:
    """A translation model, from parallel files (x.de x.en), texts with a tab between, or gettext catalogues (.po)."""
    flags = {
        "source": source,
        "target": target,
        "budget": budget,
        "epochs": epochs,
        "swapped": swapped or None,
        "unit": unit,
        "stopping": stopping,
        "cell": cell,
        "hidden": hidden,
        "layers": layers,
        "dropout": dropout,
        "learning_rate": learning_rate,
        "seed": seed,
        "device": device,
    }
    run("translation", data, output, valid or [], resume, init, config, json, flags)


def run(
    task: str,
    data: list[Path],
    output: Path | None,
    valid: list[Path],
    resume: bool,
    init: Path | None,
    config: Path | None,
    json: bool,
    flags: dict[str, Any],
) -> None:
    """Trains, and says what to do next. Shared by the tasks' commands."""
    import sys

    from unspool.tasks.task import read_config
    from unspool.tasks.verbs import train
    from unspool.training import Progress

    options = {**(read_config(config) if config else {}), **{k: v for k, v in flags.items() if v is not None}}
    progress = Progress("json", sys.stdout) if json else Progress()
    model = train(task, data, output, valid=valid, resume=resume, init=init, progress=progress, **options)
    folder, ended = model.folder.path, model.metrics["ended"]
    if ended == "interrupted":
        progress.say(f"stopped; the best model so far is in {folder}. To go on, give the same command with --resume")
        raise typer.Exit(130)
    verb = "generate" if model.task in ("text", "music") else "predict"
    argument = " 'a text'" if verb == "predict" else ""
    progress.say(
        f"the model is in {folder}. Next:\n  unspool {verb} {folder}{argument}\n  unspool evaluate {folder} FILE", model=str(folder)
    )
