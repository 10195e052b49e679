"""Quality of `unspool train table` and `unspool train video` with their default settings.

    python -m benchmarks.quality.video ROW [--minutes M] [--data FOLDER] [--kept]

Rows: skeletons (three seeds, which share the minutes), signs (five folds), series (three sets), hands (five folds). Models and test
files are kept in `models/`.
"""

from __future__ import annotations

import csv
import io
import lzma
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.rows import MODELS, command, run
from benchmarks.quality.rows import train as train_model
from benchmarks.record import record

BORDER = 16  # rows of a block that are windows of its neighbour's too
HELD = "a seeded tenth of the training part validates"


def skeletons(data: Path, minutes: float) -> None:
    folder = data / "jhmdb_skeletons"
    scores, seconds, found = [], 0.0, dict[str, Any]()
    for seed in range(3):
        name = f"jhmdb-{seed}"
        model, took = train_model("table", name, [folder / "split1_train.npz"], minutes / 3, points=2, seed=seed)
        found = model.evaluate([folder / "split1_test.npz"])
        seconds += took
        scores.append(100 * found["accuracy"])
    _record("video/jhmdb_skeletons", scores, found["baselines"], seconds, f"split 1; {HELD}", seeds=3)


def signs(data: Path, minutes: float) -> None:
    with np.load(data / "sign_keypoints/mp_data_dev.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    fold = np.random.default_rng(0).permutation(len(arrays["X"])) % 5

    def part(number: int, test: bool) -> Path:
        path = MODELS / f"signs-{'test' if test else 'train'}.npz"
        chosen = (fold == number) == test
        np.savez(path, **{name: value[chosen] if len(value) == len(chosen) else value for name, value in arrays.items()})
        return path

    _folds("video/sign_keypoints", "signs", part, minutes, f"five seeded folds by clip; {HELD}")


def hands(data: Path, minutes: float) -> None:
    """Neighbouring rows are the same window shifted by one, so blocks of each class are the folds, their borders left out."""
    text = lzma.decompress((data / "hand_point_history/point_history.csv.xz").read_bytes()).decode()
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    by_class: dict[str, list[list[str]]] = {}
    for row in rows:
        by_class.setdefault(row[0], []).append(row)

    def part(number: int, test: bool) -> Path:
        path = MODELS / f"hands-{'test' if test else 'train'}.csv"
        chosen = []
        for own in by_class.values():
            low, high = len(own) * number // 5, len(own) * (number + 1) // 5
            around = own[: max(0, low - BORDER)] + own[high + BORDER :]
            chosen += own[low:high] if test else around
        path.write_text("".join(",".join(row) + "\n" for row in chosen))
        return path

    split = f"five contiguous blocks of each class as folds, {BORDER} rows dropped at the borders of the training part; {HELD}"
    _folds("video/hand_point_history", "hands", part, minutes, split, channels=2)


def series(data: Path, minutes: float) -> None:
    sets = {
        "video/BasicMotions": (data / "BasicMotions", "BasicMotions"),
        "video/GunPoint": (data / "GunPoint", "GunPoint"),
        "speech/japanese_vowels": (data.parent / "speech/japanese_vowels", "JapaneseVowels"),
    }
    for name, (folder, stem) in sets.items():
        model, seconds = train_model("table", stem, [folder / f"{stem}_TRAIN.ts.xz"], minutes / 3)
        found = model.evaluate([folder / f"{stem}_TEST.ts.xz"])
        _record(name, [100 * found["accuracy"]], found["baselines"], seconds, f"official split; {HELD}")


def _folds(name: str, stem: str, part: Any, minutes: float, split: str, **options: Any) -> None:
    """Trains on four parts and tests on the fifth, each in turn; the mean over all examples."""
    right, count, seconds = 0.0, 0, 0.0
    others: dict[str, float] = {}
    for number in range(5):
        model, took = train_model("table", f"{stem}-{number}", [part(number, False)], minutes / 5, **options)
        found = model.evaluate([part(number, True)])
        size = found["examples"]
        right, count, seconds = right + size * found["accuracy"], count + size, seconds + took
        for way, value in found["baselines"].items():
            others[way] = others.get(way, 0.0) + size * value
    _record(name, [100 * right / count], {way: value / count for way, value in others.items()}, seconds, split)


def _record(name: str, scores: Sequence[float], others: dict[str, float], seconds: float, split: str, seeds: int = 1) -> None:
    baselines = {way.removesuffix(", accuracy"): 100 * value for way, value in others.items()}
    more: dict[str, Any] = {"values": list(scores)} if len(scores) > 1 else {}
    facts: dict[str, Any] = {"seconds": round(seconds), "command": command("video"), "split": split, "seeds": seeds}
    record("video", name, "accuracy %", statistics.mean(scores), "higher", baselines=baselines, **facts, **more)


ROWS = {"skeletons": (skeletons, 18), "signs": (signs, 3), "series": (series, 5), "hands": (hands, 3)}

if __name__ == "__main__":
    run("video", ROWS)
