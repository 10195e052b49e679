"""The longest copies against every substring tried, with blocks small enough that a small corpus has many."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.scoring import copies
from unspool.scoring.copies import Copy, longest_copies

texts = st.text(alphabet="ab\0é\U0001f600", max_size=24)


@pytest.fixture(params=[3, 10, 1 << 18])
def block(request, monkeypatch):
    monkeypatch.setattr(copies, "BLOCK", request.param)
    return request.param


def longest(sample: str, documents: list[str]) -> int:
    """By trying every run, longest first."""
    runs = {(i, j) for i in range(len(sample)) for j in range(i + 1, len(sample) + 1)}
    held = [j - i for i, j in runs if "\0" not in sample[i:j] and any(sample[i:j] in document for document in documents)]
    return max(held, default=0)


def check(samples: list[str], documents: list[str]) -> None:
    found = longest_copies(samples, iter(documents))
    assert [copy.length for copy in found] == [longest(sample, documents) for sample in samples]
    for copy, sample in zip(found, samples, strict=True):
        assert len(copy.text) == copy.length
        assert copy.text in sample
        assert "\0" not in copy.text
        assert any(copy.text in document for document in documents) or not copy.length


@pytest.mark.parametrize("size", [1, 4, 30])
@settings(max_examples=80, deadline=None)
@given(st.lists(texts, max_size=4), st.lists(texts, max_size=5))
def test_agrees_with_trying_every_run(size, samples, documents):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "BLOCK", size)
        check(samples, documents)


def test_agrees_on_text_with_long_copies(block):
    rng = random.Random(5)
    documents = ["".join(rng.choices("abc ", k=n)) for n in (1, 90, 400, 30)]
    source = documents[2]
    samples = ["".join(rng.choices("abc ", k=60)) for _ in range(6)]
    samples += [
        source[100:170],
        "abc" + source[20:57] + "cba",
        "a" * 50,
        source[5:25] + source[70:101] + source[5:26],
        documents[0],
    ]
    check(samples, documents)


def test_runs_do_not_join_documents_or_samples(block):
    found = longest_copies(["hello world", "held", "wor"], ["say hello", " world", "worhe"])
    assert found == [Copy(6, " world"), Copy(3, "hel"), Copy(3, "wor")]


def test_a_nul_breaks_a_sample(block):
    assert longest_copies(["abc\0defg"], ["abc\0defg"]) == [Copy(4, "defg")]


def test_a_long_document_is_searched_whole(block):
    document = "".join(map(chr, range(0x4E00, 0x4E00 + 2000)))
    assert longest_copies([document[i : i + 40] for i in (0, 7, 999, 1960)], [document]) == [
        Copy(40, document[i : i + 40]) for i in (0, 7, 999, 1960)
    ]


def test_nothing_shared_and_nothing_given(block):
    assert longest_copies(["xyz", ""], ["abc", ""]) == [Copy(0, ""), Copy(0, "")]
    assert longest_copies(["xyz"], []) == [Copy(0, "")]
    assert longest_copies([], ["abc"]) == []
    assert longest_copies([""], ["abc"]) == [Copy(0, "")]


def test_a_lone_surrogate_is_a_character(block):
    assert longest_copies(["a\ud800b"], ["\ud800b"]) == [Copy(2, "\ud800b")]
