"""The moments of a video that matter: its shots, those that a summary shows, and the summary as a video."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from unspool.codecs.looks import look
from unspool.codecs.video import Video, write_video
from unspool.decoding.shots import coverage, knapsack, shots
from unspool.errors import ConfigError, DataError

__all__ = ["Shot", "Summary", "agreement", "chosen", "cut", "frames_of", "looked", "summarize"]

RATE = 10.0  # frames a second that are looked at, fewer in a long video
MOST = 1500  # frames that are looked at
SIDE = 64  # pixels of the pictures that are looked at
SHORTEST = 1.0  # seconds of a shot on the average, at least
LONGEST = 0.4  # of the budget that one shot may take


@dataclass(frozen=True)
class Shot:
    """From `start` to `end` in seconds; how much it shows that others do not, or matters; and what part of it the summary shows,
    (0, 0) if none."""

    start: float
    end: float
    score: float
    shown: tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """The shots of a video of so many seconds."""

    path: str
    seconds: float
    shots: list[Shot]

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "start": round(s.start, 3),
                "end": round(s.end, 3),
                "score": round(s.score, 4),
                "shown": [round(t, 3) for t in s.shown],
            }
            for s in self.shots
        ]
        return {"video": self.path, "seconds": round(self.seconds, 3), "shots": rows}


def summarize(
    path: str | Path,
    output: str | Path | None = None,
    *,
    share: float = 0.15,
    importance: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Summary:
    """The shots of a video and which of them show most of it in that share of its time: kernel temporal segmentation, coverage or
    what a trained model gives as the `importance` (N,) of frames that look (N, D) like this, and a knapsack. `output` is an .mp4;
    key frames (.png) and the shots (.json) are written beside it."""
    if not 0 < share <= 1:
        raise ConfigError(f"share must lie above 0 and at most at 1, not {share}")
    if output is not None and Path(output).suffix.lower() != ".mp4":
        raise ConfigError(f"a summary is an .mp4, not {output}; its key frames and shots are written beside it")
    looks, step = looked(Path(path))
    begins = cut(looks, step)
    scores, parts = chosen(looks, begins, share, importance(looks) if importance else None)
    ends = [*begins[1:], len(looks)]
    found = [
        Shot(a * step, b * step, score, (low * step, high * step))
        for a, b, score, (low, high) in zip(begins, ends, scores.tolist(), parts, strict=True)
    ]
    summary = Summary(str(path), len(looks) * step, found)
    if output is not None:
        _write(summary, Path(output))
    return summary


def looked(path: Path) -> tuple[np.ndarray, float]:
    """What frames look like (N, D), and the seconds between them; of a long video every second one is forgotten, again and
    again."""
    found: list[np.ndarray] = []
    every = 1
    for number, frame in enumerate(Video(path).frames(RATE, (SIDE, SIDE))):
        if number % every == 0:
            found.append(look(frame.picture))
            if len(found) > MOST:
                found, every = found[::2], every * 2
    return np.stack(found), every / RATE


def cut(looks: np.ndarray, step: float) -> list[int]:
    """Where the shots of frames (N, D) begin that lie `step` seconds apart."""
    return shots(looks, most=max(2, int(len(looks) * step / SHORTEST)))


def chosen(
    looks: np.ndarray, begins: Sequence[int], share: float, importance: np.ndarray | None = None
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The scores (S,) of shots of frames (N, D), and what part of each is shown: frames [low, high), (0, 0) if none. Of a long shot
    the part around its most typical frame is enough, or that of the most importance (N,) where this is known: the score then."""
    spans = list(pairwise([*begins, len(looks)]))
    budget = max(1, int(share * len(looks)))
    longest = max(1, int(LONGEST * budget))
    total = np.concatenate([[0.0], np.cumsum(importance)]) if importance is not None else None
    parts = []
    for a, b in spans:
        length = min(b - a, longest)
        if total is None:
            typical = a + int(np.square(looks[a:b] - looks[a:b].mean(0)).sum(1).argmin())
            low = min(max(a, typical - length // 2), b - length)
        else:
            low = a + int((total[a + length : b + 1] - total[a : b - length + 1]).argmax())
        parts.append((low, low + length))
    costs = np.array([b - a for a, b in parts])
    scores = coverage(looks, begins, costs) if total is None else np.array([total[high] - total[low] for low, high in parts])
    taken = knapsack(scores, costs, budget)
    return scores, [part if take else (0, 0) for part, take in zip(parts, taken.tolist(), strict=True)]


def frames_of(parts: Sequence[tuple[int, int]], count: int) -> np.ndarray:
    """(count,) of whether a frame lies in one of the parts [low, high)."""
    shown = np.zeros(count, bool)
    for low, high in parts:
        shown[low:high] = True
    return shown


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """F1 of two summaries, as frames (N,)."""
    return 2 * float((a & b).sum()) / max(1.0, float(a.sum() + b.sum()))


def _write(summary: Summary, output: Path) -> None:
    spans = [shot.shown for shot in summary.shots if shot.shown[1] > shot.shown[0]]
    video = Video(summary.path)
    keys: list[np.ndarray] = []

    def pictures() -> Iterator[np.ndarray]:
        number, new, frames = 0, True, video.frames()
        now = next(frames, None)
        while now is not None and number < len(spans):
            after = next(frames, None)
            until = after.time if after else float("inf")
            while number < len(spans) and now.time >= spans[number][1] - 1e-6:
                number, new = number + 1, True
            if number < len(spans) and (now.time >= spans[number][0] - 1e-6 or until >= spans[number][1]):  # or it stands all along
                if new and until > sum(spans[number]) / 2 - 1e-6:
                    keys.append(now.picture)
                    new = False
                yield now.picture
            now = after

    try:
        write_video(output, pictures(), _pace(video))
        output.with_suffix(".json").write_text(json.dumps(summary.to_json(), indent=1) + "\n", "utf-8")
        if keys:
            from unspool.insight.pictures import write_strip

            write_strip(output.with_suffix(".png"), keys)
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror}") from error


def _pace(video: Video) -> float:
    """Frames a second of the first hundred."""
    times = [frame.time for _, frame in zip(range(100), video.frames(None, (16, 16)), strict=False)]
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else video.rate
