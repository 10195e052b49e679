import csv
import itertools
import json

import numpy as np
import pytest
import torch

import unspool
from unspool.codecs.audio import AudioFile
from unspool.codecs.recordings import Recordings
from unspool.errors import ConfigError, DataError, ModelError
from unspool.insight.report import inspect
from unspool.sequences import Sequences
from unspool.tasks.formants import RATE, WORDS, say, write
from unspool.tasks.speech_data import GAP_STEP, INSIDE, START, Utterances, compose, faster, mix
from unspool.tasks.speech_listen import listen
from unspool.tasks.speech_sounds import Sounds, split
from unspool.tasks.speech_words import borders

soundfile = pytest.importorskip("soundfile")
FEW = ("ai", "ua", "iui", "uau")
SMALL = {"hidden": 48, "embedding": 48, "layers": 1, "dropout": 0.05, "batch": 4, "progress": "silent", "strings": True}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words") / "takes"
    write(folder, 24, seed=1, words=FEW)
    return folder


@pytest.fixture(scope="module")
def strings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strings") / "strings"
    write(folder, 12, seed=1, strings=True, words=FEW)
    return folder


@pytest.fixture(scope="module")
def model(words, tmp_path_factory):
    torch.manual_seed(0)
    return unspool.train("speech", words, tmp_path_factory.mktemp("models") / "m", epochs=45, learning_rate=5e-3, **SMALL)


@pytest.fixture(scope="module")
def live(words, tmp_path_factory):
    return unspool.train(
        "speech", words, tmp_path_factory.mktemp("models") / "live", epochs=45, learning_rate=5e-3, streaming=True, **SMALL
    )


def test_a_short_training_beats_its_baselines(model, strings):
    found = model.evaluate([strings])
    assert found["word error rate %"] < 40 < found["baselines"]["most frequent word, word error rate %"]
    with (strings / "manifest.csv").open() as file:
        assert found["words"] == sum(len(row["text"].split()) for row in csv.DictReader(file))
    assert found["word times off, ms"] < 120
    assert set(found["word error rate % by speaker"]) == {f"s{n}" for n in range(8)}
    assert model.metrics["validation, word error rate %"] < 40
    single = model.evaluate([model.stored["data"]["files"][0]])
    assert single["baselines"]["nearest recording (DTW), word error rate %"] < 50


def test_words_come_with_times_and_confidence(model, strings, tmp_path):
    found = next(iter(model.predict([strings / "0.wav"])))
    assert found.text.split() == [w.word for w in found.words]
    assert all(0 <= w.start < w.end <= found.seconds + 0.02 and 0 <= w.confidence <= 1 for w in found.words)
    assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(found.words))
    message = model.deliver([found], tmp_path / "a.srt")
    assert "1 transcripts are in" in message
    assert "-->" in (tmp_path / "a.srt").read_text()
    model.deliver([found], tmp_path / "a.vtt")
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT")
    model.deliver([found], tmp_path / "a.json")
    read = json.loads((tmp_path / "a.json").read_text())
    assert read["text"] == found.text
    assert set(read["words"][0]) == {"word", "start", "end", "confidence"}
    model.deliver([found], tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == found.text + "\n"
    with pytest.raises(ConfigError, match="the subtitles of one recording, not of 2"):
        model.deliver([found, found], tmp_path / "b.srt")


def test_what_is_less_sure_than_asked_is_no_word(model, strings):
    every = [w for t in model.predict([strings]) for w in t.words]
    middle = float(np.median([w.confidence for w in every]))
    found = [w for t in model.predict([strings], reject=middle) for w in t.words]
    assert {w.word for w in found if w.confidence < middle} == {"[?]"}
    assert {w.heard for w in found if w.confidence < middle} <= set(WORDS)
    assert all(w.word != "[?]" for w in found if w.confidence >= middle)


def test_a_lexicon_closes_the_vocabulary(model, strings, tmp_path):
    (tmp_path / "words.txt").write_text("ai\nuau\nsomething else\n")
    found = {w.word for t in model.predict([strings], lexicon=tmp_path / "words.txt") for w in t.words}
    assert found <= {"ai", "uau"}
    with pytest.raises(DataError, match="no word that this model can write: it writes words"):
        next(iter(model.predict([strings], lexicon=["something"])))


def test_a_recording_of_one_word_has_one(model, words):
    files = sorted(words.glob("*.wav"))[:20]
    assert all(len(t.words) == 1 for t in model.predict(files, words=1))
    with pytest.raises(ConfigError, match="words must be at least 0"):
        next(iter(model.predict(files, words=-1)))


def test_texts_tell_which_words_follow(model, strings, tmp_path):
    (tmp_path / "texts.txt").write_text("ai ia au\n" * 50)
    assert [t.text for t in model.predict([strings / "0.wav"], language=tmp_path / "texts.txt")]


def test_the_same_recording_at_another_rate_in_stereo(model, strings, tmp_path):
    values = AudioFile(strings / "1.wav").read(RATE)
    from scipy.signal import resample_poly

    louder = resample_poly(values, 6, 1)
    soundfile.write(tmp_path / "a.flac", np.stack([louder, louder], 1) * 0.9, 48000)
    a, b = model.predict([strings / "1.wav", tmp_path / "a.flac"])
    assert a.text == b.text


@pytest.mark.parametrize("size", [1, 801, 4000])
def test_a_stream_gives_what_the_whole_recording_gives(live, strings, size):
    for name in ("0.wav", "1.wav"):
        whole = next(iter(live.predict([strings / name])))
        values = AudioFile(strings / name).read(RATE)
        values = values[:6000] if size == 1 else values
        whole = live.transcribe([values])[0]
        stream, partial = live.stream(), []
        for at in range(0, len(values), size):
            partial.append(stream.push(values[at : at + size]))
        words = stream.finish()
        assert [w.word for w in words] == [w.word for w in whole.words]
        assert [(w.start, w.end) for w in words] == [(w.start, w.end) for w in whole.words]
        np.testing.assert_allclose([w.confidence for w in words], [w.confidence for w in whole.words], atol=1e-4)
        assert partial[0] == "" or size > 801


@pytest.mark.parametrize("size", [333, 1600])
def test_segments_end_at_the_same_places_whatever_the_pieces(live, strings, size):
    silence = np.random.default_rng(0).standard_normal(RATE * 2).astype(np.float32) * 0.002
    values = np.concatenate([p for n in range(3) for p in (AudioFile(strings / f"{n}.wav").read(RATE), silence)])
    whole = live.transcribe([values])[0]
    stream = live.stream()
    for at in range(0, len(values), size):
        stream.push(values[at : at + size])
    assert stream._scribe._first > 0  # a segment has ended
    assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(whole.words))  # times go on over segments
    assert [(w.word, w.start, w.end) for w in stream.finish()] == [(w.word, w.start, w.end) for w in whole.words]


def test_a_stream_refuses_what_is_no_sound(live):
    for values in (np.array([0.1, np.nan]), np.zeros((10, 2))):
        with pytest.raises(DataError, match=r"pressure values \(n,\) of one channel"):
            live.stream().push(values)


def test_a_stream_of_another_rate(live, strings):
    from scipy.signal import resample_poly

    values = AudioFile(strings / "0.wav").read(RATE)
    stream = live.stream(rate=16000)
    stream.push(resample_poly(values, 2, 1))
    assert len(stream.finish()) == len(live.transcribe([values])[0].words)


def test_a_streaming_model_says_how_far_it_looks_ahead(live, strings):
    found = live.evaluate([strings])
    assert 0 < found["look-ahead, seconds"] <= 0.3
    assert found["real-time factor"] > 0


def test_a_bidirectional_model_refuses_to_stream(model):
    with pytest.raises(ConfigError, match="train with --streaming"):
        model.stream()


def test_a_long_recording_is_heard_in_pieces(model, strings):
    """Pieces of 20 seconds with margins give nearly what each string gives alone."""
    parts = [AudioFile(strings / f"{n}.wav").read(RATE) for n in range(12)]
    silence = np.random.default_rng(0).standard_normal(RATE * 2).astype(np.float32) * 0.002
    values = np.concatenate([p for part in parts for p in (part, silence)])
    assert len(values) > 45 * RATE
    alone = " ".join(t.text for t in model.transcribe(parts)).split()
    found = model.transcribe([values])[0]
    same = sum(a == b for a, b in zip(alone, [w.word for w in found.words], strict=False))
    assert same >= 0.8 * len(alone)
    assert sum(len(h) for h in listen(model.model.listener, RATE, iter([values]))) == model.model.listener.steps(len(values))
    assert found.words[-1].end <= len(values) / RATE


def test_odd_recordings_have_a_sentence_each(model, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), RATE)
    soundfile.write(tmp_path / "one.wav", np.array([0.5]), RATE)
    loud = np.clip(say("ai", np.random.default_rng(0), 120, 1) * 30, -1, 1)
    soundfile.write(tmp_path / "loud.wav", loud, RATE)
    whole = np.tile(say("uau", np.random.default_rng(0), 120, 1), 20)
    soundfile.write(tmp_path / "whole.flac", whole, RATE)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "whole.flac").read_bytes()[:20000])
    found = {t.path.rsplit("/", 1)[-1]: t for t in model.predict([tmp_path])}
    assert found["silent.wav"].warnings == ["silent: there is nothing to hear"]
    assert found["one.wav"].words == []
    assert "clipped" in found["loud.wav"].warnings[0]
    assert "cut.flac is" in found["cut.flac"].warnings[0]
    assert found["whole.flac"].warnings == []
    (tmp_path / "no.wav").write_text("nothing")
    found = {t.path.rsplit("/", 1)[-1]: t for t in model.predict([tmp_path])}
    assert "no audio that can be read" in found["no.wav"].warnings[0]
    assert len(found) == 6


def test_rows_that_cannot_be_learned_from_are_reported(words, tmp_path):
    rows = [(file, file.stem.split("_")[0]) for file in sorted(words.glob("*.wav"))[:30]]
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), RATE)
    soundfile.write(tmp_path / "short.wav", np.array([0.5]), RATE)
    values = say("ai", np.random.default_rng(0), 120, 1)
    values[5] = np.nan
    soundfile.write(tmp_path / "nan.wav", values, RATE, subtype="FLOAT")
    rows += [("silent.wav", "ai"), ("short.wav", "ai"), ("nan.wav", "ai"), ("missing.wav", "ai")]
    with (tmp_path / "m.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("audio", "text"), *rows])
    sounds = Sounds(Recordings([tmp_path / "m.csv"]), RATE, tmp_path / "store")
    assert len(sounds.items) == 30
    assert sum(sounds.skipped.values()) == 4
    report = sounds.report
    for part in ("silent recording: 1", "recording shorter than 0.06 s", "recording that cannot be read: 2", "m.csv, line 34"):
        assert part in report
    model = unspool.train("speech", tmp_path / "m.csv", tmp_path / "model", epochs=1, **SMALL)
    assert model.stored["data"]["skipped"]["silent recording"] == 1


def test_too_few_recordings_are_refused(words, tmp_path):
    with (tmp_path / "m.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("audio", "text"), *((f, "ai") for f in sorted(words.glob("*.wav"))[:5])])
    with pytest.raises(DataError, match="only 4 recordings to learn from"):
        unspool.train("speech", tmp_path / "m.csv", tmp_path / "model", epochs=1, **SMALL)


def test_characters_and_a_transducer(words, strings, tmp_path):
    options = {**SMALL, "unit": "characters", "loss": "transducer"}
    model = unspool.train("speech", words, tmp_path / "model", epochs=2, **options)
    found = list(model.predict([strings / "0.wav"], lexicon=list(WORDS)))
    assert all(w.word in WORDS and w.start <= w.end for w in found[0].words)
    assert model.metrics["validation, nats per character"] < model.metrics["baselines"]["unigram"] * 2


def test_speakers_are_held_out_where_there_are_enough(words, tmp_path):
    sounds = Sounds(Recordings([words]), RATE, tmp_path)
    train, held, how = split(sounds, 0.2, 0, "auto")
    assert how.startswith("held-out speakers: ")
    assert not {sounds.items[i].speaker for i in train} & {sounds.items[i].speaker for i in held}
    train, held, how = split(sounds, 0.1, 0, "auto")
    assert how == "held-out recordings of the same 8 speakers"
    assert len(held) == 10
    assert not set(train) & set(held)


def test_a_string_has_its_words_where_it_says():
    rng = np.random.default_rng(0)
    hush = (rng.standard_normal(400) * 0.002).astype(np.float32)
    parts = [np.concatenate([hush, say(word, rng, 120, 1), hush]) for word in ("ai", "uau")]
    values, times = compose(parts, RATE, rng)
    for part, (start, stop) in zip(parts, times, strict=True):
        np.testing.assert_array_equal(values[start:stop], part)
    gaps = np.concatenate([values[: times[0][0]], values[times[0][1] : times[1][0]], values[times[1][1] :]])
    assert len(gaps) <= 3 * 0.3 * RATE
    assert 0 < np.abs(gaps).max() < 0.1 * np.abs(values).max()


def test_steps_are_marked_as_gaps_starts_and_words(model, words, tmp_path):
    sounds = Sounds(Recordings([words]), RATE, tmp_path)
    names = sorted(FEW)
    feed = Utterances(sounds, range(len(sounds.items)), model.codec, model.model.listener, names, strings=True, seconds=10.0)
    for batch in feed.epoch(-1):
        for marks, symbols, said in zip(batch.marks, batch.symbols, batch.said.tolist(), strict=True):
            assert int((marks == START).sum()) == said
            assert (marks == GAP_STEP).any()
            runs = [mark for mark, _ in itertools.groupby(marks.tolist()) if mark >= INSIDE]
            assert [names[mark - INSIDE] for mark in runs] == model.codec.decode(symbols[:said].tolist()).split()


def test_noise_is_as_loud_as_asked():
    rng = np.random.default_rng(0)
    values, noise = rng.standard_normal(8000) * 0.1, rng.standard_normal(8000)
    added = mix(values, noise, 10) - values
    assert 10 * np.log10(np.square(values).mean() / np.square(added).mean()) == pytest.approx(10, abs=0.1)


def test_faster_is_shorter_and_higher():
    tone = np.sin(2 * np.pi * 400 * np.arange(8000) / 8000).astype(np.float32)
    found = faster(tone, 1.25)
    assert len(found) == pytest.approx(6400, abs=2)
    assert int(np.abs(np.fft.rfft(found[:4000])).argmax()) * 2 == pytest.approx(500, abs=4)


def test_borders_are_the_likeliest():
    rng = np.random.default_rng(0)
    for _ in range(10):
        marks = np.log(rng.dirichlet([1, 1, 1], 9))
        gap, start, inside = marks.T
        spans = [(1, 3), (5, 6)]
        middles = [2, 5]

        def score(words, gap=gap, start=start, inside=inside):
            total = gap.copy()
            for first, stop in words:
                total[first:stop] = inside[first:stop]
                total[first] = start[first]
            return total.sum()

        ways = (
            ((a, b), (c, d))
            for a, b, c, d in itertools.product(range(10), repeat=4)
            if a <= middles[0] < b <= c <= middles[1] < d <= 9
        )
        best = max(ways, key=score)
        assert score(borders(gap, start, inside, spans)) == pytest.approx(score(best))


def test_a_swapped_file_is_refused(model, tmp_path):
    model.save(tmp_path / "copy")
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    config["config"]["hidden"] = 16
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        unspool.load(tmp_path / "copy")


def test_the_command_line(model, strings, tmp_path, run):
    done = run("predict", model.folder.path, strings / "0.wav", "-o", "a.srt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.srt").exists()
    (tmp_path / "no.wav").write_text("nothing")
    for arguments, message in [
        (("predict", model.folder.path, "no.wav"), "no.wav is no audio that can be read"),
        (("predict", model.folder.path, "gone.wav"), "there is no audio file gone.wav"),
        (("predict", model.folder.path, strings / "0.wav", "--reject", "2"), "reject is a confidence from 0 to 1"),
        (("train", "speech", "no.wav", "-o", "m"), "holds no recording with a text"),
    ]:
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.data
def test_real_recordings_are_read(real_data, live):
    found = Recordings([real_data / "speech/pocketsphinx/librivox"])
    assert len(found.items) == 5
    assert found.items[0].text.startswith("and mister john dashwood")
    assert AudioFile(real_data / "speech/whisper_jfk/jfk.flac").seconds == pytest.approx(11.0, abs=0.01)
    heard = next(iter(live.predict([real_data / "speech/whisper_jfk/jfk.flac"])))
    assert heard.seconds == pytest.approx(11.0, abs=0.01)


@pytest.mark.data
def test_digits_are_named_by_their_files(real_data):
    found = Recordings([real_data / "speech/fsdd/recordings"])
    assert len(found.items) == 2000
    assert {r.speaker for r in found.items} == {"george", "jackson", "nicolas", "theo"}


@pytest.mark.parametrize("kind", ["model", "live"])
def test_inspecting_what_was_said(kind, words, request):
    model = request.getfixturevalue(kind)
    file = sorted(words.glob("**/*.wav"))[0]
    opened = model.opened(file)
    assert opened.said == next(iter(model.predict([file]))).text
    assert len(opened.symbols) == opened.x.shape[1]
    values = AudioFile(file).read(model.rate)
    batch, y = Sequences.collate([values]), torch.from_numpy(model.codec.encode(opened.said))[None]
    h = model.model(batch)
    nll = model.model.head.nll(h.values, h.lengths, y, torch.tensor([y.shape[1]]))
    assert opened.answer(opened.x).item() == pytest.approx(-nll.item(), abs=1e-4)
    assert opened.losses(*opened.stack(opened.x)).tolist() == pytest.approx([nll.item()], abs=1e-4)
    found = inspect(opened)
    assert set(found) == {"input", "answer", "gradient", "gates", "attribution"}
    assert len(found["attribution"]["left out"]) == len(opened.symbols)


def test_inspecting_silence(live, tmp_path):
    soundfile.write(tmp_path / "s.wav", np.zeros(100), 8000)
    opened = live.opened(tmp_path / "s.wav")
    assert opened.said == "nothing"
    assert opened.answer(opened.x).item() <= 0
    with pytest.raises(DataError, match=r"gone\.wav"):
        live.opened("gone.wav")
