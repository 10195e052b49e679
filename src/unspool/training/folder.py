"""The model folder: `model.safetensors`, `config.json`, `metrics.json`, `README.md`, and while training goes on `training.*`.

No pickle anywhere. Every file is written beside its name and then moved onto it, so a full disk or a kill leaves the old one.
`config.json` is written once, before any weights; each file of tensors carries the configuration's fingerprint, so a file that
belongs to another model is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from unspool.errors import ModelError, TrainingError

__all__ = ["FORMAT", "ModelFolder", "weights"]

FORMAT = 2  # 1 had embeddings that were not scaled


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """A model's tensors by name, one that serves in two places under its first name only."""
    first = {v.data_ptr(): k for k, v in reversed(model.state_dict().items()) if v.numel()}
    return {k: v for k, v in model.state_dict().items() if not v.numel() or first[v.data_ptr()] == k}


class ModelFolder:
    """One model on disk."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @property
    def trained(self) -> bool:
        """Whether weights are there."""
        return (self.path / "model.safetensors").exists()

    @property
    def free(self) -> bool:
        """Whether a training can begin here: nothing is there, or what one left that ended before anything was learned."""
        names = {file.name for file in self.path.iterdir()} if self.path.is_dir() else set()
        return not names or ("config.json" in names and names <= {"config.json", "baseline.safetensors"})

    def create(self, config: Mapping[str, Any]) -> None:
        """Starts the folder with its configuration."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"cannot make the model folder {self.path}: {error.strerror}") from error
        self.write("config.json", json.dumps({"format": FORMAT, **config}, indent=1, ensure_ascii=False).encode())

    def config(self) -> dict[str, Any]:
        """The configuration; ModelError when this is no model folder, or one of another format."""
        if not self.path.is_dir():
            raise ModelError(f"there is no model folder {self.path}; unspool train ... -o {self.path} makes one")
        if not (self.path / "config.json").exists():
            raise ModelError(f"{self.path} is no model folder: it has no config.json")
        try:
            config = json.loads((self.path / "config.json").read_text("utf-8"))
            found = config["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{self.path / 'config.json'} is damaged: {error}; take it from a backup, or train again") from error
        if found != FORMAT:
            remedy = "train it again" if found in range(FORMAT) else "upgrade unspool"
            raise ModelError(f"{self.path} is of format {found}, this version reads {FORMAT}: {remedy}")
        return config

    def save_tensors(self, name: str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None) -> None:
        """Writes one file of tensors, with a JSON of plain values beside them."""
        data = to_bytes(
            {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
            {"config": self._fingerprint(), "meta": json.dumps(meta or {})},
        )
        self.write(f"{name}.safetensors", data)

    def load_tensors(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Reads what `save_tensors` wrote; ModelError when it is missing, truncated or belongs to another model."""
        file = self.path / f"{name}.safetensors"
        if not file.exists():
            raise ModelError(f"{self.path} lacks {file.name}; training has not come so far, or the file was removed")
        try:
            with safetensors.safe_open(file, "pt") as data:  # type: ignore[no-untyped-call]
                meta = data.metadata() or {}
                tensors = {key: data.get_tensor(key) for key in data.keys()}  # noqa: SIM118  (not a mapping)
        except (safetensors.SafetensorError, OSError) as error:
            raise ModelError(f"{file} is damaged or cut short ({error}); take it from a backup, or train again") from error
        if meta.get("config") != self._fingerprint():
            raise ModelError(
                f"{file} does not belong to {self.path / 'config.json'}: one of the two was changed or comes from elsewhere"
            )
        return tensors, json.loads(meta["meta"])

    def load_into(self, model: torch.nn.Module) -> dict[str, Any]:
        """Puts the weights into a model; returns what was stored beside them. ModelError when they do not fit."""
        tensors, meta = self.load_tensors("model")
        own = {k: tuple(v.shape) for k, v in weights(model).items()}
        found = {k: tuple(v.shape) for k, v in tensors.items()}
        for key in own.keys() | found.keys():
            if own.get(key) != found.get(key):
                raise ModelError(
                    f"{self.path}: {key} is {found.get(key, 'missing')} in the file, and {own.get(key, 'unknown')} here"
                )
        model.load_state_dict(tensors, strict=False)  # strict would ask for shared weights twice
        return meta

    def write(self, name: str, data: bytes) -> None:
        """Replaces one file, whole or not at all."""
        beside = self.path / f".{name}.part"
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path / name)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise TrainingError(f"could not write {self.path / name}: {error.strerror}; what was there before is kept") from error

    def write_json(self, name: str, data: Any) -> None:
        self.write(name, json.dumps(data, indent=1, ensure_ascii=False).encode())

    def _fingerprint(self) -> str:
        return hashlib.sha256((self.path / "config.json").read_bytes()).hexdigest()
