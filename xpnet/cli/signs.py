"""Numbers whose signs and exponents are written as ledgers, typesetters and Fortran write them."""

from __future__ import annotations

import re

__all__ = ["DOUBTFUL", "rewritten", "way"]

PARENTHESES = "negative numbers in parentheses"
BEHIND = "numbers with the minus behind them"
APART = "numbers with a space after the sign"

DOUBTFUL = frozenset([PARENTHESES, BEHIND, APART])
"""Ways in which labels, codes and items of lists are written too."""

WAYS = {
    # The minus sign, the figure dash, the en dash, and the small and full-width hyphens of Unicode.
    "numbers with another character for the minus": (re.compile("[\u2212\u2012\u2013\ufe63\uff0d]"), "-"),
    "numbers with D before the exponent": (re.compile(r"^([+-]?(?:\d+[.,]\d*|[.,]\d+))[dD](?=[+-]?\d+$)"), r"\1e"),
    PARENTHESES: (re.compile(r"^\((?=.*\d)([^()+-]+)\)$"), r"-\1"),
    BEHIND: (re.compile(r"^([^()+-].*\d|\d)\s*-$"), r"-\1"),
    APART: (re.compile(r"^([+-])\s+(?=.*\d)"), r"\1"),
}
"""What numbers are called that look so, and how they are rewritten, one way after the other."""


def rewritten(cell: str) -> str:
    """Return a cell with its minus in front and an e before its exponent.

    >>> rewritten("(5.00)"), rewritten("$5.00-"), rewritten("1.2D+00"), rewritten("(a)")
    ('-5.00', '-$5.00', '1.2e+00', '(a)')
    """
    for pattern, plain in WAYS.values():
        cell = pattern.sub(plain, cell)
    return cell.strip()


def way(cell: str) -> str:
    """Return what numbers are called that are written as a cell that is rewritten."""
    return next(name for name, (pattern, _) in WAYS.items() if pattern.search(cell))
