"""Recordings that were read: one rate, 16 bits, on disk; and which of them validate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unspool.codecs.audio import AudioFile, faults
from unspool.codecs.corpus import Corpus
from unspool.codecs.recordings import Recordings
from unspool.errors import DataError

__all__ = ["Sound", "Sounds", "split"]

SHORTEST = 0.06  # seconds
LONGEST = 40.0  # seconds of a recording to learn from: longer ones would fill the memory


@dataclass(frozen=True)
class Sound:
    """A recording that was read: where its values lie in the store, what is said in it and by whom."""

    start: int
    stop: int
    text: str
    speaker: str
    path: str


class Sounds:
    """Recordings at one rate, kept on disk as 16-bit values."""

    def __init__(self, recordings: Recordings, rate: int, folder: Path):
        self.rate, self.skipped = rate, Counter(recordings.skipped)
        self.places: dict[str, str] = {}  # of each reason the first
        self.noted: Counter[str] = Counter()
        self.items: list[Sound] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._store = Corpus(folder, "sounds", 1 << 16).write(self._read(recordings))
        if not self.items:
            raise DataError(f"none of the recordings can be learned from ({self.report})")
        self.speakers = {
            name: [i for i, s in enumerate(self.items) if s.speaker == name] for name in {s.speaker for s in self.items}
        }

    def _read(self, recordings: Recordings) -> Iterator[np.ndarray]:
        at = 0
        for item in recordings.items:
            try:
                values = AudioFile(item.path).read(self.rate)
            except DataError as error:
                self.skip("recording that cannot be read", f"{item.place}: {error}")
                continue
            found = faults(values)
            if len(values) < SHORTEST * self.rate or len(values) > LONGEST * self.rate:
                self.skip(
                    f"recording shorter than {SHORTEST} s or longer than {LONGEST:g} s",
                    f"{item.place}: {len(values) / self.rate:.2f} s",
                )
                continue
            if "silent" in found:
                self.skip("silent recording", item.place)
                continue
            self.noted.update(found)
            self.items.append(Sound(at, at + len(values), item.text, item.speaker, str(item.path)))
            at += len(values)
            yield np.clip(np.round(values * 32767) + 32768, 0, 65535)

    def skip(self, reason: str, place: str) -> None:
        self.skipped[reason] += 1
        self.places.setdefault(reason, place)

    @property
    def report(self) -> str:
        parts = [f"{len(self.items):,} recordings, {self.seconds(range(len(self.items))) / 60:.1f} minutes"]
        parts += [
            f"skipped, {why}: {n:,}" + (f" (first: {self.places[why]})" if why in self.places else "")
            for why, n in self.skipped.items()
        ]
        return "; ".join(parts + [f"{what}: {n:,}" for what, n in self.noted.items()])

    def seconds(self, chosen: Iterable[int]) -> float:
        """How long these recordings are together."""
        return sum(self.items[i].stop - self.items[i].start for i in chosen) / self.rate

    def values(self, index: int) -> np.ndarray:
        """Pressure values (N,) float32 of a recording."""
        item = self.items[index]
        return ((self._store.read(item.start, item.stop) - 32768) / 32767).astype(np.float32)


def split(sounds: Sounds, share: float, seed: int, by: str) -> tuple[list[int], list[int], str]:
    """Training and validation recordings, and which split was made: whole `speakers`, or `recordings` of every speaker."""
    rng = np.random.default_rng(seed)
    names = sorted(name for name in sounds.speakers if name)
    if by == "auto":
        by = "speakers" if share * len(names) >= 1 else "recordings"
    if by == "speakers":
        if len(names) < 2:
            raise DataError(
                "to hold out speakers, at least two must be known; name the speaker's column, or use --split recordings"
            )
        held = set(rng.permutation(names)[: max(1, round(share * len(names)))].tolist())
        chosen = [i for name in held for i in sounds.speakers[name]]
        how = f"held-out speakers: {', '.join(sorted(held)[:10])}"
    else:
        chosen = rng.permutation(len(sounds.items))[: max(1, round(share * len(sounds.items)))].tolist()
        how = "held-out recordings" + (f" of the same {len(names)} speakers" if names else "; the speakers are not known")
    inside = set(chosen)
    return [i for i in range(len(sounds.items)) if i not in inside], sorted(inside), how
