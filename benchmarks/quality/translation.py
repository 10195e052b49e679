"""Quality and speed of `unspool train translation` with its default settings.

    python -m benchmarks.quality.translation ROW [--minutes M] [--data FOLDER] [--kept]

Rows: de-en, en-de, tatoeba, beam and training (both after de-en). Models are kept in `models/`.
"""

from __future__ import annotations

import gzip
import json
import lzma
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import unspool
from benchmarks.quality.rows import MODELS, command, run
from benchmarks.quality.rows import train as train_model
from benchmarks.record import record
from unspool.codecs.corpus import Corpus
from unspool.codecs.pairs import PairFiles
from unspool.decoding.beam import beam_search
from unspool.engines import native
from unspool.models import EncoderDecoder
from unspool.sequences import Sequences
from unspool.tasks.translation_model import build
from unspool.training import Pairs
from unspool.vocabulary import Vocabulary


def german_english(data: Path, minutes: float) -> None:
    _multi30k(data, minutes, "de", "en", {"LSTM + SentencePiece (published)": 33.5})


def english_german(data: Path, minutes: float) -> None:
    _multi30k(data, minutes, "en", "de", {"recurrent models (published), about": 33.0})


def _multi30k(data: Path, minutes: float, source: str, target: str, published: dict[str, float]) -> None:
    folder = data / "multi30k"
    model, seconds = train_model(
        "translation",
        f"{source}-{target}",
        _both(folder, "train"),
        minutes,
        valid=_both(folder, "val"),
        source=source,
        target=target,
    )
    found = model.evaluate(_both(folder, "test_2016_flickr"))
    print(json.dumps(found, indent=1, ensure_ascii=False), file=sys.stderr)
    record(
        "translation",
        f"translation/multi30k {source}→{target}, test 2016 Flickr",
        "BLEU",
        found["BLEU"],
        "higher",
        baselines={k.removesuffix(", BLEU"): v for k, v in found["baselines"].items() if k.endswith("BLEU")} | published,
        seconds=round(seconds),
        command=command("translation"),
        split="train, val (which only stops training) and test_2016_flickr as published, raw text, cased",
        signature=found["BLEU signature"],
        chrF=found["chrF"],
        warnings=found["warnings"],
    )


def _both(folder: Path, name: str) -> list[Path]:
    """The German and the English file, unpacked, since endings name the language."""
    files = []
    for language in ("de", "en"):
        file = MODELS / f"multi30k-{name}.{language}"
        file.write_bytes(gzip.decompress((folder / f"{name}.{language}.gz").read_bytes()))
        files.append(file)
    return files


def tatoeba(data: Path, minutes: float) -> None:
    lines = lzma.decompress((data / "tatoeba_eng_deu/deu.txt.xz").read_bytes()).decode().splitlines()[1:]
    sources = sorted({line.split("\t")[0] for line in lines})
    chosen = np.random.default_rng(0).random(len(sources)) < 0.05
    held = {source for source, is_test in zip(sources, chosen, strict=True) if is_test}  # pairs of one source stay together
    files = []
    for name in ("train", "test"):
        files.append(MODELS / f"tatoeba-{name}.tsv")
        part = [line for line in lines if (line.split("\t")[0] in held) == (name == "test")]
        files[-1].write_text("\n".join(part) + "\n", "utf-8")
    model, seconds = train_model("translation", "tatoeba", files[:1], minutes, source="en", target="de", unit="words")
    found = model.evaluate(files[1:])
    print(json.dumps(found, indent=1, ensure_ascii=False), file=sys.stderr)
    record(
        "translation",
        "translation/tatoeba_eng_deu, plain words",
        "BLEU",
        found["BLEU"],
        "higher",
        baselines={k.removesuffix(", BLEU"): v for k, v in found["baselines"].items() if k.endswith("BLEU")},
        settings="default, --unit words",
        seconds=round(seconds),
        command=command("translation"),
        split="test: the pairs of a seeded 5 % of the English sentences",
        signature=found["BLEU signature"],
        chrF=found["chrF"],
    )


class _Read(NamedTuple):
    """What a peer's encoder read: outputs (B, S, M), which of them are real (B, S), and the decoder's first state."""

    outputs: Tensor
    inside: Tensor
    state: tuple[Tensor, ...]


class _Peer(nn.Module):
    """The same network out of torch.nn: LSTMs, linear layers, the same weights."""

    def __init__(self, model: EncoderDecoder):
        super().__init__()
        self.source, self.target, self.head, self.attention, self.bridge = (
            getattr(model, name) for name in ("source", "target", "head", "attention", "bridge")
        )
        self.encoder, self.decoder = model.encoder.to_torch(), model.decoder.to_torch()
        weights = dict(self.decoder.named_parameters())
        self.cell = nn.LSTMCell(self.decoder.input_size, self.decoder.hidden_size)  # for single steps, faster than the other
        for name, own in self.cell.named_parameters():
            own.data = weights[f"{name}_l0"].data

    def encode(self, batch: Sequences) -> _Read:
        packed = nn.utils.rnn.pack_padded_sequence(
            self.source(batch.values), batch.lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        y, state = self.encoder(packed)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        first = tuple(torch.tanh(bridge(torch.cat([s[0], s[1]], 1)))[None] for bridge, s in zip(self.bridge, state, strict=True))
        inside = torch.arange(outputs.shape[1]) < batch.lengths[:, None]
        return _Read(outputs, inside, first)

    def look(self, query: Tensor, memory: _Read) -> tuple[Tensor, Tensor]:
        scores = self.attention.score(query) @ memory.outputs.transpose(1, 2) / memory.outputs.shape[2] ** 0.5
        weights = scores.masked_fill(~memory.inside[:, None], -torch.inf).softmax(2)
        return torch.tanh(self.attention.combine(torch.cat([query, weights @ memory.outputs], 2))), weights

    def loss(self, batch: Any, smoothing: float) -> Tensor:
        memory = self.encode(batch.source)
        h, _ = self.decoder(self.target(batch.inputs), memory.state)
        h, _ = self.look(h, memory)
        logits = self.head(h[batch.inside])
        return F.cross_entropy(logits, batch.targets[batch.inside], label_smoothing=smoothing)


class _PeerWriter:
    """Its decoder in the middle of writing."""

    def __init__(self, peer: _Peer, memory: _Read, beams: int):
        self.peer, self.memory, self.beams = peer, memory, beams
        self.state = tuple(s.repeat_interleave(beams, 1) for s in memory.state)

    def likeliest(self, ids: Tensor, count: int, forbidden: tuple[int, ...], _: None) -> tuple[Tensor, Tensor, Tensor]:
        h, c = self.peer.cell(self.peer.target(ids.flatten()), tuple(s[0] for s in self.state))
        self.state = h[None], c[None]
        h, weights = self.peer.look(h.unflatten(0, ids.shape), self.memory)
        logits = self.peer.head(h)
        whole = logits.logsumexp(2, keepdim=True)
        logits[:, :, list(forbidden)] = -torch.inf
        values, symbols = logits.topk(count)
        return values - whole, symbols, weights

    def choose(self, inputs: Tensor, beams: Tensor) -> None:
        rows = (inputs[:, None] * self.beams + beams).flatten()
        if len(inputs) < len(self.memory.outputs):
            self.memory = _Read(self.memory.outputs[inputs], self.memory.inside[inputs], self.memory.state)
        self.state = tuple(s[:, rows] for s in self.state)


def _interleaved(ways: dict[str, Callable[[Any], Any]], batches: list[Any]) -> tuple[dict[str, float], dict[str, list[Any]]]:
    """The seconds that each way takes for all batches, the sum of the medians of six; batch by batch in turn, so that what else the
    machine does falls on all alike. And what each gave."""
    took: dict[str, list[list[float]]] = {name: [[] for _ in batches] for name in ways}
    gave: dict[str, list[Any]] = {name: [None] * len(batches) for name in ways}
    for turn in range(7):  # the first warms up
        for place, batch in enumerate(batches):
            for name, way in ways.items():
                began = time.perf_counter()
                gave[name][place] = way(batch)
                if turn:
                    took[name][place].append(time.perf_counter() - began)
    return {name: sum(map(statistics.median, times)) for name, times in took.items()}, gave


@torch.inference_mode()
def beam(data: Path, minutes: float) -> None:
    torch.set_num_threads(2)
    model: Any = unspool.load(MODELS / "de-en")
    texts = (MODELS / "multi30k-test_2016_flickr.de").read_text("utf-8").splitlines()[:1000]
    ids = sorted((model.codecs.source.encode(text) for text in texts), key=len)
    batches = [Sequences.collate(ids[at : at + 64]) for at in range(0, len(ids), 64)]
    peer = _Peer(model.model).eval()
    options = {"begin": Vocabulary.begin, "end": Vocabulary.end, "forbidden": (0, 1, 2), "beams": 5}

    def run(net: Any, writer: Any, batch: Sequences) -> list[list[int]]:
        return [h[0].ids for h in beam_search(writer(net.encode(batch)), batch.lengths * 2 + 10, **options)]

    seconds, answers = _interleaved(
        {
            "unspool": lambda batch: run(model.model, lambda memory: model.model.write(memory, 5), batch),
            "torch.nn": lambda batch: run(peer, lambda memory: _PeerWriter(peer, memory, 5), batch),
        },
        batches,
    )
    same = sum(a == b for one, other in zip(*answers.values(), strict=True) for a, b in zip(one, other, strict=True))
    assert same >= 0.99 * len(texts), f"only {same} of {len(texts)} are the same"
    rates = {name: len(texts) / s for name, s in seconds.items()}
    facts = {
        "command": command("translation"),
        "ratio": rates["unspool"] / rates["torch.nn"],
        "same_output": f"{same} of {len(texts)}",
    }
    where = "beam 5, 1,000 sentences, two threads"
    record(
        "translation", where, "sentences a second", rates["unspool"], "higher", baselines={"torch.nn": rates["torch.nn"]}, **facts
    )


def training(data: Path, minutes: float) -> None:
    torch.set_num_threads(2)
    model: Any = unspool.load(MODELS / "de-en")
    scratch = MODELS / "translation-speed"
    scratch.mkdir(exist_ok=True)
    pairs = list(PairFiles(_both(data / "multi30k", "train"), "de", "en"))[:6000]
    codecs = model.codecs
    source = Corpus(scratch, "s", len(codecs.source.vocabulary)).write(codecs.source.encode(p.source) for p in pairs)
    target = Corpus(scratch, "t", len(codecs.target.vocabulary)).write(
        np.append(codecs.target.encode(p.target), Vocabulary.end) for p in pairs
    )
    batches = list(Pairs(source, target, model.config.batch).epoch(0))[:12]
    own = build(model.config, codecs, torch.device("cpu"), 0).eval()  # no dropout: torch's is another, and no part of the network
    peer = _Peer(build(model.config, codecs, torch.device("cpu"), 0).eval()).eval()
    smoothing = model.config.label_smoothing

    def ours(batch: Any) -> Tensor:
        h, _ = own(own.encode(batch.source), batch.inputs)
        return native.cross_entropy(own.head(h[batch.inside]), batch.targets[batch.inside], smoothing) / int(batch.inside.sum())

    def trained(net: nn.Module, loss: Callable[[Any], Tensor]) -> Callable[[Any], None]:
        optimizer = torch.optim.AdamW(net.parameters(), fused=True)

        def step(batch: Any) -> None:
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()

        return step

    ways = {"unspool": trained(own, ours), "torch.nn": trained(peer, lambda batch: peer.loss(batch, smoothing))}
    seconds, _ = _interleaved(ways, batches)
    count = sum(int(b.inside.sum()) for b in batches)
    rates = {name: count / s for name, s in seconds.items()}
    facts = {"command": command("translation"), "ratio": rates["unspool"] / rates["torch.nn"]}
    others = {"torch.nn": rates["torch.nn"]}
    record("translation", "training", "target tokens a second", rates["unspool"], "higher", baselines=others, **facts)


ROWS = {
    "de-en": (german_english, 20),
    "en-de": (english_german, 20),
    "tatoeba": (tatoeba, 10),
    "beam": (beam, 3),
    "training": (training, 3),
}

if __name__ == "__main__":
    run("translation", ROWS)
