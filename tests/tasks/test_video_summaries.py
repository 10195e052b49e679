import json

import numpy as np
import pytest

import unspool
from unspool.codecs.clips import Clips
from unspool.codecs.video import Video, write_video
from unspool.errors import DataError
from unspool.insight.report import inspect
from unspool.tasks.summary import Shot, Summary, _write, agreement, chosen, looked, summarize
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


def test_inspecting_what_matters_most(model, desk):
    film = desk / "test" / "0.npy"
    opened = model.opened(film)
    importance = model.importance(looked(film)[0])
    assert opened.at == int(importance.argmax())
    assert opened.answer(opened.x).exp().item() == pytest.approx(importance.max(), abs=1e-4)
    assert opened.said.startswith(f"second {opened.symbols[opened.at]} matters")
    assert {"gradient", "gates", "attribution"} <= set(inspect(opened))


def test_agreement_is_that_of_the_frames_in_both():
    assert agreement(np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 1], bool)) == pytest.approx(2 / 5)


def test_all_that_people_say_of_a_video_is_on_one_side(desk, monkeypatch, tmp_path):
    seen = []

    def summaries(data, parts, *others):
        seen.extend({clip.path for clip in part} for part in parts)
        raise DataError("enough")

    monkeypatch.setattr("unspool.tasks.video._summaries", summaries)
    with pytest.raises(DataError, match="enough"):
        unspool.train("video", desk / "train" / "scores.csv", tmp_path / "m", progress="silent")
    assert seen[0]
    assert seen[1]
    assert not seen[0] & seen[1]


def test_a_picture_that_stands_all_along_is_shown(tmp_path):
    write_video(tmp_path / "slow.mp4", iter(np.full((4, 32, 32, 3), 60, np.uint8)), 0.5)
    shown = Summary(str(tmp_path / "slow.mp4"), 8.0, [Shot(0, 8, 1, (2.5, 3.5))])
    _write(shown, tmp_path / "s.mp4")
    assert len(list(Video(tmp_path / "s.mp4").frames())) == 1
