"""Ratings of texts, small."""

import csv
import json
from unittest import mock

import numpy as np
import pytest
import torch

import unspool
from unspool.codecs.labelled import LabelledFiles
from unspool.codecs.text import TextCodec
from unspool.errors import ConfigError, DataError, UnspoolError
from unspool.tasks.config import held_out
from unspool.tasks.reviews import write
from unspool.tasks.sentiment import _Job
from unspool.tasks.sentiment_config import SentimentConfig, settle
from unspool.tasks.sentiment_data import Split, Stored

QUICK = {"hidden": 24, "embedding": 24, "epochs": 25, "batch": 400, "learning_rate": 1e-2, "dropout": 0.1, "progress": "silent"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reviews")
    write(folder / "reviews.csv", 600, seed=1)
    write(folder / "others.csv", 100, seed=2)
    return folder


@pytest.fixture(scope="module", params=["ordinal", "classes"])
def model(request, folder):
    return unspool.train("sentiment", folder / "reviews.csv", folder / request.param, head=request.param, **QUICK)


def test_it_learns_what_words_say_and_what_not_turns_round(model, folder):
    found = model.evaluate([folder / "others.csv"])
    assert found["accuracy"] > found["baselines"]["majority, accuracy"] + 0.25
    assert found["quadratic weighted kappa"] > 0.75
    assert np.sum(list(found["confusion"].values())) == 100
    assert {"majority, accuracy", "tf-idf and logistic regression, accuracy"} <= found["baselines"].keys()
    good, bad = (next(iter(model.predict([text]))) for text in ("The sound is wonderful.", "The sound is awful."))
    assert float(good.rating) > float(bad.rating)
    word = max(bad.words, key=lambda w: w["left out"])
    assert word["word"] == "awful"
    assert sum(good.probabilities.values()) == pytest.approx(1, abs=1e-5)
    tempered, model.temperature = model.temperature, 1.0
    plain = model.evaluate([folder / "reviews.csv"])["nats per text"]
    model.temperature = tempered
    assert model.evaluate([folder / "reviews.csv"])["nats per text"] <= plain + 0.02


def test_files_are_rated_into_tables(model, folder, tmp_path):
    (tmp_path / "lines.txt").write_text("The lamp is superb.\nThe lamp is useless.\n")
    shown = model.deliver(model.predict([tmp_path / "lines.txt"]))
    assert shown.count("(the middle of  1: ") == 2
    assert shown.count("rating") == 2
    assert "because of" not in shown
    said = model.deliver(model.predict([folder / "others.csv", "A last one."]), tmp_path / "out.csv")
    assert said == f"101 ratings are in {tmp_path / 'out.csv'}"
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 101
    assert rows[0].keys() == {"text", "rating", *(f"p({k})" for k in "12345")}
    model.deliver(model.predict(["good"], explain=False), tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["words"] == []
    assert json.loads(model.deliver(model.predict(["Superb."]), as_json=True))["rating"] in "12345"
    with pytest.raises(DataError, match="cannot write"):
        model.deliver(model.predict(["x"]), tmp_path / "no" / "out.csv")


def test_any_text_has_an_answer(model):
    for text in ("", "日本語", "word " * 100_000, "\x00 odd", "a" * 5000):
        assert next(iter(model.predict([text], explain=False))).rating in "12345"


def test_every_unit_and_pooling_is_trained(folder):
    for unit in ("characters", "subwords"):
        options = {**QUICK, "epochs": 0.5}
        found = unspool.train(
            "sentiment", folder / "reviews.csv", folder / unit, unit=unit, subwords=400, pooling="last", **options
        )
        rated = next(iter(found.predict(["The sound is not good."])))
        assert " ".join(w["word"] for w in rated.words) == "The sound is not good."
    for pooling in ("mean", "attention"):
        unspool.train("sentiment", folder / "reviews.csv", folder / pooling, pooling=pooling, **{**QUICK, "epochs": 0.1})


def test_it_may_start_from_a_language_model(folder, tmp_path):
    with (folder / "reviews.csv").open() as file:
        lines = [row["review"] for row in csv.DictReader(file)]
    (tmp_path / "texts.txt").write_text("\n".join(lines))
    options = {"hidden": 20, "embedding": 12, "layers": 2, "epochs": 0.2, "progress": "silent"}
    text = unspool.train("text", tmp_path / "texts.txt", tmp_path / "lm", corpus="documents", subwords=330, **options)
    quick = {k: v for k, v in QUICK.items() if k not in ("hidden", "embedding")} | {"epochs": 0.01, "learning_rate": 1e-9}
    model = unspool.train("sentiment", folder / "reviews.csv", tmp_path / "m", encoder=str(tmp_path / "lm"), **quick)
    assert (model.config.unit, model.config.hidden, model.config.layers) == ("subwords", 20, 2)
    mine, theirs = model.model.state_dict(), text.model.state_dict()
    for a, b in (("embed.weight", "embed.weight"), ("stack.stack.0.W", "stack.stack.0.W"), ("stack.stack.2.U", "stack.stack.1.U")):
        assert np.allclose(mine[a], theirs[b], atol=1e-5), a
    assert np.allclose(mine["stack.stack.2.W"][:, :, :20], theirs["stack.stack.1.W"], atol=1e-5)
    with pytest.raises(ConfigError, match="is a sentiment model; an encoder is"):
        unspool.train("sentiment", folder / "reviews.csv", tmp_path / "n", encoder=str(tmp_path / "m"), **quick)


def test_two_numbers_are_classes_and_a_model_goes_on_with_fewer(model, tmp_path):
    (tmp_path / "two.csv").write_text("text,label\n" + "fine word,1\nbad thing,0\n" * 20)
    two = unspool.train("sentiment", tmp_path / "two.csv", tmp_path / "two", **{**QUICK, "epochs": 1})
    assert two.config.head == "classes"
    (tmp_path / "three.csv").write_text("text,label\n" + "so so,3\nit is superb,5\nawful,1\n" * 10)
    more = unspool.train(
        "sentiment", tmp_path / "three.csv", tmp_path / "more", init=model.folder.path, epochs=0.1, progress="silent"
    )
    assert more.classes == list("12345")


def test_classes_without_an_order(tmp_path):
    lines = [f"__label__{'cat' if i % 2 else 'dog'} the {'mouse' if i % 2 else 'bone'} is here {i}" for i in range(80)]
    (tmp_path / "pets.txt").write_text("\n".join(lines))
    model = unspool.train("sentiment", tmp_path / "pets.txt", tmp_path / "m", **{**QUICK, "epochs": 12})
    assert model.classes == ["cat", "dog"]
    assert not model.ordered
    assert next(iter(model.predict(["a bone"]))).rating == "dog"
    assert "mean absolute error" not in model.evaluate([tmp_path / "pets.txt"])


def test_phrases_go_where_their_tree_goes(tmp_path):
    lines = [f"({i % 5} (2 word{i}) ({i % 3} (2 and) (1 other{i})))" for i in range(60)]
    (tmp_path / "trees.txt").write_text("\n".join(lines))
    split = Split([tmp_path / "trees.txt"], [], SentimentConfig(valid_share=0.3))
    train, valid = list(split.part("train")), list(split.part("valid"))
    assert not any(e.part for e in valid)
    held = {e.text.split()[0] for e in valid}
    assert 8 < len(held) < 30
    assert not any(set(e.text.split()) & held for e in train)
    parts = [(e.text, e.label) for e in train if e.part]
    assert len(parts) == 1 + 3 * sum(not e.part for e in train)  # "and" but once
    assert len(set(parts)) == len(parts)
    assert split.classes == ["0", "1", "2", "3", "4"]


def test_of_a_very_long_text_the_beginning_and_the_end_are_read(folder, tmp_path):
    (tmp_path / "long.csv").write_text((folder / "reviews.csv").read_text() + '"' + "good " * 100_000 + '",5\n')
    split = Split([tmp_path / "long.csv"], [], SentimentConfig(unit="characters"))
    codec = TextCodec("characters").fit(["good"])
    stored = [Stored(tmp_path, name, codec, split) for name in ("train", "valid")]
    assert max(len(ids) for part in stored for ids in part.corpus) == 4000


def test_what_half_the_world_says_is_not_what_is_held_out():
    texts = [f"text {i}" for i in range(700)] + ["ok"] * 300
    for seed in range(20):
        held = held_out(texts, 0.1, seed, 5000)
        assert 80 < held.sum() <= 100
        assert not held[700:].any()
    assert held_out(["a", "b"] * 10, 0.1, 0, 5000).sum() == 10
    assert not held_out(["a"] * 10, 0.1, 0, 5000).any()


def test_numbers_need_not_be_an_order(tmp_path):
    file = tmp_path / "topics.txt"
    file.write_text("".join(f"__label__{i % 4 + 1} text {i}\n" for i in range(40)), "utf-8")
    assert Split([file], [], SentimentConfig()).ordered
    assert not Split([file], [], SentimentConfig(ordered=False)).ordered
    file.write_text("".join(f"__label__{i % 2} text {i}\n" for i in range(40)), "utf-8")
    assert not Split([file], [], SentimentConfig()).ordered  # of two classes none lies between
    file.write_text("".join(f"__label__{'abc'[i % 3]} text {i}\n" for i in range(40)), "utf-8")
    with pytest.raises(ConfigError, match="only numbers as labels have an order, not a, b, c"):
        Split([file], [], SentimentConfig(ordered=True))


def test_what_is_left_open_is_settled_and_what_is_given_is_kept():
    assert settle(SentimentConfig(), texts=100, phrases=0, ordered=True).head == "ordinal"
    assert settle(SentimentConfig(), texts=100, phrases=0, ordered=False).head == "classes"
    assert settle(SentimentConfig(), texts=9000, phrases=0, ordered=True).head == "classes"
    assert settle(SentimentConfig(epochs=3), texts=100, phrases=0, ordered=True).options.epochs == 3
    assert settle(SentimentConfig(), texts=100, phrases=900, ordered=True).options.epochs == 5
    kept = settle(SentimentConfig(dropout=0.0, head="classes", learning_rate=1.0), texts=100, phrases=0, ordered=True)
    assert (kept.dropout, kept.head, kept.learning_rate) == (0.0, "classes", 1.0)


@pytest.mark.parametrize(
    ("content", "options", "error", "sentence"),
    [
        ("text,label\n" + "a,1\n" * 20, {}, DataError, "all 20 texts have the label '1'; at least two classes"),
        ("text,label\na,1\nb,2\n", {}, DataError, "only 2 texts"),
        ("text,label\n" + "".join(f"a,{i}x\n" for i in range(200)), {}, DataError, "more than 100 different labels"),
        ("text,label\n" + "a,1\nb,2\n" * 20 + "c,n/a\n", {}, DataError, "the labels are numbers, but for 'n/a' \\(.*, line 42\\)"),
        ("text,label\n" + "a,x\nb,y\n" * 20, {"head": "ordinal"}, ConfigError, "an ordinal head needs three or more numbers"),
        ("text,label\n" + "a,1\nb,2\n" * 20, {"pooling": "min"}, ConfigError, "pooling is one of last, mean, max, attention"),
        ("text,label\n" + "a,1\nb,2\n" * 20, {"text_column": "words"}, DataError, "has no column 'words'"),
    ],
)
def test_bad_data_and_options(tmp_path, content, options, error, sentence):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(error, match=sentence):
        unspool.train("sentiment", tmp_path / "a.csv", tmp_path / "m", progress="silent", **options)
    assert not (tmp_path / "m").exists()


def test_bad_requests(model, tmp_path):
    (tmp_path / "six.csv").write_text("text,label\nfine,6\n")
    with pytest.raises(DataError, match="line 2: the label '6' is none of this model's: 1, 2, 3, 4, 5"):
        model.evaluate([tmp_path / "six.csv"])
    with pytest.raises(UnspoolError, match="no 'generate'"):
        model.generate()


def test_a_validation_file_of_its_own_and_the_answer_of_rare_classes(folder, tmp_path):
    model = unspool.train(
        "sentiment",
        folder / "reviews.csv",
        tmp_path / "m",
        valid=folder / "others.csv",
        **{**QUICK, "epochs": 1, "class_weights": True},
    )
    assert model.stored["data"]["texts"] == {"train": 600, "validation": 100}
    assert model.stored["data"]["shares"] == pytest.approx([0.2] * 5)  # as the loss counts the classes
    counts = np.bincount([int(e.label) - 1 for e in LabelledFiles([folder / "reviews.csv"])]) + 0.5
    texts, truth = model._labelled(LabelledFiles([folder / "others.csv"]))
    nats = -np.log(model.probabilities(texts)[np.arange(100), truth])
    weighted = np.average(nats, weights=1 / counts[truth])  # validation weighs as training does
    assert abs(weighted - nats.mean()) > 1e-3
    assert model.metrics["validation, nats per text"] == pytest.approx(weighted, abs=1e-4)
    p = np.array([[0.3, 0.0, 0.25, 0.0, 0.45]])
    model.probabilities = lambda texts: p
    assert next(iter(model.predict(["x"], explain=False))).rating == "3"


def test_an_interrupted_training_goes_on(folder, tmp_path):
    options = {**QUICK, "epochs": 4}
    whole = unspool.train("sentiment", folder / "reviews.csv", tmp_path / "whole", **options)

    def stop(self):
        stop.calls += 1
        if stop.calls == 8:
            raise KeyboardInterrupt
        return stop.real(self)

    stop.calls, stop.real = 0, _Job.validate
    with mock.patch.object(_Job, "validate", stop), pytest.raises(KeyboardInterrupt):
        unspool.train("sentiment", folder / "reviews.csv", tmp_path / "parts", **options)
    rest = unspool.train("sentiment", folder / "reviews.csv", tmp_path / "parts", resume=True, progress="silent")
    name = next(key for key in whole.metrics if key.startswith("validation"))
    assert rest.metrics[name] == pytest.approx(whole.metrics[name], abs=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_it_trains_on_a_gpu(folder, tmp_path):
    unspool.train("sentiment", folder / "reviews.csv", tmp_path / "m", **{**QUICK, "epochs": 1, "device": "cuda"})
