"""Files of data: CSV and its dialects, Parquet, NPZ and IDX, and what is wrong with them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import xpnet
from xpnet.cli import main
from xpnet.cli.tables import numbers, read_table, texts


def csv_file(folder: Path, content: str | bytes) -> str:
    path = folder / "data.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("a,b\n1,x\n2,y\n", {"a": ["1", "2"], "b": ["x", "y"]}),
        ("a;b\r\n1;x,y\r\n", {"a": ["1"], "b": ["x,y"]}),
        ("a\tb\n1\tx\n", {"a": ["1"], "b": ["x"]}),
        ("a|b\n1|x\n", {"a": ["1"], "b": ["x"]}),
        ("\ufeffa, b\n1,2\n", {"a": ["1"], "b": ["2"]}),
        ('a,b\n1,"x\ny"\n\n2,z', {"a": ["1", "2"], "b": ["x\ny", "z"]}),
        (",a\n0,1\n1,2\n", {"a": ["1", "2"]}),
        ("größe\n1\n", {"größe": ["1"]}),
    ],
)
def test_csv_in_its_dialects(tmp_path: Path, content: str, columns: dict[str, list[str]]) -> None:
    assert read_table(csv_file(tmp_path, content)).columns == columns
    assert read_table(csv_file(tmp_path, gzip.compress(content.encode()))).columns == columns


def test_csv_without_a_header_or_with_another_delimiter(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "1:2,5\n3:4\n")
    assert read_table(path, delimiter=":", header=False).columns == {"column1": ["1", "3"], "column2": ["2,5", "4"]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no rows of data"),
        (b"a,b\n", "no rows of data"),
        (b"a,b\n1,2\n3\n", "line 3 of .* has 1 cells where the first line has 2"),
        (b"a,a\n1,2\n", "several columns named 'a'"),
        (b"a\n\xff\xfe\n", "no text in UTF-8"),
        (b'a\n"1\n', "damaged, or of no kind"),
        (b"a\n" + b"1" * 200_000 + b"\n", "damaged, or of no kind"),
        (b"\x1f\x8b\x08broken", "cannot read|damaged"),
        (gzip.compress(b"a,b\n" + bytes(range(32, 127)) * 99)[:-20], "damaged|cannot read"),
        (b"PK\x03\x04 no archive", "damaged"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(xpnet.DataError, match=words):
        read_table(csv_file(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a,b\n1,2\n3,x\n", 3),
        ("a,b\n\n1,2\n\n\n3,x\n", 6),
        ("\n\na,b\n1,2\n3,x\n", 5),
        ('a,"b\n "\n"1\n1",2\n\n3,x\n', 6),
        ('a,b\r\n1,2\r\n\r\n"3\r\n3\r\n3",x\r\n', 4),
    ],
)
def test_a_cell_is_placed_by_the_line_on_which_its_row_begins(tmp_path: Path, content: str, line: int) -> None:
    """Counted in the file itself, past empty lines and cells of several lines; so is a row of another length."""
    table = read_table(csv_file(tmp_path, content))
    assert table.place(1) == f"line {line} of {tmp_path / 'data.csv'}"
    with pytest.raises(xpnet.DataError, match=f"^line {line} of .* has 3 cells where the first line has 2"):
        read_table(csv_file(tmp_path, content.replace("x", "x,y")))


def test_lines_without_a_header(tmp_path: Path) -> None:
    table = read_table(csv_file(tmp_path, "\n1,2\n\n3,4\n"), header=False)
    assert [table.place(row).split(" of ")[0] for row in (0, 1)] == ["line 2", "line 4"]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(xpnet.DataError, match="No such file"):
        read_table(str(tmp_path / "missing.csv"))
    with pytest.raises(xpnet.DataError, match="cannot read"):
        read_table(str(tmp_path))


def test_numbers_and_texts() -> None:
    np.testing.assert_array_equal(numbers(["1", " 2e3 ", "NaN", "?", ""]), [1, 2000, np.nan, np.nan, np.nan])
    assert numbers(["1", "x"]) is None
    assert numbers(["1_000"]) is None
    assert texts([" a ", "N/A", None]) == ["a", None, None]
    assert texts(np.asarray([1, 2])) == ["1", "2"]
    assert texts(np.asarray([1.0, np.nan, 0.5])) == ["1", None, "0.5"]


def test_npz_holds_columns(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", a=np.arange(3), b=np.asarray(["x", "", "y"]), c=np.ones((3, 2)))
    table = read_table(str(tmp_path / "d.npz"))
    assert texts(table.columns["b"]) == ["x", None, "y"]
    assert table.columns["c"].shape == (3, 2)  # type: ignore[union-attr]


def test_npz_that_could_carry_code_or_holds_no_rows(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", a=np.asarray([{}], dtype=object))
    with pytest.raises(xpnet.DataError, match="allow_pickle=False"):
        read_table(str(tmp_path / "objects.npz"))
    np.savez(tmp_path / "complex.npz", a=np.ones(3) * 1j)
    with pytest.raises(xpnet.DataError, match="'a'"):
        read_table(str(tmp_path / "complex.npz"))
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
    parquet.write_table(pa.table({"when": pa.array([1, 2], pa.timestamp("s"))}), "dates.parquet")
    with pytest.raises(xpnet.DataError, match=r"'when' of dates\.parquet holds timestamp"):
        read_table("dates.parquet")


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


def test_large_floats_are_written_in_full() -> None:
    assert texts(np.asarray([float(LARGE), -1e16, np.inf, np.nan, 0.1])) == [
        "9007199254740992", "-10000000000000000", "inf", None, "0.1",
    ]  # fmt: skip


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(xpnet.DataError, match=r"pip install 'xpnet\[parquet\]'"):
        read_table(csv_file(tmp_path, b"PAR1...."))


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
    assert "label: there is no such file" in capsys.readouterr().err


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
