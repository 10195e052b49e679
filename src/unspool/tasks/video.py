"""Video: pictures over time in, what happens, a sentence, or the moments that matter out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unspool.codecs.clips import Clip, Clips
from unspool.codecs.words import WordCodec
from unspool.errors import DataError
from unspool.tasks.config import divided
from unspool.tasks.task import Demonstration, Prepared, Task, Trained
from unspool.tasks.video_activity import ActivityModel, activity_job
from unspool.tasks.video_captions import CaptionJob, CaptionModel
from unspool.tasks.video_config import VideoConfig, settle
from unspool.tasks.video_frames import Store, smallest
from unspool.tasks.video_summaries import SummaryJob, SummaryModel, scored
from unspool.training import ModelFolder, Options, Progress

__all__ = ["Video"]

LEAST = 10  # clips
FEW = 2000  # captions, of which even rare words count


class Video(Task):
    """Activities, captions and summaries of videos."""

    name = "video"
    Config = VideoConfig

    def options(self, config: VideoConfig) -> Options:
        return config.options

    def load(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto") -> Trained:
        kind = CaptionModel if "words" in stored["codec"] else SummaryModel if "summaries" in stored["codec"] else ActivityModel
        return kind(folder, stored, device)

    def prepare(
        self,
        data: Sequence[str | Path],
        valid: Sequence[str | Path],
        config: VideoConfig,
        scratch: Path,
        progress: Progress,
        *,
        stored: Mapping[str, Any] | None = None,
        init: Trained | None = None,
    ) -> Prepared:
        found = Clips(data).items
        kind = next((kind for kind in ("scores", "caption") if any(getattr(clip, kind) for clip in found)), "label")
        clips = [clip for clip in found if getattr(clip, kind)]
        if len(clips) < LEAST:
            raise DataError(f"there are only {len(clips)} clips with a {kind}; training needs at least {LEAST}")
        if valid:
            parts = clips, [clip for clip in Clips(valid).items if getattr(clip, kind)]
            how = "the validation clips given"
        else:
            groups = [str(clip.path) if kind == "scores" else clip.group for clip in clips]
            labels = [clip.label if kind == "label" else "" for clip in clips]
            *parts, how = divided(clips, groups, labels, config.valid_share, config.seed, "clips")
        if kind == "scores":
            return _summaries(data, parts, settle(config, 64, kind), how, init, progress)
        captions = kind == "caption"
        config = settle(config, config.side or smallest(clips, config.rate), kind)
        train, held = (
            Store(part, config.rate, config.side, scratch, name) for part, name in zip(parts, ("train", "held"), strict=True)
        )
        seconds = sum(len(frames) for frames in train.frames) / config.rate
        if captions:
            codec = WordCodec(1 if len(train.items) < FEW else 2, lower=False).fit(clip.caption for clip in train.items)
            usual = Counter(clip.caption for clip in train.items).most_common(1)[0][0]
            job: Any = CaptionJob(config, train, held, codec)
            kept: dict[str, Any] = {"words": codec.to_json(), "usual": usual}
            what = f"captions of {len(codec.vocabulary):,} words"
        else:
            classes = sorted({clip.label for clip in train.items})
            if len(classes) < 2 or {clip.label for clip in held.items} - set(classes):
                raise DataError(f"there must be two classes, each in the part to learn from; there are {', '.join(classes)}")
            job = activity_job(config, train, held, classes)
            kept = {"classes": classes}
            what = f"{len(classes)} classes"
        if isinstance(init, (ActivityModel, CaptionModel)):
            init.transfer(job.model)
        weights = sum(p.numel() for p in job.model.parameters())
        progress.say(
            f"read {len(train.items) + len(held.items):,} clips, {what}, {seconds:,.0f} s to train on; validation on {how}"
            f"{train.report}\n{config.side} x {config.side} pixels, {config.rate:g} a second; {config.cell} {config.layers}x"
            f"{config.hidden}, {weights / 1e6:.2f} M weights"
        )
        facts = {"files": [str(p) for p in data], "split": how, "unit": job.unit, "clips": len(train.items)}
        facts |= {} if captions else {"shares": job.shares.tolist()}
        return Prepared(job, config, kept, facts, {})

    def demonstration(self, scratch: Path) -> Demonstration:
        from unspool.tasks.video_shapes import write_captions, write_films, write_motions

        train, test = (
            write_motions(scratch / f"motions-{part}", n, seed) for part, n, seed in (("train", 300, 1), ("test", 100, 2))
        )
        said = [write_captions(scratch / f"captions-{part}", n, seed) for part, n, seed in (("train", 500, 3), ("test", 60, 4))]
        about = (
            "Shapes rendered by the project move, grow or shrink: synthetic clips, whose motion the middle picture does not tell."
        )
        single = "The baseline: the same network sees the middle picture of each clip alone."
        sentence = "Captions of two such motions, one after the other."
        alone = Demonstration([train], [test], {"budget": "8s", "single": True}, single, name="single")
        captions = Demonstration([said[0]], [said[1]], {"budget": "20s"}, sentence, name="captions")
        films = [write_films(scratch / f"films-{part}", n, seed) for part, n, seed in (("train", 30, 5), ("test", 8, 6))]
        matter = (
            "Films in which shapes come through, and three people to whom those that are red matter: what a summary should show."
        )
        summaries = Demonstration([films[0]], [films[1]], {"budget": "8s"}, matter, name="summaries")
        return Demonstration([train], [test], {"budget": "22s"}, about, (alone, captions, summaries))

    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        config, data = stored["config"], stored["data"]
        score = next((f"{v:.3f}" for k, v in metrics.items() if k.startswith("validation")), "none")
        name, worth = next(iter(metrics["baselines"].items()))
        pictures = f"a convolution over pictures of {config['side']} x {config['side']} pixels, {config['rate']:g} a second"
        if "words" in stored["codec"]:
            what = f"says what a clip shows: {pictures}"
        elif "summaries" in stored["codec"]:
            what = "says how much each moment matters: brightness, colours and edges, 10 times a second"
        else:
            what = f"tells {len(stored['codec']['classes'])} activities apart: {pictures}"
        return f"""# A model of videos

It {what}, and a
{config["cell"].upper()} of {config["layers"]} x {config["hidden"]}, made with unspool {stored["versions"]["unspool"]}. It has
learned from {data["clips"]:,} clips of {", ".join(f"`{f}`" for f in data["files"])}; validation on {data["split"]}:
{score} {data["unit"]} ({name} {worth:.3f}).

    unspool predict MODEL CLIP.mp4
    unspool evaluate MODEL FOLDER
"""


def _summaries(
    data: Sequence[str | Path],
    parts: Sequence[Sequence[Clip]],
    config: VideoConfig,
    how: str,
    init: Trained | None,
    progress: Progress,
) -> Prepared:
    train, held = (scored(part) for part in parts)
    job = SummaryJob(config, train, held)
    if isinstance(init, SummaryModel):
        init.transfer(job.model)
    seconds = sum(len(video.looks) * video.step for video in train)
    progress.say(
        f"read {len(train) + len(held):,} videos that people scored, {seconds:,.0f} s to train on; validation on {how}\n"
        f"{config.cell} {config.layers}x{config.hidden}"
    )
    facts = {"files": [str(p) for p in data], "split": how, "unit": job.unit, "clips": len(train)}
    known = {"mean": job.scale.mean, "deviation": job.scale.deviation, "change": job.scale.change}
    return Prepared(job, config, {"summaries": True}, facts, known)
