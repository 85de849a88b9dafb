"""Recognise columns of text that nothing can be learnt from as they are: dates, and identifiers of rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["FEWEST_IDENTIFIERS", "NEARLY_ALL", "are_identifiers", "describe_dates", "examples"]

NEARLY_ALL = 0.9
"""Share of the different texts in a column that decides what kind of column it is."""

FEWEST_IDENTIFIERS = 10
"""From so many rows on, a different text in nearly every row is an identifier and not a category."""

YEAR = r"(\d{4}|\d{2})"
DAY = rf"(\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}([-/.]\d{{1,2}}[-/.]|[ -][A-Za-z]{{3,9}}\.?[ -]){YEAR})"
TIME = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?(Z| ?[+-]\d{2}:?\d{2})?"
TIME_OF_DAY = re.compile(TIME)
DATE = re.compile(rf"{DAY}([T ]{TIME})?|{TIME}")


def describe_dates(texts: Sequence[str]) -> str | None:
    """Say what texts hold of which nearly all are dates or times of day, and the remedy; None for other texts.

    >>> print(describe_dates(["9:15", "10:45"]))
    times of day ('9:15', '10:45'), which are not understood; make numbers of them, such as hours or minutes
    """
    if not texts or sum(DATE.fullmatch(text) is not None for text in texts) < NEARLY_ALL * len(texts):
        return None
    times = sum(TIME_OF_DAY.fullmatch(text) is not None for text in texts) >= NEARLY_ALL * len(texts)
    what, numbers = ("times of day", "hours or minutes") if times else ("dates", "days or years")
    return f"{what} ({examples(texts)}), which are not understood; make numbers of them, such as {numbers}"


def are_identifiers(different: int, rows: int) -> bool:
    """Say whether so many different texts in so many rows are identifiers, from which nothing can be learnt."""
    return rows >= FEWEST_IDENTIFIERS and different >= NEARLY_ALL * rows


def examples(texts: Sequence[str]) -> str:
    """Return the first few texts in quotes.

    >>> print(examples(["3,14", "2,71", "1,62"]))
    '3,14', '2,71', ...
    """
    return ", ".join(f"{text!r:.30}" for text in texts[:2]) + ", ..." * (len(texts) > 2)
