import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from unspool.cli.app import main

torch.set_num_threads(1)  # small work: threads would only wait for each other

DATA = Path(os.environ.get("UNSPOOL_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def run(monkeypatch, capsys):
    """The command line, in this process: with arguments, perhaps in a folder, to what it gave."""

    def run(*arguments, cwd=None):
        capsys.readouterr()
        with monkeypatch.context() as here:
            here.setattr(sys, "argv", ["unspool", *map(str, arguments)])
            if cwd:
                here.chdir(cwd)
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code or 0
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run


@pytest.fixture
def real_data():
    """The folder of real data, where it is there."""
    if not DATA.is_dir():
        pytest.skip(f"no real data in {DATA}")
    return DATA


@pytest.fixture
def tweets(tmp_path):
    """A file of 400 short documents over a small grammar."""
    rng = np.random.default_rng(0)
    words = ["we", "will", "make", "great", "deals", "and", "win", "so", "much", "folks", "believe", "me"]
    lines = [" ".join(rng.choice(words, rng.integers(4, 10))) + "!" for _ in range(400)]
    file = tmp_path / "tweets.txt"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


@pytest.fixture
def play(tmp_path):
    """A file of running text."""
    rng = np.random.default_rng(1)
    names, words = (
        ["KING", "QUEEN", "FOOL"],
        ["to", "be", "or", "not", "that", "is", "the", "question", "whether", "it", "was", "nobler", "in", "mind"],
    )
    speeches = [f"{rng.choice(names)}:\n{' '.join(rng.choice(words, 6))}.\n{' '.join(rng.choice(words, 5))}.\n" for _ in range(150)]
    file = tmp_path / "play.txt"
    file.write_text("\n".join(speeches), "utf-8")
    return file


@pytest.fixture
def two_threads():
    """For what is divided among threads."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)
