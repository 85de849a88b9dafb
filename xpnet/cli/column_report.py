"""Report what training makes of the columns of a table: which are used as what, which are left out, which look odd."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from xpnet.cli.features import Block, Category, Input, Number
from xpnet.cli.option_types import as_option, keep_option
from xpnet.cli.tables import SHOWN, Table, listed, shown
from xpnet.cli.text_columns import FEWEST_IDENTIFIERS

__all__ = ["by_kind", "describe_columns", "describe_inputs"]

TITLES = {Number.kind: "numbers", Category.kind: "categories", Block.kind: "arrays"}


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
    table: Table, inputs: Sequence[Input], left_out: Mapping[str, str], dropped: Sequence[str], target: str
) -> Iterator[str]:
    """Yield lines for a person to read; long lists of columns are cut."""
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
    for part in inputs:
        if isinstance(part, Number) and _counts_rows(table, part.name):
            yield (
                f"column {part.name!r} counts the rows; if that says nothing of {target!r}, leave it out: "
                f"{as_option('--drop', [part.name])}"
            )
        if isinstance(part, Category):
            same = _differ_in_case_only(part.values)
            if same:
                yield f"column {part.name!r} has categories that differ in upper and lower case alone: {listed(same)}"


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


def _counts_rows(table: Table, name: str) -> bool:
    """Say whether the numbers count up by 1 from row to row."""
    values = table.numbers(name)
    return values is not None and len(values) >= FEWEST_IDENTIFIERS and bool((np.diff(values) == 1).all())


def _differ_in_case_only(values: Sequence[str]) -> list[str]:
    plain = [value.casefold() for value in values]
    return [value for value, folded in zip(values, plain, strict=True) if plain.count(folded) > 1]
