"""Data files as tables: CSV, Parquet, NPZ, NPY and IDX, told apart by their first bytes.

No format that can carry code is read.
"""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any

import numpy as np

from xpnet.arrays import Host
from xpnet.cli.cells import EXACT, Column
from xpnet.cli.csv_files import Dialect, read_csv
from xpnet.cli.tables import Table, listed
from xpnet.errors import DataError
from xpnet.extras import install_command
from xpnet.idx import DTYPES, GZIP_MAGIC, read_idx

__all__ = ["read_labels", "read_table"]

PARQUET_MAGIC, NPY_MAGIC = b"PAR1", b"\x93NUM"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")

OTHERS = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save it as CSV",
    b"\x89HDF": "an HDF5 file; write its arrays as NPZ",
    b"ARRO": "an Arrow file; write it as Parquet",
    b"SQLi": "an SQLite database; export a table as CSV",
    b"%PDF": "a PDF; get its table as CSV",
    **{bytes([0x80, version]): "a pickle, which could run code; write CSV, Parquet or NPZ" for version in range(2, 6)},
}
"""What a file may be that is not read, by its first bytes."""


def read_table(path: str, dialect: Dialect | None = None) -> Table:
    """Read a file of data; ``-`` is CSV from standard input.

    Parameters
    ----------
    path : str
        CSV (also compressed by gzip), Parquet (needs pyarrow), NPZ, NPY or IDX.
    dialect : Dialect, optional
        How a CSV file is written, and texts anywhere write numbers.

    Raises
    ------
    DataError
        The file is missing, damaged, empty, or of no known kind.
    DatasetError
        It is a damaged IDX file.
    """
    dialect = dialect or Dialect()
    if path == "-":
        with _reading("standard input"):
            return _read_stream(sys.stdin.buffer, dialect)  # type: ignore[arg-type]
    with _reading(path), open(path, "rb") as file:
        return replace(_read(path, file, dialect), notation=dialect.notation)


def read_labels(path: str, rows: int, source: str) -> Column:
    """Return the labels beside an array without names: IDX or NPY, one for each of the *rows* of *source*.

    Raises
    ------
    DataError
        It is a file of another kind, or of another length.
    """
    table = read_table(path)
    if not table.bare:
        raise DataError(f"{path} must be IDX or NPY with one label for each row of {source}")
    found = table.columns["x"]
    if np.shape(found) != (rows,):  # type: ignore[arg-type]
        raise DataError(f"{path} must hold one label for each of the {rows} rows of {source}; got {np.shape(found)}")  # type: ignore[arg-type]
    return found


def _read_stream(stream: io.BufferedReader, dialect: Dialect) -> Table:
    start = stream.peek(4)[:4]
    if start in (PARQUET_MAGIC, NPY_MAGIC, *ZIP_MAGICS):
        raise DataError("standard input must be CSV; a file of another kind is to be given by its name")
    packed = start[:2] == GZIP_MAGIC
    return read_csv(gzip.GzipFile(fileobj=stream) if packed else stream, "standard input", dialect)


def _read(path: str, file: io.BufferedReader, dialect: Dialect) -> Table:
    start = file.read(4)
    packed = start[:2] == GZIP_MAGIC
    if packed:
        file.seek(0)
        start = gzip.GzipFile(fileobj=file).read(4)
    if start[:2] == b"\0\0" and start[2:3] and start[2] in DTYPES:
        return Table(path, {"x": read_idx(path)}, bare=True)
    file.seek(0)
    if start == PARQUET_MAGIC:
        return _read_parquet(path)
    if start in ZIP_MAGICS:
        return _read_npz(path, file)
    if start == NPY_MAGIC:
        # Mapped first: a file that is shorter than its header says is an error, and nothing is allocated for it.
        with _refusing_objects("the array", path):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        return Table(path, {"x": _as_column(array, "the array", path)}, bare=True)
    kind = next((kind for magic, kind in OTHERS.items() if start.startswith(magic)), None)
    if kind is not None:
        raise DataError(f"{path} is {kind}")
    return read_csv(gzip.GzipFile(fileobj=file) if packed else file, path, dialect)


@contextmanager
def _reading(source: str) -> Iterator[None]:
    """Turn whatever reading a file raises into one error that names the file."""
    import tokenize
    import zipfile
    import zlib

    try:
        yield
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}") from error
    except (ValueError, EOFError, tokenize.TokenError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{source} is damaged, or of no kind that is read here: {error}") from error


def _read_parquet(path: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        command = install_command("pip install 'xpnet[parquet]'")
        raise DataError(f"{path} is a Parquet file; to read it run: {command}") from None
    table = pq.read_table(path)
    columns: dict[str, Column] = {}
    left_out = {}
    for name, values in zip(table.column_names, table.columns, strict=True):
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            floats = values.cast(kind).cast(pa.float64(), safe=False).to_numpy()
            exact = pa.types.is_floating(kind) or not (np.abs(floats) >= EXACT).any()
            columns[name] = floats if exact else _as_texts(values)
        elif pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            columns[name] = _as_texts(values)
        else:
            left_out[name] = f"it holds {kind}, neither numbers nor text; convert it to have it taken"
    if not table.num_rows:
        raise DataError(f"{path} has no rows of data")
    return Table(path, columns, left_out=left_out)


def _as_texts(values: Any) -> list[str | None]:
    return [None if value is None else str(value) for value in values.to_pylist()]


def _read_npz(path: str, file: IO[bytes]) -> Table:
    import zipfile

    members = zipfile.ZipFile(file).namelist()
    if "[Content_Types].xml" in members:
        raise DataError(f"{path} is an Excel workbook or another office file; save its table as CSV")
    strange = [name for name in members if not name.endswith(".npy")]
    if strange:
        raise DataError(f"{path} is a zip archive, but not of arrays: it holds {listed(strange)}; unpack it first")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        columns: dict[str, Column] = {}
        for name in arrays.files:
            what = f"the array {name!r}"
            with _refusing_objects(what, path):
                array = arrays[name]
            columns[name] = _as_column(array, what, path)
    if not columns:
        raise DataError(f"{path} holds no arrays")
    return Table(path, columns)


@contextmanager
def _refusing_objects(what: str, path: str) -> Iterator[None]:
    """Explain an array of Python objects, for which NumPy's reader raises ValueError."""
    try:
        yield
    except ValueError as error:
        if "object" not in str(error).lower():
            raise
        raise DataError(
            f"{what} of {path} holds Python objects, which are not read, as they could run code; store numbers or "
            "text, made such as by array.astype(float) or array.astype(str)"
        ) from error


def _as_column(array: Host, what: str, path: str) -> Column:
    if array.dtype.kind not in "biufU" or not array.ndim or (array.dtype.kind == "U" and array.ndim > 1):
        raise DataError(
            f"{what} of {path} must hold rows of real numbers or of text; got dtype {array.dtype}, shape {array.shape}"
        )
    return array.tolist() if array.dtype.kind == "U" else np.array(array)
