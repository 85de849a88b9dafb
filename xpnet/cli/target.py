"""The target to predict: how a column of answers becomes classes or a quantity, and predictions become answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from xpnet.arrays import Host
from xpnet.cli.cells import EXACT, texts
from xpnet.cli.features import require_no_infinity, scaler
from xpnet.cli.option_types import keep_option
from xpnet.cli.tables import SHOWN, Table, listed, plural, shown
from xpnet.cli.text_columns import describe_dates, examples
from xpnet.cli.unparsed_numbers import find_unparsed_numbers
from xpnet.errors import DataError
from xpnet.records import record

__all__ = ["Target", "describe_keep_option", "describe_missing", "learn_target"]

MOST_CLASSES = 20
"""A target with more different whole numbers than this is taken for a quantity, not for classes."""

CODE = re.compile(r"[+-]?0\d.*")
"""A number with a leading zero, which has to be kept."""


@record
class Target:
    """The target to predict: one of several classes, by name, or a quantity with its scale.

    Attributes
    ----------
    name : str
        The column.
    classes : tuple of str or None
        None for a quantity.
    numeric : bool
        Whether the classes are whole numbers, so that 1, "1" and 1.0 are the same class. Numbers of which some have
        leading zeros, or more digits than float64 holds, are texts.
    mean, deviation : float
        Of the quantity: the network's output is ``(y - mean) / deviation``.
    """

    name: str
    classes: tuple[str, ...] | None
    numeric: bool = False
    mean: float = 0.0
    deviation: float = 1.0

    def known(self, table: Table, column: str) -> np.ndarray[Any, Any]:
        """Return which rows have a value in a column of answers: booleans, (rows,)."""
        if self.classes is None:
            return ~np.isnan(self._numbers(table, column))
        return np.asarray([label is not None for label in self._labels(table, column)])

    def encode(self, table: Table, column: str, dtype: str = "float64") -> Host:
        """Return class indices (rows,), or scaled quantities (rows, 1), of a column; rows without a value get 0.

        Raises
        ------
        DataError
            A class is unknown, or a quantity is infinite or, once scaled, too large for *dtype*.
        """
        known = self.known(table, column)
        if self.classes is None:
            values = np.where(known, self._numbers(table, column), 0.0)
            require_no_infinity(values, table, self.name, "the target")
            with np.errstate(over="ignore"):
                scaled = np.asarray(scaler(self.mean, self.deviation).transform(values))
            beyond = np.abs(scaled) > np.finfo(dtype).max
            if beyond.any():
                where = table.location(int(np.argmax(beyond)))
                raise DataError(
                    f"the target {self.name!r} holds a number in {where} that is too large for the model's {dtype}"
                )
            return scaled[:, None]
        indices = {name: i for i, name in enumerate(self.classes)}
        labels = self._labels(table, column)
        strange = {label for label in labels if label is not None and label not in indices}
        if strange:
            raise DataError(
                f"the target {self.name!r} of {table.source} has classes that training never saw: "
                f"{listed(sorted(strange))}; known: {listed(self.classes)}"
            )
        return np.asarray([0 if label is None else indices[label] for label in labels])

    def decode(self, outputs: Host) -> Host:
        """Return quantities (rows,) in their own unit from the network's outputs (rows, 1)."""
        return np.asarray(scaler(self.mean, self.deviation).inverse_transform(outputs.astype(np.float64)[:, 0]))

    def choose(self, probabilities: Host, threshold: tuple[str, float] | None = None) -> Host:
        """Return class indices (rows,) from probabilities (rows, classes).

        They are the likeliest class's; with a *threshold*, the class that it names where that one's probability
        reaches its number, else the other of two.
        """
        if threshold is None or self.classes is None:
            return np.asarray(probabilities.argmax(axis=1))
        name, least = threshold
        index = self.classes.index(name)
        return np.where(probabilities[:, index] >= least, index, 1 - index)

    def _numbers(self, table: Table, column: str) -> Host:
        values = table.numbers(column)
        if values is None:
            unparsed = find_unparsed_numbers(table, column)
            remedy = f": {unparsed}" if unparsed else ""
            raise DataError(f"the target {self.name!r} must hold numbers, as in training; it holds text{remedy}")
        return values

    def _labels(self, table: Table, column: str) -> list[str | None]:
        """Return the classes of rows as texts, None where a value is missing."""
        named = table.texts(column)
        if not self.numeric:
            return named
        whole = texts(self._numbers(table, column))
        return [text if number is None else number for number, text in zip(whole, named, strict=True)]


def learn_target(table: Table, name: str, task: str = "auto") -> tuple[Target, str]:
    """Return the target, not yet scaled, and why it is taken for classes or for a quantity.

    Text is taken for classes, and so are numbers if they are whole and few.

    Raises
    ------
    DataError
        The column is missing, holds an infinite number, does not fit the *task*, or holds nothing to learn: one value
        only, or a different text in nearly every row.
    """
    column = table.column(name)
    what = f"the target {name!r} of {table.source}"
    if isinstance(column, np.ndarray) and column.ndim > 1:
        raise DataError(f"{what} must be one number or text a row; got an array of shape {column.shape}")
    held = [text for text in table.texts(name) if text is not None]
    missing = describe_missing(table, name) + describe_keep_option(table, name)
    if not held:
        raise DataError(f"{what} holds no values{missing}")
    values = table.numbers(name)
    if values is None or np.isnan(values).all():
        return _learn_text_classes(table, name, task, held, what, missing)
    require_no_infinity(values, table, name, "the target")
    known = values[~np.isnan(values)]
    different = np.unique(known)
    if task == "regression":
        _require_several(different, len(known), what)
        return Target(name, None), "as asked"
    whole = bool(np.all(different == np.round(different)))
    floats = isinstance(column, np.ndarray) and column.dtype.kind == "f"
    words = {text for text in held if table.notation.is_kept(text)}
    # Beyond what float64 tells apart, numbers would make one class of several.
    exact = bool(np.abs(different).max() < EXACT) and not _are_codes(set(held) - words, len(different))
    numeric = floats or not whole or exact
    labels = [*map(str, texts(different)), *sorted(words)] if numeric else sorted(set(held))
    few = whole and len(labels) <= MOST_CLASSES
    is_doubtful = few and not words and len(labels) > 2
    kind = f"{len(labels) - len(words)} different whole numbers" if whole else "fractions"
    if task == "classification" or few:
        if not whole:
            raise DataError(f"{what} holds fractions, so it is no class; leave out --task classification")
        _require_several(labels, len(held), what, missing)
        also = f" and {listed(sorted(words))}" if words else ""
        other = "; --task regression takes it for a quantity" if is_doubtful else ""
        why = "as asked" if task != "auto" else f"the target has {kind}{also}{other}"
        return Target(name, tuple(labels), numeric), why
    _require_several(different, len(known), what)
    return Target(name, None), f"the target has {kind}"


def _are_codes(spellings: set[str], different: int) -> bool:
    """Return whether some of the *different* numbers have leading zeros, and each has one spelling."""
    return any(map(CODE.fullmatch, spellings)) and len(spellings) == different


def describe_missing(table: Table, column: str) -> str:
    """Say, after a semicolon, which texts of a column are taken for missing values; empty if there are none.

    Texts that ``--missing`` names are left out.
    """
    counts = table.taken_as_missing(column).most_common(SHOWN)
    rows = ", ".join(f"{text!r} in {plural(count, 'row')}" for text, count in counts)
    return f"; taken for missing values: {rows}" if rows else ""


def describe_keep_option(table: Table, column: str) -> str:
    """Say, after a semicolon, which option would keep these texts as values; empty if there are none."""
    found = table.taken_as_missing(column)
    each = "that is a value" if len(set(map(str.lower, found))) == 1 else "these are values"
    return f"; give {keep_option(found)} if {each}" if found else ""


def _learn_text_classes(
    table: Table, name: str, task: str, held: list[str], what: str, missing: str
) -> tuple[Target, str]:
    """Return a target whose classes are texts, or raise DataError if the texts do not look like classes."""
    labels = sorted(set(held))
    if task == "classification":
        _require_several(labels, len(held), what, missing)
        return Target(name, tuple(labels)), "as asked"
    unparsed = find_unparsed_numbers(table, name)
    if unparsed is not None:
        raise DataError(f"{what} holds {unparsed}; or take each text as a class with --task classification")
    if task == "regression":
        raise DataError(f"{what} holds text ({examples(labels)}), so it is no quantity; leave out --task regression")
    _require_several(labels, len(held), what, missing)
    dates = describe_dates([text for text in labels if not table.notation.is_kept(text)])
    if dates:
        raise DataError(f"{what} holds {dates}")
    if len(labels) > max(MOST_CLASSES, len(held) / 2):
        raise DataError(
            f"{what} holds {len(labels)} different texts in {plural(len(held), 'row')} ({examples(labels)}), too many "
            "to be classes; give another --target, or --task classification if they are"
        )
    return Target(name, tuple(labels)), "the target is text"


def _require_several(values: Iterable[object], rows: int, what: str, missing: str = "") -> None:
    known = set(map(str, values))
    if len(known) < 2:
        (only,) = known
        raise DataError(
            f"{what} must have several values to tell apart; {plural(rows, 'row')} of it "
            f"{'has' if rows == 1 else 'all have'} {shown(only)}{missing}; {'or ' if missing else ''}"
            "give another --target, or data with other values"
        )
