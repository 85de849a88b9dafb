"""Turn columns into the network's input features: standardized numbers, one-hot categories, or arrays of numbers.

Each kind of input is a record of plain numbers and texts. It turns the column of its name into features of shape
(rows, width), and has a ``kind``, the name by which model files refer to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import ClassVar, TypeAlias

import numpy as np

from xpnet.arrays import Host
from xpnet.cli.cells import numbers
from xpnet.cli.tables import Table, listed, plural
from xpnet.cli.text_columns import are_identifiers, describe_dates, examples
from xpnet.cli.unparsed_numbers import find_unparsed_numbers
from xpnet.errors import DataError, nearest
from xpnet.records import record
from xpnet.scaling import StandardScaler

__all__ = ["KINDS", "Block", "Category", "Input", "Number", "learn_input"]

MOST_CATEGORIES = 100
"""A column with more different texts than this is taken for names or remarks, not for categories."""

ROW_NUMBERS = re.compile(r"__index_level_\d+__|Unnamed: 0(\.\d+)?")
"""What pandas calls an index without a name in Parquet, and a first column without one that it has read from CSV."""

NOT_A_FEATURE = "pandas gives this name to unnamed row numbers; rename it, or give --categorical, to have it taken"
"""Why such a column is left out."""

SCALAR: tuple[int, ...] = ()

UNSCALED = (0.0, 1.0)
"""Mean and deviation of a feature that is 0 or 1 and is not scaled."""


@record
class Number:
    """A column of numbers, standardized: ``(x - mean) / deviation``, with the mean in place of a missing value.

    If the training data had missing values, a second feature is 1 for a missing value and 0 otherwise.
    """

    name: str
    mean: float
    deviation: float
    missing: bool
    kind: ClassVar[str] = "number"

    @property
    def width(self) -> int:
        """Number of features."""
        return 1 + self.missing

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each feature."""
        return (self.name, f"{self.name} is missing")[: self.width]

    @property
    def scales(self) -> tuple[tuple[float, float], ...]:
        """Mean and deviation of each feature."""
        return ((self.mean, self.deviation), UNSCALED)[: self.width]

    def features(self, table: Table) -> Host:
        """Return (rows, width); raise DataError if the column holds anything but finite numbers."""
        values = _finite(table, self.name)
        gaps = np.isnan(values)
        scaled = scaler(self.mean, self.deviation).transform(np.where(gaps, self.mean, values))
        return np.stack([scaled, gaps.astype(scaled.dtype)][: self.width], axis=1)


@record
class Category:
    """A column of categories, one-hot: a feature for each known text; all are 0 for a missing value."""

    name: str
    values: tuple[str, ...]
    kind: ClassVar[str] = "category"

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.values)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each feature."""
        return tuple(f"{self.name} = {value}" for value in self.values)

    @property
    def scales(self) -> tuple[tuple[float, float], ...]:
        """Mean and deviation of each feature."""
        return (UNSCALED,) * self.width

    def features(self, table: Table) -> Host:
        """Return (rows, width); raise DataError for a text that is not known."""
        indices = {value: i for i, value in enumerate(self.values)}
        found = table.texts(self.name)
        strange: dict[str, int] = {}
        for row, text in enumerate(found):
            if text is not None and text not in indices:
                strange.setdefault(text, row)
        if strange:
            raise DataError(self._unknown(strange, table))
        codes = [-1 if text is None else indices[text] for text in found]
        return np.asarray(np.asarray(codes)[:, None] == np.arange(self.width))

    def _unknown(self, strange: Mapping[str, int], table: Table) -> str:
        """Return the error message for unknown texts, given by the first row of each."""
        text, row = next(iter(strange.items()))
        meant = nearest(text, self.values)
        others = f", and {plural(len(strange) - 1, 'other text')} that it never saw either" if len(strange) > 1 else ""
        return (
            f"column {self.name!r} has {text!r} in {table.location(row)}, which training never saw{others}; "
            f"known: {listed(self.values)}{f'; did you mean {meant!r}?' if meant else ''}; correct the data, give "
            "--unknown missing to take such texts as missing values, or train on data that has them"
        )


@record
class Block:
    """An array of numbers, standardized: ``(x - mean) / deviation``, with one mean for all features or one for each."""

    name: str
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    kind: ClassVar[str] = "block"

    @property
    def width(self) -> int:
        """Number of features."""
        return prod(self.shape)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each feature."""
        return tuple(f"{self.name}[{', '.join(map(str, index))}]" for index in np.ndindex(self.shape))

    @property
    def scales(self) -> tuple[tuple[float, float], ...]:
        """Mean and deviation of each feature."""
        pairs = tuple(zip(self.mean, self.deviation, strict=True))
        return pairs * (self.width // len(pairs))

    def features(self, table: Table) -> Host:
        """Return (rows, width); raise DataError if the array has another shape, or a value that is not finite."""
        array = np.asarray(table.column(self.name))
        if array.shape[1:] != self.shape or array.dtype.kind not in "biuf":
            expected = ", ".join(["rows", *map(str, self.shape)])
            raise DataError(
                f"{self.name!r} of {table.source} must hold numbers of shape ({expected}); "
                f"got {array.dtype} of shape {array.shape}"
            )
        flat = array.reshape(len(array), -1)
        flat = flat.astype(np.float32 if flat.dtype.itemsize <= 2 else np.float64)  # exact for small integers
        _require_finite(flat, table, self.name)
        if len(self.mean) == 1:
            common = scaler(self.mean[0], self.deviation[0])
            return np.asarray(common.transform(flat.reshape(-1))).reshape(flat.shape)
        return np.asarray(StandardScaler(self.mean, self.deviation, (self.width,)).transform(flat))


Input: TypeAlias = Number | Category | Block

KINDS: dict[str, type[Number] | type[Category] | type[Block]] = {cls.kind: cls for cls in (Number, Category, Block)}
"""The kinds of input that a model file may name."""


def learn_input(table: Table, name: str, rows: Host, categorical: bool = False) -> Input | str:
    """Return the input for a column, with its scale learnt from these *rows* alone; or the reason to leave it out.

    Categories are collected from all rows: their names reveal nothing about how the other rows are distributed.

    Raises
    ------
    DataError
        A number is infinite, or too large for its square to fit into float64, or NaN in an array of features.
    """
    if ROW_NUMBERS.fullmatch(name) and not categorical:
        return NOT_A_FEATURE
    column = table.column(name)
    if isinstance(column, np.ndarray) and column.ndim > 1:
        return _learn_block(column, table, name, rows)
    everything = None if categorical else table.numbers(name)
    if everything is None or np.isnan(everything).all():
        return _learn_category(table, name, categorical)
    require_no_infinity(everything, table, name)
    values = everything[rows]
    gaps = np.isnan(values)
    if gaps.all():
        return "it holds no values"
    if (everything == everything[0]).all():
        return f"it holds one value, {everything[0]:.15g}"
    known = values[~gaps]
    if len(known) == len(values) and (known == known[0]).all():
        return f"it holds one value, {known[0]:.15g}, in all rows that are trained on"
    (mean,), (deviation,) = mean_and_deviation(known, table, rows[~gaps], f"column {name!r}")
    return Number(name, mean, deviation, bool(gaps.any()))


def _learn_category(table: Table, name: str, asked: bool) -> Category | str:
    found = table.texts(name)
    held = [text for text in found if text is not None]
    known = sorted(set(held))
    if not known:
        return "it holds no values"
    if asked:
        return Category(name, tuple(known))
    if len(known) == 1 and len(held) == len(found):
        return f"it holds one value, {known[0]!r:.60}"
    dates = describe_dates([text for text in known if not table.notation.is_kept(text)])
    if dates:
        return f"it holds {dates}"
    if are_identifiers(len(known), len(held)):
        return f"it holds {len(known)} different texts in {len(held)} rows ({examples(known)}), as names and keys do"
    if len(known) > MOST_CATEGORIES:
        return f"it holds {len(known)} different texts, more than the {MOST_CATEGORIES} that are taken as categories"
    return Category(name, tuple(known))


def _learn_block(column: Host, table: Table, name: str, rows: Host) -> Block:
    chosen = column[rows].reshape(len(rows), -1)
    _require_finite(chosen, table, name)
    # Pixels share one scale. With its own, a pixel that is nearly always dark would become huge when it is not.
    together = column.ndim > 2 or column.dtype == np.uint8
    mean, deviation = mean_and_deviation(chosen.reshape(-1) if together else chosen, table, rows, repr(name))
    return Block(name, column.shape[1:], mean, deviation)


def mean_and_deviation(
    values: Host, table: Table, rows: Host, what: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each feature; *values* are finite, those of *what* in these *rows*.

    Raises
    ------
    DataError
        Their squares overflow float64; the message says where the largest value is. Or their differences are too small
        for float64.
    """
    try:
        fitted = StandardScaler().fit(values)
    except DataError as error:
        sizes = np.abs(values).reshape(len(rows), -1).max(axis=1)
        largest = int(np.argmax(sizes))
        if sizes[largest] < 1:
            raise DataError(f"{what} holds numbers too close for float64; multiply all by a power of ten") from error
        raise DataError(
            f"{what} holds a number of size {sizes[largest]:g} in {table.location(int(rows[largest]))}, whose square "
            "is beyond float64; correct it, or divide all by a power of ten"
        ) from error
    return fitted.mean or (), fitted.deviation or ()


def scaler(mean: float, deviation: float) -> StandardScaler:
    """Return a scaler for a single feature."""
    return StandardScaler((mean,), (deviation,), SCALAR)


def _finite(table: Table, name: str) -> Host:
    """Return the numbers of a column, NaN where missing; raise DataError if it holds anything else."""
    column = table.column(name)
    values = table.numbers(name) if not isinstance(column, np.ndarray) or column.ndim == 1 else None
    if values is None:
        raise DataError(f"column {name!r} must hold numbers; got {_first_text(table, name)}")
    require_no_infinity(values, table, name)
    return values


def require_no_infinity(values: Host, table: Table, name: str, what: str = "column") -> None:
    """Raise DataError if a number in a column is infinite."""
    if np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        column = table.column(name)
        cell = str(values[row] if isinstance(column, np.ndarray) else column[row]).strip()
        beyond = ", which is beyond float64," if any(map(str.isdigit, cell)) else ""
        raise DataError(
            f"{what} {name!r} must hold finite numbers; got {cell}{beyond} in {table.location(row)}; correct it, or "
            "leave the cell empty if the value is missing"
        )


def _first_text(table: Table, name: str) -> str:
    column = table.column(name)
    if isinstance(column, np.ndarray):
        return f"an array of shape {column.shape}"
    row = next(row for row, cell in enumerate(column) if numbers([cell], table.notation) is None)
    unparsed = find_unparsed_numbers(table, name)
    remedy = unparsed.remedy if unparsed else "correct it, or leave the cell empty if the value is missing"
    return f"{column[row]!r} in {table.location(row)}; {remedy}"


def _require_finite(values: Host, table: Table, name: str) -> None:
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).all(axis=1)))
        raise DataError(f"{name!r} must hold finite numbers; NaN or infinity is in {table.location(row)}")
