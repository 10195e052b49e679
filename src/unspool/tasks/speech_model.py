"""A trained speech recogniser: write down recordings, as they are or as they come, and say how well."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.audio import ENDINGS, AudioFile, faults
from unspool.codecs.recordings import Recordings
from unspool.codecs.transcripts import Transcripts, clean
from unspool.decoding.ctc import greedy
from unspool.decoding.hints import Hints, Language
from unspool.engines import State
from unspool.errors import ConfigError, DataError
from unspool.insight.opened import Opened, answered, whole
from unspool.layers.frontend import LogMel, Waves
from unspool.models.ctc import CTC
from unspool.models.listener import Listener
from unspool.models.recogniser import Recogniser
from unspool.models.transducer import Transducer
from unspool.scoring.templates import Templates
from unspool.scoring.typical import Typical
from unspool.scoring.words import word_errors
from unspool.sequences import Sequences
from unspool.tasks.speech_answers import Transcript, delivered, joined
from unspool.tasks.speech_config import SpeechConfig
from unspool.tasks.speech_listen import SpeechStream, Watched, listen
from unspool.tasks.speech_scores import NONE, Row, scores
from unspool.tasks.speech_words import Judge, Scribe
from unspool.tasks.task import Trained, configure
from unspool.training import ModelFolder, pick_device

__all__ = ["BEAMS", "SpeechModel", "Transcript", "build", "hints_of"]

AHEAD = 10  # steps that a streaming model looks ahead
BEAMS = 8


def build(config: SpeechConfig, rate: int, symbols: int, marks: int, device: torch.device, seed: int) -> Recogniser:
    """The network of a configuration, its weights drawn from the seed."""
    torch.manual_seed(seed)
    frames = Waves(rate) if config.features == "waves" else LogMel(rate)
    stack = config.stack(config.embedding, bidirectional=not config.streaming)
    ahead = AHEAD if config.streaming else 0
    listener = Listener(frames, stack, ahead=ahead, dropout=config.dropout or 0.0)
    head = CTC(stack.output_size, symbols) if config.loss == "ctc" else Transducer(stack.output_size, symbols)
    return Recogniser(listener, head, marks).to(device)


def hints_of(
    codec: Transcripts, words: Collection[str] | None = None, language: Language | None = None, exactly: int = 0
) -> Hints | None:
    """What hypotheses are scored with; a codec of whole words knows no others."""
    pieces = codec.pieces
    if words is None and codec.unit == "words":
        words = codec.vocabulary.symbols[4:]
    if words is None and language is None and not exactly:
        return None
    return Hints(pieces, words, language, exactly=exactly)


class SpeechModel(Trained):
    """A speech recogniser with its codec."""

    model: Recogniser

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.codec = Transcripts.from_json(stored["codec"])
        self.config: SpeechConfig = configure(SpeechConfig, stored["config"])
        self.rate: int = stored["data"]["rate"]
        self.words: list[str] = stored["data"]["words"]  # that marks tell apart
        marks = 2 + max(1, len(self.words))
        self.model = build(self.config, self.rate, len(self.codec.vocabulary), marks, pick_device(device), 0)
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
        words: int = 0,
        reject: float = 0.0,
    ) -> Iterator[Transcript]:
        """What each audio file says; a folder stands for the audio in it.

        `lexicon` (words, or a file of them) closes the vocabulary; `language` is a file of texts, whose word n-grams count, or a
        model of `unspool train text`. `words` says how many each recording holds, where that is known. A word less sure than
        `reject` becomes [?].
        """
        write = self._writer(beams, lexicon, language, words, reject)
        files = list(_files(inputs))
        for path in files:
            try:
                yield self._transcribe(path, write())
            except DataError as error:
                if len(files) == 1:
                    raise
                yield Transcript(str(path), "", warnings=[str(error)])  # the others go on

    def transcribe(self, recordings: Sequence[np.ndarray], **options: Any) -> list[Transcript]:
        """What recordings (N,) at the model's own rate say; the options of `predict`."""
        write = self._writer(**options)
        found = []
        for number, values in enumerate(recordings):
            scribe = write()
            for h in listen(self.model.listener, self.rate, iter([values])):
                scribe.push(h)
            words = scribe.finish()
            found.append(Transcript(str(number), joined(words), words, len(values) / self.rate, faults(values)))
        return found

    def stream(self, rate: int | None = None, **options: Any) -> SpeechStream:
        """Takes sound as it comes, at `rate` values a second (else the model's own); the options of `predict`."""
        return SpeechStream(self.model.listener, self._writer(**options)(), rate or self.rate, self.rate)

    def _writer(
        self,
        beams: int = BEAMS,
        lexicon: str | Path | Collection[str] | None = None,
        language: str | Path | None = None,
        words: int = 0,
        reject: float = 0.0,
    ) -> Callable[[], Scribe]:
        if beams < 1:
            raise ConfigError(f"beams must be at least 1, not {beams}")
        if words < 0:
            raise ConfigError(f"words must be at least 0 (not known), not {words}")
        if not 0 <= reject <= 1:
            raise ConfigError(f"reject is a confidence from 0 to 1, not {reject}")
        hints = hints_of(self.codec, self._lexicon(lexicon), self._language(language), words)
        judge = self._judge()
        timed = bool(self.config.strings)
        return lambda: Scribe(self.model, self.codec, hints, beams=beams, judge=judge, reject=reject, timed=timed)

    def _judge(self) -> Judge:
        if "calibration" not in self.metrics:  # training did not come so far
            return Judge()
        tensors = {k: v.numpy() for k, v in self.folder.load_tensors("words")[0].items()}
        typical = Typical(tensors["means"], tensors["inverse"]) if tensors else None
        log_p, distance, offset = self.metrics["calibration"]
        return Judge(log_p, distance, offset, typical)

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
        file, found = AudioFile(path), Watched()
        warnings: list[str] = []
        try:
            for h in listen(self.model.listener, self.rate, found.watch(file.blocks(self.rate))):
                scribe.push(h)
        except DataError as error:
            if not found.values:
                raise
            warnings.append(str(error))
        words = scribe.finish()
        return Transcript(str(path), joined(words), words, found.values / self.rate, warnings + found.faults)

    def opened(self, item: str | Path, most: int = 400) -> Opened:
        """A recording, its first seconds in steps of 20 ms: what made it say what it says."""
        listener = self.model.listener
        values = AudioFile(Path(item)).read(self.rate)[: listener.frames.size + (most - 1) * round(listener.seconds * self.rate)]
        values = np.pad(values, (0, max(0, listener.frames.size - len(values))))
        said = self.transcribe([values])[0].text
        y = torch.from_numpy(self.codec.encode(said) if said else np.zeros(1, np.int64)).to(self.device)
        with torch.no_grad():
            x = listener.read(Sequences.collate([values]).to(self.device)).values

        def loss(outputs: Tensor, state: State) -> Tensor:
            lengths = whole(outputs)
            said_by_all = torch.full_like(lengths, len(y) if said else 0)
            return self.model.head.nll(listener.told(outputs, lengths), lengths, y.expand(len(outputs), -1), said_by_all)

        symbols = [f"{listener.middle(step):.2f}" for step in range(x.shape[1])]
        return answered(symbols, x, listener.stack, loss, said or "nothing")

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """Word and character error rates with their kinds of errors, by speaker, beside those of the likeliest path and baselines;
        the real-time factor; how far times are off, where a manifest has them (a column `times` of start-end pairs in seconds)."""
        recordings = Recordings(data, self.config.pattern)
        write = self._writer()
        rows: list[Row] = []
        unread: list[str] = []
        busy = 0.0
        for item in recordings.items:
            try:
                values = AudioFile(item.path).read(self.rate)
            except DataError as error:
                unread.append(str(error))
                continue
            began = time.monotonic()
            states = list(listen(self.model.listener, self.rate, iter([values])))
            scribe = write()
            for h in states:
                scribe.push(h)
            words = scribe.finish()
            busy += time.monotonic() - began
            rows.append(Row(item, clean(item.text), words, self._likeliest(torch.cat(states)), len(values) / self.rate))
        if not rows:
            raise DataError(f"none of the recordings can be read: {unread[0] if unread else recordings.paths}")
        answer: dict[str, Any] = {"data": [str(p) for p in data], "recordings": len(rows), "unreadable": unread}
        answer |= scores(rows) | {"real-time factor": busy / sum(row.seconds for row in rows)}
        if self.config.streaming:
            answer["look-ahead, seconds"] = self.model.listener.look_ahead
        return answer | {"baselines": self._baselines(rows)}

    @torch.inference_mode()
    def _likeliest(self, h: Tensor) -> str:
        """The text of the likeliest path alone, or of a transducer's one beam."""
        if isinstance(self.model.head, CTC):
            return self.codec.decode(greedy(self.model.head.log_probs(h).cpu().numpy()))
        scribe = Scribe(self.model, self.codec, None, beams=1)
        scribe.push(h)
        return joined(scribe.finish())

    def _baselines(self, rows: list[Row]) -> dict[str, float]:
        frequent = self.stored["data"]["frequent"]
        found = {"most frequent word, word error rate %": 100 * sum((word_errors(r.truth, frequent) for r in rows), NONE).rate}
        tensors = {k: v.numpy() for k, v in self.folder.load_tensors("baseline")[0].items()}
        single = all(len(row.truth.split()) == 1 for row in rows)
        if "features" in tensors and single:
            templates = Templates.from_arrays(tensors, self.words, self.rate)
            answers = [templates.nearest(AudioFile(row.item.path).read(self.rate)) for row in rows]
            rate = sum((word_errors(row.truth, a) for row, a in zip(rows, answers, strict=True)), NONE).rate
            found["nearest recording (DTW), word error rate %"] = 100 * rate
        return found

    def examples(self, seed: int = 0) -> str:
        shown = "\n".join(self.metrics.get("examples", []))
        name = self.folder.path
        return f"\n{shown}\n\nNext:\n  unspool train speech RECORDINGS -o MODEL\n  unspool predict {name} FILE.wav -o FILE.srt"

    def deliver(self, samples: Iterable[Transcript], output: Path | None = None, as_json: bool = False) -> str:
        """The transcripts as lines, or JSON lines. An output file is .srt, .vtt (of one recording), .json (one object a line) or,
        with any other ending, one text a line."""
        return delivered(samples, output, as_json)


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
