"""Reading text files: every kind of file, every way in which one can be wrong, and the guess whether lines are documents."""

import bz2
import gzip
import json
import lzma
import random
import textwrap
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.codecs import records, textfiles
from unspool.codecs.textfiles import Report, TextFiles, guess_lines
from unspool.errors import DataError

ARCHIVE = (
    'window.YTD.tweets.part0 = [ {"tweet": {"full_text": "a &amp; b\\nc"}}, {"tweet": {"full_text": "RT @x: y"}},\n'
    ' {"tweet": {"id": 3}} ]\n'
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


KINDS = [
    ("a.txt", "one\r\n\n  two\n   \nthree", ["one", "  two", "three"], {"blank line": 2}),
    ("mac.text", "one\rtwo\r\r", ["one", "two"], {"blank line": 1}),
    ("bom.log", b"\xef\xbb\xbfna\xc3\xafve\n", ["naïve"], {}),
    ("wide.txt", "ünï\ncode\n".encode("utf-16"), ["ünï", "code"], {}),
    ("wider.txt", "ünï\ncode\n".encode("utf-32"), ["ünï", "code"], {}),
    ("separator.txt", "one\u2028one\x0cone\n", ["one\u2028one\x0cone"], {}),
    (
        "a.csv",
        'id,Text\n1,"x\ny"\n2,\n\n3\n4,"z, ""z"""\n',
        ["x\ny", 'z, "z"'],
        {"blank text": 1, "blank line": 1, "row without the column": 1},
    ),
    ("order.csv", "message,body,tweet\r\n1,2,3\r\n", ["3"], {}),
    ("twice.csv", "TEXT,text\nx,y\n", ["x"], {}),
    ("only.csv", "\n\nwhatever\nx\n", ["x"], {}),
    ("semicolon.csv", "id;text\n1;a,b\n", ["a,b"], {}),
    ("a.tsv", "id\treview\n1\ta,b\n", ["a,b"], {}),
    (
        "a.jsonl",
        '{"id": 1, "Content": "x\\ny"}\n\n{"id": 2}\n{"id": 2, "Content": " "}\n',
        ["x\ny"],
        {"blank line": 1, "record without a text": 1, "blank text": 1},
    ),
    ("a.ndjson", '"x"\n"\\ud83d\\ude00 \\ud83d"\n3\n', ["x", "😀 \ufffd"], {"record without a text": 1}),
    ("a.json", '[\n {"id": 1, "text": "x"},\n {"id": 2, "text": "y"}\n]\n', ["x", "y"], {}),
    ("tweets.js", ARCHIVE, ["a & b\nc"], {"retweet": 1, "record without a text": 1}),
    ("tweet.js", ARCHIVE, ["a & b\nc"], {"retweet": 1, "record without a text": 1}),
    ("tweets-part12.js", ARCHIVE, ["a & b\nc"], {"retweet": 1, "record without a text": 1}),
]
PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize(("name", "content", "expected", "skipped"), KINDS, ids=[kind[0] for kind in KINDS])
def test_kinds(tmp_path: Path, name: str, content: str | bytes, expected: list[str], skipped: dict[str, int], packed: str) -> None:
    path = write(tmp_path, name + packed, PACK[packed](content.encode() if isinstance(content, str) else content))
    files = TextFiles([path])
    assert files.report == Report((str(path),))
    assert list(files) == expected
    assert files.report == Report((str(path),), len(expected), sum(map(len, expected)), skipped)
    assert list(files) == expected  # again from the start
    assert files.report.documents == len(expected)


def test_report_reads_as_a_sentence() -> None:
    assert str(Report(("a", "b"), 1, 12345, {"retweet": 2})) == "2 files, 1 document, 12,345 characters; skipped: retweet (2)"
    assert str(Report(("a",))) == "1 file, 0 documents, 0 characters"


def test_column_is_obeyed(tmp_path: Path) -> None:
    assert list(TextFiles(write(tmp_path, "a.csv", "text,title\nx,y\n"), column="title")) == ["y"]
    assert list(TextFiles(write(tmp_path, "a.jsonl", '{"text": "x", "title": "y"}\n'), column="title")) == ["y"]


def test_a_long_field_is_read(tmp_path: Path) -> None:
    long = "word " * 60_000
    assert list(TextFiles(write(tmp_path, "a.csv", f'text\n"{long}"\n'))) == [long]


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    for name in ("b.txt", "a.md", "c.csv.gz"):
        write(tmp_path, name, gzip.compress(b"text\nc\n") if name.endswith("gz") else name)
    write(tmp_path, "empty.txt", "")
    write(tmp_path, "image.png", b"\0")
    write(tmp_path, "like.js", "")
    (tmp_path / "inner").mkdir()
    files = TextFiles(str(tmp_path))
    assert list(files) == ["a.md", "b.txt", "c"]
    assert files.report.skipped == {"file of another kind": 2, "folder within a folder": 1, "empty file": 1}
    assert [Path(name).name for name in files.report.files] == ["a.md", "b.txt", "c.csv.gz", "empty.txt"]


@given(text=st.text(st.sampled_from("aé€😀\r\n ")).filter(str.strip), block=st.integers(1, 9))
def test_running_text_is_unchanged_however_the_blocks_fall(tmp_path_factory: pytest.TempPathFactory, text: str, block: int) -> None:
    path = write(tmp_path_factory.getbasetemp(), "any.txt", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unspool.codecs.streams.BLOCK", block)
        assert "".join(TextFiles(path, lines=False)) == text
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert list(TextFiles(path)) == [line for line in lines if line.strip()]


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 16])
def test_json_values_however_the_blocks_fall(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unspool.codecs.streams.BLOCK", max(block, len("window.YTD.tweets.part0 = ")))
    path = write(tmp_path, "tweets.js", ARCHIVE)
    assert list(TextFiles(path)) == ["a & b\nc"]
    monkeypatch.setattr("unspool.codecs.streams.BLOCK", block)
    files = TextFiles(write(tmp_path, "a.json", '[ "a", {"text": "]["}, 12345,\n"b" ]'))
    assert list(files) == ["a", "][", "b"]
    assert files.report.skipped == {"record without a text": 1}


def test_memory_stays_constant(tmp_path: Path) -> None:
    one_line = write(tmp_path, "a.txt.gz", gzip.compress(b"x" * 8_000_000, 1))
    tweets = write(
        tmp_path,
        "tweets.js",
        "window.YTD.tweets.part0 = [" + ",\n".join(['{"tweet":{"full_text":"' + "x" * 200 + '"}}'] * 20_000) + "]",
    )
    tracemalloc.start()
    size = max(map(len, TextFiles(one_line, lines=False)))
    assert size <= 1 << 17
    assert sum(1 for _ in TextFiles(tweets)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000


GOOD = "häuser\n" * 20_000  # more than one block
WRONG = [
    ("empty.txt", "", "empty.txt is empty"),
    ("blank.txt", " \n\n", "(skipped: blank line: 2)"),
    ("header.csv", "id,text\n", "header.csv is empty"),
    ("null.txt", b"ab\ncd\0ef", "NUL byte at byte 5"),
    ("null2.txt", GOOD.encode() + b"\0", "NUL byte at byte 160000"),
    ("latin.txt", b"ab\nc\xe4d", "is not UTF-8: byte 0xE4 at byte 4 in line 2"),
    ("latin1.txt", b"\xef\xbb\xbfa\xe4d", "byte 0xE4 at byte 4 in line 1"),
    ("latin2.txt", GOOD.encode() + b"x\xfcx", "byte 0xFC at byte 160001 in line 20001"),
    ("latin3.txt", b"x\xfcx", "iconv -f latin1 -t utf-8"),
    ("cut.txt", GOOD.encode() + b"\xe2\x82", "byte 0xE2 at byte 160000 in line 20001 (unexpected end of data)"),
    ("odd.txt", b"\xff\xfea\0\n\0b", "is not UTF-16-LE, which its first bytes announce"),
    ("long.txt", "short\n" + "x" * 1_000_001, "long.txt, line 2 is longer than 1,000,000 characters"),
    ("long2.txt", "x" * 1_000_001 + "\nshort\n", "(--running)"),
    ("fake.gz", "no gzip\n", "damaged after 0 good bytes"),
    ("cut.txt.gz", gzip.compress(random.Random(1).randbytes(999).hex().encode())[:300], "compressed data is damaged"),
    ("cut.txt.xz", lzma.compress(b"some text")[:30], "compressed data is damaged"),
    ("cut.txt.bz2", bz2.compress(b"some text")[:-9], "compressed data is damaged"),
    ("fake.xz", "no xz\n", "compressed data is damaged"),
    ("fake.bz2", "no bzip2\n", "compressed data is damaged"),
    ("columns.csv", "id,txt\n1,x\n", "Name one of its columns: id, txt"),
    ("field.csv", 'text\nx\n"' + ("word " * 20_000 + "\n") * 101, "the row that starts in line 3 cannot be read"),
    ("keys.jsonl", '{"id": 1, "title": "x"}\n', "Name one of its columns: id, title"),
    ("broken.jsonl", '{"text": "x"}\n{"text": }\n', "broken.jsonl, line 2: broken JSON (Expecting value at column 10)"),
    ("broken.json", '[{"text": "x"},\n{"text": }]\n', "broken.json, line 2: broken JSON (Expecting value)"),
    ("open.json", '["x",\n"y"', "line 2: broken JSON (its square brackets do not match)"),
    ("tweets.js", ARCHIVE[:90], "tweets.js, line 1: broken JSON"),
    ("tweet.js", "[" + '"' + "x" * 1_200_000, "broken JSON"),
    ("deep.jsonl", "[" * 200_000, "nested too deeply"),
]


@pytest.mark.parametrize(("name", "content", "fragment"), WRONG, ids=[wrong[0] for wrong in WRONG])
def test_errors(tmp_path: Path, name: str, content: str | bytes, fragment: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        list(TextFiles(path))
    sentence = str(caught.value)
    assert fragment in sentence
    assert str(path) in sentence
    assert "\n" not in sentence


def test_errors_of_paths(tmp_path: Path) -> None:
    write(tmp_path, "tweets.csv", "id,Text,likes\n1,x,2\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank").mkdir()
    write(tmp_path / "blank", "a.txt", "\n")
    for paths, column, fragment in [
        (tmp_path / "tweet.csv", None, "tweet.csv (did you mean 'tweets.csv'?)"),
        (tmp_path / "no" / "a.txt", None, "there is no file"),
        (tmp_path / "empty", None, "holds no file of a known ending"),
        (tmp_path / "blank", None, "no text in any"),
        ([], None, "no file was given"),
        (tmp_path / "tweets.csv", "likez", "has no column 'likez' (did you mean 'likes'?); its columns are: id, Text, likes"),
        (tmp_path / "tweets.csv", "text", "has no column 'text' (did you mean 'Text'?); its columns are: id, Text, likes"),
    ]:
        with pytest.raises(DataError) as caught:
            list(TextFiles(paths, column=column))
        assert fragment in str(caught.value)


def _prose(rng: random.Random, words: int) -> str:
    return " ".join("".join(rng.choices("etaoinshr", k=rng.randint(1, 9))) for _ in range(words))


def test_guess_lines(tmp_path: Path) -> None:
    rng = random.Random(7)
    tweets = "".join(_prose(rng, rng.randint(6, 40))[:140] + "\n" for _ in range(3000))
    novel = "\n".join(textwrap.fill("   " + _prose(rng, rng.randint(40, 200)), 72) for _ in range(200)) + "\n"
    verse = "".join(_prose(rng, 6) + "\n" for _ in range(500))
    wiki = "".join(f" \n = {_prose(rng, 2)} = \n \n" + "".join(f" {_prose(rng, 90)} \n" for _ in range(4)) for _ in range(50))
    for name, content, expected in [
        ("tweets.txt", tweets, True),
        ("crlf.txt", tweets.replace("\n", "\r\n"), True),
        ("padded.txt", tweets + "\n" * 30, True),  # 1 % of its lines are blank
        ("novel.txt", novel, False),
        ("spaced.txt", novel.replace("\n   ", "\n\n"), False),
        ("verse.txt", verse, False),
        ("wiki.txt", wiki, False),
        ("one.txt", "word " * 99_999, False),
        ("two.txt", tweets[: tweets.index("\n", 300)], True),
        ("empty.txt", "", False),
        ("a.csv", "text\nx\n", True),
        ("a.jsonl", "", True),
        ("tweets.js", ARCHIVE, True),
    ]:
        assert guess_lines([write(tmp_path, name, content)]) is expected, name
    assert guess_lines(write(tmp_path, "novel.txt.gz", gzip.compress(novel.encode()))) is False


def test_limits_stand_in_the_documents() -> None:
    said = f"{textfiles.__doc__} {TextFiles.__doc__}"
    assert all(ending in said for ending in textfiles.TEXT_ENDINGS + textfiles.TABLE_ENDINGS)
    assert all(f"'{name}'" in said for name in records.COLUMNS)
    assert json.loads(ARCHIVE.split(" = ")[1])  # the sample is what it claims to be


def test_running_text_comes_back_whole_and_no_word_is_torn(tmp_path: Path) -> None:
    text = "".join(f"word{i}{' ' if i % 7 else chr(10)}" for i in range(40_000))
    blocks = list(TextFiles(write(tmp_path, "novel.txt", text), lines=False))
    assert "".join(blocks) == text
    assert len(blocks) > 3
    assert [word for block in blocks for word in block.split()] == text.split()
