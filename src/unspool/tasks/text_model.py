"""A trained text model: evaluate, score, generate."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unspool.codecs.corpus import Corpus
from unspool.codecs.text import TextCodec
from unspool.codecs.textfiles import TextFiles
from unspool.decoding.sampling import Sampling, generate
from unspool.errors import ConfigError, DataError, ModelError
from unspool.insight.opened import Opened, predicted
from unspool.models import OneToMany, language_model
from unspool.scoring.baselines import Baselines
from unspool.scoring.copies import Copy, longest_copies
from unspool.scoring.metrics import bits, perplexity
from unspool.tasks.inputs import file_of
from unspool.tasks.task import Trained, configure
from unspool.tasks.text_config import TextConfig
from unspool.training import Documents, Likelihood, ModelFolder, RunningText, pick_device

__all__ = ["Sample", "TextModel", "build", "store", "unit_name"]


@dataclass(frozen=True)
class Sample:
    """A generated text, whether it ended by itself, and the longest run it shares with the training text, if checked."""

    text: str
    ended: bool
    copied: Copy | None = None


def build(config: TextConfig, codec: TextCodec, device: torch.device, seed: int) -> OneToMany:
    """The network of a configuration, its weights drawn from the seed."""
    torch.manual_seed(seed)
    symbols = len(codec.vocabulary)
    stack = config.stack(symbols if config.one_hot else config.embedding)
    return language_model(
        symbols,
        stack,
        embedding=0 if config.one_hot else config.embedding,
        tied=bool(config.tied),
        input_dropout=config.input_dropout or 0.0,
        dropout=config.dropout or 0.0,
        cache=config.cache or 0,
    ).to(device)


def unit_name(codec: TextCodec) -> str:
    """What a loss is divided by."""
    return "word" if codec.unit == "words" else "normalised symbol" if codec.normalised else "character"


def store(corpus: Corpus, texts: Iterable[str], codec: TextCodec, documents: bool) -> Corpus:
    """Encodes texts onto disk, counting what a loss is divided by: characters (or words, or normalised symbols) and each end."""

    def encoded() -> Iterator[np.ndarray]:
        for text in texts:
            ids = codec.encode(text)
            corpus.characters += codec.count(text) + documents
            yield np.append(ids, codec.vocabulary.end) if documents else ids

    return corpus.write(encoded(), joined=not documents)


class TextModel(Trained):
    """A language model with its codec."""

    shown = 3

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.codec = TextCodec.from_json(stored["codec"])
        self.config: TextConfig = configure(TextConfig, stored["config"])
        self.model = build(self.config, self.codec, pick_device(device), 0)
        folder.load_into(self.model)
        self.model.eval()
        self.documents = self.config.corpus == "documents"

    @torch.inference_mode()
    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """Nats and bits per character (or word), perplexity per symbol, and the same of the baselines on the same text."""
        files = TextFiles(data, column=self.config.column, lines=self.documents)
        with tempfile.TemporaryDirectory() as scratch:
            corpus = store(Corpus(Path(scratch), "data", len(self.codec.vocabulary)), files, self.codec, self.documents)
            feed: Any = Documents(corpus, 8192, longest=1 << 30) if self.documents else RunningText(corpus, 1, 1024)
            found = Likelihood(self.model).total(feed, cached=True)
            nats, own = found.nats, found.own
            unit, n = unit_name(self.codec), corpus.characters
            others = {name: total / n for name, total in self._baselines(corpus).items()}
            answer = {
                "data": [str(p) for p in data],
                "read": str(files.report),
                f"nats per {unit}": nats / n,
                f"bits per {unit}": bits(nats / n),
                "perplexity per symbol": perplexity(nats / corpus.symbols),
                "state": "new for each document" if self.documents else "carried over the whole text",
                "counted": n,
                "symbols": corpus.symbols,
                "baselines": {f"{name}, nats per {unit}": value for name, value in others.items()},
            }
            if not self.documents:
                answer[f"cold start, nats per {unit}"] = self._cold(corpus) / n
            if self.config.cache:
                answer["state"] += f", with a cache of {self.config.cache:,} steps"
                answer[f"without the cache, nats per {unit}"] = own / n
            corpus.close()
        return answer

    def _cold(self, corpus: Corpus) -> float:
        """The total -log P in nats of a running text cut into training windows, each from the begin symbol and a new state."""
        total = 0.0
        for at in range(0, corpus.symbols, 64 * self.config.window):
            ids = torch.from_numpy(corpus.read(at, min(at + 64 * self.config.window, corpus.symbols)))
            for rows in _rows(ids, self.config.window):
                inputs = torch.cat([torch.full_like(rows[:, :1], self.codec.vocabulary.begin), rows[:, :-1]], 1)
                total += float(self.model.nll(inputs.to(self.device), rows.to(self.device))[0].double().sum())
        return total

    def _baselines(self, corpus: Corpus) -> dict[str, float]:
        try:
            arrays = {name: tensor.numpy() for name, tensor in self.folder.load_tensors("baseline")[0].items()}
        except ModelError:
            return {"uniform": corpus.symbols * math.log(len(self.codec.vocabulary))}
        return Baselines.from_arrays(arrays).nats(corpus)

    @property
    def device(self) -> torch.device:
        return self.model.head.out.weight.device

    def opened(self, item: str | Path, most: int = 400) -> Opened:
        """A text, or the beginning of a file: what is predicted of each symbol, and what made the last one likely."""
        path = file_of(item)
        text = "\n".join(TextFiles([path], column=self.config.column, lines=False)) if path else str(item)
        ids = self.codec.encode(text)[:most]
        if len(ids) < 2:
            raise DataError(f"{str(item)[:80]!r} has fewer than two symbols; there is nothing to see in it")
        symbols = [self.codec.decode([i]) for i in ids.tolist()]
        return predicted(self.model, torch.from_numpy(ids).to(self.device), symbols, text=True)

    @torch.inference_mode()
    def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """For each text its log-probability in nats, and that divided by its characters (or words), the end included."""
        answers = []
        for text in texts:
            ids = self.codec.encode(text)
            targets = np.append(ids, self.codec.vocabulary.end) if self.documents else ids
            inputs = np.append(self.codec.vocabulary.begin, targets)[:-1]
            before, after = (torch.from_numpy(row)[None].to(self.device) for row in (inputs, targets))
            total = 0.0
            if len(targets):
                h, _ = self.model(before)
                nll, cache = self.model.head.nll(h, after), self.model.memory()  # type: ignore[operator]
                total = float((cache.nll(h, after, nll) if cache else nll).double().sum())
            counted = max(1, self.codec.count(text) + self.documents)
            answers.append({"log-probability": -total, f"nats per {unit_name(self.codec)}": total / counted})
        return answers

    def scores(self, data: Sequence[str | Path]) -> Iterator[tuple[str, dict[str, float]]]:
        return ((line, self.score([line])[0]) for line in TextFiles(data))

    def examples(self, seed: int = 0) -> str:
        texts = "\n\n".join(f"--- sample {i} ---\n{sample.text}" for i, sample in enumerate(self.generate(3, seed=seed), 1))
        return f"\n{texts}\n\nNext:\n  unspool generate {self.folder.path} --prompt '...' -n 5\n  unspool train text FILE -o MODEL"

    def generate(
        self,
        n: int = 1,
        *,
        prompt: str = "",
        length: int | None = None,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: Sequence[str] = (),
        seed: int = 0,
        compare: Sequence[str | Path] | None = None,
        longest_copy: int | None = None,
    ) -> list[Sample]:
        """`n` texts that begin with the prompt and have at most `length` characters (280 for documents, else 500).

        A text stops before the first of the `stop` strings. `compare` names the training text to look for copied runs in;
        with `longest_copy`, a sample with a longer run is drawn again, up to ten times.
        """
        how = Sampling(temperature, top_k, top_p, repetition_penalty)
        length = length or (280 if self.documents else 500)
        if n < 1:
            raise ConfigError(f"the number of samples must be at least 1, not {n}")
        if len(prompt) > length:
            raise ConfigError(f"the prompt has {len(prompt)} characters, more than the length of {length}")
        if not all(stop):
            raise ConfigError("a text cannot stop at an empty string")
        if longest_copy is not None and not compare:
            raise ConfigError("drawing copies again needs the training text to compare with: add compare (--compare FILE)")
        samples = self._draw(n, prompt, length, how, stop, seed)
        if not compare:
            return samples
        samples = self._compared(samples, compare)
        for attempt in range(1, 11):
            long = [i for i, s in enumerate(samples) if longest_copy is not None and s.copied and s.copied.length > longest_copy]
            if not long:
                break
            fresh = self._compared(self._draw(len(long), prompt, length, how, stop, seed + attempt * 100_003), compare)
            for i, sample in zip(long, fresh, strict=True):
                samples[i] = sample
        return samples

    def deliver(self, samples: Sequence[Sample], output: Path | None = None, as_json: bool = False) -> str:
        """The texts, or as JSON lines, which is what an output file holds."""
        if as_json or output:
            lines = [json.dumps(asdict(sample), ensure_ascii=False) for sample in samples]
        else:
            copied = "\n    [longest run shared with the training text: {} characters]"
            lines = [s.text + (copied.format(s.copied.length) if s.copied else "") for s in samples]
        if output is None:
            return ("\n" if as_json or not any("\n" in line for line in lines) else "\n\n----\n\n").join(lines)
        try:
            output.write_text("\n".join(lines) + "\n", "utf-8")
        except OSError as error:
            raise DataError(f"cannot write {output}: {error.strerror}") from error
        return f"{len(lines)} texts are in {output}"

    def _draw(self, n: int, prompt: str, length: int, how: Sampling, stop: Sequence[str], seed: int) -> list[Sample]:
        vocabulary, clean = self.codec.vocabulary, self.codec.clean(prompt)
        ids = self.codec.encode(clean).tolist()
        joint = " " if clean and self.codec.unit == "words" else ""

        def text(row: Sequence[int]) -> str:
            return clean + joint + self.codec.decode(row[len(ids) :])

        def done(row: list[int]) -> bool:
            now = text(row)
            return len(now) > length or any(s in now[len(clean) :] for s in stop)

        rows = generate(
            self.model,
            ids,
            n,
            begin=vocabulary.begin,
            end=vocabulary.end if self.documents else None,
            forbidden=(vocabulary.padding, vocabulary.begin, vocabulary.unknown),
            limit=max(1, length + 1 - len(clean)),
            how=how,
            seed=seed,
            done=done,
        )
        return [_cut(text(row), len(clean), length, stop) for row in rows]

    def _compared(self, samples: list[Sample], compare: Sequence[str | Path]) -> list[Sample]:
        files = TextFiles(compare, column=self.config.column, lines=self.documents)
        corpus = (self.codec.clean(text) for text in files)
        copies = longest_copies([s.text for s in samples], corpus)
        return [Sample(s.text, s.ended, c) for s, c in zip(samples, copies, strict=True)]


def _cut(text: str, prompt: int, length: int, stop: Sequence[str]) -> Sample:
    ended = len(text) <= length
    text = text[:length]
    for s in stop:
        at = text.find(s, prompt)
        if at >= 0:
            text, ended = text[:at], True
    return Sample(text, ended)


def _rows(ids: torch.Tensor, window: int) -> list[torch.Tensor]:
    """Rows of `window` ids, and the rest as a row of its own."""
    whole = len(ids) // window * window
    rows = [ids[:whole].view(-1, window), ids[whole:][None]]
    return [r for r in rows if r.numel()]
