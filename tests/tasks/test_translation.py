"""Translation, small: numbers in words."""

import json

import numpy as np
import pytest
import torch

import unspool
from unspool.codecs.words import WordCodec, joined
from unspool.decoding.beam import Hypothesis
from unspool.errors import ConfigError, DataError
from unspool.tasks.glossary import read_glossary, with_fixed
from unspool.tasks.numerals import english, german, write
from unspool.tasks.translation import _Split
from unspool.tasks.translation_config import TranslationConfig, settle
from unspool.tasks.translation_model import _warnings
from unspool.vocabulary import Vocabulary

QUICK = {
    "source": "en",
    "target": "de",
    "hidden": 64,
    "embedding": 48,
    "subwords": 320,
    "learning_rate": 5e-3,
    "batch": 1500,
    "progress": "silent",
}


def files(folder, name):
    return [folder / f"{name}.en", folder / f"{name}.de"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    write(folder / "numbers", 1500, seed=1)
    write(folder / "others", 60, seed=2, held=True)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return unspool.train("translation", files(folder, "numbers"), folder / "model", epochs=14, dropout=0.1, **QUICK)


def test_numbers():
    numbers = {
        0: ("zero", "null"),
        40: ("forty", "vierzig"),
        99: ("ninety-nine", "neunundneunzig"),
        21: ("twenty-one", "einundzwanzig"),
    }
    numbers |= {101: ("one hundred and one", "einhunderteins"), 1000: ("one thousand", "eintausend"), 1: ("one", "eins")}
    large = "twenty-one thousand three hundred and forty-two", "einundzwanzigtausenddreihundertzweiundvierzig"
    for n, words in {**numbers, 21_342: large}.items():
        assert (english(n), german(n)) == words


def test_it_learns_to_translate(model, folder):
    found = model.evaluate(files(folder, "others"))
    others = found["baselines"]
    assert found["chrF"] > 10 + max(v for k, v in others.items() if k.endswith("chrF"))
    assert found["exact"] > 0.3
    assert "tok:13a" in found["BLEU signature"]
    assert model.metrics["validation, nats per target subword"] < model.metrics["baselines"]["unigram"] / 2


def test_translations_have_all_that_is_promised(model, tmp_path):
    (t,) = model.predict(["forty-two"], best=3)
    assert len(t.best) == 3
    assert t.best[0]["text"] == t.text
    assert [w["score"] for w in t.best] == sorted((w["score"] for w in t.best), reverse=True)
    assert "".join(t.alignment["source"]).replace(" ", "") == "forty-two"
    assert "".join(t.alignment["target"]) == t.text
    assert np.array(t.alignment["weights"]).shape == (len(t.alignment["target"]), len(t.alignment["source"]))
    (tmp_path / "lines.txt").write_text("one\n\ntwo\n")
    found = list(model.predict([tmp_path / "lines.txt"]))
    assert [f.source for f in found] == ["one", "", "two"]
    assert found[1].text == ""
    said = model.deliver(found, tmp_path / "out.txt")
    assert said.startswith(f"3 translations are in {tmp_path / 'out.txt'}")
    assert len((tmp_path / "out.txt").read_text().split("\n")) == 4
    model.deliver(found, tmp_path / "out.json")
    assert [json.loads(line)["source"] for line in (tmp_path / "out.json").read_text().splitlines()] == ["one", "", "two"]
    model.deliver([t], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"
    assert model.deliver(model.predict(["one"])) == next(iter(model.predict(["one"]))).text
    with pytest.raises(DataError, match="cannot write"):
        model.deliver([t], tmp_path / "no" / "a.txt")
    with pytest.raises(DataError, match="no translation to draw"):
        model.deliver(model.predict([""]), tmp_path / "a.png")
    model.deliver(model.predict([tmp_path / "lines.txt"]), tmp_path / "lines.txt")  # onto what is read
    assert len((tmp_path / "lines.txt").read_text().split("\n")) == 4
    with pytest.raises(DataError, match=r"did you mean 'lines.txt'"):
        list(model.predict([str(tmp_path / "line.txt")]))
    with pytest.raises(ConfigError, match="best must be at least 1"):
        list(model.predict(["one"], best=0))
    with pytest.raises(ConfigError, match="beams must be at least 1"):
        list(model.predict(["one"], beams=0))


def test_the_order_of_a_file_is_kept_and_odd_texts_are_answered(model):
    texts = [english(n) for n in (7, 21_342, 3, 999_999, 12)] + ["日本", "x" * 300]
    found = model.translate(texts)
    assert [t.source for t in found] == texts
    for t, text in zip(found, texts, strict=True):
        assert t.text == model.translate([text])[0].text
    (long,) = model.translate(["x " * 5000], beams=1)
    assert any(w.startswith("long") for w in long.warnings)


def test_words_that_must_stay_or_become_something(model):
    (kept,) = model.predict(["forty thousand and two"], keep=["forty"])
    assert "forty" in kept.text
    (made,) = model.predict(["seventy"], glossary={"seventy": "septante"})
    assert made.text == "septante"


def test_a_glossary_replaces_what_was_looked_at():
    source, places = "the red house .", [(0, 3), (4, 7), (8, 13), (14, 15)]
    looked = np.eye(4)[[0, 1, 2, 3]]
    written = ["das", " rote", " Haus", "."]
    assert with_fixed(source, places, written, looked, {"red house": "Kreuz"}) == "das Kreuz."
    assert with_fixed(source, places, written, looked, {"hous": "X"}) == "das rote Haus."
    assert with_fixed(source, places, written, looked, {"house": "Haus"}) == "das rote Haus."
    assert with_fixed(source, places, [], looked[:0], {"house": "Haus"}) == ""
    assert with_fixed(source, places, written, looked, {"red house": "Kreuz", "house": "Heim"}) == "das Kreuz."  # the longest alone
    twice, at = "red cat red", [(0, 3), (4, 7), (8, 11)]
    eye = np.eye(3)
    assert with_fixed(twice, at, ["rot", " Katze", " rot"], eye, {"red": "scharlach"}) == "scharlach Katze scharlach"
    assert with_fixed(twice, at, ["rot", " Katze", " rot"], eye, {"cat": "Kat"}) == "rot Kat rot"
    assert with_fixed("(cat)", [(1, 4)], ["(Katze)"], np.ones((1, 1)), {"cat": "Mieze"}) == "(Mieze)"
    assert with_fixed("far away", [(0, 3)], ["fern"], np.ones((1, 1)), {"away": "weg"}) == "fern"  # it was not read


def test_a_glossary_that_cannot_be_used(tmp_path):
    for content, sentence in (
        ("a\tb\njust this\n", "line 2 is no glossary entry"),
        ("a\t \n", "line 1 cannot be used: one of its sides is empty"),
        ("a\tb\na\tc\n", "line 2 cannot be used: 'a' is to become both 'b' and 'c'"),
    ):
        (tmp_path / "g.tsv").write_text(content)
        with pytest.raises(DataError, match=sentence):
            read_glossary(tmp_path / "g.tsv")
    (tmp_path / "g.tsv").write_text("a\tb\n\nc d\te\n")
    assert read_glossary(tmp_path / "g.tsv") == {"a": "b", "c d": "e"}


def test_words_copy_what_they_do_not_know(folder):
    options = {**QUICK, "source": "de", "target": "en"}  # a German number is one word, and so every number an unknown one
    model = unspool.train("translation", files(folder, "numbers")[::-1], folder / "words", unit="words", epochs=1, **options)
    assert isinstance(model.codecs.source, WordCodec)
    assert not model.codecs.shared
    (t,) = model.predict(["eins zyx"])
    assert "<unk>" not in t.text
    assert next(iter(model.predict([""]))).text == ""
    unknown = [Vocabulary.unknown, model.codecs.target.vocabulary["one"]]
    made = model._symbols(Hypothesis(unknown, 0.0, 0.0, torch.tensor([[0.1, 0.9], [0.9, 0.1]]), True), ["eins", "zyx"])
    assert made == ["zyx", " one"]  # the word that was looked at


def test_bleu_may_choose(folder):
    options = {**QUICK, "hidden": 16}
    model = unspool.train("translation", files(folder, "numbers"), folder / "bleu", stopping="bleu", epochs=0.5, **options)
    assert "validation, points of BLEU short of 100" in model.metrics
    assert model.metrics["baselines"].keys() == {"copying the source", "word by word"}


def test_going_on_with_new_pairs(model, folder):
    options = {**QUICK, "epochs": 0.01}
    for name in ("subwords", "learning_rate", "batch"):
        options.pop(name)
    more = unspool.train("translation", files(folder, "others"), folder / "more", init=folder / "model", **options)
    assert more.codecs.to_json() == model.codecs.to_json()
    mine, theirs = more.model.state_dict(), model.model.state_dict()
    assert all(torch.allclose(mine[name], theirs[name], atol=0.05) for name in mine)


def test_pairs_are_divided_by_seed(folder):
    parts = [
        [
            list(_Split(files(folder, "numbers"), [], TranslationConfig(seed=s, source="en", target="de")).part(n))
            for n in ("train", "valid")
        ]
        for s in (0, 0, 1)
    ]
    assert parts[0] == parts[1]
    assert parts[0] != parts[2]
    assert len(parts[0][0]) + len(parts[0][1]) == 1500
    assert 20 < len(parts[0][1]) < 80


def test_what_is_left_open_is_settled_and_what_is_given_is_kept():
    assert settle(TranslationConfig(), pairs=1000).shared is True
    assert settle(TranslationConfig(), pairs=1000).deviation > settle(TranslationConfig(), pairs=50_000).deviation
    assert settle(TranslationConfig(unit="words"), pairs=1000).shared is False
    kept = settle(TranslationConfig(dropout=0.0, shared=False, subwords=500), pairs=1000)
    assert (kept.dropout, kept.shared, kept.subwords) == (0.0, False, 500)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target": "en"}, "source and target are both 'en'"),
        ({"unit": "letters"}, "unit is one of subwords, words"),
        ({"stopping": "never"}, "stopping is one of loss, bleu"),
        ({"label_smoothing": 1.0}, "label_smoothing must be"),
        ({"hidden": 7}, "hidden must be even"),
    ],
)
def test_bad_options(folder, tmp_path, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        unspool.train("translation", files(folder, "numbers"), tmp_path / "m", **{**QUICK, **options})


def test_words_are_joined_as_they_are_written():
    codec = WordCodec(1, lower=False)
    text = 'A well-known man (John) said: "It\'s 3.50, no?" Yes.'
    assert joined(codec.split(text)) == text
    assert WordCodec(1).split("İstanbul well-known हिन्दी") == ["i̇stanbul", "well", "-", "known", "हिन्दी"]


def test_pairs_of_one_source_stay_together(tmp_path):
    lines = [f"source {i % 70}\ttarget {i}" for i in range(210)]
    (tmp_path / "t.tsv").write_text("\n".join(lines))
    split = _Split([tmp_path / "t.tsv"], [], TranslationConfig(valid_share=0.2))
    train, valid = ({pair.source for pair in split.part(name)} for name in ("train", "valid"))
    assert 8 < len(valid) < 20
    assert not train & valid


def test_too_few_pairs(tmp_path):
    (tmp_path / "t.tsv").write_text("a\tb\n" * 9)
    with pytest.raises(DataError, match="only 9 pairs"):
        unspool.train("translation", tmp_path / "t.tsv", tmp_path / "m", **QUICK)


def test_a_text_of_which_nothing_is_written_is_warned_of():
    nothing = Hypothesis([], -1.0, -1.0, torch.zeros(0, 3), True)
    assert _warnings("one", "", nothing) == ["empty: nothing was written"]
    assert _warnings("", "", nothing) == []


def test_validation_files_of_their_own(folder, tmp_path):
    options = {**QUICK, "hidden": 16, "embedding": 16, "epochs": 0.2}
    model = unspool.train("translation", files(folder, "numbers"), tmp_path / "m", valid=files(folder, "others"), **options)
    assert model.stored["data"]["pairs"] == {"train": 1500, "validation": 60}
    (tmp_path / "same.en").write_text("one\n" * 60)
    (tmp_path / "same.de").write_text("".join(f"eins {i}\n" for i in range(60)))
    with pytest.raises(DataError, match="no pair is left for the valid part: pairs of one source stay together"):
        unspool.train("translation", files(tmp_path, "same"), tmp_path / "n", **options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_it_trains_and_translates_on_a_gpu(folder, tmp_path):
    model = unspool.train("translation", files(folder, "numbers"), tmp_path / "m", **{**QUICK, "epochs": 1, "device": "cuda"})
    assert next(iter(model.predict(["one"])))
