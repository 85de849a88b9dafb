"""Check targets at the edge: y as the user gives it becomes an array that a loss can compute with, or an error.

Each function takes a NumPy array, examines its values once per ``fit`` or ``evaluate``, and returns a new array or
the same one, but never changes it.
"""

from __future__ import annotations

from math import prod

import numpy as np

from xpnet.arrays import Host
from xpnet.errors import DataError, ShapeError
from xpnet.parameters import Shape

__all__ = ["MOST_INFERRED", "binary_rows", "class_targets", "count_rows", "real_rows", "sign_rows"]

UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
"""Unsigned integer types, by their size in bytes."""

MOST_INFERRED = 10_000_000
"""Most classes that are inferred from labels. Larger labels are mostly identifiers, and a number for each class would
take gigabytes."""

SUM_TOLERANCE = 1e-3
"""How far a row of class probabilities may be from summing to 1: float16 inputs still pass."""


def class_targets(y: Host, classes: int) -> Host:
    """Return labels (N,) as int32, or rows of class probabilities (N, classes) as they are.

    Raises
    ------
    ShapeError
        y has another rank, or another number of columns than there are classes.
    DataError
        A label is not integral or not in 0..classes-1; a row is negative somewhere or does not sum to 1.
    """
    if y.ndim == 2 and y.shape[1] == 1 and classes > 1:
        y = y.reshape(-1)
    if y.ndim == 1:
        return _labels(y, classes)
    if y.ndim != 2:
        raise ShapeError(
            f"y must hold class indices of shape (N,) or rows of shape (N, {classes}); got shape {y.shape}"
        )
    if y.shape[1] != classes:
        raise ShapeError(
            f"y has {y.shape[1]} columns but the network has {classes} outputs; make the last layer "
            f"Dense({y.shape[1]}), or encode y with {classes} classes"
        )
    if y.dtype.kind in "bui":
        y = y.astype(np.float32)
    off = np.abs(y.sum(axis=1) - 1.0) > SUM_TOLERANCE
    if (y < 0.0).any() or off.any():
        raise DataError(_no_probabilities(y, off))
    return y


def _no_probabilities(y: Host, off: Host) -> str:
    """Return the error message for rows that are not class probabilities, with advice by what they look like."""
    negative: Host = np.any(y < 0.0, axis=1)
    wrong = off | negative
    row = int(np.argmax(wrong))
    total = float(np.sum(y[row]))
    if negative.any():
        remedy = "for scores or other real targets use loss='mse'"
    elif not total:
        remedy = "a row of zeros names no class: drop it, or give those examples a class of their own"
    elif ((y == 0.0) | (y == 1.0)).all():
        remedy = "where an example can have several labels, or none, use loss='binary_cross_entropy'"
    else:
        remedy = "divide by the sums, y / y.sum(axis=1, keepdims=True), or for independent labels use "
        remedy += "loss='binary_cross_entropy'"
    what = f"holds {float(y[row].min()):g}" if negative[row] else f"sums to {total:g}"
    return (
        f"each row of y must hold class probabilities, none negative, summing to 1; the first wrong row, y[{row}], "
        f"{what} (wrong rows: {np.count_nonzero(wrong)} of {len(y)}); {remedy}"
    )


def _labels(y: Host, classes: int) -> Host:
    if y.dtype.kind == "b":
        return y.astype(np.int32)
    if y.dtype.kind not in "iu":
        with np.errstate(invalid="ignore"):
            odd = ~(y - np.round(y) == 0.0)  # so that an infinite label is odd too
        if odd.any():
            raise DataError(
                f"y must hold integral class indices; got {_first(y, odd)}. For real targets use loss='mse'"
            )
    if y.dtype.kind == "i" and y.dtype.isnative and classes < 1 << (8 * y.dtype.itemsize - 1):
        # As an unsigned number, a negative label is larger than any other: one comparison instead of two. For few
        # numbers, argmax is faster than max.
        seen = y.view(UNSIGNED[y.dtype.itemsize])
        if int(seen[seen.argmax()]) < classes:
            return y.astype(np.int32, copy=False)
    if int(y.min()) < 0 or int(y.max()) >= classes:
        wrong = (y < 0) | (y >= classes)
        raise DataError(
            f"y must hold class indices in 0..{classes - 1}, as the network has {classes} outputs; got "
            f"{_first(y, wrong)}. Make the last layer Dense(number of classes), and count classes from 0"
        )
    return y.astype(np.int32, copy=False)


def binary_rows(y: Host, outputs: int) -> Host:
    """Return (N, outputs) values in [0, 1].

    Raises
    ------
    ShapeError
        y is not (N, outputs), nor (N,) for one output.
    DataError
        A value is outside [0, 1].
    """
    y = real_rows(y, (outputs,))
    wrong = (y < 0) | (y > 1)
    if wrong.any():
        if ((y == -1) | (y == 1)).all():
            remedy = "labels -1 and 1 become 0 and 1 by (y + 1) / 2"
        elif outputs == 1 and (np.isfinite(y) & (y >= 0) & (y == np.round(y))).all():
            remedy = (
                "number the two labels 0 and 1: names, y = np.unique(y, return_inverse=True)"
                if len(np.unique(y)) == 2
                else "for more than two classes end the layers with Dense(classes) and use loss='cross_entropy'"
            )
        else:
            remedy = "for other quantities use loss='mse'"
        raise DataError(f"y must lie in 0..1 for loss='binary_cross_entropy'; got {_first(y, wrong)}; {remedy}")
    return y


def count_rows(y: Host, out_shape: Shape) -> Host:
    """Return targets of at least 0 shaped (N, *out_shape).

    Raises
    ------
    ShapeError
        The shape is another.
    DataError
        A value is negative.
    """
    y = real_rows(y, out_shape)
    wrong = y < 0
    if wrong.any():
        raise DataError(f"y must not be negative for loss='poisson'; got {_first(y, wrong)}")
    return y


def sign_rows(y: Host) -> Host:
    """Return (N, 1) values -1 and 1 from labels {0, 1} or {-1, 1}.

    Raises
    ------
    ShapeError
        y is not (N,) or (N, 1).
    DataError
        There are other values, or -1 beside 0.
    """
    y = real_rows(y, (1,))
    negative, zero, one = y == -1, y == 0, y == 1
    known = negative | zero | one
    if not known.all():
        raise DataError(f"y must hold -1 and 1 (or 0 and 1) for loss='hinge' with one output; got {_first(y, ~known)}")
    if negative.any() and zero.any():
        raise DataError("y mixes -1 and 0 for loss='hinge'; use -1 and 1, or 0 and 1")
    return np.where(one, np.ones_like(y), -np.ones_like(y))


def real_rows(y: Host, out_shape: Shape) -> Host:
    """Return real targets shaped (N, *out_shape); (N,) is taken for one output.

    Raises
    ------
    ShapeError
        The shape is another.
    """
    if y.dtype.kind in "bui":
        y = y.astype(np.result_type(y.dtype, np.float32))  # float64 for integers that float32 cannot hold
    if y.ndim == 1 and prod(out_shape) == 1:
        return y.reshape(-1, *out_shape)
    if y.shape[1:] != tuple(out_shape):
        expected = ", ".join(["N", *(str(n) for n in out_shape)])
        raise ShapeError(
            f"y must have shape ({expected}), as the network's outputs have; got {y.shape}. "
            f"{_shape_remedy(y.shape, tuple(out_shape))}"
        )
    return y


def _shape_remedy(shape: Shape, out_shape: Shape) -> str:
    """Say how to make targets of this shape and outputs of *out_shape* fit."""
    if len(out_shape) > 1 and len(shape) <= len(out_shape):
        return "Dense acts on the last axis alone: put Flatten() before it, if an output for each example is meant"
    if prod(shape[1:]) == prod(out_shape):
        return f"Its rows have the same size: y.reshape({', '.join(map(str, (-1, *out_shape)))})"
    if len(shape) > 2:
        return "Give a row for each example"
    columns = shape[1] if len(shape) == 2 else 1
    classes = "; for class indices use loss='cross_entropy'" if columns == 1 else ""
    return f"Make the last layer Dense({columns}){classes}"


def _first(y: Host, wrong: Host) -> str:
    """Return the first wrong value and its place, for the message."""
    place = np.argwhere(wrong)[0].tolist()
    value = y[tuple(place)]
    if y.shape[1:] == (1,):  # a column that the user may have given as (N,)
        del place[1]
    return f"{value} at y[{', '.join(map(str, place))}]"
