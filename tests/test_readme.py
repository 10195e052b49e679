"""What the README and the guide say is so: its table is that of the records, and its snippets and commands run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.table import results, updated
from unspool.codecs.video import write_video
from unspool.tasks import dna_simulated, formants, numerals, reviews, video_shapes
from unspool.tasks.cadences import write

PAGES = ("README.md", "docs/guide.md", "docs/cells.md")
README, GUIDE, CELLS = ((Path(__file__).parents[1] / name).read_text("utf-8") for name in PAGES)
BLOCKS = re.findall(r"```sh\n(.*?)```", README + GUIDE, re.DOTALL)
COMMANDS = list(dict.fromkeys(line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines()))


def test_the_table_is_that_of_the_records():
    assert updated(README) == README, "run: python -m benchmarks.table"
    assert (Path(__file__).parents[1] / "docs" / "results.md").read_text("utf-8") == results(), "run: python -m benchmarks.table"
    assert len(README.splitlines()) < 200


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the files that the README speaks of."""
    folder = tmp_path_factory.mktemp("desk")
    lines = [f"Today number {i} is a good day to write a line, and to read {i % 7} more of them." for i in range(150)]
    for name in ("tweets.txt", "other-tweets.txt"):
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    reviews.write(folder / "reviews.csv", 300, seed=1)
    reviews.write(folder / "more-reviews.csv", 30, seed=2)
    numerals.write(folder / "train", 300, seed=1)
    (folder / "lines.txt").write_text("eins\nzwei\n")
    (folder / "words.tsv").write_text("eins\tone\n")
    write(folder / "tunes", 30, seed=1)
    write(folder / "other-tunes", 3, seed=2)
    next((folder / "other-tunes").iterdir()).rename(folder / "beginning.mid")
    for name in ("recordings", "other-recordings"):
        formants.write(folder / name, 8, seed=1)
    formants.write(folder / "calls", 3, seed=1, strings=True)
    (folder / "calls" / "0.wav").rename(folder / "call.wav")
    (folder / "words.txt").write_text("ai\nia\nuau\n")
    (folder / "texts.txt").write_text("ai ia au\nai uau\n")
    for name, length, seed in (("genomes/train", 60_000, 1), ("other-genomes/test", 20_000, 2)):
        dna_simulated.write((folder / name).parent, Path(name).name, length, seed)
    dna_simulated.write(folder, "genome", 30_000, 3)
    rows = "".join(f"{'ab'[n % 2]},{'ACGT' * 4}{'AC'[n % 2] * 5}\n" for n in range(60))
    (folder / "windows.csv").write_text("label,sequence\n" + rows)
    rng = np.random.default_rng(0)
    for name in ("series", "other-series"):
        np.savez(folder / f"{name}.npz", X=rng.standard_normal((30, 9, 2)), y=np.arange(30) % 2)
    video_shapes.write_motions(folder / "clips", 24, 1)
    video_shapes.write_captions(folder / "said", 24, 2)
    head, *rows = (folder / "said" / "captions.csv").read_text().splitlines()
    (folder / "captions.csv").write_text("\n".join([head, *(f"said/{row}" for row in rows)]))
    head, *rows = video_shapes.write_films(folder / "films", 10, 1, seconds=16, people=2).read_text().splitlines()
    (folder / "scores.csv").write_text("\n".join([head, *(f"films/{row}" for row in rows)]))
    scenes = [video_shapes.clip("circle", colour, "grows", rng, frames=20) for colour in ("red", "blue")]
    write_video(folder / "clip.mp4", iter(np.concatenate(scenes)), 10.0)
    return folder


def quick(text):
    return re.sub(r"\b1?5m\b", "2s", text)


def run(arguments, folder):
    found = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_the_commands_run(desk):
    ours = [line for line in COMMANDS if line.startswith("unspool ")]
    ours = [line for line in ours if not line.startswith("unspool demo")]  # a minute each; tests/tasks has short ones
    assert {line.split()[1] for line in ours} == {
        "train",
        "generate",
        "predict",
        "evaluate",
        "score",
        "info",
        "inspect",
        "summarize",
    }
    for line in ours:
        run([sys.executable, "-m", *shlex.split(quick(line))], desk)


SNIPPETS = re.findall(r"```python\n(.*?)```", README + GUIDE + CELLS, re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["cell", "train", "layer", "stream", "speech", "video", "own", "less"])
def test_the_snippets_run(snippet, desk):
    run([sys.executable, "-c", quick(snippet)], desk)


def test_the_cell_of_the_readme_is_the_one_in_use():
    from unspool import cells

    space: dict = {}
    exec(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0], space)
    assert space["LSTM"]().products == cells.LSTM().products
    assert space["LSTM"].state == cells.LSTM.state
