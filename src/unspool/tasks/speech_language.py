"""Language models for speech: word n-grams of a file of texts, or a model of `unspool train text`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from unspool.codecs.textfiles import TextFiles
from unspool.codecs.transcripts import clean
from unspool.decoding.hints import Language, NextWords, WordNgrams
from unspool.errors import ConfigError
from unspool.scoring.ngram import KneserNey
from unspool.vocabulary import Vocabulary

__all__ = ["language_of"]

ORDER = 3


def language_of(path: Path) -> Language:
    """The language model of a folder that `unspool train text` left, else the n-grams of a file's texts."""
    return _network(path) if (path / "config.json").exists() else _ngrams(path)


def _ngrams(path: Path) -> WordNgrams:
    """A Kneser-Ney 3-gram of words, each line of the file a text."""
    texts = [words for text in TextFiles([path]) if (words := clean(text).split())]
    vocabulary = Vocabulary(sorted({word for words in texts for word in words}))
    ids = (np.append(vocabulary.encode(words), Vocabulary.end) for words in texts)
    model = KneserNey.fit(ids, ORDER, len(vocabulary), Vocabulary.begin)
    return WordNgrams(model, {word: vocabulary[word] for words in texts for word in words}, Vocabulary.unknown, Vocabulary.end)


def _network(path: Path) -> NextWords:
    from unspool.tasks.verbs import load

    trained: Any = load(path)
    if trained.task != "text":
        raise ConfigError(f"{path} is a {trained.task} model; a language model for speech is one of `unspool train text`")
    steps = trained.model.stream()
    first = steps.state

    def step(symbol: int, state: Any) -> tuple[np.ndarray, Any]:
        steps.state = first if state is None else state
        h = steps.hidden(torch.tensor([symbol], device=steps.device))  # without the cache, which would remember other hypotheses
        logits = trained.model.head(h)
        return logits[0].log_softmax(0).cpu().numpy(), tuple(s.clone() for s in steps.state)

    newline = trained.codec.encode("\n")
    ends = [Vocabulary.end, *(int(i) for i in newline if len(newline) == 1)]
    return NextWords(trained.codec.encode, step, Vocabulary.begin, ends)
