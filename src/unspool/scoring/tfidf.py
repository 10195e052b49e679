"""The baseline of text classification: TF-IDF weights of words and pairs of words, and logistic regression (scikit-learn)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from unspool.errors import extra

__all__ = ["TfidfBaseline"]

MOST_TEXTS = 100_000
MOST_TERMS = 50_000
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)  # C of the regression, tried on the validation part


class TfidfBaseline:
    """The strength of its regularisation is the best of five on a validation part."""

    def __init__(self, vectorizer: Any, regression: Any):
        self._vectorizer, self._regression = vectorizer, regression

    @classmethod
    def fit(cls, texts: Sequence[str], answers: np.ndarray, held: Sequence[str], truth: np.ndarray) -> TfidfBaseline | None:
        """`answers` (N,) and `truth` are classes 0 .. K - 1; None where there is nothing to learn from."""
        vectorizer = _vectorizer(min_df=2 if len(texts) > 500 else 1, max_features=MOST_TERMS)
        if len(np.unique(answers)) < 2:
            return None
        try:
            x = vectorizer.fit_transform(texts)
        except ValueError:
            return None
        unseen = vectorizer.transform(held)
        linear = extra("sklearn.linear_model", "sentiment")
        tried = [linear.LogisticRegression(C=c, max_iter=1000).fit(x, answers) for c in STRENGTHS]
        return cls(vectorizer, max(tried, key=lambda model: float((model.predict(unseen) == truth).mean())))

    def probabilities(self, texts: Sequence[str], classes: int) -> np.ndarray:
        """(N, K)."""
        found = np.zeros((len(texts), classes))
        found[:, self._regression.classes_] = self._regression.predict_proba(self._vectorizer.transform(texts))
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Numeric arrays, to be stored."""
        terms = sorted(self._vectorizer.vocabulary_, key=self._vectorizer.vocabulary_.__getitem__)
        model = self._regression
        return {
            "terms": np.array(list(json.dumps(terms).encode()), np.uint8),
            "idf": self._vectorizer.idf_,
            "coefficients": model.coef_,
            "intercepts": model.intercept_,
            "classes": model.classes_,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> TfidfBaseline:
        vectorizer = _vectorizer(vocabulary=json.loads(arrays["terms"].tobytes()))
        vectorizer.idf_ = arrays["idf"]
        model = extra("sklearn.linear_model", "sentiment").LogisticRegression()
        model.coef_, model.intercept_, model.classes_ = arrays["coefficients"], arrays["intercepts"], arrays["classes"]
        return cls(vectorizer, model)


def _vectorizer(**options: Any) -> Any:
    kind = extra("sklearn.feature_extraction.text", "sentiment").TfidfVectorizer
    return kind(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+(?:['’]\w+)*|[!?]", **options)
