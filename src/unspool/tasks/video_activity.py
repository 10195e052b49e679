"""What happens in a clip: one class for all of it, and one for each of its moments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unspool.codecs.clips import Clips
from unspool.errors import DataError
from unspool.models import Categorical, ManyToOne
from unspool.models.watcher import FrameEncoder
from unspool.tasks.classes import Answer, ClassFeed, ClassJob, ClassModel, Example
from unspool.tasks.task import configure
from unspool.tasks.video_config import VideoConfig
from unspool.tasks.video_frames import MOST, Store, middle, varied, watched
from unspool.training import pick_device

__all__ = ["ActivityModel", "Watched", "activity_job", "build"]

TOGETHER = 16  # frames of a clip that are looked at at once
HELD = 256  # frames of a clip that validate


@dataclass(frozen=True)
class Watched(Answer):
    """The class of a clip, and of its moments: (start, stop) in seconds and the class."""

    moments: list[tuple[float, float, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        moments = [{"start": round(a, 2), "end": round(b, 2), "label": label} for a, b, label in self.moments]
        return super().to_json() | ({} if self.fault else {"moments": moments})


def build(config: VideoConfig, classes: int, device: torch.device, seed: int) -> ManyToOne:
    """The network of a configuration, its weights drawn from the seed. The mean of all steps is judged, so a stream's answer is a
    running mean, and the same head judges each moment."""
    torch.manual_seed(seed)
    drop = config.dropout or 0.0
    embed = FrameEncoder(config.side, config.embedding, changes=not config.single, drop=drop)
    stack = config.stack(config.embedding)
    head = Categorical(stack.output_size, classes)
    inputs = config.input_dropout or 0.0
    return ManyToOne(embed, stack, head, pooling="mean", input_dropout=inputs, dropout=drop).to(device)


def activity_job(config: VideoConfig, train: Store, held: Store, classes: Sequence[str]) -> ClassJob:
    """What the loop trains."""
    number = {name: n for n, name in enumerate(classes)}
    answers = [np.array([number[clip.label] for clip in part.items]) for part in (train, held)]

    def vary(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return varied(middle(frames) if config.single else frames, rng, config.mirror)

    steps = 1 if config.single else min(MOST, max(len(f) for f in train.frames))
    feed = ClassFeed(train.frames, answers[0], config.batch, config.seed, vary)
    shown = [np.array(middle(f) if config.single else f[:HELD]) for f in held.frames]
    watching = ClassFeed(shown, answers[1], max(1, 16 * steps // max(len(f) for f in shown)), config.seed)
    model = build(config, len(classes), pick_device(config.device), config.seed)
    return ClassJob(model, feed, watching, classes, "nats per clip")


class VideoStream:
    """A video that comes picture by picture, in constant memory; made by `ActivityModel.stream`."""

    def __init__(self, model: ActivityModel):
        self._model, self._network = model, model.model
        self._stream = model.model.stack.stream(1)
        self._last: torch.Tensor | None = None
        self._device = next(model.model.parameters()).device
        self._sum, self._count = torch.zeros(1, model.model.stack.output_size, device=self._device), 0

    @torch.inference_mode()
    def push(self, picture: np.ndarray) -> dict[str, float]:
        """A picture (S, S, 3) of bytes to the probability of each class, of all that was seen."""
        self.see(picture[None])
        return self.judged()

    @torch.inference_mode()
    def see(self, pictures: np.ndarray) -> torch.Tensor:
        """Some pictures (N, S, S, 3), together, to what the network makes of each moment (N, H)."""
        now = torch.from_numpy(np.ascontiguousarray(pictures)).to(self._device)
        x = self._network.embed(now[None], self._last)  # type: ignore[operator]
        self._last = now[-1:]
        moments = torch.cat([self._stream.step(x[:, t]).clone() for t in range(len(now))])
        self._sum, self._count = self._sum + moments.sum(0), self._count + len(now)
        return moments

    def judged(self) -> dict[str, float]:
        """The probability of each class, of all that was seen."""
        return self._model.judged(self._sum / self._count)[0]


class ActivityModel(ClassModel):
    """A model of activities."""

    config: VideoConfig

    def built(self, device: str) -> ManyToOne:
        self.config = configure(VideoConfig, self.stored["config"])
        return build(self.config, len(self.classes), pick_device(device), 0)

    def examples_of(self, data: Sequence[str | Path], labels: bool) -> list[Example]:
        found = []
        for clip in Clips(data).items:
            frames = np.stack([frame.picture for frame in watched(clip.path, self.config.rate, self.config.side)])
            found.append(Example(middle(frames) if self.config.single else frames, clip.label, clip.place))
        return found

    def stream(self) -> VideoStream:
        """Takes pictures one by one and answers after each."""
        return VideoStream(self)

    @torch.inference_mode()
    def judged(self, h: torch.Tensor) -> list[dict[str, float]]:
        """Vectors (N, H) to the probability of each class."""
        p = self.model.head.log_probs(h).exp().tolist()  # type: ignore[operator]
        return [dict(zip(self.classes, row, strict=True)) for row in p]

    def predict(self, inputs: Iterable[str | Path]) -> Iterator[Watched]:  # type: ignore[override]
        """The class of each clip and of its moments. One that cannot be read is said so, and the others follow."""
        for clip in Clips([Path(p) for p in inputs]).items:
            try:
                yield self._watched(clip.path, clip.place)
            except DataError as error:
                yield Watched(clip.place, "", {}, fault=str(error))

    def _watched(self, path: Path, place: str) -> Watched:
        frames = watched(path, self.config.rate, self.config.side)
        if self.config.single:
            whole = middle(np.stack([frame.picture for frame in frames]))
            row = self.probabilities([whole])[0]
            return Watched(place, self.classes[int(row.argmax())], dict(zip(self.classes, row.tolist(), strict=True)))
        stream = self.stream()
        moments = []
        while some := [frame.picture for frame in islice(frames, TOGETHER)]:
            moments.append(stream.see(np.stack(some)))
        p = stream.judged()
        return Watched(place, max(p, key=p.__getitem__), p, moments=self._moments(torch.cat(moments)))

    def _moments(self, h: torch.Tensor) -> list[tuple[float, float, str]]:
        """Runs of one class, judged by the mean of the second around each moment."""
        reach = max(1, round(self.config.rate / 2))
        total = torch.cat([torch.zeros_like(h[:1]), h.cumsum(0)])
        n = torch.arange(len(h), device=h.device)
        low, high = (n - reach).clamp(min=0), (n + reach + 1).clamp(max=len(h))
        rows = self.judged((total[high] - total[low]) / (high - low)[:, None])
        labels = [max(row, key=row.__getitem__) for row in rows]
        edges = [0, *(i for i in range(1, len(labels)) if labels[i] != labels[i - 1]), len(labels)]
        return [(a / self.config.rate, b / self.config.rate, labels[a]) for a, b in pairwise(edges)]
