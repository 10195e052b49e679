"""Quality of `unspool train table` and `unspool train video` with their default settings.

    python -m benchmarks.quality.video ROW [--minutes M] [--data FOLDER] [--kept]

Rows: skeletons (three seeds, which share the minutes), pixels (the same clips drawn as pictures), signs (five folds), series (three
sets), hands (five folds), motions and captions (rendered), shots and events (planted), summaries (of real files), pace. Models and
test files are kept in `models/`.
"""

from __future__ import annotations

import csv
import io
import lzma
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unspool
from benchmarks.quality.rows import MODELS, command, run
from benchmarks.quality.rows import train as train_model
from benchmarks.record import record
from unspool.codecs.looks import look
from unspool.codecs.video import Video, write_video
from unspool.decoding.shots import shots
from unspool.tasks.summary import agreement, chosen, cut, frames_of, summarize
from unspool.tasks.video_shapes import COLOURS, MOTIONS, SHAPES, clip, film, write_captions, write_motions

BORDER = 16  # rows of a block that are windows of its neighbour's too
HELD = "a seeded tenth of the training part validates"


def skeletons(data: Path, minutes: float) -> None:
    folder = data / "jhmdb_skeletons"
    scores, seconds, found = [], 0.0, dict[str, Any]()
    for seed in range(3):
        name = f"jhmdb-{seed}"
        model, took = train_model("table", name, [folder / "split1_train.npz"], minutes / 3, points=2, mirror=True, seed=seed)
        found = model.evaluate([folder / "split1_test.npz"])
        seconds += took
        scores.append(100 * found["accuracy"])
    split = f"split 1; {HELD}"
    _record("video/jhmdb_skeletons", scores, found["baselines"], seconds, split, seeds=3, settings="default; points 2, mirror")


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
    settings = "; ".join(["default", *(f"{option} {value}" for option, value in options.items())])
    means = {way: value / count for way, value in others.items()}
    _record(name, [100 * right / count], means, seconds, split, settings=settings)


def pixels(data: Path, minutes: float) -> None:
    """The joints of each clip drawn as a figure of 64 x 64 pixels; the model that sees the middle picture alone has a third of the
    time."""
    folders = [_figures(data / f"jhmdb_skeletons/split1_{part}.npz", MODELS / f"figures-{part}") for part in ("train", "test")]
    found, seconds = {}, 0.0
    for name, single, share in (("figures-model", False, 0.75), ("figures-single", True, 0.25)):
        model, took = train_model("video", name, [folders[0]], minutes * share, mirror=True, single=single)
        found[single] = model.evaluate([folders[1]])
        seconds += took
    others = {**found[False]["baselines"], "single picture": found[True]["accuracy"]}
    name = "video/jhmdb_skeletons, drawn as 64 x 64 pictures"
    _record(name, [100 * found[False]["accuracy"]], others, seconds, f"split 1; {HELD}", settings="default; mirror")


BONES = ((0, 1), (0, 2), (0, 3), (0, 4), (3, 7), (7, 11), (4, 8), (8, 12), (1, 5), (5, 9), (9, 13), (1, 6), (6, 10), (10, 14))


def _figures(source: Path, folder: Path, side: int = 64) -> Path:
    """Clips of joints as arrays of pictures in folders named by class. JHMDB's joints: neck, belly, face, shoulders, hips, elbows,
    knees, wrists, ankles."""
    with np.load(source, allow_pickle=False) as file:
        pose, lengths, labels = file["pose"], file["lengths"], file["labels"]
    ends = np.cumsum(lengths)
    for number, (end, length, label) in enumerate(zip(ends.tolist(), lengths.tolist(), labels.tolist(), strict=True)):
        joints = pose[end - length : end].astype(np.float32)
        low, high = joints.min((0, 1)), joints.max((0, 1))
        scale = 0.9 * side / float((high - low).max())
        place = (joints - (low + high) / 2) * scale + side / 2
        clip = np.stack([_figure(frame, side) for frame in place])
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        np.save(folder / str(label) / f"{number}.npy", clip)
    return folder


def _figure(joints: np.ndarray, side: int) -> np.ndarray:
    grid = np.stack(np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5), 2)
    picture = np.zeros((side, side))
    for a, b in BONES:
        along = joints[b] - joints[a]
        share = ((grid - joints[a]) @ along / max(1e-6, float(along @ along))).clip(0, 1)
        far = np.linalg.norm(grid - joints[a] - share[..., None] * along, axis=2)
        picture = np.maximum(picture, np.clip(1.7 - far, 0, 1))
    head = np.linalg.norm(grid - joints[2], axis=2)
    return (255 * np.maximum(picture, np.clip(3.5 - head, 0, 1))).astype(np.uint8)


def motions(data: Path, minutes: float) -> None:
    train, test = (write_motions(MODELS / f"motions-{part}", n, seed) for part, n, seed in (("train", 1800, 1), ("test", 600, 2)))
    found, seconds = {}, 0.0
    for name, single, share in (("motions-model", False, 0.7), ("motions-single", True, 0.3)):
        model, took = train_model("video", name, [train], minutes * share, single=single)
        found[single] = model.evaluate([test])
        seconds += took
    others = {**found[False]["baselines"], "single picture": found[True]["accuracy"], "chance": 1 / 6}
    split = "1,800 rendered clips to learn from, 600 others to test on"
    _record("rendered motions", [100 * found[False]["accuracy"]], others, seconds, split)


def captions(data: Path, minutes: float) -> None:
    train = write_captions(MODELS / "captions-train", 4000, 3)
    test = write_captions(MODELS / "captions-test", 500, 4, held=True)
    model, seconds = train_model("video", "captions-model", [train], minutes)
    found = model.evaluate([test])
    others = {key: 100 * value for key, value in found["baselines"].items() if "exact" in key}
    facts: dict[str, Any] = {"seconds": round(seconds), "command": command("video"), "baselines": others, "BLEU": found["BLEU"]}
    facts["split"] = "4,000 rendered clips; tested on 500 whose combinations of colour, shape and motion were never trained"
    record("video", "rendered captions", "exact match %", 100 * found["exact match"], "higher", **facts)


def shot_changes(data: Path, minutes: float) -> None:
    """Rendered films of 8 to 20 scenes of 1 to 6 seconds each, ten frames a second: moving shapes before a ground of its own."""
    rng = np.random.default_rng(5)
    hits = made = true = 0
    rates = {"every 3 s": np.zeros(2)}
    for _ in range(40):
        pictures, borders = _film(rng)
        found = shots(np.stack([look(picture) for picture in pictures]), most=len(pictures) // 10)[1:]
        hits += sum(any(abs(a - b) <= 2 for b in found) for a in borders)
        made, true = made + len(found), true + len(borders)
        even = list(range(30, len(pictures), 30))
        rates["every 3 s"] += np.array([sum(any(abs(a - b) <= 2 for b in even) for a in borders), len(even)])
    others = {name: 2 * h / (m + true) for name, (h, m) in rates.items()}
    facts: dict[str, Any] = {"seconds": 0, "command": command("video"), "baselines": others}
    facts["split"] = "40 rendered films of 8 to 20 scenes; nothing is trained"
    record("video", "planted shot changes", "F1 within 2 frames", 2 * hits / (made + true), "higher", **facts)


def _film(rng: np.random.Generator) -> tuple[list[np.ndarray], list[int]]:
    pictures: list[np.ndarray] = []
    borders = []
    for _ in range(int(rng.integers(8, 21))):
        length = int(rng.integers(10, 61))
        scene = clip(str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS))), str(rng.choice(list(MOTIONS))), rng, frames=length)
        borders.append(len(pictures))
        pictures += list(scene)
    return pictures, borders[1:]


def events(data: Path, minutes: float) -> None:
    """Rendered films of 90 s in one place where nothing happens but noise, and four times for 2 to 4 s a shape comes through."""
    rng = np.random.default_rng(6)
    ours, random = [], []
    for _ in range(40):
        pictures, places = film(rng, 90, 4)
        truth = frames_of([(start, stop) for start, stop, _ in places], len(pictures))
        looks = np.stack([look(picture) for picture in pictures])
        parts = chosen(looks, cut(looks, 0.1), 0.15)[1]
        ours.append(agreement(frames_of(parts, len(pictures)), truth))
        pieces = rng.permutation(60)[:9]  # pieces of 15 frames
        random.append(agreement(np.isin(np.arange(900) // 15, pieces), truth))
    facts: dict[str, Any] = {"seconds": 0, "command": command("video"), "baselines": {"random": 1.0}}
    facts |= {"F1": statistics.mean(ours), "F1 of random": statistics.mean(random)}
    facts["split"] = "40 rendered films with four events each, a budget of 15 %; nothing is trained"
    ratio = statistics.mean(ours) / statistics.mean(random)
    record("video", "planted events, 15 % budget", "times the F1 of random", ratio, "higher", **facts)


def summaries(data: Path, minutes: float) -> None:
    """Of each real file a summary, decoded again: how many play, within the budget."""
    files = [data / "exercise_clip/exercise.avi", *sorted((data / "clips").iterdir())]
    good, rows = 0, {}
    for file in files:
        output = MODELS / f"summary-{file.stem}-{file.suffix[1:]}.mp4"
        summary = summarize(file, output)
        frames = list(Video(output).frames())
        rate = len(frames) / max(frames[-1].time, 1e-6) if len(frames) > 1 else 10.0
        long = frames[-1].time + 1 / rate
        rows[file.name] = f"{long:.2f} of {summary.seconds:.2f} s, {sum(s.shown[1] > 0 for s in summary.shots)} shots"
        good += long <= 0.15 * summary.seconds + 1.5 / rate
    facts: dict[str, Any] = {"seconds": 0, "command": command("video"), "baselines": {}, "files": rows}
    facts["split"] = "each is decoded again by PyAV, and its duration is within 15 % of the video's, to a frame"
    record("video", "video/exercise_clip, video/clips", "% of summaries that play", 100 * good / len(files), "higher", **facts)


def pace(data: Path, minutes: float) -> None:
    """A clip of 320 x 240 through decoding and the model of the row `pixels`, ten frames a second, one thread."""
    torch.set_num_threads(1)
    file = MODELS / "pace.mp4"
    rng = np.random.default_rng(7)
    scenes = [np.kron(p, np.ones((8, 10, 1), np.uint8))[:240, :320] for p in _film(rng)[0][:300]]
    write_video(file, (np.ascontiguousarray(p) for p in scenes), 30.0)
    model: Any = unspool.load(MODELS / "figures-model")
    rates = []
    for _ in range(5):
        began = time.perf_counter()
        list(model.predict([file]))
        rates.append(len(scenes) / 30 / (time.perf_counter() - began))
    facts: dict[str, Any] = {"seconds": 0, "command": command("video"), "baselines": {"real time": 1.0}}
    facts["split"] = "10 s of H.264 at 30 frames a second, 320 x 240, ten of which are looked at; median of five"
    record("video", "decoding + model, one thread", "times real time", statistics.median(rates), "higher", **facts)


def _record(
    name: str, scores: Sequence[float], others: dict[str, float], seconds: float, split: str, seeds: int = 1, **more: Any
) -> None:
    baselines = {way.removesuffix(", accuracy"): 100 * value for way, value in others.items()}
    more |= {"values": list(scores)} if len(scores) > 1 else {}
    facts: dict[str, Any] = {"seconds": round(seconds), "command": command("video"), "split": split, "seeds": seeds}
    record("video", name, "accuracy %", statistics.mean(scores), "higher", baselines=baselines, **facts, **more)


ROWS = {
    "skeletons": (skeletons, 18),
    "pixels": (pixels, 20),
    "signs": (signs, 3),
    "series": (series, 5),
    "hands": (hands, 3),
    "motions": (motions, 4),
    "captions": (captions, 12),
    "shots": (shot_changes, 0),
    "events": (events, 0),
    "summaries": (summaries, 0),
    "pace": (pace, 0),
}

if __name__ == "__main__":
    run("video", ROWS)
