import numpy as np
import pytest

from unspool.codecs.recordings import Recordings
from unspool.codecs.subtitles import Timed, cues, srt, vtt
from unspool.codecs.transcripts import Transcripts, clean
from unspool.errors import ConfigError, DataError


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_a_manifest_names_audio_beside_it_with_speakers_and_times(tmp_path):
    (tmp_path / "list.csv").write_text("Path,Sentence,client_id,times\na.wav,One two,anna,0.1-0.4 0.5-0.9\nb.wav,,ben,\n")
    found = Recordings([tmp_path / "list.csv"])
    assert [(r.path, r.text, r.speaker, r.times) for r in found.items] == [
        (tmp_path / "a.wav", "One two", "anna", ((0.1, 0.4), (0.5, 0.9)))
    ]
    assert found.skipped == {"row without audio or text": 1}
    assert found.items[0].place.endswith("list.csv, line 2")


def test_a_json_lines_manifest(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"audio_filepath": "x/a.wav", "text": "hello"}\n')
    assert Recordings([tmp_path]).items[0].path == tmp_path / "x" / "a.wav"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,words2\na.wav,x\n", "has no column text; its columns are 'file', 'words2'"),
        ("name,other\na,b\n", "has no column audio and none text"),
        ("audio,text,times\na.wav,one,0.1\n", r"m\.csv, line 2: times are pairs in seconds such as 0\.10-0\.42"),
    ],
)
def test_a_manifest_that_does_not_fit_is_named(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        Recordings([tmp_path / "m.csv"])


def test_texts_beside_the_audio(tmp_path):
    touch(tmp_path, "a.wav", "b.flac", "c.wav")
    (tmp_path / "a.txt").write_text("four queens\n")
    (tmp_path / "b.txt").write_text("ten of clubs")
    found = Recordings([tmp_path])
    assert [r.text for r in found.items] == ["four queens", "ten of clubs"]
    assert found.skipped == {"audio without a text": 1}


def test_names_of_files_that_say_what_is_said(tmp_path):
    touch(tmp_path, "seven_anna_1.wav", "one_ben_12.wav")
    found = Recordings([tmp_path])
    assert [(r.text, r.speaker) for r in found.items] == [("one", "ben"), ("seven", "anna")]
    assert "{text}_{speaker}_{take}" in found.how[0]


def test_files_given_one_by_one_are_read_alike(tmp_path):
    touch(tmp_path, "seven_anna_1.wav", "one_ben_12.wav")
    found = Recordings(sorted(tmp_path.iterdir()))
    assert [r.text for r in found.items] == ["one", "seven"]
    assert len(found.how) == 1


def test_a_pattern_reads_folders_too(tmp_path):
    touch(tmp_path, "yes/3f_nohash_0.wav", "no/a1_nohash_1.wav", "no/readme_5.wav")
    found = Recordings([tmp_path], "{text}/{speaker}_nohash_{take}")
    assert [(r.text, r.speaker) for r in found.items] == [("no", "a1"), ("yes", "3f")]
    assert found.skipped == {"name that does not follow the pattern": 1}


@pytest.mark.parametrize("pattern", ["{speaker}", "{text}_{who}", "{text}{text}"])
def test_a_wrong_pattern_is_refused(tmp_path, pattern):
    with pytest.raises(ConfigError, match="a pattern has"):
        Recordings([tmp_path], pattern)


def test_a_folder_without_recordings_says_what_to_give(tmp_path):
    with pytest.raises(DataError, match="holds no audio"):
        Recordings([tmp_path])
    touch(tmp_path, "a.wav")
    with pytest.raises(DataError, match=r"no recording with a text \(audio without a text: 1\); give a manifest"):
        Recordings([tmp_path])
    with pytest.raises(DataError, match=r"did you mean 'a\.wav'"):
        Recordings([tmp_path / "aa.wav"])


def test_transcripts_are_cleaned():
    assert clean("  It’s “Four”, QUEENS -- rock'n'roll! ") == "it's four queens rock'n'roll"


def test_few_frequent_words_are_heard_as_wholes():
    few = Transcripts().fit(["one", "two"] * 20)
    assert few.unit == "words"
    assert few.decode(few.encode("Two one")) == "two one"
    assert few.encode("three").tolist() == [1]
    many = Transcripts().fit([f"word {n}" for n in range(20)])
    assert many.unit == "characters"


@pytest.mark.parametrize("unit", ["words", "characters", "subwords"])
def test_words_of_symbols_and_back(unit):
    codec = Transcripts(unit, 300).fit(["the cat sat", "on the mat"] * 5)
    codec = Transcripts.from_json(codec.to_json())
    ids = codec.encode("the mat sat").tolist()
    assert codec.decode(ids) == "the mat sat"
    words = codec.words(ids)
    assert [w for w, _, _ in words] == ["the", "mat", "sat"]
    assert [codec.decode(ids[a:b]) for _, a, b in words] == ["the", "mat", "sat"]
    assert "".join(codec.pieces[i] for i in ids).strip() == "the mat sat"
    assert unit == "characters" or codec.pieces[ids[0]].startswith(" ")  # the first word begins as any other


def test_transcripts_without_words_are_refused():
    with pytest.raises(DataError, match="hold no words"):
        Transcripts().fit(["...", "!"])


def test_subtitles_break_at_pauses_and_when_they_are_long():
    words = [Timed("one", 0.0, 0.5), Timed("two", 0.6, 1.0), Timed("three", 2.5, 3.0)]
    assert [c.text for c in cues(words)] == ["one two", "three"]
    many = [Timed("word", n * 0.4, n * 0.4 + 0.3) for n in range(40)]
    assert all(len(c.text) <= 42 and c.end - c.start <= 6 for c in cues(many))
    assert sum(len(c.text.split()) for c in cues(many)) == 40


def test_subtitles_in_both_formats():
    words = [Timed("a<b", 3661.0, 3661.5)]
    assert srt(words) == "1\n01:01:01,000 --> 01:01:01,500\na<b\n"
    assert vtt(words) == "WEBVTT\n\n01:01:01.000 --> 01:01:01.500\na&lt;b\n"
    assert srt([]) == ""


def test_ids_are_of_the_dtype_that_models_take():
    assert Transcripts("characters").fit(["ab"]).encode("ab").dtype == np.int64
