"""From hidden states to words with their times and how sure they are; by the piece, so that recordings may be of any length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.codecs.transcripts import Transcripts
from unspool.decoding.ctc import PrefixSearch
from unspool.decoding.hints import Hints
from unspool.decoding.transducer import TransducerSearch
from unspool.models.ctc import BLANK, CTC, align
from unspool.models.recogniser import Recogniser
from unspool.scoring.typical import Typical
from unspool.tasks.speech_data import GAP_STEP, INSIDE, START

__all__ = ["Evidence", "Judge", "Scribe", "Word", "borders"]

PAUSE = 1.0  # seconds of silence that end a segment
LONGEST = 60.0  # seconds of a segment
LOOK = 10  # steps between looks whether a segment is over
REJECTED = "[?]"


@dataclass(frozen=True)
class Word:
    """A word, when it is said in seconds, and the probability that it is right; `heard` is what a rejected one sounded like."""

    word: str
    start: float
    end: float
    confidence: float
    heard: str = ""


class Evidence(NamedTuple):
    """What speaks for a word: its log p, and how far its states are from those that this word had in training."""

    log_p: float
    distance: float


@dataclass(frozen=True)
class Judge:
    """From evidence to the probability that a word is right: a logistic function of both."""

    log_p: float = 1.0
    distance: float = 0.0
    offset: float = 0.0
    typical: Typical | None = None

    def sure(self, evidence: Evidence) -> float:
        logit = self.log_p * evidence.log_p + self.distance * evidence.distance + self.offset
        return 1 / (1 + math.exp(-min(50.0, max(-50.0, logit))))


class Scribe:
    """Writes down what one recording says. A word of which `judge` is less sure than `reject` is none of those that are known."""

    def __init__(
        self,
        model: Recogniser,
        codec: Transcripts,
        hints: Hints | None,
        *,
        beams: int = 8,
        judge: Judge | None = None,
        reject: float = 0.0,
        timed: bool = True,
    ):
        self.model, self.codec, self.judge, self.reject, self.timed = model, codec, judge or Judge(), reject, timed
        self.words: list[Word] = []
        self.evidence: list[Evidence] = []  # for each word
        self._search: Any
        if isinstance(model.head, CTC):
            self._search = PrefixSearch(beams, hints)
        else:
            self._search = TransducerSearch(model.head, model.marks.weight, beams, hints)
        self._h: list[Tensor] = []
        self._log_probs: list[Tensor] = []
        self._first = self._steps = self._silent = 0

    @torch.inference_mode()
    def push(self, h: Tensor) -> None:
        """Goes on by hidden states (t, H)."""
        while len(h):  # a segment ends at a multiple of LOOK steps alone, so pieces of any size give the same
            size = LOOK - (self._first + self._steps) % LOOK
            piece, h = h[:size], h[size:]
            self._h.append(piece)
            self._steps += len(piece)
            self._hear(piece)
            if (self._first + self._steps) % LOOK == 0 and self._ends():
                self._close()

    def _hear(self, piece: Tensor) -> None:
        """Goes on with the search, and counts the steps at the end that say nothing."""
        if isinstance(self.model.head, CTC):
            log_probs = self.model.head.log_probs(piece)
            self._log_probs.append(log_probs)
            self._search.push(log_probs.cpu().numpy())
            loud = (log_probs[:, BLANK] < math.log(0.95)).nonzero()
            self._silent = len(piece) - 1 - int(loud[-1]) if len(loud) else self._silent + len(piece)
        else:
            self._search.push(piece)
            self._silent = self._search.silent

    def _ends(self) -> bool:
        """Whether a segment is over: something was said, and then nothing; or it is too long."""
        pause, longest = (seconds / self.model.listener.seconds for seconds in (PAUSE, LONGEST))
        return self._steps >= longest or (self._silent >= pause and self._steps > self._silent)

    def finish(self) -> list[Word]:
        """All words."""
        if self._steps:
            self._close()
        return self.words

    @property
    def partial(self) -> str:
        """What is written so far; the end may yet change."""
        open_end = self.codec.decode(self._search.partial) if self._steps else ""
        return " ".join([w.word for w in self.words] + open_end.split())

    @torch.inference_mode()
    def _close(self) -> None:
        """Ends a segment: its words are final."""
        h = torch.cat(self._h)
        found, _, hint = self._search.best()[0]
        symbols = list(found) if isinstance(self.model.head, CTC) else list(found.symbols)
        if words := self.codec.words(symbols):
            if isinstance(self.model.head, CTC):
                log_probs = torch.cat(self._log_probs)
                spans = align(log_probs, symbols)
            else:
                log_probs, spans = None, [(step, step + 1) for step in found.steps]
            times = self._times(h, [(spans[a][0], spans[b - 1][1]) for _, a, b in words])
            if log_probs is not None:
                log_ps = self._log_ps(log_probs, [symbols[a:b] for _, a, b in words], times)
            else:
                log_ps = [float(np.mean(found.log_ps[a:b])) for _, a, b in words]
            for (word, first, _), (start, stop), log_p in zip(words, times, log_ps, strict=True):
                evidence = Evidence(log_p, self._distance(h[start:stop], symbols[first]))
                self.words.append(self._word(word, start + self._first, stop + self._first, evidence))
                self.evidence.append(evidence)
        self._first += self._steps
        self._h, self._log_probs, self._steps, self._silent = [], [], 0, 0
        self._search.reset(hint)

    def _word(self, word: str, start: int, stop: int, evidence: Evidence) -> Word:
        confidence, listener = self.judge.sure(evidence), self.model.listener
        begin, end = (max(0.0, round(listener.middle(step - 0.5), 3)) for step in (start, stop))
        return Word(REJECTED, begin, end, confidence, word) if confidence < self.reject else Word(word, begin, end, confidence)

    def _times(self, h: Tensor, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The steps (start, stop) of words that are said at these spans."""
        if not self.timed:
            return spans
        marks = self.model.marks(h).log_softmax(1).double().cpu()
        return borders(marks[:, GAP_STEP].numpy(), marks[:, START].numpy(), marks[:, INSIDE:].logsumexp(1).numpy(), spans)

    def _distance(self, h: Tensor, symbol: int) -> float:
        """Of the mean state of a word's steps (t, H), where words are symbols."""
        if self.judge.typical is None or not len(h):
            return 0.0
        return self.judge.typical.distance(h.mean(0).cpu().numpy(), symbol)

    def _log_ps(self, log_probs: Tensor, words: list[list[int]], times: list[tuple[int, int]]) -> list[float]:
        """log p of each word, in the part of the recording that reaches half-way to its neighbours."""
        T = len(log_probs)
        cuts = [0, *((a[1] + b[0]) // 2 for a, b in pairwise(times)), T]
        values = []
        for (first, stop), (start, end), word in zip(pairwise(cuts), times, words, strict=True):
            first, stop = max(first, start - 15), min(stop, end + 15)
            part = log_probs[first : max(stop, first + 2 * len(word))]
            loss = F.ctc_loss(
                part[:, None], torch.tensor([word]), torch.tensor([len(part)]), torch.tensor([len(word)]), BLANK, "sum"
            )
            values.append(-min(float(loss), 50.0))
        return values


def borders(gap: np.ndarray, start: np.ndarray, inside: np.ndarray, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where words begin and end, (first, stop) of each: the likeliest steps, given log p (T,) of each being a gap, the start of a
    word or inside one, where each word covers the middle of its span."""
    T = len(gap)
    middles = [min(T - 1, (a + b) // 2) for a, b in spans]
    silent, loud = (np.concatenate([[0.0], np.cumsum(part)]) for part in (gap, inside))
    # Up to `end` a word goes on, up to `begin` nothing is said, there the next word starts: sums of cumulated log p.
    leave = loud - silent
    enter = silent[:-1] + start - loud[1:]
    found_starts, found_stops = [], []
    first = int(enter[: middles[0] + 1].argmax())
    found_starts.append(first)
    for here, there in pairwise(middles):
        ends = leave[here + 1 : there + 1]
        if not len(ends):  # two words at one step
            found_stops.append(here + 1)
            found_starts.append(there)
            continue
        best = np.maximum.accumulate(ends)
        begin = int((best + enter[here + 1 : there + 1]).argmax())
        found_stops.append(here + 1 + int(ends[: begin + 1].argmax()))
        found_starts.append(here + 1 + begin)
    found_stops.append(middles[-1] + 1 + int(leave[middles[-1] + 1 :].argmax()))
    return list(zip(found_starts, found_stops, strict=True))
