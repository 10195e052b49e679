"""Drawing pieces of music from a model, from nothing or behind a prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from unspool.codecs import midi
from unspool.codecs.events import EventCodec
from unspool.codecs.midi import Notes, Score
from unspool.codecs.notebook import STEP, NotebookCodec
from unspool.codecs.rolls import KEYS, RollCodec
from unspool.decoding.sampling import Sampling, generate
from unspool.errors import DataError
from unspool.models import Bernoulli, OneToMany
from unspool.models.heads import tempered
from unspool.tasks.music_data import Codec
from unspool.tasks.music_pieces import Piece
from unspool.vocabulary import Vocabulary

__all__ = ["Drawing"]

LONGEST_PIECE, LONGEST_ROLL = 64, 16  # bars, unless asked for more; of four quarter notes where there are none
MOST_EVENTS = 200  # of a bar: what has more will not end


class Drawing:
    """How pieces are drawn: model and codec, the MIDI file that they begin with (if any), their length in bars, the sampling.

    DataError for a prompt that the model cannot continue.
    """

    def __init__(self, model: OneToMany, codec: Codec, prompt: Path | None, length: int | None, how: Sampling):
        self._model, self._codec, self._length, self._how = model, codec, length, how
        self._given = midi.read_midi(prompt) if prompt else None
        try:
            self._prompt = self._encoded(self._given) if self._given is not None else None
        except DataError as error:
            raise DataError(f"{prompt} cannot be continued: {error}") from error

    def _encoded(self, given: Score) -> np.ndarray:
        values = self._codec.encode(given)
        unknown = int((values == Vocabulary.unknown).sum()) if isinstance(self._codec, NotebookCodec) else 0
        if unknown:
            raise DataError(f"{unknown} of its {len(values)} notes and chords are not among those of the training pieces")
        return values

    def pieces(self, n: int, seed: int) -> list[Piece]:
        """`n` pieces as one batch."""
        drawn = self._rolls(n, seed) if isinstance(self._codec, RollCodec) else self._ids(n, seed)
        return [self._piece(values, ended) for values, ended in drawn]

    def _decoded(self, values: np.ndarray) -> Notes:
        return midi.notes(self._codec.decode(values))

    def _ids(self, n: int, seed: int) -> list[tuple[np.ndarray, bool]]:
        codec = self._codec
        assert not isinstance(codec, RollCodec)
        start = self._prompt.tolist() if self._prompt is not None else []
        events = isinstance(codec, EventCodec)
        bar = codec.vocabulary["Bar_None"] if events else -1
        bars = (self._length or LONGEST_PIECE) + start.count(bar)
        limit = (self._length or LONGEST_PIECE) * (MOST_EVENTS if events else int(4 / STEP))
        rows = generate(
            self._model,
            start,
            n,
            begin=Vocabulary.begin,
            end=Vocabulary.end,
            forbidden=(Vocabulary.padding, Vocabulary.begin, Vocabulary.unknown),
            limit=limit,
            how=self._how,
            seed=seed,
            done=(lambda row: row[-1] == bar and row.count(bar) > bars) if events else None,
            grammar=codec.grammar.start if isinstance(codec, EventCodec) else None,
        )
        found = []
        for row in rows:
            ids = np.asarray(row, np.int64)
            ended = len(ids) - len(start) < limit and row[-1:] != [bar]
            if isinstance(codec, EventCodec):  # what is cut off may have begun a note
                whole = np.flatnonzero(codec.grammar.ends(ids))
                ids = ids[: whole[-1] + 1] if len(whole) else ids[:0]
            found.append((ids, ended))
        return found

    @torch.inference_mode()
    def _rolls(self, n: int, seed: int) -> list[tuple[np.ndarray, bool]]:
        assert isinstance(self._codec, RollCodec)
        stream = self._model.stream(n)
        rng = torch.Generator(stream.device).manual_seed(seed)
        head: Any = self._model.head
        given = torch.from_numpy(np.zeros((0, KEYS), np.uint8) if self._prompt is None else self._prompt).float().to(stream.device)
        frame, frames = torch.zeros(n, KEYS, device=stream.device), [*given.expand(n, *given.shape).unbind(1)]
        for known in frames:
            stream.step(frame) if isinstance(head, Bernoulli) else stream.hidden(frame)
            frame = known
        for _ in range((self._length or LONGEST_ROLL) * 4 * self._codec.steps):
            if isinstance(head, Bernoulli):
                frame = torch.bernoulli(tempered(stream.step(frame), self._how.temperature), generator=rng)
            else:
                frame = head.sample(stream.hidden(frame), None, rng, self._how.temperature)
            frames.append(frame)
        return [(roll, False) for roll in torch.stack(frames, 1).to(torch.uint8).cpu().numpy()]

    def _piece(self, values: np.ndarray, ended: bool) -> Piece:
        score = self._codec.decode(values)
        if self._given is None or self._prompt is None:
            return Piece(score, ended, values)
        given, prompt = midi.notes(self._given), len(self._prompt)
        return Piece(midi.continued(self._given, self._new(values, prompt, given), score), ended, values, given, prompt)

    def _new(self, values: np.ndarray, prompt: int, given: Notes) -> Notes:
        """The notes behind the first `prompt` values, where they belong after the given notes."""
        found = self._decoded(values[prompt:] if isinstance(self._codec, NotebookCodec) else values)
        if isinstance(self._codec, EventCodec):
            old = self._decoded(values[:prompt])
            seen = set(zip(old.start.tolist(), old.pitch.tolist(), old.program.tolist(), strict=True))
            keys = zip(found.start.tolist(), found.pitch.tolist(), found.program.tolist(), strict=True)
            return found.where(np.array([key not in seen for key in keys], bool))
        if isinstance(self._codec, RollCodec):
            silent = values.copy()
            silent[:prompt] = 0
            return self._decoded(silent)
        return found._replace(start=found.start + float((given.start + given.duration).max()))
