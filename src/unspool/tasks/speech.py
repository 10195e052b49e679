"""Speech recognition: pressure values in, words out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.audio import AudioFile
from unspool.codecs.recordings import Recordings
from unspool.codecs.transcripts import Transcripts, clean
from unspool.errors import DataError
from unspool.models.recogniser import Recogniser
from unspool.scoring.ngram import KneserNey
from unspool.scoring.templates import Templates
from unspool.scoring.typical import Typical
from unspool.scoring.words import word_errors
from unspool.sequences import Sequences
from unspool.tasks.speech_config import SpeechConfig, settle
from unspool.tasks.speech_data import INSIDE, START, Heard, Utterances
from unspool.tasks.speech_model import BEAMS, SpeechModel, build, hints_of
from unspool.tasks.speech_scores import NONE, calibrated
from unspool.tasks.speech_sounds import Sounds, split
from unspool.tasks.speech_words import Evidence, Judge, Scribe, Word
from unspool.tasks.task import Demonstration, Prepared, Task, Trained
from unspool.training import ModelFolder, Options, Progress, pick_device
from unspool.training.loop import Carry

__all__ = ["Speech"]

LEAST = 20  # recordings
MOST_RATE = 16_000
MOST_WORDS = 200  # that marks tell apart
MOST_LEARNED = 500  # recordings that the frames' mean and the templates are taken of
TOGETHER = 60.0  # seconds that are heard at once, beside training
VALIDATED = (-1, -2, -3)  # epochs: the same recordings in other strings
STRANGE = 0.25  # share of words that are none of those known where confidence is learned


class Speech(Task):
    """Speech recognition."""

    name = "speech"
    Config = SpeechConfig

    def options(self, config: SpeechConfig) -> Options:
        return config.options

    def load(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto") -> Trained:
        return SpeechModel(folder, stored, device)

    def prepare(
        self,
        data: Sequence[str | Path],
        valid: Sequence[str | Path],
        config: SpeechConfig,
        scratch: Path,
        progress: Progress,
        *,
        stored: Mapping[str, Any] | None = None,
        init: Trained | None = None,
    ) -> Prepared:
        parts = _Parts(data, valid, config, scratch)
        texts = [parts.sounds.items[i].text for i in parts.train]
        codec = _codec(config, texts, stored, init)
        config = settle(config, single=all(len(text.split()) == 1 for text in texts))
        words = [*(init.words if isinstance(init, SpeechModel) else ()), *sorted(set(texts))] if config.strings else []
        words = list(dict.fromkeys(words)) if len(set(words)) <= MOST_WORDS else []
        progress.say(f"read {parts.how}")
        model = build(config, parts.rate, len(codec.vocabulary), 2 + max(1, len(words)), pick_device(config.device), config.seed)
        job = _Job(model, codec, config, parts, words)
        if isinstance(init, SpeechModel):
            init.transfer(model)
        counts = Counter(word for text in texts for word in clean(text).split())
        facts = {
            "files": [str(p) for p in data],
            "recordings": {"train": len(job.feed.chosen), "validation": len(job.watched.chosen)},
            "seconds": round(parts.sounds.seconds(parts.train), 1),
            "rate": parts.rate,
            "words": words,
            "split": parts.split,
            "unit": job.unit,
            "skipped": dict(parts.sounds.skipped),
            "frequent": counts.most_common(1)[0][0],
        }
        progress.say(_summary(config, codec, job, model))
        return Prepared(job, config, codec.to_json(), facts, job.templates.arrays() if job.templates else {}, job.calibrate)

    def demonstration(self, scratch: Path) -> Demonstration:
        from unspool.tasks.formants import write

        train, test = scratch / "words", scratch / "strings"
        write(train, 24, seed=1)
        write(test, 40, seed=2, strings=True)
        about = (
            "Synthetic speech: ten made-up words, sweeps of formants of the project's own, by eight synthetic speakers. It learns "
            "from single words and is tested on strings of them, by other speakers."
        )
        return Demonstration([train], [test], {"budget": "55s", "hidden": 64, "embedding": 64, "batch": 5}, about)

    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        from unspool.tasks.speech_card import card

        return card(stored, metrics)


class _Parts:
    """The recordings to learn from, `train` of `sounds`, and those that validate, `held` of `other`."""

    def __init__(self, data: Sequence[str | Path], valid: Sequence[str | Path], config: SpeechConfig, scratch: Path):
        recordings = Recordings(data, config.pattern)
        self.rate = config.rate or _usual_rate(recordings)
        self.sounds = self.other = Sounds(recordings, self.rate, scratch / "train")
        if valid:
            self.other = Sounds(Recordings(valid, config.pattern), self.rate, scratch / "valid")
            self.train, self.held = list(range(len(self.sounds.items))), list(range(len(self.other.items)))
            self.split = "the validation files given"
        else:
            self.train, self.held, self.split = split(self.sounds, config.valid_share, config.seed, config.split)
        report = self.sounds.report
        if len(self.train) < LEAST:
            raise DataError(
                f"there are only {len(self.train)} recordings to learn from ({report}); training needs at least {LEAST}"
            )
        where = "; ".join(recordings.how) or ", ".join(map(str, data))
        self.how = f"{where}: {report}; {self.rate:,} values a second; validation on {self.split}"


def _codec(config: SpeechConfig, texts: list[str], stored: Mapping[str, Any] | None, init: Trained | None) -> Transcripts:
    if stored is not None:
        return Transcripts.from_json(stored["codec"])
    return init.codec.grown(texts) if isinstance(init, SpeechModel) else Transcripts(config.unit, config.subwords).fit(texts)


class _Job:
    """What the loop trains."""

    per_symbol = 1.0

    def __init__(self, model: Recogniser, codec: Transcripts, config: SpeechConfig, parts: _Parts, words: list[str]):
        self.model, self.codec, self.config = model, codec, config
        sounds, rng = parts.sounds, np.random.default_rng(config.seed)

        def feed(sounds: Sounds, chosen: list[int], seconds: float, foreign: float | None = None) -> Utterances:
            options: dict[str, Any] = {"strings": bool(config.strings), "seed": config.seed, "foreign": foreign}
            return Utterances(sounds, chosen, codec, model.listener, words, seconds=seconds, **options)

        self.feed: Any = feed(sounds, parts.train, config.batch)
        self.watched, self._strange = (feed(parts.other, parts.held, TOGETHER, share) for share in (None, STRANGE))
        if not self.feed.chosen or not self.watched.chosen:
            raise DataError(f"no recording is long enough for its transcript ({sounds.report})")
        self.unit = f"nats per {codec.unit.removesuffix('s')}"
        spoken, held = ([codec.encode(part.sounds.items[i].text) for i in part.chosen] for part in (self.feed, self.watched))
        unigram = KneserNey.fit(spoken, 1, len(codec.vocabulary))
        self.baselines = {"unigram": -sum(float(unigram.log_probs(ids).sum()) for ids in held) / sum(map(len, held))}
        some = rng.permutation(self.feed.chosen)[:MOST_LEARNED].tolist()
        self._learn_frames(sounds, some)
        known = {word: n for n, word in enumerate(words)}
        self.templates = (
            Templates.of(((sounds.values(i), known[sounds.items[i].text]) for i in some), sounds.rate, words) if words else None
        )

    @torch.no_grad()
    def _learn_frames(self, sounds: Sounds, chosen: list[int]) -> None:
        """What frames are like, before the first step."""
        frames = self.model.listener.frames
        waves = (sounds.values(i) for i in chosen)
        padded = (torch.from_numpy(np.pad(wave, (0, max(0, frames.size - len(wave)))))[None] for wave in waves)
        self.model.listener.normalise.learn(torch.cat([frames(wave.to(self._device))[0] for wave in padded]))

    def loss(self, batch: Heard, carry: Carry) -> tuple[Tensor, int, Carry]:
        batch = batch.to(self._device)
        count = int(batch.said.sum())
        nll, marks = self.model.loss(batch.values, batch.symbols, batch.said, batch.marks)
        return nll.sum() + marks * count, count, None

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def validate(self) -> float:
        total = count = 0.0
        for batch in (batch for number in VALIDATED for batch in self.watched.epoch(number)):
            batch = batch.to(self._device)
            total += float(self.model.loss(batch.values, batch.symbols, batch.said, batch.marks)[0].sum())
            count += int(batch.said.sum())
        return total / count

    def _heard(self, feed: Utterances, judge: Judge | None = None) -> Iterator[tuple[str, list[Word], list[Evidence]]]:
        """Of each utterance the truth, the words that are heard, and the evidence for each."""
        hints = hints_of(self.codec)
        for batch in feed.epoch(-1):
            batch = batch.to(self._device)
            for h, symbols in zip(self.model(batch.values), Sequences(batch.symbols, batch.said), strict=True):
                scribe = Scribe(self.model, self.codec, hints, beams=BEAMS, judge=judge, timed=feed.strings)
                scribe.push(h)
                words = scribe.finish()
                yield self.codec.decode(symbols.tolist()), words, scribe.evidence

    def sample(self) -> str:
        truth, words, _ = next(self._heard(self.watched))
        return f"{truth}\n-> {' '.join(w.word for w in words)}"

    @torch.inference_mode()
    def calibrate(self, folder: ModelFolder) -> dict[str, Any]:
        """The word error rate of the best model on the validation part; and how sure a word's evidence makes one, learned from that
        part where some words are none of those known."""
        folder.load_into(self.model)
        self.model.eval()
        found = list(self._heard(self.watched))
        errors = sum((word_errors(truth, " ".join(w.word for w in words)) for truth, words, _ in found), NONE)
        typical = self._typical() if self.config.strings and self.codec.unit == "words" else None
        folder.save_tensors("words", {k: torch.from_numpy(v) for k, v in (typical.arrays() if typical else {}).items()})
        judged = list(self._heard(self._strange, Judge(typical=typical)))
        shown = [f"{truth} -> {' '.join(w.word for w in words)}" for truth, words, _ in sorted(found, key=lambda f: -len(f[0]))[:3]]
        return {"validation, word error rate %": 100 * errors.rate, "examples": shown, **calibrated(judged)}

    def _typical(self) -> Typical:
        """Where the states of each word lie, in strings of the training part and alone."""
        vectors, classes = [], []
        alone = Utterances(self.feed.sounds, self.feed.chosen, self.codec, self.model.listener, strings=False, seconds=TOGETHER)
        for batch in alone.epoch(-1):
            batch = batch.to(self._device)
            vectors += [h.mean(0).cpu().numpy() for h in self.model(batch.values)]
            classes += batch.symbols[:, 0].tolist()
        for batch in self.feed.epoch(-1):
            batch = batch.to(self._device)
            for h, marks, symbols in zip(self.model(batch.values), batch.marks, batch.symbols.tolist(), strict=True):
                starts = (marks == START).nonzero().flatten().tolist()
                for start, symbol in zip(starts, symbols, strict=False):
                    later = (marks[start + 1 :] < INSIDE).nonzero().flatten()
                    stop = start + 1 + int(later[0]) if len(later) else len(h)
                    vectors.append(h[start:stop].mean(0).cpu().numpy())
                    classes.append(symbol)
        return Typical.fit(np.stack(vectors), np.array(classes), len(self.codec.vocabulary))


def _usual_rate(recordings: Recordings) -> int:
    """The rate of most recordings, at most 16,000 values a second."""
    counts: Counter[int] = Counter()
    for item in recordings.items[:200]:
        try:
            counts[AudioFile(item.path).rate] += 1
        except DataError:
            continue
    if not counts:
        first = recordings.items[0]
        raise DataError(
            f"none of the first {min(200, len(recordings.items))} recordings can be read; the first is {first.path} ({first.place})"
        )
    return min(counts.most_common(1)[0][0], MOST_RATE)


def _summary(config: SpeechConfig, codec: Transcripts, job: _Job, model: Recogniser) -> str:
    weights = sum(p.numel() for p in model.parameters())
    way = "one-directional, streaming" if config.streaming else "bidirectional"
    strings = "strung together from single words" if config.strings else "as they are"
    return (
        f"{len(job.feed.chosen):,} recordings to train on, {strings}, by {codec.unit} ({len(codec.vocabulary) - 4} different), "
        f"{config.features}, {config.loss}; {way} {config.cell}, {config.layers}x{config.hidden}, {weights / 1e6:.2f} M weights"
    )
