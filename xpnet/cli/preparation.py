"""All that lies between a data file and a network, learnt once and kept in the model file.

It is a record of names, numbers and texts; the text in a file is checked field by field, so a file can name
nothing but data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np

from xpnet.cli.inputs import KINDS, Block, Category, Features, Input, Number, learn_input, scaler
from xpnet.cli.tables import EXACT, Column, Table, listed, numbers, texts
from xpnet.errors import CheckpointError, DataError
from xpnet.scaling import StandardScaler
from xpnet.strict_json import read_json, write_json

__all__ = ["Preparation", "Target", "learn_inputs", "learn_target"]

MOST_CLASSES = 20
"""Different whole numbers up to which a target is taken for classes and not for quantities."""

VERSION = 1


@dataclass(frozen=True)
class Target:
    """What is predicted: one of several classes, by name, or a quantity with its scale.

    Attributes
    ----------
    name : str
        The column.
    classes : tuple of str or None
        None for a quantity.
    numeric : bool
        Whether the classes are whole numbers, so that 1, "1" and 1.0 are one class.
    mean, deviation : float
        Of the quantity: the network's output is ``(y - mean) / deviation``.
    """

    name: str
    classes: tuple[str, ...] | None
    numeric: bool = False
    mean: float = 0.0
    deviation: float = 1.0

    def known(self, column: Column) -> np.ndarray[Any, Any]:
        """Return which rows have a value, (rows,) of bool."""
        if self.classes is None or self.numeric:
            values = numbers(column)
            if values is None:
                raise DataError(f"the target {self.name!r} must hold numbers, as in training; it holds text")
            return ~np.isnan(values)
        return np.asarray([text is not None for text in texts(column)])

    def encode(self, column: Column, table: Table) -> Features:
        """Return class indices (rows,), or scaled quantities (rows, 1); rows without a value get 0.

        Raises
        ------
        DataError
            A class is not known, or a quantity is infinite.
        """
        known = self.known(column)
        if self.classes is None:
            values = np.where(known, numbers(column), 0.0)  # type: ignore[arg-type]
            if np.isinf(values).any():
                raise DataError(f"the target {self.name!r} of {table.source} must hold finite numbers")
            return np.asarray(scaler(self.mean, self.deviation).transform(values))[:, None]
        places = {name: i for i, name in enumerate(self.classes)}
        labels = texts(numbers(column)) if self.numeric else texts(column)  # type: ignore[arg-type]
        strange = {label for label in labels if label is not None and label not in places}
        if strange:
            raise DataError(
                f"the target {self.name!r} of {table.source} has classes that training never saw: "
                f"{listed(sorted(strange))}; known: {listed(self.classes)}"
            )
        return np.asarray([0 if label is None else places[label] for label in labels])

    def decode(self, outputs: Features) -> Features:
        """Return quantities (rows,) in their own unit from the network's outputs (rows, 1)."""
        return np.asarray(scaler(self.mean, self.deviation).inverse_transform(outputs.astype(np.float64)[:, 0]))


@dataclass(frozen=True)
class Preparation:
    """The inputs in the order of the network's features, and the target."""

    inputs: tuple[Input, ...]
    target: Target

    @property
    def width(self) -> int:
        """Number of features."""
        return sum(part.width for part in self.inputs)

    @property
    def names(self) -> tuple[str, ...]:
        """What each feature is called."""
        return tuple(name for part in self.inputs for name in part.names)

    def scaler(self) -> StandardScaler:
        """Return the scaling alone: from (rows, width) in the columns' own units to the network's inputs."""
        mean, deviation = zip(*(pair for part in self.inputs for pair in part.scales), strict=True)
        return StandardScaler(mean, deviation, (self.width,))

    def features(self, table: Table, dtype: str) -> Features:
        """Return the network's inputs, (rows, width), from columns found by name.

        Raises
        ------
        DataError
            A column is missing, is of another kind, or holds what training never saw.
        """
        table = self._matched(table)
        lacking = [part.name for part in self.inputs if part.name not in table.columns]
        if lacking:
            raise DataError(
                f"{table.source} lacks {len(lacking)} column{'s' * (len(lacking) > 1)} that the model takes: "
                f"{listed(lacking)}; it has: {listed(table.columns)}"
            )
        lengths = {part.name: len(table.columns[part.name]) for part in self.inputs}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the columns of {table.source} differ in length: {lengths}")
        filled = np.empty((next(iter(lengths.values())), self.width), dtype)
        start = 0
        for part in self.inputs:
            filled[:, start : start + part.width] = part.features(table)
            start += part.width
        return filled

    def _matched(self, table: Table) -> Table:
        """Give a model's only array the file's only array, whatever its name."""
        others = [name for name in table.columns if name != self.target.name]
        if len(self.inputs) == 1 and isinstance(self.inputs[0], Block) and len(others) == 1:
            columns = {self.inputs[0].name: table.columns[others[0]]}
            return Table(table.source, columns, table.lines, table.images)
        return table

    def describe(self) -> dict[str, Any]:
        """Return all of it as names, numbers and texts."""
        inputs = [{"kind": part.kind, **asdict(part)} for part in self.inputs]
        return {"version": VERSION, "target": asdict(self.target), "inputs": inputs}

    def to_json(self) -> str:
        """Return a text that :meth:`from_json` reads."""
        return write_json(self.describe())

    @staticmethod
    def from_json(text: str) -> Preparation:
        """Return the preparation that a text describes, every field checked.

        Raises
        ------
        CheckpointError
            The text describes none.
        """
        try:
            content = read_json(text)
            if content["version"] != VERSION:
                raise CheckpointError(f"its version is {content['version']!r}, this xpnet reads {VERSION}")
            inputs = tuple(_read_input(entry) for entry in content["inputs"])
            target = _read_target(content["target"])
            if not inputs:
                raise CheckpointError("it has no inputs")
            return Preparation(inputs, target)
        except (ArithmeticError, KeyError, TypeError, ValueError) as error:
            reason = error if isinstance(error, CheckpointError) else repr(error)
            raise CheckpointError(f"the preparation of the data cannot be read: {reason}") from error


def learn_inputs(
    table: Table, target: str, rows: Features, *, drop: Sequence[str] = (), categorical: Sequence[str] = ()
) -> tuple[tuple[Input, ...], dict[str, str]]:
    """Return what each column but the target becomes, and why others are left out, by name.

    Raises
    ------
    DataError
        A column that is named is not there, none is left, or numbers are infinite.
    """
    for name in (*drop, *categorical):
        table.column(name)
    expected = len(table.column(target))
    inputs: list[Input] = []
    left_out: dict[str, str] = {}
    for name, column in table.columns.items():
        if name == target or name in drop:
            continue
        if len(column) != expected:
            left_out[name] = f"it has {len(column)} rows, the target {expected}"
            continue
        found = learn_input(table, name, rows, name in categorical)
        if isinstance(found, str):
            left_out[name] = found
        else:
            inputs.append(found)
    if not inputs:
        reasons = "; ".join(f"{name!r} is left out: {reason}" for name, reason in left_out.items())
        raise DataError(f"{table.source} has no column to learn from beside the target. {reasons}".rstrip())
    return tuple(inputs), left_out


def learn_target(table: Table, name: str, task: str = "auto") -> tuple[Target, str]:
    """Return the target, not yet scaled, and the task's reason in words.

    Text means classes; numbers do if they are whole and few.

    Raises
    ------
    DataError
        The column is missing, or cannot be what *task* says.
    """
    column = table.column(name)
    if isinstance(column, np.ndarray) and column.ndim > 1:
        raise DataError(f"the target {name!r} must be one number or text a row; got an array of shape {column.shape}")
    values = numbers(column)
    if values is not None and np.isnan(values).all():
        raise DataError(f"the target {name!r} of {table.source} holds no values")
    if task == "regression":
        if values is None:
            raise DataError(f"the target {name!r} holds text, so it is no quantity; leave out --task regression")
        return Target(name, None), "as asked"
    if values is None:
        return _classes(name, _names_in(column), False), "as asked" if task != "auto" else "the target is text"
    different = np.unique(values[~np.isnan(values)])
    whole = bool(np.all(np.isfinite(different) & (different == np.round(different))))
    floats = isinstance(column, np.ndarray) and column.dtype.kind == "f"
    numeric = (
        floats or not whole or bool(np.abs(different).max() < EXACT)
    )  # else numbers would make one class of several
    labels = [str(text) for text in texts(different)] if numeric else _names_in(column)
    few = whole and len(labels) <= MOST_CLASSES
    if task == "classification" or (task == "auto" and few):
        if not whole:
            raise DataError(f"the target {name!r} holds fractions, so it is no class; leave out --task classification")
        reason = "as asked" if task != "auto" else f"the target has {len(labels)} different whole numbers"
        return _classes(name, labels, numeric), reason
    kind = f"{len(labels)} different whole numbers" if whole else "fractions"
    return Target(name, None), f"the target has {kind}"


def _names_in(column: Column) -> list[str]:
    return sorted({text for text in texts(column) if text is not None})


def _classes(name: str, labels: Iterable[str], numeric: bool) -> Target:
    classes = tuple(labels)
    if len(classes) < 2:
        raise DataError(f"the target {name!r} must have at least 2 classes; got {len(classes)}: {listed(classes)}")
    return Target(name, classes, numeric)


def _read_input(entry: Any) -> Input:
    kind = entry["kind"]
    if kind == Number.kind:
        return Number(_text(entry["name"]), *_scale(entry["mean"], entry["deviation"]), _flag(entry["missing"]))
    if kind == Category.kind:
        return Category(_text(entry["name"]), _names(entry["values"]))
    if kind == Block.kind:
        shape = tuple(_size(size) for size in entry["shape"])
        block = Block(_text(entry["name"]), shape, _reals(entry["mean"]), _reals(entry["deviation"]))
        if len(block.mean) != len(block.deviation) or len(block.mean) not in (1, block.width):
            raise CheckpointError(f"an array of shape {shape} cannot have {len(block.mean)} means")
        return block
    raise CheckpointError(f"an input is of the kind {kind!r}; known: {listed(KINDS)}")


def _read_target(entry: Any) -> Target:
    classes = None if entry["classes"] is None else _names(entry["classes"])
    if classes is not None and len(classes) < 2:
        raise CheckpointError("it has fewer than 2 classes")
    return Target(_text(entry["name"]), classes, _flag(entry["numeric"]), *_scale(entry["mean"], entry["deviation"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CheckpointError(f"a name must be text; got {value!r:.60}")
    return value


def _names(values: Any) -> tuple[str, ...]:
    names = tuple(_text(value) for value in values) if isinstance(values, list) else ()
    if not names or len(set(names)) < len(names):
        raise CheckpointError(f"names must be different texts; got {values!r:.60}")
    return names


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CheckpointError(f"a flag must be true or false; got {value!r:.60}")
    return value


def _size(value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**31:
        raise CheckpointError(f"a size must be a positive integer; got {value!r:.60}")
    return value


def _scale(mean: Any, deviation: Any) -> tuple[float, float]:
    first, second = _reals([mean, deviation])
    return first, second


def _reals(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or any(type(value) not in (int, float) for value in values):
        raise CheckpointError(f"statistics must be numbers; got {values!r:.60}")
    found = tuple(float(value) for value in values)
    if not all(map(isfinite, found)):
        raise CheckpointError("statistics must be finite")
    return found
