"""Read the cells of a column as numbers, texts or missing values, in the notation of their file."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TypeAlias

import numpy as np

from xpnet.arrays import Host
from xpnet.records import record

__all__ = ["DECIMALS", "EXACT", "MISSING", "PLAIN", "THOUSANDS", "Column", "Notation", "numbers", "texts"]

Column: TypeAlias = "list[str | None] | Host"
"""Texts, with None for a missing one, or an array (rows, ...)."""

MISSING = frozenset(["", "?", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "null", "none"])
"""Words that stand for a missing value in every file, whatever their case."""

DECIMALS = (".", ",")
THOUSANDS = (",", ".", "'", " ")
"""Thousands separators; the space may also be one that does not break a line."""

SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"

EXACT = 2**53
"""Above this number, float64 cannot tell whole numbers apart."""


@record
class Notation:
    """How a file of text writes numbers, and what it writes for a missing value.

    Attributes
    ----------
    decimal : str
        One of ``.`` and ``,``.
    thousands : str
        What may stand between groups of three digits, one of ``,``, ``.``, ``'`` and a space; empty for nothing.
    missing : tuple of str
        Texts that stand for a missing value beside those that always do, in whatever case.
    units : tuple of str
        Texts before or after a number that are passed over.
    kept : tuple of str
        Texts that would stand for a missing value, and do not in a column of texts, in whatever case. Among numbers
        they still do.
    """

    decimal: str = "."
    thousands: str = ""
    missing: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def is_missing(self, text: str | None) -> bool:
        """Say whether a cell among numbers stands for a missing value.

        >>> PLAIN.is_missing(" NA "), PLAIN.is_missing("-"), Notation(missing=("-",)).is_missing("-")
        (True, False, True)
        """
        return text is None or text.strip().lower() in self._missing_numbers

    def text(self, text: str | None) -> str | None:
        """Return the text of a cell, or None if it stands for a missing value.

        >>> PLAIN.text(" none "), Notation(kept=("None",)).text(" none ")
        (None, 'none')
        """
        cell = None if text is None else text.strip()
        return None if cell is None or cell.lower() in self._missing_texts else cell

    def is_kept(self, text: str) -> bool:
        """Say whether a text is to be kept as a value although it usually stands for a missing one."""
        return text.strip().lower() in self._kept

    def number(self, text: str | None) -> float:
        """Return the number in a cell, NaN for a missing value; raise ValueError for any other text.

        >>> Notation(decimal=",", thousands=".", units=("EUR",)).number("1.234,5 EUR")
        1234.5
        """
        if self.is_missing(text):
            return np.nan
        cell = self._without_units(str(text).strip()) if self.units else str(text).strip()
        if "_" in cell:  # Python reads 1_000 as a number, no other program does
            raise ValueError(cell)
        if self._plain:
            return float(cell)
        if self._pattern.fullmatch(cell):
            return float(re.sub(f"[^0-9eE+{self.decimal}-]", "", cell).replace(self.decimal, "."))
        if any(character.isdigit() for character in cell):
            raise ValueError(cell)
        return float(cell)

    def _without_units(self, cell: str) -> str:
        sign = cell[:1] if cell[:1] in "+-" else ""
        bare = cell.removeprefix(sign)
        for unit in self.units:
            bare = bare.removeprefix(unit).removesuffix(unit).strip()
        return sign + bare

    @cached_property
    def _missing_numbers(self) -> frozenset[str]:
        return MISSING | {text.strip().lower() for text in self.missing}

    @cached_property
    def _kept(self) -> frozenset[str]:
        return frozenset(text.strip().lower() for text in self.kept)

    @cached_property
    def _missing_texts(self) -> frozenset[str]:
        """Words that stand for a missing value among texts."""
        return self._missing_numbers - self._kept

    @cached_property
    def _plain(self) -> bool:
        return (self.decimal, self.thousands) == (".", "")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """The pattern of a number in this notation."""
        between = {" ": SPACES, "'": APOSTROPHES}.get(self.thousands, self.thousands)
        grouped = rf"\d{{1,3}}(?:[{re.escape(between)}]\d{{3}})+|" if between else ""
        point = re.escape(self.decimal)
        return re.compile(rf"[+-]?(?:(?:{grouped}\d+)(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?", re.ASCII)


PLAIN = Notation()
"""A decimal point, and no thousands separator."""


def numbers(column: Column, notation: Notation = PLAIN) -> Host | None:
    """Return a column as float64, NaN where a value is missing; None if it holds other texts.

    >>> numbers(["1.5", "NA"]), numbers(["1,5"]), numbers(["1,5"], Notation(decimal=","))
    (array([1.5, nan]), None, array([1.5]))
    """
    if isinstance(column, np.ndarray):
        return column.astype(np.float64)
    try:
        return np.asarray([notation.number(cell) for cell in column])
    except ValueError:
        return None


def texts(column: Column, notation: Notation = PLAIN) -> list[str | None]:
    """Return a column as texts, None where a value is missing; whole numbers are written without a point.

    >>> texts(np.asarray([1.0, np.nan, 2.5])), texts([" red", "?"])
    (['1', None, '2.5'], ['red', None])
    """
    if isinstance(column, np.ndarray):
        return [None if value != value else _text(value) for value in column.tolist()]
    return [notation.text(cell) for cell in column]


def _text(value: float) -> str:
    """Write a whole number exactly, another one to 15 digits, in which the noise of binary fractions does not show."""
    if not isinstance(value, float):
        return str(value)
    return str(int(value)) if value.is_integer() else f"{value:.15g}"
