"""Regression metrics of whole sets of predictions, computed on the host.

These take whole sets of targets and predictions, as lists, NumPy, pandas or any library's arrays, bring each
to NumPy once and return plain numbers. The first argument is always the truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet.arguments import explains_arguments
from xpnet.arrays import to_host
from xpnet.errors import DataError, ShapeError
from xpnet.metrics.inputs import Reals, require_filled, sample_weights

__all__ = ["mean_absolute_error", "mean_squared_error", "r2"]


@explains_arguments
def mean_squared_error(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return ``mean((y_true - y_pred)**2)``, over samples (weighted) and outputs (evenly).

    Shapes: y_true and y_pred, both (n,) or both (n, outputs), never one of each, which would compare all
    with all; sample_weight (n,). The result has the unit of y squared.

    Raises
    ------
    ShapeError
        The shapes differ.
    DtypeError
        An argument does not hold real numbers.
    DataError
        They are empty or not finite, or the weights are unusable.

    Examples
    --------
    >>> mean_squared_error([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    true, predicted, weights = _regression(y_true, y_pred, sample_weight)
    return float(np.mean(np.average((true - predicted) ** 2, axis=0, weights=weights)))


@explains_arguments
def mean_absolute_error(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return ``mean(|y_true - y_pred|)``, over samples (weighted) and outputs (evenly).

    Shapes: y_true and y_pred, both (n,) or both (n, outputs); sample_weight (n,). The result has the unit
    of y.

    Raises
    ------
    ShapeError, DtypeError, DataError
        As for `mean_squared_error`.

    Examples
    --------
    >>> mean_absolute_error([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    true, predicted, weights = _regression(y_true, y_pred, sample_weight)
    return float(np.mean(np.average(np.abs(true - predicted), axis=0, weights=weights)))


@explains_arguments
def r2(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the share of the variance explained: ``1 - sum((y - p)**2) / sum((y - mean(y))**2)``.

    1 is perfect, 0 as good as always predicting the mean, and it has no lower end. Several outputs are
    averaged evenly.

    Shapes: y_true and y_pred, both (n,) or both (n, outputs); sample_weight (n,).

    Raises
    ------
    ShapeError, DtypeError
        As for `mean_squared_error`.
    DataError
        As for `mean_squared_error`; or an output of y_true is constant, so that there is no variance.

    Examples
    --------
    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """
    true, predicted, weights = _regression(y_true, y_pred, sample_weight)
    counted = weights > 0
    true, predicted, weights = true[counted], predicted[counted], weights[counted]
    # Compared by value: the variance of a constant is often a rounding error instead of 0.
    if np.any(np.min(true, axis=0) == np.max(true, axis=0)):
        raise DataError(
            "y_true is constant (in at least one output), so it has no variance and r2 is not defined; "
            "use mean_squared_error, or evaluate on more data."
        )
    spread = true - np.average(true, axis=0, weights=weights)
    # By a power of two, which is exact, both come to a size whose square neither overflows nor underflows.
    _, exponent = np.frexp(np.max(np.abs(spread), axis=0))
    squares = (np.ldexp(difference, -exponent) ** 2 for difference in (true - predicted, spread))
    unexplained, total = (np.average(square, axis=0, weights=weights) for square in squares)
    return float(np.mean(1.0 - unexplained / total))


def _regression(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Reals, Reals, Reals]:
    true, predicted = to_host(y_true, "y_true", real=True), to_host(y_pred, "y_pred", real=True)
    if true.shape != predicted.shape:
        raise ShapeError(
            f"y_true and y_pred must have one shape; got {true.shape} and {predicted.shape}; "
            "reshape one of them (`y.reshape(-1)` drops a last axis of one)."
        )
    if true.ndim < 1:
        raise ShapeError("y_true and y_pred must have one value per sample; got a single value each (shape ()).")
    for array, name in ((true, "y_true"), (predicted, "y_pred")):
        require_filled(array, name)
        if not np.all(np.isfinite(array)):
            raise DataError(f"{name} holds NaN or infinities; drop those samples, or see why the model gives them.")
    return true.astype(np.float64), predicted.astype(np.float64), sample_weights(sample_weight, len(true))
