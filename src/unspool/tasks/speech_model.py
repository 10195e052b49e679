"""A trained speech recogniser: write down recordings, as they are or as they come, and say how well."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unspool.codecs import subtitles
from unspool.codecs.audio import ENDINGS, AudioFile, Resampler, faults
from unspool.codecs.recordings import Recording, Recordings
from unspool.codecs.subtitles import Timed
from unspool.codecs.transcripts import Transcripts, clean
from unspool.decoding.hints import Hints, Language
from unspool.errors import ConfigError, DataError
from unspool.layers import Recurrent
from unspool.layers.frontend import LogMel, Waves
from unspool.models.ctc import CTC
from unspool.models.listener import Listener
from unspool.models.recogniser import Recogniser
from unspool.models.transducer import Transducer
from unspool.scoring.templates import Templates
from unspool.scoring.words import Errors, bootstrap, word_errors
from unspool.sequences import Sequences
from unspool.tasks.speech_config import SpeechConfig
from unspool.tasks.speech_data import Utterances
from unspool.tasks.speech_words import Scribe, Word
from unspool.tasks.task import Trained, configure
from unspool.training import ModelFolder, pick_device

__all__ = ["SpeechModel", "SpeechStream", "Transcript", "build", "calibrated", "calibration"]

AHEAD = 10  # steps that a streaming model looks ahead
PIECE, MARGIN = 20.0, 3.0  # seconds that a bidirectional model reads at once of a long recording, and on either side
BEAMS = 8


@dataclass(frozen=True)
class Transcript:
    """What a recording says: the text, its words with times in seconds and confidence, and what was wrong with the recording."""

    path: str
    text: str
    words: list[Word] = field(default_factory=list)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        words = [{k: v for k, v in asdict(w).items() if v != ""} for w in self.words]
        for word in words:
            word["confidence"] = round(word["confidence"], 4)
        return {"path": self.path, "text": self.text, "seconds": round(self.seconds, 3), "words": words, "warnings": self.warnings}


def build(config: SpeechConfig, rate: int, symbols: int, marks: int, device: torch.device, seed: int) -> Recogniser:
    """The network of a configuration, its weights drawn from the seed."""
    torch.manual_seed(seed)
    frames = Waves(rate) if config.features == "waves" else LogMel(rate)
    stack = Recurrent(
        config.cell,
        config.embedding,
        config.hidden,
        layers=config.layers,
        bidirectional=not config.streaming,
        residual=config.residual,
        dropout=config.dropout or 0.0,
        recurrent_dropout=config.recurrent_dropout or 0.0,
        engine=config.engine,
    )
    ahead = AHEAD if config.streaming else 0
    listener = Listener(frames, stack, config.embedding, ahead=ahead, dropout=config.dropout or 0.0)
    head = CTC(stack.output_size, symbols) if config.loss == "ctc" else Transducer(stack.output_size, symbols)
    return Recogniser(listener, head, marks).to(device)


def calibrated(model: Recogniser, codec: Transcripts, feed: Utterances) -> Iterator[tuple[str, list[Word], list[float]]]:
    """Of each utterance of a feed the truth, the words that are heard, and the log p of each."""
    hints = hints_of(codec)
    for batch in feed.epoch(-1):
        batch = batch.to(next(model.parameters()).device)
        for h, symbols in zip(model(batch.values), Sequences(batch.symbols, batch.said), strict=True):
            scribe = Scribe(model, codec, hints, beams=BEAMS, timed=feed.strings)
            scribe.push(h)
            words = scribe.finish()
            yield codec.decode(symbols.tolist()), words, scribe.raw


def calibration(found: list[tuple[str, list[Word], list[float]]]) -> dict[str, Any]:
    """The word error rate, and the slope and offset that turn a word's log p into the log odds that it is right (Platt 1999)."""
    total, values, right = Errors(0, 0, 0, 0), [], []
    for truth, words, raw in found:
        heard = [w.word for w in words]
        total += word_errors(truth, " ".join(heard))
        values += raw
        right += _matched(truth.split(), heard)
    x, y = torch.tensor(values, dtype=torch.float64), torch.tensor(right, dtype=torch.float64)
    weights = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = weights[0] * x + weights[1]
        # As if one more word of middling log p had been right, and one wrong: else all being right would mean certainty.
        nll = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="sum") if len(x) else 0.0 * weights.sum()
        nll = (
            nll
            + torch.nn.functional.softplus(-weights[1])
            + torch.nn.functional.softplus(weights[0] * -3 + weights[1])
            + 0.01 * weights[0] ** 2
        )
        nll.backward()
        return nll

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[arg-type]
    slope, offset = (float(w) for w in weights.detach())
    return {"validation, word error rate %": 100 * total.rate, "calibration": [max(slope, 0.01), offset]}


def _matched(truth: list[str], heard: list[str]) -> list[float]:
    """For each word heard whether the best alignment pairs it with the same word."""
    cost = np.zeros((len(truth) + 1, len(heard) + 1))
    cost[:, 0], cost[0] = np.arange(len(truth) + 1), np.arange(len(heard) + 1)
    for i, a in enumerate(truth, 1):
        for j, b in enumerate(heard, 1):
            cost[i, j] = min(cost[i - 1, j - 1] + (a != b), cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    right, i, j = [0.0] * len(heard), len(truth), len(heard)
    while i and j:
        if cost[i, j] == cost[i - 1, j - 1] + (truth[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            right[j] = float(truth[i] == heard[j])
        elif cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return right


def hints_of(codec: Transcripts, words: Collection[str] | None = None, language: Language | None = None) -> Hints | None:
    """What hypotheses are scored with; a codec of whole words knows no others."""
    pieces = codec.pieces
    if words is None and codec.unit == "words":
        words = codec.vocabulary.symbols[4:]
    if words is None and language is None:
        return None
    return Hints(pieces, words, language)


class SpeechModel(Trained):
    """A speech recogniser with its codec."""

    model: Recogniser

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.codec = Transcripts.from_json(stored["codec"])
        self.config: SpeechConfig = configure(SpeechConfig, stored["config"])
        self.rate: int = stored["data"]["rate"]
        self.model = build(self.config, self.rate, len(self.codec.vocabulary), stored["data"]["marks"], pick_device(device), 0)
        folder.load_into(self.model)
        self.model.eval()

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def predict(
        self,
        inputs: Iterable[str | Path],
        *,
        beams: int = BEAMS,
        lexicon: str | Path | Collection[str] | None = None,
        language: str | Path | None = None,
        reject: float = 0.0,
    ) -> Iterator[Transcript]:
        """What each audio file says; a folder stands for the audio in it.

        `lexicon` (words, or a file of them) closes the vocabulary; `language` is a file of texts, whose word n-grams then count, or a
        model of `unspool train text`. A word less sure than `reject` becomes [?].
        """
        write = self._writer(beams, lexicon, language, reject)
        for path in _files(inputs):
            yield self._transcribe(path, write())

    def transcribe(self, recordings: Sequence[np.ndarray], **options: Any) -> list[Transcript]:
        """What recordings (N,) at the model's own rate say; the options of `predict`."""
        write = self._writer(**options)
        found = []
        for number, values in enumerate(recordings):
            scribe = write()
            for h in self._listen(iter([values])):
                scribe.push(h)
            words = scribe.finish()
            found.append(Transcript(str(number), _text(words), words, len(values) / self.rate, faults(values)))
        return found

    def stream(self, rate: int | None = None, **options: Any) -> SpeechStream:
        """Takes sound as it comes, at `rate` values a second (else the model's own); the options of `predict`."""
        return SpeechStream(self, rate or self.rate, self._writer(**options)())

    def _writer(
        self,
        beams: int = BEAMS,
        lexicon: str | Path | Collection[str] | None = None,
        language: str | Path | None = None,
        reject: float = 0.0,
    ) -> Callable[[], Scribe]:
        if beams < 1:
            raise ConfigError(f"beams must be at least 1, not {beams}")
        if not 0 <= reject <= 1:
            raise ConfigError(f"reject is a confidence from 0 to 1, not {reject}")
        hints = hints_of(self.codec, self._lexicon(lexicon), self._language(language))
        calibration = tuple(self.metrics.get("calibration", (1.0, 0.0)))
        timed = bool(self.config.strings)
        return lambda: Scribe(self.model, self.codec, hints, beams=beams, calibration=calibration, reject=reject, timed=timed)

    def _lexicon(self, given: str | Path | Collection[str] | None) -> set[str] | None:
        if given is None:
            return None
        if isinstance(given, (str, Path)):
            from unspool.codecs.streams import lines

            given = list(lines(Path(given), 10_000, "a lexicon has one word a line"))
        words = {word for text in given for word in clean(text).split()}
        known = {word for word in words if 1 not in self.codec.encode(word)}
        if not known:
            unit = self.codec.unit
            raise DataError(
                f"the lexicon has no word that this model can write: it writes {unit}, such as {', '.join(self.codec.pieces[4:14])}"
            )
        return known

    def _language(self, given: str | Path | None) -> Language | None:
        if given is None:
            return None
        from unspool.tasks.speech_language import language_of

        return language_of(Path(given))

    def _transcribe(self, path: Path, scribe: Scribe) -> Transcript:
        """DataError for what is no audio; a file that ends in the middle gives what there was, with a warning."""
        file, found = AudioFile(path), _Watched()
        warnings: list[str] = []
        try:
            for h in self._listen(found.watch(file.blocks(self.rate))):
                scribe.push(h)
        except DataError as error:
            if not found.seconds:
                raise
            warnings.append(str(error))
        words = scribe.finish()
        return Transcript(str(path), _text(words), words, found.seconds / self.rate, warnings + found.faults)

    @torch.inference_mode()
    def _listen(self, blocks: Iterator[np.ndarray]) -> Iterator[Tensor]:
        """Hidden states (t, H) of a recording that comes in blocks."""
        if self.config.streaming:
            stream = self.model.listener.stream()
            for block in blocks:
                yield stream.push(torch.from_numpy(block))
            yield stream.finish()
            return
        # A long recording is read in pieces that overlap, of each of which the middle counts; a step is a whole number of values.
        listener = self.model.listener
        step = listener.frames.hop * 2
        piece, margin = (round(seconds * self.rate / step) * step for seconds in (PIECE, MARGIN))
        held, before, ended = np.zeros(0, np.float32), 0, False
        while not ended:
            while len(held) < before + piece + margin:
                block = next(blocks, None)
                if block is None:
                    ended = True
                    break
                held = np.concatenate([held, block])
            if len(held) < listener.frames.size:
                held = np.pad(held, (0, listener.frames.size - len(held)))
            part = held if ended else held[: before + piece + margin]
            values = torch.from_numpy(part)[None].to(self.device)
            h = self.model(Sequences(values, torch.tensor([len(part)], device=self.device))).values[0]
            yield h[before // step :] if ended else h[before // step : (before + piece) // step]
            if not ended:
                held = held[max(0, before + piece - margin) :]
                before = min(margin, before + piece)

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """Word and character error rates with their kinds of errors, by speaker, beside those of the likeliest path and of baselines; the
        real-time factor; and how far times are off, where a manifest has them (a column `times` of start-end pairs in seconds)."""
        recordings = Recordings(data, self.config.pattern)
        write, plain = self._writer(), self._writer(beams=1)
        rows: list[_Row] = []
        unread: list[str] = []
        busy = 0.0
        for item in recordings.items:
            try:
                values = AudioFile(item.path).read(self.rate)
            except DataError as error:
                unread.append(str(error))
                continue
            began = time.monotonic()
            states = list(self._listen(iter([values])))
            scribe = write()
            for h in states:
                scribe.push(h)
            words = scribe.finish()
            busy += time.monotonic() - began
            other = plain()
            for h in states:
                other.push(h)
            rows.append(_Row(item, clean(item.text), words, " ".join(w.word for w in other.finish()), len(values) / self.rate))
        if not rows:
            raise DataError(f"none of the recordings can be read: {unread[0] if unread else recordings.paths}")
        answer: dict[str, Any] = {"data": [str(p) for p in data], "recordings": len(rows), "unreadable": unread}
        answer |= _scores(rows) | {"real-time factor": busy / sum(row.seconds for row in rows)}
        if self.config.streaming:
            answer["look-ahead, seconds"] = self.model.listener.look_ahead
        return answer | {"baselines": self._baselines(rows)}

    def _baselines(self, rows: list[_Row]) -> dict[str, float]:
        frequent = self.stored["data"]["frequent"]
        found = {"most frequent word, word error rate %": 100 * sum((word_errors(r.truth, frequent) for r in rows), NONE).rate}
        tensors = {k: v.numpy() for k, v in self.folder.load_tensors("baseline")[0].items()}
        single = all(len(row.truth.split()) == 1 for row in rows)
        if "features" in tensors and single:
            templates = Templates.from_arrays(tensors, self.stored["data"]["words"], self.rate)
            answers = [templates.nearest(AudioFile(row.item.path).read(self.rate)) for row in rows]
            rate = sum((word_errors(row.truth, a) for row, a in zip(rows, answers, strict=True)), NONE).rate
            found["nearest recording (DTW), word error rate %"] = 100 * rate
        return found

    def examples(self, seed: int = 0) -> str:
        shown = "\n".join(_shown(t) for t in self.predict([p for p in self.stored["data"]["examples"] if Path(p).exists()]))
        return f"\n{shown}\n\nNext:\n  unspool train speech RECORDINGS -o MODEL\n  unspool predict {self.folder.path} FILE.wav -o FILE.srt"

    def deliver(self, samples: Iterable[Transcript], output: Path | None = None, as_json: bool = False) -> str:
        """The transcripts as lines, or JSON lines. An output file is .srt, .vtt (of one recording), .json (one object a line) or, with
        any other ending, one text a line."""
        if output is None:
            return "\n".join(json.dumps(t.to_json(), ensure_ascii=False) if as_json else _shown(t) for t in samples)
        kind = output.suffix.lower()
        found = list(samples)
        if kind in (".srt", ".vtt"):
            if len(found) != 1:
                raise ConfigError(f"{output} holds the subtitles of one recording, not of {len(found)}; give one, or write .json")
            words = [Timed(w.word, w.start, w.end) for w in found[0].words]
            text = subtitles.srt(words) if kind == ".srt" else subtitles.vtt(words)
        elif as_json or kind in (".json", ".jsonl"):
            text = "".join(json.dumps(t.to_json(), ensure_ascii=False) + "\n" for t in found)
        else:
            text = "".join(t.text + "\n" for t in found)
        try:
            output.write_text(text, "utf-8")
        except OSError as error:
            raise DataError(f"cannot write {output}: {error.strerror}") from error
        odd = sum(bool(t.warnings) for t in found)
        return f"{len(found):,} transcripts are in {output}" + (f"; {odd:,} recordings have warnings (see --json)" if odd else "")


NONE = Errors(0, 0, 0, 0)


@dataclass(frozen=True)
class _Row:
    """A recording that was evaluated."""

    item: Recording
    truth: str
    words: list[Word]
    greedy: str
    seconds: float

    @property
    def answer(self) -> str:
        return " ".join(w.word for w in self.words)


class _Watched:
    """Looks at a recording while it passes."""

    def __init__(self) -> None:
        self.seconds = 0
        self._seen: list[list[str]] = []

    def watch(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            self.seconds += len(block)
            if len(block):
                self._seen.append(faults(block))
            yield block

    @property
    def faults(self) -> list[str]:
        """What all blocks have, and what any has where one is enough."""
        if self._seen and all("silent" in seen for seen in self._seen):
            return ["silent: there is nothing to hear"]
        return ["clipped: too loud for its format, so words may be missed"] if any("clipped" in seen for seen in self._seen) else []


class SpeechStream:
    """Sound as it comes, to words; made by `SpeechModel.stream`. When it ends, the words are those of the whole recording."""

    def __init__(self, model: SpeechModel, rate: int, scribe: Scribe):
        self._listener, self._scribe, self._resampler = model.model.listener.stream(), scribe, Resampler(rate, model.rate)
        self._least = model.model.listener.frames.size
        self._read = 0

    def push(self, values: np.ndarray) -> str:
        """The next pressure values (n,), from -1 to 1, to what is written so far, whose end may yet change."""
        values = self._resampler.push(np.asarray(values, np.float32))
        self._read += len(values)
        self._scribe.push(self._listener.push(torch.from_numpy(values)))
        return self._scribe.partial

    @property
    def words(self) -> list[Word]:
        """The words that are final."""
        return self._scribe.words

    def finish(self) -> list[Word]:
        """All words."""
        values = self._resampler.finish()
        padded = np.pad(values, (0, max(0, self._least - self._read - len(values))))
        self._scribe.push(self._listener.push(torch.from_numpy(padded.astype(np.float32))))
        self._scribe.push(self._listener.finish())
        return self._scribe.finish()


def _scores(rows: list[_Row]) -> dict[str, Any]:
    errors = [word_errors(row.truth, row.answer) for row in rows]
    total = sum(errors, NONE)
    letters = sum((word_errors(row.truth, row.answer, characters=True) for row in rows), NONE)
    low, high = bootstrap(errors)
    answer: dict[str, Any] = {
        "words": total.words,
        "word error rate %": 100 * total.rate,
        "95 % interval": [round(100 * low, 2), round(100 * high, 2)],
        "substitutions": total.substitutions,
        "deletions": total.deletions,
        "insertions": total.insertions,
        "character error rate %": 100 * letters.rate,
        "likeliest path, word error rate %": 100 * sum((word_errors(row.truth, row.greedy) for row in rows), NONE).rate,
        "recordings right %": 100 * float(np.mean([e.wrong == 0 for e in errors])),
    }
    speakers = sorted({row.item.speaker for row in rows})
    if len(speakers) > 1:
        answer["word error rate % by speaker"] = {
            name or "unknown": _interval([e for e, row in zip(errors, rows, strict=True) if row.item.speaker == name])
            for name in speakers
        }
    off = [abs(a - b) for row in rows for pair in _paired(row) for a, b in zip(*pair, strict=True)]
    return answer | ({"word times off, ms": 1000 * float(np.mean(off))} if off else {})


def _paired(row: _Row) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """The true and the found times of words, where all words are right."""
    if row.item.times and row.answer == row.truth and len(row.item.times) == len(row.words):
        yield from ((time, (word.start, word.end)) for time, word in zip(row.item.times, row.words, strict=True))


def _interval(errors: list[Errors]) -> str:
    low, high = bootstrap(errors)
    total = sum(errors, NONE)
    return f"{100 * total.rate:.2f} ({100 * low:.2f} to {100 * high:.2f}), {total.words:,} words"


def _files(inputs: Iterable[str | Path]) -> Iterator[Path]:
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
            if not found:
                raise DataError(f"{path} holds no audio ({', '.join(ENDINGS)})")
            yield from found
        else:
            yield path


def _text(words: Sequence[Word]) -> str:
    return " ".join(w.word for w in words)


def _shown(t: Transcript) -> str:
    return "\n".join([f"{t.path}: {t.text}", *(f"    warning: {w}" for w in t.warnings)])
