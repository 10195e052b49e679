"""MIDI files: what is read, what is skipped and why, and notes to scores and back."""

import numpy as np
import pytest
import symusic

from codecs_help import some
from unspool.codecs.midi import MidiFiles, Notes, bar_lines, continued, merged, notes, pitch_name, read_midi, score_of
from unspool.errors import DataError


def write(path, found, **options):
    score_of(found, **options).dump_midi(str(path))
    return path


@pytest.fixture
def tune(tmp_path):
    return write(tmp_path / "tune.mid", some((0, 1, 60, 80, 0), (1, 1, 64, 80, 0), (2, 2, 67, 80, 0)))


def test_notes_survive_the_way_to_a_file_and_back(tmp_path):
    given = some((0, 1, 60, 80, 0), (0.5, 0.25, 36, 100, -1), (1, 1.5, 64, 90, 24), (1, 1, 72, 70, 0))
    found = notes(read_midi(write(tmp_path / "a.mid", given)))
    for name, mine, theirs in zip(Notes._fields, given, found, strict=True):
        assert np.allclose(mine, theirs), name


def test_a_note_that_starts_again_ends_the_one_before(tmp_path):
    found = notes(score_of(some((0, 4, 60, 80, 0), (1, 1, 60, 80, 0), (0, 4, 62, 80, 0))))
    assert found.duration[found.pitch == 60].tolist() == [1, 1]
    assert found.duration[found.pitch == 62].tolist() == [4]


def test_merged_leaves_out_drums_and_doubles():
    found = notes(merged(score_of(some((0, 1, 60, 80, 0), (0, 2, 60, 90, 5), (0, 1, 36, 80, -1), (1, 1, 62, 80, 40)))))
    assert found.pitch.tolist() == [60, 62]
    assert found.duration.tolist() == [2, 1]
    assert set(found.program.tolist()) == {0}
    assert notes(merged(score_of(some((0, 1, 36, 80, -1))))).size == 1  # nothing but drums: those are the piece


def test_a_folder_is_read_and_what_is_skipped_is_told(tmp_path, tune):
    data = tune.read_bytes()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "again.MID").write_bytes(data)
    (tmp_path / "cut.mid").write_bytes(data[: len(data) // 2])
    (tmp_path / "none.mid").write_bytes(b"this is no music" * 9)
    (tmp_path / "empty.mid").write_bytes(b"")
    (tmp_path / "words.txt").write_text("la la la")
    symusic.Score(480).dump_midi(str(tmp_path / "silent.mid"))
    files = MidiFiles([tmp_path])
    assert [name.split("/")[-1] for name, _ in files] == ["again.MID", "tune.mid"]
    assert (len(files.report.files), files.report.notes) == (2, 6)
    assert files.report.skipped == {
        "no MIDI file": ["words.txt"],
        "is cut short": ["cut.mid"],
        "is no MIDI file": ["empty.mid", "none.mid"],
        "has no notes": ["silent.mid"],
    }
    assert "skipped, is cut short: cut.mid" in str(files.report)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is no MIDI file"), (b"hello" * 20, "is no MIDI file"), (None, "is cut short")],
)
def test_a_file_that_was_named_must_be_good(tmp_path, tune, content, sentence):
    bad = tmp_path / "bad.mid"
    bad.write_bytes(tune.read_bytes()[:-9] if content is None else content)
    with pytest.raises(DataError, match=f"bad.mid {sentence}"):
        list(MidiFiles([bad]))


def test_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match="there are no MIDI files"):
        MidiFiles([tmp_path])
    with pytest.raises(DataError, match=r"there is no file .*nowhere"):
        MidiFiles([tmp_path / "nowhere"])
    (tmp_path / "a.mid").write_bytes(b"")
    with pytest.raises(DataError, match="none of the 1 MIDI files can be used"):
        list(MidiFiles([tmp_path]))


def test_absurd_times_are_refused_and_odd_settings_left_out(tmp_path):
    far = write(tmp_path / "far.mid", some((0, 1, 60, 80, 0), (2e6, 1, 60, 80, 0)), ticks=24)
    with pytest.raises(DataError, match="longer than 100,000 quarter notes"):
        read_midi(far)
    score = score_of(some((0, 1, 60, 80, 0)))
    score.time_signatures = [symusic.TimeSignature(0, 0, 4), symusic.TimeSignature(0, 3, 4), symusic.TimeSignature(0, 4, 128)]
    score.tempos = [symusic.Tempo(0, 100.0), symusic.Tempo(10, 1.0)]
    score.dump_midi(str(tmp_path / "odd.mid"))
    files = MidiFiles([tmp_path / "odd.mid"])
    ((_, found),) = files
    assert [(s.numerator, s.denominator) for s in found.time_signatures] == [(3, 4)]
    assert [round(t.qpm) for t in found.tempos] == [100]
    assert files.report.mended == {"odd time signatures left out": 2, "odd tempos left out": 1}


def test_a_piece_goes_on_and_what_was_given_stays_exactly(tune):
    given = read_midi(tune)
    more = score_of(some((4, 1, 72, 50, 0), (5, 1, 74, 50, 0)), 24)
    more.tempos = [symusic.Tempo(0, 60.0), symusic.Tempo(4 * 24, 90.0)]
    more.time_signatures = [symusic.TimeSignature(4 * 24, 3, 4)]
    longer = continued(given, notes(more), more)
    assert [(t.time / longer.ticks_per_quarter, round(t.qpm)) for t in longer.tempos if t.time] == [(4, 90)]
    assert 60 not in [round(t.qpm) for t in longer.tempos]  # the prompt's own holds until its end
    assert [(s.time / longer.ticks_per_quarter, s.numerator) for s in longer.time_signatures if s.time] == [(4, 3)]
    assert longer.tracks[0].notes == given.tracks[0].notes
    assert notes(longer).start.tolist() == [0, 1, 2, 4, 5]
    assert longer.ticks_per_quarter == given.ticks_per_quarter


def test_bars_and_names():
    score = score_of(some((0, 1, 60, 80, 0), (11, 1, 60, 80, 0)))
    assert bar_lines(score) == [0, 4, 8]
    score.time_signatures = [symusic.TimeSignature(0, 6, 8), symusic.TimeSignature(6 * 480, 2, 4)]
    assert bar_lines(score) == [0, 3, 6, 8, 10]
    assert [pitch_name(p) for p in (21, 60, 61, 108)] == ["A0", "C4", "C#4", "C8"]
