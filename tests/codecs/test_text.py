import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.codecs.corpus import Corpus
from unspool.codecs.text import TextCodec
from unspool.errors import ConfigError, DataError

TEXTS = ["the cat sat on the mat", "the dog sat on the log", "a cat and a dog"] * 20


def codec(unit="characters", **options):
    return TextCodec(unit, **options).fit(TEXTS)


@pytest.mark.parametrize("unit", ["characters", "subwords"])
@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(unit, text):
    made = codec(unit, size=300)
    again = TextCodec.from_json(json.loads(json.dumps(made.to_json())))
    ids = again.encode(text)
    assert ids.dtype == np.int64
    assert again.decode(ids) == text
    assert len(ids) == 0 or (ids.min() >= 4 and ids.max() < len(again.vocabulary))
    assert ids.tolist() == made.encode(text).tolist()


def test_words():
    words = TextCodec("words").fit([*TEXTS, "a\nb"])
    assert words.decode(words.encode("the cat\nsat  on a\tzebra")) == "the cat\nsat on a <unk>"
    assert words.count("the cat\nsat") == 4


def test_rare_characters_are_spelled_in_bytes():
    made = TextCodec(rarest=3).fit(["aaabbb", "ç"])
    assert "ç" not in made.vocabulary
    assert [made.vocabulary.symbols[i] for i in made.encode("aç")] == ["a", "<0xC3>", "<0xA7>"]
    assert made.count("aç") == 2


def test_normalised_tweets():
    texts = ["@you SO great!!! http://a.b", "so ~ good"] * 40
    for unit in ("characters", "subwords"):
        made = TextCodec(unit, normalised=True, size=300, rarest=30).fit([*texts, "ß"])
        assert made.clean("@me ß GREAT") == "<user> \ufffd great <allcaps>"
        assert made.count("@me so") == 4
        assert "<user>" in made.vocabulary
    assert "<user>" in [made.vocabulary.symbols[i] for i in made.encode("@me so")]


def test_growing_keeps_what_was_learned():
    made = codec()
    grown = made.grow(["xyz xyz xyz xyz xyz"])
    assert grown.vocabulary.symbols[: len(made.vocabulary)] == made.vocabulary.symbols
    assert {"x", "y", "z"} <= set(grown.vocabulary.symbols)
    subwords = codec("subwords", size=280)
    assert subwords.grow(["xyz"]) is subwords


def test_wrong_options_help():
    with pytest.raises(ConfigError, match="did you mean 'words'"):
        TextCodec("word")
    with pytest.raises(ConfigError, match="by characters or subwords"):
        TextCodec("words", normalised=True)
    with pytest.raises(DataError, match="lacks its 'size'"):
        TextCodec.from_json({"unit": "words", "normalised": False})


def test_a_corpus_gives_back_its_documents(tmp_path):
    documents = [np.arange(n) for n in (3, 1, 7)]
    corpus = Corpus(tmp_path, "a", 10).write(documents)
    assert (corpus.symbols, corpus.documents) == (11, 3)
    assert [d.tolist() for d in corpus] == [d.tolist() for d in documents]
    assert corpus.read(2, 5).tolist() == [2, 0, 0]
    assert corpus.ends(0, 2).tolist() == [0, 3, 4]
    assert corpus.ends(1, 3).tolist() == [3, 4, 11]
    joined = Corpus(tmp_path, "b", 1 << 20).write(documents, joined=True)
    assert [d.tolist() for d in joined] == [np.concatenate(documents).tolist()]
    for c in (corpus, joined):
        c.close()


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Corpus, "_store", full)
    with pytest.raises(DataError, match=r"could not write the encoded text .* No space left on device"):
        Corpus(tmp_path, "a", 10).write([np.arange(3)])
