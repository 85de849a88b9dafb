"""The edge: what users bring (lists, frames, any library's arrays) becomes an array or a clear error.

Nothing behind this module converts, and nothing here changes what it was given.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.errors import DataError, DtypeError, ShapeError

if TYPE_CHECKING:
    from xpnet.backend import Array, Backend
    from xpnet.parameters import Shape

__all__ = ["Host", "check_features", "check_finite", "check_lengths", "host_array", "take_in"]

Host = np.ndarray[Any, Any]

REAL_KINDS = "fiub"
CHUNK = 1 << 24
"""Elements of a memory-mapped array that are looked at in one go."""


def take_in(values: Any, backend: Backend, argument: str) -> Array:
    """Return *values* as a NumPy array, or as the backend's own where another library holds them.

    Raises
    ------
    DataError
        They are ragged, masked, a scalar, or an array that no library but its own can read.
    DtypeError
        They are text, objects, complex or sparse.
    """
    if hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray | np.generic):
        try:
            array = backend.asarray(values)
        except Exception as error:  # each library has its own for "not on my device"
            raise DataError(
                f"{argument} is a {type(values).__module__}.{type(values).__qualname__} that backend {backend.name!r} "
                f"on {backend.device} cannot read ({error}); convert it to NumPy first, or use its own backend"
            ) from error
        if not backend.xp.isdtype(array.dtype, ("bool", "integral", "real floating")):
            raise DtypeError(f"{argument} must hold real numbers; got dtype {array.dtype}")
        if not array.shape:
            raise ShapeError(f"{argument} must be an array with one row for each example; got a single number")
        return array
    return host_array(values, argument)


def host_array(values: Any, argument: str) -> Host:
    """Return *values* as a NumPy array of real numbers, memory-mapped ones as they are.

    Raises
    ------
    DataError, DtypeError
        As :func:`take_in`.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise DataError(f"{argument} is a masked array; fill or drop what is masked first")
    if hasattr(values, "toarray"):
        raise DtypeError(f"{argument} is a sparse {type(values).__name__}; use {argument}.toarray()")
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    try:
        array: Host = np.asanyarray(values)
        if array.dtype.kind == "O":
            array = np.asarray(array, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise DtypeError(
            f"{argument} must be an array of real numbers, all rows of one length; got {type(values).__name__} "
            f"({error}). Encode text as numbers first"
        ) from error
    if array.dtype.kind not in REAL_KINDS:
        remedy = "use its real part" if array.dtype.kind == "c" else "encode text or labels as numbers first"
        raise DtypeError(f"{argument} must hold real numbers; got dtype {array.dtype}: {remedy}")
    if not array.shape:
        raise ShapeError(f"{argument} must be an array with one row for each example; got a single number")
    return array


def check_features(x: Array, in_shape: Shape, argument: str = "x") -> None:
    """Raise ShapeError unless *x* is (N, *in_shape), DataError where it is empty."""
    if tuple(x.shape[1:]) != tuple(in_shape):
        expected = ", ".join(["N", *(str(n) for n in in_shape)])
        remedy = (
            "pass a batch: x[None]" if tuple(x.shape) == tuple(in_shape) else "reshape x, or build a network for it"
        )
        raise ShapeError(
            f"{argument} must have shape ({expected}), as the network was built for; got {tuple(x.shape)}; {remedy}"
        )
    if not prod(x.shape):
        raise DataError(f"{argument} must hold at least one example; got shape {tuple(x.shape)}")


def check_lengths(x: Array, other: Array, argument: str) -> None:
    """Raise ShapeError unless *other* has as many rows as *x*."""
    if x.shape[0] != other.shape[0]:
        raise ShapeError(
            f"{argument} must have one entry for each row of x: expected {x.shape[0]}, got {other.shape[0]}"
        )


def check_finite(values: Array, backend: Backend, argument: str) -> None:
    """Raise DataError where *values* hold NaN or infinity. Waits for the device."""
    if isinstance(values, np.ndarray):
        finite = _all_finite(values)
    elif backend.xp.isdtype(values.dtype, "real floating"):
        xp = backend.xp
        finite = bool(backend.to_numpy(backend.compile(lambda array: xp.all(xp.isfinite(array)))(values)))
    else:
        finite = True
    if not finite:
        raise DataError(
            f"{argument} holds NaN or infinity; drop or fill those rows, or pass check_finite=False to Network "
            "to train on them anyway"
        )


def _all_finite(values: Host) -> bool:
    """Look through a host array, a memory-mapped one in pieces; a finite sum settles it in one pass."""
    if values.dtype.kind != "f":
        return True
    rows = max(CHUNK // max(prod(values.shape[1:]), 1), 1)
    for start in range(0, len(values), rows):
        part = values[start : start + rows]
        with np.errstate(over="ignore", invalid="ignore"):
            settled = np.isfinite(part.sum(dtype=part.dtype))
        if not settled and not np.isfinite(part).all():
            return False
    return True
