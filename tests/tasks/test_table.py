import copy
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import unspool
from unspool.errors import ConfigError, DataError
from unspool.tasks.classes import ClassFeed, ClassJob
from unspool.tasks.config import divided
from unspool.tasks.features import Scale, filled, points, varied


def turning(folder, name, count, seed):
    """Tracks that turn one way or the other."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    angle = rng.uniform(0, 6, count)[:, None] + np.where(y, 0.3, -0.3)[:, None] * np.arange(20)
    x = np.stack([np.cos(angle), np.sin(angle)], 2) + 0.1 * rng.standard_normal((count, 20, 2))
    np.savez(folder / f"{name}.npz", X=x.astype(np.float32), y=y, classes=["left", "right"])
    return folder / f"{name}.npz"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    train, test = turning(folder, "train", 120, 1), turning(folder, "test", 60, 2)
    return unspool.train("table", train, folder / "m", epochs=12, hidden=16, learning_rate=1e-2, progress="silent"), test


def test_a_short_training_beats_the_majority(trained):
    model, test = trained
    found = model.evaluate([test])
    assert found["accuracy"] > 0.9 > found["baselines"]["majority, accuracy"]
    assert "nearest series, accuracy" in found["baselines"]
    assert 0 < found["nats per series"] < np.log(2)
    often = int(np.load(test.with_name("train.npz"))["y"].mean() > 0.5)
    assert found["baselines"]["majority, accuracy"] == pytest.approx((np.load(test)["y"] == often).mean())


def test_answers_as_files(trained, tmp_path):
    model, test = trained
    answers = model.predict([test])
    assert len(answers) == 60
    assert "60 classes are in" in model.deliver(answers, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "place,label,left,right"
    assert json.loads(model.deliver(answers, as_json=True).splitlines()[0])["label"] in ("left", "right")


def test_series_of_another_width_are_refused(trained, tmp_path):
    np.save(tmp_path / "a.npy", np.ones((5, 3)))
    with pytest.raises(DataError, match=r"a\.npy has 3 numbers a step; this model reads 2"):
        trained[0].predict([tmp_path / "a.npy"])


def test_what_cannot_be_learned_from_is_said(tmp_path):
    np.savez(tmp_path / "few.npz", X=np.ones((4, 5, 2)), y=[0, 1, 0, 1])
    with pytest.raises(DataError, match="there are only 4 series"):
        unspool.train("table", tmp_path / "few.npz", tmp_path / "m", progress="silent")
    np.savez(tmp_path / "one.npz", X=np.ones((40, 5, 2)), y=np.zeros(40, int))
    with pytest.raises(DataError, match="there must be two classes"):
        unspool.train("table", tmp_path / "one.npz", tmp_path / "m", progress="silent")
    with pytest.raises(ConfigError, match="points have 2 or 3 coordinates"):
        unspool.train("table", tmp_path / "one.npz", tmp_path / "m", points=4, progress="silent")


def test_what_validates_shares_no_group_and_has_each_class():
    items = list(range(60))
    groups, labels = [f"g{i // 6}" for i in items], ["ab"[i % 2] for i in items]
    train, held, how = divided(items, groups, labels, 0.2, 0, "series")
    assert how == "held-out groups"
    assert not {groups[i] for i in train} & {groups[i] for i in held}
    assert sorted(train + held) == items
    train, held, how = divided(items, [""] * 60, labels, 0.2, 0, "series")
    assert "of each class" in how
    assert sorted(labels[i] for i in held) == ["a"] * 6 + ["b"] * 6
    assert len(divided(items, [""] * 60, [""] * 60, 0.2, 0, "clips")[1]) in range(1, 13)
    with pytest.raises(DataError, match="no clips are left to validate on"):
        divided([1], [""], ["a"], 0.2, 0, "clips")


def test_gaps_are_filled_from_before_else_from_behind():
    x = np.array([[np.nan, 1, np.nan], [2, np.nan, np.nan], [np.nan, 3, np.nan]], np.float32)
    np.testing.assert_array_equal(filled(x), [[2, 1, 0], [2, 1, 0], [2, 3, 0]])


def test_a_figure_is_the_same_wherever_it_stands_and_however_large():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 10)).astype(np.float32)
    moved = 3 * x + np.tile([5, -2], 5).astype(np.float32)
    np.testing.assert_allclose(points(x, 2), points(moved, 2), rtol=1e-3, atol=1e-3)


def test_a_figure_is_mirrored_where_that_is_the_same_class():
    rng = np.random.default_rng(0)
    x = np.tile(np.array([[-1, 0, 1, 0, 0, 3]], np.float32), (9, 1))  # the first point stands left of the second

    def sides(mirror):
        return {float(np.sign(v[0, 0] - v[0, 2])) for v in (varied(x, rng, 2, mirror) for _ in range(40))}

    assert sides(False) == {-1.0}
    assert sides(True) == {-1.0, 1.0}


def test_varied_series_keep_their_width_and_are_finite():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 6)).astype(np.float32)
    for coordinates in (0, 2, 3):
        for _ in range(20):
            found = varied(x, rng, coordinates)
            assert found.shape[1] == 6
            assert len(found) >= 2
            assert np.isfinite(found).all()
    scaled = Scale.of([x]).numbers(x)
    assert scaled.shape == (9, 12)
    assert abs(float(scaled[:, :6].mean())) < 1e-4


def test_classes_are_smoothed_in_training_alone(trained):
    model, network = trained[0], copy.deepcopy(trained[0].model)
    feed = ClassFeed([v.values for v in model.examples_of([trained[1]], True)], np.zeros(60, int), 8, 0)
    job = ClassJob(network, feed, feed, model.classes, "series")
    batch = next(feed.epoch(-1))
    assert job.loss(batch, None)[0].item() == pytest.approx(network.nll(*batch).sum().item(), rel=1e-4)
    network.train()
    torch.manual_seed(0)  # of the dropout
    smoothed = F.cross_entropy(network.head(network(batch[0])), batch[1], reduction="sum", label_smoothing=0.1)
    torch.manual_seed(0)
    assert job.loss(batch, None)[0].item() == pytest.approx(smoothed.item(), rel=1e-4)
