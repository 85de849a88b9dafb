"""Options that several commands share, and the table that the reading options describe."""

from __future__ import annotations

import argparse
from dataclasses import replace

from xpnet.cli.cells import DECIMALS, PLAIN, THOUSANDS, Notation, numbers
from xpnet.cli.csv_files import Dialect
from xpnet.cli.files import read_labels, read_table
from xpnet.cli.option_types import (
    character,
    device,
    encoding,
    missing_words,
    names,
    spell_separator,
    thousands,
    threshold,
)
from xpnet.cli.output import note
from xpnet.cli.parser import UsageError
from xpnet.cli.tables import Table, listed

__all__ = ["SAVING", "add_backend", "add_reading", "add_threshold", "add_unknown", "open_table"]

LABELS = "label"
"""The column that the labels beside an array without names become."""

SAVING = 12
"""Seconds from one saving of a training's state to the next."""


def add_reading(parser: argparse.ArgumentParser, kept: str = "") -> None:
    """Add how a CSV file is to be read; *kept* says what stands in for the options about numbers."""
    group = parser.add_argument_group("reading CSV")
    group.add_argument("--delimiter", type=character, metavar="C", help="what separates columns (default: found out)")
    group.add_argument("--no-header", action="store_true", help="the first line is data; columns are column1, column2")
    group.add_argument("--encoding", type=encoding, metavar="NAME", help="such as cp1252 (default: UTF-8, or UTF-16)")
    group.add_argument(
        "--decimal", choices=DECIMALS, metavar="C", help=f"what numbers have before fractions (default: {kept or '.'})"
    )
    group.add_argument(
        "--thousands", type=thousands, metavar="C",
        help=f"thousands separator: {' or '.join(map(spell_separator, THOUSANDS))} (default: {kept or 'none'})",
    )  # fmt: skip
    group.add_argument(
        "--missing", type=names, metavar="TEXT,TEXT",
        help=f"what stands for a missing value beside NA, ? and the like (default: {kept or 'nothing'})",
    )  # fmt: skip
    group.add_argument(
        "--keep", dest="kept", type=missing_words, metavar="TEXT,TEXT",
        help="what is a text and no missing value, such as none or NA, but for columns of numbers "
        f"(default: {kept or 'nothing'})",
    )  # fmt: skip
    group.add_argument(
        "--units", type=names, metavar="TEXT,TEXT",
        help=f"what stands before or after numbers and is passed over, such as $ or kg (default: {kept or 'nothing'})",
    )  # fmt: skip


def add_backend(parser: argparse._ActionsContainer) -> None:
    """Add where to compute."""
    parser.add_argument(
        "--backend", default="numpy", metavar="NAME", help="array library, or 'auto' (default: %(default)s)"
    )
    parser.add_argument("--device", type=device, help="in the library's terms, such as 0 or cuda:1 (default: its own)")


def add_unknown(parser: argparse.ArgumentParser) -> None:
    """Add what becomes of a category that training never saw."""
    parser.add_argument(
        "--unknown", choices=["error", "missing"], default="error", metavar="WHAT",
        help="what a category is that training never saw: error, or a missing value (default: %(default)s)",
    )  # fmt: skip


def add_threshold(parser: argparse.ArgumentParser) -> None:
    """Add the probability from which on one of two classes is predicted."""
    parser.add_argument(
        "--threshold", type=threshold, metavar="CLASS=P",
        help="of two classes: predict this one where its probability is at least P (default: the likelier one)",
    )  # fmt: skip


def open_table(
    path: str, options: argparse.Namespace, labels: str | None, notation: Notation = PLAIN
) -> tuple[Table, str | None]:
    """Return the data, and the target's column: *labels*, or the column that the file *labels* becomes.

    Numbers are read in the *notation*, as far as the options do not say otherwise.

    Raises
    ------
    UsageError
        Options say that one character stands before fractions and between thousands, or that one text is a missing
        value and none.
    DataError
        A file cannot be read.
    """
    given = {part: getattr(options, part) for part in ("decimal", "thousands", "missing", "units", "kept")}
    notation = replace(notation, **{part: value for part, value in given.items() if value is not None})
    if notation.decimal == notation.thousands:
        raise UsageError(f"numbers cannot have {notation.decimal!r} both before fractions and between thousands")
    doubtful = [text for text in notation.missing if notation.is_kept(text)]
    if doubtful:
        raise UsageError(f"{doubtful[0]!r} cannot be both a missing value (--missing) and a text (--keep)")
    table = read_table(path, Dialect(options.delimiter, not options.no_header, options.encoding, notation))
    if table.lines and not options.no_header:
        numerals = [name for name in table.columns if numbers([name]) is not None]
        if len(numerals) * 2 >= len(table.columns):
            note(f"{path} has numbers for names of columns ({listed(numerals)}); give --no-header if they are data")
    if not table.bare or labels is None:
        return table, None if table.bare else labels
    found = read_labels(labels, len(table.columns["x"]), path)
    return replace(table, columns={**table.columns, LABELS: found}), LABELS
