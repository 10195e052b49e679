import numpy as np
import pytest

from unspool.codecs.clips import Clips
from unspool.codecs.looks import look
from unspool.codecs.video import Video, write_video
from unspool.errors import DataError

av = pytest.importorskip("av")


def film(count, height=48, width=64):
    """Pictures that get brighter."""
    return [np.full((height, width, 3), min(255, 10 + 5 * n), np.uint8) for n in range(count)]


def test_a_file_is_written_and_read_again(tmp_path):
    assert write_video(tmp_path / "a.mp4", iter(film(20, 49, 65)), 10.0) == 20
    frames = list(Video(tmp_path / "a.mp4").frames())
    assert len(frames) == 20
    assert frames[0].picture.shape == (48, 64, 3)  # even
    assert frames[-1].time == pytest.approx(1.9, abs=0.01)
    assert [round(float(f.picture.mean())) for f in frames[::6]] == pytest.approx([10, 40, 70, 100], abs=6)


def test_a_codec_that_cannot_be_decoded_is_named(tmp_path):
    path = tmp_path / "old.avi"
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"ZZZZ"))
    with pytest.raises(DataError, match=r"old\.avi is in the codec ZZZZ, which cannot be decoded here; convert it"):
        list(Video(path).frames())


def test_frames_are_sampled_by_time(tmp_path):
    write_video(tmp_path / "a.mp4", iter(film(30)), 30.0)
    half = list(Video(tmp_path / "a.mp4").frames(10.0, (16, 16)))
    assert [f.time for f in half] == pytest.approx([n / 10 for n in range(10)])
    assert half[0].picture.shape == (16, 16, 3)
    assert [round(float(f.picture.mean())) for f in half[:8:3]] == pytest.approx([10, 55, 100], abs=6)
    more = list(Video(tmp_path / "a.mp4").frames(60.0))
    assert len(more) == 59  # the last one seen at each tick
    assert float(more[11].picture.mean()) == pytest.approx(float(more[10].picture.mean()))


def test_a_turned_file_stands_upright(tmp_path):
    write_video(
        tmp_path / "a.mp4", iter([np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 48, 0).repeat(3, 2)] * 3), 10.0
    )
    with av.open(str(tmp_path / "a.mp4")) as source, av.open(str(tmp_path / "b.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(90) if hasattr(stream, "set_display_rotation") else pytest.skip(
            "this PyAV cannot turn a stream"
        )
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert next(Video(tmp_path / "b.mp4").frames()).picture.shape[:2] == (64, 48)


def test_folders_of_pictures_and_arrays(tmp_path):
    (tmp_path / "p").mkdir()
    for n in (10, 2, 1):
        image = av.VideoFrame.from_ndarray(np.full((20 + n, 30, 3), n * 20, np.uint8), "rgb24")
        with av.open(str(tmp_path / "p" / f"f{n}.png"), "w", format="image2") as out:
            stream = out.add_stream("png", rate=1)
            stream.width, stream.height, stream.pix_fmt = 30, 20 + n, "rgb24"
            out.mux(stream.encode(image))
            out.mux(stream.encode())
    frames = list(Video(tmp_path / "p", 5.0).frames())
    assert [int(f.picture[0, 0, 0]) for f in frames] == [20, 40, 200]  # in the order of their numbers, sizes like the first
    assert {f.picture.shape for f in frames} == {(21, 30, 3)}
    assert frames[2].time == pytest.approx(0.4)
    np.save(tmp_path / "grey.npy", np.linspace(0, 1, 4 * 8 * 8).reshape(4, 8, 8))
    frames = list(Video(tmp_path / "grey.npy").frames(size=(16, 16)))
    assert (len(frames), frames[0].picture.shape) == (4, (16, 16, 3))
    assert frames[-1].picture.max() > 200


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing at all")
    with pytest.raises(DataError, match=r"a\.mp4 cannot be read as a video"):
        list(Video(tmp_path / "a.mp4").frames())
    write_video(tmp_path / "b.mp4", iter(film(60)), 10.0)
    whole = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "c.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"c\.mp4 cannot be read as a video"):
        list(Video(tmp_path / "c.mp4").frames())
    with av.open(str(tmp_path / "d.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        sound.sample_rate = 16000
        out.mux(stream.encode(sound))
        out.mux(stream.encode())
    with pytest.raises(DataError, match=r"d\.mp4 has no video stream, only audio"):
        list(Video(tmp_path / "d.mp4").frames())
    np.save(tmp_path / "e.npy", np.zeros((4, 5)))
    with pytest.raises(DataError, match=r"e\.npy holds no pictures"):
        list(Video(tmp_path / "e.npy").frames())
    with pytest.raises(DataError, match="there is no video"):
        Video(tmp_path / "f.mp4")


def test_clips_have_labels_from_folders_and_tables(tmp_path):
    for name in ("run", "sit"):
        (tmp_path / "set" / name).mkdir(parents=True)
        np.save(tmp_path / "set" / name / "1.npy", np.zeros((2, 16, 16), np.uint8))
    assert [(c.label, c.path.name) for c in Clips([tmp_path / "set"]).items] == [("run", "1.npy"), ("sit", "1.npy")]
    (tmp_path / "t.csv").write_text("path,caption,subject\nset/run/1.npy,somebody runs,p\n")
    (clip,) = Clips([tmp_path / "t.csv"]).items
    assert (clip.caption, clip.group, clip.label) == ("somebody runs", "p", "")
    (tmp_path / "u.csv").write_text("path,label\nset/run/2.npy,run\n")
    with pytest.raises(DataError, match=r"u\.csv, line 2: there is no clip"):
        Clips([tmp_path / "u.csv"])
    (tmp_path / "v.csv").write_text("clipname,label\nx,run\n")
    with pytest.raises(DataError, match="no column names the clips"):
        Clips([tmp_path / "v.csv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no clips"):
        Clips([tmp_path / "empty"])


def test_a_look_tells_pictures_apart():
    rng = np.random.default_rng(0)
    dark, noisy, red = np.zeros((30, 40, 3), np.uint8), rng.integers(0, 255, (30, 40, 3), np.uint8), np.zeros((30, 40, 3), np.uint8)
    red[..., 0] = 200
    looks = [look(p) for p in (dark, noisy, red, np.zeros((1, 1, 3), np.uint8))]
    assert all(np.isfinite(x).all() and x.shape == looks[0].shape for x in looks)
    assert np.linalg.norm(looks[0] - looks[1]) > 0.5
    assert np.linalg.norm(looks[0] - looks[2]) > 0.5
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[::2] = 255
    assert np.linalg.norm(look(stripes) - look(stripes.transpose(1, 0, 2))) > 0.5  # the same but for the direction of its edges
    np.testing.assert_array_equal(look(red), look(np.tile(red, (2, 2, 1))))
