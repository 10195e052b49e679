"""unspool info"""

from __future__ import annotations

from typing import Annotated

import typer


def info(json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Versions, devices, and which engine serves which cell, and why."""
    import json as notation

    import torch

    from unspool import cells, engines
    from unspool.engines import native
    from unspool.tasks.verbs import facts, versions

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    variants = [
        cells.RNN(),
        cells.RNN("relu"),
        cells.GRU(),
        cells.GRU("before"),
        cells.GRU("none"),
        cells.LSTM(),
        cells.LSTM("cell"),
        cells.LSTM(peepholes=True),
        cells.MinGRU(),
        cells.MinLSTM(),
    ]
    answer = {
        "versions": versions(),
        "device": f"{device}, {torch.get_num_threads()} threads",
        "native engine": native.isa() or native.missing(),
        "compiler for cells of your own": native.compiler() or "none; install one (Debian: apt-get install g++), or set CXX",
        "engine of each cell": {repr(cell): engines.explain(cell, device, torch.float32) for cell in variants},
    }
    print(notation.dumps(answer) if json else facts(answer))
