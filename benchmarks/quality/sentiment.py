"""Quality of `unspool train sentiment` with its default settings.

    python -m benchmarks.quality.sentiment ROW [--minutes M] [--data FOLDER] [--kept]

Rows: sst5 (three seeds, each so many minutes), alexa (five folds, which share the minutes). Models are kept in `models/`.
"""

from __future__ import annotations

import csv
import json
import lzma
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.rows import MODELS, command, run
from benchmarks.quality.rows import train as train_model
from benchmarks.record import record
from unspool.errors import extra
from unspool.scoring.rating import confusion, decided, kappa, paired_bootstrap


def sst5(data: Path, minutes: float) -> None:
    trees = _read(data / "sst5_trees/fiveclass_train.txt.xz")
    train, test = MODELS / "sst5-train.txt", MODELS / "sst5-test.txt"
    train.write_text(re.sub(r"\((\d) ", lambda m: f"({int(m[1]) + 1} ", trees), "utf-8")  # labels from 1, as the test file has them
    test.write_text(_read(data / "sst5/sst_dev.txt.xz"), "utf-8")
    found: list[dict[str, Any]] = []
    seconds = 0.0
    for seed in range(3):
        model, took = train_model("sentiment", f"sst5-{seed}", [train], minutes, seed=seed)
        seconds += took
        found.append(model.evaluate([test]))
        print(json.dumps(found[-1], indent=1), file=sys.stderr)
    facts = {
        "seconds": round(seconds),
        "command": command("sentiment"),
        "seeds": 3,
        "split": "test: the dev file; validation: a seeded tenth of the training sentences; the network, not tf-idf, is given the "
        "phrases of the training trees",
    }
    for measure, key, unit, times, better in (
        ("accuracy %", "accuracy", "%", 100, "higher"),
        ("mean absolute error", "mean absolute error", "", 1, "lower"),
    ):
        values = [times * f[key] for f in found]
        others = {name: times * found[0]["baselines"][f"{name}, {key}"] for name in ("majority", "tf-idf and logistic regression")}
        published = {"BiLSTM + GloVe (published)": 49.1, "RNTN (published)": 45.7} if unit else {}
        value = statistics.mean(values)
        record(
            "sentiment", "sentiment/sst5", measure, value, better, baselines=others | published, unit=unit, values=values, **facts
        )


def alexa(data: Path, minutes: float) -> None:
    rows = list(csv.DictReader(_read(data / "alexa_reviews/amazon_alexa_dev.tsv.xz").splitlines(), delimiter="\t"))
    texts, ratings = [row["verified_reviews"] for row in rows], np.array([int(row["rating"]) for row in rows])
    order = np.random.default_rng(0).permutation(len(rows))
    ours, theirs = np.zeros(len(rows), int), np.zeros(len(rows), int)
    seconds = 0.0
    for fold in range(5):
        test, train = order[fold::5], np.concatenate([order[k::5] for k in range(5) if k != fold])
        file = MODELS / "alexa-train.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([("review", "rating"), *((texts[i], ratings[i]) for i in train)])
        model, took = train_model("sentiment", f"alexa-{fold}", [file], minutes / 5)
        seconds += took
        ours[test] = [int(r.rating) for r in model.predict([texts[i] for i in test], explain=False)]
        theirs[test] = _tfidf([texts[i] for i in train], ratings[train], [texts[i] for i in test])
    mine, other = (kappa(confusion(ratings - 1, answers - 1, 5)) for answers in (ours, theirs))
    chance = paired_bootstrap(ours - 1, theirs - 1, ratings - 1, 5)
    facts = {"seconds": round(seconds), "command": command("sentiment"), "paired_bootstrap_p": chance}
    facts["split"] = (
        "five folds of a seeded permutation, each model's validation part inside its own training part; the defaults for few texts "
        "were chosen in three inner folds of the first fold's training part"
    )
    others = {"tf-idf and logistic regression, tuned for kappa inside each fold": other}
    record("sentiment", "sentiment/alexa_reviews", "QWK", mine, "higher", baselines=others, **facts)


def _tfidf(texts: list[str], ratings: np.ndarray, test: list[str]) -> np.ndarray:
    """The answers of a TF-IDF model whose C, class weights and way to decide, that of the network or the likeliest class, are the
    best of an inner cross-validation by kappa."""
    select, linear = extra("sklearn.model_selection", "sentiment"), extra("sklearn.linear_model", "sentiment")
    vectors = extra("sklearn.feature_extraction.text", "sentiment").TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    x, shares = vectors.fit_transform(texts), np.bincount(ratings - 1, minlength=5) / len(ratings)
    tried = []
    for strength in (0.3, 1, 3, 10, 30, 100):
        for weights in (None, "balanced"):
            model = linear.LogisticRegression(C=strength, class_weight=weights, max_iter=2000)
            p = select.cross_val_predict(model, x, ratings, cv=4, method="predict_proba")
            for known in (None, shares):
                tried.append((kappa(confusion(ratings - 1, decided(p, known), 5)), len(tried), model, known))
    _, _, model, known = max(tried, key=lambda found: found[:2])
    return decided(model.fit(x, ratings).predict_proba(vectors.transform(test)), known) + 1


def _read(file: Path) -> str:
    return lzma.decompress(file.read_bytes()).decode()


ROWS = {"sst5": (sst5, 8), "alexa": (alexa, 5)}

if __name__ == "__main__":
    run("sentiment", ROWS)
