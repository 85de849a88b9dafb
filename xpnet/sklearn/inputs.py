"""Arrays of scikit-learn users: check them by its rules, compute in their library, and return results in it."""

from __future__ import annotations

from itertools import islice
from typing import Any

import array_api_compat
import numpy as np
from sklearn import get_config
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import _check_sample_weight, validate_data

from xpnet.arrays import Host, require_real, to_host
from xpnet.backend import BFLOAT16, Array, Backend, open_backend
from xpnet.errors import DataError, DtypeError, ShapeError
from xpnet.remedies import MOST_EXAMINED, ragged_remedy

__all__ = [
    "dense_targets",
    "host_values",
    "is_foreign",
    "open_for",
    "take_features",
    "take_targets",
    "take_weights",
    "to_library_of",
]


def is_foreign(values: Any) -> bool:
    """Say whether *values* are an array of another library than NumPy."""
    return not isinstance(values, np.ndarray | np.generic) and bool(array_api_compat.is_array_api_obj(values))


def host_values(values: Any, argument: str) -> Any:
    """Return arrays of other libraries as NumPy's, and anything else as it is, for scikit-learn to check."""
    return to_host(values, argument) if is_foreign(values) else values


def dense_targets(y: Any) -> Any:
    """Return y on the host, a sparse one made dense, and anything else as it is, for scikit-learn to check."""
    y = host_values(y, "y")
    return y.toarray() if hasattr(y, "toarray") else y


def take_features(estimator: Any, X: Any, *, reset: bool) -> Array:
    """Return X (N, features), dense and finite: in its own library where it is an array, else NumPy's.

    Raises
    ------
    ShapeError
        It is a tuple of a scaler and an array, as xpnet's scalers give.
    ValueError, TypeError
        By scikit-learn's rules, or its counterpart of ours for other libraries' arrays.
    """
    if isinstance(X, tuple) and X and hasattr(X[0], "transform"):
        raise ShapeError(f"X must be an array (samples, features); got a tuple; {ragged_remedy(X)}")
    if not is_foreign(X):
        options = {"accept_sparse": ("csr", "csc"), "dtype": (np.float64, np.float32, np.float16)}
        found = validate_data(estimator, X, reset=reset, **options)
        found = found.toarray() if hasattr(found, "toarray") else found
        return found.astype(np.float32) if found.dtype == np.float16 else found
    xp = array_api_compat.array_namespace(X)
    require_real(X, xp, "X")
    if len(X.shape) != 2 or 0 in X.shape:
        raise ShapeError(f"X must have shape (samples, features) with at least one of each; got {tuple(X.shape)}")
    if xp.isdtype(X.dtype, "real floating") and not bool(xp.all(xp.isfinite(X))):
        raise DataError("X contains NaN or infinity; drop or fill those rows")
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    return X


def take_targets(estimator: Any, y: Any, rows: int, *, numeric: bool) -> Host:
    """Return y (N,) or (N, outputs) on the host, as numbers if *numeric*.

    Raises
    ------
    ValueError
        It is missing, has another length, or holds NaN or infinity.
    DtypeError
        It is text, where numbers are wanted.
    """
    if y is None:
        raise DataError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    y = check_array(dense_targets(y), ensure_2d=False, dtype=None, input_name="y", estimator=estimator)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    check_consistent_length(np.empty(rows), y)
    if numeric and any(isinstance(item, str | bytes) for item in islice(y.flat, MOST_EXAMINED)):
        raise DtypeError(
            f"y must hold real numbers for {type(estimator).__name__}; got text, such as {y.flat[0]!r}: for labels "
            "use a classifier, and np.asarray(y, dtype=float) makes numbers of text that is a number"
        )
    targets: Host = y.astype(np.float64) if numeric and y.dtype.kind == "O" else y
    return targets


def take_weights(sample_weight: Any, rows: int) -> Host | None:
    """Return sample weights (N,) on the host, or None."""
    if sample_weight is None:
        return None
    given = host_values(sample_weight, "sample_weight")
    weights: Host = _check_sample_weight(given, np.empty((rows, 1)))
    return weights


def open_for(estimator: Any, X: Array) -> Backend:
    """Open the estimator's backend; without one, that of the library and device of X, in X's dtype."""
    dtype, device, precision = estimator.dtype, estimator.device, estimator.precision
    if isinstance(estimator.backend, Backend):
        return open_backend(estimator.backend, device=device, dtype=dtype, precision=precision)
    if dtype is None:
        dtype = "float32" if precision == BFLOAT16 else _dtype(X)
    if estimator.backend is not None:
        return open_backend(estimator.backend, device=device, dtype=dtype, precision=precision)
    if is_foreign(X) and device is None:
        device = array_api_compat.device(X)
    return open_backend(_library(X), device=device, dtype=dtype, precision=precision)


def check_same_library(estimator: Any, X: Array, method: str) -> None:
    """Refuse X of another library than in ``fit`` if scikit-learn's array API dispatch is on.

    That is its rule for estimators that compute in the library of their data. With a named backend, or without
    dispatch, X is converted.
    """
    if estimator.backend is None and get_config()["array_api_dispatch"]:
        fitted = estimator.network_.backend.name
        if _library(X) != fitted:
            name = type(estimator).__name__
            raise DataError(
                f"Inputs passed to {name}.{method}() must use the same namespace and the same device as those passed "
                f"to fit(): that was {fitted}, this is {_library(X)}. Convert X, or give {name}(backend=...), which "
                "converts"
            )


def to_library_of(array: Array, backend: Backend, X: Array) -> Array:
    """Return what a backend computed from X as an array of X's library, on its device."""
    if not is_foreign(X):
        return np.array(backend.to_numpy(array))
    xp, device = array_api_compat.array_namespace(X), array_api_compat.device(X)
    if is_foreign(array) and array_api_compat.array_namespace(array) is xp and array_api_compat.device(array) == device:
        return array
    return xp.asarray(np.array(backend.to_numpy(array)), device=device)


def _library(X: Array) -> str:
    """Return the name of the backend for X's library: that of its module."""
    name: str = array_api_compat.array_namespace(X).__name__
    return name.removeprefix("array_api_compat.").partition(".")[0].replace("_", "-")


def _dtype(X: Array) -> str:
    """Return float32 for floating dtypes of up to 32 bits, and float64 for all others, as scikit-learn does."""
    xp = array_api_compat.array_namespace(X)
    narrow = xp.isdtype(X.dtype, "real floating") and xp.finfo(X.dtype).bits <= 32
    return "float32" if narrow else "float64"
