"""unspool summarize VIDEO -o SUMMARY.mp4"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def summarize(
    video: Annotated[Path, typer.Argument(help="A video, or a folder of pictures.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The summary, an .mp4; key frames (.png) and shots (.json) beside it.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A model of summaries: it says which moments matter.")] = None,
    share: Annotated[float, typer.Option(help="Of the video's time that the summary takes.")] = 0.15,
) -> None:
    """The moments of a video that matter: its shots, and which of them show most of it, or what a model was taught to see."""
    import json

    from unspool.errors import ConfigError
    from unspool.tasks.summary import summarize
    from unspool.tasks.verbs import load

    trained = load(model) if model else None
    importance = getattr(trained, "importance", None)
    if trained and importance is None:
        raise ConfigError(f"{model} is no model of summaries; train one by a table with the columns path and scores")
    summary = summarize(video, output, share=share, importance=importance)
    if output is None:
        print(json.dumps(summary.to_json(), indent=1))
        return
    shown = [shot.shown for shot in summary.shots if shot.shown[1]]
    seconds = sum(b - a for a, b in shown)
    print(f"{len(shown)} of {len(summary.shots)} shots, {seconds:.1f} of {summary.seconds:.1f} s, are in {output}")
