"""Scores to events, to notebook symbols and to rolls, and back."""

import json

import numpy as np
import pytest
import scipy.io
import symusic

from codecs_help import some
from unspool.codecs.events import EventCodec
from unspool.codecs.midi import bar_lines, merged, notes, score_of
from unspool.codecs.notebook import NotebookCodec, normal_order, symbols
from unspool.codecs.rollpicture import write_picture
from unspool.codecs.rolls import LOWEST, RollCodec, all_rolls, read_rolls
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
    assert plain.facts["pitch_range"] == [54, 76]
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


def rich():
    """A codec with every kind of event, and so few keys that all may be struck at once."""
    score = score_of(some((0, 1, 60, 80, 33), (0, 1, 36, 70, -1), (1, 1, 61, 90, 33), (1, 1, 61, 80, 56), (3, 1, 38, 80, -1)))
    score.tempos = [symusic.Tempo(0, 90), symusic.Tempo(960, 140)]
    score.time_signatures = [symusic.TimeSignature(0, 3, 4), symusic.TimeSignature(1440, 2, 4), symusic.TimeSignature(2400, 6, 8)]
    return EventCodec(0).fit([score])


@pytest.mark.parametrize("kind", ["plain", "rich"])
def test_random_walks_of_the_grammar_are_valid_music(events, kind):
    rng, events = np.random.default_rng(0), rich() if kind == "rich" else events
    for _ in range(20):
        step, ids = events.grammar.start(), []
        while True:
            event = int(rng.choice(np.flatnonzero(step.allowed)))
            if event == events.vocabulary.end or (len(ids) > 300 and step.allowed[events.vocabulary.end]):
                break
            step.take(event)
            ids.append(event)
        assert events.errors(ids) == 0
        score = events.decode(ids)
        found = notes(score)
        assert found.size == int(events.grammar.ends(np.array(ids)).sum())  # every note came out
        assert (found.duration > 0).all()
        assert len(set(zip(found.start, found.pitch, found.program, strict=True))) == found.size  # and none falls on another
        bars = set(bar_lines(score))
        assert all(s.time / score.ticks_per_quarter in bars for s in score.time_signatures)


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


def test_a_piece_is_moved_no_further_than_the_keys_go(events):
    low = next(i for i, name in enumerate(events.vocabulary.symbols) if name.startswith("Pitch_"))
    pitch = int(events.vocabulary.symbols[low][6:])
    rng = np.random.default_rng(0)
    moved = {int(events.vary((pitch + 1, pitch + 9), rng)[low + 1]) - low for _ in range(60)}
    assert moved == {0, 1, 2, 3, 4}  # one lower is the end of the keys, three higher what was asked for


def test_an_instrument_whose_keys_are_all_struck_is_shut():
    codec = EventCodec(0).fit([score_of(some((0, 1, 60, 80, 33), (1, 1, 61, 80, 56)))])
    code = {n: i for i, n in enumerate(codec.vocabulary.symbols)}
    assert [n for n in code if n.startswith("Pitch_")] == ["Pitch_60", "Pitch_61"]
    step, struck = codec.grammar.start(), ("Program_33", "Pitch_60", "Duration_1.0.12", "Program_33", "Pitch_61", "Duration_1.0.12")
    for event in ("Bar_None", "TimeSig_4/4", "Position_0", *struck):
        assert step.allowed[code[event]], event
        step.take(code[event])
    assert not step.allowed[code["Program_33"]]
    assert step.allowed[code["Program_56"]]


def test_a_place_lies_inside_its_bar():
    codec = rich()
    code = {n: i for i, n in enumerate(codec.vocabulary.symbols)}
    for signature, places in (("3/4", 36), ("2/4", 24), ("6/8", 72)):
        step = codec.grammar.start()
        for event in ("Bar_None", f"TimeSig_{signature}"):
            step.take(code[event])
        assert step.allowed[code[f"Position_{places - 1}"]]
        assert not any(step.allowed[i] for n, i in code.items() if n.startswith("Position_") and int(n[9:]) >= places)


def test_drums_stay_what_they_are():
    codec = rich()
    names = codec.vocabulary.symbols
    moved = codec.shifted(1)
    assert all(moved[i] == i for i, name in enumerate(names) if name.startswith("PitchDrum"))
    assert any(moved[i] != i for i, name in enumerate(names) if name.startswith("Pitch_"))
    drums = score_of(some((0, 1, 36, 80, -1), (1, 1, 42, 80, -1)))
    only = EventCodec().fit([drums])
    found = notes(only.decode(only.encode(drums)))
    assert found.program.tolist() == [-1, -1]
    assert found.pitch.tolist() == [36, 42]


def test_the_highest_keys_and_half_notes_as_beats():
    high = EventCodec().fit([score_of(some((0, 1, 125, 80, 0)))])
    assert high.facts["pitch_range"] == [119, 127]
    slow = score_of(some(*((i / 4, 0.25, 60 + i, 80, 0) for i in range(8))))
    slow.time_signatures = [symusic.TimeSignature(0, 2, 2)]
    codec = EventCodec().fit([slow])
    assert notes(codec.decode(codec.encode(slow))).start.tolist() == notes(slow).start.tolist()


@pytest.mark.parametrize(
    ("rows", "signature", "sentence"),
    [
        ([(0, 1, 5, 80, 0)], (4, 4), "has pitches that this model does not know; they go from 5 to"),
        ([(0, 1, 60, 80, 0)], (7, 8), "has a time signature that this model does not know; 7/8, and it knows 4/4"),
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
    assert codec.encode(score_of(some((1, 0.01, 60, 80, 0))))[:, 39].tolist() == [0, 0, 1]  # however short, a note is heard
    again = notes(codec.decode(roll))
    assert again.start.tolist() == [0, 0.5]
    assert again.duration.tolist() == [1, 1]
    with pytest.raises(DataError, match="pitches that a piano has not; they go from 20 to 20, its from 21 to 108"):
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
    (folder / "empty.mat").write_bytes(b"")
    np.savez_compressed(folder / "damaged.npz", a=np.random.default_rng(0).random((40, 88)) < 0.1)
    data = bytearray((folder / "damaged.npz").read_bytes())
    data[len(data) // 2 - 40 : len(data) // 2] = b"x" * 40
    (folder / "damaged.npz").write_bytes(bytes(data))
    np.save(folder / "array.npy", np.zeros((5, 88)))
    (folder / "array.npy").rename(folder / "array.npz")
    (folder / "number.json").write_text("5")
    (folder / "null.json").write_text('{"train": null}')
    (folder / "infinite.json").write_text('{"train": [[[Infinity]]]}')
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
        ("empty.mat", "no MATLAB file"),
        ("damaged.npz", "plain arrays"),
        ("array.npz", "plain arrays"),
        ("number.json", "no lists of pieces"),
        ("null.json", "no lists of pieces"),
        ("infinite.json", "piece 1 is no list of steps"),
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


@pytest.mark.parametrize("metre", [(4, 4), (6, 8), (3, 4)])
@pytest.mark.parametrize("kind", [EventCodec, NotebookCodec, RollCodec])
def test_notes_are_placed_as_they_are_written(scores, kind, metre):
    own = [score.copy() for score in scores[:4]]
    for score in own:
        score.time_signatures = [symusic.TimeSignature(0, *metre)]
    codec = kind(2)
    if kind is not RollCodec:
        codec.fit(own)
    for score in own:
        values = codec.encode(score)
        found, written = codec.placed(values), notes(codec.decode(values))
        if kind is RollCodec:
            assert len(found) == values.sum()
            assert {(start, pitch) for t, start, _, pitch in found} >= set(zip(written.start, written.pitch, strict=True))
            assert all(values[t, pitch - LOWEST] for t, _, _, pitch in found)
            continue
        places = sorted((round(start, 3), pitch, round(duration, 3)) for _, start, duration, pitch in found)
        assert places == sorted(
            zip(written.start.round(3).tolist(), written.pitch.tolist(), written.duration.round(3).tolist(), strict=True)
        )
        assert kind is NotebookCodec or all(codec.vocabulary.symbols[values[t]] == f"Pitch_{p}" for t, _, _, p in found)
