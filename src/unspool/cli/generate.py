"""unspool generate MODEL"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def generate(
    model: Annotated[Path, typer.Argument(help="A model folder.", show_default=False)],
    n: Annotated[int, typer.Option("-n", help="How many.")] = 3,
    prompt: Annotated[str, typer.Option(help="How each begins.")] = "",
    length: Annotated[int | None, typer.Option(help="Characters at most [default: 280 for documents, else 500]")] = None,
    temperature: Annotated[float, typer.Option(help="Below 1: safer; above: wilder; 0: always the likeliest.")] = 0.8,
    top_k: Annotated[int, typer.Option(help="Draw from the k likeliest symbols only [0: all]")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest symbols that together have this probability.")] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1: what was written already becomes less likely.")] = 1.0,
    stop: Annotated[list[str] | None, typer.Option(help="End before this string; may be given more than once.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same texts.")] = 0,
    compare: Annotated[
        list[Path] | None, typer.Option(help="The training text: report the longest run each sample shares with it.")
    ] = None,
    longest_copy: Annotated[int | None, typer.Option(help="Draw again what shares a longer run (characters).")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write here instead, one JSON object a line.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """New texts in the manner of those a model was trained on."""
    import json as notation
    from dataclasses import asdict

    from unspool.errors import DataError
    from unspool.tasks.verbs import load

    samples = load(model).generate(
        n,
        prompt=prompt,
        length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        stop=stop or (),
        seed=seed,
        compare=compare,
        longest_copy=longest_copy,
    )
    if json or output:
        lines = [notation.dumps(asdict(sample), ensure_ascii=False) for sample in samples]
    else:
        lines = [
            s.text + (f"\n    [longest run shared with the training text: {s.copied.length} characters]" if s.copied else "")
            for s in samples
        ]
    if output is None:
        print(("\n" if json or not any("\n" in line for line in lines) else "\n\n----\n\n").join(lines))
        return
    try:
        output.write_text("\n".join(lines) + "\n", "utf-8")
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror}") from error
    print(f"{n} texts are in {output}")
