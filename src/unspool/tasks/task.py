"""What an application is to the rest of the library: how its raw data is read, what it trains, and how a trained model answers."""

from __future__ import annotations

import json
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from unspool.errors import ConfigError, UnspoolError, did_you_mean
from unspool.insight.opened import Opened
from unspool.training import ModelFolder, Options, Progress
from unspool.training.loop import Job

__all__ = ["Demonstration", "Prepared", "Task", "Trained", "as_json", "configure", "read_config"]


@dataclass
class Prepared:
    """A task's data, read, split and encoded, and the model to be trained on it."""

    job: Job
    config: Any  # the task's configuration, every "auto" resolved
    codec: dict[str, Any]  # as JSON, enough to read and write raw data again
    facts: dict[str, Any]  # about the data: files, counts, what was skipped
    baseline: dict[str, Any]  # tensors of the baseline, by name
    finish: Callable[[ModelFolder], dict[str, Any]] = lambda _: {}  # what is learned after training, from the best weights


@dataclass(frozen=True)
class Demonstration:
    """What `unspool demo` trains on: files made in a scratch folder, a held-out part, options, and a sentence about the data; and
    what it trains `then`, each a model whose folder has a `name` of its own."""

    train: list[Path]
    test: list[Path]
    options: dict[str, Any]
    about: str
    then: Sequence[Demonstration] = ()
    name: str = ""


class Trained(ABC):
    """A trained model. Verbs that its task does not have raise UnspoolError."""

    model: Any  # the network
    scored = "text"  # what `scores` calls what it scored
    shown = 1  # samples that are generated where no number is asked for

    def __init__(self, folder: ModelFolder, stored: dict[str, Any]):
        self.folder, self.stored = folder, stored

    @property
    def task(self) -> str:
        return self.stored["task"]

    @property
    def metrics(self) -> dict[str, Any]:
        """What training reported."""
        file = self.folder.path / "metrics.json"
        return json.loads(file.read_text("utf-8")) if file.exists() else {}

    def save(self, path: str | Path) -> None:
        """Copies the model folder to a new place; ConfigError when something is there."""
        copy = ModelFolder(path)
        if copy.path.exists():
            raise ConfigError(f"{path} exists already; choose another name")
        for file in sorted(self.folder.path.iterdir()):
            if file.is_file() and not file.name.startswith((".", "training.")):
                copy.path.mkdir(parents=True, exist_ok=True)
                copy.write(file.name, file.read_bytes())

    @abstractmethod
    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """Metrics on data, the baselines beside them."""

    def transfer(self, model: Any) -> None:
        """Copies these weights into a model of the same shape, whose vocabulary may be longer."""
        own = self.model.state_dict()
        for name, target in model.state_dict().items():
            source = own.get(name)
            if source is None or source.shape[1:] != target.shape[1:] or len(source) > len(target):
                raise ConfigError(
                    f"--init needs the shape of the first model, but {name} differs; leave out the options of the network"
                )
            target[: len(source)].copy_(source)

    @abstractmethod
    def examples(self, seed: int = 0) -> str:
        """A few answers to look at, and the commands that give more."""

    def opened(self, item: str | Path, most: int = 400) -> Opened:
        """What `unspool inspect` looks at: one input, of at most so many steps, and what the model makes of it."""
        raise self._refuse("inspect")

    def generate(self, *arguments: Any, **options: Any) -> Any:
        raise self._refuse("generate")

    def deliver(self, samples: Any, output: Path | None = None, as_json: bool = False) -> str:
        """What to print for what `generate` gave; where there is an output, that is written first."""
        raise self._refuse("generate")

    def predict(self, *arguments: Any, **options: Any) -> Any:
        raise self._refuse("predict")

    def score(self, *arguments: Any, **options: Any) -> Any:
        raise self._refuse("score")

    def scores(self, data: Sequence[str | Path]) -> Iterator[tuple[str, dict[str, float]]]:
        """The score of each line or piece of files, with its text or its name."""
        raise self._refuse("score")

    def _refuse(self, verb: str) -> UnspoolError:
        return UnspoolError(f"a {self.task} model has no {verb!r}")


class Task(ABC):
    """An application. `Config` is a frozen dataclass: its fields are the options, its defaults the product."""

    name: str
    Config: type[Any]

    @abstractmethod
    def prepare(
        self,
        data: Sequence[str | Path],
        valid: Sequence[str | Path],
        config: Any,
        scratch: Path,
        progress: Progress,
        *,
        stored: Mapping[str, Any] | None = None,
        init: Trained | None = None,
    ) -> Prepared:
        """Reads, splits and encodes the data, and builds the model.

        `scratch` is a folder for large intermediate files. `stored` is the configuration of the model that is resumed, `init` the
        model to go on from.
        """

    @abstractmethod
    def options(self, config: Any) -> Options:
        """How this configuration trains."""

    @abstractmethod
    def load(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto") -> Trained:
        """A trained model from its folder."""

    @abstractmethod
    def demonstration(self, scratch: Path) -> Demonstration:
        """Data of its own, so that anybody can try this task without any."""

    @abstractmethod
    def card(self, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
        """The model card: what this model is, what it was trained on, how good it is, how to use it."""


def configure(kind: type[Any], given: Mapping[str, Any]) -> Any:
    """A configuration from options; ConfigError for a key that does not exist or a value of the wrong type."""
    known = {f.name: f for f in fields(kind)}
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"there is no option {key!r}{did_you_mean(key, known)}; the options are {', '.join(known)}")
        if value is not None and not _fits(value, str(known[key].type)):
            raise ConfigError(f"option {key!r} takes {known[key].type}, not {value!r}")
    return kind(**given)


def _fits(value: Any, annotation: str) -> bool:
    kinds = {"str": str, "int": int, "float": (int, float), "bool": bool}
    allowed = [kinds[name] for name in annotation.replace(" ", "").split("|") if name in kinds]
    if isinstance(value, bool) and bool not in allowed:
        return False
    return not allowed or any(isinstance(value, kind) for kind in allowed)


def read_config(path: str | Path) -> dict[str, Any]:
    """Options from a TOML or JSON file; ConfigError when it cannot be read as one."""
    path = Path(path)
    try:
        text = path.read_text("utf-8")
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(
            f"the configuration {path} is no valid {'JSON' if path.suffix == '.json' else 'TOML'}: {error}"
        ) from error
    if not isinstance(data, dict):
        raise ConfigError(f"the configuration {path} must hold names and values")
    return data


def as_json(config: Any) -> dict[str, Any]:
    """A configuration as plain values."""
    return asdict(config)
