"""The output of commands: results on standard output, notes on standard error, and files that overwrite nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, count
from math import isfinite
from os.path import samestat
from pathlib import Path
from typing import IO, Any

from xpnet.atomic_write import replace_file
from xpnet.errors import DataError

__all__ = [
    "note",
    "open_output",
    "print_json",
    "refuse_overwriting",
    "reserve_output",
    "warnings_as_notes",
    "write_csv",
]


def note(text: str) -> None:
    """Print a note on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print warnings as notes, without the line of code that they come from."""
    shown = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, *_: note(str(message))
        try:
            yield
        finally:
            warnings.showwarning = shown  # left as it is by Python 3.14 without the GIL, where filters are a context's


def print_json(content: Mapping[str, Any], stream: IO[str] | None = None) -> None:
    """Print a JSON object on one line, with null for NaN and infinity, which JSON does not have."""
    print(json.dumps(_finite(content), ensure_ascii=False, allow_nan=False), file=stream or sys.stdout)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def refuse_overwriting(path: Path, force: bool, *read: str) -> None:
    """Raise DataError if *path* exists and may not be replaced, cannot be written, or is a file that is read.

    Parameters
    ----------
    path : Path
        The file to write.
    force : bool
        Whether an existing file may be replaced, unless the command reads it.
    *read : str
        The files that the command reads; ``-`` is standard input.
    """
    for source in read:
        if _same_file(path, source):
            what = "standard input" if source == "-" else source
            raise DataError(f"cannot write {path}: it is {what}, which is read; name another file")
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise DataError(f"there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"cannot write {path}: you may not write in the folder {path.parent}; name another")
    if path.exists() and not force:
        raise DataError(f"{path} exists; give --force to replace it, or another name")


def _same_file(path: Path, source: str) -> bool:
    """Say whether two names, or links, are of the same existing file."""
    with suppress(AttributeError, OSError, ValueError):  # standard input may not be a file
        return samestat(path.stat(), os.stat(sys.stdin.fileno() if source == "-" else source))
    return False


@contextmanager
def reserve_output(path: Path, force: bool) -> Iterator[Path]:
    """Yield the path to write to: *path*, or a free name beside it if a file has appeared there and *force* is off.

    Creating the file also tests whether its name is free, so a file that has appeared meanwhile is not overwritten.

    Raises
    ------
    DataError
        After the block, if something else than *path* was written; the message says what.
    """
    if force:
        yield path
        return
    free = _claim_name(path)
    try:
        yield free
    finally:
        with suppress(OSError):
            if not free.stat().st_size:  # nothing was written
                free.unlink()
    if free != path:
        raise DataError(f"{path} has come into being meanwhile and is left as it is; written to {free} instead")


def _claim_name(path: Path) -> Path:
    """Create an empty file at *path*, or else at the next free name beside it, and return its path."""
    names = chain([path], (path.with_name(f"{path.stem}-{i}{path.suffix}") for i in count(1)))
    while True:
        free = next(names)
        try:
            free.open("xb").close()
            return free
        except FileExistsError:
            continue
        except OSError as error:
            raise DataError(f"cannot write {free}: {error.strerror}") from error


@contextmanager
def open_output(path: Path | None, force: bool) -> Iterator[IO[str]]:
    """Yield standard output, or a buffer that becomes the file at *path* at the end; see :func:`reserve_output`."""
    if path is None:
        yield sys.stdout
        return
    content = io.StringIO(newline="")
    yield content
    with reserve_output(path, force) as free:
        replace_file(free, [content.getvalue().encode()], DataError)


def write_csv(stream: IO[str], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV with a line feed after each row."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
