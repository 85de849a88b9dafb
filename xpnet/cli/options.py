"""Options that several commands share, and how their texts are read. A text that means nothing is a usage error."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import isfinite
from typing import Any, TypeAlias

from xpnet.cli.tables import Table, read_table
from xpnet.errors import DataError
from xpnet.idx import read_idx

__all__ = [
    "Commands",
    "add_backend",
    "add_command",
    "add_reading",
    "count",
    "names",
    "open_table",
    "part",
    "positive",
    "sizes",
    "whole",
]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What a command adds its parser to."""

LABELS = "label"
"""The column that the labels beside an IDX file become."""


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], summary: str, examples: str
) -> argparse.ArgumentParser:
    """Add a command with its examples, and return its parser."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add how a CSV file is to be read."""
    group = parser.add_argument_group("reading CSV")
    group.add_argument("--delimiter", type=character, metavar="C", help="what separates columns (default: found out)")
    group.add_argument("--no-header", action="store_true", help="the first line is data; columns are column1, column2")


def add_backend(parser: argparse._ActionsContainer) -> None:
    """Add where to compute."""
    parser.add_argument("--backend", default="numpy", help="array library, or 'auto' (default: %(default)s)")
    parser.add_argument("--device", type=device, help="in the library's terms, such as 0 or cuda:1 (default: its own)")


def open_table(path: str, options: argparse.Namespace, labels: str | None) -> tuple[Table, str | None]:
    """Return the data, and the target's column: *labels*, or for IDX the column that the file *labels* becomes."""
    table = read_table(path, delimiter=options.delimiter, header=not options.no_header)
    if not table.images or labels is None:
        return table, labels
    found = read_idx(labels)
    rows = len(table.columns["x"])
    if found.ndim != 1 or len(found) != rows:
        raise DataError(f"{labels} must hold one label for each of the {rows} rows of {path}; got {found.shape}")
    return Table(path, {**table.columns, LABELS: found}, images=True), LABELS


def character(text: str) -> str:
    """Read a delimiter; ``tab``, or a backslash and t, is a tab."""
    found = "\t" if text in ("\\t", "tab") else text
    if len(found) != 1 or found in '\r\n"':
        raise argparse.ArgumentTypeError(f"must be one character, or tab; got {text!r}")
    return found


def count(text: str) -> int:
    """Read an integer from 1 on."""
    return _integer(text, 1)


def whole(text: str) -> int:
    """Read an integer from 0 on."""
    return _integer(text, 0)


def positive(text: str) -> float:
    """Read a finite number above 0."""
    return _real(text, lambda value: value > 0, "a number above 0")


def share(text: str) -> float:
    """Read a number in [0, 1)."""
    return _real(text, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def part(text: str) -> float | int:
    """Read a part of the rows: a count, or a share with a point."""
    return share(text) if "." in text else whole(text)


def sizes(text: str) -> tuple[int, ...]:
    """Read integers from 1 on, with commas between; an empty text is none."""
    return tuple(count(size) for size in text.split(",")) if text else ()


def names(text: str) -> list[str]:
    """Read columns' names, with commas between."""
    return [name.strip() for name in text.split(",") if name.strip()]


def device(text: str) -> Any:
    """Read a device: a number, or a name."""
    return int(text) if text.isdecimal() else text


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be an integer of at least {least}; got {text!r}")
    return value


def _real(text: str, allowed: Callable[[float], bool], expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or not allowed(value):
        raise argparse.ArgumentTypeError(f"must be {expected}; got {text!r}")
    return value
