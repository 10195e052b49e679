"""A trained rating model: evaluate, predict, and say which words moved the answer."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.labelled import LabelledFiles
from unspool.codecs.text import TextCodec
from unspool.codecs.words import WordCodec
from unspool.errors import DataError
from unspool.insight import integrated_gradients, leave_one_out
from unspool.insight.opened import Opened, judged
from unspool.layers import Embedding
from unspool.models import Categorical, ManyToOne, Ordinal
from unspool.scoring.rating import decided, report
from unspool.scoring.tfidf import TfidfBaseline
from unspool.sequences import Sequences, batches_by_length
from unspool.tasks.inputs import blocks, file_of, filled, shortened
from unspool.tasks.outputs import written
from unspool.tasks.sentiment_config import SentimentConfig
from unspool.tasks.task import Trained, configure
from unspool.training import ModelFolder, pick_device

__all__ = ["Rating", "SentimentModel", "build", "codec_of"]

MOST_EXPLAINED = 300  # symbols
MOST_SHOWN = 6  # words that are named as having moved an answer

Codec = WordCodec | TextCodec


@dataclass(frozen=True)
class Rating:
    """The class of a text (see `scoring.rating.decided`), the probability of each, and for single texts what each word added to its
    log-probability: exactly (by leaving the word out), and by integrated gradients."""

    text: str
    rating: str
    probabilities: dict[str, float]
    words: list[dict[str, Any]] = field(default_factory=list)


def codec_of(data: dict[str, Any]) -> Codec:
    """The codec that a model was stored with."""
    return WordCodec.from_json(data) if data.get("kind") == "words" else TextCodec.from_json(data)


def build(config: SentimentConfig, symbols: int, classes: int, device: torch.device, seed: int) -> ManyToOne:
    """The network of a configuration, its weights drawn from the seed."""
    torch.manual_seed(seed)
    stack = config.stack(config.embedding, bidirectional=True)
    head = Ordinal(stack.output_size, classes) if config.head == "ordinal" else Categorical(stack.output_size, classes)
    dropouts = {"input_dropout": config.input_dropout or 0.0, "dropout": config.dropout or 0.0}
    embed = Embedding(symbols, config.embedding, 0.1)
    return ManyToOne(embed, stack, head, pooling=config.pooling, **dropouts).to(device)  # type: ignore[arg-type]


class SentimentModel(Trained):
    """A rating model with its codec and its classes."""

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.codec = codec_of(stored["codec"])
        self.classes: list[str] = stored["data"]["classes"]
        self.ordered: bool = stored["data"]["ordered"]
        self._shares = np.array(stored["data"]["shares"]) if self.ordered else None
        self.config: SentimentConfig = configure(SentimentConfig, stored["config"])
        self.model = build(self.config, len(self.codec.vocabulary), len(self.classes), pick_device(device), 0)
        folder.load_into(self.model)
        self.model.eval()
        self.temperature = float(self.metrics.get("temperature", 1.0))

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def log_probs(self, batch: Sequences) -> Tensor:
        """Calibrated log-probabilities (B, K)."""
        return self.model.head.log_probs(self.model(batch), self.temperature)  # type: ignore[operator]

    @torch.no_grad()
    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """(N, K), calibrated."""
        ids = [filled(shortened(self.codec.encode(text))) for text in texts]
        found = np.zeros((len(ids), len(self.classes)))
        for rows in batches_by_length([len(x) for x in ids], 8192):
            batch = Sequences.collate([ids[i] for i in rows]).to(self.device)
            found[rows] = self.log_probs(batch).double().exp().cpu().numpy()
        return found

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """Accuracy, distance, agreement, calibration, and the same of the majority and of TF-IDF with logistic regression."""
        files = LabelledFiles(data, text=self.config.text_column, label=self.config.label_column)
        texts, truth = self._labelled(files)
        answer = {"data": [str(p) for p in data], "read": files.report}
        p = self.probabilities(texts)
        answer |= report(p, truth, self.classes, ordered=self.ordered, chosen=decided(p, self._shares))
        others: dict[str, float] = {}
        for name, p in self._baselines(texts).items():
            shares = None if name == "majority" else self._shares
            found = report(p, truth, self.classes, ordered=self.ordered, chosen=decided(p, shares))
            others |= {f"{name}, {key}": value for key, value in found.items() if isinstance(value, float)}
        return answer | {"baselines": others}

    def _labelled(self, files: LabelledFiles) -> tuple[list[str], np.ndarray]:
        known = {name: i for i, name in enumerate(self.classes)}
        texts, truth = [], []
        for example in files:
            if example.label not in known:
                names = ", ".join(self.classes)
                raise DataError(f"{example.place}: the label {example.label!r} is none of this model's: {names}")
            texts.append(example.text)
            truth.append(known[example.label])
        return texts, np.array(truth)

    def _baselines(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        arrays = {name: tensor.numpy() for name, tensor in self.folder.load_tensors("baseline")[0].items()}
        found = {"majority": np.tile(arrays.pop("shares"), (len(texts), 1))}
        if arrays:
            baseline = TfidfBaseline.from_arrays(arrays)
            found["tf-idf and logistic regression"] = baseline.probabilities(texts, len(self.classes))
        return found

    def predict(self, inputs: Iterable[str | Path], *, explain: bool | None = None) -> Iterator[Rating]:
        """The rating of each text; an input that is the name of a file stands for its texts.

        `explain` adds what each word did: for single texts, unless it is said otherwise.
        """
        for single, texts in blocks(inputs, self._texts):
            wanted = single if explain is None else explain
            found = self.probabilities(texts)
            for text, p, best in zip(texts, found, decided(found, self._shares).tolist(), strict=True):
                named = dict(zip(self.classes, p.tolist(), strict=True))
                yield Rating(text, self.classes[best], named, self.words(text, best) if wanted else [])

    def _texts(self, path: Path) -> Iterator[str]:
        return (example.text for example in LabelledFiles([path], text=self.config.text_column, labels=False))

    def words(self, text: str, answer: int) -> list[dict[str, Any]]:
        """What each word of a text added to the log-probability of an answer; of long texts nothing is said."""
        ids = torch.from_numpy(self.codec.encode(text)).to(self.device)
        if not 0 < len(ids) <= MOST_EXPLAINED:
            return []
        groups = self._groups(text, ids.tolist())
        out = leave_one_out(lambda batch: self.log_probs(batch)[:, answer], ids, [g for _, g in groups])
        lengths = torch.tensor([len(ids)], device=self.device)

        def log_prob(x: Tensor) -> Tensor:
            h = self.model.read(x, lengths.expand(len(x)))
            return self.model.head.log_probs(h, self.temperature)[:, answer]  # type: ignore[operator]

        shares = integrated_gradients(log_prob, self.model.embed(ids[None])[0].detach())
        values = ((name, float(a), float(shares[g].sum())) for (name, g), a in zip(groups, out, strict=True))
        return [{"word": name, "left out": round(a, 4), "integrated gradients": round(b, 4)} for name, a, b in values]

    def opened(self, item: str | Path, most: int = 400) -> Opened:
        """A text: what its parts did to its rating."""
        path = file_of(item)
        text = next(self._texts(path), "") if path else str(item)
        ids = torch.from_numpy(filled(self.codec.encode(text)[:most])).to(self.device)
        symbols = [self.codec.decode([i]) for i in ids.tolist()]
        return judged(self.model, ids, symbols, self.classes, self.temperature)

    def _groups(self, text: str, ids: list[int]) -> list[tuple[str, list[int]]]:
        """The words of a text, and which of its symbols each is made of."""
        if isinstance(self.codec, WordCodec):
            return [(text[a:b], [i]) for i, (a, b) in enumerate(self.codec.places(text))]
        groups: list[list[int]] = []
        for i, symbol in enumerate(self.codec.decode([i]) for i in ids):
            if not groups or symbol[:1].isspace() or self.codec.unit == "words":
                groups.append([])
            groups[-1].append(i)
        return [(self.codec.decode([ids[i] for i in group]).strip(), group) for group in groups]

    def examples(self, seed: int = 0) -> str:
        shown = self.deliver(self.predict(self.stored["data"]["examples"]))
        return (
            f"\n{shown}\n\nNext:\n  unspool predict {self.folder.path} 'a text of yours'\n  unspool train sentiment FILE -o MODEL"
        )

    def deliver(self, samples: Iterable[Rating], output: Path | None = None, as_json: bool = False) -> str:
        """The ratings as text or JSON lines; an output file is a table (.csv, .tsv) or JSON lines."""
        if output is None:
            return "\n".join(json.dumps(asdict(s), ensure_ascii=False) if as_json else _shown(s, self.ordered) for s in samples)
        count, divider = 0, {".csv": ",", ".tsv": "\t"}.get(output.suffix.lower())
        with written(output, newline="") as file:
            table = csv.writer(file, delimiter=divider or ",")
            if divider:
                table.writerow(["text", "rating", *(f"p({name})" for name in self.classes)])
            for count, s in enumerate(samples, 1):  # noqa: B007
                if divider:
                    table.writerow([s.text, s.rating, *(f"{p:.4f}" for p in s.probabilities.values())])
                else:
                    file.write(json.dumps(asdict(s), ensure_ascii=False) + "\n")
        return f"{count:,} ratings are in {output}"


def _shown(rating: Rating, ordered: bool) -> str:
    p = "  ".join(f"{name}: {value:.2f}" for name, value in rating.probabilities.items())
    text = rating.text if len(rating.text) <= 200 else rating.text[:200] + "…"
    of = "the middle of  " if ordered else ""  # which need not be the likeliest
    lines = [text, f"    rating {rating.rating}  ({of}{p})"]
    moved = sorted(rating.words, key=lambda word: -abs(word["left out"]))[:MOST_SHOWN]
    if moved:
        lines.append("    because of: " + ", ".join(f"{w['word']} {w['left out']:+.2f}" for w in moved))
    return "\n".join(lines)
