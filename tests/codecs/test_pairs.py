"""Pairs of texts out of parallel files, tabs and catalogues."""

import gzip

import pytest

from unspool.codecs.pairs import Pair, PairFiles
from unspool.errors import DataError


def put(folder, **files):
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, "utf-8")


def test_parallel_files(tmp_path):
    put(tmp_path, a__de="eins\nzwei\n\n" + "drei " * 300 + "\n", a__en="one\ntwo\nempty\nthree\n")
    with gzip.open(tmp_path / "b.de.gz", "wt") as file:
        file.write("vier\n")
    put(tmp_path, b__en="four\n")
    files = PairFiles([tmp_path / n for n in ("b.de.gz", "a.en", "a.de", "b.en")], "de", "en")
    assert list(files) == [Pair("eins", "one"), Pair("zwei", "two"), Pair("vier", "four")]
    assert files.dropped == {"an empty side": 1, "more than 200 words": 1}
    assert "3 pairs; dropped, an empty side: 1" in files.report
    assert len(list(PairFiles([tmp_path / "a.de", tmp_path / "a.en"], "de", "en", all_pairs=True))) == 4


def test_tabs_and_catalogues(tmp_path):
    put(tmp_path, t__tsv="1\t2\nGo.\tGeh.\n\nHi.\tHallo.\tnote\n" + "word " * 50 + "\tWort\n")
    files = PairFiles([tmp_path / "t.tsv"], "en", "de")
    assert list(files) == [Pair("Go.", "Geh."), Pair("Hi.", "Hallo.")]
    assert files.dropped == {"one side 4 times as long": 1}
    assert next(iter(PairFiles([tmp_path / "t.tsv"], "de", "en", swapped=True))) == Pair("Geh.", "Go.")
    put(tmp_path, z__tsv="We all go home together when it is late in the evening.\t我们晚上一起回家。\n")
    assert len(list(PairFiles([tmp_path / "z.tsv"], "en", "zh"))) == 1  # its words have no spaces between
    put(
        tmp_path,
        m__po='msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Open\\nfile"\nmsgstr "Datei öffnen"\n\n'
        '#, fuzzy\nmsgid "Close"\nmsgstr "Zu"\n\nmsgid "Quit"\nmsgstr ""\n',
    )
    assert list(PairFiles([tmp_path / "m.po"], "en", "de")) == [Pair("Open file", "Datei öffnen")]


def test_what_does_not_pair(tmp_path):
    with pytest.raises(DataError, match="is a folder; name the two files"):
        PairFiles([tmp_path], "de", "en")
    put(tmp_path, a__de="eins\nzwei\ndrei\n", a__en="one\n", t__txt="a\tb\nno tab here\n", e__txt="\t\n", m__po="nothing like it")
    with pytest.raises(DataError, match=r"a.de has 3 lines and .*a.en has 1; line by line"):
        list(PairFiles([tmp_path / "a.de", tmp_path / "a.en"], "de", "en"))
    with pytest.raises(DataError, match=r"1 files that end in .de and 0 in .en"):
        PairFiles([tmp_path / "a.de"], "de", "en")
    with pytest.raises(DataError, match=r"t.txt, line 2 has no tab: expected 'source<TAB>target', found 'no tab here'"):
        list(PairFiles([tmp_path / "t.txt"], "de", "en"))
    with pytest.raises(DataError, match="no pairs of texts"):
        list(PairFiles([tmp_path / "e.txt"], "de", "en"))
    with pytest.raises(DataError, match=r"no file .*did you mean 't.txt'"):
        PairFiles([tmp_path / "tt.txt"], "de", "en")
    with pytest.raises(DataError, match="cannot be read as a gettext catalogue"):
        list(PairFiles([tmp_path / "m.po"], "de", "en"))
