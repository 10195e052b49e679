"""Normalised tweets: each marker, what must stay as it is, and two properties."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unspool.codecs.normalise import MARKERS, split, tweets

CASES = [
    ("see https://t.co/Ab1?x=2, now", "see <url>, now"),
    ("#MAGAhttps://t.co/x", "<hashtag> maga <allcaps> <url>"),
    ("www.unspool.org/a_b.", "<url>."),
    ("cut short htt… and https:/…", "cut short <url> and <url>…"),
    ('.@JebBush "@Foo_1: hi"', '.<user> "<user>: hi"'),
    ("me@here.org @ 9am", "me@here.org @ <number>am"),
    ("#MakeAmericaGreatAgain!", "<hashtag> make america great again!"),
    ("#USAToday #snake_case #iPhone", "<hashtag> usa today <hashtag> snake case <hashtag> i phone"),
    ("#Trump2016 #CPAC2013 #1 # x", "<hashtag> trump <number> <hashtag> cpac <number> <allcaps> <hashtag> <number> # x"),
    (
        "12 1,000.50 -3 .5 10:30 9/11 10-20 $5 50% 1st G20.",
        "<number> " * 5 + "<number>/<number> <number>-<number> $<number> <number>% <number>st g<number>.",
    ),
    ("FAKE News, USA's A I'M", "fake <allcaps> news, usa's <allcaps> a i'm <allcaps>"),
    ("wayyyy Sooo WAYYY III www too hmm", "way <elong> so <elong> way <allcaps> <elong> iii <allcaps> www too hmm"),
    ("no!!! what?! end...Then one.", "no! <repeat> what! <repeat> end. <repeat> then one."),
    ("a :) b :-D c :') d:)) (: e 8-)", "a <smile> b <smile> c <smile> d <smile> <smile> e <smile>"),
    (":p :-P =p", "<lolface> <lolface> <lolface>"),
    (":( :-(( ): f", "<sadface> <sadface> <sadface> f"),
    ("x ):y (my book): z (:y", "x ):y (my book): z (:y"),
    (":/ :| :-* g", "<neutralface> <neutralface> <neutralface> g"),
    ("I &lt;3 you <3 <3.5 <3%", "i <heart> you <heart> <<number> <<number>%"),
    (
        "(in 2018) and: rates:(1) ratio 4:5 at 8) x:p 7:pm",
        "(in <number>) and: rates:(<number>) ratio <number> at <number>) x:p <number>:pm",
    ),
    ("R&amp;D &amp;amp; it&#39;s &quot;x&quot;", 'r&d & it\'s "x"'),
    ("  two\n\tlines  ", "two lines"),
    ("<URL>a<user><number><hashtag>", "<url> a <user> <number> <hashtag>"),
    ("Ärger ÜBER \U0001d400\U0001d401 ΑΣ", "ärger über <allcaps> \U0001d400\U0001d401 ας <allcaps>"),
    ("İstanbul", "istanbul"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_examples(text: str, expected: str) -> None:
    assert tweets(text) == expected
    assert tweets(expected) == expected


def test_markers() -> None:
    assert len(MARKERS) == len(set(MARKERS)) == 12
    for marker in MARKERS:
        assert tweets(marker) == marker
        assert tweets(marker.upper()) == marker
    assert {symbol for text, _ in CASES for symbol in split(tweets(text)) if len(symbol) > 1} == set(MARKERS)


PARTS = """
    < > @ # & amp; &lt; : ; = 8 - ' \u2019 ( ) / | * D p 3 5 . , ! ? _ % a A BB ccc DDDD
    http:// https:/ www. htt… İ ß Σ ² ٣ \U0001d400 ǅ \u017f user>
"""
PIECES = st.sampled_from([*MARKERS, *PARTS.split(), " ", "\n"])


@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=30))
@example("5@bob :/5 <url>@x İ@x #htt… #www.x #a'sss")
def test_a_second_pass_changes_nothing(text: str) -> None:
    once = tweets(text)
    assert tweets(once) == once
    assert "  " not in once
    assert once == once.strip()


@given(st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=30))
def test_split_loses_nothing(text: str) -> None:
    symbols = split(text)
    assert "".join(symbols) == text
    assert all(len(symbol) == 1 or symbol in MARKERS for symbol in symbols)
