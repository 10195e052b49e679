"""Numbers in English and in German words, for the demo: a real translation, though made by rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["english", "german", "write"]

# fmt: off
_EN = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
       "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_EN_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_DE = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf", "dreizehn",
       "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"]
_DE_TENS = ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
# fmt: on
HELD = 7  # the multiples of which are the test numbers


def english(n: int) -> str:
    """A number from 0 to 999,999 in English words."""
    if n < 20:
        return _EN[n]
    if n < 100:
        return _EN_TENS[n // 10] + (f"-{_EN[n % 10]}" if n % 10 else "")
    size, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
    rest = n % size
    joint = " and " if rest < 100 else " "
    return f"{english(n // size)} {name}" + (joint + english(rest) if rest else "")


def german(n: int) -> str:
    """A number from 0 to 999,999 in German words, which are one word."""
    if n < 20:
        return _DE[n]
    if n < 100:
        one = "ein" if n % 10 == 1 else _DE[n % 10]
        return (f"{one}und" if n % 10 else "") + _DE_TENS[n // 10]
    size, name = (1000, "tausend") if n >= 1000 else (100, "hundert")
    many, rest = n // size, n % size
    first = "ein" if many == 1 else german(many)
    first = first[:-1] if first.endswith("eins") else first
    return f"{first}{name}" + (german(rest) if rest else "")


def write(stem: Path, count: int, seed: int, *, held: bool = False) -> None:
    """Writes `count` different numbers as `stem`.en and `stem`.de: those that are held out from training, or others."""
    rng = np.random.default_rng(seed)
    drawn = (10 ** (rng.integers(1, 7, 40 * count) * rng.random(40 * count))).astype(int)
    _, first = np.unique(drawn, return_index=True)
    drawn = drawn[np.sort(first)]  # in the order they came, each once
    numbers = drawn[(drawn % HELD == 0) == held][:count]
    for language, words in (("en", english), ("de", german)):
        stem.with_name(f"{stem.name}.{language}").write_text("\n".join(words(int(n)) for n in numbers) + "\n", "utf-8")
