"""unspool predict MODEL INPUT..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[Path, typer.Argument(help="A model folder.", show_default=False)],
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Texts, or files of them; audio files; genomes.", show_default=False)
    ],
    explain: Annotated[
        bool | None, typer.Option("--explain/--no-explain", help="Which words moved the answer [default: for texts, not for files]")
    ] = None,
    beams: Annotated[
        int | None, typer.Option(help="Hypotheses that are tried at once [default: 5 translations, 8 of speech]")
    ] = None,
    best: Annotated[int | None, typer.Option(help="How many translations are given, with their scores.")] = None,
    no_repeat: Annotated[int | None, typer.Option(help="No run of so many subwords or words comes twice in a translation.")] = None,
    glossary: Annotated[Path | None, typer.Option(help="Lines of source<TAB>target: what these words are to become.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="A word that is not translated; may be given more than once.")] = None,
    lexicon: Annotated[Path | None, typer.Option(help="A file of words: no others are written (speech).")] = None,
    language: Annotated[
        Path | None, typer.Option(help="Texts, or a model of `unspool train text`, that say which words follow which (speech).")
    ] = None,
    words: Annotated[int | None, typer.Option(help="How many words each recording holds, where that is known (speech).")] = None,
    reject: Annotated[float | None, typer.Option(help="A word less sure than this, from 0 to 1, becomes [?] (speech).")] = None,
    code: Annotated[int | None, typer.Option(help="The genetic code, as 11 or 4 [default: recognised] (dna).")] = None,
    proteins: Annotated[Path | None, typer.Option(help="Write the proteins here, as FASTA (dna).")] = None,
    genes: Annotated[Path | None, typer.Option(help="Write the genes' bases here, as FASTA (dna).")] = None,
    track: Annotated[Path | None, typer.Option(help="Write how likely each base is in a gene here, as bedGraph (dna).")] = None,
    region: Annotated[str | None, typer.Option(help="What a .png shows, as chromosome:1000-20000 (dna).")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Ratings as .csv, .tsv, JSON lines; translations as lines, .json, .png; speech as .txt, .srt, .vtt, .json.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The answer of a model to each input: the rating of a text, its translation, what a recording says, where genes are."""
    from unspool.tasks.verbs import deliver, load, predict

    trained = load(model)
    given = {"explain": explain, "beams": beams, "best": best, "no_repeat": no_repeat, "glossary": glossary, "keep": keep or None}
    given |= {"lexicon": lexicon, "language": language, "words": words, "reject": reject, "code": code}
    beside = {name: path for name, path in (("proteins", proteins), ("genes", genes), ("track", track), ("region", region)) if path}
    options = {name: value for name, value in given.items() if value is not None}
    print(deliver(trained, predict(trained, inputs, **options), output, json, **beside))
