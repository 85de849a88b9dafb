"""Files of data: Parquet, NPZ, NPY and IDX, from end to end, and files that are no data."""

from __future__ import annotations

import gzip
import json
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from shop import QUICK, Shell, fails

import xpnet
from xpnet.cli import main
from xpnet.cli.cells import numbers, texts
from xpnet.cli.features import learn_input
from xpnet.cli.files import read_table


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(xpnet.DataError, match="No such file"):
        read_table(str(tmp_path / "missing.csv"))
    with pytest.raises(xpnet.DataError, match="cannot read"):
        read_table(str(tmp_path))


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\xd0\xcf\x11\xe0....", "is an Excel workbook; save it as CSV"),
        (b"\x89HDF....", "is an HDF5 file"),
        (b"SQLite format 3", "is an SQLite database"),
        (b"%PDF-1.7", "is a PDF"),
        (b"\x80\x04\x95....", "is a pickle, which could run code"),
        (b"\x93NUMPY\x01\x00broken", "damaged"),
        (b"\x93NUMPY\x01\x00\x06\x00{'a': ", "damaged"),
        (b"PK\x03\x04 no archive", "damaged"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path: Path, start: bytes, words: str) -> None:
    (tmp_path / "d").write_bytes(start)
    with pytest.raises(xpnet.DataError, match=words):
        read_table(str(tmp_path / "d"))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (
            ["[Content_Types].xml", "xl/workbook.xml"],
            "is an Excel workbook or another office file; save its table as CSV",
        ),
        (["d.csv"], "is a zip archive, but not of arrays: it holds d.csv; unpack it first"),
    ],
)
def test_archives_of_other_things_are_named(tmp_path: Path, members: list[str], words: str) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for member in members:
            archive.writestr(member, "a,b\n1,2\n")
    with pytest.raises(xpnet.DataError, match=re.escape(words)):
        read_table(str(tmp_path / "d.zip"))


def test_npy_that_holds_objects_or_less_than_it_says(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.asarray([{}], dtype=object), allow_pickle=True)
    with pytest.raises(xpnet.DataError, match="Python objects"):
        read_table(str(tmp_path / "objects.npy"))
    np.save(tmp_path / "number.npy", np.asarray(1.0))
    with pytest.raises(xpnet.DataError, match="must hold rows"):
        read_table(str(tmp_path / "number.npy"))
    np.save(tmp_path / "short.npy", np.ones(9))
    (tmp_path / "short.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:-8])
    with pytest.raises(xpnet.DataError, match="damaged"):
        read_table(str(tmp_path / "short.npy"))


def test_npy_from_end_to_end(shell: Shell) -> None:
    """Features in one file, labels in another, of numbers or of texts."""
    x, y = images(200)
    np.save("x.npy", x)
    np.save("y.npy", np.asarray(["left", "right"])[y])
    done = shell("train", "x.npy", "--target", "y.npy", "--epochs", "8", "--json", "--quiet", "--out", "m.st")
    assert done.status == 0, done.err
    assert done.json()["classes"] == ["left", "right"]
    assert done.json()["columns"]["arrays"] == ["x"]
    assert shell("evaluate", "m.st", "x.npy", "--target", "y.npy", "--json").json()["accuracy"] > 0.95
    answers = [row["label"] for row in shell("predict", "m.st", "x.npy").table()]
    assert np.mean([answer == ["left", "right"][label] for answer, label in zip(answers, y, strict=True)]) > 0.95
    fails(shell("train", "x.npy", "--target", "shop.csv"), "shop.csv must be IDX or NPY with one label for each row")
    fails(shell("train", "x.npy", "--target", "x.npy"), "one label for each of the 200 rows of x.npy; got (200, 4, 5)")


def test_npz_holds_columns(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", a=np.arange(3), b=np.asarray(["x", "", "y"]), c=np.ones((3, 2)))
    table = read_table(str(tmp_path / "d.npz"))
    assert texts(table.columns["b"]) == ["x", None, "y"]
    assert table.columns["c"].shape == (3, 2)  # type: ignore[union-attr]


def test_npz_that_could_carry_code_or_holds_no_rows(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", a=np.asarray([{}], dtype=object))
    np.save(tmp_path / "objects.npy", np.asarray([1, 2], dtype=object))
    for name, what in (("objects.npz", "the array 'a'"), ("objects.npy", "the array")):
        with pytest.raises(xpnet.DataError, match=rf"^{what} of .*{name} holds Python objects, .*astype\(float\)"):
            read_table(str(tmp_path / name))
    np.savez(tmp_path / "complex.npz", a=np.ones(3) * 1j)
    np.save(tmp_path / "complex.npy", np.ones(3) * 1j)
    for name, what in (("complex.npz", "the array 'a'"), ("complex.npy", "the array")):
        with pytest.raises(xpnet.DataError, match=rf"^{what} of .*{name} .*; got dtype complex128, shape \(3,\)$"):
            read_table(str(tmp_path / name))
    np.savez(tmp_path / "none.npz")
    with pytest.raises(xpnet.DataError, match="holds no arrays"):
        read_table(str(tmp_path / "none.npz"))


def test_parquet_gives_what_csv_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    values = {
        "size": [None if i % 9 == 4 else i % 13 + 0.5 for i in range(90)],
        "color": [None if i % 11 == 5 else ["red", "blue"][i % 2] for i in range(90)],
        "count": [i % 5 for i in range(90)],
        "flag": [i % 3 == 0 for i in range(90)],
        "kind": [["a", "b"][i % 2] for i in range(90)],
    }
    table = pa.table({**values, "kind": pa.array(values["kind"]).dictionary_encode()})
    parquet.write_table(table, "d.parquet")
    lines = [
        ",".join(values),
        *(",".join("" if v is None else str(v) for v in row) for row in zip(*values.values(), strict=True)),
    ]
    Path("d.csv").write_text("\n".join(lines))
    found = []
    for name in ("d.parquet", "d.csv"):
        assert main(["train", name, "--target", "kind", "--epochs", "2", "--json", "--quiet", "--force"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    assert main(["predict", "d.safetensors", "d.parquet"]) == 0
    answers = capsys.readouterr().out
    assert main(["predict", "d.safetensors", "d.csv"]) == 0
    assert capsys.readouterr().out == answers
    dated = table.append_column("when", pa.array(range(90), pa.timestamp("s"))).append_column("many", [[[1]] * 90])
    parquet.write_table(dated, "dates.parquet")
    assert main(["predict", "d.safetensors", "dates.parquet"]) == 0
    assert capsys.readouterr().out == answers
    assert main(["train", "dates.parquet", "--target", "kind", "--drop", "many", "--epochs", "2", "--json"]) == 0
    done = capsys.readouterr()
    assert json.loads(done.out)["left_out"] == {
        "when": "it holds timestamp[ms], neither numbers nor text; convert it to have it taken"
    }
    assert json.loads(done.out)["columns"] == found[0]["columns"] | {"dropped": ["many"]}
    for arguments in (["--target", "when"], ["--target", "kind", "--categorical", "when"]):
        assert main(["train", "dates.parquet", *arguments, "--epochs", "2", "--force"]) == 1
        assert "column 'when' of dates.parquet cannot be used: it holds timestamp[ms]" in capsys.readouterr().err
    parquet.write_table(table.set_column(0, "size", pa.array(range(90), pa.timestamp("s"))), "dated_size.parquet")
    assert main(["predict", "d.safetensors", "dated_size.parquet"]) == 1
    assert "column 'size' of dated_size.parquet cannot be used: it holds timestamp[ms]" in capsys.readouterr().err


ROW_NUMBERS = "pandas gives this name to unnamed row numbers; rename it, or give --categorical, to have it taken"


def learnt_columns(path: str) -> list[str]:
    """Return the columns of a table that become inputs."""
    table = read_table(path)
    learnt = {name: learn_input(table, name, np.arange(len(column))) for name, column in table.columns.items()}
    return [name for name, found in learnt.items() if not isinstance(found, str)]


@pytest.mark.parametrize("kind", ["int64", "float64", "string", "timestamp[ms]"])
def test_an_index_without_a_name_is_no_input(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that were filtered or sampled have one, and where rows were in order, it tells their classes."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    index = pa.array([7, 3], "int64").cast(kind)
    parquet.write_table(pa.table({"a": [1, 2], "__index_level_0__": index, "__index_level_1__": index}), "d.parquet")
    assert learnt_columns("d.parquet") == ["a"]


def test_an_index_is_no_input_from_whatever_pandas_has_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    frame = pandas.DataFrame({"a": range(9), "Unnamed: 1": range(9)}).sample(5, random_state=0)
    frame.to_parquet("once.parquet")
    frame.to_csv("once.csv")
    pandas.read_csv("once.csv").to_csv("twice.csv")
    again = pandas.read_csv("twice.csv")
    again.to_csv("thrice.csv", index=False)
    again.to_parquet("thrice.parquet")
    for name in ("once.parquet", "once.csv", "twice.csv", "thrice.csv", "thrice.parquet"):
        assert learnt_columns(name) == ["a", "Unnamed: 1"]
    frame.rename_axis("id").to_parquet("named.parquet")
    assert set(learnt_columns("named.parquet")) == {"a", "Unnamed: 1", "id"}, "its owner has named it"


def test_row_numbers_are_left_out_unless_they_are_asked_for(shell: Shell) -> None:
    rows = "".join(f"{i},{i % 3},{'ab'[i % 2]}\n" for i in range(60))
    Path("d.csv").write_text(f"Unnamed: 0,b,y\n{rows}")
    done = shell("train", "d.csv", "--target", "y", "--json", *QUICK)
    assert done.json()["left_out"] == {"Unnamed: 0": ROW_NUMBERS}
    asked = shell("train", "d.csv", "--target", "y", "--categorical", "Unnamed: 0", "--json", "--force", *QUICK)
    assert asked.json()["left_out"] == {}
    assert shell("train", "d.csv", "--target", "Unnamed: 0", "--json", "--force", *QUICK).json()["left_out"] == {}
    dropped = shell("train", "d.csv", "--target", "y", "--drop", "Unnamed: 0", "--json", "--force", *QUICK)
    assert (dropped.json()["left_out"], dropped.json()["columns"]["dropped"]) == ({}, ["Unnamed: 0"])


LARGE = 2**53


@pytest.mark.parametrize("suffix", ["csv", "parquet", "gaps.parquet", "decimal.parquet", "npz"])
def test_large_whole_numbers_stay_exact_as_classes_and_categories(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neighbours of 2**53 and of 10**15 are one in float64, or in 15 digits."""
    monkeypatch.chdir(tmp_path)
    names = [LARGE, LARGE + 1, -LARGE - 1, 10**15, 10**15 + 1]
    labels = np.asarray([names[i % 5] for i in range(100)])
    table: dict[str, np.ndarray] = {"code": labels, "size": np.arange(100) % 7, "kind": labels}
    if suffix == "csv":
        lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
        Path("d.csv").write_text("\n".join(lines))
    elif suffix == "npz":
        np.savez("d.npz", **table)
    else:
        pa = pytest.importorskip("pyarrow")
        kind = pa.decimal128(20, 0) if "decimal" in suffix else pa.int64()
        columns = {name: pa.array(column.tolist(), kind) for name, column in table.items()}
        if "gaps" in suffix:
            columns["code"] = pa.array([None, *labels[1:].tolist()], kind)
            columns["kind"] = columns["kind"].dictionary_encode()
        pytest.importorskip("pyarrow.parquet").write_table(pa.table(columns), f"d.{suffix}")
    command = ["train", f"d.{suffix}", "--target", "kind", "--categorical", "code", "--epochs", "60", "--json"]
    assert main([*command, "--quiet", "--learning-rate", "0.02", "--out", "m.safetensors"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(found["classes"]) == sorted(map(str, names))
    assert found["features"] == 6
    assert found["test"]["accuracy"] == 1.0
    assert main(["predict", "m.safetensors", f"d.{suffix}"]) == 0
    answers = capsys.readouterr().out.split()[1:]
    assert answers[1:] == [str(label) for label in labels[1:]]


def test_large_whole_numbers_are_rounded_as_features(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    path = str(tmp_path / "d.parquet")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table({"a": [LARGE + 1, None], "b": [LARGE + 3, 1]}), path)
    columns = read_table(path).columns
    np.testing.assert_array_equal(numbers(columns["a"]), [LARGE, np.nan])
    np.testing.assert_array_equal(numbers(columns["b"]), [LARGE + 4, 1])


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").write_bytes(b"PAR1....")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(xpnet.DataError, match=r"pip install 'xpnet\[parquet\]'"):
        read_table(str(tmp_path / "d"))


# Images


def images(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of 4 x 5 whose bright half is their class."""
    stream = np.random.default_rng(rows)
    labels = stream.integers(0, 2, rows).astype(np.uint8)
    pictures = stream.integers(0, 90, (rows, 4, 5))
    pictures[np.arange(rows), labels * 2] += 120
    return pictures.astype(np.uint8), labels


def write_idx(path: Path, array: np.ndarray) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    content = bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("suffix", ["idx", "gz"])
def test_idx_from_end_to_end(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"{part}-{what}.{suffix}" for part in ("train", "test") for what in ("images", "labels")]
    for name, array in zip(names, (*images(300), *images(80)), strict=True):
        write_idx(Path(name), array)
    train, labels, test, answers = names
    assert main(["train", train, "--target", labels, "--epochs", "8", "--json", "--quiet", "--out", "m.st"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["features"], found["classes"], found["target"]) == (20, ["0", "1"], "label")
    assert main(["evaluate", "m.st", test, "--target", answers, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["accuracy"] > 0.95
    assert main(["predict", "m.st", test]) == 0
    head, *lines = capsys.readouterr().out.split()
    assert head == "label"
    assert np.mean([line == str(label) for line, label in zip(lines, images(80)[1], strict=True)]) == pytest.approx(
        measured["accuracy"]
    )
    assert main(["evaluate", "m.st", test]) == 1
    assert "give the file of its labels with --target" in capsys.readouterr().err
    assert main(["evaluate", "m.st", test, "--target", labels]) == 1
    assert "one label for each of the 80 rows" in capsys.readouterr().err
    assert main(["train", train, "--target", "label", "--out", "other.st"]) == 1
    assert "cannot read label: No such file" in capsys.readouterr().err


def test_arrays_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An NPZ file of several sets; new data may call its only array as it likes; shapes are held to."""
    monkeypatch.chdir(tmp_path)
    x, y = images(200)
    more, answers = images(50)
    np.savez("d.npz", x_train=x, y_train=y, x_test=more, y_test=answers)
    assert main(["train", "d.npz", "--target", "y_train", "--epochs", "8", "--json", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["left_out"] == {
        "x_test": "it has 50 rows, the target 200",
        "y_test": "it has 50 rows, the target 200",
    }
    np.savez("new.npz", pictures=more)
    assert main(["predict", "d.safetensors", "new.npz"]) == 0
    lines = capsys.readouterr().out.split()[1:]
    assert np.mean([line == str(label) for line, label in zip(lines, answers, strict=True)]) > 0.9
    np.savez("flat.npz", pictures=more.reshape(50, 20))
    assert main(["predict", "d.safetensors", "flat.npz"]) == 1
    assert "must hold numbers of shape (rows, 4, 5); got uint8 of shape (50, 20)" in capsys.readouterr().err
    np.savez("nan.npz", x=np.full((3, 4, 5), np.nan))
    assert main(["predict", "d.safetensors", "nan.npz"]) == 1
    assert "NaN or infinity is in row 0" in capsys.readouterr().err


def test_features_of_an_array_have_a_scale_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stream = np.random.default_rng(0)
    x = stream.normal(size=(120, 2)) * [1.0, 1e4] + [0.0, 1e6]
    np.savez("d.npz", x=x, y=(x[:, 1] > 1e6).astype(int))
    assert main(["train", "d.npz", "--target", "y", "--epochs", "20", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["accuracy"] > 0.9
