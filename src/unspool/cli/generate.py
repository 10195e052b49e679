"""unspool generate MODEL"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def generate(
    model: Annotated[Path, typer.Argument(help="A model folder.", show_default=False)],
    n: Annotated[int, typer.Option("-n", help="How many [default: 3 texts, 1 piece of music]", show_default=False)] = 0,
    prompt: Annotated[str | None, typer.Option(help="How each begins: a text; for music a MIDI file.")] = None,
    length: Annotated[
        int | None,
        typer.Option(help="Characters at most [default: 280 for documents, else 500]; for music bars [default: 64, of rolls 16]"),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Below 1: safer; above: wilder; 0: always the likeliest [default: 0.8 for text, 1 for music]"),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest symbols only.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the likeliest symbols that together have this probability.")
    ] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1: what was written becomes less likely (text).")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End before this string (text); may be given more than once.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same samples.", min=0, max=2**62)] = 0,
    compare: Annotated[
        list[Path] | None, typer.Option(help="Training data: report the longest run each sample shares with it.")
    ] = None,
    longest_copy: Annotated[
        int | None, typer.Option(min=0, help="Draw again what shares a longer run (characters of text).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Where to write: one JSON object a text; of music .mid, .wav, .png and .json [piece.mid]"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """New texts or pieces in the manner of those a model was trained on."""
    from unspool.tasks.verbs import generate, load

    given = {
        "prompt": prompt,
        "length": length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "repetition_penalty": repetition_penalty,
        "stop": stop or None,
        "compare": compare,
        "longest_copy": longest_copy,
    }
    trained = load(model)
    samples = generate(trained, n, seed=seed, **{name: value for name, value in given.items() if value is not None})
    print(trained.deliver(samples, output, json))
