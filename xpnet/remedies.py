"""Advice in error messages about data that does not fit: what the data looks like, and how to fix it.

These functions are called when an error is certain, so they may read the data again.
"""

from __future__ import annotations

from collections.abc import Sized
from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import islice
from math import prod
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arrays import LARGEST, Host, to_host
from xpnet.errors import ShapeError, XpnetError

if TYPE_CHECKING:
    from xpnet.backend import Array
    from xpnet.parameters import Shape

__all__ = [
    "clearer_shape_error",
    "column_label",
    "length_remedy",
    "not_finite_message",
    "object_remedy",
    "ragged_remedy",
    "real_remedy",
    "weight_remedy",
    "x_remedy",
]

MOST_EXAMINED = 1000
"""Elements of an array of text that are examined; it may be memory-mapped."""


def not_finite_message(
    values: Host, argument: str, first: tuple[int, ...], dtype: str, remedy: str | None, given: Any = None
) -> str:
    """Return the message for numbers that are not finite in *dtype*: which, how many, the *first*, and what to do.

    A memory-mapped array is not read as a whole. Where the values were *given* as a data frame, the column is named.
    Without a *remedy*, the advice is for training examples.

    >>> not_finite_message(np.array([1.0, np.nan]), "0.bias", (1,), "float32", "fix it")
    '0.bias holds NaN: the first is 0.bias[1] = nan (1 of 2 values); fix it'
    """
    mapped = isinstance(values, np.memmap)
    limit = np.longdouble(LARGEST[dtype])  # of the widest type, which smaller ones are compared in without a warning
    seen = values[first] if mapped else values
    bad = {
        "NaN": np.isnan(seen),
        "+inf": np.isposinf(seen),
        "-inf": np.isneginf(seen),
        f"numbers beyond {dtype}": np.isfinite(seen) & (np.abs(seen) > limit),
    }
    found = {kind: int(np.count_nonzero(where)) for kind, where in bad.items() if np.any(where)}
    counts = [f"{n} {kind}" for kind, n in found.items()] if len(found) > 1 else list(map(str, found.values()))
    amount = f"{' and '.join(counts)} of {values.size} values"
    if values.ndim > 1 and not mapped:
        rows = np.any(np.stack(list(bad.values())), axis=(0, *range(2, values.ndim + 1)))
        amount += f", in {np.count_nonzero(rows)} of {len(values)} rows"
    place = f"{argument}[{', '.join(map(str, first))}]{column_label(given, first)}" if first else argument
    value = f"{values[first]:.4g}{'' if mapped else f' ({amount})'}"
    return (
        f"{argument} holds {' and '.join(found)}: the first is {place} = {value}; "
        f"{remedy or _not_finite_remedy(argument, values[first], dtype)}"
    )


def _not_finite_remedy(argument: str, value: Any, dtype: str) -> str:
    """Say what to do about examples with such a *value*."""
    if np.isfinite(value):
        return "scale them first" + (", or make the network with dtype='float64'" if dtype == "float32" else "")
    if not np.isnan(value):
        remedy = "drop or correct those rows; dividing by 0 and log(0) give infinity"
    elif argument == "x":
        remedy = "drop those rows, or fill them, such as by np.where(np.isnan(x), np.nanmean(x, axis=0), x)"
    else:
        remedy = "drop those rows"
    return f"{remedy}. Network(..., check_finite=False) lets them through"


def real_remedy(array: Array, argument: str) -> str:
    """Say how to turn an array of text, dates, records, objects or complex numbers into real numbers.

    >>> real_remedy(np.array(["1.5", "2"]), "y")
    'its text looks like numbers, which np.asarray(y, dtype=float) makes of it'
    >>> real_remedy(np.array(["cat", "dog"]), "y")
    'number text labels first: names, y = np.unique(y, return_inverse=True)'
    """
    if argument.startswith("curve "):
        return "give numbers, such as history['loss'] holds; float('nan') leaves a gap"
    name = argument.rpartition(" ")[2]
    if "complex" in str(array.dtype):
        return "use its real part"
    if array.dtype.names:
        return f"put its fields side by side: numpy.lib.recfunctions.structured_to_unstructured({name})"
    if array.dtype.kind == "M":
        return f"count days from one of yours: ({name} - np.datetime64('2000-01-01')) / np.timedelta64(1, 'D')"
    if array.dtype.kind == "m":
        return f"count days: {name} / np.timedelta64(1, 'D')"
    items = list(islice(array.flat, MOST_EXAMINED))
    texts = [item for item in items if isinstance(item, str | bytes)]
    if not texts:
        numbers = all(item is None or isinstance(item, Number) for item in items)
        remedy = f"np.asarray({name}, dtype=float) makes None NaN; then fill these, or drop those rows"
        return remedy if numbers else "make numbers of them first"
    if not array.ndim:
        return "if that is a file, read it first, such as by np.loadtxt(path, delimiter=',')"
    if all(map(_is_number, texts)):
        return f"its text looks like numbers, which np.asarray({name}, dtype=float) makes of it"
    if argument.startswith("weight "):
        return "give what get_weights() gives: numbers"
    if name in ("x", "X") or prod(array.shape[1:]) > 1:
        return (
            "make columns of 0 and 1 of text and categories, by pandas.get_dummies(frame) or scikit-learn's "
            "OneHotEncoder, and fill missing values"
        )
    if name.startswith("y_"):
        return (
            "number text labels by one list, names = np.unique(y_true): np.searchsorted(names, y_true) and "
            "np.searchsorted(names, y_pred)"
        )
    lacking = "drop rows without a label, and " if len(texts) < len(items) else ""
    return f"{lacking}number text labels first: names, {name} = np.unique({name}, return_inverse=True)"


def object_remedy(array: Host) -> str:
    """Say how to turn an array of objects that holds dates or spans of time into real numbers; empty for all else.

    >>> object_remedy(np.array([1.5, datetime(2020, 1, 1)], dtype=object))
    'count days from one of yours: (column - datetime.datetime(2000, 1, 1)) / datetime.timedelta(days=1)'
    """
    odd = next((item for item in array.flat if not isinstance(item, Number)), None)
    day = "/ datetime.timedelta(days=1)"
    if isinstance(odd, timedelta):
        return f"count days: column {day}"
    if isinstance(odd, datetime) and odd.tzinfo is not None:
        first = "datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)"
        return f"count days from one of yours: (column - {first}) {day}"
    if isinstance(odd, date):  # a datetime, too
        kind = "datetime" if isinstance(odd, datetime) else "date"
        return f"count days from one of yours: (column - datetime.{kind}(2000, 1, 1)) {day}"
    return ""


def _is_number(text: str | bytes) -> bool:
    with suppress(ValueError):
        float(text)
        return True
    return False


def ragged_remedy(values: Any) -> str:
    """Say how to turn a ragged sequence into an array.

    >>> ragged_remedy([[1.0, 2.0], [1.0]])
    'give every row one length'
    """
    if not isinstance(values, tuple):
        return "give every row one length"
    if hasattr(values[0], "transform"):
        return f"fit_transform gives (scaler, x): write scaler, x = {type(values[0]).__name__}().fit_transform(x)"
    return f"give one array, not {len(values)}"


def length_remedy(shape: Shape, other: Shape) -> str:
    """Say what was probably meant by x of this shape and an array with another number of rows; may be empty.

    >>> length_remedy((8, 4), (2, 4))
    '; it is as wide as x: where it comes from split, write x, y, x_test, y_test = split(x, y)'
    >>> length_remedy((8, 1), (1, 8))
    '; it is a single row of 8: give its .reshape(-1)'
    """
    if other == (1, *shape[:1]):
        return f"; it is a single row of {shape[0]}: give its .reshape(-1)"
    if len(shape) == 2 and shape[1] == other[0]:
        return "; x has as many columns, so it looks transposed: x.T"
    if shape[1:] == other[1:] and prod(shape[1:]) > 1:
        return "; it is as wide as x: where it comes from split, write x, y, x_test, y_test = split(x, y)"
    return ""


def x_remedy(shape: Shape, in_shape: Shape) -> str:
    """Say what was probably meant by x of this shape, for a network built for *in_shape*.

    >>> x_remedy((4,), (4,))
    'for a single example give a batch of one: x[None]'
    >>> x_remedy((7, 2, 2), (4,))
    'its rows have the same size: x.reshape(-1, 4)'
    """
    if shape == in_shape:
        return "for a single example give a batch of one: x[None]"
    if len(shape) == 1 and in_shape == (1,):
        return "a single feature is a column: x[:, None]"
    if len(shape) == 2 and shape[:1] == in_shape:
        return "examples are rows here, so it looks transposed: x.T"
    if len(shape) > 1 and prod(shape[1:]) == prod(in_shape):
        return f"its rows have the same size: x.reshape(-1, {', '.join(map(str, in_shape))})"
    return "give the features that it was built for, in their order, or make a new network for these"


def clearer_shape_error(error: XpnetError, x: Any, y: Any, in_shape: Shape | None) -> XpnetError:
    """Return *error*, about the shape of x, or a clearer one if x and y look swapped or x lacks an axis.

    *in_shape* is that of one input, None for a network that has seen no data.
    """
    shape, others = tuple(x.shape), _shape_of(y)
    classes = len(shape) == 1 and len(others) == 2 and _integral(x)
    swapped = classes if in_shape is None else others[1:] == in_shape and bool(others)
    if swapped:
        return ShapeError(
            f"x has shape {shape} and y has shape {others}: they look swapped. x comes first, with a row of features "
            "for each example, then y, with its target"
        )
    if in_shape is None and len(shape) == 1:
        return ShapeError(
            f"x must have shape (N, features); got {shape}: for {shape[0]} examples of one feature give x[:, None], "
            f"for one example of {shape[0]} features x[None, :]"
        )
    return error


def _shape_of(values: Any) -> Shape:
    shape: Shape = ()
    with suppress(Exception):  # what is wrong with y is reported later
        shape = tuple(np.shape(values))
    return shape


def _integral(values: Any) -> bool:
    host = to_host(values)
    return host.dtype.kind in "biu" or bool(np.all(host == np.round(host)))


def column_label(values: Any, place: tuple[int, ...]) -> str:
    """Return, for the message, the name of the column of a place in a data frame; empty for all else.

    >>> column_label([[1.0, 2.0]], (0, 1))
    ''
    """
    names = getattr(values, "column_names", getattr(values, "columns", None))  # those of pyarrow, pandas and polars
    if len(place) != 2 or not isinstance(names, Sized) or place[1] >= len(names):
        return ""
    name = list(names)[place[1]]  # type: ignore[call-overload]
    return f" (column {name!r})" if isinstance(name, str | int | tuple) else ""


def weight_remedy(expected: Shape, given: Shape) -> str:
    """Say how to give a weight the expected shape.

    >>> weight_remedy((6,), (1, 6))
    'reshape it: .reshape(6)'
    """
    if len(given) == 2 and given[::-1] == expected:
        return "it is transposed, as PyTorch's Linear keeps it (outputs, inputs): give its .T"
    if prod(given) == prod(expected):
        return f"reshape it: .reshape({', '.join(map(str, expected))})"
    return "net.get_weights() shows what fits; for other sizes change the layers"
