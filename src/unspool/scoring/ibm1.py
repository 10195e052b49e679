"""A word-by-word dictionary learned from sentence pairs: IBM model 1 (Brown et al. 1993), the trivial translation system."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["Dictionary"]

ROUNDS = 6  # of expectation maximisation
MOST_LINKS = 8_000_000  # of a source word with a target word: half a GB while it lasts


class Dictionary:
    """For each source word, in whichever case, the target word that it most likely becomes; a word never seen stays as it is."""

    def __init__(self, entries: dict[str, str]):
        self.entries = entries

    @classmethod
    def fit(cls, pairs: Iterable[tuple[list[str], list[str]]]) -> Dictionary:
        """Learned from pairs of sentences, each a list of words, until there are 8 million links."""
        sources, targets = {"": 0}, dict[str, int]()  # "" is the empty word, which explains what no word does
        links: list[np.ndarray] = []
        sizes: list[np.ndarray] = []
        total = 0
        for source, target in pairs:
            s = np.array([0, *(sources.setdefault(w.lower(), len(sources)) for w in source)], np.int64)
            t = np.array([targets.setdefault(w, len(targets)) for w in target], np.int64)
            links.append(np.stack([np.tile(s, len(t)), np.repeat(t, len(s))]))
            sizes.append(np.full(len(t), len(s)))
            total += links[-1].shape[1]
            if total > MOST_LINKS:
                break
        if not total:
            return cls({})
        keys = np.concatenate(links, 1)
        pairs_of, place = np.unique(keys[0] * len(targets) + keys[1], return_inverse=True)
        size = np.concatenate(sizes)
        row = np.repeat(np.arange(len(size)), size)  # which target word, of which sentence, each link explains
        source_of, p = pairs_of // len(targets), np.full(len(pairs_of), 1 / len(targets))
        for _ in range(ROUNDS):
            share = p[place]
            counts = np.bincount(place, share / np.bincount(row, share)[row], len(pairs_of))
            p = counts / np.bincount(source_of, counts)[source_of]
        order = np.lexsort((p, source_of))
        last = np.flatnonzero(np.diff(source_of[order], append=len(sources)))
        names, words = list(sources), list(targets)
        best = {names[source_of[i]]: words[pairs_of[i] % len(targets)] for i in order[last].tolist()}
        best.pop("", None)
        return cls(best)

    def translate(self, words: Sequence[str]) -> list[str]:
        """Word by word."""
        return [self.entries.get(word.lower(), word) for word in words]

    def arrays(self) -> dict[str, np.ndarray]:
        """As bytes of JSON, to be stored."""
        return {"dictionary": np.array(list(json.dumps(self.entries, ensure_ascii=False).encode()), np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Dictionary:
        return cls(json.loads(arrays["dictionary"].tobytes()))
