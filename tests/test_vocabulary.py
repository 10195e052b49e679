import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import DataError
from unspool.vocabulary import Vocabulary


def test_a_code_is_the_place_in_the_vocabulary():
    words = Vocabulary(["the", "cat", "the"])
    assert words.symbols == ["<pad>", "<unk>", "<begin>", "<end>", "the", "cat"]
    assert words.encode(["cat", "dog"]) == [5, words.unknown]
    assert words.decode([words.begin, 4, 5, words.end], " ") == "the cat"


@given(st.text())
def test_with_the_fallback_every_text_comes_back(text):
    letters = Vocabulary("abc ", fallback=True)
    assert letters.decode(letters.encode(text)) == text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def test_growing_keeps_the_codes():
    old = Vocabulary("abc", fallback=True)
    new = old.grown("cde")
    assert new.symbols[: len(old)] == old.symbols
    assert new.symbols[len(old) :] == ["d", "e"]


def test_json_comes_back_and_damage_is_seen():
    letters = Vocabulary("abc", fallback=True)
    assert Vocabulary.from_json(letters.to_json()).symbols == letters.symbols
    with pytest.raises(DataError, match="starts with <pad>"):
        Vocabulary.from_json({"symbols": ["a"]})
    with pytest.raises(DataError, match="twice"):
        Vocabulary.from_json({"symbols": [*Vocabulary("a").symbols, "a"], "fallback": False})
