"""Train and load, for every task. The command line and `import unspool` both call these."""

from __future__ import annotations

import inspect as introspection
import json
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unspool
from unspool.errors import ConfigError, ModelError
from unspool.layers import Recurrent
from unspool.tasks import find
from unspool.tasks.task import Prepared, Task, Trained, as_json, configure
from unspool.training import ModelFolder, Outcome, Progress, fit

__all__ = ["deliver", "demo", "facts", "generate", "inspect", "load", "predict", "train", "versions"]

LONG = 20_000  # steps in which units that follow a rule are looked for

Paths = str | Path | Sequence[str | Path]


def train(
    task: str,
    data: Paths,
    output: str | Path | None = None,
    *,
    valid: Paths = (),
    resume: bool = False,
    init: str | Path | None = None,
    progress: Progress | str = "auto",
    **options: Any,
) -> Trained:
    """Trains a model of a task on files, into the folder `output` (default: the name of the first file, in this folder).

    `options` are those of the task's configuration. `resume` goes on with an interrupted training, `init` starts from a trained
    model with new data. After an interruption the model is what was best so far, and `metrics["ended"]` says "interrupted".
    """
    paths = _paths(data)
    if not paths:
        raise ConfigError("training needs data: name at least one file or folder")
    folder = ModelFolder(output if output is not None else _named_after(Path(paths[0])))
    show = progress if isinstance(progress, Progress) else Progress(progress)
    room = find(task)
    stored = _resumed(folder, options, room) if resume else None
    if folder.path.exists() and not folder.path.is_dir():
        raise ConfigError(f"{folder.path} is a file; name a folder for the model with -o")
    if stored is None and not folder.free:
        raise ConfigError(f"{folder.path} exists already; choose another -o, or go on with its training by --resume")
    start = load(init) if init is not None else None
    if start is not None:
        options = _inherited(start, room, options)
    config = configure(room.Config, options if stored is None else {**stored["config"], **options})
    scratch = _scratch(folder.path.absolute().parent)
    try:
        prepared = room.prepare(paths, _paths(valid), config, scratch, show, stored=stored, init=start)
        if stored is None:
            _create(folder, room, prepared)
        outcome = fit(prepared.job, room.options(prepared.config), folder, show, resume=resume)
        _close(folder, room, prepared, outcome)
    finally:
        show.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return load(folder.path)


def load(path: str | Path, device: str = "auto") -> Trained:
    """A trained model from its folder; ModelError when it is none, or damaged."""
    folder = ModelFolder(path)
    stored = folder.config()
    for key in ("task", "config", "codec"):
        if key not in stored:
            raise ModelError(f"{folder.path / 'config.json'} is damaged: it has no {key!r}; take it from a backup, or train again")
    return find(stored["task"]).load(folder, stored, device)


def narrow(model: Trained, weights: str) -> Trained:
    """The weights of all recurrent layers as "f32", "bf16" or "int8"; see `Recurrent.narrow`."""
    for layer in model.model.modules():
        if isinstance(layer, Recurrent):
            layer.narrow(weights)
    return model


def evaluate(model: Trained, data: Sequence[str | Path], weights: str = "f32") -> dict[str, Any]:
    """`model.evaluate`; of rounded weights, and how far that is from what they are rounded from."""
    if weights == "f32":
        return model.evaluate(data)
    narrow(model, weights)  # or it is refused before anything is evaluated
    try:
        found = model.evaluate(data)
    finally:
        narrow(model, "f32")
    exact = model.evaluate(data)
    far = {
        key: value - exact[key] for key, value in found.items() if isinstance(value, float) and isinstance(exact.get(key), float)
    }
    return {**found, "weights": weights, "difference to f32 weights": far}


def predict(model: Trained, inputs: Sequence[str | Path], **options: Any) -> Any:
    """`model.predict`; ConfigError for an option that its task does not have."""
    return _called(model, "predict", inputs, options)


def generate(model: Trained, n: int = 0, **options: Any) -> Any:
    """`model.generate`; ConfigError for an option that its task does not have. `n` of 0 is as many as the task shows."""
    return _called(model, "generate", n or model.shown, options)


def inspect(model: Trained, item: str | Path, parts: Sequence[str] = (), rules: str | Path | None = None) -> dict[str, Any]:
    """What can be seen inside a model of one input, by part; see `insight.report`. `rules` is a .json of what units may follow."""
    from unspool.insight.report import inspect

    chosen = _rules(Path(rules)) if rules else None
    opened = model.opened(item)
    units = (not parts or "units" in parts) and (opened.text or chosen)
    return inspect(opened, parts, long=model.opened(item, LONG) if units else None, rules=chosen)


def _rules(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text("utf-8"))
        for rule in found.values():
            re.compile(rule)
    except (OSError, ValueError, AttributeError, TypeError, re.error) as error:
        raise ConfigError(f"{path} holds no rules ({error}); it is a .json of regular expressions by name") from error
    return found


def deliver(model: Trained, samples: Any, output: Path | None = None, as_json: bool = False, **beside: Any) -> str:
    """`model.deliver`, with files to be written beside the output; ConfigError for one that its task does not have."""
    return _called(model, "deliver", samples, {"output": output, "as_json": as_json, **beside})


def _called(model: Trained, verb: str, first: Any, options: Mapping[str, Any]) -> Any:
    call = getattr(model, verb)
    known = list(introspection.signature(call).parameters.values())
    for name in options:
        if not any(p.name == name or p.kind is p.VAR_KEYWORD for p in known):
            names = ", ".join(p.name for p in known[1:]) or "none"
            what = "an answer of" if verb == "deliver" else f"{verb} with"
            raise ConfigError(f"{what} a {model.task} model has no option {name!r}; the options are {names}")
    return call(first, **options)


def demo(task: str = "text", output: str | Path | None = None, *, seed: int = 0, progress: Progress | str = "auto") -> Trained:
    """Trains a model on data that needs no download, scores it beside its baselines on a held-out part, and shows what it does."""
    show = progress if isinstance(progress, Progress) else Progress(progress)
    room = find(task)
    if output is None:
        names = (f"demo-{task}{number}" for number in ("", *(f"-{n}" for n in range(2, 1000))))
        output = next(name for name in names if not Path(name).exists())
    with tempfile.TemporaryDirectory() as scratch:
        data = room.demonstration(Path(scratch))
        models = []
        for part in (data, *data.then):
            show.say(part.about)
            name = f"{output}-{part.name}" if part.name else output
            models.append(train(task, part.train, name, progress=show, **{"seed": seed, **part.options}))
            if models[-1].metrics["ended"] == "interrupted":
                break
            show.say("\non the held-out part:\n" + facts(models[-1].evaluate(part.test)))
    model = models[0]
    show.say(model.examples(seed))
    return model


def versions() -> dict[str, str]:
    """What a result depends on."""
    return {
        "unspool": unspool.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def _paths(given: Paths) -> list[str | Path]:
    return [given] if isinstance(given, (str, Path)) else list(given)


def _scratch(parent: Path) -> Path:
    """A folder for large intermediate files, beside the model: /tmp may be memory."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".unspool-", dir=parent))
    except OSError as error:
        raise ConfigError(f"cannot write in {parent}: {error.strerror}; choose another -o") from error


def _named_after(data: Path) -> str:
    name = data.name.lstrip(".").split(".")[0] or "model"
    return f"{name}-model" if Path(name).exists() and Path(name).samefile(data) else name


def _resumed(folder: ModelFolder, options: Mapping[str, Any], room: Task) -> dict[str, Any]:
    stored = folder.config()
    if stored.get("task") != room.name:
        raise ConfigError(f"{folder.path} is a {stored.get('task')} model, not a {room.name} model")
    if folder.free:
        raise ConfigError(f"{folder.path} holds nothing learned yet; train without --resume")
    if not (folder.path / "training.safetensors").exists():
        raise ConfigError(
            f"{folder.path} has no interrupted training; to go on from a finished model, use --init {folder.path} -o NEW"
        )
    for key, value in options.items():
        if key not in ("budget", "epochs", "device") and stored["config"].get(key, value) != value:
            raise ConfigError(f"a resumed training keeps its options, but {key} was {stored['config'][key]!r} and is now {value!r}")
    return stored


def _inherited(start: Trained, room: Task, options: dict[str, Any]) -> dict[str, Any]:
    if start.task != room.name:
        raise ConfigError(f"{start.folder.path} is a {start.task} model, not a {room.name} model")
    learning = (
        "budget",
        "epochs",
        "learning_rate",
        "weight_decay",
        "batch",
        "seed",
        "device",
        "engine",
        "column",
        "valid_share",
        "cache",
        "encoder",
        "text_column",
        "label_column",
        "swapped",
    )
    return {**{k: v for k, v in start.stored["config"].items() if k not in learning}, **options}


def _create(folder: ModelFolder, room: Task, prepared: Prepared) -> None:
    facts = {
        "task": room.name,
        "config": as_json(prepared.config),
        "codec": prepared.codec,
        "data": prepared.facts,
        "versions": versions(),
    }
    folder.create(facts)
    folder.save_tensors("baseline", {name: torch.as_tensor(array) for name, array in prepared.baseline.items()})


def _close(folder: ModelFolder, room: Task, prepared: Prepared, outcome: Outcome) -> None:
    """Writes down what training reports; a finished model drops what only resuming needs."""
    metrics = {
        "ended": outcome.ended,
        f"validation, {prepared.job.unit}": outcome.best,
        "baselines": prepared.job.baselines,
        "steps": outcome.steps,
        "epochs": round(outcome.epochs, 3),
        "seconds": round(outcome.seconds, 1),
        "symbols a second": round(outcome.symbols / max(outcome.seconds, 1e-9)),
        **prepared.finish(folder),
        "history": outcome.history,
    }
    folder.write_json("metrics.json", metrics)
    folder.write("README.md", room.card(folder.config(), metrics).encode())
    if outcome.ended != "interrupted":
        (folder.path / "training.safetensors").unlink(missing_ok=True)


def facts(answer: Mapping[str, Any]) -> str:
    """Names and values as text, one a line; a group of values is indented below its name."""
    rows: list[tuple[str, str]] = []
    for name, value in answer.items():
        if isinstance(value, Mapping):
            rows.append((name, ""))
            rows.extend((f"  {inner}", _shown(v)) for inner, v in value.items())
        else:
            rows.append((name, _shown(value)))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else f"{value:,}" if isinstance(value, int) else str(value)
