"""Text, from a raw file to generated text."""

import json
import lzma
import math

import numpy as np
import pytest
import torch

import unspool
from unspool.errors import ConfigError, DataError, ModelError, UnspoolError

QUICK = {
    "hidden": 32,
    "epochs": 3,
    "batch": 120,
    "progress": "silent",
    "learning_rate": 1e-2,
    "dropout": 0.0,
    "input_dropout": 0.0,
    "recurrent_dropout": 0.0,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model of documents and one of running text, by name."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    words = ["we", "will", "make", "great", "deals", "and", "win", "so", "much"]
    lines = [" ".join((words * 3)[start : start + n]) + "!" for start, n in rng.integers((0, 8), (9, 14), (300, 2))]
    (folder / "tweets.txt").write_text("\n".join(lines), "utf-8")
    (folder / "play.txt").write_text("\n\n".join("KING:\n" + line for line in lines), "utf-8")
    models = {}
    for name, options in {"tweets": {"subwords": 300}, "play": {"unit": "characters", "window": 16}}.items():
        models[name] = unspool.train("text", folder / f"{name}.txt", folder / name, **QUICK, **options)
    return folder, models


def test_it_beats_the_unigram_on_both_kinds_of_corpus(made):
    for name, corpus in (("tweets", "documents"), ("play", "running")):
        model = made[1][name]
        assert model.config.corpus == corpus
        metrics = model.metrics
        assert metrics["validation, nats per character"] < metrics["baselines"]["unigram"] - 0.3
        assert sorted(f.name for f in (made[0] / name).iterdir()) == [
            "README.md",
            "baseline.safetensors",
            "config.json",
            "metrics.json",
            "model.safetensors",
        ]


def test_evaluating_counts_every_character_and_end(made):
    folder, models = made
    test = folder / "test.txt"
    test.write_text("we will win çß!\nso great\n", "utf-8")
    answer = models["tweets"].evaluate([test])
    assert answer["counted"] == len("we will win çß!") + len("so great") + 2
    scores = models["tweets"].score(["we will win çß!", "so great"])
    total = -sum(s["log-probability"] for s in scores)
    assert answer["nats per character"] == pytest.approx(total / answer["counted"], rel=1e-5)
    assert answer["bits per character"] == pytest.approx(answer["nats per character"] / math.log(2))
    assert list(answer["baselines"]) == [f"{n}, nats per character" for n in ("uniform", "unigram", "kneser-ney 4-gram")]


def test_running_text_is_evaluated_with_its_state_carried(made):
    folder, models = made
    model, test = models["play"], folder / "scene.txt"
    test.write_text("KING:\nwe will win so much and make great deals!\n" * 40, "utf-8")
    answer = model.evaluate([test])
    ids = torch.from_numpy(model.codec.encode(test.read_text("utf-8")))
    inputs = torch.cat([torch.tensor([model.codec.vocabulary.begin]), ids[:-1]])
    with torch.no_grad():
        h, _ = model.model(inputs[None])
        own = model.model.head.nll(h, ids[None])
        cached = model.model.memory().nll(h, ids[None], own)
    assert answer["nats per character"] == pytest.approx(float(cached.mean()), rel=1e-4)
    assert answer["without the cache, nats per character"] == pytest.approx(float(own.mean()), rel=1e-5)
    assert answer["cold start, nats per character"] > answer["without the cache, nats per character"] > answer["nats per character"]
    assert answer["state"] == "carried over the whole text, with a cache of 8,000 steps"
    assert model.score([test.read_text("utf-8")])[0]["log-probability"] == pytest.approx(-float(cached.sum()), rel=1e-4)


def test_generating(made):
    model = made[1]["tweets"]
    samples = model.generate(5, prompt="we çan", seed=3)
    assert all(s.text.startswith("we çan") and len(s.text) <= 280 for s in samples)
    assert [s.text for s in samples] == [s.text for s in model.generate(5, prompt="we çan", seed=3)]
    assert len({s.text for s in samples}) > 1
    assert all(s.ended for s in model.generate(5, temperature=0.5))
    assert all(len(s.text) <= 12 for s in model.generate(5, length=12))
    stopped = model.generate(5, prompt="we will", stop=["!"], seed=1)
    assert all("!" not in s.text and s.ended for s in stopped)
    play = made[1]["play"].generate(2, length=50)
    assert all(len(s.text) == 50 and not s.ended for s in play)


def test_copies_are_measured_and_drawn_again(made):
    folder, models = made
    corpus = (folder / "tweets.txt").read_text("utf-8")
    samples = models["tweets"].generate(6, compare=[folder / "tweets.txt"])
    assert all(s.copied and s.copied.text in corpus for s in samples)
    longest = sorted(s.copied.length for s in samples)[2]
    again = models["tweets"].generate(6, compare=[folder / "tweets.txt"], longest_copy=longest)
    assert sum(s.copied.length > longest for s in again) < 3


def test_loading_saving_and_going_on(made, tmp_path):
    folder, models = made
    models["tweets"].save(tmp_path / "copy")
    copy = unspool.load(tmp_path / "copy")
    assert copy.generate(2, seed=5) == models["tweets"].generate(2, seed=5)
    new = tmp_path / "new.txt"
    new.write_text("KING:\nŽižek will win, Žižek žuž!\n\n" * 200, "utf-8")
    more = unspool.train("text", new, tmp_path / "more", init=folder / "play", epochs=1, progress="silent")
    old = models["play"]
    assert more.codec.vocabulary.symbols[: len(old.codec.vocabulary)] == old.codec.vocabulary.symbols
    assert "Ž" in more.codec.vocabulary
    assert more.config.hidden == old.config.hidden
    own = "without the cache, nats per character"
    assert more.evaluate([new])[own] < 0.7 * old.evaluate([new])[own]
    tweets = {"corpus": "documents", "init": folder / "play", "epochs": 1, "progress": "silent"}
    assert unspool.train("text", folder / "tweets.txt", tmp_path / "other", **tweets).config.cache == 0  # not the first one's
    with pytest.raises(ConfigError, match="exists already"):
        models["tweets"].save(tmp_path / "copy")


def test_the_folder_says_what_was_resolved(made):
    stored = json.loads((made[0] / "tweets" / "config.json").read_text("utf-8"))
    assert stored["config"]["unit"] == "subwords"
    assert stored["config"]["corpus"] == "documents"
    assert stored["data"]["documents"] == 300
    assert "kneser-ney" in (made[0] / "tweets" / "README.md").read_text("utf-8")


def test_a_table_of_tweets_normalised(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("id,text\n" + "".join(f'{i},"@user{i} GREAT deals, so great! http://t.co/{i}"\n' for i in range(200)), "utf-8")
    model = unspool.train("text", file, tmp_path / "m", normalise="tweets", subwords=290, **QUICK)
    assert model.stored["data"]["unit"] == "nats per normalised symbol"
    assert model.generate(1, temperature=0.0)[0].text.startswith("<user> great <allcaps> deals, so great")


def test_words_and_a_validation_file(made, tmp_path):
    folder, _ = made
    model = unspool.train("text", folder / "tweets.txt", tmp_path / "m", valid=folder / "test.txt", unit="words", **QUICK)
    assert model.stored["data"]["documents"] == 302
    seen, again = model.metrics["validation, nats per word"], model.evaluate([folder / "test.txt"])["nats per word"]
    assert seen == pytest.approx(again, rel=1e-4)
    assert model.generate(1, prompt="we will")[0].text.startswith("we will ")


def test_a_model_has_only_its_own_verbs(made):
    with pytest.raises(UnspoolError, match="a text model has no 'predict'"):
        made[1]["tweets"].predict("x")


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"hiden": 3}, ConfigError, "there is no option 'hiden' .did you mean 'hidden'"),
        ({"hidden": "many"}, ConfigError, "option 'hidden' takes int, not 'many'"),
        ({"cell": "lstn"}, ConfigError, "did you mean 'lstm'"),
        ({"unit": "word"}, ConfigError, "did you mean 'words'"),
        ({"budget": "soon"}, ConfigError, "a budget is a time"),
        ({"hidden": 0}, ConfigError, "hidden must be at least 1"),
        (
            {"cache": 100, "corpus": "documents"},
            ConfigError,
            "cache is a number of steps of a running text to look up, and 0 for documents, not 100",
        ),
        ({"cache": -1}, ConfigError, "not -1"),
        ({"device": "quantum"}, ConfigError, "cannot be used here"),
        ({"engine": "warp"}, ConfigError, "there is no engine 'warp'"),
    ],
)
def test_wrong_options_get_a_sentence(tweets, tmp_path, options, error, sentence):
    with pytest.raises(error, match=sentence):
        unspool.train("text", tweets, tmp_path / "m", progress="silent", **options)
    assert not list(tmp_path.glob(".unspool-*"))


def test_too_little_text(tmp_path):
    (tmp_path / "short.txt").write_text("too short", "utf-8")
    for corpus in ("documents", "running"):
        with pytest.raises(DataError, match="too short"):
            unspool.train("text", tmp_path / "short.txt", tmp_path / "m", corpus=corpus, progress="silent")


def test_refusals_of_train(made, tweets, tmp_path):
    folder, _ = made
    with pytest.raises(ConfigError, match=r"there is no task 'texts' .did you mean 'text'"):
        unspool.train("texts", tweets, tmp_path / "m")
    with pytest.raises(ConfigError, match="exists already"):
        unspool.train("text", tweets, folder / "tweets")
    with pytest.raises(ConfigError, match="no interrupted training"):
        unspool.train("text", tweets, folder / "tweets", resume=True)
    with pytest.raises(ModelError, match="no model folder"):
        unspool.train("text", tweets, tmp_path / "m", resume=True)


@pytest.mark.data
def test_real_tweets_beat_the_unigram(real_data, tmp_path):
    text = lzma.decompress((real_data / "text" / "trump" / "trump.txt.xz").read_bytes()).decode()
    (tmp_path / "t.txt").write_text(text[:200_000], "utf-8")
    options = {"hidden": 128, "epochs": 1, "batch": 300, "subwords": 500, "progress": "silent"}
    model = unspool.train("text", tmp_path / "t.txt", tmp_path / "m", dropout=0.0, **options)
    metrics = model.metrics
    assert metrics["validation, nats per character"] < metrics["baselines"]["unigram"] - 0.2


def test_what_is_left_open_is_settled_and_what_is_given_is_kept():
    from unspool.tasks.text_config import TextConfig, settle, sized

    def settled(characters, documents, **given):
        config = settle(TextConfig(**given), documents=documents, characters=characters)
        return sized(config, symbols=characters if config.unit == "characters" else characters // 3)

    tweets, play = settled(3_000_000, True), settled(1_000_000, False)
    assert (tweets.unit, tweets.subwords, tweets.tied, tweets.embedding) == ("subwords", 2000, True, 256)
    assert (play.unit, play.subwords, play.tied, play.window) == ("characters", 0, False, 100)
    assert (tweets.learning_rate, tweets.cache, play.learning_rate, play.cache) == (2e-3, 0, 8e-3, 8000)
    assert settled(9_000_000, False).unit == "subwords"
    assert settled(300_000, False).dropout > play.dropout > settled(30_000_000, False).dropout == 0
    given = {"dropout": 0.0, "recurrent_dropout": 0.0, "embedding": 7, "window": 9, "tied": False, "weight_decay": 0.0, "batch": 5}
    given |= {"learning_rate": 1e-3, "input_dropout": 0.1, "cache": 0}
    kept = settled(100_000, True, **given)
    assert {name: getattr(kept, name) for name in given} == given
    assert settled(100_000, True, one_hot=True).embedding == 0


def test_the_validation_part_of_a_running_text_is_a_seeded_stretch(tmp_path):
    from unspool.codecs.textfiles import TextFiles
    from unspool.tasks.text import _Split
    from unspool.tasks.text_config import TextConfig

    text = "".join(chr(200 + i) for i in range(10_000))
    for name, part in (("a", text[:4000]), ("b", text[4000:4100]), ("c", text[4100:])):
        (tmp_path / f"{name}.txt").write_text(part, "utf-8")
    held = []
    for seed in range(6):
        parts = list(_Split(TextFiles([tmp_path], column=None, lines=False), None, TextConfig(seed=seed), False)._parts())
        assert "".join(piece for piece, _ in parts) == text
        held.append("".join(piece for piece, inside in parts if not inside))
        assert len(held[-1]) == 300
        assert held[-1] in text
    assert len(set(held)) == 6
