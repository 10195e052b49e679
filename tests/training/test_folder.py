"""Nothing trained is ever lost, and nothing damaged is ever taken for sound."""

import errno
import os

import pytest
import torch
from torch import nn

from unspool.errors import ModelError, TrainingError
from unspool.training import ModelFolder


@pytest.fixture
def folder(tmp_path):
    made = ModelFolder(tmp_path / "model")
    made.create({"task": "text"})
    made.save_tensors("model", nn.Linear(3, 2).state_dict(), {"step": 7})
    return made


def test_what_is_saved_comes_back(folder):
    model = nn.Linear(3, 2)
    assert folder.load_into(model) == {"step": 7}
    assert torch.equal(model.weight, folder.load_tensors("model")[0]["weight"])
    assert folder.config()["task"] == "text"


def test_a_folder_is_free_until_something_was_learned(tmp_path):
    folder = ModelFolder(tmp_path / "new")
    assert folder.free
    folder.create({"task": "text"})
    folder.save_tensors("baseline", {})
    assert folder.free
    folder.save_tensors("training", {})
    assert not folder.free
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("mine")
    assert not ModelFolder(tmp_path / "letters").free


def test_shared_weights_are_stored_once(folder):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

    from unspool.training.folder import weights

    model, again = Tied(), Tied()
    folder.save_tensors("model", weights(model))
    assert sorted(folder.load_tensors("model")[0]) == ["a.bias", "a.weight", "b.bias"]
    folder.load_into(again)
    assert torch.equal(again.b.weight, model.a.weight)


def damage(kind, folder, tmp_path):
    file, config = folder.path / "model.safetensors", folder.path / "config.json"
    if kind == "missing":
        file.unlink()
    elif kind == "truncated":
        file.write_bytes(file.read_bytes()[:-5])
    elif kind == "header":
        file.write_bytes(b"\xff" * 20)
    elif kind == "swapped":
        other = ModelFolder(tmp_path / "other")
        other.create({"task": "other"})
        other.save_tensors("model", nn.Linear(3, 2).state_dict())
        file.write_bytes((other.path / "model.safetensors").read_bytes())
    elif kind == "no config":
        config.unlink()
    elif kind == "broken config":
        config.write_text("{")
    elif kind == "newer":
        config.write_text('{"format": 99}')
    elif kind == "older":
        config.write_text('{"format": 1}')
    elif kind == "no folder":
        file.unlink()
        config.unlink()
        folder.path.rmdir()


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("missing", "lacks model.safetensors"),
        ("truncated", "damaged or cut short"),
        ("header", "damaged or cut short"),
        ("swapped", "does not belong to"),
        ("no config", "is no model folder: it has no config.json"),
        ("broken config", "config.json is damaged"),
        ("newer", "is of format 99, this version reads 2: upgrade unspool"),
        ("older", "is of format 1, this version reads 2: train it again"),
        ("no folder", "there is no model folder"),
    ],
)
def test_damage_is_named(folder, tmp_path, kind, sentence):
    damage(kind, folder, tmp_path)
    with pytest.raises(ModelError, match=sentence):
        folder.config() and folder.load_into(nn.Linear(3, 2))


def test_another_shape_is_named(folder):
    with pytest.raises(ModelError, match=r"weight is \(2, 3\) in the file, and \(2, 4\) here"):
        folder.load_into(nn.Linear(4, 2))


@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(folder, monkeypatch, at):
    before = (folder.path / "model.safetensors").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, at, full)
        with pytest.raises(TrainingError, match=r"could not write .*model.safetensors: No space left on device; what was there"):
            folder.save_tensors("model", nn.Linear(3, 2).state_dict())
    assert (folder.path / "model.safetensors").read_bytes() == before
    assert not list(folder.path.glob(".*part"))


def test_a_kill_while_saving_leaves_the_old_file(folder, monkeypatch):
    before = (folder.path / "model.safetensors").read_bytes()

    def killed(*_):
        raise SystemExit

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(SystemExit):
        folder.save_tensors("model", nn.Linear(3, 2).state_dict())
    assert (folder.path / "model.safetensors").read_bytes() == before
    folder.load_into(nn.Linear(3, 2))
