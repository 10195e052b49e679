import numpy as np
import pytest
from scipy.signal import resample_poly

from unspool.codecs.audio import AudioFile, Resampler, faults
from unspool.errors import DataError

soundfile = pytest.importorskip("soundfile")


def tone(rate, seconds=0.5, hz=440.0):
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize(("source", "target"), [(44100, 8000), (8000, 16000), (96000, 8000), (22050, 16000), (11025, 8000)])
def test_pieces_of_a_resampled_recording_equal_the_whole(source, target):
    values = np.random.default_rng(0).standard_normal(source // 3).astype(np.float32)
    whole = Resampler(source, target)
    expected = np.concatenate([whole.push(values), whole.finish()])
    pieces, rng, at, found = Resampler(source, target), np.random.default_rng(1), 0, []
    while at < len(values):
        size = int(rng.integers(1, 3000))
        found.append(pieces.push(values[at : at + size]))
        at += size
    np.testing.assert_allclose(np.concatenate([*found, pieces.finish()]), expected, atol=1e-6)
    common = np.gcd(source, target)
    np.testing.assert_allclose(expected, resample_poly(values, target // common, source // common), atol=1e-5)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (48000, 1)])
def test_any_format_rate_and_channels_give_the_same_tone(tmp_path, ending, rate, channels):
    file = tmp_path / f"tone.{ending}"
    soundfile.write(file, np.stack([tone(rate)] * channels, 1), rate)
    found = AudioFile(file).read(16000)
    assert abs(len(found) - 8000) <= 1
    inner = slice(800, 7000)
    np.testing.assert_allclose(found[inner], tone(16000)[inner], atol=0.02)


def test_blocks_are_the_whole(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(44100, 2.0), 44100)
    file = AudioFile(tmp_path / "a.wav")
    blocks = list(file.blocks(8000, seconds=0.3))
    assert len(blocks) > 5
    np.testing.assert_allclose(np.concatenate(blocks), file.read(8000), atol=1e-6)


def test_what_is_no_audio_is_named(tmp_path):
    (tmp_path / "a.wav").write_text("not audio")
    with pytest.raises(DataError, match=r"a\.wav is no audio that can be read .*; WAV, FLAC"):
        AudioFile(tmp_path / "a.wav")
    with pytest.raises(DataError, match="there is no audio file"):
        AudioFile(tmp_path / "b.wav")
    with pytest.raises(DataError, match="it is a folder"):
        AudioFile(tmp_path)


def test_no_numbers_are_named_with_their_place(tmp_path):
    values = tone(8000)
    values[1600] = np.nan
    soundfile.write(tmp_path / "a.wav", values, 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a\.wav: the value at 0\.200 s is no number"):
        AudioFile(tmp_path / "a.wav").read(8000)


def test_a_damaged_file_says_after_how_much(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).standard_normal(160_000) * 0.1, 8000)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "b.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"b\.flac is (damaged after|cut short)"):
        AudioFile(tmp_path / "b.flac").read(8000)


def test_an_empty_file_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 8000)
    with pytest.raises(DataError, match="holds no sound"):
        AudioFile(tmp_path / "a.wav").read(8000)


def test_silence_and_clipping_are_noticed():
    loud = np.clip(tone(8000) * 10, -1, 1)
    assert faults(np.zeros(800)) == ["silent"]
    assert faults(loud) == ["clipped"]
    assert faults(tone(8000)) == []
