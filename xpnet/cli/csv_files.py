"""Read CSV files: in any encoding, with a separator that is detected, with or without a header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from gzip import GzipFile
from itertools import chain, islice
from typing import IO, Any, TypeAlias

from xpnet.cli.cells import PLAIN, Column, Notation
from xpnet.cli.tables import Table, listed, plural
from xpnet.errors import DataError
from xpnet.records import record

__all__ = ["Dialect", "read_csv"]

Row: TypeAlias = tuple[int, list[str]]
"""The line on which a row begins, and its cells; none for a blank line."""

DELIMITERS = "\t;|,"
"""What may separate columns; the comma last, since texts and numbers have commas too."""

LOOKED_AT = 20
"""Lines from which the separator is found out."""

DOUBLED_END = "\r\r\n"
"""What ends a line where a program wrote carriage returns for a system that adds its own; it reads as two lines."""

BYTE_ORDER_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}

NAMELESS = "it is the first and has no name, as the row numbers that data frames write; name it to have it taken"
"""Why a column is left out."""

WESTERN = "cp1252"
"""The encoding that a text in another one than Unicode most likely has."""

QUOTED = re.compile(r'"[^"]*(?:"|\Z)')
BETWEEN_DIGITS = re.compile(r"(?<=\d),(?=\d)")

OTHERS = {
    r"\s*(\{|\[\s*[\[{])": "JSON",
    r"\s*<(!doctype|html|\?xml)": "a page of HTML or XML",
}
"""What a text may be that is no CSV, by how it begins."""


@record
class Dialect:
    """How a CSV file is written.

    Attributes
    ----------
    delimiter : str, optional
        What separates columns. Default: the one of tab, ``;``, ``|`` and ``,`` that the first lines have equally many
        of, and most; the comma after the others where numbers have commas, and none that stands before fractions.
    header : bool
        Whether the first line has the columns' names; without it they are ``column1``, ``column2``, ...
    encoding : str, optional
        Default: UTF-8, or UTF-16 where the file begins with its mark.
    notation : Notation
        How numbers are written.
    """

    delimiter: str | None = None
    header: bool = True
    encoding: str | None = None
    notation: Notation = PLAIN


def read_csv(file: io.BufferedReader | GzipFile, source: str, dialect: Dialect) -> Table:
    """Read a table, each column a list of texts.

    Raises
    ------
    DataError
        It is not in the encoding, has no rows, or rows or names that do not fit together.
    """
    encoding = dialect.encoding or _encoding(file.peek(4)[:4])
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    try:
        return replace(_read(text, source, dialect), notation=dialect.notation)
    except UnicodeError as error:
        name = "UTF-8" if dialect.encoding is None and encoding == "utf-8-sig" else encoding
        raise DataError(f"{source} is no text in {name}{_decoding_remedy(error, encoding)}") from error
    finally:
        text.detach()  # else standard input would be closed with it


def _encoding(start: bytes) -> str:
    return next((name for mark, name in BYTE_ORDER_MARKS.items() if start.startswith(mark)), "utf-8-sig")


def _decoding_remedy(error: UnicodeError, encoding: str) -> str:
    """Say, for a text that cannot be decoded, what the wrong line looks like and what to do."""
    if not isinstance(error, UnicodeDecodeError) or encoding.lower() == WESTERN:
        return f" ({error}); give another --encoding"
    before, after = error.object[: error.start], error.object[error.start :]
    line = before[before.rfind(b"\n") + 1 :] + after.split(b"\n")[0]
    if b"\0" in line:
        return f": {_zero_bytes_remedy(line.count(0), len(line))}"
    text = line.decode(WESTERN, "replace").strip()
    return f"; with --encoding {WESTERN}, that of Windows and Excel in the West, it says {text!r:.60}; or convert it"


def _zero_bytes_remedy(count: int, size: int) -> str:
    """Say what to do about zero bytes in a text: in UTF-16 every other byte of Latin letters is zero."""
    if count * 3 < size:
        return "it has zero bytes, as no text has"
    return "it has zero bytes, as UTF-16 does; give --encoding utf-16-le or utf-16-be"


def _read(stream: IO[str], source: str, dialect: Dialect) -> Table:
    first = list(islice(stream, LOOKED_AT))
    first[:1] = [line.removeprefix("\ufeff") for line in first[:1]]  # left there where the encoding was given
    _require_text(first, source)
    separator = dialect.delimiter or _separator(first, dialect.notation)
    content: Iterable[str] = chain(first, stream)
    if DOUBLED_END in "".join(first):
        content = (line for line in content if line != "\r\n")
    rows = _rows_with_lines(csv.reader(content, delimiter=separator, strict=True), source)
    blank: list[Row] = []
    for line, names in rows:
        if names:
            break
        blank.append((line, names))
    else:
        raise DataError(f"{source} is empty: it has no rows of data")
    if not dialect.header:
        rows = chain(blank, [(line, names)], rows)
        names = [f"column{i + 1}" for i in range(len(names))]
    columns: list[list[str | None]] = [[] for _ in names]
    lines = []
    for begin, cells in _table_rows(rows, len(names)):
        if len(cells) != len(names):
            raise DataError(_uneven(f"line {begin} of {source}", cells, names, separator))
        lines.append(begin)
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell)
    if not lines:
        raise DataError(
            f"{source} has no rows of data, only its header in line {line}: {listed(names)}; "
            "add rows, or give --no-header if this line is data"
        )
    named = _columns_by_name(names, columns, source)
    return Table(source, named, lines, left_out={} if len(named) == len(names) else {"": NAMELESS})


def _require_text(lines: list[str], source: str) -> None:
    start = "".join(lines)[:1000]
    if "\0" in start:
        raise DataError(f"{source} cannot be read: {_zero_bytes_remedy(start.count(chr(0)), len(start))}")
    for pattern, kind in OTHERS.items():
        if re.match(pattern, start, re.IGNORECASE):
            raise DataError(f"{source} looks like {kind}, which is not read here; write it as CSV")


def _separator(lines: Iterable[str], notation: Notation) -> str:
    """Return the separator that occurs equally often in all lines, and most; else the commonest in the first line.

    If numbers are written with commas, these may be as frequent as the separators.
    """
    text = QUOTED.sub("", "".join(lines))
    if notation.decimal == ",":
        text = BETWEEN_DIGITS.sub("", text)
    plain = [line for line in text.splitlines() if line.strip()]
    counts = {mark: [line.count(mark) for line in plain] for mark in DELIMITERS}
    even = {mark: found for mark, found in counts.items() if found and found[0] and len(set(found)) == 1}
    if len(even) > 1 and "," in (notation.decimal, notation.thousands):
        even.pop(",", None)
    return max(even or counts, key=lambda mark: (counts[mark][0], sum(counts[mark]))) if plain else ","


def _rows_with_lines(reader: Any, source: str) -> Iterator[Row]:
    """Yield the rows of a CSV reader with the line on which each begins; a blank line has no cells."""
    end = 0
    try:
        for cells in reader:
            begin, end = end + 1, reader.line_num
            yield begin, cells
    except csv.Error as error:
        raise DataError(
            f"line {end + 1} of {source} begins what is no row of CSV ({error}); close its quotes, or give --delimiter"
        ) from error


def _table_rows(rows: Iterable[Row], width: int) -> Iterator[Row]:
    """Yield the rows of a table without blank lines; in a single column, a blank line is a missing value."""
    blank: list[int] = []
    for begin, cells in rows:
        if not cells:
            blank.append(begin)
            continue
        if width == 1:
            yield from ((line, [""]) for line in blank)
        blank.clear()
        yield begin, cells


def _uneven(where: str, cells: list[str], names: list[str], separator: str) -> str:
    remedy = "put cells that hold the separator in quotes, or give --delimiter"
    if len(names) == 1:
        remedy = "take away what stands above the header, or give --delimiter"
    return (
        f"{where} has {plural(len(cells), 'cell')} where the first line has {len(names)}, separated by {separator!r}; "
        f"{remedy}"
    )


def _columns_by_name(names: list[str], columns: list[list[str | None]], source: str) -> dict[str, Column]:
    """Return columns by name; a first column without a name, as data frames write their index, is left out."""
    titles = [name.strip() or (f"column{i + 1}" if i else "") for i, name in enumerate(names)]
    doubled = next((title for title in titles if titles.count(title) > 1), None)
    if doubled is not None:
        raise DataError(
            f"{source} has several columns named {doubled!r}; rename them, or give --no-header if line 1 is data"
        )
    return {title: column for title, column in zip(titles, columns, strict=True) if title}
