"""One form for every measured result: a list of records in `benchmarks/results/<name>.json`."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from unspool.tasks.verbs import versions

RESULTS = Path(__file__).parent / "results"


def record(name: str, data: str, measure: str, value: float, better: str, *, quiet: bool = False, **facts: Any) -> None:
    """Adds a record, or replaces the one of the same data and measure; prints it as one line of JSON.

    `facts`: baselines, settings, seeds, seconds, command, and what else pins the split and the unit.
    """
    file = RESULTS / f"{name}.json"
    known = json.loads(file.read_text("utf-8")) if file.exists() else []
    new = {
        "data": data,
        "measure": measure,
        "value": value,
        "better": better,
        "settings": "default",
        "seeds": 1,
        **facts,
        "commit": _COMMIT,
        "machine": _machine(),
        "versions": versions(),
    }
    RESULTS.mkdir(exist_ok=True)
    kept = [r for r in known if (r["data"], r["measure"]) != (data, measure)]
    file.write_text(json.dumps([*kept, new], indent=1, ensure_ascii=False) + "\n", "utf-8")
    if not quiet:
        print(json.dumps(new, ensure_ascii=False), flush=True)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=RESULTS.parent).stdout.strip()


def _machine() -> str:
    cpu = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
        flags = next((line for line in lines if line.startswith("flags")), "")
        cpu = f"{model}, {'AVX-512' if 'avx512f' in flags else 'AVX2' if 'avx2' in flags else cpu}"
    return f"{cpu}, {torch.get_num_threads()} threads"


_COMMIT = _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "src", "csrc") else "")  # when it begins
