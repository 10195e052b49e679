"""Quality of `unspool train music` with its default settings.

    python -m benchmarks.quality.music ROW [--minutes M] [--data FOLDER] [--kept]

Rows: jsb, nottingham, joint, events, notebook, pieces and speed (both after events). Models are kept in `models/`. MIDI files are
divided by their names first; training sees only what is left, and takes its validation part from that. Rolls have published parts.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unspool
from benchmarks.quality.rows import MODELS, command, fresh, run
from benchmarks.quality.rows import train as train_model
from benchmarks.record import record
from unspool.codecs.midi import read_midi
from unspool.decoding.sampling import Sampling, generate
from unspool.layers import Recurrent, dropout
from unspool.models import Categorical, OneToMany
from unspool.scoring.ngram import KneserNey
from unspool.tasks.music_data import EventPieces, Source, codec_of, split, store
from unspool.training import Likelihood, ModelFolder, Options, Pieces, Progress, fit

HELD = "test: the files with sha1(name) mod 10 = 0; validation: a seeded 5 % of the other pieces"
PARTS = "the published train, valid and test parts; valid only stops training"


def jsb(data: Path, minutes: float) -> None:
    _roll("JSB roll", "jsb", data / "pianoroll_mat/JSB_Chorales.mat", minutes, "separate", {"LSTM": 8.45, "GRU": 8.43, "TCN": 8.10})


def nottingham(data: Path, minutes: float) -> None:
    published = {"LSTM": 3.29, "GRU": 3.46, "TCN": 3.07}
    _roll("Nottingham roll", "nottingham", data / "pianoroll_mat/Nottingham.mat", minutes, "separate", published)


def joint(data: Path, minutes: float) -> None:
    _roll("JSB roll", "joint", data / "pianoroll_mat/JSB_Chorales.mat", minutes, "joint", {"RNN-NADE": 5.56})


def _roll(name: str, model: str, file: Path, minutes: float, keys: str, published: dict[str, float]) -> None:
    trained, seconds = train_model("music", model, [file], minutes, keys=keys)
    found = trained.evaluate([file])
    print(json.dumps(found, indent=1), file=sys.stderr)
    others = {k.removesuffix(", nats per step"): v for k, v in found["baselines"].items()}
    others |= {"the same without the cache": found["without the cache, nats per step"]} if keys == "separate" else {}
    record(
        "music",
        name,
        "joint NLL per step" if keys == "joint" else "sigmoid NLL per step",
        found["nats per step"],
        "lower",
        baselines=others | {f"{k} (published)": v for k, v in published.items()},
        settings=f"default, --keys {keys}",
        seconds=round(seconds),
        command=command("music"),
        split=PARTS,
        augmentation=f"transposed by up to {trained.codec.transpose} while training",
        steps="T - 1 of each piece, mean over all steps of all pieces",
        all_T_steps=found["all T steps, nats per step"],
    )


def events(data: Path, minutes: float) -> None:
    train, test = _divided(data / "nottingham_midi")
    model, seconds = train_model("music", "events", train, minutes)
    found = model.evaluate(test)
    print(json.dumps(found, indent=1, ensure_ascii=False), file=sys.stderr)
    grams = _kneser_ney(model.codec, train, test, model.config, range(3, 8))
    best = min(grams, key=lambda name: grams[name])
    value = found["perplexity per event"]
    record(
        "music",
        "Nottingham events, split by piece",
        "perplexity",
        value,
        "lower",
        baselines={best: grams[best], "the same without the cache": math.exp(found["without the cache, nats per event"])},
        lower_by=round(1 - value / grams[best], 4),
        kneser_ney=grams,
        seconds=round(seconds),
        command=command("music"),
        split=HELD,
        events=found["counted"],
        overlap=found["overlap with 16 generated pieces"],
    )


def notebook(data: Path, minutes: float) -> None:
    train, test = _divided(data / "final_fantasy_piano")
    model, seconds = train_model("music", "notebook-music", train, minutes, representation="notebook")
    found = model.evaluate(test)
    print(json.dumps(found, indent=1, ensure_ascii=False), file=sys.stderr)
    grams = _kneser_ney(model.codec, train, test, model.config, range(2, 6))
    best = min(grams, key=lambda name: grams[name])
    others = {best: math.log2(grams[best])}
    others["the same without the cache"] = found["without the cache, nats per symbol"] / math.log(2)
    others["the notebook's network (3x512 LSTM on scaled integers), trained as long"] = _scaled_integers(
        model, train, test, minutes
    )
    record(
        "music",
        "Final Fantasy piano, notebook vocabulary, 10 % of the pieces held out",
        "bits per symbol",
        found["bits per symbol"],
        "lower",
        baselines=others,
        settings="default, --representation notebook",
        seconds=round(seconds),
        command=command("music"),
        split=HELD,
        symbols=found["counted"],
        unknown=found.get("unknown", 0),
    )


class _Scaled(torch.nn.Module):
    """The notebook's input: the id of a symbol over the number of symbols that its pieces have, one number a step."""

    def __init__(self, symbols: int):
        super().__init__()
        self.symbols = symbols  # the corpus's own come first in the vocabulary, its other keys behind them

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return (ids / self.symbols).unsqueeze(-1)


class _Dense(torch.nn.Module):
    """The notebook's output: 256 units, dropout 0.3, softmax."""

    def __init__(self, symbols: int):
        super().__init__()
        self.dense, self.out = torch.nn.Linear(512, 256), Categorical(256, symbols)

    def nll(self, h: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.out.nll(dropout(self.dense(h), 0.3, self.training), y)

    def expect(self, p: torch.Tensor) -> None:
        self.out.expect(p)


class _Notebook(Likelihood):
    per_symbol, unit = 1.0, "nats per symbol"

    def __init__(self, model: OneToMany, train: EventPieces, valid: EventPieces):
        super().__init__(model)
        self.feed: Any = Pieces(train, 16, 100)
        self._watched = Pieces(valid, 16, 512)
        self.baselines: dict[str, float] = {}

    def validate(self) -> float:
        found = self.total(self._watched)
        return found.nats / found.steps

    def sample(self) -> str:
        return ""


def _scaled_integers(model: Any, train: list[Path], test: list[Path], minutes: float) -> float:
    """Bits a symbol of the notebook's own network on the same symbols, pieces and validation part."""
    source = Source(train)
    inside = split(source, model.config.valid_share, model.config.seed)
    symbols = len(model.codec.vocabulary)
    torch.manual_seed(0)
    most = max(int(ids.max()) for ids in source.encoded(model.codec, inside)) + 1
    network = OneToMany(_Scaled(most), Recurrent("lstm", 1, 512, layers=3, dropout=0.3), _Dense(symbols))
    with tempfile.TemporaryDirectory() as scratch:
        own = _unmoved(model.codec)
        parts = (source.encoded(model.codec, inside), source.encoded(model.codec, ~inside), Source(test).encoded(model.codec))
        stored = [store(Path(scratch), name, own, pieces) for name, pieces in zip("abc", parts, strict=True)]
        job = _Notebook(network, *stored[:2])  # type: ignore[arg-type]
        folder = ModelFolder(fresh("notebook-network"))
        folder.create({"task": "none"})
        fit(job, Options(budget=60 * minutes, learning_rate=1e-3), folder, Progress("plain"))
        folder.load_into(network)
        network.eval()
        found = Likelihood(network).total(Pieces(stored[2], 16, 512))
    return found.nats / found.steps / math.log(2)


def _unmoved(codec: Any) -> Any:
    """The same codec, its pieces not transposed."""
    still = codec_of(codec.to_json())
    still.transpose = 0
    return still


def _kneser_ney(codec: Any, train: list[Path], test: list[Path], config: Any, orders: range) -> dict[str, float]:
    """The perplexity of n-grams learned from the same training pieces, as they are and in all keys."""
    source = Source(train)
    inside = split(source, config.valid_share, config.seed)
    learned = [np.append(ids, 3) for ids in source.encoded(codec, inside)]
    held = [np.append(ids, 3) for ids in Source(test).encoded(codec)]
    found = {}
    for transpose in (0, 6):

        def variants(transpose: int = transpose) -> Iterator[np.ndarray]:
            for semitones in range(-transpose, transpose + 1):
                table = codec.shifted(semitones)
                yield from (table[ids] for ids in learned)

        for order in orders:
            model = KneserNey.fit(variants(), order, len(codec.vocabulary), codec.vocabulary.begin, limit=1 << 40)
            nats = -sum(float(model.log_probs(ids).sum()) for ids in held) / sum(map(len, held))
            found[f"kneser-ney {order}-gram" + (f", transposed by up to {transpose}" if transpose else "")] = math.exp(nats)
    return found


def pieces(data: Path, minutes: float) -> None:
    model: Any = unspool.load(MODELS / "events")
    began, drawn = time.monotonic(), []
    for seed in range(10):
        drawn += model.generate(100, seed=seed)
    seconds = time.monotonic() - began
    train, _ = _divided(data / "nottingham_midi")
    corpus = [model.codec.encode(read_midi(file)) for file in train]
    own = 100 * statistics.mean(model.stuck(ids) for ids in corpus)
    facts = {
        "seconds": round(seconds),
        "command": command("music"),
        "model": "Nottingham events",
        "length": "the default, 64 bars at most",
    }
    where = "1,000 generated pieces, temperature 1, no penalty"
    invalid = sum(model.codec.errors(piece.values) for piece in drawn)
    record("music", where, "invalid events", invalid, "lower", baselines={}, **facts, events=sum(len(p.values) for p in drawn))
    stuck = 100 * statistics.mean(piece.facts["stuck"] for piece in drawn)
    ended = 100 * statistics.mean(piece.ended for piece in drawn)
    runs = sorted(piece.facts["longest run of notes copied"] for piece in drawn)
    more = {"ended_by_themselves": f"{ended:.1f}%", "median_copied_run": runs[len(runs) // 2], "longest_copied_run": runs[-1]}
    record("music", where, "stuck pieces a hundred", stuck, "lower", baselines={"the training pieces": own}, **facts, **more)


def speed(_: Path, __: float) -> None:
    torch.set_num_threads(1)
    model: Any = unspool.load(MODELS / "events")
    rates = []
    for seed in range(6):
        began = time.perf_counter()
        vocabulary = model.codec.vocabulary
        rows = generate(
            model.model,
            [],
            8,
            begin=vocabulary.begin,
            end=None,
            forbidden=(vocabulary.padding, vocabulary.begin, vocabulary.unknown, vocabulary.end),
            limit=1000,
            how=Sampling(1.0),
            seed=seed,
            grammar=model.codec.grammar.start,
        )
        rates.append(sum(map(len, rows)) / (time.perf_counter() - began))
    facts = {"command": command("music"), "baselines": {}, "threads": 1, "turns": [round(r) for r in rates]}
    record("music", "generation, one thread, batch of 8", "events a second", statistics.median(rates), "higher", **facts)


def _divided(folder: Path) -> tuple[list[Path], list[Path]]:
    files = sorted(folder.glob("*.mid"))
    parts: tuple[list[Path], list[Path]] = ([], [])
    for file in files:
        parts[int(hashlib.sha1(file.name.encode()).hexdigest(), 16) % 10 == 0].append(file)
    return parts


ROWS = {
    "jsb": (jsb, 8),
    "nottingham": (nottingham, 20),
    "joint": (joint, 15),
    "events": (events, 15),
    "notebook": (notebook, 5),
    "pieces": (pieces, 3),
    "speed": (speed, 1),
}

if __name__ == "__main__":
    run("music", ROWS)
