"""The preparation of data for a network: learnt in training, and stored in the model file.

It consists of names, numbers and texts only. When it is read from a file, every field is checked, so that a file
cannot refer to anything but data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import isfinite
from typing import Any

import numpy as np

from xpnet.arrays import Host
from xpnet.cli.cells import DECIMALS, PLAIN, THOUSANDS, Notation
from xpnet.cli.features import KINDS, Block, Category, Input, Number, learn_input
from xpnet.cli.tables import SHOWN, Table, listed, plural
from xpnet.cli.target import Target
from xpnet.cli.unparsed_numbers import require_parsed
from xpnet.errors import CheckpointError, DataError, nearest
from xpnet.records import record
from xpnet.scaling import StandardScaler
from xpnet.strict_json import read_json, write_json

__all__ = ["Preparation", "check_names", "learn_inputs"]

VERSION = 1


@record
class Preparation:
    """The inputs in the order of the network's features, the target, and the notation of the training file.

    Attributes
    ----------
    inputs : tuple
        What each column becomes.
    target : Target
    notation : Notation
        New data is read in this notation, unless options say otherwise.
    """

    inputs: tuple[Input, ...]
    target: Target
    notation: Notation = PLAIN

    @property
    def width(self) -> int:
        """Number of features."""
        return sum(part.width for part in self.inputs)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each feature."""
        return tuple(name for part in self.inputs for name in part.names)

    def scaler(self) -> StandardScaler:
        """Return the scaling alone: from (rows, width) in the columns' own units to the network's inputs."""
        mean, deviation = zip(*(pair for part in self.inputs for pair in part.scales), strict=True)
        return StandardScaler(mean, deviation, (self.width,))

    def features(self, table: Table, dtype: str) -> Host:
        """Return the network's inputs, (rows, width), from columns found by name.

        Raises
        ------
        DataError
            A column is missing or of another kind, or holds what training never saw or a number beyond the dtype.
        """
        self.check_columns(table)
        table = self._matched(table)
        lengths = {part.name: len(table.columns[part.name]) for part in self.inputs}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the columns of {table.source} differ in length: {lengths}")
        filled = np.empty((next(iter(lengths.values())), self.width), dtype)
        start = 0
        for part in self.inputs:
            own = filled[:, start : start + part.width]
            with np.errstate(over="ignore"):
                own[...] = part.features(table)
            beyond = ~np.isfinite(own).all(axis=1)
            if beyond.any():
                where = table.location(int(np.argmax(beyond)))
                raise DataError(f"{part.name!r} holds a number in {where} that is too large for the model's {dtype}")
            start += part.width
        return filled

    def check_columns(self, table: Table) -> None:
        """Raise DataError if the table lacks a column that the features are made of.

        What the columns hold is not looked at.
        """
        table = self._matched(table)
        lacking = [part.name for part in self.inputs if part.name not in table.columns]
        for name in lacking:
            if name in table.left_out:
                table.column(name)  # which says why it cannot be used
        if lacking:
            taken = {self.target.name, *(part.name for part in self.inputs)}
            others = [name for name in table.columns if name not in taken]
            near = [found for name in lacking if (found := nearest(name, others)) is not None]
            meant = f"did you mean {', '.join(map(repr, near[:SHOWN]))}? " if near else ""
            raise DataError(
                f"{table.source} lacks {plural(len(lacking), 'column')} that the model takes: {listed(lacking)}; "
                f"{meant}it has: {listed(table.columns)}"
            )

    def with_unknown_as_missing(self, table: Table) -> tuple[Table, dict[str, Counter[str]]]:
        """Return the table with texts that training never saw as missing values, and these texts by column."""
        columns, unknown = dict(table.columns), {}
        for part in self.inputs:
            if not isinstance(part, Category) or part.name not in table.columns:
                continue
            found = table.texts(part.name)
            strange = Counter(text for text in found if text is not None and text not in part.values)
            if strange:
                columns[part.name] = [None if text in strange else text for text in found]
                unknown[part.name] = strange
        return replace(table, columns=columns), unknown

    def _matched(self, table: Table) -> Table:
        """Return the table with its only array under the name of the model's only array."""
        others = [name for name in table.columns if name != self.target.name]
        if len(self.inputs) == 1 and isinstance(self.inputs[0], Block) and len(others) == 1:
            columns = {self.inputs[0].name: table.columns[others[0]]}
            return replace(table, columns=columns)
        return table

    def describe(self) -> dict[str, Any]:
        """Return the preparation as names, numbers and texts."""
        inputs = [{"kind": part.kind, **asdict(part)} for part in self.inputs]
        described = {"version": VERSION, "target": asdict(self.target), "inputs": inputs}
        return described | ({} if self.notation == PLAIN else {"notation": asdict(self.notation)})

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
            return Preparation(inputs, target, _read_notation(content.get("notation")))
        except (ArithmeticError, KeyError, TypeError, ValueError) as error:
            reason = error if isinstance(error, CheckpointError) else repr(error)
            raise CheckpointError(f"the preparation of the data cannot be read: {reason}") from error


def check_names(table: Table, drop: Sequence[str], categorical: Sequence[str]) -> None:
    """Raise DataError if a column to drop, or to take as categories, does not exist."""
    for name in (*drop, *categorical):
        if name not in drop or name not in table.left_out:
            table.column(name)


def learn_inputs(
    table: Table, target: str, rows: Host, *, drop: Sequence[str] = (), categorical: Sequence[str] = ()
) -> tuple[tuple[Input, ...], dict[str, str]]:
    """Return the inputs for all columns but the target, and by name why other columns are left out.

    Raises
    ------
    DataError
        A named column does not exist, no column is left, or a number is infinite.
    """
    check_names(table, drop, categorical)
    names = [name for name in table.columns if name != target and name not in drop]
    require_parsed(table, [name for name in names if name not in categorical])
    expected = len(table.column(target))
    inputs: list[Input] = []
    left_out = {name: reason for name, reason in table.left_out.items() if name not in drop}
    for name in names:
        length = len(table.columns[name])
        found: Input | str = f"it has {plural(length, 'row')}, the target {expected}"
        if length == expected:
            found = learn_input(table, name, rows, name in categorical)
        if isinstance(found, str):
            left_out[name] = found
        else:
            inputs.append(found)
    if not inputs:
        reasons = [f"{name!r} is left out: {reason}" for name, reason in list(left_out.items())[:SHOWN]]
        more = [f"and {len(left_out) - SHOWN} more"] if len(left_out) > SHOWN else []
        raise DataError(
            f"{table.source} has no column to learn from beside the target. {'; '.join(reasons + more)}".rstrip()
        )
    return tuple(inputs), left_out


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


def _read_notation(entry: Any) -> Notation:
    """Return a notation; the plain one if there is no entry."""
    if entry is None:
        return PLAIN
    decimal, thousands = entry["decimal"], entry["thousands"]
    if decimal not in DECIMALS or thousands not in ("", *THOUSANDS) or decimal == thousands:
        raise CheckpointError(f"numbers cannot be written with {decimal!r:.60} and {thousands!r:.60}")
    lists = {part: entry[part] for part in ("missing", "units")} | {"kept": entry.get("kept", [])}
    return Notation(decimal, thousands, **{part: _names(texts) if texts else () for part, texts in lists.items()})


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
