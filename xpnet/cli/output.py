"""What commands write: results on standard output, notes on standard error, files only where nothing is lost."""

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

__all__ = ["note", "open_output", "print_json", "refuse_overwriting", "reserved", "told_warnings", "write_csv"]


def note(text: str) -> None:
    """Say something beside the result."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def told_warnings() -> Iterator[None]:
    """Say warnings as notes, without the line of code that they come from."""
    shown = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, *place: note(str(message))
        try:
            yield
        finally:
            warnings.showwarning = shown  # left as it is by Python 3.14 without the GIL, where filters are a context's


def print_json(content: Mapping[str, Any], stream: IO[str] | None = None) -> None:
    """Print one JSON object in a line, with null for NaN and infinity, which JSON does not have."""
    print(json.dumps(_finite(content), ensure_ascii=False, allow_nan=False), file=stream or sys.stdout)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def refuse_overwriting(path: Path, force: bool, *read: str) -> None:
    """Raise DataError where *path* exists and is not to be replaced, cannot be written to, or is a file that is read.

    Parameters
    ----------
    path : Path
        The file to write.
    force : bool
        Whether it may be replaced, if it is no file that the command reads.
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
    """Whether two names, or links, are of one file; not where one is of none."""
    with suppress(AttributeError, OSError, ValueError):  # of a standard input that is none
        return samestat(path.stat(), os.stat(sys.stdin.fileno() if source == "-" else source))
    return False


@contextmanager
def reserved(path: Path, force: bool) -> Iterator[Path]:
    """Give the place to write to: *path*, or with *force* off and a file there by now, a free name beside it.

    The name is taken in one step with the look whether it is free, so nothing is written over that has come meanwhile.

    Raises
    ------
    DataError
        After the block: it has written beside *path*, and where.
    """
    if force:
        yield path
        return
    place = _taken_name(path)
    try:
        yield place
    finally:
        with suppress(OSError):
            if not place.stat().st_size:  # nothing has come of it
                place.unlink()
    if place != path:
        raise DataError(f"{path} has come into being meanwhile and is left as it is; written to {place} instead")


def _taken_name(path: Path) -> Path:
    """Return a name that was free, *path* where that was, with an empty file there now."""
    names = chain([path], (path.with_name(f"{path.stem}-{i}{path.suffix}") for i in count(1)))
    while True:
        place = next(names)
        try:
            place.open("xb").close()
            return place
        except FileExistsError:
            continue
        except OSError as error:
            raise DataError(f"cannot write {place}: {error.strerror}") from error


@contextmanager
def open_output(path: Path | None, force: bool) -> Iterator[IO[str]]:
    """Give standard output, or for a *path* a file that is there as a whole or not at all; see :func:`reserved`."""
    if path is None:
        yield sys.stdout
        return
    content = io.StringIO(newline="")
    yield content
    with reserved(path, force) as place:
        replace_file(place, [content.getvalue().encode()], DataError)


def write_csv(stream: IO[str], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV with a line feed after each row."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
