"""Which unit of a network follows a rule: found by correlation on one half of a text, reported on the other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["RULES", "Follower", "followers", "labels"]

RULES: dict[str, str] = {  # a character is labelled where a match covers it
    "in a word": r"[^\W\d_]+",
    "in a number": r"\d[\d.,:]*",
    "in capitals": r"\b[A-Z]{2,}\b",
    "in a word with a capital": r"\b[A-Z]\w*",
    "in a hashtag": r"#\w+",
    "in a mention": r"@\w+",
    "in a link": r"(?:https?://|www\.|pic\.twitter\.com/)\S*",
    "in quotes": r"[\"“][^\"“”\n]{0,200}[\"”]",
    "in brackets": r"[(\[][^()\[\]\n]{0,200}[)\]]",
    "a space": r"\s+",
    "punctuation": r"[.,;:!?]+",
    "the end of a sentence": r"[.!?](?=\s|$)",
    "a vowel": r"(?i)[aeiou]",
    "the third letter of a word and on": r"(?<=[^\W\d_]{2})[^\W\d_]+",
}


class Follower(NamedTuple):
    """The unit of a layer that follows a rule best: its correlation where it was found, and on the other half."""

    rule: str
    layer: int
    state: str
    unit: int
    found: float
    reported: float


def labels(text: str, rule: str) -> Tensor:
    """(len(text),) of 1 where a match of the regular expression covers a character, else 0."""
    found = torch.zeros(len(text))
    for match in re.finditer(rule, text):
        found[match.start() : match.end()] = 1
    return found


def followers(states: Sequence[Mapping[str, Tensor]], rules: Mapping[str, Tensor]) -> list[Follower]:
    """For each rule (T,) the unit of `states[layer][name]` (T, H) with the largest |r| on the first half of the steps, and its r on
    the second, the best first. Rules that say nothing on either half are left out."""
    found: list[Follower] = []
    for rule, label in rules.items():
        half = len(label) // 2
        if any(part.std() == 0 or len(part) < 2 for part in (label[:half], label[half:])):
            continue
        best: Follower | None = None
        for layer, own in enumerate(states):
            for name, s in own.items():
                r = _correlation(s[:half], label[:half])
                unit = int(r.abs().argmax())
                if best is None or abs(float(r[unit])) > abs(best.found):
                    other = _correlation(s[half:, unit : unit + 1], label[half:])
                    best = Follower(rule, layer, name, unit, float(r[unit]), float(other[0]))
        if best:
            found.append(best)
    return sorted(found, key=lambda f: -abs(f.reported))


def _correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's r of each column of x (T, H) with y (T,), (H,)."""
    x, y = x.double() - x.double().mean(0), y.double() - y.double().mean()
    return (x * y[:, None]).sum(0) / (x.norm(dim=0) * y.norm() + 1e-12)
