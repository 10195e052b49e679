"""From a recording that comes in blocks to hidden states, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.audio import Resampler, faults
from unspool.errors import DataError
from unspool.models.listener import Listener
from unspool.sequences import Sequences
from unspool.tasks.speech_words import Scribe, Word

__all__ = ["SpeechStream", "Watched", "listen"]

PIECE, MARGIN = 20.0, 3.0  # seconds that a bidirectional model reads at once of a long recording, and on either side


@torch.inference_mode()
def listen(listener: Listener, rate: int, blocks: Iterator[np.ndarray]) -> Iterator[Tensor]:
    """Hidden states (t, H) of a recording that comes in blocks."""
    if not listener.stack.bidirectional:
        stream = listener.stream()
        for block in blocks:
            yield stream.push(torch.from_numpy(block))
        yield stream.finish()
        return
    # A long recording is read in pieces that overlap, of each of which the middle counts; a step is a whole number of values.
    device = next(listener.parameters()).device
    step = listener.frames.hop * 2
    piece, margin = (round(seconds * rate / step) * step for seconds in (PIECE, MARGIN))
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
        values = torch.from_numpy(part)[None].to(device)
        h = listener(Sequences(values, torch.tensor([len(part)], device=device))).values[0]
        yield h[before // step :] if ended else h[before // step : (before + piece) // step]
        if not ended:
            held = held[max(0, before + piece - margin) :]
            before = min(margin, before + piece)


class Watched:
    """Looks at a recording while it passes: how many values there are, and what makes it hard to understand."""

    def __init__(self) -> None:
        self.values = 0
        self._clipped, self._silent = False, True

    def watch(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            self.values += len(block)
            if len(block):
                found = faults(block)
                self._clipped, self._silent = self._clipped or "clipped" in found, self._silent and "silent" in found
            yield block

    @property
    def faults(self) -> list[str]:
        """A sentence for silence, or for clipping anywhere."""
        if self._silent:
            return ["silent: there is nothing to hear"]
        return ["clipped: too loud for its format, so words may be missed"] if self._clipped else []


class SpeechStream:
    """Sound as it comes, to words; made by `SpeechModel.stream`. When it ends, the words are those of the whole recording."""

    def __init__(self, listener: Listener, scribe: Scribe, source: int, target: int):
        self._listener, self._scribe, self._resampler = listener.stream(), scribe, Resampler(source, target)
        self._least = listener.frames.size
        self._read = 0

    def push(self, values: np.ndarray) -> str:
        """The next pressure values (n,), from -1 to 1, to what is written so far; its end may change. DataError for others."""
        values = np.asarray(values, np.float32)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise DataError(f"a stream takes pressure values (n,) of one channel, all numbers; got {values.shape}")
        values = self._resampler.push(values)
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
