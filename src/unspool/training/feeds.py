"""What a language model is fed: batches cut from a corpus on disk, the same for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.corpus import Corpus
from unspool.sequences import Sequences, batches_by_length, mask
from unspool.vocabulary import Vocabulary

__all__ = ["Batch", "Documents", "Examples", "Paired", "Pairs", "Pieces", "RunningText", "Source"]

_POOL = 4096  # documents that are shuffled and bucketed together
_BLOCK = 64  # neighbouring documents that are read together


class Batch(NamedTuple):
    """Inputs and targets (B, T, ...), lengths (B,) or None when all are T, and whether the state starts anew."""

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None
    fresh: bool

    @property
    def counted(self) -> int:
        """Steps that count."""
        return self.targets.shape[0] * self.targets.shape[1] if self.lengths is None else int(self.lengths.sum())

    def to(self, device: torch.device) -> Batch:
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Batch(self.inputs.to(device), self.targets.to(device), lengths, self.fresh)

    @property
    def inside(self) -> Tensor:
        """True (B, T) where a target counts."""
        if self.lengths is None:
            return torch.ones(self.targets.shape[:2], dtype=torch.bool, device=self.targets.device)
        return mask(self.lengths, self.targets.shape[1])

    def start(self, carry: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
        """The state (L, B, H) to start from, given that after the last batch: None for zeros. Rows that ended stood last."""
        return None if self.fresh or carry is None else tuple(s[:, : len(self.inputs)] for s in carry)


class RunningText:
    """One long text as `lanes` rows, read side by side, `window` steps at a time, the state carried from window to window."""

    full = 0

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

    full = 0

    def __init__(self, corpus: Corpus, symbols: int, seed: int = 0, longest: int = 1024):
        self.corpus, self.batch, self.seed, self.longest = corpus, symbols, seed, longest
        self.symbols = corpus.symbols

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from the `start`-th on; a negative number leaves the documents in their order."""
        rng = np.random.default_rng((self.seed, number)) if number >= 0 else None
        for spans in islice(_bucketed(self.corpus, self._spans, self.batch, rng), start, None):
            yield self._batch(spans)

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


class Examples:
    """Separate documents, each with an answer (N,), batched by like length: `Sequences` and the answers of its rows."""

    full = 0

    def __init__(self, corpus: Corpus, answers: np.ndarray, steps: int, seed: int = 0):
        self.corpus, self.answers, self.steps, self.seed = corpus, answers, steps, seed
        self.symbols = corpus.documents  # what counts is an answer

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Sequences, Tensor]]:
        """The batches of one epoch from the `start`-th on; a negative number leaves the documents in their order."""
        rng = np.random.default_rng((self.seed, number)) if number >= 0 else None
        for spans in islice(_bucketed(self.corpus, self._spans, self.steps, rng), start, None):
            texts = Sequences.collate([self.corpus.read(a, b) for a, b, _ in spans.tolist()])
            yield texts, torch.from_numpy(self.answers[spans[:, 2]].astype(np.int64))

    def _spans(self, first: int) -> np.ndarray:
        ends = self.corpus.ends(first, min(first + _BLOCK, self.corpus.documents))
        return np.stack([ends[:-1], ends[1:], np.arange(first, first + len(ends) - 1)], 1)


class Paired(NamedTuple):
    """Inputs to read, and for each what to write: inputs and targets (B, T), of which `inside` (B, T) count."""

    source: Sequences
    inputs: Tensor
    targets: Tensor
    inside: Tensor

    def to(self, device: torch.device) -> Paired:
        return Paired(self.source.to(device), *(part.to(device) for part in self[1:]))


class Pairs:
    """Documents of one corpus, each with that of the same number in another, which has an end symbol; batched by like length."""

    full = 0

    def __init__(self, source: Corpus, target: Corpus, symbols: int, seed: int = 0):
        self.source, self.target, self.batch, self.seed = source, target, symbols, seed
        self.symbols = target.symbols

    def epoch(self, number: int, start: int = 0) -> Iterator[Paired]:
        """The batches of one epoch from the `start`-th on; a negative number leaves the pairs in their order."""
        rng = np.random.default_rng((self.seed, number)) if number >= 0 else None
        for spans in islice(_bucketed(self.target, self._spans, self.batch, rng), start, None):
            read = Sequences.collate([self.source.read(a, b) for _, _, a, b in spans.tolist()])
            written = [np.concatenate([[Vocabulary.begin], self.target.read(a, b)]) for a, b, _, _ in spans.tolist()]
            ids, lengths = Sequences.collate(written).values, torch.from_numpy(spans[:, 1] - spans[:, 0])
            yield Paired(read, ids[:, :-1], ids[:, 1:], mask(lengths, ids.shape[1] - 1))

    def _spans(self, first: int) -> np.ndarray:
        last = min(first + _BLOCK, self.target.documents)
        a, b = self.target.ends(first, last), self.source.ends(first, last)
        return np.stack([a[:-1], a[1:], b[:-1], b[1:]], 1)


def _bucketed(
    corpus: Corpus, spans_of: Callable[[int], np.ndarray], steps: int, rng: np.random.Generator | None
) -> Iterator[np.ndarray]:
    """Spans (start, stop, ...) of a corpus in batches of like length; blocks of documents are shuffled, then those of a pool."""
    blocks = np.arange(0, corpus.documents, _BLOCK)
    if rng is not None:
        rng.shuffle(blocks)
    for first in range(0, len(blocks), _POOL // _BLOCK):
        spans = np.concatenate([spans_of(int(block)) for block in blocks[first : first + _POOL // _BLOCK]])
        for chosen in batches_by_length(spans[:, 1] - spans[:, 0], steps, rng):
            yield spans[chosen]


class Source(Protocol):
    """Pieces to read from, each of `lengths` steps."""

    @property
    def lengths(self) -> np.ndarray: ...

    def read(self, piece: int, start: int, stop: int, variant: Any) -> np.ndarray:
        """The steps (stop - start + 1, ...) of a piece, from the one before `start` on: at 0 what begins every piece."""
        ...

    def vary(self, piece: int, rng: np.random.Generator) -> Any:
        """A variant of the piece, such as another key, drawn anew in every epoch."""
        ...


class Pieces:
    """Separate pieces, `lanes` of like length read side by side, `window` steps at a time, the state carried to each one's end."""

    def __init__(self, source: Source, lanes: int, window: int, seed: int = 0):
        self.source, self.lanes, self.window, self.seed = source, lanes, window, seed
        self.symbols = int(source.lengths.sum())
        # The few last steps of pieces weigh as much as they are: else ends would be learned as if they were frequent.
        self.full = min(lanes, len(source.lengths)) * min(window, int(source.lengths.max(initial=1)))

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from the `start`-th on; with a negative number the pieces stay as they are."""
        rng = np.random.default_rng((self.seed, number)) if number >= 0 else None
        lengths = self.source.lengths
        order = np.argsort(-lengths * (1 + 0.2 * rng.random(len(lengths))) if rng else -lengths, kind="stable")
        groups = [order[at : at + self.lanes] for at in range(0, len(order), self.lanes)]
        if rng:
            rng.shuffle(groups)
        index = 0
        for group in groups:
            group = group[np.argsort(-lengths[group], kind="stable")].tolist()
            variants = [self.source.vary(piece, rng) if rng else None for piece in group]
            for at in range(0, int(lengths[group[0]]), self.window):
                if index >= start:
                    running = [(p, v) for p, v in zip(group, variants, strict=True) if lengths[p] > at]
                    yield self._batch(running, at)
                index += 1

    def _batch(self, running: list[tuple[int, Any]], at: int) -> Batch:
        rows = [self.source.read(p, at, min(at + self.window, int(self.source.lengths[p])), variant) for p, variant in running]
        sequences = Sequences.collate(rows)
        return Batch(sequences.values[:, :-1], sequences.values[:, 1:], sequences.lengths - 1, fresh=at == 0)


def _span(corpus: Corpus, start: int, stop: int, begins: bool = False) -> np.ndarray:
    """The ids of a span, preceded by the one before it, which is the begin symbol at the beginning of a document."""
    if begins or start == 0:
        return np.concatenate([[Vocabulary.begin], corpus.read(start, stop)])
    return corpus.read(start - 1, stop)
