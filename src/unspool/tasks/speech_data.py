"""What a speech model is fed: recordings, alone or strung together, louder, faster and noisier than they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unspool.codecs.transcripts import Transcripts
from unspool.models.listener import Listener
from unspool.sequences import Sequences, batches_by_length
from unspool.tasks.speech_sounds import Sounds
from unspool.vocabulary import Vocabulary

__all__ = ["GAP_STEP", "INSIDE", "START", "Heard", "Utterances", "compose", "faster", "mix"]

STRING = (3, 7)  # recordings of a string
ALONE = 0.5  # share of strings of one or two
GAP = 0.3  # seconds at most between two recordings
BARE = 0.5  # share of strings, in training, that begin and end with a word: so do recordings that were cut close
SPEED = 0.2  # of recordings in training, the largest log
NOISY, DECIBELS = 0.4, (5, 35)  # share of recordings, and how much louder they are
LOUDNESS = (-40, 0)  # decibels of the loudest value
FOREIGN = 0.05  # share of recordings that are made into none of the words
GAP_STEP, START, INSIDE = range(3)  # the marks of steps; inside the first word, the second, ...


def compose(
    pieces: Sequence[np.ndarray], rate: int, rng: np.random.Generator, *, bare: bool = False
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Recordings in a row, with random gaps before, between and behind them (`bare`: between them alone): values (N,), and where
    each piece starts and stops.

    A gap is filled with noise that has the spectrum of the quietest part of the recording beside it.
    """
    parts: list[np.ndarray] = []
    times: list[tuple[int, int]] = []
    at = 0
    for n, piece in enumerate(pieces):
        room = _floor(piece, 0 if bare and not n else int(rng.uniform(0, GAP) * rate), rng)
        parts += [room, piece]
        times.append((at + len(room), at + len(room) + len(piece)))
        at = times[-1][1]
    parts.append(_floor(pieces[-1], 0 if bare else int(rng.uniform(0, GAP) * rate), rng))
    return np.concatenate(parts), times


def _floor(values: np.ndarray, length: int, rng: np.random.Generator, size: int = 160) -> np.ndarray:
    """Noise (length,) with the spectrum of the quietest `size` values."""
    if not length or len(values) < 2 * size:
        return np.zeros(length, np.float32)
    blocks = values[: len(values) // (size // 2) * (size // 2)].reshape(-1, size // 2)
    energy = np.square(blocks).sum(1)
    at = int((energy[:-1] + energy[1:]).argmin()) * size // 2
    quiet = np.abs(np.fft.rfft(values[at : at + size]))
    whole = 1 << (length - 1).bit_length()  # a length whose transform is fast
    bins = whole // 2 + 1
    spectrum = np.interp(np.linspace(0, 1, bins), np.linspace(0, 1, len(quiet)), quiet)
    noise = np.fft.irfft(spectrum * np.exp(2j * np.pi * rng.random(bins)), whole)[:length]
    loud = math.sqrt(float(np.square(values[at : at + size]).mean()))
    return (noise / max(1e-9, float(np.sqrt(np.square(noise).mean()))) * loud).astype(np.float32)


def mix(values: np.ndarray, noise: np.ndarray, decibels: float) -> np.ndarray:
    """Values with noise, their energy so many decibels above its."""
    power, other = (float(np.square(part).mean()) for part in (values, noise))
    return (values + noise * math.sqrt(power / max(other, 1e-12) / 10 ** (decibels / 10))).astype(np.float32)


def faster(values: np.ndarray, factor: float) -> np.ndarray:
    """The same sound played so many times as fast: higher as well (speed perturbation, Ko et al. 2015)."""
    places = np.arange(0, len(values) - 1, factor)
    return np.interp(places, np.arange(len(values)), values).astype(np.float32)


class Heard(NamedTuple):
    """A batch: pressure values, symbols (B, U), of which `said` (B,) count, and the marks (B, T) of steps, -1 where
    not known."""

    values: Sequences
    symbols: Tensor
    said: Tensor
    marks: Tensor

    def to(self, device: torch.device) -> Heard:
        return Heard(self.values.to(device), *(part.to(device) for part in self[1:]))


class _Piece(NamedTuple):
    """What a string is made of: pressure values, symbols, and the mark of the steps inside it."""

    values: np.ndarray
    ids: list[int]
    mark: int


class Utterances:
    """Recordings (those of `chosen`), or strings of several of one speaker, in batches of about `seconds` of sound.

    In training (epochs from 0) each is played faster or slower, louder or softer, and often with noise: white, coloured, or the
    babble of other recordings. A share of words, `foreign`, else a twentieth in training, is made into none of the words.
    """

    full = 0

    def __init__(
        self,
        sounds: Sounds,
        chosen: Sequence[int],
        codec: Transcripts,
        listener: Listener,
        words: Sequence[str] = (),
        *,
        strings: bool,
        seconds: float,
        seed: int = 0,
        foreign: float | None = None,
    ):
        self.sounds, self.codec, self.listener = sounds, codec, listener
        self.strings, self.seconds, self.seed = strings, seconds, seed
        self._ids = {i: codec.encode(sounds.items[i].text) for i in chosen}
        self.chosen = [i for i in chosen if self._fits(i)]
        self._marks = {word: n for n, word in enumerate(words)}
        self._foreign = foreign if strings and codec.unit == "words" and len(codec.vocabulary) > 5 else 0.0
        self.symbols = sum(len(ids) for ids in self._ids.values())

    def epoch(self, number: int, start: int = 0) -> Iterator[Heard]:
        """The batches of an epoch from the `start`-th on; of a negative number always the same, and nothing is disturbed."""
        rng = np.random.default_rng((self.seed, abs(number), int(number < 0)))
        groups = self._groups(rng)
        self._noises = self._noises_of(rng) if number >= 0 else []
        lengths = [sum(self.sounds.items[i].stop - self.sounds.items[i].start for i in group) for group in groups]
        batches = batches_by_length(lengths, int(self.seconds * self.sounds.rate), rng)
        for index, batch in enumerate(batches):
            if index >= start:
                yield self._batch(
                    [groups[g] for g in batch.tolist()], np.random.default_rng((self.seed, abs(number), index)), number >= 0
                )

    def _groups(self, rng: np.random.Generator) -> list[list[int]]:
        if not self.strings:
            return [[i] for i in self.chosen]
        groups: list[list[int]] = []
        speakers = sorted({self.sounds.items[i].speaker for i in self.chosen})
        for speaker in speakers:
            own = rng.permutation([i for i in self.chosen if self.sounds.items[i].speaker == speaker]).tolist()
            while own:
                size = int(rng.integers(1, 3) if rng.random() < ALONE else rng.integers(STRING[0], STRING[1] + 1))
                groups.append(own[:size])
                own = own[size:]
        return groups

    def _fits(self, index: int) -> bool:
        """Whether a recording's steps are enough for its symbols; if not it is counted as skipped."""
        item, ids = self.sounds.items[index], self._ids[index]
        needed = len(ids) + int((np.diff(ids) == 0).sum()) if len(ids) else 0
        fits = 0 < needed <= max(1, self.listener.steps(item.stop - item.start))
        if not fits:
            self.sounds.skip("recording too short for its transcript" if len(ids) else "transcript without words", item.path)
        return fits

    def _batch(self, groups: list[list[int]], rng: np.random.Generator, training: bool) -> Heard:
        values, symbols, marks = zip(*(self._utterance(group, rng, training) for group in groups), strict=True)
        waves, said = Sequences.collate(list(values)), Sequences.collate(list(symbols))
        return Heard(
            waves, said.values, said.lengths, torch.nn.utils.rnn.pad_sequence(list(marks), batch_first=True, padding_value=-1)
        )

    def _utterance(self, group: list[int], rng: np.random.Generator, training: bool) -> tuple[np.ndarray, np.ndarray, Tensor]:
        rate = self.sounds.rate
        pieces = [self._piece(i, rng, training) for i in group]
        sounds = [piece.values for piece in pieces]
        if training:
            speed = math.exp(rng.uniform(-SPEED, SPEED))
            sounds = [faster(values, speed) for values in sounds]
        bare = training and rng.random() < BARE
        values, times = compose(sounds, rate, rng, bare=bare) if self.strings else (sounds[0], [])
        if training:
            values = self._disturbed(values, rng)
        values = np.pad(values, (0, max(0, self.listener.frames.size - len(values))))
        between = [self.codec.space] if self.codec.space >= 0 else []
        ids = [i for n, piece in enumerate(pieces) for i in (*(between if n else []), *piece.ids)]
        return values, np.asarray(ids, np.int64), self._marked(len(values), times, [piece.mark for piece in pieces])

    def _piece(self, index: int, rng: np.random.Generator, training: bool) -> _Piece:
        """A recording; now and then, so that there is something that is none of the words, what is made of it."""
        text = self.sounds.items[index].text
        share = FOREIGN * training if self._foreign is None else self._foreign
        if share and rng.random() < share:
            return _Piece(self._nonword(index, rng), [Vocabulary.unknown], -1)
        return _Piece(self.sounds.values(index), self._ids[index].tolist(), INSIDE + self._marks.get(text, 0))

    def _nonword(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """A recording backwards, or the beginning of it and the end of one of another word."""
        values = self.sounds.values(index)
        other = self.chosen[int(rng.integers(len(self.chosen)))]
        if rng.random() < 0.3 or self.sounds.items[other].text == self.sounds.items[index].text:
            return values[::-1].copy()
        end = self.sounds.values(other)
        end = end * (np.abs(values).max() / max(1e-6, float(np.abs(end).max())))
        return np.concatenate([values[: int(len(values) * rng.uniform(0.4, 0.6))], end[int(len(end) * rng.uniform(0.4, 0.6)) :]])

    def _marked(self, length: int, times: list[tuple[int, int]], inner: list[int]) -> Tensor:
        """The mark of each step, of those inside a piece its own."""
        count, rate = self.listener.steps(length), self.sounds.rate
        if not times:
            return torch.full((count,), -1)
        middles = self.listener.middle(0) + np.arange(count) * self.listener.seconds
        marks = np.full(count, GAP_STEP)
        for (start, stop), mark in zip(times, inner, strict=True):
            inside = np.flatnonzero((middles >= start / rate) & (middles < stop / rate))
            marks[inside] = mark
            marks[inside[:1]] = START
        return torch.from_numpy(marks)

    def _disturbed(self, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if rng.random() < NOISY:
            values = mix(values, self._noise(len(values), rng), rng.uniform(*DECIBELS))
        loudest = float(np.abs(values).max())
        return values * (10 ** (rng.uniform(*LOUDNESS) / 20) / max(loudest, 1e-6))

    def _noise(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """A stretch of one of the noises of this epoch."""
        noise = self._noises[int(rng.integers(len(self._noises)))]
        at = int(rng.integers(len(noise)))
        return np.resize(np.roll(noise, -at)[: min(length, len(noise))], length)

    def _noises_of(self, rng: np.random.Generator, seconds: float = 20.0, count: int = 4) -> list[np.ndarray]:
        """White noise, noise that falls by up to 6 dB an octave, and the babble of several recordings at once."""
        length = int(seconds * self.sounds.rate)
        white = [rng.standard_normal(length) for _ in range(2 * count)]
        spectra = (np.fft.rfft(noise) for noise in white[count:])
        falling = (np.maximum(np.arange(length // 2 + 1), 20.0) ** -rng.uniform(0, 1) for _ in range(count))
        coloured = [np.fft.irfft(spectrum * fall, length) for spectrum, fall in zip(spectra, falling, strict=True)]
        return [*white[:count], *coloured, *(self._babble(length, rng) for _ in range(2 * count))]

    def _babble(self, length: int, rng: np.random.Generator) -> np.ndarray:
        noise = np.zeros(length)
        for _ in range(int(rng.integers(3, 9))):
            at = -int(rng.integers(0, self.sounds.rate // 2))
            while at < length:
                other = self.sounds.values(self.chosen[int(rng.integers(len(self.chosen)))])[max(0, -at) : length - at]
                other = other / max(1e-6, float(np.sqrt(np.square(other).mean()))) if len(other) else other
                first = max(0, at)
                noise[first : first + len(other)] += other
                at = first + len(other) + int(rng.integers(1, self.sounds.rate // 5))
        return noise
