"""Synthetic reviews for the demo: a small grammar whose words are good or bad, turned round by a "not" and weakened by a "but"."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

__all__ = ["write"]

_THINGS = ("kettle", "lamp", "radio", "chair", "umbrella", "clock", "bag", "speaker", "blanket", "knife")
_PARTS = ("sound", "colour", "handle", "price", "battery", "fabric", "button", "manual", "box", "service")
_WORDS = {
    2: ("wonderful", "brilliant", "perfect", "superb"),
    1: ("good", "solid", "handy", "pretty"),
    -1: ("weak", "dull", "clumsy", "noisy"),
    -2: ("terrible", "useless", "awful", "broken"),
}
_STARTS = ("I bought this {thing} last week.", "The {thing} came on time.", "A {thing} for my sister.", "My third {thing}.", "")
_FORMS = ("The {part} is {word}.", "I find the {part} {word}.", "What a {word} {part}!", "{word} {part}, I think.")
_TURNED = ("The {part} is not {word}.", "Nobody would call the {part} {word}.")


def write(path: Path, count: int, seed: int) -> None:
    """Writes `count` reviews with ratings from 1 to 5 as a CSV file."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["review", "rating"])
        for _ in range(count):
            table.writerow(_review(rng))


def _review(rng: np.random.Generator) -> tuple[str, int]:
    parts, mood = [str(rng.choice(_STARTS)).format(thing=rng.choice(_THINGS))], rng.choice([-2, -1, 1, 2])
    total = 0.0
    clauses = int(rng.integers(1, 4))
    for _ in range(clauses):
        strength = int(np.clip(mood + rng.integers(-1, 2), -2, 2)) or int(rng.choice([-1, 1]))
        turned = rng.random() < 0.25
        form = str(rng.choice(_TURNED if turned else _FORMS))
        sentence = form.format(part=rng.choice(_PARTS), word=rng.choice(_WORDS[strength]))
        parts.append(sentence[0].upper() + sentence[1:])
        total += -0.5 * strength if turned else strength
    rating = int(np.clip(round(3 + total / clauses), 1, 5))
    return " ".join(part for part in parts if part), rating
