"""Quality of `unspool train text` with its default settings.

    python -m benchmarks.quality.text ROW [--minutes M] [--data FOLDER] [--kept]

Rows: shakespeare, rounded (after it), trump, normalised, wikitext, samples (after trump), memory. Models are kept in `models/`.
Each row cuts its test part off first; training sees only what is left, and takes its validation part from that.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import unspool
from benchmarks.quality.rows import MODELS, command, fresh, run
from benchmarks.quality.rows import train as train_model
from benchmarks.record import record
from unspool.scoring.metrics import distinct
from unspool.tasks.verbs import evaluate


def shakespeare(data: Path, minutes: float) -> None:
    text = _read(data / "tinyshakespeare/input.txt.xz")
    border = len(text) * 9 // 10
    train, test = _write("shakespeare", text[:border], text[border:])
    model, seconds = train_model("text", "shakespeare", [train], minutes)
    found = model.evaluate([test])
    found["baselines"] |= _without(found, "nats per character")
    _record(
        "text/tinyshakespeare",
        "nats per character",
        found,
        "nats per character",
        seconds,
        split="test: the last 10 % of the characters; validation: 3 % of the rest, a stretch at a seeded place",
        state=found["state"],
    )


def rounded(data: Path, minutes: float) -> None:
    model = unspool.load(MODELS / "shakespeare")
    for weights in ("bf16", "int8"):
        found = evaluate(model, [MODELS / "shakespeare-test.txt"], weights)["difference to f32 weights"]
        others = {"the same from cold starts": found["cold start, nats per character"]}
        others["the same without the cache"] = found["without the cache, nats per character"]
        facts: dict[str, Any] = {"command": command("text"), "seconds": 0, "split": "test, of the model of the row shakespeare"}
        measure = f"nats per character more with {weights} weights"
        record("text", "text/tinyshakespeare", measure, found["nats per character"], "lower", baselines=others, **facts)


def trump(data: Path, minutes: float) -> None:
    train, test = _write("trump", *_tweets(data))
    model, seconds = train_model("text", "trump", [train], minutes)
    _record("text/trump", "bits per character", model.evaluate([test]), "bits per character", seconds, split=_TWEETS)


def normalised(data: Path, minutes: float) -> None:
    train, test = _write("normalised", *_tweets(data))
    model, seconds = train_model("text", "normalised", [train], minutes, normalise="tweets")
    notebook, _ = train_model(
        "text",
        "notebook",
        [train],
        minutes,
        normalise="tweets",
        unit="characters",
        one_hot=True,
        hidden=300,
        layers=2,
        dropout=0.0,
        input_dropout=0.0,
        recurrent_dropout=0.0,
        learning_rate=1e-3,
        weight_decay=0.0,
    )
    measure = "bits per normalised symbol"
    other = notebook.evaluate([test])
    found = model.evaluate([test])
    assert found["counted"] == other["counted"]
    found["baselines"]["the notebook's network (one-hot, 2x300 LSTM), trained as long, nats"] = other["nats per normalised symbol"]
    _record("text/trump, normalised as the notebook", "bits per symbol", found, measure, seconds, split=_TWEETS)


def wikitext(data: Path, minutes: float) -> None:
    text = _read(data / "wikitext2/wt2.valid.txt.xz")
    words = [word for word in text.replace("\n", " \n ").split(" ") if word]
    a, b = len(words) * 8 // 10, len(words) * 9 // 10
    train, valid, test = _write("wikitext", *(" ".join(part) for part in (words[:a], words[a:b], words[b:])))
    model, seconds = train_model("text", "wikitext", [train], minutes, valid=valid, unit="words", corpus="running")
    found = model.evaluate([test])
    found["perplexity"] = found["perplexity per symbol"]
    n = found["counted"]
    found["baselines"] |= _without(found, "nats per word")
    found["baselines"] = {name.removesuffix(", nats per word"): math.exp(v) for name, v in found["baselines"].items()}
    _record(
        "text/wikitext2",
        "perplexity",
        found,
        "perplexity",
        seconds,
        split="words (a line's end is one) 80/10/10 by position; vocabulary: the training part's words, others unknown",
        settings="default, --unit words",
        state=found["state"],
        counted=n,
    )


def _without(found: dict[str, Any], unit: str) -> dict[str, float]:
    """The same model with less to go by."""
    names = {"the same without the cache": "without the cache", "the same from cold starts": "cold start"}
    return {name: found[f"{key}, {unit}"] for name, key in names.items()}


def samples(_: Path, __: float) -> None:
    model, began = unspool.load(MODELS / "trump"), time.monotonic()
    drawn = model.generate(100, temperature=0.8, seed=0, compare=[MODELS / "trump-train.txt"])
    seconds = time.monotonic() - began
    texts = [sample.text for sample in drawn]
    (MODELS / "trump-samples.txt").write_text("\n\n".join(texts), "utf-8")
    real = (MODELS / "trump-train.txt").read_text("utf-8").split("\n")[:100]
    runs = sorted(sample.copied.length for sample in drawn if sample.copied)
    facts = {"seconds": round(seconds, 1), "command": "python -m benchmarks.quality.text samples", "baselines": {}}
    where = "text/trump, 100 samples at temperature 0.8"
    ended = 100 * sum(s.ended for s in drawn) / len(drawn)
    record("text", where, "share ending by itself within 280 characters", ended, "higher", **facts, unit="%")
    facts["baselines"] = {"100 tweets of the training part": distinct([t.split() for t in real], 2)}
    record("text", where, "distinct-2", distinct([t.split() for t in texts], 2), "higher", **facts)
    copied = 100 * sum(r > 60 for r in runs) / len(runs)
    facts["baselines"] = {}
    record(
        "text",
        where,
        "share whose longest copied run exceeds 60 characters",
        copied,
        "lower",
        **facts,
        unit="%",
        median_run=runs[len(runs) // 2],
    )


def memory(data: Path, minutes: float) -> None:
    text = _read(data / "tinyshakespeare/input.txt.xz")
    peaks = []
    for times in (1, 100):
        file = MODELS / f"memory-{times}.txt"
        with file.open("w", encoding="utf-8") as out:
            for _ in range(times):
                out.write(text)
        code = (
            "import resource, sys, unspool; unspool.train('text', sys.argv[1], sys.argv[2], budget=sys.argv[3], corpus='running', "
            "unit='characters', dropout=0.1, input_dropout=0.0, recurrent_dropout=0.0, progress='silent'); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        folder = fresh(f"memory-{times}")
        seconds = str(minutes * 30)
        ran = subprocess.run(
            [sys.executable, "-c", code, str(file), str(folder), seconds], capture_output=True, text=True, check=True
        )
        peaks.append(int(ran.stdout) / 1024)
        file.unlink()
    facts = {
        "baselines": {"corpus as it is, MB": peaks[0]},
        "settings": "characters, dropout 0.1 on the output alone, the same network at both sizes",
    }
    command = "python -m benchmarks.quality.text memory"
    record(
        "text", "corpus 100 times larger", "peak memory of training, MB, at both sizes", peaks[1], "lower", **facts, command=command
    )


_TWEETS = "exact duplicates removed; test: lines with sha1(line) mod 20 = 0; divided by characters + 1 (end) a line"


def _read(file: Path) -> str:
    return lzma.decompress(file.read_bytes()).decode()


def _tweets(data: Path) -> tuple[str, str]:
    lines = _read(data / "trump/trump.txt.xz").split("\n")
    lines = list(dict.fromkeys(line for line in lines if line.strip()))
    parts: tuple[list[str], list[str]] = ([], [])
    for line in lines:
        parts[int(hashlib.sha1(line.encode()).hexdigest(), 16) % 20 == 0].append(line)
    return "\n".join(parts[0]) + "\n", "\n".join(parts[1]) + "\n"


def _write(name: str, *parts: str) -> list[Path]:
    names = ["train", "test"] if len(parts) == 2 else ["train", "valid", "test"]
    files = [MODELS / f"{name}-{part}.txt" for part in names]
    for file, text in zip(files, parts, strict=True):
        file.write_bytes(text.encode())
    return files


def _record(data: str, measure: str, found: dict[str, Any], key: str, seconds: float, **facts: Any) -> None:
    print(json.dumps(found, ensure_ascii=False, indent=1), file=sys.stderr)
    bits = measure.startswith("bits")
    others = {name.split(", nats")[0]: value / 0.6931471805599453 if bits else value for name, value in found["baselines"].items()}
    record("text", data, measure, found[key], "lower", baselines=others, seconds=round(seconds), command=command("text"), **facts)


ROWS = {
    "shakespeare": (shakespeare, 30),
    "rounded": (rounded, 1),
    "trump": (trump, 30),
    "normalised": (normalised, 10),
    "wikitext": (wikitext, 10),
    "samples": (samples, 2),
    "memory": (memory, 1),
}

if __name__ == "__main__":
    run("text", ROWS)
