"""Texts with labels out of tables, lines and trees."""

import gzip
import json

import pytest

from unspool.codecs.labelled import LabelledFiles
from unspool.codecs.words import LONGEST, WordCodec
from unspool.errors import DataError

TREE = "(3 (2 It) (4 (4 (2 's) (4 lovely)) (2 .)))"


def read(path, content, **options):
    path.write_text(content, "utf-8")
    files = LabelledFiles([path], **options)
    return list(files), files


def placed(rows):
    """Text, label and line of examples."""
    return [(row.text, row.label, int(row.place.rpartition(", line ")[2])) for row in rows]


def test_tables_and_objects(tmp_path):
    rows, files = read(tmp_path / "a.csv", 'rating,verified_reviews,date\n5,"good, really",x\n1,bad,y\n,none,z\n2,  ,z\n')
    assert placed(rows) == [("good, really", "5", 2), ("bad", "1", 3)]
    assert files.skipped == {"row without a text or a label": 1, "blank text": 1}
    assert "text from 'verified_reviews', label from 'rating'" in files.report
    rows, _ = read(tmp_path / "b.tsv", "Sentence\tLabel\nfine\tpos\n")
    assert placed(rows) == [("fine", "pos", 2)]
    lines = [{"review": "ok", "stars": 4.0}, {"review": "hm", "stars": 2}, {"stars": 1}]
    rows, files = read(tmp_path / "c.jsonl", "\n".join(map(json.dumps, lines)))
    assert placed(rows) == [("ok", "4", 1), ("hm", "2", 2)]
    rows, _ = read(tmp_path / "half.jsonl", r'{"text": "good \ud83d", "label": 1}')  # half of a character
    assert placed(rows) == [("good \ufffd", "1", 1)]
    rows, _ = read(tmp_path / "d.csv", "said,about,label\nyes,music,1\n", text="about")
    assert placed(rows) == [("music", "1", 2)]


def test_lines_and_trees(tmp_path):
    rows, _ = read(tmp_path / "a.txt", "__label__4\tIt 's good .\n\n__label__1 bad\n")
    assert placed(rows) == [("It 's good .", "4", 1), ("bad", "1", 3)]
    rows, _ = read(tmp_path / "t.txt", TREE + "\n(0 bad)\n")
    assert placed(rows) == [("It 's lovely .", "3", 1), ("bad", "0", 2)]
    rows, _ = read(tmp_path / "t.txt", TREE + "\n", parts=True)
    assert {(r.text, r.label, r.part) for r in rows} >= {
        ("It 's lovely .", "3", False),
        ("lovely", "4", True),
        ("'s lovely", "4", True),
    }
    assert placed(rows)[0] == ("It 's lovely .", "3", 1)
    with gzip.open(tmp_path / "z.txt.gz", "wt") as file:
        file.write("__label__x hello\n")
    assert placed(LabelledFiles([tmp_path / "z.txt.gz"])) == [("hello", "x", 1)]
    rows, _ = read(tmp_path / "plain.txt", "one\ntwo\n", labels=False)
    assert placed(rows) == [("one", "", 1), ("two", "", 2)]
    rows, _ = read(tmp_path / "plain.txt", "(Not bad at all)\n\n(good) but (bad)\n(3 half a tree)\n", labels=False)
    assert [row.text for row in rows] == ["(Not bad at all)", "", "(good) but (bad)", "half a tree"]
    rows, _ = read(tmp_path / "e.csv", "text,label\na,4.0\nb,4\n")
    assert [row.label for row in rows] == ["4", "4"]
    assert [row.text for row in read(tmp_path / "f.csv", "Comment\nx\n", text="text", labels=False)[0]] == ["x"]
    rows, _ = read(tmp_path / "g.jsonl", '{"text": "a"}\n{"text": null}\n{"text": "b"}\n', labels=False)
    assert [row.text for row in rows] == ["a", "", "b"]  # each row has its answer
    rows, files = read(tmp_path / "h.txt", "__label__1\n__label__2 x\n")
    assert placed(rows) == [("x", "2", 2)]
    assert files.skipped == {"blank text": 1}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", "__label__1 fine\njust words\n", "a.txt, line 2 has no label: expected '__label__NAME text' or a tree"),
        ("a.txt", "__label__a __label__b good\n", "line 1 has more than one label"),
        ("a.txt", "(3 (2 It) (4 's)\n", "line 1 is no tree of labelled phrases: a bracket is not closed"),
        ("a.txt", "(3 (2 It) (4 's)))\n", r"line 1 is no tree of labelled phrases: '\)' stands outside"),
        ("a.txt", "((2 It) (4 's))\n", "line 1 has no label"),
        ("a.csv", "x,y\n1,2\n", "which column holds the text. Name one of 'x', 'y' with --text-column"),
        ("a.csv", "text,y\n1,2\n", "which column holds the label"),
        ("a.jsonl", '{"text": "a", "label": [1]}\n', r"line 1: the label is \[1\]"),
        ("a.csv", "text,label\n", "holds no example"),
        ("a.csv", "", "holds no example"),
    ],
)
def test_what_is_no_example(tmp_path, name, content, sentence):
    with pytest.raises(DataError, match=sentence):
        read(tmp_path / name, content)


def test_missing_files_and_columns(tmp_path):
    (tmp_path / "data.csv").write_text("text,label\na,1\n")
    with pytest.raises(DataError, match=r"did you mean 'data.csv'"):
        LabelledFiles([tmp_path / "date.csv"])
    with pytest.raises(DataError, match=r"has no column 'txt' .did you mean 'text'"):
        list(LabelledFiles([tmp_path / "data.csv"], text="txt"))


def test_words():
    codec = WordCodec(rarest=1).fit(["It's good, really GOOD!", "bad"])
    assert codec.split("It's good!") == ["it's", "good", "!"]
    again = WordCodec.from_json(json.loads(json.dumps(codec.to_json())))
    assert again.encode("good never bad").tolist() == [codec.vocabulary["good"], 1, codec.vocabulary["bad"]]
    assert codec.encode("").tolist() == []
    text = "It's good!"
    assert [text[a:b] for a, b in codec.places(text)] == ["It's", "good", "!"]
    long = "good " * 100_000
    assert len(codec.encode(long)) == len(codec.places(long)) == LONGEST
    with pytest.raises(DataError, match="no words"):
        WordCodec().fit([])
