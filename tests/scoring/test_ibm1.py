"""The dictionary and the scores of translations."""

import numpy as np
import pytest

from unspool.scoring.bleu import bleu, translation_scores
from unspool.scoring.ibm1 import Dictionary


def test_a_dictionary_is_learned_from_pairs_alone():
    words = {"the": "das", "house": "haus", "book": "buch", "a": "ein", "green": "grünes"}
    sentences = [["the", "house"], ["the", "book"], ["a", "book"], ["a", "green", "house"], ["the", "green", "book"]]
    found = Dictionary.fit([(s, [words[w] for w in s]) for s in sentences * 3])
    assert {w: found.entries[w] for w in words} == words
    assert found.translate(["the", "unicorn"]) == ["das", "unicorn"]
    assert found.translate(["The", "Unicorn"]) == ["das", "Unicorn"]
    again = Dictionary.from_arrays({k: np.array(v) for k, v in found.arrays().items()})
    assert again.entries == found.entries
    assert Dictionary.fit([]).translate(["x"]) == ["x"]


def test_scores_carry_their_signature():
    lines = ["A man in an orange hat is here.", "Two dogs run on the grass."]
    found = translation_scores(lines, lines)
    assert found["BLEU"] == pytest.approx(100)
    assert "tok:13a" in found["BLEU signature"]
    assert bleu(["something else"], ["a man"]) < 5
