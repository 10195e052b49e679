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
    share: Annotated[float, typer.Option(help="Of the video's time that the summary takes.")] = 0.15,
) -> None:
    """The moments of a video that matter, without training: its shots, and which of them show most of it."""
    import json

    from unspool.tasks.summary import summarize

    summary = summarize(video, output, share=share)
    if output is None:
        print(json.dumps(summary.to_json(), indent=1))
        return
    shown = [shot.shown for shot in summary.shots if shot.shown[1]]
    seconds = sum(b - a for a, b in shown)
    print(f"{len(shown)} of {len(summary.shots)} shots, {seconds:.1f} of {summary.seconds:.1f} s, are in {output}")
