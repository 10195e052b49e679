"""Video as a stream of frames: files (PyAV), folders of numbered pictures, arrays; sampled by time, at one size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unspool.errors import DataError, extra

__all__ = ["ENDINGS", "PICTURES", "Frame", "Video", "write_video"]

ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ogv", ".gif")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
ARRAYS = (".npy", ".npz")


class Frame(NamedTuple):
    """A picture (H, W, 3) of bytes, and when it is seen, in seconds."""

    picture: np.ndarray
    time: float


class Video:
    """A video file, a folder of numbered pictures, or an array (T, H, W) or (T, H, W, 3) of pictures, the last two at `rate` a
    second.

    Nothing is read beforehand; frames come one after another, so memory does not grow with the video.
    """

    def __init__(self, path: str | Path, rate: float = 10.0):
        self.path, self.rate = Path(path), rate
        if not self.path.exists():
            raise DataError(f"there is no video {self.path}")
        if self.path.is_dir():
            self._pictures = sorted((p for p in self.path.iterdir() if p.suffix.lower() in PICTURES), key=_number)
            if not self._pictures:
                raise DataError(f"{self.path} holds no pictures ({', '.join(PICTURES)})")

    def frames(self, rate: float | None = None, size: tuple[int, int] | None = None) -> Iterator[Frame]:
        """Frames at `rate` a second (else all), the last one seen at each tick, of `size` (height, width), upright.

        DataError for what cannot be read, with the time at which it is damaged, where some of it can.
        """
        pictures = self.path.is_dir()
        array = self.path.suffix.lower() in ARRAYS
        found = self._of_pictures() if pictures else self._of_array() if array else self._of_file()
        for frame, time in found if rate is None else _sampled(found, rate):  # what is not looked at is decoded, but not resized
            if pictures:
                size = size or (frame.height, frame.width)  # pictures of other sizes become like the first
            yield Frame(_upright(frame, size), time)

    def _of_file(self) -> Iterator[tuple[Any, float]]:
        av = extra("av", "video")
        count = 0
        last = 0.0
        try:
            with av.open(str(self.path)) as container:
                if not container.streams.video:
                    raise DataError(
                        f"{self.path} has no video stream, only {', '.join(s.type for s in container.streams) or 'nothing'}"
                    )
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                first: float | None = None
                for frame in container.decode(stream):
                    time = float(frame.pts * stream.time_base) if frame.pts is not None else last + 1 / self.rate
                    first = time if first is None else first
                    last, count = time - first, count + 1
                    yield frame, last
        except av.error.FFmpegError as error:
            if isinstance(error, av.error.DecoderNotFoundError):
                codec = _codec(self.path)
                raise DataError(
                    f"{self.path} is in the codec {codec}, which cannot be decoded here; convert it to H.264"
                ) from error
            where = f" after {last:.1f} s" if count else ""
            raise DataError(f"{self.path} cannot be read as a video{where} ({error.strerror})") from error
        if not count:
            raise DataError(f"{self.path} holds no frames")

    def _of_pictures(self) -> Iterator[tuple[Any, float]]:
        av = extra("av", "video")
        for number, path in enumerate(self._pictures):
            try:
                with av.open(str(path)) as container:
                    frame = next(container.decode(video=0))
            except (av.error.FFmpegError, StopIteration) as error:
                raise DataError(f"{path} cannot be read as a picture; remove or replace it") from error
            yield frame, number / self.rate

    def _of_array(self) -> Iterator[tuple[Any, float]]:
        av = extra("av", "video")
        try:
            found: Any = np.load(self.path, mmap_mode="r", allow_pickle=False)
            if not isinstance(found, np.ndarray):
                found = next((found[k] for k in found.files if found[k].ndim >= 3), None)
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"{self.path} cannot be read as an array ({error})") from error
        if found is None or found.ndim not in (3, 4) or (found.ndim == 4 and found.shape[3] not in (1, 3, 4)) or not len(found):
            shape = None if found is None else found.shape
            raise DataError(f"{self.path} holds no pictures: (T, H, W) or (T, H, W, 3) was expected, not {shape}")
        scale = 255.0 if np.issubdtype(found.dtype, np.floating) and float(np.nanmax(found[0])) <= 1.0 else 1.0
        for number in range(len(found)):
            picture = np.nan_to_num(np.asarray(found[number], np.float32) * scale).clip(0, 255).astype(np.uint8)
            picture = picture[:, :, None] if picture.ndim == 2 else picture
            picture = np.repeat(picture, 3, 2) if picture.shape[2] == 1 else picture[:, :, :3]
            yield av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24"), number / self.rate


def _upright(frame: Any, size: tuple[int, int] | None) -> np.ndarray:
    """A frame as RGB (H, W, 3), turned as its file says."""
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    if size:
        height, width = size if turns % 2 == 0 else size[::-1]
        frame = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
    picture = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _sampled(frames: Iterator[tuple[Any, float]], rate: float) -> Iterator[tuple[Any, float]]:
    """At each tick of `rate` a second the last frame seen."""
    tick, before, seen = 0, None, 0.0
    for frame, time in frames:
        while before is not None and time > tick / rate + 1e-6:
            yield before, tick / rate
            tick += 1
        before, seen = frame, time
    if before is not None and seen >= tick / rate - 1e-6:
        yield before, tick / rate


def _codec(path: Path) -> str:
    """What FFmpeg calls the codec of a file that it cannot decode; only its log says so."""
    av = extra("av", "video")
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as said, av.open(str(path)):
            pass
    finally:
        av.logging.set_level(level)
    found = re.search(r"Video: (?:none \()?(\w+)", " ".join(line for _, _, line in said))
    return found[1] if found else "of this file"


def _number(path: Path) -> tuple[int, str]:
    """Numbered pictures in the order of their numbers."""
    found = re.findall(r"\d+", path.stem)
    return (int(found[-1]) if found else 0), path.name


def write_video(path: Path, pictures: Iterator[np.ndarray], rate: float) -> int:
    """An MP4 of pictures (H, W, 3) of bytes, all of one size, at `rate` a second; returns how many there were."""
    av = extra("av", "video")
    count = 0
    try:
        with av.open(str(path), "w", format="mp4") as container:
            stream = None
            for picture in pictures:
                height, width = (n - n % 2 for n in picture.shape[:2])  # colours are kept for two pixels at once
                if stream is None:
                    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
                    stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
                    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), "rgb24")
                container.mux(stream.encode(frame))
                count += 1
            if stream is not None:
                container.mux(stream.encode())
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    return count
