"""Split the rows of a table into training, validation and test rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet.arrays import Host
from xpnet.checks import seeded_generator
from xpnet.cli.output import note
from xpnet.cli.tables import SHOWN, Table, listed, plural, shown
from xpnet.cli.target import Target
from xpnet.data import deal, part_sizes, split
from xpnet.errors import ConfigurationError, DataError
from xpnet.records import record

__all__ = ["RowSplit", "split_rows"]


@record
class RowSplit:
    """The numbers of the rows to train on, to validate on and to test on."""

    training: Host
    validation: Host
    test: Host


def split_rows(
    table: Table, target: Target, rows: Host, *, test: float | int, validation: float | int, seed: int
) -> RowSplit:
    """Split the *rows*, with the same proportions of classes in each part.

    A class with fewer rows than there are parts is only trained on, unless the others are too few to be split: then all
    rows are split by chance. Of one with more, a part may have none, where its share is rounded to that; training has
    one, unless it has fewer rows than there are classes. A note on standard error says so in each case.

    Raises
    ------
    DataError
        The rows are too few for parts of these sizes.
    """
    empty = rows[:0]
    if not test and not validation:
        return RowSplit(rows, empty, empty)
    sizes: dict[str, Any] = {"test": test, "validation": validation, "seed": seed}
    try:
        parts = split(rows, **sizes) if target.classes is None else _split_by_class(table, target, rows, sizes)
    except (ConfigurationError, DataError) as error:
        raise DataError(
            f"{table.source} has {plural(len(rows), 'row')} with a target, of which --test {test} and --validation "
            f"{validation} cannot be held out; give other parts, more rows, or --test 0 --validation 0 to train on all"
        ) from error
    found = iter(parts)
    return RowSplit(next(found), *(next(found) if size else empty for size in (validation, test)))


def _split_by_class(table: Table, target: Target, rows: Host, sizes: dict[str, Any]) -> tuple[Host, ...]:
    names = target.classes or ()
    encoded = target.encode(table, target.name)
    codes = encoded[rows]
    counts = np.bincount(codes, minlength=len(names))
    rare = (counts > 0) & (counts < 1 + (sizes["test"] > 0) + (sizes["validation"] > 0))
    in_rare_class = rare[codes]
    rest, of_rest = rows[~in_rare_class], codes[~in_rare_class]
    try:
        counted = part_sizes(len(rest), test=sizes["test"], validation=sizes["validation"])
    except (ConfigurationError, DataError):
        training, *held = split(rows, **sizes)
        note("rows are split by chance alone: too many classes have too few rows to be in every part")
    else:
        parts = deal(of_rest, counted, seeded_generator(sizes["seed"]))
        training, *held = [rest[part] for part in parts]
        training = np.concatenate([training, rows[in_rare_class]])
        known = set(encoded[training].tolist())
        purposes = [verb for verb, size in zip(("validate", "test"), counted[1:], strict=True) if size]
        for verb, part in reversed([*zip(purposes, parts[1:], strict=True)]):
            lacking = sorted(known - set(of_rest[part].tolist()))
            if lacking:
                said = [f"{shown(names[i])} ({_describe_rows(table, rows[codes == i])})" for i in lacking[:SHOWN]]
                more = "; ..." * (len(lacking) > SHOWN)
                note(f"trained on, but with too few rows to {verb} on some: {'; '.join(said)}{more}")
            known -= set(lacking)  # each class is told of once
    unseen = [names[code] for code in np.setdiff1d(codes, encoded[training])]
    if unseen:
        note(f"no row of these classes came to be trained on, so they are never predicted: {listed(unseen)}")
    return training, *held


def _describe_rows(table: Table, rows: Host) -> str:
    return f"{plural(len(rows), 'row')}, {'first ' * (len(rows) > 1)}in {table.location(int(rows[0]))}"
