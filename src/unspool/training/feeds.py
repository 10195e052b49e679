"""What a language model is fed: batches cut from a corpus on disk, the same for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.corpus import Corpus
from unspool.sequences import Sequences, batches_by_length, mask
from unspool.vocabulary import Vocabulary

__all__ = ["Batch", "Documents", "RunningText"]

_POOL = 4096  # documents that are shuffled and bucketed together
_BLOCK = 64  # neighbouring documents that are read together


class Batch(NamedTuple):
    """Inputs and targets (B, T), lengths (B,) or None when all are T, and whether the state starts anew."""

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None
    fresh: bool

    @property
    def counted(self) -> int:
        """Targets that count."""
        return self.targets.numel() if self.lengths is None else int(self.lengths.sum())

    def to(self, device: torch.device) -> Batch:
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Batch(self.inputs.to(device), self.targets.to(device), lengths, self.fresh)

    @property
    def inside(self) -> Tensor:
        """True (B, T) where a target counts."""
        if self.lengths is None:
            return torch.ones_like(self.targets, dtype=torch.bool)
        return mask(self.lengths, self.targets.shape[1])


class RunningText:
    """One long text as `lanes` rows, read side by side, `window` steps at a time, the state carried from window to window."""

    def __init__(self, corpus: Corpus, lanes: int, window: int, seed: int = 0):
        self.corpus, self.window, self.seed = corpus, window, seed
        self.lanes = max(1, min(lanes, corpus.symbols // window))
        self.symbols = corpus.symbols

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from the `start`-th on. Each epoch cuts the text at other places."""
        shift = int(np.random.default_rng((self.seed, number)).integers(self.window)) if number >= 0 else 0
        length = (self.corpus.symbols - shift) // self.lanes
        for index, at in enumerate(range(0, length, self.window)):
            if index >= start:
                begins = [shift + lane * length + at for lane in range(self.lanes)]
                ids = torch.from_numpy(np.stack([_span(self.corpus, b, b + min(self.window, length - at)) for b in begins]))
                yield Batch(ids[:, :-1], ids[:, 1:], None, fresh=index == 0)


class Documents:
    """Separate documents, each from its begin to its end symbol, batched by like length. One longer than `longest` is cut."""

    def __init__(self, corpus: Corpus, symbols: int, seed: int = 0, longest: int = 1024):
        self.corpus, self.batch, self.seed, self.longest = corpus, symbols, seed, longest
        self.symbols = corpus.symbols

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from the `start`-th on; a negative number leaves the documents in their order."""
        rng = np.random.default_rng((self.seed, number)) if number >= 0 else None
        blocks = np.arange(0, self.corpus.documents, _BLOCK)
        if rng is not None:
            rng.shuffle(blocks)
        index = 0
        for first in range(0, len(blocks), _POOL // _BLOCK):
            spans = np.concatenate([self._spans(int(block)) for block in blocks[first : first + _POOL // _BLOCK]])
            for chosen in batches_by_length(spans[:, 1] - spans[:, 0], self.batch, rng):
                if index >= start:
                    yield self._batch(spans[chosen])
                index += 1

    def _spans(self, first: int) -> np.ndarray:
        ends = self.corpus.ends(first, min(first + _BLOCK, self.corpus.documents))
        spans = np.stack([ends[:-1], ends[1:], ends[:-1]], 1)  # start, stop, where the document begins
        if (spans[:, 1] - spans[:, 0]).max() <= self.longest:
            return spans
        cut = [(at, min(at + self.longest, b), a) for a, b, _ in spans.tolist() for at in range(a, b, self.longest)]
        return np.asarray(cut)

    def _batch(self, spans: np.ndarray) -> Batch:
        sequences = Sequences.collate([_span(self.corpus, a, b, begins=a == begin) for a, b, begin in spans.tolist()])
        ids, lengths = sequences.values, sequences.lengths - 1
        return Batch(ids[:, :-1], ids[:, 1:], lengths, fresh=True)


def _span(corpus: Corpus, start: int, stop: int, begins: bool = False) -> np.ndarray:
    """The ids of a span, preceded by the one before it, which is the begin symbol at the beginning of a document."""
    if begins or start == 0:
        return np.concatenate([[Vocabulary.begin], corpus.read(start, stop)])
    return corpus.read(start - 1, stop)
