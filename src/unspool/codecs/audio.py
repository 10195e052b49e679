"""Audio files as a stream of pressure values: one channel, one rate, whatever the file has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np

from unspool.errors import DataError, extra

__all__ = ["ENDINGS", "AudioFile", "Resampler", "faults"]

ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")
BLOCK = 1.0  # seconds that are read at a time
SILENT = 1e-4  # an amplitude of -80 dB
CLIPPED = 0.01  # share of values at full scale


class AudioFile:
    """A recording on disk. DataError when it is not there, is no audio, or is empty."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"there is no audio file {self.path}" + ("; it is a folder" if self.path.is_dir() else ""))
        try:
            known = _soundfile().info(str(self.path))
        except RuntimeError as error:
            raise DataError(
                f"{self.path} is no audio that can be read ({_reason(error)}); WAV, FLAC, OGG and MP3 files can be"
            ) from None
        self.rate, self.frames, self.channels = int(known.samplerate), int(known.frames), int(known.channels)

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    def blocks(self, rate: int, seconds: float = BLOCK) -> Iterator[np.ndarray]:
        """Pressure values (N,) float32, the mean of the channels, at `rate` a second, some seconds at a time.

        DataError, with the place, where the file is damaged or holds what is no number.
        """
        resampler, done, step = Resampler(self.rate, rate), 0, max(1, int(seconds * self.rate))
        try:
            with _soundfile().SoundFile(str(self.path)) as file:
                while len(values := file.read(step, dtype="float32", always_2d=True)):
                    if not np.isfinite(values).all():
                        at = done + int(np.argmin(np.isfinite(values).all(1)))
                        raise DataError(
                            f"{self.path}: the value at {at / self.rate:.3f} s is no number; export the recording again"
                        )
                    done += len(values)
                    yield resampler.push(values.mean(1))
        except RuntimeError as error:
            raise DataError(f"{self.path} is damaged after {done / self.rate:.1f} s ({_reason(error)}); fetch it again") from None
        if not done:
            raise DataError(f"{self.path} holds no sound: it has no values")
        yield resampler.finish()
        missing = self.frames - done
        if missing > self.rate // 20:
            raise DataError(f"{self.path} is cut short: {missing / self.rate:.1f} of its {self.seconds:.1f} s are missing")

    def read(self, rate: int) -> np.ndarray:
        """The whole recording (N,)."""
        return np.concatenate(list(self.blocks(rate)))


def faults(values: np.ndarray) -> list[str]:
    """What makes a recording hard to understand: silence, clipping."""
    loudest = float(np.abs(values).max(initial=0.0))
    if loudest < SILENT:
        return ["silent"]
    return ["clipped"] if loudest > 0.98 and float((np.abs(values) > 0.98 * loudest).mean()) > CLIPPED else []


@dataclass
class Resampler:
    """From one rate to another, a piece at a time; the pieces together equal the whole.

    A windowed-sinc low-pass filter in its polyphase form, that of `scipy.signal.resample_poly` (Kaiser window, beta 5).
    """

    source: int
    target: int

    def __post_init__(self) -> None:
        common = gcd(self.source, self.target)
        self.up, self.down = self.target // common, self.source // common
        self.half = 10 * max(self.up, self.down)  # of the filter, in values at the rate source * up
        self._margin = -(-self.half // self.up // self.down) * self.down + self.down  # source values on either side, whole periods
        self._buffer = np.zeros(self._margin, np.float32)
        self._read = 0

    def push(self, values: np.ndarray) -> np.ndarray:
        """The next source values to those of the target that they determine."""
        if self.source == self.target:
            return values.astype(np.float32)
        self._buffer = np.concatenate([self._buffer, values.astype(np.float32)])
        self._read += len(values)
        whole = (len(self._buffer) - 2 * self._margin) // self.down * self.down
        if whole <= 0:
            return np.zeros(0, np.float32)
        made = self._resampled(self._buffer[: whole + 2 * self._margin])[: whole // self.down * self.up]
        self._buffer = self._buffer[whole:]
        return made

    def finish(self) -> np.ndarray:
        """The values that were waiting for what follows."""
        if self.source == self.target:
            return np.zeros(0, np.float32)
        left = len(self._buffer) - self._margin
        padded = np.concatenate([self._buffer, np.zeros(self._margin + self.down, np.float32)])
        return self._resampled(padded)[: -(-left * self.up // self.down)]

    def _resampled(self, values: np.ndarray) -> np.ndarray:
        """Of values that have a margin on either side."""
        made = extra("scipy.signal", "speech").resample_poly(values, self.up, self.down, window=self._filter)
        return made[self._margin // self.down * self.up :].astype(np.float32)

    @cached_property
    def _filter(self) -> np.ndarray:
        return extra("scipy.signal", "speech").firwin(2 * self.half + 1, 1 / max(self.up, self.down), window=("kaiser", 5.0))


def _soundfile() -> Any:
    return extra("soundfile", "speech")


def _reason(error: RuntimeError) -> str:
    """What libsndfile says, without the name of the file."""
    return str(error).rsplit(": ", 1)[-1].strip(" .")
