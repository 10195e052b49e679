"""Scores to events, to notebook symbols and to rolls, and back."""

import json

import numpy as np
import pytest
import scipy.io
import symusic

from codecs_help import some
from unspool.codecs.events import EventCodec
from unspool.codecs.midi import merged, notes, score_of
from unspool.codecs.notebook import NotebookCodec, normal_order, symbols
from unspool.codecs.rollpicture import write_picture
from unspool.codecs.rolls import RollCodec, all_rolls, read_rolls
from unspool.codecs.sound import RATE, synthesize, write_wav
from unspool.errors import DataError, ModelError


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    from unspool.codecs.midi import MidiFiles
    from unspool.tasks.cadences import write

    folder = tmp_path_factory.mktemp("music") / "cadences"
    write(folder, 30, seed=3)
    return [score for _, score in MidiFiles([folder])]


@pytest.fixture(scope="module")
def events(scores):
    return EventCodec(transpose=3).fit(scores)


def walk(codec, ids):
    """Whether the grammar allows every event, and the end after the last."""
    step = codec.grammar.start()
    for event in ids:
        if not step.allowed[event]:
            return False
        step.take(int(event))
    return bool(step.allowed[codec.vocabulary.end])


def test_events_keep_every_note(scores, events):
    for score in scores:
        ids = events.encode(score)
        mine, theirs = notes(merged(score)), notes(events.decode(ids))
        for name, a, b in zip(mine._fields, mine, theirs, strict=True):
            assert np.allclose(a, b), name
        assert events.errors(ids) == 0
        assert walk(events, ids)


def test_events_take_what_the_corpus_has():
    plain = EventCodec().fit([score_of(some((0, 1, 60, 80, 0), (1, 1, 70, 80, 0)))])
    assert (plain.facts["velocities"], plain.facts["tempos"], plain.facts["programs"]) == (False, False, None)
    assert plain.facts["pitch_range"] == [54, 77]
    loud = score_of(some((0, 1, 60, 80, 0), (1, 1, 70, 20, 0)))
    loud.tempos = [symusic.Tempo(0, 90), symusic.Tempo(480, 140)]
    rich = EventCodec().fit([loud])
    assert rich.facts["velocities"]
    assert rich.facts["tempos"]
    band = [score_of(some((0, 1, 60, 80, 33), (0, 1, 36, 80, -1), (1, 1, 70, 80, 33), (1, 1, 70, 80, 56)))]
    several = EventCodec().fit(band)
    assert several.facts["programs"] == [-1, 33, 56]
    found = notes(several.decode(several.encode(band[0])))
    assert sorted(zip(found.program.tolist(), found.pitch.tolist(), strict=True)) == [(-1, 36), (33, 60), (33, 70), (56, 70)]
    assert walk(several, several.encode(band[0]))


def test_random_walks_of_the_grammar_are_valid_music(events):
    rng = np.random.default_rng(0)
    for _ in range(20):
        step, ids = events.grammar.start(), []
        while True:
            event = int(rng.choice(np.flatnonzero(step.allowed)))
            if event == events.vocabulary.end or (len(ids) > 300 and step.allowed[events.vocabulary.end]):
                break
            step.take(event)
            ids.append(event)
        assert events.errors(ids) == 0
        found = notes(events.decode(ids))
        assert found.size == int(events.grammar.ends(np.array(ids)).sum())  # every note came out, none fell on another
        assert (found.duration > 0).all()


def test_the_grammar_shuts_out_what_is_wrong(events):
    name = events.vocabulary.symbols
    code = {n: i for i, n in enumerate(name)}
    step = events.grammar.start()
    assert [name[i] for i in np.flatnonzero(step.allowed)] == ["Bar_None"]
    for event in ("Bar_None", "TimeSig_4/4", "Position_12", "Pitch_60", "Duration_1.0.12"):
        assert step.allowed[code[event]], event
        step.take(code[event])
    assert not step.allowed[code["Position_12"]]  # time stands still
    assert not step.allowed[code["Pitch_60"]]  # struck twice
    assert step.allowed[code["Pitch_61"]]
    assert step.allowed[code["Position_47"]]
    assert "Position_48" not in code or not step.allowed[code["Position_48"]]  # beyond the bar
    assert step.allowed[events.vocabulary.end]
    step.take(code["Pitch_61"])
    assert {name[i].split("_")[0] for i in np.flatnonzero(step.allowed)} == {"Duration"}


def test_transposed_events_are_the_events_of_the_transposed_piece(scores, events):
    for score in scores[:5]:
        higher = score.copy().shift_pitch(2)
        assert np.array_equal(events.shifted(2)[events.encode(score)], events.encode(higher))
    low, high = events.pitches(events.encode(scores[0]))
    found = notes(scores[0]).pitch
    assert (low, high) == (found.min(), found.max())
    rng = np.random.default_rng(0)
    for _ in range(30):
        moved = events.vary((low, high), rng)[events.encode(scores[0])]
        assert len(np.unique(moved)) == len(np.unique(events.encode(scores[0])))  # nothing was pressed together at the edge


@pytest.mark.parametrize(
    ("rows", "signature", "sentence"),
    [
        ([(0, 1, 5, 80, 0)], (4, 4), "pitches go from 5 to 5, and this model knows"),
        ([(0, 1, 60, 80, 0)], (7, 8), "a time signature is 7/8, and this model knows 4/4"),
    ],
)
def test_a_piece_outside_the_vocabulary_is_refused_with_a_reason(events, rows, signature, sentence):
    score = score_of(some(*rows))
    score.time_signatures = [symusic.TimeSignature(0, *signature)]
    with pytest.raises(DataError, match=sentence):
        events.encode(score)


def test_codecs_are_stored_as_json(scores, events):
    notebook, roll = NotebookCodec(2).fit(scores), RollCodec(3, 2)
    for codec in (events, notebook, roll):
        again = type(codec).from_json(json.loads(json.dumps(codec.to_json())))
        assert np.array_equal(again.encode(scores[0]), codec.encode(scores[0]))
        assert again.transpose == codec.transpose
    stored = events.to_json()
    with pytest.raises(ModelError, match="this version of miditok"):
        EventCodec.from_json({**stored, "symbols": stored["symbols"][:-1]})
    with pytest.raises(DataError, match="no notes to learn from"):
        EventCodec().fit([])
    with pytest.raises(DataError, match="no notes to learn from"):
        NotebookCodec().fit([])


def test_the_notebook_names_notes_and_chords():
    score = score_of(
        some((0, 1, 60, 80, 0), (1, 1, 61, 80, 0), (2, 1, 48, 80, 0), (2, 1, 64, 80, 0), (2, 1, 67, 80, 0), (2, 1, 36, 80, -1))
    )
    assert symbols(score) == ["C4", "C#4", "0.4.7"]
    assert symbols(score_of(some((0, 1, 48, 80, 0), (0, 1, 60, 80, 0)))) == ["0"]  # an octave is one pitch class
    codec = NotebookCodec(1).fit([score])
    found = notes(codec.decode(codec.encode(score)))
    assert found.start.tolist() == [0, 0.5, 1, 1, 1]
    assert found.pitch.tolist() == [60, 61, 60, 64, 67]
    assert symbols(codec.decode(codec.shifted(1)[codec.encode(score)])) == ["C#4", "D4", "1.5.8"]


@pytest.mark.parametrize(
    ("classes", "order"),
    [({0, 4, 7}, [0, 4, 7]), ({2, 7, 11}, [7, 11, 2]), ({0, 3, 6, 9}, [0, 3, 6, 9]), ({11, 0, 4}, [11, 0, 4]), ({5}, [5]),
     ({0, 1, 3, 7, 8}, [0, 1, 3, 7, 8])],
)  # fmt: skip
def test_normal_order(classes, order):
    assert normal_order(classes) == order


def test_rolls_hold_the_keys_that_sound():
    score = score_of(some((0, 1, 21, 80, 0), (0.5, 1, 108, 80, 0)))
    codec = RollCodec(steps=2)
    roll = codec.encode(score)
    assert roll.shape == (3, 88)
    assert roll[:, 0].tolist() == [1, 1, 0]
    assert roll[:, 87].tolist() == [0, 1, 1]
    again = notes(codec.decode(roll))
    assert again.start.tolist() == [0, 0.5]
    assert again.duration.tolist() == [1, 1]
    with pytest.raises(DataError, match="the keys of a piano from 21 to 108"):
        codec.encode(score_of(some((0, 1, 20, 80, 0))))
    with pytest.raises(DataError, match="no notes but drums"):
        codec.encode(score_of(some((0, 1, 36, 80, -1))))


def test_rolls_are_read_from_arrays(tmp_path):
    rng = np.random.default_rng(0)
    pieces = [(rng.random((n, 88)) < 0.05).astype(np.uint8) for n in (5, 7, 9)]
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = pieces[:2]
    scipy.io.savemat(tmp_path / "a.mat", {"traindata": cells, "testdata": cells[:, :1]})
    np.savez(tmp_path / "b.npz", train_0=pieces[0], train_1=pieces[1], valid_0=pieces[2])
    pitches = [[(np.flatnonzero(step) + 21).tolist() for step in piece] for piece in pieces]
    (tmp_path / "c.json").write_text(json.dumps({"train": pitches[:2], "test": pitches[2:]}))
    (tmp_path / "d.json").write_text(json.dumps(pitches))
    for name, parts in (("a.mat", {"train": 2, "test": 1}), ("b.npz", {"train": 2, "valid": 1}), ("d.json", {"": 3})):
        found = read_rolls(tmp_path / name)
        assert {part: len(rolls) for part, rolls in found.items()} == parts
        assert np.array_equal(next(iter(found.values()))[1], pieces[1])
    assert len(all_rolls([tmp_path / "a.mat", tmp_path / "c.json"])["train"]) == 4


def bad_arrays(folder):
    np.savez(folder / "narrow.npz", a=np.zeros((5, 40)))
    np.savez(folder / "grey.npz", a=np.full((5, 88), 0.5))
    np.savez(folder / "objects.npz", a=np.array([{}], object))
    (folder / "text.npz").write_text("no zip")
    (folder / "text.mat").write_text("no matrix, but long enough to hold a header of a file " * 9)
    (folder / "broken.json").write_text('{"train": [[')
    (folder / "flat.json").write_text('{"train": [60, 61]}')
    (folder / "high.json").write_text('{"train": [[[60], [300]]]}')
    (folder / "empty.json").write_text("{}")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("narrow.npz", r"piece 1 is no roll of \(steps, 88\) but of shape \(5, 40\)"),
        ("grey.npz", "other values than 0 and 1"),
        ("objects.npz", "plain arrays"),
        ("text.npz", "plain arrays"),
        ("text.mat", "no MATLAB file"),
        ("broken.json", "is no JSON"),
        ("flat.json", "piece 1 is no list of steps"),
        ("high.json", r"has the pitches \[300\]"),
        ("empty.json", "holds no piano rolls"),
        ("missing.mat", "there is no file"),
    ],
)
def test_arrays_that_are_no_rolls(tmp_path, name, sentence):
    bad_arrays(tmp_path)
    with pytest.raises(DataError, match=sentence):
        read_rolls(tmp_path / name)


def test_sound_has_the_pitch_and_the_place_of_its_notes(tmp_path):
    sound = synthesize(some((0, 1, 69, 100, 0), (2, 1, 81, 100, 0)), [(0.0, 60.0)])
    for second, hertz in ((0.2, 440), (2.2, 880)):
        part = sound[int(second * RATE) : int((second + 0.5) * RATE)]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        assert abs(np.fft.rfftfreq(len(part), 1 / RATE)[spectrum.argmax()] - hertz) < 5
    assert np.abs(sound[int(1.5 * RATE) : int(1.9 * RATE)]).max() < 1e-3
    assert np.abs(sound).max() == pytest.approx(0.9, abs=1e-4)
    slow = synthesize(some((2, 1, 69, 100, 0)), [(0.0, 120.0), (1.0, 30.0)])
    assert np.flatnonzero(np.abs(slow) > 1e-4)[0] / RATE == pytest.approx(0.5 + 2, abs=0.01)
    write_wav(tmp_path / "a.wav", sound)
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"


def test_a_picture_is_drawn_even_of_nothing(tmp_path):
    write_picture(tmp_path / "a.png", some((0, 1, 60, 80, 0), (1, 2, 64, 80, 0)), "two notes", [0, 4], some((0, 1, 60, 80, 0)))
    empty = notes(symusic.Score(480))
    write_picture(tmp_path / "b.png", empty, "silence")
    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes()[1:4] == b"PNG"
    assert len(synthesize(empty)) > 0
