import json
from functools import partial

import numpy as np
import pytest
import torch

import unspool
from unspool.codecs.video import Video, write_video
from unspool.errors import ConfigError, DataError
from unspool.models.watcher import FrameEncoder
from unspool.tasks.summary import summarize
from unspool.tasks.video_captions import _Feed
from unspool.tasks.video_config import VideoConfig
from unspool.tasks.video_frames import varied
from unspool.tasks.video_shapes import MOTIONS, clip, combinations, write_captions, write_motions

pytest.importorskip("av")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    for name, count, seed in (("train", 150, 1), ("test", 36, 2)):
        write_motions(folder / name, count, seed)
    return folder


@pytest.fixture(scope="module")
def model(desk):
    options = {"hidden": 32, "layers": 1, "dropout": 0.1, "learning_rate": 3e-3, "progress": "silent"}
    return unspool.train("video", desk / "train", desk / "model", epochs=25, **options)


def test_a_short_training_tells_motions_apart(model, desk):
    found = model.evaluate([desk / "test"])
    assert found["accuracy"] > 0.4 > found["baselines"]["majority, accuracy"]
    assert set(model.classes) == set(MOTIONS)


def test_a_stream_answers_as_the_whole_clip_does(model, desk):
    path = next((desk / "test" / "grows").glob("*.npy"))
    frames = np.load(path)
    stream = model.stream()
    for picture in frames:
        found = stream.push(picture)
    whole = model.probabilities([frames])[0]
    np.testing.assert_allclose(list(found.values()), whole, atol=1e-5)
    pieces = model.stream()
    for part in np.array_split(frames, [5, 7]):
        pieces.see(part)
    np.testing.assert_allclose(list(pieces.judged().values()), whole, atol=1e-5)
    (answer,) = model.predict([path])
    assert answer.probabilities == pytest.approx(found, abs=1e-5)
    assert answer.moments[0][0] == 0
    assert answer.moments[-1][1] == pytest.approx(len(frames) / 10)


def test_the_middle_picture_does_not_tell_the_motion():
    rng = np.random.default_rng(0)
    sizes = {m: [float((clip("square", "red", m, rng)[7, :, :, 0] > 190).mean()) for _ in range(60)] for m in ("grows", "moves up")}
    assert np.mean(sizes["grows"]) == pytest.approx(np.mean(sizes["moves up"]), rel=0.25)


def test_one_picture_alone_can_be_learned_from():
    encoder = FrameEncoder(16, 4)
    found = encoder(torch.zeros(1, 1, 16, 16, 3, dtype=torch.uint8))
    assert found.shape == (1, 1, 4)
    assert encoder.training


def test_a_shape_is_the_same_in_any_colour():
    encoder = FrameEncoder(16, 4, saturation=True)
    shape = torch.zeros(1, 1, 16, 16, 3, dtype=torch.uint8)
    shape[:, :, 4:12, 4:12] = torch.tensor([200, 20, 20], dtype=torch.uint8)
    red, blue = (encoder._channels(p)[..., 3] for p in (shape, shape.flip(4)))
    assert torch.equal(red, blue)
    assert red[0, 0, 0, 0] == 0 < red[0, 0, 8, 8]


def test_combinations_never_trained_are_apart():
    train, held = combinations(False), combinations(True)
    assert not set(train) & set(held)
    assert len(train) + len(held) == 72
    for place in range(3):
        assert {c[place] for c in held} <= {c[place] for c in train}


def test_varied_clips_keep_their_size():
    rng = np.random.default_rng(0)
    for length in (1, 2, 100):
        frames = rng.integers(0, 255, (length, 16, 16, 3), np.uint8)
        found = varied(frames, rng, True)
        assert found.shape[1:] == (16, 16, 3)
        assert 1 <= len(found) <= 64
        assert found.dtype == np.uint8


def test_captions(tmp_path):
    train, test = write_captions(tmp_path / "train", 60, 1), write_captions(tmp_path / "test", 6, 2, held=True)
    model = unspool.train("video", train, tmp_path / "m", epochs=12, hidden=32, learning_rate=1e-2, progress="silent")
    found = model.evaluate([test])
    assert set(found) >= {"exact match", "BLEU", "chrF"}
    assert model.metrics["validation, nats per word"] < model.metrics["baselines"]["unigram"]
    (tmp_path / "bad.npy").write_bytes(b"no")
    answers = list(model.predict([tmp_path / "test" / "0.npy", tmp_path / "bad.npy"], best=2))
    assert answers[0].text
    assert len(answers[0].best) == 2
    assert "cannot be read" in answers[1].fault
    assert "1 captions are in" in model.deliver(answers, tmp_path / "a.json")
    assert "error" in json.loads((tmp_path / "a.json").read_text().splitlines()[1])


def test_every_word_of_a_caption_counts_once_and_padding_never():
    frames = [np.zeros((n, 16, 16, 3), np.uint8) for n in (3, 5, 4)]
    ids = [np.array([7, 8, 3]), np.array([9, 3]), np.array([5, 6, 7, 8, 3])]
    batches = list(_Feed(frames, ids, VideoConfig(batch=3)).epoch(-1))
    assert sorted(torch.cat([b.targets[b.inside] for b in batches]).tolist()) == sorted(np.concatenate(ids).tolist())


def test_damaged_clips_are_left_out_and_named(desk, tmp_path):
    for motion in ("grows", "shrinks"):
        for n in range(8):
            (tmp_path / motion).mkdir(exist_ok=True)
            np.save(tmp_path / motion / f"{n}.npy", clip("circle", "blue", motion, np.random.default_rng(n), frames=5))
    (tmp_path / "grows" / "x.mp4").write_bytes(b"nothing")
    said = []
    from unspool.training import Progress

    class Heard(Progress):
        def say(self, text, **facts):
            said.append(text)

    unspool.train("video", tmp_path, tmp_path / "model", epochs=1, hidden=16, progress=Heard("silent"))
    assert any("clip that cannot be read: 1" in text and "x.mp4" in text for text in said)


def test_bad_options_and_data(desk, tmp_path):
    with pytest.raises(DataError, match="holds no clips"):
        unspool.train("video", tmp_path, tmp_path / "m", progress="silent")
    with pytest.raises(ConfigError, match="side must lie between"):
        unspool.train("video", desk / "train", tmp_path / "m", side=4, progress="silent")
    with pytest.raises(ConfigError, match="rate must lie between"):
        unspool.train("video", desk / "train", tmp_path / "m", rate=0.0, progress="silent")


@pytest.fixture
def film(tmp_path):
    """Three scenes of 3 s."""
    rng = np.random.default_rng(0)
    scenes = [clip("circle", colour, "moves left", rng, frames=30) for colour in ("red", "green", "blue")]
    write_video(tmp_path / "film.mp4", iter(np.concatenate(scenes)), 10.0)
    return tmp_path / "film.mp4"


def test_a_summary_plays_and_keeps_to_its_budget(film, tmp_path):
    found = summarize(film, tmp_path / "s.mp4", share=0.3)
    assert [shot.start for shot in found.shots] == pytest.approx([0, 3, 6], abs=0.2)
    frames = list(Video(tmp_path / "s.mp4").frames())
    assert 5 < len(frames) <= 28
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads((tmp_path / "s.json").read_text())["shots"]) == 3


def test_a_summary_of_few_pictures_shows_one_a_shot(tmp_path):
    rng = np.random.default_rng(0)
    pictures = (np.full((32, 32, 3), shade, np.uint8) for shade in rng.integers(0, 255, 12))
    write_video(tmp_path / "slow.mp4", pictures, 1.0)
    found = summarize(tmp_path / "slow.mp4", tmp_path / "s.mp4", share=0.05)
    shown = sum(shot.shown[1] > 0 for shot in found.shots)
    assert len(list(Video(tmp_path / "s.mp4").frames())) == shown > 0


def test_the_command_line(model, film, desk, tmp_path, run):
    run = partial(run, cwd=tmp_path)
    done = run("summarize", film, "-o", "short.mp4", "--share", "0.5")
    assert done.returncode == 0, done.stderr
    assert "shots," in done.stdout
    (tmp_path / "x.mp4").write_bytes(b"nothing")
    done = run("predict", model.folder.path, film, "x.mp4", "--json")
    assert [("moments" in row, "error" in row) for row in map(json.loads, done.stdout.splitlines())] == [
        (True, False),
        (False, True),
    ]
    done = run("predict", model.folder.path, film, "x.mp4", "-o", "a.csv")
    assert "1 classes are in a.csv; 1 could not be read" in done.stdout
    assert "x.mp4,error: x.mp4 cannot be read as a video" in (tmp_path / "a.csv").read_text()
    for arguments, message in [
        (("summarize", film, "-o", "a.avi"), "a summary is an .mp4"),
        (("summarize", film, "--share", "2"), "share must lie above 0"),
        (("summarize", "gone.mp4"), "there is no video gone.mp4"),
        (("summarize", "x.mp4"), "cannot be read as a video"),
        (("summarize", film, "--model", model.folder.path), "is no model of summaries"),
        (("predict", model.folder.path, "gone.mp4"), "there is no file or folder gone.mp4"),
    ]:
        done = run(*arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
