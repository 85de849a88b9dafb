"""Conversion at the edge: what users pass (lists, frames, any library's arrays) becomes an array or a clear error.

Nothing behind this module converts, and nothing here changes the objects that it is given.
"""

from __future__ import annotations

from math import isfinite, prod
from numbers import Number
from typing import Any

import numpy as np

from xpnet.backend import Array, Backend
from xpnet.errors import DataError, DtypeError, ShapeError
from xpnet.parameters import Shape
from xpnet.records import record

__all__ = [
    "Host",
    "as_real_array",
    "check_features",
    "check_finite",
    "check_lengths",
    "default_dtype",
    "needs_no_checks",
    "open_array",
    "portable",
    "require_real",
    "require_samples",
    "take_rows",
    "to_host",
]

Host = np.ndarray[Any, Any]

REAL_KINDS = "fiub"

PORTABLE = "?bhilqBHILQfd"
"""NumPy's type characters of the dtypes that every library takes: booleans, integers, float32 and float64."""
LARGEST = {
    key: float(np.finfo(name).max) for name in ("float16", "float32", "float64") for key in (name, np.dtype(name).char)
}
"""The largest finite number of each floating dtype, by its name and by NumPy's type character."""

CHUNK = 1 << 24
"""Elements of a memory-mapped array that are read at a time."""


def needs_no_checks(x: Any, backend: Backend, in_shape: Shape | None) -> bool:
    """Say quickly whether every check of x would pass, so that a prediction for a few rows can skip them.

    This is so for a NumPy array of the backend's dtype and shape (N, *in_shape), whose sum of squares is finite.
    """
    return (
        type(x) is np.ndarray
        and x.dtype == backend.dtype
        and x.shape[1:] == in_shape
        and 0 < x.size <= CHUNK
        and isfinite(np.vdot(x, x))
    )


def as_real_array(values: Any, backend: Backend, argument: str, *, rows: bool = True) -> Array:
    """Return real *values* as a NumPy array, or as the backend's own array if they are another library's.

    Raises
    ------
    ShapeError
        They are ragged, or a single number although *rows* are expected.
    DataError
        They are masked, or an array that only its own library can read.
    DtypeError
        They are text, objects that are not numbers, complex or sparse.
    """
    if type(values) is np.ndarray and values.dtype.kind in REAL_KINDS and values.ndim:
        return values
    if hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray | np.generic):
        try:
            array = backend.asarray(_resolved(values))
        except Exception as error:  # each library has its own for "not on my device"
            remedy = "convert it to NumPy first"
            if "bfloat16" in str(getattr(values, "dtype", "")):
                own = ".float()" if hasattr(values, "float") else ".astype('float32')"
                remedy = f"NumPy has no bfloat16: convert it to float32 first, {argument}{own}"
            raise DataError(
                f"{argument} is a {type(values).__module__}.{type(values).__qualname__} that backend {backend.name!r} "
                f"on {backend.device} cannot read ({error}); {remedy}, or use its own backend"
            ) from error
        require_real(array, backend.xp, argument)
    else:
        array = to_host(values, argument, real=True)
    if rows and not array.shape:
        raise ShapeError(f"{argument} must be an array with one row for each example; got a single number")
    return array


def to_host(values: Any, argument: str = "array", *, real: bool = False) -> Host:
    """Return *values* as a NumPy array in main memory, a memory-mapped one as it is.

    *values* may have any shape, and be numbers, sequences, pandas or polars objects, or arrays of any library on any
    device. The result may share memory with *values*, so it must not be written to. bfloat16 becomes float32, which
    can hold each of its values. With *real*, objects that are numbers become float64, and all else that is not a real
    number is refused.

    Raises
    ------
    ShapeError
        *values* are a ragged sequence.
    DataError
        They are a masked array with masked entries.
    DtypeError
        They are sparse, or their library refuses to hand them over; with *real*, they are text, complex or
        objects that are no numbers.

    Examples
    --------
    >>> to_host([[1, 2], [3, 4]])
    array([[1, 2],
           [3, 4]])
    """
    if isinstance(values, np.ndarray) and np.any(getattr(values, "mask", False)):
        raise DataError(f"{argument} has masked entries; fill them (`.filled(...)`) or drop those rows")
    if hasattr(values, "toarray"):
        raise DtypeError(f"{argument} is a sparse {type(values).__name__}; give its .toarray()")
    try:
        host: Host = values if isinstance(values, np.memmap) else np.asarray(_off_device(values))
    except ValueError as error:
        from xpnet.remedies import ragged_remedy

        raise ShapeError(f"{argument} is not a rectangular array ({error}); {ragged_remedy(values)}") from error
    except (TypeError, RuntimeError, BufferError) as error:
        raise DtypeError(
            f"{argument}, a {type(values).__name__}, cannot be read as an array ({error}); convert it to NumPy first"
        ) from error
    # Kind V with a bfloat16 name is ml_dtypes' type, with which plain NumPy cannot calculate.
    host = host.astype(np.float32) if host.dtype.name == "bfloat16" else host
    return _numbers(host, argument, values) if real else host


def _off_device(values: Any) -> Any:
    """Return *values* in a form that ``np.asarray`` takes, by their own library's way of copying to the host."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        tensor = _resolved(values.detach().cpu())
        return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
    if hasattr(values, "to_numpy"):
        return values.to_numpy()
    # A dict has `get` too; only arrays on a CUDA device have the interface beside it.
    if hasattr(values, "__cuda_array_interface__") and hasattr(values, "get"):
        return values.get()
    if hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray | np.generic):
        return _through_dlpack(values)
    return values


def _resolved(values: Any) -> Any:
    """Return *values* with their signs in memory: PyTorch may note them beside it, which DLPack does not tell."""
    return values.resolve_neg() if hasattr(values, "resolve_neg") else values


def _through_dlpack(values: Any) -> Any:
    try:
        return np.from_dlpack(values)
    except (TypeError, ValueError, RuntimeError, BufferError):
        # DLPack has no way for some devices and dtypes that the library itself can convert.
        return values


def _numbers(host: Host, argument: str, given: Any) -> Host:
    """Return *host*, which was *given* in some other form, with a dtype of real numbers."""
    if host.dtype.kind == "O" and not host.ndim and not isinstance(host.item(), Number):
        raise DtypeError(
            f"{argument} must be an array of real numbers; got {_kind(host.item())}. Give an array, a list or a frame; "
            "for batches from an iterator, make this call for each batch in a loop of your own"
        )
    # NumPy would read None as NaN and the text "1" as 1.
    if host.dtype.kind == "O" and not any(item is None or isinstance(item, str | bytes) for item in host.flat):
        try:
            host = host.astype(np.float64)
        except (ValueError, TypeError) as error:
            from xpnet.remedies import object_remedy

            remedy = object_remedy(host)
            raise DtypeError(
                f"{argument} must hold real numbers; got objects of other kinds{_first_object(host, argument, given)}"
                f"{f': {remedy}' if remedy else f' ({error}); fill or convert them first'}"
            ) from error
        except OverflowError as error:
            raise DataError(
                f"{argument} holds a number that is beyond float64 ({error}); scale the data, or drop those rows"
            ) from error
    require_real(host, np, argument, given)
    return host


def _kind(value: Any) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"


def portable(array: Array) -> Array:
    """Return a host array in a dtype that every library takes, another array as it is.

    float16 becomes float32, the long double float64, and foreign byte order this machine's.
    """
    if not isinstance(array, np.ndarray) or (array.dtype.isnative and array.dtype.char in PORTABLE):
        return array
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind == "f" and dtype.char not in PORTABLE:
        dtype = np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    # A long double of 8 bytes (Windows, macOS on ARM) is equal to float64, and astype(copy=False) would keep it.
    return np.asarray(array, dtype=dtype)


def open_array(values: Any, argument: str) -> tuple[Array, Any, Any]:
    """Return *values* as an array of their own library, its namespace and device; what is no array becomes NumPy's."""
    import array_api_compat

    if isinstance(values, np.ndarray | np.generic) or not array_api_compat.is_array_api_obj(values):
        values = to_host(values, argument)
    return values, array_api_compat.array_namespace(values), array_api_compat.device(values)


def take_rows(array: Array, rows: Host, backend: Backend) -> Array:
    """Return some rows of an array: indexed by NumPy if it is NumPy's, else on the backend."""
    if isinstance(array, np.ndarray):
        return array[rows]
    take = backend.compile(lambda array, rows: backend.xp.take(array, rows, axis=0))
    return take(backend.asarray(array), backend.asarray(rows))


def default_dtype(xp: Any, device: Any, kind: str) -> Any:
    """Return the library's default dtype of a *kind*: ``"real floating"``, ``"integral"`` or ``"indexing"``."""
    return xp.__array_namespace_info__().default_dtypes(device=device)[kind]


def require_real(array: Array, xp: Any, argument: str, given: Any = None) -> None:
    """Raise DtypeError unless *array* has a dtype of real numbers (or booleans); names a column of a *given* frame."""
    # `isdtype` of some libraries raises for the dtypes of text and objects, which only NumPy arrays have.
    real = (
        array.dtype.kind in REAL_KINDS
        if isinstance(array, np.ndarray)
        else xp.isdtype(array.dtype, ("bool", "integral", "real floating"))
    )
    if not real:
        from xpnet.remedies import real_remedy

        raise DtypeError(
            f"{argument} must hold real numbers; got dtype {array.dtype}{_first_object(array, argument, given)}: "
            f"{real_remedy(array, argument)}"
        )


def _first_object(array: Array, argument: str, given: Any) -> str:
    """Return, for the message, the first object in an array of objects that is not a number, and where it is."""
    if array.dtype != object:
        return ""
    odd = ((place, item) for place, item in np.ndenumerate(array) if not isinstance(item, Number))
    place, item = next(odd, ((), None))
    if not place:
        return ""
    from xpnet.remedies import column_label

    return f", with {item!r:.60} at {argument}[{', '.join(map(str, place))}]{column_label(given, place)}"


def require_samples(array: Array, argument: str, *, what: str = "one row per sample") -> int:
    """Return the length of the first axis, after checking that there is one and that the array is not empty.

    Raises
    ------
    ShapeError, DataError
        *array* is a single value, or it is empty.
    """
    if array.ndim < 1:
        raise ShapeError(f"{argument} must have {what}; got a single value (shape ())")
    if 0 in array.shape:
        raise DataError(f"{argument} is empty: its shape is {tuple(array.shape)}")
    return int(array.shape[0])


def check_features(x: Array, in_shape: Shape) -> None:
    """Raise ShapeError unless *x* is (N, *in_shape), DataError where it is empty."""
    if x.shape[1:] == in_shape and 0 not in x.shape:
        return
    if 0 in x.shape:
        what = "feature" if x.shape[0] else "example"
        raise DataError(f"x must hold at least one {what}; got shape {tuple(x.shape)}")
    if tuple(x.shape[1:]) != tuple(in_shape):
        from xpnet.remedies import x_remedy

        expected, remedy = ", ".join(["N", *(str(n) for n in in_shape)]), x_remedy(tuple(x.shape), tuple(in_shape))
        raise ShapeError(
            f"x must have shape ({expected}), as the network was built for; got {tuple(x.shape)}; {remedy}"
        )


def check_lengths(x: Array, other: Array, argument: str) -> None:
    """Raise ShapeError unless *other* has as many rows as *x*."""
    if x.shape[0] != other.shape[0]:
        from xpnet.remedies import length_remedy

        raise ShapeError(
            f"{argument} must have one entry for each row of x: expected {x.shape[0]}, got {other.shape[0]}"
            f"{length_remedy(tuple(x.shape), tuple(other.shape))}"
        )


def check_finite(
    values: Array, backend: Backend, argument: str, remedy: str | None = None, *, given: Any = None
) -> None:
    """Raise DataError if *values* hold NaN, infinity, or a number that is infinite in the backend's dtype.

    Waits for the device. The error names the column, where the values were *given* as a data frame, and ends with the
    *remedy*; without one, with advice for training examples.
    """
    limit = LARGEST[backend.dtype]
    if isinstance(values, np.ndarray):
        first = None if values.size <= CHUNK and _within(values, limit) else _first_beyond(values, limit)
    elif backend.xp.isdtype(values.dtype, "real floating"):
        limit = min(limit, float(backend.xp.finfo(values.dtype).max))
        fine = bool(backend.to_numpy(backend.compile(_Bound(backend.xp, limit).holds)(values)))
        first = None if fine else _first_beyond(to_host(values), limit)
    else:
        first = None
    if first is not None:
        from xpnet.remedies import not_finite_message

        raise DataError(not_finite_message(to_host(values), argument, first, backend.dtype, remedy, given))


@record
class _Bound:
    """A limit on magnitudes; as records compare equal, a backend recognises what it compiled for an earlier call."""

    xp: Any
    limit: float

    def holds(self, array: Array) -> Array:
        """Return whether all numbers are within the limit and none is NaN, as a 0-d array."""
        return self.xp.all(self.xp.abs(array) <= self.limit)


def _first_beyond(values: Host, limit: float) -> tuple[int, ...] | None:
    """Return the index of the first number beyond *limit*; reads in pieces, as the array may be memory-mapped."""
    if not values.ndim:
        return None if _within(values, limit) else ()
    rows = max(CHUNK // max(prod(values.shape[1:]), 1), 1)
    for start in range(0, len(values), rows):
        part = values[start : start + rows]
        if not _within(part, limit):
            row, *rest = np.argwhere(~(np.abs(part) <= min(limit, LARGEST.get(part.dtype.char, limit))))[0].tolist()
            return (start + row, *rest)
    return None


def _within(part: Host, limit: float) -> bool:
    if part.dtype.kind != "f" or not part.size:
        return True
    largest = LARGEST.get(part.dtype.char)
    if largest is None or largest > limit:
        return bool(-limit <= part.min() and part.max() <= limit)  # NaN is the minimum of what holds one
    # A finite sum of squares answers in one pass. Where it overflows, vdot does not warn, as dot would.
    return isfinite(np.vdot(part, part)) or bool(np.isfinite(part).all())
