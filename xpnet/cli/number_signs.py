"""Rewrite numbers whose sign or exponent is written as in ledgers, typeset text or Fortran."""

from __future__ import annotations

import re

__all__ = ["AMBIGUOUS", "describe_sign", "rewrite_sign"]

PARENTHESES = "negative numbers in parentheses"
TRAILING_MINUS = "numbers with the minus behind them"
SPACE_AFTER_SIGN = "numbers with a space after the sign"

AMBIGUOUS = frozenset([PARENTHESES, TRAILING_MINUS, SPACE_AFTER_SIGN])
"""Notations in which labels, codes and list items are written, too."""

SIGNS = {
    # The minus sign, the figure dash, the en dash, and the small and full-width hyphens of Unicode.
    "numbers with another character for the minus": (re.compile("[\u2212\u2012\u2013\ufe63\uff0d]"), "-"),
    "numbers with D before the exponent": (re.compile(r"^([+-]?(?:\d+[.,]\d*|[.,]\d+))[dD](?=[+-]?\d+$)"), r"\1e"),
    PARENTHESES: (re.compile(r"^\((?=.*\d)([^()+-]+)\)$"), r"-\1"),
    TRAILING_MINUS: (re.compile(r"^([^()+-].*\d|\d)\s*-$"), r"-\1"),
    SPACE_AFTER_SIGN: (re.compile(r"^([+-])\s+(?=.*\d)"), r"\1"),
}
"""By the description of each notation, its pattern and the replacement; all are applied, one after the other."""


def rewrite_sign(cell: str) -> str:
    """Return the text of a cell with a plain minus sign in front and an e before the exponent.

    >>> rewrite_sign("(5.00)"), rewrite_sign("$5.00-"), rewrite_sign("1.2D+00"), rewrite_sign("(a)")
    ('-5.00', '-$5.00', '1.2e+00', '(a)')
    """
    for pattern, plain in SIGNS.values():
        cell = pattern.sub(plain, cell)
    return cell.strip()


def describe_sign(cell: str) -> str:
    """Return the description of the first notation that a cell is written in; there must be one."""
    return next(name for name, (pattern, _) in SIGNS.items() if pattern.search(cell))
