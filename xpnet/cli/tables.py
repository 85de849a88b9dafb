"""Data files as named columns: CSV, Parquet, NPZ and IDX, told apart by their first bytes.

A column stays what the file holds, text or an array, until somebody asks for its numbers or its texts. No format
that can carry code is read.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, TypeAlias

import numpy as np

from xpnet.errors import DataError
from xpnet.extras import as_installed
from xpnet.idx import DTYPES, GZIP_MAGIC, read_idx

__all__ = ["EXACT", "Column", "Table", "is_missing", "listed", "numbers", "read_table", "texts"]

Array: TypeAlias = np.ndarray[Any, Any]
Column: TypeAlias = "list[str | None] | Array"
"""Texts, with None for a missing one, or an array (rows, ...)."""

MISSING = frozenset(["", "?", "na", "n/a", "nan", "null", "none"])
"""What stands for a missing value in text, in whatever case."""

DELIMITERS = ",;\t|"
"""What may separate the columns of a CSV file; the one that its first line has most of does."""

PARQUET_MAGIC, ZIP_MAGICS = b"PAR1", (b"PK\x03\x04", b"PK\x05\x06")
EXACT = 2**53
"""From here on float64 does not tell whole numbers apart."""

SHOWN = 8
"""Names that an error lists at most."""


@dataclass(frozen=True)
class Table:
    """Columns by name.

    Attributes
    ----------
    source : str
        Where they come from, for errors.
    columns : mapping
        Of equal length, but for those of an NPZ file, which may hold several sets.
    lines : sequence of int
        The line of the file, from 1, on which each row begins, for errors; empty where a file has no lines.
    images : bool
        Whether the source is a single array without names, whose labels are in another file (IDX).
    """

    source: str
    columns: Mapping[str, Column]
    lines: Sequence[int] = ()
    images: bool = False

    def column(self, name: str) -> Column:
        """Return a column, or raise DataError with the names that there are."""
        if name not in self.columns:
            raise DataError(f"{self.source} has no column {name!r}; it has: {listed(self.columns)}")
        return self.columns[name]

    def without(self, name: str | None) -> Table:
        """Return the table without a column, if it has that one."""
        return replace(self, columns={other: column for other, column in self.columns.items() if other != name})

    def place(self, row: int) -> str:
        """Return where a row is, for errors."""
        return f"line {self.lines[row]} of {self.source}" if self.lines else f"row {row} of {self.source}"


def listed(names: Iterable[str]) -> str:
    """Return the first names in a line, in quotes where a comma would make two of one.

    >>> print(listed(["a", "b", "c, d"]))
    a, b, 'c, d'
    """
    known = list(names)
    more = f", ... ({len(known)} in all)" if len(known) > SHOWN else ""
    return ", ".join(repr(name) if ", " in name else name for name in known[:SHOWN]) + more


def read_table(path: str, *, delimiter: str | None = None, header: bool = True) -> Table:
    """Read a file of data; ``-`` is CSV from standard input.

    Parameters
    ----------
    path : str
        CSV (also compressed by gzip), Parquet (needs pyarrow), NPZ or IDX.
    delimiter : str, optional
        What separates the columns of a CSV file. Default: the one of ``,``, ``;``, tab and ``|`` that the first
        line has most of.
    header : bool
        Whether a CSV file's first line has the columns' names; without it they are ``column1``, ``column2``, ...

    Raises
    ------
    DataError
        The file is missing, damaged, empty, or of no known kind.
    DatasetError
        It is a damaged IDX file.
    """
    if path == "-":
        with _reading("standard input"):
            sys.stdin.reconfigure(encoding="utf-8-sig", newline="")  # type: ignore[union-attr]
            return _read_csv(sys.stdin, "standard input", delimiter, header)
    with _reading(path), open(path, "rb") as file:
        start = file.read(4)
        packed = start[:2] == GZIP_MAGIC
        if packed:
            file.seek(0)
            start = gzip.GzipFile(fileobj=file).read(4)
        if start[:2] == b"\0\0" and start[2:3] and start[2] in DTYPES:
            return Table(path, {"x": read_idx(path)}, images=True)
        file.seek(0)
        if start == PARQUET_MAGIC:
            return _read_parquet(path)
        if start in ZIP_MAGICS:
            return _read_npz(path, file)
        stream: Any = gzip.GzipFile(fileobj=file) if packed else file
        with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            return _read_csv(text, path, delimiter, header)


@contextmanager
def _reading(source: str) -> Iterator[None]:
    """Turn what a file's reader raises into one error that names the file."""
    import zipfile
    import zlib

    try:
        yield
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"{source} is no text in UTF-8 ({error.reason} at byte {error.start}); convert it") from error
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}") from error
    except (ValueError, EOFError, csv.Error, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{source} is damaged, or of no kind that is read here: {error}") from error


def _read_csv(stream: IO[str], source: str, delimiter: str | None, header: bool) -> Table:
    first = stream.readline()
    separator = delimiter or max(DELIMITERS, key=first.count)
    reader = csv.reader(_again(first, stream), delimiter=separator, strict=True)
    names: list[str] = []
    columns: list[list[str | None]] = []
    lines: list[int] = []
    end = 0
    for cells in reader:
        begin, end = end + 1, reader.line_num
        if not cells:
            continue
        if not columns:
            names = [cell.strip() for cell in cells] if header else [f"column{i + 1}" for i in range(len(cells))]
            columns = [[] for _ in names]
            if header:
                continue
        if len(cells) != len(names):
            raise DataError(f"line {begin} of {source} has {len(cells)} cells where the first line has {len(names)}")
        lines.append(begin)
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell)
    if not columns or not columns[0]:
        raise DataError(f"{source} has no rows of data")
    doubled = next((name for name in names if name and names.count(name) > 1), None)
    if doubled is not None:
        raise DataError(f"{source} has several columns named {doubled!r}; rename them (without a header: --no-header)")
    # A column without a name is the running number that data frames write.
    return Table(source, {name: c for name, c in zip(names, columns, strict=True) if name}, lines)


def _again(first: str, stream: IO[str]) -> Iterator[str]:
    if first:
        yield first
    yield from stream


def _read_parquet(path: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        command = as_installed("pip install 'xpnet[parquet]'")
        raise DataError(f"{path} is a Parquet file; to read it run: {command}") from None
    table = pq.read_table(path)
    columns: dict[str, Column] = {}
    for name, values in zip(table.column_names, table.columns, strict=True):
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            floats = values.cast(kind).cast(pa.float64(), safe=False).to_numpy()
            exact = pa.types.is_floating(kind) or not (np.abs(floats) >= EXACT).any()
            columns[name] = floats if exact else _as_texts(values)
        elif pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            columns[name] = _as_texts(values)
        elif name != "__index_level_0__":
            raise DataError(f"column {name!r} of {path} holds {kind}, neither numbers nor text; convert or remove it")
    if not columns or not table.num_rows:
        raise DataError(f"{path} has no rows of data")
    return Table(path, columns)


def _as_texts(values: Any) -> list[str | None]:
    return [None if value is None else str(value) for value in values.to_pylist()]


def _read_npz(path: str, file: IO[bytes]) -> Table:
    with np.load(file, allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    for name, array in columns.items():
        if array.dtype.kind not in "biufU" or not array.ndim or (array.dtype.kind == "U" and array.ndim > 1):
            raise DataError(f"the array {name!r} of {path} must hold rows of numbers or text; got {array!r:.60}")
    if not columns:
        raise DataError(f"{path} holds no arrays")
    return Table(path, {name: array.tolist() if array.dtype.kind == "U" else array for name, array in columns.items()})


def is_missing(text: str | None) -> bool:
    """Say whether a cell stands for nothing.

    >>> is_missing(" NA "), is_missing("0")
    (True, False)
    """
    return text is None or text.strip().lower() in MISSING


def numbers(column: Column) -> Array | None:
    """Return a column as float64, NaN where a value is missing; None if it holds other texts.

    >>> numbers(["1.5", "NA"])
    array([1.5, nan])
    """
    if isinstance(column, np.ndarray):
        return column.astype(np.float64)
    if any("_" in cell for cell in column if cell):  # Python reads 1_000 as a number, no other program does
        return None
    try:
        return np.asarray([np.nan if is_missing(cell) else float(cell) for cell in column])  # type: ignore[arg-type]
    except ValueError:
        return None


def texts(column: Column) -> list[str | None]:
    """Return a column as texts, None where a value is missing; whole numbers are written without a point.

    >>> texts(np.asarray([1.0, np.nan, 2.5])), texts([" red", "?"])
    (['1', None, '2.5'], ['red', None])
    """
    if isinstance(column, np.ndarray):
        return [None if value != value else _text(value) for value in column.tolist()]
    return [None if is_missing(cell) else cell.strip() for cell in column]  # type: ignore[union-attr]


def _text(value: float) -> str:
    """Write a whole number exactly, another one to 15 digits, in which the noise of binary fractions does not show."""
    if not isinstance(value, float):
        return str(value)
    return str(int(value)) if value.is_integer() else f"{value:.15g}"
