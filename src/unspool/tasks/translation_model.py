"""A trained translation model: evaluate, translate, and show which words were looked at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from unspool.codecs.pairs import PairFiles, plain_lines
from unspool.codecs.text import TextCodec
from unspool.codecs.words import WordCodec, joined
from unspool.decoding.beam import Hypothesis, beam_search
from unspool.errors import ConfigError, DataError
from unspool.insight.opened import END, Opened, translated
from unspool.layers import Embedding
from unspool.models import Categorical, EncoderDecoder
from unspool.scoring.bleu import translation_scores
from unspool.scoring.ibm1 import Dictionary
from unspool.sequences import Sequences, batches_by_length
from unspool.tasks.glossary import read_glossary, with_fixed
from unspool.tasks.inputs import blocks, file_of
from unspool.tasks.outputs import written
from unspool.tasks.task import Trained, configure
from unspool.tasks.translation_config import TranslationConfig
from unspool.training import ModelFolder, pick_device
from unspool.vocabulary import Vocabulary

__all__ = ["Codecs", "Translation", "TranslationModel", "build", "plain_words"]

TOGETHER = 1500  # symbols that are read as one batch
MOST_SYMBOLS = 1000  # of a text

Codec = TextCodec | WordCodec


@dataclass(frozen=True)
class Translation:
    """The translation of a text, its score (log-probability over a penalty of length) and log-probability, the n best ones, and
    what seems wrong with it; and the symbols read and written with where each of those was looked for."""

    source: str
    text: str
    score: float
    log_probability: float
    best: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list, repr=False)
    written: list[str] = field(default_factory=list, repr=False)
    looked: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)

    @property
    def alignment(self) -> dict[str, Any]:
        """Symbols of the source and of the translation, and for each of the latter the weights of the former."""
        weights = [[round(float(w), 4) for w in row] for row in self.looked]
        return {"source": self.read, "target": [s.strip() for s in self.written], "weights": weights}

    def to_json(self) -> dict[str, Any]:
        names = ("source", "text", "score", "log_probability", "best", "warnings", "alignment")
        return {name: getattr(self, name) for name in names}


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
    deviation = config.deviation or 1.0
    target = Embedding(len(codecs.target.vocabulary), config.embedding, deviation)
    source: nn.Module = target if codecs.shared else Embedding(len(codecs.source.vocabulary), config.embedding, deviation)
    encoder = config.stack(config.embedding, config.hidden // 2, bidirectional=True)
    decoder = config.stack(config.embedding)
    head = Categorical(config.hidden, len(codecs.target.vocabulary), target.weight)  # type: ignore[arg-type]
    inputs = config.input_dropout or 0.0
    return EncoderDecoder(source, encoder, target, decoder, head, input_dropout=inputs, dropout=config.dropout or 0.0).to(device)


def plain_words(text: str) -> list[str]:
    """The words that the baseline's dictionary knows."""
    return WordCodec(lower=False).split(text)


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
            "word by word (IBM model 1)": [joined(dictionary.translate(plain_words(s))) for s in sources],
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
        fixed = {**read_glossary(glossary), **{word: word for word in keep}}
        if best < 1:
            raise ConfigError(f"best must be at least 1, not {best}")
        if beams < 1:
            raise ConfigError(f"beams must be at least 1, not {beams}")
        for _, texts in blocks(inputs, plain_lines):
            yield from self.translate(texts, beams=beams, best=best, no_repeat=no_repeat, fixed=fixed)

    def translate(
        self, texts: Sequence[str], *, beams: int = 5, best: int = 1, no_repeat: int = 0, fixed: Mapping[str, str] | None = None
    ) -> list[Translation]:
        """The translation of each text, sentences of like length together. Of a text only the first 1,000 symbols are read."""
        ids = [self.codecs.source.encode(text)[:MOST_SYMBOLS] for text in texts]
        answers = [Translation(text, "", 0.0, 0.0) for text in texts]
        filled = [i for i in range(len(ids)) if len(ids[i])]
        for rows in batches_by_length([len(ids[i]) for i in filled], TOGETHER):
            chosen: list[int] = [filled[row] for row in rows.tolist()]
            for i, found in zip(chosen, self._search([ids[i] for i in chosen], max(beams, best), no_repeat), strict=True):
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
        places = self.codecs.source.places(source)[:MOST_SYMBOLS]
        read = [source[a:b] for a, b in places]
        written = [self._symbols(h, read) for h in found[:best]]
        looked = [h.looked.numpy()[:, : len(read)] for h in found[:best]]
        texts = [
            with_fixed(source, places, w, at, fixed) if fixed else "".join(w).strip() for w, at in zip(written, looked, strict=True)
        ]
        first = found[0]
        ways = [
            {"text": text, "score": h.score, "log-probability": h.log_probability} for text, h in zip(texts, found, strict=False)
        ]
        warnings = _warnings(source, texts[0], first)
        if len(read) == MOST_SYMBOLS:
            warnings.append(f"long: no more than {MOST_SYMBOLS:,} of its symbols were read")
        return Translation(source, texts[0], first.score, first.log_probability, ways, warnings, read, written[0], looked[0])

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

    def opened(self, item: str | Path, most: int = 400) -> Opened:
        """A text, or the first line of a file: what its parts did to its translation."""
        path = file_of(item)
        text = next(iter(plain_lines(path)), "") if path else str(item)
        ids = self.codecs.source.encode(text)[:most]
        if not len(ids):
            raise DataError(f"there is nothing to translate in {str(item)[:80]!r}")
        found = self._search([ids], 5, 0)
        answer = self._answer(text, found[0], 1, {})
        read, written = answer.read[: len(ids)], [*answer.written, END]
        return translated(
            self.model, torch.from_numpy(ids).to(self.device), read, [*found[0][0].ids, Vocabulary.end], written, answer.text
        )

    def examples(self, seed: int = 0) -> str:
        shown = "\n".join(f"{t.source}\n-> {_shown(t)}" for t in self.predict(self.stored["data"]["examples"]))
        return (
            f"\n{shown}\n\nNext:\n  unspool predict {self.folder.path} 'a text'\n"
            "  unspool train translation --source de --target en x.de x.en -o MODEL"
        )

    def deliver(self, samples: Iterable[Translation], output: Path | None = None, as_json: bool = False) -> str:
        """The translations, one a line, or JSON lines. An output file is .json (lines of JSON), .png (the alignment of the first)
        or, with any other ending, one translation a line."""
        if output is None:
            return "\n".join(json.dumps(t.to_json(), ensure_ascii=False) if as_json else _shown(t) for t in samples)
        if output.suffix.lower() == ".png":
            return self._picture(next(iter(samples), None), output)
        as_json = as_json or output.suffix.lower() in (".json", ".jsonl")
        count, odd = 0, 0
        with written(output) as file:
            for t in samples:
                file.write((json.dumps(t.to_json(), ensure_ascii=False) if as_json else t.text) + "\n")
                count, odd = count + 1, odd + bool(t.warnings)
        return f"{count:,} translations are in {output}" + (f"; {odd:,} look wrong (see --json)" if odd else "")

    def _picture(self, translation: Translation | None, output: Path) -> str:
        from unspool.insight.pictures import write_alignment

        if translation is None or not translation.written:
            raise DataError("there is no translation to draw: the text is empty")
        try:
            write_alignment(output, **translation.alignment)
        except OSError as error:
            raise DataError(f"cannot write {output}: {error.strerror}") from error
        return f"{_shown(translation)}\n    the alignment is in {output}"


def _shown(t: Translation) -> str:
    lines = [t.text, *(f"    warning: {w}" for w in t.warnings)]
    if len(t.best) > 1:
        lines += [f"    {way['score']:8.3f}  {way['text']}" for way in t.best]
    return "\n".join(lines)


def _warnings(source: str, text: str, hypothesis: Hypothesis) -> list[str]:
    """What seems wrong with a translation."""
    found = []
    words, given = text.split(), source.split()
    runs = Counter(zip(words, words[1:], words[2:], strict=False))
    if runs and max(runs.values()) > 2:
        found.append(f"loop: {' '.join(runs.most_common(1)[0][0])!r} comes {max(runs.values())} times")
    if len(given) > 3 and text == source:
        found.append("copied: it is the source")
    if not text and source.strip():
        found.append("empty: nothing was written")
    elif len(given) >= 6 and len(text.encode()) < 0.3 * len(source.encode()):  # bytes differ less from language to language
        found.append(f"short: {len(text)} characters for {len(source)}")
    if not hypothesis.ended:
        found.append("cut off: it did not end by itself")
    return found
