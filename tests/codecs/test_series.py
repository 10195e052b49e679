import numpy as np
import pytest

from unspool.codecs.series import SeriesFiles
from unspool.errors import DataError


def test_the_archive_format(tmp_path):
    (tmp_path / "a.ts").write_text("#comment\n@problemName x\n@classLabel true a b\n@data\n1,2,3:4,5,6:a\n1,?,3:4,5,NaN:b\n")
    first, second = SeriesFiles([tmp_path / "a.ts"]).items
    np.testing.assert_array_equal(first.values, [[1, 4], [2, 5], [3, 6]])
    assert (first.label, second.label) == ("a", "b")
    assert np.isnan(second.values).sum() == 2


def test_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.ones((3, 4, 2)), y=[0, 1, 0], classes=["up", "down"])
    found = SeriesFiles([tmp_path / "a.npz"]).items
    assert [(s.values.shape, s.label) for s in found] == [((4, 2), "up"), ((4, 2), "down"), ((4, 2), "up")]
    pose = np.arange(20.0).reshape(5, 2, 2)
    np.savez(tmp_path / "b.npz", pose=pose, lengths=[2, 3], labels=["x", "y"])
    found = SeriesFiles([tmp_path / "b.npz"]).items
    assert [s.values.shape for s in found] == [(2, 4), (3, 4)]
    np.testing.assert_array_equal(found[1].values[0], pose[2].ravel())


def test_rows_of_a_table(tmp_path):
    (tmp_path / "a.csv").write_text("a,1,2,3,4\nb,5,6,7,8\n")
    found = SeriesFiles([tmp_path / "a.csv"], channels=2).items
    np.testing.assert_array_equal(found[1].values, [[5, 6], [7, 8]])
    assert [s.label for s in found] == ["a", "b"]
    (tmp_path / "b.csv").write_text("clip,label,subject,x,y\n1,a,p,1,2\n1,a,p,3,4\n2,b,q,5,6\n2,b,q,7,8\n2,b,q,9,9\n")
    found = SeriesFiles([tmp_path / "b.csv"]).items
    assert [(len(s.values), s.label, s.group) for s in found] == [(2, "a", "p"), (3, "b", "q")]


def test_folders_are_labels(tmp_path):
    for name in ("up", "down"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "1.npy", np.ones((5, 3)))
    assert [s.label for s in SeriesFiles([tmp_path]).items] == ["down", "up"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "a,1,2\nb,1,x\n", r"a\.csv, line 2: 'x' is no number"),
        ("a.csv", "a,1,2,3\n", r"3 numbers are no whole steps of 2 channels"),
        ("a.ts", "1,2:a\n", r"a\.ts, line 1: a \.ts file has @data before its series"),
        ("a.npz", "no", r"a\.npz cannot be read as arrays"),
        ("a.txt", "no", r"a\.txt is no table of numbers"),
        ("a.csv", 'a,1,2\nb,"1,2\n', r"a\.csv: the row that starts in line 2 cannot be read|holds no series"),
        ("a.csv", "a,1\n", r"1 numbers are no whole steps|holds no series"),
    ],
)
def test_what_is_no_series_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        SeriesFiles([tmp_path / name], channels=2)


def test_rows_of_another_width_are_left_out_of_long_tables(tmp_path):
    (tmp_path / "a.csv").write_text("series;v;label\none;1;up\none;2;up\ntwo;3\n\ntwo;4;down\ntwo;5;down\n")
    found = SeriesFiles([tmp_path / "a.csv"])
    assert [s.values.tolist() for s in found.items] == [[[1], [2]], [[4], [5]]]
    assert found.skipped["row of another width"] == 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.ones(5)}, r"X has the shape \(5,\)"),
        ({"X": np.ones((2, 4), complex)}, "holds no series"),
        ({"X": np.ones((2, 4)), "y": np.array([0, 2]), "classes": np.array(["a", "b"])}, "whole numbers from 0 to 1"),
        ({"X": np.ones((2, 4)), "y": np.array(["a", "b"]), "classes": np.array(["a", "b"])}, "whole numbers from 0 to 1"),
        ({"X": np.ones((2, 4)), "groups": np.array([1])}, "there are 1 groups for 2 series"),
        ({"X": np.ones((2, 4)), "lengths": np.zeros(0, int)}, "the lengths add up to 0"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        SeriesFiles([tmp_path / "a.npz"], labels=False)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as arrays"):
        SeriesFiles([tmp_path / "a.npz"], labels=False)


def test_series_of_other_widths_are_named(tmp_path):
    for name, width in (("a", 2), ("b", 2), ("c", 3)):
        np.save(tmp_path / f"{name}.npy", np.ones((4, width)))
    with pytest.raises(DataError, match=r"c\.npy has 3 numbers a step, the others 2"):
        SeriesFiles([tmp_path])
    with pytest.raises(DataError, match="there is no file or folder"):
        SeriesFiles([tmp_path / "d.npy"])


@pytest.mark.data
def test_real_series_are_read(real_data):
    assert len(SeriesFiles([real_data / "video/BasicMotions/BasicMotions_TRAIN.ts.xz"]).items) == 40
    found = SeriesFiles([real_data / "video/jhmdb_skeletons/split1_train.npz"]).items
    assert len(found) == 433
    assert {len(s.values) for s in found} <= set(range(15, 41))
