"""A trained translation model: evaluate, translate, and show which words were looked at."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from unspool.codecs.pairs import PairFiles, plain_lines
from unspool.codecs.text import TextCodec
from unspool.codecs.words import WordCodec, joined
from unspool.decoding.beam import Hypothesis, beam_search
from unspool.errors import DataError
from unspool.layers import Embedding, Recurrent
from unspool.models import Categorical, EncoderDecoder
from unspool.scoring.bleu import translation_scores
from unspool.scoring.ibm1 import Dictionary
from unspool.sequences import Sequences
from unspool.tasks.task import Trained, configure
from unspool.tasks.translation_config import TranslationConfig
from unspool.training import ModelFolder, pick_device
from unspool.vocabulary import Vocabulary

__all__ = ["Codecs", "Translation", "TranslationModel", "build", "dictionary_words"]

TOGETHER = 64  # sentences that are translated as one batch
BLOCK = 2048  # sentences that are sorted by length together

Codec = TextCodec | WordCodec


@dataclass(frozen=True)
class Translation:
    """The translation of a text, its score (log-probability over a penalty of length) and log-probability, the n best ones, where
    each of its symbols was looked for, and what seems wrong with it."""

    source: str
    text: str
    score: float
    log_probability: float
    best: list[dict[str, Any]] = field(default_factory=list)
    alignment: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Codecs:
    """The codecs of both languages, which may be one."""

    source: Codec
    target: Codec

    @property
    def shared(self) -> bool:
        return self.source is self.target

    def to_json(self) -> dict[str, Any]:
        return {"source": self.source.to_json()} | ({} if self.shared else {"target": self.target.to_json()})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Codecs:
        kinds = {k: WordCodec.from_json(v) if v.get("kind") == "words" else TextCodec.from_json(v) for k, v in data.items()}
        return cls(kinds["source"], kinds.get("target", kinds["source"]))


def build(config: TranslationConfig, codecs: Codecs, device: torch.device, seed: int) -> EncoderDecoder:
    """The network of a configuration, its weights drawn from the seed."""
    torch.manual_seed(seed)
    dropouts = {"dropout": config.dropout or 0.0, "recurrent_dropout": config.recurrent_dropout or 0.0}
    options: dict[str, Any] = {"layers": config.layers, "residual": config.residual, "engine": config.engine, **dropouts}
    target = Embedding(len(codecs.target.vocabulary), config.embedding)
    source: nn.Module = target if codecs.shared else Embedding(len(codecs.source.vocabulary), config.embedding)
    encoder = Recurrent(config.cell, config.embedding, config.hidden // 2, bidirectional=True, **options)
    decoder = Recurrent(config.cell, config.embedding, config.hidden, **options)
    head = Categorical(config.hidden, len(codecs.target.vocabulary), target.weight)  # type: ignore[arg-type]
    inputs = config.input_dropout or 0.0
    return EncoderDecoder(source, encoder, target, decoder, head, input_dropout=inputs, dropout=config.dropout or 0.0).to(device)


def dictionary_words(text: str) -> list[str]:
    """The words that the baseline's dictionary is of."""
    return WordCodec().split(text)


class TranslationModel(Trained):
    """A translation model with its codecs."""

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.codecs = Codecs.from_json(stored["codec"])
        self.config: TranslationConfig = configure(TranslationConfig, stored["config"])
        self.model = build(self.config, self.codecs, pick_device(device), 0)
        folder.load_into(self.model)
        self.model.eval()

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """BLEU and chrF with their signatures, and those of copying the source and of translating word by word."""
        files = PairFiles(data, self.config.source, self.config.target, swapped=self.config.swapped, all_pairs=True)
        sources, references = (list(column) for column in zip(*files, strict=True))
        found = list(self.translate(sources))
        answers = [t.text for t in found]
        scores = translation_scores(answers, references)
        scores["exact"] = float(np.mean([a == r for a, r in zip(answers, references, strict=True)]))
        counts = Counter(w.split(":")[0] for t in found for w in t.warnings)
        dictionary = Dictionary.from_arrays({k: v.numpy() for k, v in self.folder.load_tensors("baseline")[0].items()})
        others = {}
        for name, texts in {
            "copying the source": sources,
            "word by word (IBM model 1)": [joined(dictionary.translate(dictionary_words(s))) for s in sources],
        }.items():
            other = translation_scores(texts, references)
            others |= {f"{name}, {key}": other[key] for key in ("BLEU", "chrF")}
        return {"data": [str(p) for p in data], "read": files.report, **scores, "warnings": dict(counts), "baselines": others}

    def predict(
        self,
        inputs: Iterable[str | Path],
        *,
        beams: int = 5,
        best: int = 1,
        no_repeat: int = 0,
        glossary: str | Path | Mapping[str, str] | None = None,
        keep: Sequence[str] = (),
    ) -> Iterator[Translation]:
        """The translation of each text; an input that is the name of a file stands for its lines.

        `best` hypotheses are given with their scores. `glossary` (a mapping, or a file of lines with a tab) says what words become,
        `keep` which are not translated.
        """
        fixed = {**_glossary(glossary), **{word: word for word in keep}}
        for given in inputs:
            lines = plain_lines(given) if _is_file(given) else iter([str(given)])
            while block := list(islice(lines, BLOCK)):
                yield from self.translate(block, beams=beams, best=best, no_repeat=no_repeat, fixed=fixed)

    def translate(
        self, texts: Sequence[str], *, beams: int = 5, best: int = 1, no_repeat: int = 0, fixed: Mapping[str, str] | None = None
    ) -> list[Translation]:
        """The translation of each text, sentences of like length together."""
        ids = [self.codecs.source.encode(text) for text in texts]
        answers: list[Translation] = [Translation(text, "", 0.0, 0.0) for text in texts]
        order = sorted((i for i in range(len(ids)) if len(ids[i])), key=lambda i: len(ids[i]))
        for at in range(0, len(order), TOGETHER):
            rows = order[at : at + TOGETHER]
            for i, found in zip(rows, self._search([ids[i] for i in rows], max(beams, best), no_repeat), strict=True):
                answers[i] = self._answer(texts[i], found, best, fixed or {})
        return answers

    @torch.inference_mode()
    def _search(self, ids: list[np.ndarray], beams: int, no_repeat: int) -> list[list[Hypothesis]]:
        batch = Sequences.collate(ids).to(self.device)
        words = isinstance(self.codecs.target, WordCodec)
        return beam_search(
            self.model.write(self.model.encode(batch), beams),
            batch.lengths * 2 + 10,
            begin=Vocabulary.begin,
            end=Vocabulary.end,
            forbidden=(Vocabulary.padding, Vocabulary.begin, *(() if words else (Vocabulary.unknown,))),
            beams=beams,
            no_repeat=no_repeat,
        )

    def _answer(self, source: str, found: list[Hypothesis], best: int, fixed: Mapping[str, str]) -> Translation:
        first = found[0]
        places = self.codecs.source.places(source)
        read = [source[a:b] for a, b in places]
        written = self._symbols(first, read)
        text = _with_fixed(source, places, written, first.looked.numpy(), fixed)
        ways = [
            {"text": joined_symbols(self._symbols(h, read)), "score": h.score, "log-probability": h.log_probability}
            for h in found[:best]
        ]
        looked = [[round(float(w), 4) for w in row[: len(read)]] for row in first.looked.tolist()]
        alignment = {"source": read, "target": [s.strip() for s in written], "weights": looked}
        return Translation(source, text, first.score, first.log_probability, ways, alignment, _warnings(source, text, first))

    def _symbols(self, hypothesis: Hypothesis, read: list[str]) -> list[str]:
        """What each id adds to the text; in place of an unknown word stands the source word that was looked at."""
        codec = self.codecs.target
        if isinstance(codec, WordCodec):
            looks = hypothesis.looked.argmax(1).tolist() if len(hypothesis.ids) else []
            words = [
                read[min(at, len(read) - 1)] if i == Vocabulary.unknown else codec.vocabulary.symbols[i]
                for i, at in zip(hypothesis.ids, looks, strict=True)
            ]
            texts = [joined(words[: n + 1]) for n in range(len(words))]
        else:
            texts = [codec.decode(hypothesis.ids[: n + 1]) for n in range(len(hypothesis.ids))]
            texts = [*(text.rstrip("\ufffd") for text in texts[:-1]), *texts[-1:]]  # a character may be cut in the middle
        return [text[len(before) :] for before, text in zip(["", *texts], texts, strict=False)]

    def examples(self, seed: int = 0) -> str:
        shown = self.deliver(self.predict(self.stored["data"]["examples"]))
        return (
            f"\n{shown}\n\nNext:\n  unspool predict {self.folder.path} 'a text'\n"
            "  unspool train translation --source de --target en x.de x.en -o MODEL"
        )

    def deliver(self, samples: Iterable[Translation], output: Path | None = None, as_json: bool = False) -> str:
        """The translations, one a line, or JSON lines. An output file is .json (lines of JSON), .png (the alignment of the first)
        or, with any other ending, one translation a line."""
        found = list(samples)
        if output is None:
            return "\n".join(json.dumps(asdict(t), ensure_ascii=False) if as_json else _shown(t) for t in found)
        try:
            if output.suffix.lower() == ".png":
                from unspool.insight.pictures import write_alignment

                write_alignment(output, **found[0].alignment)
            else:
                as_json = as_json or output.suffix.lower() in (".json", ".jsonl")
                lines = [json.dumps(asdict(t), ensure_ascii=False) if as_json else t.text for t in found]
                output.write_text("\n".join(lines) + "\n", "utf-8")
        except OSError as error:
            raise DataError(f"cannot write {output}: {error.strerror}") from error
        odd = sum(bool(t.warnings) for t in found)
        return f"{len(found):,} translations are in {output}" + (f"; {odd:,} look wrong (see --json)" if odd else "")


def joined_symbols(symbols: Sequence[str]) -> str:
    """The text that symbols add up to."""
    return "".join(symbols).strip()


def _shown(t: Translation) -> str:
    lines = [t.text, *(f"    warning: {w}" for w in t.warnings)]
    if len(t.best) > 1:
        lines += [f"    {way['score']:8.3f}  {way['text']}" for way in t.best]
    return "\n".join(lines)


def _is_file(given: str | Path) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):
        return False


def _glossary(given: str | Path | Mapping[str, str] | None) -> dict[str, str]:
    if given is None:
        return {}
    entries: list[tuple[str, str, str]] = []
    if isinstance(given, Mapping):
        entries = [(f"the glossary's entry {a!r}", a, b) for a, b in given.items()]
    else:
        for number, line in enumerate(plain_lines(given), 1):
            if line.strip():
                source, tab, target = line.partition("\t")
                where = f"{given}, line {number}"
                if not tab:
                    raise DataError(f"{where} is no glossary entry: expected 'source<TAB>target', found {line[:60]!r}")
                entries.append((where, source, target))
    found: dict[str, str] = {}
    for where, source, target in entries:
        source, target = source.strip(), target.strip()
        if not source or not target:
            raise DataError(f"{where} cannot be used: one of its sides is empty")
        if found.get(source, target) != target:
            raise DataError(f"{where} cannot be used: {source!r} is to become both {found[source]!r} and {target!r}")
        found[source] = target
    return found


def _with_fixed(
    source: str, places: Sequence[tuple[int, int]], written: Sequence[str], looked: np.ndarray, fixed: Mapping[str, str]
) -> str:
    """The text of symbols, with the words that an entry's source was looked at for replaced by the entry's target.

    Words are runs of symbols up to the next space. Of the runs of neighbouring words that looked most at the entry's source, the
    one with the most attention gives way.
    """
    words: list[tuple[str, np.ndarray]] = []
    for symbol, weights in zip(written, looked, strict=True):
        if not words or symbol.startswith(" "):
            words.append((symbol.strip(), weights))
        else:
            words[-1] = (words[-1][0] + symbol, np.maximum(words[-1][1], weights))
    texts = [text for text, _ in words]
    for entry, target in fixed.items():
        for match in re.finditer(rf"(?<!\w){re.escape(entry)}(?!\w)", source):
            if not words or target in " ".join(texts):
                continue
            inside = np.array([a < match.end() and b > match.start() for a, b in places])
            mass = np.array([weights[: len(inside)][inside].sum() for _, weights in words])
            most = np.array([bool(inside[min(int(w[: len(inside)].argmax()), len(inside) - 1)]) for _, w in words])
            first = last = int((mass * (1 + most)).argmax())
            while first > 0 and most[first - 1] and texts[first - 1]:
                first -= 1
            while last + 1 < len(words) and most[last + 1] and texts[last + 1]:
                last += 1
            tail = re.search(r"[.,!?;:]+$", texts[last])
            texts[first : last + 1] = [target + (tail.group() if tail else "")] + [""] * (last - first)
    return " ".join(text for text in texts if text)


def _warnings(source: str, text: str, hypothesis: Hypothesis) -> list[str]:
    """What seems wrong with a translation."""
    found = []
    words, given = text.split(), source.split()
    runs = Counter(zip(words, words[1:], words[2:], strict=False))
    if runs and max(runs.values()) > 2:
        found.append(f"loop: {' '.join(runs.most_common(1)[0][0])!r} comes {max(runs.values())} times")
    if len(given) > 3 and text == source:
        found.append("copied: it is the source")
    if len(given) >= 6 and len(text) < 0.3 * len(source):
        found.append(f"short: {len(text)} characters for {len(source)}")
    if not hypothesis.ended:
        found.append("cut off: it did not end by itself")
    return found
