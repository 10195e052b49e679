"""unspool train TASK DATA... -o MODEL"""

from __future__ import annotations

from typing import Annotated

import typer

from unspool.cli.training import (
    Budget,
    CellName,
    ConfigFile,
    Data,
    Device,
    Dropout,
    Epochs,
    Hidden,
    Init,
    Json,
    Layers,
    Output,
    Rate,
    Resume,
    Seed,
    Valid,
    run,
)

app = typer.Typer(no_args_is_help=True, help="Train a model on your data: unspool train TASK DATA... -o MODEL")


@app.command("text")
def text(
    data: Data,
    output: Output = None,
    valid: Valid = None,
    budget: Budget = None,
    epochs: Epochs = None,
    documents: Annotated[bool, typer.Option("--documents", help="Each line is a text of its own [default: guessed]")] = False,
    running: Annotated[bool, typer.Option("--running", help="The files are one long text [default: guessed]")] = False,
    unit: Annotated[str | None, typer.Option(help="characters, words or subwords [default: auto]")] = None,
    normalise: Annotated[str | None, typer.Option(help="tweets: lower case; links, names, numbers as single symbols.")] = None,
    column: Annotated[str | None, typer.Option(help="Column of a CSV or JSONL file [default: guessed]")] = None,
    cell: CellName = None,
    hidden: Hidden = None,
    layers: Layers = None,
    dropout: Dropout = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    init: Init = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """A language model of tweets, titles, novels, plays, code ... that writes more of the same."""
    given = locals()
    from unspool.errors import ConfigError

    if documents and running:
        raise ConfigError("--documents and --running exclude each other; leave both out to have it guessed")
    corpus = "documents" if documents else "running" if running else None
    run("text", {**given, "documents": None, "running": None, "corpus": corpus})


@app.command("music")
def music(
    data: Data,
    output: Output = None,
    valid: Valid = None,
    budget: Budget = None,
    epochs: Epochs = None,
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
    cell: CellName = None,
    hidden: Hidden = None,
    layers: Layers = None,
    dropout: Dropout = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    init: Init = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """A model of folders of MIDI files, or of arrays of piano rolls (.mat, .npz, .json), that writes more such music."""
    run("music", locals())


@app.command("sentiment")
def sentiment(
    data: Data,
    output: Output = None,
    valid: Valid = None,
    budget: Budget = None,
    epochs: Epochs = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text [default: guessed]")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label [default: guessed]")] = None,
    unit: Annotated[str | None, typer.Option(help="words, subwords or characters [default: words]")] = None,
    ordered: Annotated[
        bool | None,
        typer.Option("--ordered/--plain", help="Whether numbers as labels have an order, as stars [default: they have]"),
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="classes, or ordinal, which knows that 4 is nearer 5 than 1 [default: auto]")
    ] = None,
    pooling: Annotated[str | None, typer.Option(help="last, mean, max or attention [default: attention]")] = None,
    class_weights: Annotated[bool, typer.Option("--class-weights", help="Rare classes count as much as frequent ones.")] = False,
    encoder: Annotated[str | None, typer.Option(help="A model of `unspool train text` to start from.")] = None,
    cell: CellName = None,
    hidden: Hidden = None,
    layers: Layers = None,
    dropout: Dropout = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    init: Init = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """A model that rates texts: tables with a text and a label, fastText lines, or trees with labelled phrases."""
    run("sentiment", locals())


@app.command("translation")
def translation(
    data: Data,
    source: Annotated[str, typer.Option(help="The language translated from; the ending of its files, as de of train.de")],
    target: Annotated[str, typer.Option(help="The language translated to.")],
    output: Output = None,
    valid: Valid = None,
    budget: Budget = None,
    epochs: Epochs = None,
    swapped: Annotated[bool, typer.Option("--swapped", help="In files with a tab between, the target stands first.")] = False,
    unit: Annotated[str | None, typer.Option(help="subwords or words [default: subwords]")] = None,
    stopping: Annotated[str | None, typer.Option(help="What the best model is chosen by: loss or bleu [default: loss]")] = None,
    cell: CellName = None,
    hidden: Hidden = None,
    layers: Layers = None,
    dropout: Dropout = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    init: Init = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """A translation model, from parallel files (x.de x.en), texts with a tab between, or gettext catalogues (.po)."""
    run("translation", locals())


@app.command("speech")
def speech(
    data: Data,
    output: Output = None,
    valid: Valid = None,
    budget: Budget = None,
    epochs: Epochs = None,
    pattern: Annotated[
        str | None, typer.Option(help="What names of files say, as {text}_{speaker}_{take} or {text}/{take} [default: guessed]")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="words, characters or subwords [default: auto]")] = None,
    streaming: Annotated[bool, typer.Option("--streaming", help="One direction, so that it can write as sound comes.")] = False,
    features: Annotated[str | None, typer.Option(help="log-mel, or waves: learned filters [default: log-mel]")] = None,
    loss: Annotated[str | None, typer.Option(help="ctc or transducer [default: ctc]")] = None,
    strings: Annotated[
        bool | None,
        typer.Option("--strings/--alone", help="String recordings of a speaker together [default: those of single words]"),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="What validates: speakers or recordings held out [default: by their number]")
    ] = None,
    cell: CellName = None,
    hidden: Hidden = None,
    layers: Layers = None,
    dropout: Dropout = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    init: Init = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """A model that writes down speech: audio with a manifest, with .txt files beside it, or with the words in the files' names."""
    run("speech", locals())


@app.command("dna")
def dna(
    data: Data,
    output: Output = None,
    valid: Valid = None,
    budget: Budget = None,
    epochs: Epochs = None,
    shortest: Annotated[int | None, typer.Option(help="Bases of a gene at least [default: 90]")] = None,
    sequence_column: Annotated[str | None, typer.Option(help="Of a table of labelled windows [default: guessed]")] = None,
    label_column: Annotated[str | None, typer.Option(help="[default: guessed]")] = None,
    group_column: Annotated[str | None, typer.Option(help="Windows of one group validate together [default: guessed]")] = None,
    cell: CellName = None,
    hidden: Hidden = None,
    layers: Layers = None,
    dropout: Dropout = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    init: Init = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """A finder of genes in bacteria, archaea and phages, from GenBank, or FASTA with GFF3 beside it; or of classes of windows."""
    run("dna", locals())


@app.command("table")
def table(
    data: Data,
    output: Output = None,
    valid: Valid = None,
    budget: Budget = None,
    epochs: Epochs = None,
    channels: Annotated[
        int | None, typer.Option(help="Numbers of a step, where a row of a CSV file holds all steps [default: 1]")
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="The numbers are coordinates of points: 2 for x, y; 3 for x, y, z [default: they are not]")
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="A mirrored figure of points is of the same class.")] = False,
    cell: CellName = None,
    hidden: Hidden = None,
    layers: Layers = None,
    dropout: Dropout = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    init: Init = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """A classifier of series: sensors, keypoints, any numbers over time (.ts, .npz, .csv; folders named by class)."""
    run("table", locals())


@app.command("video")
def video(
    data: Data,
    output: Output = None,
    valid: Valid = None,
    budget: Budget = None,
    epochs: Epochs = None,
    rate: Annotated[float | None, typer.Option(help="Frames a second that are looked at [default: 10]")] = None,
    side: Annotated[int | None, typer.Option(help="Pixels of a picture's side [default: 64, or as many as the clips have]")] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="A mirrored clip is the same activity.")] = False,
    single: Annotated[bool, typer.Option("--single", help="See one picture of each clip alone: a baseline.")] = False,
    cell: CellName = None,
    hidden: Hidden = None,
    layers: Layers = None,
    dropout: Dropout = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    init: Init = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Activities, from clips in folders named by class; captions or summaries, from a table with the columns path and caption, or
    path and scores."""
    run("video", locals())
