"""Music from files to pieces, small."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
import symusic
import torch

import unspool
from codecs_help import some
from unspool.codecs.midi import MidiFiles, notes, read_midi, score_of
from unspool.errors import ConfigError, DataError, UnspoolError
from unspool.insight.report import inspect, write_report
from unspool.tasks.cadences import write
from unspool.tasks.music_config import MusicConfig, settle, transposition
from unspool.tasks.music_data import Source, split
from unspool.tasks.verbs import generate

QUICK = {"hidden": 16, "epochs": 1, "progress": "silent", "transpose": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    write(folder / "pieces", 24, seed=1)
    write(folder / "others", 4, seed=2)
    write(folder / "more", 12, seed=3)
    return folder


@pytest.fixture(scope="module", params=["events", "notebook", "roll"])
def trained(request, folder):
    return unspool.train("music", folder / "pieces", folder / request.param, representation=request.param, **QUICK)


@pytest.fixture(scope="module")
def model(folder):
    return unspool.train("music", folder / "pieces", folder / "model", **QUICK)


def test_every_representation_is_scored_beside_its_baselines(trained, folder):
    found = trained.evaluate([folder / "others"])
    unit = trained.unit
    assert found["pieces"] == 4
    assert {"events": 3, "notebook": 3, "roll": 2}[trained.codec.name] == len(found["baselines"])
    others = found["baselines"]
    weakest = others["marginal, nats per step"] if unit == "step" else others[f"uniform, nats per {unit}"]
    assert 0 < found[f"nats per {unit}"] < weakest * (1.5 if unit == "step" else 0.9)
    assert found["share of pieces that are stuck"].keys() == {"generated", "data"}
    assert found["longest run copied by a generated piece"]["notes, at most"] >= 0
    assert found["overlap of the one half of the data with the other"].keys() == {"pitch", "duration", "interval"}
    files = sorted(map(str, (folder / "others").iterdir()))
    scores = trained.score(files)
    if unit != "step":  # the parts are the whole
        assert sum(s["log-probability"] for s in scores) == pytest.approx(-found[f"nats per {unit}"] * found["counted"], rel=1e-4)
    assert [name for name, _ in trained.scores([folder / "others"])] == files


def test_the_surprise_of_each_note(trained, folder, tmp_path):
    opened = trained.opened(sorted((folder / "others").iterdir())[0])
    notes = opened.notes()
    assert {note.pitch for note in notes} <= set(range(128))
    assert min(note.nats for note in notes) > 0
    if trained.unit != "step":
        assert {round(n.nats, 4) for n in notes} <= {round(v, 4) for v in opened.surprise()}
    found = inspect(opened, ["surprise"])
    assert len(found["surprise"]["notes"]) == len(notes)
    write_report(tmp_path / "r.html", "r", found)
    assert '<figure data-part="surprise">' in (tmp_path / "r.html").read_text()


def test_a_roll_is_evaluated_on_all_but_the_first_steps(folder):
    rolls = {
        f"{part}_{i}": (np.random.default_rng(i).random((19, 88)) < 0.05).astype(np.uint8)
        for part in ("train", "test")
        for i in range(12)
    }
    np.savez(folder / "rolls.npz", **rolls)
    model = unspool.train("music", folder / "rolls.npz", folder / "rolls", keys="separate", **QUICK)
    found = model.evaluate([folder / "rolls.npz"])
    assert (found["pieces"], found["counted"]) == (12, 12 * 18)
    one = rolls["test_0"]
    steps = torch.from_numpy(np.concatenate([np.zeros((1, 88), np.uint8), one]))[None]
    nll = model.model.nll(steps[:, :-1], steps[:, 1:])[0][0, 1:].sum().item()
    np.savez(folder / "one.npz", test_0=one)
    single = model.evaluate([folder / "one.npz"])
    assert single["without the cache, nats per step"] == pytest.approx(nll / 18, rel=1e-4)
    assert single["nats per step"] != single["without the cache, nats per step"]
    np.savez(folder / "two.npz", train_0=one, valid_0=one)
    with pytest.raises(DataError, match="has no test part; its parts are train, valid"):
        model.evaluate([folder / "two.npz"])
    with pytest.raises(ConfigError, match="a roll has none; use the temperature"):
        model.generate(top_k=3)


def test_generated_pieces_are_music(trained, tmp_path):
    pieces = trained.generate(3, length=2, seed=5)
    again = trained.generate(3, length=2, seed=5)
    for piece, same in zip(pieces, again, strict=True):
        assert np.array_equal(piece.values, same.values)
        assert piece.facts["notes"] == notes(piece.score).size
    shown = trained.deliver(pieces, tmp_path / "piece.mid")
    assert shown.count("longest run of notes copied") == 3
    for number in (1, 2, 3):
        assert (tmp_path / f"piece-{number}.png").read_bytes()[1:4] == b"PNG"
        with wave.open(str(tmp_path / f"piece-{number}.wav")) as sound:
            assert sound.getnframes() > 0
        stored = json.loads((tmp_path / f"piece-{number}.json").read_text())
        assert len(stored["music"]) == stored["notes"]
        if stored["notes"]:
            assert notes(read_midi(tmp_path / f"piece-{number}.mid")).size == stored["notes"]
    found = json.loads(trained.deliver(pieces[:1], tmp_path / "one.mid", as_json=True))
    assert found["files"] == [str(tmp_path / f"one.{ending}") for ending in ("mid", "wav", "png", "json")]


def test_the_given_notes_are_kept_exactly(trained, tmp_path):
    chord, off = (72, 67, 64, 48), (0.0, 0.02, 0.01, 0.03)  # C major, played as people do
    played = [(t + o, 0.9 + o, p, 5 + 30 * t, 0) for t in range(2) for p, o in zip(chord, off, strict=True)]
    odd = score_of(some(*played), 1000)
    odd.dump_midi(str(tmp_path / "beginning.mid"))
    given = read_midi(tmp_path / "beginning.mid")
    for piece in trained.generate(2, prompt=tmp_path / "beginning.mid", length=3):
        assert piece.given.size == 8
        assert piece.score.tracks[0].notes == given.tracks[0].notes
        rest = [note.time for track in piece.score.tracks[1:] for note in track.notes]
        assert min(rest, default=1000) >= 1000


def test_no_event_is_invalid_and_lengths_are_kept(model):
    for piece in model.generate(20, length=3, temperature=1.5):
        assert model.codec.errors(piece.values) == 0
        assert len(model.codec.bars(piece.values)) <= 3
        assert piece.values[-1:].tolist() == [] or model.codec.grammar.ends(piece.values)[-1]


def test_what_was_learned_by_heart_is_called_copied(model, folder):
    from unspool.tasks.music_pieces import Piece

    source = next(raw for _, raw in MidiFiles([folder / "pieces"]))
    higher = source.copy().shift_pitch(1)
    (copied,) = model._facts([Piece(higher, True, model.codec.encode(higher))], None)
    assert copied.facts["longest run of notes copied"] == notes(source).size
    other = next(raw for _, raw in MidiFiles([folder / "others"]))
    (fresh,) = model._facts([Piece(other, True, model.codec.encode(other))], None)
    assert fresh.facts["longest run of notes copied"] < notes(other).size
    (seen,) = model._facts([Piece(other, True, model.codec.encode(other))], [folder / "others"])
    assert seen.facts["longest run of notes copied"] == notes(other).size


def test_pieces_are_divided_whole_and_by_seed(folder):
    source = Source([folder / "pieces"])
    parts = [split(source, 0.25, seed) for seed in (0, 0, 1)]
    assert all(p.sum() == 18 for p in parts)
    assert np.array_equal(parts[0], parts[1])
    assert not np.array_equal(parts[0], parts[2])
    assert split(source, 0.01, 0).sum() == 23  # one at least


def test_going_on_from_a_trained_model(trained, folder):
    name = f"nats per {trained.unit}"
    quick = {**QUICK, "epochs": 0.01, "learning_rate": 1e-6}
    start = trained.folder.path
    more = unspool.train("music", folder / "more", folder / f"more-{start.name}", init=start, **quick)
    assert more.codec.to_json() == trained.codec.to_json()
    assert more.evaluate([folder / "others"])[name] == pytest.approx(trained.evaluate([folder / "others"])[name], rel=0.02)


def test_an_interrupted_training_goes_on(folder):
    from unspool.tasks.music import Music
    from unspool.training import ModelFolder, Progress
    from unspool.training.loop import fit

    options = MusicConfig(hidden=8, epochs=4, transpose=2, window=64, batch=256)
    scratch = folder / "scratch"
    scratch.mkdir()
    whole = Music().prepare([folder / "pieces"], [], options, scratch, Progress("silent"))
    a = ModelFolder(folder / "whole")
    a.create({"task": "music"})
    outcome = fit(whole.job, Music().options(whole.config), a, Progress("silent"))
    assert outcome.ended == "finished"
    b = ModelFolder(folder / "parts")
    b.create({"task": "music"})
    half = Music().prepare([folder / "pieces"], [], options, scratch, Progress("silent"))
    real, calls = half.job.validate, []

    def stop():
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real()

    half.job.validate = stop
    with pytest.raises(KeyboardInterrupt):
        fit(half.job, Music().options(half.config), b, Progress("silent"))
    rest = Music().prepare([folder / "pieces"], [], options, scratch, Progress("silent"))
    assert fit(rest.job, Music().options(rest.config), b, Progress("silent"), resume=True).best == pytest.approx(
        outcome.best, abs=1e-5
    )


def test_the_demonstration_learns_its_cadences(tmp_path):
    from unspool.tasks.music import Music

    shown = Music().demonstration(tmp_path)
    assert "synthetic" in shown.about.lower()
    found = notes(next(raw for _, raw in MidiFiles(shown.test)))
    assert found.pitch[found.start == 0].size == 4
    quick = {**shown.options, "budget": "10s", "hidden": 96}
    model = unspool.train("music", shown.train, tmp_path / "m", progress="silent", **quick)
    metrics = model.metrics
    assert metrics["validation, nats per event"] < metrics["baselines"]["unigram"] - 1


def test_what_is_left_open_is_settled_and_what_is_given_is_kept():
    small = settle(transposition(MusicConfig(representation="roll"), steps=10_000), steps=10_000)
    large = settle(transposition(MusicConfig(representation="roll"), steps=200_000), steps=200_000)
    events = settle(transposition(MusicConfig(representation="events"), steps=200_000), steps=200_000)
    assert (small.transpose, large.transpose, events.transpose) == (6, 0, 6)
    assert transposition(MusicConfig(representation="events"), steps=800_000).transpose == 0
    assert (small.embedding, events.embedding) == (0, 256)
    assert small.dropout is not None
    assert small.dropout > (large.dropout or 0)
    given = {"dropout": 0.0, "window": 9, "batch": 5, "learning_rate": 1e-3, "transpose": 1}
    kept = settle(transposition(MusicConfig(representation="events", **given), steps=1000), steps=1000)
    assert {name: getattr(kept, name) for name in given} == given


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"representation": "sheet"}, "representation is one of auto, events, notebook, roll"),
        ({"keys": "both"}, "keys is one of joint, separate"),
        ({"steps": 0}, "steps must be from 1 to 24"),
        ({"cache": -1}, "cache is a number of steps"),
        ({"transpose": 13}, "transpose must be from 0 to 12"),
        ({"hiden": 3}, "did you mean 'hidden'"),
    ],
)
def test_bad_options(folder, tmp_path, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        unspool.train("music", folder / "pieces", tmp_path / "m", progress="silent", **options)


def test_bad_data(folder, tmp_path):
    (tmp_path / "one").mkdir()
    score_of(some((0, 1, 60, 80, 0))).dump_midi(str(tmp_path / "one" / "a.mid"))
    with pytest.raises(DataError, match="at least 2 pieces"):
        unspool.train("music", tmp_path / "one", tmp_path / "m", **QUICK)
    score_of(some((0, 1, 60, 80, 0))).dump_midi(str(tmp_path / "one" / "b.mid"))
    with pytest.raises(DataError, match="the music is too short: 6 events"):
        unspool.train("music", tmp_path / "one", tmp_path / "m", **QUICK)
    np.savez(tmp_path / "r.npz", a=np.zeros((9, 88)), b=np.zeros((9, 88)))
    with pytest.raises(DataError, match="cannot be read together"):
        unspool.train("music", [tmp_path / "r.npz", tmp_path / "one"], tmp_path / "m", **QUICK)
    with pytest.raises(ConfigError, match="arrays of rolls have no events"):
        unspool.train("music", tmp_path / "r.npz", tmp_path / "m", representation="events", **QUICK)
    assert not (tmp_path / "m").exists()


def test_arrays_and_midi_are_not_taken_for_each_other(model, folder, tmp_path):
    np.savez(tmp_path / "r.npz", train_a=np.eye(88), train_b=np.eye(88), valid_a=np.eye(88), test_a=np.eye(88))
    for call in (
        lambda: model.evaluate([tmp_path / "r.npz"]),
        lambda: unspool.train("music", folder / "pieces", tmp_path / "m", valid=[tmp_path / "r.npz"], **QUICK),
        lambda: unspool.train("music", tmp_path / "r.npz", tmp_path / "m", init=folder / "model", **QUICK),
    ):
        with pytest.raises(DataError, match="holds rolls, and this model reads events"):
            call()


def test_a_prompt_of_unknown_chords_is_refused(folder, tmp_path):
    model = unspool.train("music", folder / "pieces", tmp_path / "m", representation="notebook", **QUICK)
    cluster = [(0, 1, 60 + i, 80, 0) for i in range(9)]
    score_of(some(*cluster)).dump_midi(str(tmp_path / "cluster.mid"))
    with pytest.raises(DataError, match="1 of its 1 notes and chords are not among"):
        model.generate(prompt=tmp_path / "cluster.mid")


def test_nothing_is_written_over(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "piece.json").write_text("mine")
    model.deliver(model.generate(1, length=1))
    model.deliver(model.generate(2, length=1))
    model.deliver(model.generate(2, length=1))
    assert (tmp_path / "piece.json").read_text() == "mine"
    assert len(list(tmp_path.glob("*.mid"))) == 5
    with pytest.raises(DataError, match="is no name for a piece"):
        model.deliver(model.generate(1, length=1), Path("."))


def test_bad_requests(model, tmp_path):
    score_of(some((0, 1, 127, 80, 0))).dump_midi(str(tmp_path / "high.mid"))
    with pytest.raises(DataError, match=r"high.mid cannot be continued: it has pitches that this model does not know"):
        model.generate(prompt=tmp_path / "high.mid")
    for name in ("score", "evaluate"):
        with pytest.raises(DataError, match="pitches that this model does not know"):
            getattr(model, name)([tmp_path / "high.mid"])
    (tmp_path / "text.mid").write_text("la la")
    with pytest.raises(DataError, match="is no MIDI file"):
        model.generate(prompt=tmp_path / "text.mid")
    with pytest.raises(ConfigError, match="no option 'stop'; the options are prompt, length"):
        generate(model, stop=["x"])
    with pytest.raises(ConfigError, match="at least 1 bar"):
        model.generate(length=0)
    with pytest.raises(ConfigError, match="at least 1, not 0"):
        model.generate(0)
    with pytest.raises(DataError, match="choose another -o"):
        model.deliver(model.generate(1, length=1), tmp_path / "no" / "piece.mid")
    with pytest.raises(UnspoolError, match="no 'predict'"):
        model.predict()


def test_a_very_long_piece_is_read_in_parts(model, tmp_path):
    """Three hours at 120 quarter notes a minute."""
    start = np.arange(0, 21_600, 0.5)
    track = symusic.Track()
    track.notes = [symusic.Note(int(s * 480), 240, 60 + i % 5, 80) for i, s in enumerate(start)]
    score = symusic.Score(480)
    score.tracks.append(track)
    score.dump_midi(str(tmp_path / "long.mid"))
    assert model.score([tmp_path / "long.mid"])[0]["log-probability"] < 0


@pytest.mark.data
def test_real_tunes_beat_the_unigram(real_data, tmp_path):
    files = sorted((real_data / "music" / "nottingham_midi").glob("*.mid"))[:60]
    model = unspool.train("music", files, tmp_path / "m", hidden=96, budget="15s", progress="silent")
    metrics = model.metrics
    assert metrics["validation, nats per event"] < metrics["baselines"]["unigram"] - 0.8
    assert all(model.codec.errors(p.values) == 0 for p in model.generate(8, length=8))


@pytest.mark.data
def test_real_files_are_read_or_reported(real_data):
    for name, pieces in (("nottingham_midi", 1034), ("final_fantasy_piano", 92)):
        files = MidiFiles([real_data / "music" / name])
        assert sum(1 for _ in files) == pieces
        assert not files.report.skipped
