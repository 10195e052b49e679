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
from unspool.codecs.transcripts import Transcripts
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
MOST_LEARNED = 300  # recordings that the frames' mean is taken of
MOST_TEMPLATES = 1000
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
        recordings = Recordings(data, config.pattern)
        rate = config.rate or _usual_rate(recordings)
        sounds = Sounds(recordings, rate, scratch / "train")
        if valid:
            other = Sounds(Recordings(valid, config.pattern), rate, scratch / "valid")
            train, held, how = list(range(len(sounds.items))), list(range(len(other.items))), "the validation files given"
        else:
            other = sounds
            train, held, how = split(sounds, config.valid_share, config.seed, config.split)
        if len(train) < LEAST:
            raise DataError(
                f"there are only {len(train)} recordings to learn from ({sounds.report}); training needs at least {LEAST}"
            )
        if stored is not None:
            codec = Transcripts.from_json(stored["codec"])
        elif isinstance(init, SpeechModel):
            codec = init.codec
        else:
            codec = Transcripts(config.unit, config.subwords).fit(sounds.items[i].text for i in train)
        single = all(len(sounds.items[i].text.split()) == 1 for i in train)
        config = settle(config, single=single)
        words = sorted({sounds.items[i].text for i in train}) if config.strings else []
        marks = 2 + (len(words) if 0 < len(words) <= MOST_WORDS else 1)
        progress.say(f"read {'; '.join(recordings.how)}" if recordings.how else f"read {', '.join(map(str, data))}")
        progress.say(f"{sounds.report}; {rate:,} values a second; validation on {how}")
        model = build(config, rate, len(codec.vocabulary), marks, pick_device(config.device), config.seed)
        job = _Job(model, codec, config, (sounds, train), (other, held), words if marks > 3 else [])
        if isinstance(init, SpeechModel):
            init.transfer(model)
        facts = {
            "files": [str(p) for p in data],
            "recordings": {"train": len(job.feed.chosen), "validation": len(job.watched.chosen)},
            "seconds": round(sum(sounds.items[i].stop - sounds.items[i].start for i in train) / rate, 1),
            "rate": rate,
            "marks": marks,
            "words": job.names,
            "split": how,
            "unit": job.unit,
            "skipped": dict(sounds.skipped),
            "frequent": Counter(w for i in train for w in codec.decode(codec.encode(sounds.items[i].text)).split()).most_common(1)[
                0
            ][0],
            "examples": [other.items[i].path for i in held[:3]],
        }
        progress.say(_summary(config, codec, job, model))
        baseline = job.templates.arrays() if job.templates else {"none": np.zeros(1)}
        return Prepared(job, config, codec.to_json(), facts, baseline, job.calibrate)

    def demonstration(self, scratch: Path) -> Demonstration:
        from unspool.tasks.formants import write

        train, test = scratch / "words", scratch / "strings"
        write(train, 24, seed=1)
        write(test, 40, seed=2, strings=True)
        about = (
            "Synthetic speech: ten made-up words, sweeps of formants of the project's own, by eight synthetic speakers. It learns "
            "from single words and is tested on strings of them, by other speakers."
        )
        return Demonstration([train], [test], {"budget": "50s", "hidden": 64, "embedding": 64}, about)

    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        from unspool.tasks.speech_card import card

        return card(stored, metrics)


class _Job:
    """What the loop trains."""

    per_symbol = 1.0

    def __init__(
        self,
        model: Recogniser,
        codec: Transcripts,
        config: SpeechConfig,
        train: tuple[Sounds, list[int]],
        held: tuple[Sounds, list[int]],
        words: list[str],
    ):
        self.model, self.codec, self.config = model, codec, config
        strings, seconds, seed = bool(config.strings), float(config.batch), config.seed
        self.feed: Any = Utterances(*train, codec, model.listener, words, strings=strings, seconds=seconds, seed=seed)
        self.watched = Utterances(*held, codec, model.listener, words, strings=strings, seconds=60.0, seed=seed)
        self._strange = Utterances(*held, codec, model.listener, words, strings=strings, seconds=60.0, seed=seed, foreign=STRANGE)
        if not self.feed.chosen or not self.watched.chosen:
            raise DataError(f"no recording is long enough for its transcript ({train[0].report})")
        self.unit = f"nats per {codec.unit.removesuffix('s')}"
        sounds = train[0]
        spoken = [codec.encode(sounds.items[i].text) for i in self.feed.chosen]
        unigram = KneserNey.fit(spoken, 1, len(codec.vocabulary))
        held_ids = [codec.encode(held[0].items[i].text) for i in self.watched.chosen]
        self.baselines = {"unigram": -sum(float(unigram.log_probs(ids).sum()) for ids in held_ids) / sum(map(len, held_ids))}
        frames = model.listener.frames
        rng = np.random.default_rng(config.seed)
        some = rng.permutation(self.feed.chosen)[:MOST_LEARNED].tolist()
        with torch.no_grad():
            model.listener.normalise.learn(torch.cat([frames(_waves(sounds, i, frames.size, model))[0] for i in some]))
        self.templates, self.names = None, words
        if words:
            chosen = rng.permutation(self.feed.chosen)[:MOST_TEMPLATES].tolist()
            self.templates = Templates.of(
                ((sounds.values(i), words.index(sounds.items[i].text)) for i in chosen), sounds.rate, words
            )

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
        return {"validation, word error rate %": 100 * errors.rate, **calibrated(judged)}

    def _typical(self) -> Typical:
        """Where the states of each word lie, in strings of the training part and alone."""
        vectors, classes = [], []
        alone = Utterances(self.feed.sounds, self.feed.chosen, self.codec, self.model.listener, strings=False, seconds=60.0)
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


def _waves(sounds: Sounds, index: int, least: int, model: Recogniser) -> Tensor:
    values = sounds.values(index)
    return torch.from_numpy(np.pad(values, (0, max(0, least - len(values)))))[None].to(next(model.parameters()).device)


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
