"""What a recording says, and as what it is written: text, JSON, subtitles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unspool.codecs import subtitles
from unspool.codecs.subtitles import Timed
from unspool.errors import ConfigError
from unspool.tasks.outputs import written
from unspool.tasks.speech_words import Word

__all__ = ["Transcript", "delivered", "joined"]


@dataclass(frozen=True)
class Transcript:
    """What a recording says: the text, its words with times in seconds and confidence, and what was wrong with the recording."""

    path: str
    text: str
    words: list[Word] = field(default_factory=list)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        words = [{k: v for k, v in asdict(w).items() if v != ""} for w in self.words]
        for word in words:
            word["confidence"] = round(word["confidence"], 4)
        return {"path": self.path, "text": self.text, "seconds": round(self.seconds, 3), "words": words, "warnings": self.warnings}


def delivered(samples: Iterable[Transcript], output: Path | None, as_json: bool) -> str:
    """The transcripts as lines, or JSON lines; or written to an output, and a sentence about it."""
    if output is None:
        return "\n".join(json.dumps(t.to_json(), ensure_ascii=False) if as_json else _shown(t) for t in samples)
    kind = output.suffix.lower()
    found = list(samples)
    if kind in (".srt", ".vtt"):
        if len(found) != 1:
            raise ConfigError(f"{output} holds the subtitles of one recording, not of {len(found)}; give one, or write .json")
        words = [Timed(w.word, w.start, w.end) for w in found[0].words]
        text = subtitles.srt(words) if kind == ".srt" else subtitles.vtt(words)
    elif as_json or kind in (".json", ".jsonl"):
        text = "".join(json.dumps(t.to_json(), ensure_ascii=False) + "\n" for t in found)
    else:
        text = "".join(t.text + "\n" for t in found)
    with written(output) as file:
        file.write(text)
    odd = sum(bool(t.warnings) for t in found)
    return f"{len(found):,} transcripts are in {output}" + (f"; {odd:,} recordings have warnings (see --json)" if odd else "")


def joined(words: Sequence[Word]) -> str:
    return " ".join(w.word for w in words)


def _shown(t: Transcript) -> str:
    return "\n".join([f"{t.path}: {t.text}", *(f"    warning: {w}" for w in t.warnings)])
