"""CSV: its dialects and encodings, and what is wrong with files of text."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import xpnet
from xpnet.cli.cells import Notation
from xpnet.cli.csv_files import Dialect
from xpnet.cli.files import read_table


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
        ("a,,b,\n1,2,3,\n", {"a": ["1"], "column2": ["2"], "b": ["3"], "column4": [""]}),
    ],
)
def test_csv_in_its_dialects(tmp_path: Path, content: str, columns: dict[str, list[str]]) -> None:
    assert read_table(csv_file(tmp_path, content)).columns == columns
    assert read_table(csv_file(tmp_path, gzip.compress(content.encode()))).columns == columns


def test_csv_without_a_header_or_with_another_delimiter(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "1:2,5\n3:4\n")
    assert read_table(path, Dialect(delimiter=":", header=False)).columns == {
        "column1": ["1", "3"],
        "column2": ["2,5", "4"],
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty: it has no rows of data"),
        (b"\n\n", "is empty: it has no rows of data"),
        (b"\na,b\n", "no rows of data, only its header in line 2: a, b; add rows, or give --no-header"),
        (b"a,b\n1,2\n3\n", "line 3 of .* has 1 cell where the first line has 2, separated by ','; put cells"),
        (b"Our report\n\na,b\n1,2\n", "line 3 of .* has 2 cells where .* 1.*; take away what stands above the header"),
        (b"a,a\n1,2\n", "several columns named 'a'; rename them, or give --no-header"),
        (b"a\n\xff\xfe\n", "no text in UTF-8"),
        (b'a\nx\n"1\n', "line 3 of .* begins what is no row of CSV .unexpected end of data.; close its quotes"),
        (b"a\n" + b"1" * 200_000 + b"\n", "line 2 of .* begins what is no row of CSV .field larger than"),
        (b'[{"a": 1}]', "looks like JSON, which is not read here; write it as CSV"),
        (b"a,b\n1,\0\n", "it has zero bytes, as no text has"),
        (b" <!DOCTYPE html><p>404", "looks like a page of HTML or XML"),
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
    assert table.location(1) == f"line {line} of {tmp_path / 'data.csv'}"
    with pytest.raises(xpnet.DataError, match=f"^line {line} of .* has 3 cells where the first line has 2"):
        read_table(csv_file(tmp_path, content.replace("x", "x,y")))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize(
    ("content", "cells", "lines"),
    [
        ("a|1||2|", ["1", "", "2"], [2, 3, 4]),
        ("a||1|||2|||", ["", "1", "", "", "2"], [2, 3, 4, 5, 6]),
        ("||a|1||2", ["1", "", "2"], [4, 5, 6]),
        ('a|1|"2"||3||""||', ["1", "2", "", "3", "", ""], [2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_blank_line_is_a_missing_value_of_an_only_column(
    tmp_path: Path, end: str, content: str, cells: list[str], lines: list[int]
) -> None:
    """Before another row, whatever ends a line; at the end of the file it is nothing, and above the header neither."""
    table = read_table(csv_file(tmp_path, content.replace("|", end)))
    assert (table.columns, table.lines) == ({"a": cells}, lines)


def test_a_blank_line_is_a_missing_value_without_a_header_too(tmp_path: Path) -> None:
    table = read_table(csv_file(tmp_path, "\n1\n\n2\n\n"), Dialect(header=False))
    assert (table.columns, table.lines) == ({"column1": ["", "1", "", "2"]}, [1, 2, 3, 4])
    with pytest.raises(xpnet.DataError, match="no rows of data, only its header in line 1: a"):
        read_table(csv_file(tmp_path, "a\n\n\n"))


def test_lines_without_a_header(tmp_path: Path) -> None:
    table = read_table(csv_file(tmp_path, "\n1,2\n\n3,4\n"), Dialect(header=False))
    assert [table.location(row).split(" of ")[0] for row in (0, 1)] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ('"price, net";x\n1;2\n', ["price, net", "x"]),
        ("price, net;x\n1,5;2\n2,5;3\n", ["price, net", "x"]),
        ("a;b\n1,5;2,5\n", ["a", "b"]),
        ("a,b\nx;y,1\nz,2\n", ["a", "b"]),
        ('a;b\n"1;\n2";3\n', ["a", "b"]),
        ("text,b\na;b;c,1\n", ["text", "b"]),
    ],
)
def test_the_separator_is_what_all_lines_have_equally_many_of(tmp_path: Path, content: str, columns: list[str]) -> None:
    assert list(read_table(csv_file(tmp_path, content)).columns) == columns


@pytest.mark.parametrize(
    ("content", "notation", "row"),
    [
        ("1,5;2,5;3,5\n4,5;5,5;6,5\n", Notation(","), ["1,5", "2,5", "3,5"]),
        (",5;,25\n,7;,35\n", Notation(","), [",5", ",25"]),
        ("1,5\n2,5\n", Notation(","), ["1,5"]),
        ("7,5\t8\n9,5\t1\n", Notation(","), ["7,5", "8"]),
        ('"1,5","2,5"\n"3,5","4,5"\n', Notation(","), ["1,5", "2,5"]),
        ('1,2,"3,5"\n4,5,"6,5"\n', Notation(","), ["1", "2", "3,5"]),
        ("1,250,000;2,500,000\n3,250,000;4,500,000\n", Notation(".", ","), ["1,250,000", "2,500,000"]),
        ('7,"1,250.5"\n8,"2,500.5"\n', Notation(".", ","), ["7", "1,250.5"]),
    ],
)
def test_commas_in_numbers_are_no_separators(tmp_path: Path, content: str, notation: Notation, row: list[str]) -> None:
    """Without a header, and with nothing but numbers, there are as many of them in each line, or more."""
    table = read_table(csv_file(tmp_path, content), Dialect(header=False, notation=notation))
    assert [column[0] for column in table.columns.values()] == row


def test_a_comma_that_separates_is_found_by_the_header_or_given(tmp_path: Path) -> None:
    """Whole numbers and quoted ones in a file of commas, read with a decimal comma."""
    comma = Notation(",")
    path = csv_file(tmp_path, 'a,b,c\n1,2,"3,5"\n4,5,6\n')
    assert list(read_table(path, Dialect(notation=comma)).columns) == ["a", "b", "c"]
    path = csv_file(tmp_path, '1,2,6\n4,5,"3,5"\n')
    given = read_table(path, Dialect(delimiter=",", header=False, notation=comma))
    assert [column[1] for column in given.columns.values()] == ["4", "5", "3,5"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_a_file_tells(tmp_path: Path, encoding: str) -> None:
    content = "größe;ort\n1;Żary\n".encode(encoding)
    for packed in (content, gzip.compress(content)):
        assert read_table(csv_file(tmp_path, packed)).columns == {"größe": ["1"], "ort": ["Żary"]}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "utf-16-be"])
def test_encodings_that_have_to_be_given(tmp_path: Path, encoding: str) -> None:
    rows = "".join(f"{i};ö\n" for i in range(3000))  # beyond what is decoded at once
    path = csv_file(tmp_path, f"number;where\n{rows}".encode(encoding))
    with pytest.raises(xpnet.DataError, match="--encoding") as caught:
        read_table(path)
    assert encoding in ("latin-1", "cp1252") or "UTF-16" in str(caught.value)
    assert "utf-16" in encoding or "with --encoding cp1252" in str(caught.value)
    assert "utf-16" in encoding or "'0;ö'" in str(caught.value), "the line, as it should read"
    found = read_table(path, Dialect(encoding=encoding)).columns
    assert (found["where"][-1], len(found["number"])) == ("ö", 3000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_mark_is_no_part_of_the_first_name(tmp_path: Path, encoding: str) -> None:
    path = csv_file(tmp_path, "\ufeffa,b\n1,2\n".encode(encoding))
    assert list(read_table(path, Dialect(encoding=encoding)).columns) == ["a", "b"]


def test_a_wrong_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(xpnet.DataError, match=r"no text in cp1252 \(.*0x81.*\); give another --encoding"):
        read_table(csv_file(tmp_path, b"a\n\x81\n"), Dialect(encoding="cp1252"))
    with pytest.raises(xpnet.DataError, match="no text in ascii; with --encoding cp1252"):
        read_table(csv_file(tmp_path, "größe\n1\n".encode()), Dialect(encoding="ascii"))
    # Without its mark: from Python 3.13 on the error says where, and ours which encoding to give.
    with pytest.raises(xpnet.DataError, match=r"no text in utf-16.* --encoding"):
        read_table(csv_file(tmp_path, b"abc\n1\n2\n"), Dialect(encoding="utf-16"))


def test_a_column_that_is_not_there_for_want_of_a_separator(tmp_path: Path) -> None:
    table = read_table(csv_file(tmp_path, "a b\n1 2\n"))
    with pytest.raises(xpnet.DataError, match="no column 'kind'; it has: a b; give --delimiter if these are several"):
        table.column("kind")
