"""Report what training makes of the columns of a table: which are used as what, which are left out, which look odd."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from xpnet.arrays import Host
from xpnet.cli.cells import Column
from xpnet.cli.features import Block, Category, Input, Number
from xpnet.cli.option_types import as_option, keep_option
from xpnet.cli.tables import SHOWN, Table, listed, shown
from xpnet.cli.target import Target
from xpnet.cli.text_columns import FEWEST_IDENTIFIERS

__all__ = ["by_kind", "describe_columns", "describe_inputs"]

TITLES = {Number.kind: "numbers", Category.kind: "categories", Block.kind: "arrays"}

LEADING_ZERO = re.compile(r"\s*[+-]?0\d+\s*")
"""A whole number as codes are written and quantities hardly are."""

FIRST_YEAR, LAST_YEAR = 1900, 2100
"""The years of dates that are written as numbers, such as 20240131."""

OTHER_SPELLINGS = {"true": "1", "false": "0"}
"""What may be meant by a text in lower case."""


def by_kind(inputs: Iterable[Input], dropped: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of the columns used as numbers, categories and arrays, and of those that were dropped.

    >>> by_kind([Category("color", ("blue", "red"))], ["price"])
    {'numbers': [], 'categories': ['color'], 'arrays': [], 'dropped': ['price']}
    """
    found: dict[str, list[str]] = {title: [] for title in TITLES.values()}
    for part in inputs:
        found[TITLES[part.kind]].append(part.name)
    return found | {"dropped": list(dropped)}


def describe_columns(
    table: Table, inputs: Sequence[Input], left_out: Mapping[str, str], dropped: Sequence[str], target: Target
) -> Iterator[str]:
    """Yield lines for a person to read; long lists of columns are cut."""
    doubtful = _spelled_in_several_ways(target.classes or ())
    if doubtful:
        yield (
            f"the target {target.name!r} has classes that may be one, spelled in several ways: {listed(doubtful)}; "
            "write them alike if they are"
        )
    for name, why in list(left_out.items())[:SHOWN]:
        yield f"column {name!r} is left out: {why}"
    if len(left_out) > SHOWN:
        yield f"left out are {len(left_out) - SHOWN} more columns: {listed(list(left_out)[SHOWN:])}"
    yield describe_inputs(inputs, dropped)
    taken = {part.name: list(table.taken_as_missing(part.name)) for part in inputs if isinstance(part, Category)}
    if any(taken.values()):
        said = [f"{shown(name)} ({listed(texts)})" for name, texts in taken.items() if texts]
        option = keep_option(text for texts in taken.values() for text in texts)
        yield f"taken for missing values: {_first_names(said)}; {option} makes categories of them"
    codes, dates = [], []
    for part in inputs:
        if isinstance(part, Number):
            values = table.numbers(part.name)
            if values is not None and _counts_rows(values):
                yield (
                    f"column {part.name!r} counts the rows; if that says nothing of {target.name!r}, leave it out: "
                    f"{as_option('--drop', [part.name])}"
                )
            elif values is not None and _are_whole(values):
                if _has_leading_zeros(table.column(part.name)):
                    codes.append(part.name)
                elif _are_dates(values):
                    dates.append(part.name)
        if isinstance(part, Category):
            same = _spelled_in_several_ways(part.values)
            if same:
                yield f"column {part.name!r} has categories that may be one, spelled in several ways: {listed(same)}"
    if codes:
        yield (
            f"taken as numbers, though with leading zeros, as codes have: {_first_names(list(map(shown, codes)))}; "
            f"{as_option('--categorical', codes)} makes categories of them"
        )
    if dates:
        yield (
            "taken as numbers, though they read as dates, whose numbers leap from month to month: "
            f"{_first_names(list(map(shown, dates)))}; make numbers of days or years of them, or leave them out: "
            f"{as_option('--drop', dates)}"
        )


def describe_inputs(inputs: Sequence[Input], dropped: Sequence[str] = ()) -> str:
    """Return a line with the columns of each kind; of many the first.

    >>> describe_inputs([Category("color", ("blue", "red"))])
    'categories: color (2)'
    """
    kinds = {
        "numbers": [shown(part.name) for part in inputs if isinstance(part, Number)],
        "categories": [f"{shown(part.name)} ({part.width})" for part in inputs if isinstance(part, Category)],
        "arrays": [f"{shown(part.name)} {part.shape}" for part in inputs if isinstance(part, Block)],
        "dropped": list(map(shown, dropped)),
    }
    return "; ".join(f"{title}: {_first_names(names)}" for title, names in kinds.items() if names)


def _first_names(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _counts_rows(values: Host) -> bool:
    """Say whether the numbers count up by 1 from row to row."""
    return len(values) >= FEWEST_IDENTIFIERS and bool((np.diff(values) == 1).all())


def _are_whole(values: Host) -> bool:
    """Say whether all known numbers are whole."""
    return bool((np.isnan(values) | (values == np.floor(values))).all())


def _has_leading_zeros(column: Column) -> bool:
    return not isinstance(column, np.ndarray) and any(cell and LEADING_ZERO.fullmatch(cell) for cell in column)


def _are_dates(values: Host) -> bool:
    """Say whether all of these whole numbers are a year, a month and a day of two digits each, as 20240131."""
    known = values[~np.isnan(values)]
    years, months, days = known // 10_000, known // 100 % 100, known % 100
    parts = ((years, FIRST_YEAR, LAST_YEAR), (months, 1, 12), (days, 1, 31))
    return all(bool(((low <= part) & (part <= high)).all()) for part, low, high in parts)


def _spelled_in_several_ways(values: Sequence[str]) -> list[str]:
    """Return the texts that differ from others in upper and lower case alone, or as True does from 1, side by side."""
    meant = {value: OTHER_SPELLINGS.get(value.casefold(), value.casefold()) for value in values}
    spellings = Counter(meant.values())
    return sorted((value for value in values if spellings[meant[value]] > 1), key=lambda value: (meant[value], value))
