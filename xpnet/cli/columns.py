"""What a training says of the columns of its table: taken as what, left out why, and what looks odd."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from xpnet.cli.inputs import Block, Category, Input, Number
from xpnet.cli.recognition import FEWEST_NAMES
from xpnet.cli.tables import SHOWN, Table, listed, shown
from xpnet.cli.values import as_option, keeping

__all__ = ["by_kind", "describe_columns"]

TITLES = {Number.kind: "numbers", Category.kind: "categories", Block.kind: "arrays"}


def by_kind(inputs: Iterable[Input], dropped: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of the columns that are taken as numbers, categories and arrays, and that were dropped.

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
    """Give lines for a person; of many columns, the first."""
    for name, why in list(left_out.items())[:SHOWN]:
        yield f"column {name!r} is left out: {why}"
    if len(left_out) > SHOWN:
        yield f"left out are {len(left_out) - SHOWN} more columns: {listed(list(left_out)[SHOWN:])}"
    kinds = {
        "numbers": [shown(part.name) for part in inputs if isinstance(part, Number)],
        "categories": [f"{shown(part.name)} ({part.width})" for part in inputs if isinstance(part, Category)],
        "arrays": [f"{shown(part.name)} {part.shape}" for part in inputs if isinstance(part, Block)],
        "dropped": list(map(shown, dropped)),
    }
    yield "; ".join(f"{title}: {_first(names)}" for title, names in kinds.items() if names)
    taken = {part.name: list(table.taken_as_missing(part.name)) for part in inputs if isinstance(part, Category)}
    if any(taken.values()):
        said = [f"{shown(name)} ({listed(texts)})" for name, texts in taken.items() if texts]
        option = keeping(text for texts in taken.values() for text in texts)
        yield f"taken for missing values: {_first(said)}; {option} makes categories of them"
    for part in inputs:
        if isinstance(part, Number) and _counts_rows(table, part.name):
            yield (
                f"column {part.name!r} counts the rows; if that says nothing of {target!r}, leave it out: "
                f"{as_option('--drop', [part.name])}"
            )
        if isinstance(part, Category):
            same = _alike(part.values)
            if same:
                yield f"column {part.name!r} has categories that differ in upper and lower case alone: {listed(same)}"


def _first(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _counts_rows(table: Table, name: str) -> bool:
    """Say whether each row has the number after that of the row before it."""
    values = table.numbers(name)
    return values is not None and len(values) >= FEWEST_NAMES and bool((np.diff(values) == 1).all())


def _alike(values: Sequence[str]) -> list[str]:
    plain = [value.casefold() for value in values]
    return [value for value, folded in zip(values, plain, strict=True) if plain.count(folded) > 1]
