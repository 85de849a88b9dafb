"""What commands write: results on standard output, notes on standard error, files only where nothing is lost."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import IO, Any

from xpnet.durable import replace_file
from xpnet.errors import DataError

__all__ = ["note", "open_output", "print_json", "refuse_overwriting", "write_csv"]


def note(text: str) -> None:
    """Say something beside the result."""
    print(text, file=sys.stderr, flush=True)


def print_json(content: Mapping[str, Any], stream: IO[str] | None = None) -> None:
    """Print one JSON object in a line, with null for NaN and infinity, which JSON does not have."""
    print(json.dumps(_finite(content), ensure_ascii=False, allow_nan=False), file=stream or sys.stdout)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def refuse_overwriting(path: Path, force: bool) -> None:
    """Raise DataError where *path* exists and is not to be replaced, or cannot be written to."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise DataError(f"there is no folder {path.parent}; make it first")
    if path.exists() and not force:
        raise DataError(f"{path} exists; give --force to replace it, or another --out")


@contextmanager
def open_output(path: Path | None, force: bool) -> Iterator[IO[str]]:
    """Give standard output, or for a *path* a file that is there as a whole or not at all."""
    if path is None:
        yield sys.stdout
        return
    refuse_overwriting(path, force)
    content = io.StringIO(newline="")
    yield content
    replace_file(path, [content.getvalue().encode()], DataError)


def write_csv(stream: IO[str], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV with a line feed after each row."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
