"""What a column of text is likely to be that nothing can be learnt from as it stands: dates, names of rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["FEWEST_NAMES", "NEARLY_ALL", "are_dates", "are_names", "examples"]

NEARLY_ALL = 0.9
"""Share of a column's different texts that tells what it is."""

FEWEST_NAMES = 10
"""Rows from which a different text in nearly each of them is a name of the row and not a category."""

YEAR = r"(\d{4}|\d{2})"
DAY = rf"(\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}([-/.]\d{{1,2}}[-/.]|[ -][A-Za-z]{{3,9}}\.?[ -]){YEAR})"
TIME = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?(Z| ?[+-]\d{2}:?\d{2})?"
DATE = re.compile(rf"{DAY}([T ]{TIME})?|{TIME}")


def are_dates(texts: Sequence[str]) -> bool:
    """Say whether nearly all of these different texts are dates or times of day."""
    return bool(texts) and sum(DATE.fullmatch(text) is not None for text in texts) >= NEARLY_ALL * len(texts)


def are_names(different: int, rows: int) -> bool:
    """Say whether so many different texts in so many rows are names of the rows, from which nothing can be learnt."""
    return rows >= FEWEST_NAMES and different >= NEARLY_ALL * rows


def examples(texts: Sequence[str]) -> str:
    """Return the first few.

    >>> print(examples(["3,14", "2,71", "1,62"]))
    '3,14', '2,71', ...
    """
    return ", ".join(f"{text!r:.30}" for text in texts[:2]) + ", ..." * (len(texts) > 2)
