"""Tables: named columns, kept as in the file until their numbers or texts are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace

import numpy as np

from xpnet.arrays import Host
from xpnet.cli.cells import PLAIN, Column, Notation, numbers, texts
from xpnet.errors import DataError, nearest
from xpnet.records import record

__all__ = ["SHOWN", "Table", "listed", "plural", "shown"]

SHOWN = 8
"""The most names that are listed in a line."""


@record
class Table:
    """Columns by name.

    Attributes
    ----------
    source : str
        Where they come from, for error messages.
    columns : mapping
        Of equal length, but for those of an NPZ file, which may hold several sets.
    lines : sequence of int
        The line of the file, from 1, on which each row begins, for errors; empty where a file has no lines.
    bare : bool
        Whether the source is a single array without names, whose labels are in another file (IDX, NPY).
    notation : Notation
        How its texts write numbers.
    left_out : mapping
        Columns of the file that are not here, by name, with the reason.
    """

    source: str
    columns: Mapping[str, Column]
    lines: Sequence[int] = ()
    bare: bool = False
    notation: Notation = PLAIN
    left_out: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> Column:
        """Return a column, or raise DataError with the names of the existing ones."""
        if name in self.left_out:
            raise DataError(f"column {name!r} of {self.source} cannot be used: {self.left_out[name]}")
        if name not in self.columns:
            near = nearest(name, self.columns)
            meant = f"did you mean {near!r}? " if near else ""
            several = "; give --delimiter if these are several" if len(self.columns) == 1 and not near else ""
            raise DataError(f"{self.source} has no column {name!r}; {meant}it has: {listed(self.columns)}{several}")
        return self.columns[name]

    def numbers(self, name: str) -> Host | None:
        """Return a column as float64, NaN where a value is missing; None if it holds other texts."""
        return numbers(self.column(name), self.notation)

    def texts(self, name: str) -> list[str | None]:
        """Return a column as texts, None where a value is missing."""
        return texts(self.column(name), self.notation)

    def taken_as_missing(self, name: str) -> Counter[str]:
        """Count the words of a column that are taken for missing values without having been named as such.

        Empty cells and question marks are not counted, as they are hardly meant as values.
        """
        column = self.column(name)
        cells = [] if isinstance(column, np.ndarray) else [cell.strip() for cell in column if cell is not None]
        known = {"", "?", *(text.strip().lower() for text in self.notation.missing)}
        return Counter(cell for cell in cells if cell.lower() not in known and self.notation.text(cell) is None)

    def without(self, name: str | None) -> Table:
        """Return the table without a column, if it has that one."""
        return replace(self, columns={other: column for other, column in self.columns.items() if other != name})

    def location(self, row: int) -> str:
        """Return where a row is, for error messages."""
        return f"line {self.lines[row]} of {self.source}" if self.lines else f"row {row} of {self.source}"


def listed(names: Iterable[str]) -> str:
    """Return the first names in a line; see :func:`shown`.

    >>> print(listed(["a", "b", "c, d"]))
    a, b, 'c, d'
    """
    known = list(names)
    more = f", ... ({len(known)} in all)" if len(known) > SHOWN else ""
    return ", ".join(map(shown, known[:SHOWN])) + more


def shown(name: str) -> str:
    """Return a name, in quotes if it contains a comma or a line break."""
    return repr(name) if ", " in name or not name.isprintable() else name


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "row"), plural(2, "row")
    ('1 row', '2 rows')
    """
    return f"{count} {noun}{'s' * (count != 1)}"
