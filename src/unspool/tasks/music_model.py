"""A trained music model: evaluate, score, generate."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unspool.codecs import midi
from unspool.codecs.events import EventCodec
from unspool.codecs.midi import MidiFiles, Notes
from unspool.codecs.notebook import NotebookCodec
from unspool.codecs.rolls import KEYS, LOWEST, RollCodec
from unspool.decoding.sampling import Sampling
from unspool.errors import ConfigError, DataError
from unspool.insight.opened import Note, Opened, predicted
from unspool.layers import Embedding, Keys
from unspool.models import NADE, Bernoulli, Categorical, OneToMany
from unspool.scoring.baselines import Baselines
from unspool.scoring.copies import longest_copies
from unspool.scoring.metrics import bits, perplexity
from unspool.scoring.music import stuck
from unspool.scoring.rolls import RollBaselines
from unspool.tasks.inputs import file_of
from unspool.tasks.music_config import MusicConfig
from unspool.tasks.music_data import Codec, EventPieces, RollPieces, Source, codec_of, store
from unspool.tasks.music_draw import Drawing
from unspool.tasks.music_pieces import Piece, deliver, facts_of, overlaps, signature_of
from unspool.tasks.task import Trained, configure
from unspool.training import Likelihood, ModelFolder, Pieces, pick_device
from unspool.vocabulary import Vocabulary

__all__ = ["MusicModel", "baselines", "build", "pieces_of"]

OWN_KEYS, OWN_SYMBOLS = 0.3, 3.0  # what the model's own answer weighs beside the cache; with less, drawn pieces go round
TOGETHER = 64  # pieces that are drawn as one batch
OVERLAP = 16  # pieces drawn to compare with a corpus


def build(config: MusicConfig, codec: Codec, device: torch.device, seed: int, sounding: float = 4.0) -> OneToMany:
    """The network of a configuration, its weights drawn from the seed. `sounding`: keys a step, of a roll."""
    torch.manual_seed(seed)
    roll = isinstance(codec, RollCodec)
    stack = config.stack(KEYS if roll else config.embedding)
    if roll:
        embed: torch.nn.Module = Keys(KEYS, sounding)
        head: torch.nn.Module = NADE(config.hidden, KEYS) if config.keys == "joint" else Bernoulli(config.hidden, KEYS)
    else:
        embed = Embedding(len(codec.vocabulary), config.embedding)
        head = Categorical(config.hidden, len(codec.vocabulary))
    return OneToMany(
        embed,
        stack,
        head,
        input_dropout=config.input_dropout or 0.0,
        dropout=config.dropout or 0.0,
        cache=config.cache or 0,
        own=OWN_KEYS if roll else OWN_SYMBOLS,
        follow=not roll,
    ).to(device)


def baselines(pieces: EventPieces | RollPieces, stored: Baselines | RollBaselines, *, first: bool = True) -> dict[str, float]:
    """The total in nats of pieces under the models that need no network; of rolls with or without their first steps."""
    if isinstance(stored, RollBaselines):
        assert isinstance(pieces, RollPieces)
        return stored.nats(pieces, first=first)
    assert isinstance(pieces, EventPieces)
    return stored.nats(pieces.corpus)


class MusicModel(Trained):
    """A model of music with its codec."""

    scored = "piece"

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.codec = codec_of(stored["codec"])
        self.config: MusicConfig = configure(MusicConfig, stored["config"])
        self.model = build(self.config, self.codec, pick_device(device), 0)
        folder.load_into(self.model)
        self.model.eval()
        self._known = {k: v.numpy() for k, v in folder.load_tensors("baseline")[0].items()}

    @property
    def unit(self) -> str:
        """What a loss is divided by."""
        return self.codec.unit

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """Nats, bits and perplexity a step (event, symbol), the baselines beside them, and how generated notes compare with these.

        Of array files that have parts the test part is read. Of a roll T - 1 steps are predicted; `all T steps` has the first too.
        """
        source = Source(data, part="test")
        with tempfile.TemporaryDirectory() as scratch:
            pieces = store(Path(scratch), "data", self.codec, source.encoded(self.codec))
            if not len(pieces.lengths):
                raise DataError(f"nothing in {', '.join(map(str, data))} can be read by this model: {source.report}")
            answer = self._likelihood(pieces)
            real = list(pieces_of(pieces))
            pieces.corpus.close()
        return {"data": [str(p) for p in data], "read": source.report, **answer, **self._compared(real)}

    def _likelihood(self, pieces: EventPieces | RollPieces) -> dict[str, Any]:
        found = Likelihood(self.model).total(Pieces(pieces, 16, 512), cached=True)
        roll = isinstance(pieces, RollPieces)
        stored = RollBaselines.from_arrays(self._part("baseline.")) if roll else Baselines.from_arrays(self._part("baseline."))
        others = baselines(pieces, stored, first=not roll)
        nats, n = (found.nats - found.first, found.steps - found.begun) if roll else (found.nats, found.steps)
        answer: dict[str, Any] = {f"nats per {self.unit}": nats / n}
        if roll:
            answer |= {"all T steps, nats per step": found.nats / found.steps, "steps predicted": "T - 1 of each piece"}
        else:
            answer |= {f"bits per {self.unit}": bits(nats / n), f"perplexity per {self.unit}": perplexity(nats / n)}
            unknown = sum(int((ids == Vocabulary.unknown).sum()) for ids in pieces.corpus) if isinstance(pieces, EventPieces) else 0
            answer |= {"unknown": unknown} if unknown else {}
        if self.config.cache:
            own = found.own - found.first_own if roll else found.own
            answer |= {f"without the cache, nats per {self.unit}": own / n}
        answer |= {"pieces": len(pieces.lengths), "counted": n}
        return answer | {"baselines": {f"{name}, nats per {self.unit}": value / n for name, value in others.items()}}

    def _part(self, prefix: str) -> dict[str, np.ndarray]:
        return {k.removeprefix(prefix): v for k, v in self._known.items() if k.startswith(prefix)}

    def _notes(self, values: np.ndarray) -> Notes:
        return midi.notes(self.codec.decode(values))

    def _compared(self, data: list[np.ndarray]) -> dict[str, Any]:
        """How alike the notes of generated pieces are to these, and what they copy; beside them these themselves."""
        drawn, real = self.generate(OVERLAP), [self._notes(values) for values in data]
        halves = real[::2], real[1::2]
        runs = sorted(piece.facts["longest run of notes copied"] for piece in drawn)
        return {
            f"overlap with {OVERLAP} generated pieces": overlaps([midi.notes(piece.score) for piece in drawn], real),
            "overlap of the one half of the data with the other": overlaps(*halves) if halves[1] else {},
            "longest run copied by a generated piece": {"notes, median": runs[len(runs) // 2], "notes, at most": runs[-1]},
            "share of pieces that are stuck": {
                "generated": float(np.mean([piece.facts["stuck"] for piece in drawn])),
                "data": float(np.mean([self.stuck(values) for values in data])),
            },
        }

    def opened(self, item: str | Path, most: int = 400) -> Opened:
        """A MIDI file: what is predicted of each event (symbol, step), and what made the last one likely."""
        if file_of(item) is None:
            raise DataError(f"{str(item)[:80]!r} is no file; a model of music is inspected with a MIDI file")
        values = torch.from_numpy(self._encoded(item)[:most])
        if values.ndim == 1:
            symbols = [self.codec.vocabulary.symbols[i] for i in values.tolist()]  # type: ignore[union-attr]
        else:
            symbols = [" ".join(str(LOWEST + k) for k in np.flatnonzero(row)) or "-" for row in values.numpy()]
        opened = predicted(self.model, values.to(next(self.model.parameters()).device), symbols)

        @torch.no_grad()
        def notes() -> list[Note]:
            nats: Any = opened.surprise()
            if values.ndim > 1:  # each key has its own
                nats = self.model.head.nlls(self.model.stack(opened.x)[0][0], values.to(opened.x.device)).tolist()  # type: ignore[operator]
            placed = self.codec.placed(values.numpy())
            return [Note(start, long, p, nats[t] if values.ndim == 1 else nats[t][p - LOWEST]) for t, start, long, p in placed]

        return replace(opened, notes=notes)

    def score(self, paths: Sequence[str | Path]) -> list[dict[str, float]]:
        """For each MIDI file its log-probability in nats, and that divided by its events (symbols, steps)."""
        return [self._score(self._encoded(path)) for path in paths]

    def _encoded(self, path: str | Path) -> np.ndarray:
        try:
            return self.codec.encode(midi.read_midi(path))
        except DataError as error:
            raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from error

    def _score(self, values: np.ndarray) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as scratch:
            pieces = store(Path(scratch), "one", self.codec, [values])
            found = Likelihood(self.model).total(Pieces(pieces, 1, 512), cached=True)
            pieces.corpus.close()
        return {"log-probability": -found.nats, f"nats per {self.unit}": found.nats / found.steps}

    def scores(self, data: Sequence[str | Path]) -> Iterator[tuple[str, dict[str, float]]]:
        """The score of each MIDI file, by its name; of a folder's files those that this model can read."""
        for path in data:
            for name, score in MidiFiles([path]):
                try:
                    values = self.codec.encode(score)
                except DataError as error:
                    if Path(path).is_file():
                        raise DataError(f"{path}: {error}") from error
                    continue
                yield name, self._score(values)

    def examples(self, seed: int = 0) -> str:
        """Writes three pieces into the model's folder."""
        shown = self.deliver(self.generate(3, seed=seed), self.folder.path / "sample.mid")
        return f"\n{shown}\n\nNext:\n  unspool generate {self.folder.path} -o piece.mid\n  unspool train music FOLDER -o MODEL"

    def generate(
        self,
        n: int = 1,
        *,
        prompt: str | Path = "",
        length: int | None = None,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        compare: Sequence[str | Path] | None = None,
    ) -> list[Piece]:
        """`n` pieces of at most `length` bars (64; 16 of rolls, which have no end), after the notes of a MIDI file if one is given.

        The prompt's notes are kept exactly. `compare` names MIDI files to look for copied runs in, besides the training pieces.
        """
        how = Sampling(temperature, top_k, top_p)
        if n < 1:
            raise ConfigError(f"the number of pieces must be at least 1, not {n}")
        if length is not None and length < 1:
            raise ConfigError(f"the length must be at least 1 bar, not {length}")
        roll = isinstance(self.codec, RollCodec)
        if roll and (top_k or top_p < 1):
            raise ConfigError("top_k and top_p choose among symbols, and a roll has none; use the temperature")
        drawing = Drawing(self.model, self.codec, Path(prompt) if prompt else None, length, how)
        pieces = [p for at in range(0, n, TOGETHER) for p in drawing.pieces(min(TOGETHER, n - at), seed + at)]
        return self._facts(pieces, compare)

    def _facts(self, pieces: list[Piece], compare: Sequence[str | Path] | None) -> list[Piece]:
        others = Source(compare).encoded(self.codec) if compare else ()
        corpus = [*self._signatures(), *(signature_of(self._notes(values)) for values in others)]
        copies = longest_copies([signature_of(piece.written) for piece in pieces], corpus)
        stuck = [self.stuck(piece.values[piece.prompt :]) for piece in pieces]
        return [replace(p, facts=facts_of(p, copy, s)) for p, copy, s in zip(pieces, copies, stuck, strict=True)]

    def stuck(self, values: np.ndarray) -> bool:
        """Whether a piece repeats itself more than four times running, as `scoring.music.stuck` has it."""
        if isinstance(self.codec, EventCodec):
            return stuck(values, self.codec.bars(values))
        if isinstance(self.codec, NotebookCodec):
            return stuck(values)
        _, codes = np.unique(values, axis=0, return_inverse=True)
        return stuck(codes.ravel())

    def _signatures(self) -> Iterator[str]:
        """The training pieces, as `scoring.music.signature` has them."""
        codes, ends = self._known["training.notes"], self._known["training.ends"]
        for a, b in itertools.pairwise([0, *ends.tolist()]):
            yield "".join(map(chr, codes[a:b].tolist()))

    def deliver(self, samples: Sequence[Piece], output: Path | None = None, as_json: bool = False) -> str:
        """Writes each piece as MIDI, sound, picture and JSON, named after `output`, and says where and what it is."""
        return deliver(samples, output, as_json)


def pieces_of(pieces: EventPieces | RollPieces) -> Iterator[np.ndarray]:
    """Each piece's values, without its end."""
    return iter(pieces) if isinstance(pieces, RollPieces) else (ids[:-1] for ids in pieces.corpus)
