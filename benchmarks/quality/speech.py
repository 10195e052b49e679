"""Quality of `unspool train speech` with its default settings.

    python -m benchmarks.quality.speech ROW [--minutes M] [--data FOLDER] [--kept]

Rows: strings (also isolated words, noise and word times, by the same model), speakers (four models, which share the minutes),
streaming (also the real-time factor), waves (after strings), unknown (five models, which share the minutes). Models and test
recordings are kept in `models/`.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch

import unspool
from benchmarks.quality.rows import MODELS, command, fresh, run
from benchmarks.quality.rows import train as train_model
from benchmarks.record import record
from unspool.scoring.words import equal_error_rate
from unspool.tasks.speech_data import compose, mix

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 8000
STRINGS = 500
FIRST = 5  # recordings 0 to 4 of each word and speaker are the test part
SPLIT = "official split: recordings 0-4 of each word and speaker are test; validation: a seeded tenth of the training recordings"
STRUNG = "; 500 strings of 3-7 test recordings of one speaker, seed 0, gaps 0-300 ms of the recordings' own noise floor"


class Take(NamedTuple):
    """A recording of the set."""

    path: Path
    word: str
    speaker: str
    number: int


def takes(data: Path) -> list[Take]:
    found = []
    for file in sorted((data / "fsdd/recordings").glob("*.wav")):
        digit, speaker, number = file.stem.split("_")
        found.append(Take(file.absolute(), WORDS[int(digit)], speaker, int(number)))
    return found


def manifest(name: str, rows: Sequence[Take]) -> Path:
    file = MODELS / f"{name}.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("audio", "text", "speaker"), *((t.path, t.word, t.speaker) for t in rows)])
    return file


def strings(data: Path, name: str, noise: Callable[[int, str, np.random.Generator], np.ndarray] | None = None) -> Path:
    """500 strings as files, with a manifest of what is said in them and when; with `noise` 10 dB below them."""
    folder = fresh(f"fsdd-{name}")
    folder.mkdir()
    rng, other = np.random.default_rng(0), np.random.default_rng(1)
    test = [t for t in takes(data) if t.number < FIRST]
    speakers = sorted({t.speaker for t in test})
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(("audio", "text", "speaker", "times"))
        for number in range(STRINGS):
            speaker = speakers[int(rng.integers(len(speakers)))]
            own = [t for t in test if t.speaker == speaker]
            said = [own[int(i)] for i in rng.choice(len(own), rng.integers(3, 8), replace=False)]
            values, times = compose([_read(t) for t in said], RATE, rng)
            if noise:
                values = mix(values, noise(len(values), speaker, other), 10)
                values = values / max(1.0, float(np.abs(values).max()))
            soundfile.write(folder / f"{number}.wav", values, RATE)
            when = " ".join(f"{a / RATE:.4f}-{b / RATE:.4f}" for a, b in times)
            table.writerow((f"{number}.wav", " ".join(t.word for t in said), speaker, when))
    return folder


def _read(take: Take) -> np.ndarray:
    return soundfile.read(take.path, dtype="float32")[0]


def _noises(data: Path) -> dict[str, Callable[[int, str, np.random.Generator], np.ndarray]]:
    test = [(t.speaker, _read(t)) for t in takes(data) if t.number < FIRST]

    def white(length: int, speaker: str, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(length)

    def babble(length: int, speaker: str, rng: np.random.Generator) -> np.ndarray:
        """Five voices at once, of the other speakers."""
        others = [values for name, values in test if name != speaker]
        total = np.zeros(length)
        for _ in range(5):
            voice = np.concatenate([others[int(i)] for i in rng.integers(len(others), size=length // 1000 + 1)])
            voice = np.roll(voice, int(rng.integers(len(voice))))[:length]
            total[: len(voice)] += voice / np.sqrt(np.square(voice).mean())
        return total

    return {"white": white, "babble": babble}


def strings_row(data: Path, minutes: float) -> None:
    train = [t for t in takes(data) if t.number >= FIRST]
    model, seconds = train_model("speech", "fsdd", [manifest("fsdd-train", train)], minutes)
    facts: dict[str, Any] = {"seconds": round(seconds), "command": command("speech"), "split": SPLIT + STRUNG}
    found = model.evaluate([strings(data, "strings")])
    _record_rate(found, "speech/fsdd strings, official split", **facts)
    off = found["word times off, ms"]
    same = {**facts, "seconds": 0}
    record("speech", "speech/fsdd strings, word times", "mean of start and end errors, ms", off, "lower", baselines={}, **same)
    test = [t for t in takes(data) if t.number < FIRST]
    alone = model.evaluate([manifest("fsdd-test", test)])
    others = {name.split(",")[0]: 100 - value for name, value in alone["baselines"].items()}
    facts_alone = {**same, "split": SPLIT, "baselines": others | {"BiLSTM, F1 (published)": 96.0}}
    record("speech", "speech/fsdd isolated, the same model", "accuracy %", _right(model, test), "higher", **facts_alone)
    noisy = {kind: model.evaluate([strings(data, kind, noise)]) for kind, noise in _noises(data).items()}
    rates = {kind: answer["word error rate %"] for kind, answer in noisy.items()}
    name = "speech/fsdd strings, white and babble noise at 10 dB"
    others = {"most frequent word": _frequent(found), "without noise": found["word error rate %"]}
    record("speech", name, "WER %", statistics.mean(rates.values()), "lower", baselines=others, values=rates, **same)


def _right(model: Any, test: Sequence[Take]) -> float:
    """The share of recordings, in %, whose word is heard, given that each holds one."""
    answers = model.transcribe([_read(t) for t in test], words=1)
    return 100 * statistics.mean(answer.text == t.word for answer, t in zip(answers, test, strict=True))


def _record_rate(found: dict[str, Any], data: str, **facts: Any) -> None:
    others = {"greedy": found["likeliest path, word error rate %"], "most frequent word": _frequent(found)} | facts.pop(
        "beside", {}
    )
    more = {
        key: found[key] for key in ("95 % interval", "substitutions", "deletions", "insertions", "word error rate % by speaker")
    }
    record("speech", data, "WER %", found["word error rate %"], "lower", baselines=others, **facts, **more)


def _frequent(found: dict[str, Any]) -> float:
    return found["baselines"]["most frequent word, word error rate %"]


def speakers(data: Path, minutes: float) -> None:
    every = takes(data)
    names = sorted({t.speaker for t in every})
    values, nearest, frequent, seconds = {}, [], [], 0.0
    for name in names:
        train, test = ([t for t in every if (t.speaker == name) == held] for held in (False, True))
        model, took = train_model("speech", f"fsdd-without-{name}", [manifest("fsdd-three", train)], minutes / len(names))
        seconds += took
        found = model.evaluate([manifest("fsdd-fourth", test)])
        values[name] = _right(model, test)
        nearest.append(100 - found["baselines"]["nearest recording (DTW), word error rate %"])
        frequent.append(100 - _frequent(found))
    facts = {"seconds": round(seconds), "command": command("speech"), "values": values}
    facts["split"] = (
        "train on all recordings of three speakers, test on all of the fourth, four ways; validation: a seeded tenth of the three"
    )
    others = {"nearest recording (DTW)": statistics.mean(nearest), "most frequent word": statistics.mean(frequent)}
    record(
        "speech",
        "speech/fsdd speakers",
        "mean accuracy %, isolated, lexicon",
        statistics.mean(values.values()),
        "higher",
        baselines=others,
        **facts,
    )


def streaming(data: Path, minutes: float) -> None:
    train = [t for t in takes(data) if t.number >= FIRST]
    model, seconds = train_model("speech", "fsdd-streaming", [manifest("fsdd-train", train)], minutes, streaming=True)
    facts: dict[str, Any] = {"command": command("speech"), "split": SPLIT + STRUNG}
    folder = strings(data, "strings")
    found = model.evaluate([folder])
    ahead = found["look-ahead, seconds"]
    _record_rate(
        found, "speech/fsdd strings, streaming model, look-ahead ≤ 300 ms", seconds=round(seconds), look_ahead=ahead, **facts
    )
    torch.set_num_threads(1)
    factor, late = _paced(model, folder)
    facts |= {"seconds": 0, "baselines": {}, "latency": late, "settings": "default; pieces of 100 ms, beam 8"}
    record("speech", "streaming, one thread", "real-time factor", factor, "lower", **facts)


def _paced(model: Any, folder: Path, files: int = 50) -> tuple[float, dict[str, float]]:
    """The real-time factor of sound in pieces of 100 ms, and how long after its end a word is first written, in seconds."""
    with (folder / "manifest.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))[:files]
    late: list[float] = []
    busy = total = 0.0
    for row in rows:
        values = soundfile.read(folder / row["audio"], dtype="float32")[0]
        ends = [float(pair.split("-")[1]) for pair in row["times"].split()]
        began = time.perf_counter()
        stream, written = model.stream(), 0
        for at in range(0, len(values), RATE // 10):
            text = stream.push(values[at : at + RATE // 10])
            for number in range(written, min(len(text.split()), len(ends))):
                late.append((at + RATE // 10) / RATE - ends[number])
            written = max(written, len(text.split()))
        stream.finish()
        busy += time.perf_counter() - began
        total += len(values) / RATE
    return busy / total, {"median": statistics.median(late), "95 %": float(np.quantile(late, 0.95))}


def waves(data: Path, minutes: float) -> None:
    train = [t for t in takes(data) if t.number >= FIRST]
    model, seconds = train_model("speech", "fsdd-waves", [manifest("fsdd-train", train)], minutes, features="waves")
    folder = strings(data, "strings")
    found, other = model.evaluate([folder]), unspool.load(MODELS / "fsdd")
    beside = {"log-mel, that is, the row strings": other.evaluate([folder])["word error rate %"]}
    facts: dict[str, Any] = {"seconds": round(seconds), "command": command("speech"), "split": SPLIT + STRUNG}
    _record_rate(found, "speech/fsdd strings, raw pressure values", beside=beside, **facts)


def unknown(data: Path, minutes: float) -> None:
    every = takes(data)
    rng = np.random.default_rng(0)
    values: dict[str, float] = {}
    seconds = 0.0
    for choice in range(5):
        left = sorted(str(word) for word in rng.choice(WORDS, 2, replace=False))
        while " ".join(left) in values:  # five different ones
            left = sorted(str(word) for word in rng.choice(WORDS, 2, replace=False))
        train = [t for t in every if t.number >= FIRST and t.word not in left]
        model, took = train_model("speech", f"fsdd-unknown-{choice}", [manifest("fsdd-eight", train)], minutes / 5)
        seconds += took
        test = [t for t in every if t.number < FIRST]
        answers = model.transcribe([_read(t) for t in test])
        sure = [min((w.confidence for w in answer.words), default=0.0) for answer in answers]
        known, other = ([s for s, t in zip(sure, test, strict=True) if (t.word in left) == is_left] for is_left in (False, True))
        values[" ".join(left)] = 100 * equal_error_rate(known, other)
    facts: dict[str, Any] = {
        "seconds": round(seconds),
        "command": command("speech"),
        "values": values,
        "baselines": {"chance": 50.0},
    }
    facts["split"] = f"five seeded choices of two digits never trained; {SPLIT}; the score is a recording's least confidence"
    measure = "equal error rate % of the reject option"
    record("speech", "speech/fsdd unknown words", measure, statistics.mean(values.values()), "lower", **facts)


ROWS = {
    "strings": (strings_row, 10),
    "speakers": (speakers, 16),
    "streaming": (streaming, 10),
    "waves": (waves, 8),
    "unknown": (unknown, 12.5),
}

if __name__ == "__main__":
    run("speech", ROWS)
