"""Which moments of a video matter, learned from people who scored them: an importance for every frame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.codecs.clips import Clip, Clips
from unspool.engines import State
from unspool.errors import DataError
from unspool.insight.opened import Opened, answered
from unspool.models import ManyToMany
from unspool.scoring.ranking import kendall, spearman
from unspool.sequences import Sequences, batches_by_length, mask
from unspool.tasks.features import Scale
from unspool.tasks.outputs import written
from unspool.tasks.summary import Summary, agreement, chosen, cut, frames_of, looked, summarize
from unspool.tasks.task import Trained, configure
from unspool.tasks.video_config import VideoConfig
from unspool.training import ModelFolder, pick_device
from unspool.training.loop import Carry

__all__ = ["Scored", "SummaryJob", "SummaryModel", "scored"]

SHARE = 0.15  # of a video that its summary takes, where F1 is measured
DRAWS = 20  # random summaries


@dataclass(frozen=True)
class Scored:
    """What the frames of a video look like (N, D), the seconds between them, and how much each matters to some people (P, N), from
    0 to 1 for each of them."""

    looks: np.ndarray
    step: float
    scores: np.ndarray


def scored(clips: Sequence[Clip]) -> list[Scored]:
    """Clips with scores; those of one path are one video that several people scored."""
    people: dict[Path, list[Clip]] = {}
    for clip in clips:
        people.setdefault(clip.path, []).append(clip)
    found = []
    for path, own in people.items():
        looks, step = looked(path)
        found.append(Scored(looks, step, np.stack([_numbers(clip, len(looks)) for clip in own])))
    return found


def _numbers(clip: Clip, count: int) -> np.ndarray:
    """The scores of a clip at even distances over all of it, for so many frames; from 0 to 1."""
    try:
        values = np.array([float(word) for word in clip.scores.replace(",", " ").split()])
    except ValueError as error:
        raise DataError(f"{clip.place}: scores are numbers with commas between ({error})") from None
    if not len(values) or not np.isfinite(values).all():
        raise DataError(f"{clip.place}: scores are numbers with commas between, at even distances over the video")
    values = (values - values.min()) / max(float(np.ptp(values)), 1e-9)
    return values[np.arange(count) * len(values) // count]


def _build(config: VideoConfig, inputs: int, device: torch.device, seed: int) -> ManyToMany:
    """Both directions, as vsLSTM (Zhang et al. 2016): what matters in a video is known when all of it was seen."""
    torch.manual_seed(seed)
    embed = nn.Sequential(nn.Linear(inputs, config.embedding), nn.ReLU(), nn.Dropout(config.dropout or 0.0))
    stack = config.stack(config.embedding, config.hidden // 2, bidirectional=True)
    return ManyToMany(embed, stack, nn.Linear(stack.output_size, 1)).to(device)


class _Feed:
    """Videos as features (T, F) and the mean of what people say (T,); in training a part of each."""

    full = 0

    def __init__(self, values: Sequence[np.ndarray], targets: Sequence[np.ndarray], config: VideoConfig):
        self.values, self.targets, self.config = values, targets, config
        self.symbols = sum(map(len, values))

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Sequences, Tensor]]:
        rng = np.random.default_rng((self.config.seed, number)) if number >= 0 else None
        lengths = [len(v) for v in self.values]
        for index, rows in enumerate(batches_by_length(lengths, self.config.batch * max(lengths), rng)):
            if index >= start:
                own = np.random.default_rng((self.config.seed, abs(number), index))
                spans = [_part(lengths[i], own) if rng else (0, lengths[i]) for i in rows.tolist()]
                pairs = [(self.values[i][a:b], self.targets[i][a:b]) for i, (a, b) in zip(rows.tolist(), spans, strict=True)]
                yield Sequences.collate([v for v, _ in pairs]), Sequences.collate([t for _, t in pairs]).values


def _part(count: int, rng: np.random.Generator) -> tuple[int, int]:
    length = max(1, int(count * rng.uniform(0.5, 1.0)))
    start = int(rng.integers(0, count - length + 1))
    return start, start + length


class SummaryJob:
    """What the loop trains."""

    unit, per_symbol = "squared error a frame", 1.0

    def __init__(self, config: VideoConfig, train: list[Scored], held: list[Scored]):
        self.scale = Scale.of([video.looks for video in train])
        feeds = [
            _Feed(
                [self.scale.numbers(video.looks) for video in part],
                [video.scores.mean(0).astype(np.float32) for video in part],
                config,
            )
            for part in (train, held)
        ]
        self.feed: Any = feeds[0]
        self._watched = feeds[1]
        self.model = _build(config, self.feed.values[0].shape[1], pick_device(config.device), config.seed)
        usual = np.concatenate(feeds[0].targets).mean()
        with torch.no_grad():
            self.model.head.bias.fill_(float(np.log(usual / (1 - usual) + 1e-6)))  # type: ignore[union-attr, operator]
        self.baselines = {"the mean": float(np.square(np.concatenate(feeds[1].targets) - usual).mean())}

    def loss(self, batch: tuple[Sequences, Tensor], carry: Carry) -> tuple[Tensor, int, Carry]:
        device = next(self.model.parameters()).device
        sequences, targets = batch[0].to(device), batch[1].to(device)
        inside = mask(sequences.lengths, targets.shape[1])
        return (_importance(self.model, sequences) - targets)[inside].square().sum(), int(inside.sum()), None

    def validate(self) -> float:
        return sum(float(self.loss(batch, None)[0]) for batch in self._watched.epoch(-1)) / self._watched.symbols

    def sample(self) -> str:
        return ""


def _importance(model: ManyToMany, batch: Sequences) -> Tensor:
    """(B, T), from 0 to 1."""
    return model.head(model(batch)[0])[:, :, 0].sigmoid()  # type: ignore[no-any-return]


class SummaryModel(Trained):
    """A model of what matters."""

    model: ManyToMany

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.config: VideoConfig = configure(VideoConfig, stored["config"])
        known = {k: v.numpy() for k, v in folder.load_tensors("baseline")[0].items()}
        self._scale = Scale(known["mean"], known["deviation"], known["change"])
        self.model = _build(self.config, 2 * len(self._scale.mean), pick_device(device), 0)
        folder.load_into(self.model)
        self.model.eval()

    @torch.inference_mode()
    def importance(self, looks: np.ndarray) -> np.ndarray:
        """How much each of the frames that look (N, D) like this matters, (N,) from 0 to 1."""
        device = next(self.model.parameters()).device
        return _importance(self.model, Sequences.collate([self._scale.numbers(looks)]).to(device))[0].cpu().numpy()

    def opened(self, item: str | Path, most: int = 400) -> Opened:
        """A video, its frames as they are looked at: why the one that matters most does."""
        looks, step = looked(Path(item))
        values = torch.from_numpy(self._scale.numbers(looks[:most])).to(next(self.model.parameters()).device)
        x = self.model.embed(values[None])
        with torch.no_grad():
            importance = self.model.head(self.model.stack(x)[0])[0, :, 0].sigmoid()
        at = int(importance.argmax())

        def loss(outputs: Tensor, state: State) -> Tensor:
            return -F.logsigmoid(self.model.head(outputs)[:, at, 0])

        said = f"second {at * step:.1f} matters, {float(importance[at]):.2f} of 1"
        return answered([f"{i * step:.1f}" for i in range(len(values))], x, self.model.stack, loss, said, at=at)

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """F1 of summaries against those of each person, as published, and rank correlations of importance with each person's (Otani
        et al. 2019): of random summaries, even ones, those made without training, and of people with each other too, for random
        ones alone reach what was published as F1."""
        videos = scored([clip for clip in Clips(data).items if clip.scores])
        if not videos:
            raise DataError(f"{', '.join(map(str, data))} has no scores; name them in a table with the columns path and scores")
        ways = ("", "untrained", "random", "even", "people")
        rows: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
        for number, video in enumerate(videos):
            for way, row in self._judged(video, np.random.default_rng(number)).items():
                rows[way] += row
        found = {way: np.mean(row, axis=0).tolist() for way, row in rows.items() if row}
        scores, *others = (
            {f"{way}, {name}".strip(", "): value for name, value in zip(("F1", "Kendall tau", "Spearman rho"), row, strict=True)}
            for way, row in found.items()
        )
        baselines = {key: value for row in others for key, value in row.items()}
        return {"data": [str(p) for p in data], "videos": len(videos), **scores, "baselines": baselines}

    def _judged(self, video: Scored, rng: np.random.Generator) -> dict[str, list[tuple[float, float, float]]]:
        count, begins = len(video.looks), cut(video.looks, video.step)
        lengths = np.diff([*begins, count])

        def shown(importance: np.ndarray | None) -> np.ndarray:
            return frames_of(chosen(video.looks, begins, SHARE, importance)[1], count)

        people = [shown(own) for own in video.scores]

        def against(importance: np.ndarray, frames: np.ndarray) -> list[tuple[float, float, float]]:
            return [
                (agreement(frames, theirs), kendall(importance, own), spearman(importance, own))
                for theirs, own in zip(people, video.scores, strict=True)
            ]

        ours = self.importance(video.looks)
        coverage = np.repeat(chosen(video.looks, begins, SHARE)[0], lengths)
        draws = [np.repeat(rng.random(len(begins)), lengths) for _ in range(DRAWS)]
        period = max(1, round(10 / video.step))  # a piece of every ten seconds
        even = np.arange(count) % period < SHARE * period
        found = {"": against(ours, shown(ours)), "untrained": against(coverage, shown(None))}
        found["random"] = [row for draw in draws for row in against(draw, shown(draw))]
        found["even"] = against(even.astype(float), even)
        pairs = combinations(range(len(people)), 2)
        both = ((video.scores[a], video.scores[b], people[a], people[b]) for a, b in pairs)
        found["people"] = [(agreement(s, t), kendall(a, b), spearman(a, b)) for a, b, s, t in both]
        return found

    def predict(self, inputs: Iterable[str | Path]) -> Iterator[Summary]:
        """The shots of each video, and which of them matter."""
        return (summarize(clip.path, importance=self.importance) for clip in Clips([Path(p) for p in inputs]).items)

    def examples(self, seed: int = 0) -> str:
        return f"\nNext:\n  unspool summarize CLIP.mp4 -o SUMMARY.mp4 --model {self.folder.path}"

    def deliver(self, samples: Iterable[Summary], output: Path | None = None, as_json: bool = False) -> str:
        """A JSON object a video."""
        rows = [json.dumps(summary.to_json(), ensure_ascii=False) for summary in samples]
        if output is None:
            return "\n".join(rows)
        with written(output) as file:
            file.writelines(f"{row}\n" for row in rows)
        return f"the shots of {len(rows):,} videos are in {output}"
