"""What a clip shows, in words: frames in, a sentence out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.clips import Clip, Clips
from unspool.codecs.words import WordCodec
from unspool.decoding.beam import Hypothesis, beam_search
from unspool.engines import native
from unspool.errors import DataError
from unspool.insight.opened import END, Opened, translated
from unspool.layers import Embedding
from unspool.models import Categorical, EncoderDecoder
from unspool.models.watcher import FrameEncoder
from unspool.scoring.bleu import translation_scores
from unspool.sequences import Sequences, batches_by_length, mask
from unspool.tasks.outputs import written
from unspool.tasks.task import Trained, configure
from unspool.tasks.video_config import VideoConfig
from unspool.tasks.video_frames import MOST, Store, varied, watched
from unspool.training import ModelFolder, Paired, pick_device
from unspool.training.loop import Carry
from unspool.vocabulary import Vocabulary

__all__ = ["Caption", "CaptionJob", "CaptionModel"]

LONGEST = 40  # words of a caption
SEEN = 256  # frames of a clip; of a longer one fewer a second


@dataclass(frozen=True)
class Caption:
    """What a clip shows, how likely these words are, other ways to say it; or why it could not be read."""

    place: str
    text: str
    log_probability: float = 0.0
    best: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""

    def to_json(self) -> dict[str, Any]:
        if self.fault:
            return {"place": self.place, "error": self.fault}
        return {"place": self.place, "text": self.text, "log_probability": self.log_probability, "best": self.best}


def _build(config: VideoConfig, words: int, device: torch.device, seed: int) -> EncoderDecoder:
    torch.manual_seed(seed)
    drop = config.dropout or 0.0
    source = FrameEncoder(config.side, config.embedding, saturation=True, drop=drop)
    target = Embedding(words, config.embedding, 1.0)
    encoder = config.stack(config.embedding, config.hidden // 2, bidirectional=True)
    head = Categorical(config.hidden, words)
    inputs = config.input_dropout or 0.0
    decoder = config.stack(config.embedding)
    return EncoderDecoder(source, encoder, target, decoder, head, input_dropout=inputs, dropout=drop).to(device)


def _thinned(frames: np.ndarray, most: int) -> np.ndarray:
    """At most so many frames, at even distances."""
    if len(frames) <= most:
        return np.array(frames)
    return np.array(frames)[np.round(np.linspace(0, len(frames) - 1, most)).astype(int)]


class _Feed:
    """Clips with their captions as ids, in batches of `batch`; in training each clip varied."""

    full = 0

    def __init__(self, frames: Sequence[np.ndarray], ids: Sequence[np.ndarray], config: VideoConfig):
        self.frames, self.ids, self.config = frames, ids, config
        self.symbols = sum(len(i) for i in ids)
        self._lengths = np.array([min(len(f), MOST) for f in frames])

    def epoch(self, number: int, start: int = 0) -> Iterator[Paired]:
        rng = np.random.default_rng((self.config.seed, number)) if number >= 0 else None
        for index, rows in enumerate(batches_by_length(self._lengths, self.config.batch * int(self._lengths.max()), rng)):
            if index >= start:
                own = np.random.default_rng((self.config.seed, abs(number), index))
                clips = [_thinned(self.frames[i], MOST) for i in rows.tolist()]
                clips = [varied(clip, own, False) for clip in clips] if rng else clips
                said = Sequences.collate([np.concatenate([[Vocabulary.begin], self.ids[i]]) for i in rows.tolist()])
                inside = mask(said.lengths - 1, said.values.shape[1] - 1)
                yield Paired(Sequences.collate(clips), said.values[:, :-1], said.values[:, 1:], inside)


class CaptionJob:
    """What the loop trains."""

    unit, per_symbol = "nats per word", 1.0

    def __init__(self, config: VideoConfig, train: Store, held: Store, codec: WordCodec):
        self.config, self.codec = config, codec
        self.model = _build(config, len(codec.vocabulary), pick_device(config.device), config.seed)
        ids = [[np.append(codec.encode(clip.caption)[:LONGEST], Vocabulary.end) for clip in part.items] for part in (train, held)]
        self.feed: Any = _Feed(train.frames, ids[0], config)
        self._watched = _Feed(held.frames, ids[1], config)
        self._held = held
        counts = np.bincount(np.concatenate(ids[0]), minlength=len(codec.vocabulary)) + 0.1
        shares = counts / counts.sum()
        self.model.head.expect(torch.from_numpy(shares).float())  # type: ignore[operator]
        self.baselines = {"unigram": float(-np.log(shares[np.concatenate(ids[1])]).mean())}

    def loss(self, batch: Paired, carry: Carry) -> tuple[Tensor, int, Carry]:
        batch = batch.to(next(self.model.parameters()).device)
        h, _ = self.model(self.model.encode(batch.source), batch.inputs)
        targets = batch.targets[batch.inside]
        return native.cross_entropy(self.model.head(h[batch.inside]), targets, 0.0), len(targets), None

    def validate(self) -> float:
        found = [self.loss(batch, None) for batch in self._watched.epoch(-1)]
        return sum(float(loss) for loss, _, _ in found) / sum(count for _, count, _ in found)

    def sample(self) -> str:
        found = _search(self.model, [_thinned(self._held.frames[0], SEEN)], 1)[0][0]
        return f"{self._held.items[0].caption}\n-> {self.codec.decode(found.ids)}"


@torch.inference_mode()
def _search(model: EncoderDecoder, clips: Sequence[np.ndarray], beams: int) -> list[list[Hypothesis]]:
    batch = Sequences.collate(list(clips)).to(next(model.parameters()).device)
    limits = torch.full_like(batch.lengths, LONGEST)
    forbidden = (Vocabulary.padding, Vocabulary.begin, Vocabulary.unknown)
    writer = model.write(model.encode(batch), beams)
    return beam_search(writer, limits, begin=Vocabulary.begin, end=Vocabulary.end, forbidden=forbidden, beams=beams)


class CaptionModel(Trained):
    """A model that says what a clip shows."""

    model: EncoderDecoder

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.config: VideoConfig = configure(VideoConfig, stored["config"])
        self.codec = WordCodec.from_json(stored["codec"]["words"])
        self.model = _build(self.config, len(self.codec.vocabulary), pick_device(device), 0)
        folder.load_into(self.model)
        self.model.eval()

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """The share of captions that are right word by word, BLEU and chrF, beside those of the most frequent caption."""
        clips = [clip for clip in Clips(data).items if clip.caption]
        if not clips:
            raise DataError(f"{', '.join(map(str, data))} has no captions; name them in a table with the columns path and caption")
        truth = [clip.caption for clip in clips]
        found = [caption.text for caption in self._captions(clips, 5, 1)]
        usual = [self.stored["codec"]["usual"]] * len(truth)
        scores, others = (
            {"exact match": float(np.mean([a == b for a, b in zip(texts, truth, strict=True)])), **translation_scores(texts, truth)}
            for texts in (found, usual)
        )
        baselines = {f"most frequent caption, {key}": others[key] for key in ("exact match", "BLEU", "chrF")}
        return {"data": [str(p) for p in data], "clips": len(clips), **scores, "baselines": baselines}

    def predict(self, inputs: Iterable[str | Path], *, beams: int = 5, best: int = 1) -> Iterator[Caption]:
        """What each clip shows; `best` ways to say it. A clip that cannot be read is said so, and the others follow."""
        yield from self._captions(Clips([Path(p) for p in inputs]).items, max(beams, best), best)

    def _captions(self, clips: Sequence[Clip], beams: int, best: int) -> Iterator[Caption]:
        for clip in clips:
            try:
                frames = np.stack([frame.picture for frame in watched(clip.path, self.config.rate, self.config.side)])
            except DataError as error:
                yield Caption(clip.place, "", fault=str(error))
                continue
            found = _search(self.model, [_thinned(frames, SEEN)], beams)[0][:best]
            ways = [{"text": self.codec.decode(h.ids), "score": h.score, "log-probability": h.log_probability} for h in found]
            yield Caption(clip.place, ways[0]["text"], found[0].log_probability, ways)

    def opened(self, item: str | Path, most: int = 400) -> Opened:
        """A clip: what its frames did to its caption."""
        clip = Clips([item]).items[0]
        frames = np.stack([frame.picture for frame in watched(clip.path, self.config.rate, self.config.side)])[:most]
        found = _search(self.model, [frames], 5)[0][0]
        values = torch.from_numpy(frames).to(next(self.model.parameters()).device)
        words = [self.codec.decode([i]) for i in found.ids]
        times = [f"{n / self.config.rate:.1f}" for n in range(len(frames))]
        return translated(self.model, values, times, [*found.ids, Vocabulary.end], [*words, END], self.codec.decode(found.ids))

    def examples(self, seed: int = 0) -> str:
        return f"\nNext:\n  unspool predict {self.folder.path} CLIP.mp4\n  unspool summarize CLIP.mp4 -o SUMMARY.mp4"

    def deliver(self, samples: Iterable[Caption], output: Path | None = None, as_json: bool = False) -> str:
        """A line a clip; an output file is .json (one object a line) or, with any other ending, one caption a line."""
        as_json = as_json or (output is not None and output.suffix in (".json", ".jsonl"))
        if output is None:
            shown = (f"{c.place}: {c.text or 'warning: ' + c.fault}" for c in samples)
            return "\n".join(json.dumps(c.to_json(), ensure_ascii=False) for c in samples) if as_json else "\n".join(shown)
        counts: Counter[bool] = Counter()
        with written(output) as file:
            for c in samples:
                file.write((json.dumps(c.to_json(), ensure_ascii=False) if as_json else c.text) + "\n")
                counts[bool(c.fault)] += 1
        return f"{counts[False]:,} captions are in {output}" + (
            f"; {counts[True]:,} clips could not be read" if counts[True] else ""
        )
