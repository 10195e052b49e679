import json

import numpy as np
import pytest

import unspool
from unspool.codecs.clips import Clips
from unspool.errors import DataError
from unspool.tasks.summary import chosen, summarize
from unspool.tasks.video_shapes import write_films
from unspool.tasks.video_summaries import scored

pytest.importorskip("av")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for name, count, seed in (("train", 12, 1), ("test", 4, 2)):
        write_films(folder / name, count, seed, seconds=24)
    return folder


@pytest.fixture(scope="module")
def model(desk):
    options = {"hidden": 32, "learning_rate": 1e-2, "dropout": 0.1, "progress": "silent"}
    return unspool.train("video", desk / "train" / "scores.csv", desk / "model", epochs=60, **options)


def test_a_model_learns_what_matters_to_people(model, desk):
    found = model.evaluate([desk / "test" / "scores.csv"])
    others = found["baselines"]
    for score in ("F1", "Kendall tau", "Spearman rho"):
        assert found[score] > max(others[f"{way}, {score}"] for way in ("random", "even", "untrained"))
    assert others["people, F1"] > found["baselines"]["random, F1"]
    assert abs(others["random, Kendall tau"]) < 0.15


def test_a_summary_shows_what_the_model_finds(model, desk, capsys):
    film = desk / "test" / "0.npy"
    (summary,) = model.predict([film])
    assert summary == summarize(film, importance=model.importance)
    assert summary != summarize(film)
    assert json.loads(model.deliver([summary]))["shots"]


def test_people_who_scored_one_video_are_read_together(desk):
    videos = scored(Clips([desk / "test" / "scores.csv"]).items)
    assert [video.scores.shape for video in videos] == [(3, 240)] * 4
    assert {(float(own.min()), float(own.max())) for video in videos for own in video.scores} == {(0.0, 1.0)}


def test_of_a_shot_the_most_important_part_is_shown():
    importance = np.zeros(100)
    importance[[37, 38, 80]] = 1, 1, 0.1
    scores, parts = chosen(np.zeros((100, 3)), [0, 50], 0.1, importance)
    assert parts[0][0] <= 37 < 38 < parts[0][1]
    assert parts[0][1] - parts[0][0] == 4  # of a budget of 10
    assert scores == pytest.approx([2, 0.1])


@pytest.mark.parametrize("scores", ["1, two, 3", "nan, 1", ",", "1; 2"])
def test_scores_that_are_no_numbers(scores, desk, tmp_path):
    rows = "".join(f'{desk / "test" / f"{n % 4}.npy"},"{scores}"\n' for n in range(12))
    (tmp_path / "scores.csv").write_text("path,scores\n" + rows)
    with pytest.raises(DataError, match=r"line \d+: scores are numbers with commas between"):
        unspool.train("video", tmp_path / "scores.csv", tmp_path / "m", progress="silent")


def test_a_table_without_scores(model, tmp_path, desk):
    (tmp_path / "t.csv").write_text(f"path,label\n{desk / 'test' / '0.npy'},a\n")
    with pytest.raises(DataError, match="has no scores"):
        model.evaluate([tmp_path / "t.csv"])
