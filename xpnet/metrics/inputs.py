"""Check predictions, scores and true labels before a metric is computed from them on the host."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xpnet.arrays import to_host
from xpnet.checks import check_integer
from xpnet.errors import DataError, ShapeError
from xpnet.targets import MOST_INFERRED

Labels: TypeAlias = npt.NDArray[np.int64]
Reals: TypeAlias = npt.NDArray[np.float64]


def require_filled(array: npt.NDArray[Any], name: str) -> None:
    """Raise DataError if *array* is empty."""
    if not array.size:
        raise DataError(f"{name} is empty: its shape is {array.shape}; there is nothing to measure.")


def class_labels(value: Any, name: str) -> Labels:
    """Return labels (n,) as int64, or raise what `accuracy` documents."""
    host = to_host(value, name, real=True)
    if host.ndim != 1:
        remedy = "take argmax over the last axis of scores or one-hot labels, and reshape(-1) a single column"
        if _are_indicators(host):
            remedy = (
                "its rows hold any number of labels as 0 and 1, which are not taken at once; call it for each column, "
                "with y_true[:, j] and that column of the predictions"
            )
        raise ShapeError(f"{name} must be one label per sample, shape (n,); got {host.shape}; {remedy}.")
    require_filled(host, name)
    if host.dtype.kind == "f" and not np.all(np.isfinite(host) & (host == np.floor(host))):
        raise DataError(
            f"{name} must hold whole numbers, but some are fractional, NaN or infinite; "
            "turn scores into classes first (argmax, or score > 0.5)."
        )
    # Two labels that int64 cannot hold would otherwise wrap to the same number.
    if host.dtype.kind in "uf" and np.any(np.abs(host) >= 2.0**63):
        raise DataError(f"{name} must hold class numbers, but it reaches {host.max()}.")
    return host.astype(np.int64)


def _are_indicators(host: npt.NDArray[Any]) -> bool:
    """Say whether the rows are indicators of several labels: 0 and 1, and not all one-hot."""
    if host.ndim != 2 or host.shape[1] < 2 or not np.all((host == 0) | (host == 1)):
        return False
    return bool(np.any(np.sum(host, axis=1) != 1))


def label_pair(y_true: Any, y_pred: Any) -> tuple[Labels, Labels]:
    """Return two equally long sets of labels (n,)."""
    true, predicted = class_labels(y_true, "y_true"), class_labels(y_pred, "y_pred")
    if len(true) != len(predicted):
        raise ShapeError(
            f"y_true and y_pred must be equally long; got {len(true)} and {len(predicted)} labels; "
            "predict the same samples."
        )
    return true, predicted


def class_count(true: Labels, predicted: Labels, classes: Any) -> int:
    """Return *classes*, or the largest label plus one, after checking both sets of labels against it."""
    if classes is None:
        count = int(max(true.max(), predicted.max())) + 1
        allowed = "classes numbered from 0"
        if count > MOST_INFERRED:
            raise DataError(
                f"the labels reach {count - 1}, which would make as many classes; number the classes from 0 "
                "(`np.unique(labels, return_inverse=True)`)."
            )
    else:
        count = check_integer("classes", classes)
        allowed = f"{count} classes"
    for labels, name in ((true, "y_true"), (predicted, "y_pred")):
        require_range(labels, name, max(count, 1), allowed)
    return count


def require_range(labels: Labels, name: str, classes: int, reason: str) -> None:
    """Raise DataError unless every label is in 0..classes-1; *reason* says where the limit comes from."""
    smallest, largest = int(labels.min()), int(labels.max())
    if smallest < 0 or largest >= classes:
        signs = smallest == -1 and bool(np.all(np.abs(labels) == 1))
        remedy = f"; -1 and 1 become the classes 0 and 1 by ({name} + 1) // 2" if signs else ""
        raise DataError(
            f"{name} must lie in 0..{classes - 1} for {reason}; it reaches from {smallest} to {largest}{remedy}."
        )


def score_table(value: Any, samples: int, *, name: str = "scores", axes: int = 2) -> Reals:
    """Return scores (n, classes), or (n,) with one axis, as float64; raise DataError for NaN."""
    host = to_host(value, name, real=True)
    expected = f"({samples}, classes)" if axes == 2 else f"({samples},)"
    if host.ndim != axes or len(host) != samples:
        raise ShapeError(f"{name} must have shape {expected} for {samples} labels in y_true; got {host.shape}.")
    require_filled(host, name)
    if np.any(np.isnan(host)):
        raise DataError(f"{name} holds NaN, which has no rank; see why the model gives it.")
    return host.astype(np.float64)


def sample_weights(value: Any, samples: int) -> Reals:
    """Return weights (n,) as float64; all are 1 if none are given."""
    if value is None:
        return np.ones(samples)
    host = to_host(value, "sample_weight", real=True)
    if host.shape != (samples,):
        raise ShapeError(f"sample_weight must have shape ({samples},), one per sample; got {host.shape}.")
    if not np.all(np.isfinite(host) & (host >= 0)) or not np.any(host > 0):
        raise DataError("sample_weight must be finite, not negative, and positive for at least one sample.")
    return host.astype(np.float64)
