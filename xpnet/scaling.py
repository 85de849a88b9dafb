"""Scalers: features brought to one scale, by statistics of the training data only.

A scaler works in whatever library its data is held in, and is itself a record of plain numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import reduce
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from xpnet.arguments import explain_records, explains_arguments
from xpnet.arrays import default_dtype, open_array, require_real, require_samples, to_host
from xpnet.backend import Array
from xpnet.checks import check_real_fields
from xpnet.errors import ConfigurationError, DataError, NotBuiltError, ShapeError, unknown_attribute
from xpnet.records import record

__all__ = ["MinMaxScaler", "StandardScaler"]

# Statistics are summed in float64 over blocks of this many numbers, so that a whole set of images is
# never copied in double precision at once; 2**21 doubles are 16 MiB.
_BLOCK = 2**21


@record
class StandardScaler:
    """Give every feature mean 0 and standard deviation 1: ``(x - mean) / deviation``.

    ``deviation = sqrt(mean((x - mean)**2))`` over the samples that it was fitted on. A constant feature
    has deviation 0 and is only centred, so it becomes 0 and never NaN.

    A scaler is immutable. :meth:`fit` returns a *new* scaler that holds the statistics, as plain numbers:
    it can be printed, compared, stored as JSON and applied in any array library. **Fit it on training data
    only**, then transform validation and test data with that same scaler; statistics that saw the test
    set leak it into the training::

        scaler = StandardScaler().fit(x_train)
        x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)

    Shapes: samples (n, ...), features in the remaining axes; (n,), such as targets of a regression, is
    one feature. Floating data keeps its dtype; integers and booleans become the library's default float, once scaled.
    NaN in data to transform stays NaN.

    Raises
    ------
    ConfigurationError
        Statistics that were given by hand do not fit together.

    Examples
    --------
    >>> scaler = StandardScaler().fit([[1.0, 5.0], [3.0, 5.0]])
    >>> scaler
    StandardScaler(mean=(2.0, 5.0), deviation=(1.0, 0.0), shape=(2,))
    >>> scaler.transform([[4.0, 5.0]])
    array([[2., 0.]])
    """

    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        _freeze_statistics(self, "mean", "deviation")

    if not TYPE_CHECKING:  # type checkers must see only attributes that exist

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown_attribute("StandardScaler", name, self)

    @explains_arguments
    def fit(self, x: Any) -> StandardScaler:
        """Return a new scaler with the statistics of *x*, of shape (n, ...).

        Raises `DtypeError`, `ShapeError` or `DataError` for data that is not real numbers, has no samples, or holds
        NaN, infinities, numbers whose squares are infinite, or a feature whose spread is too small for its type.
        """
        array, xp, device = _open_training_data(x)
        low, high = _extremes(array, xp, device)
        mean, deviation = _moments(array, low, high, xp, device)
        # A sum rounds: a constant 0.1 would get a deviation of 1e-17, and its rounding error be scaled to 1.
        constant = low == high
        mean = xp.where(constant, xp.astype(low, mean.dtype), mean)
        deviation = xp.where(constant, xp.zeros_like(deviation), deviation)
        if not bool(xp.all(xp.isfinite(deviation))):
            raise DataError(
                f"x is so large that squares overflow {deviation.dtype}; divide it by a power of ten first."
            )
        if not bool(xp.all(constant | (deviation > 0))):
            raise DataError(
                f"x has a feature whose spread is too small for {deviation.dtype}; multiply it by a power of ten first."
            )
        return StandardScaler(_numbers(mean), _numbers(deviation), tuple(array.shape[1:]))

    def transform(self, x: Any) -> Array:
        """Return ``(x - mean) / deviation``, in the shape of *x*.

        Raises `NotBuiltError` before `fit`, `ShapeError` for other features, `DtypeError` for text, `DataError` where
        the dtype of *x* cannot hold a feature's spread.
        """
        return _applied(x, *self._statistics(), lambda array, mean, scale: (array - mean) / scale)

    def inverse_transform(self, x: Any) -> Array:
        """Return ``x * deviation + mean``, in the features' own units; raises as `transform` does."""
        return _applied(x, *self._statistics(), lambda array, mean, scale: array * scale + mean)

    @explains_arguments
    def fit_transform(self, x: Any) -> tuple[StandardScaler, Array]:
        """Return ``(fitted, fitted.transform(x))``.

        Both, because the scaler itself does not change and the test data will need the fitted one:
        ``scaler, x_train = StandardScaler().fit_transform(x_train)``.
        """
        fitted = self.fit(x)
        return fitted, fitted.transform(x)

    def _statistics(self) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
        mean, deviation, shape = _require_fitted(self, self.mean, self.deviation, self.shape)
        return shape, mean, tuple(value or 1.0 for value in deviation)


@record
class MinMaxScaler:
    """Map every feature to ``low..high``: ``low + (x - minimum) / (maximum - minimum) * (high - low)``.

    *minimum* and *maximum* are those of the samples that it was fitted on; other data may fall outside and
    is not clipped. A constant feature becomes *low* and never NaN.

    A scaler is immutable. :meth:`fit` returns a *new* scaler that holds the statistics, as plain numbers:
    it can be printed, compared, stored as JSON and applied in any array library. **Fit it on training data
    only**, then transform validation and test data with that same scaler; statistics that saw the test
    set leak it into the training::

        scaler = MinMaxScaler(-1.0, 1.0).fit(x_train)
        x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)

    Shapes: samples (n, ...), features in the remaining axes; (n,) is one feature. Floating data keeps its
    dtype; integers and booleans become the library's default float, once scaled. NaN in data to transform stays NaN.

    Raises
    ------
    ConfigurationError
        *low* or *high* is no finite number, *low* is not below *high*, or statistics that were given by hand do not
        fit together.

    Examples
    --------
    >>> scaler = MinMaxScaler().fit([[0, 7], [4, 7]])
    >>> scaler.minimum, scaler.maximum
    ((0.0, 7.0), (4.0, 7.0))
    >>> scaler.transform([[1, 7], [6, 7]])
    array([[0.25, 0.  ],
           [1.5 , 0.  ]])
    """

    low: float = 0.0
    high: float = 1.0
    minimum: tuple[float, ...] | None = None
    maximum: tuple[float, ...] | None = None
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_real_fields(self, "low", "high")
        if self.low >= self.high:
            raise ConfigurationError(f"low must be below high; got low={self.low}, high={self.high}.")
        _freeze_statistics(self, "minimum", "maximum")

    if not TYPE_CHECKING:  # type checkers must see only attributes that exist

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown_attribute("MinMaxScaler", name, self)

    @explains_arguments
    def fit(self, x: Any) -> MinMaxScaler:
        """Return a new scaler with the statistics of *x*, of shape (n, ...), and the same *low* and *high*.

        Raises `DtypeError`, `ShapeError` or `DataError` for data that is not real numbers, has no samples,
        or holds NaN or infinities.
        """
        array, xp, device = _open_training_data(x)
        minimum, maximum = map(_numbers, _extremes(array, xp, device))
        return MinMaxScaler(self.low, self.high, minimum, maximum, tuple(array.shape[1:]))

    def transform(self, x: Any) -> Array:
        """Return *x* on ``low..high``, in the shape of *x*.

        Raises `NotBuiltError` before `fit`, `ShapeError` for other features, `DtypeError` for text, `DataError` where
        the dtype of *x* cannot hold a feature's spread.
        """
        low, high = self.low, self.high
        return _applied(x, *self._statistics(), lambda array, least, span: (array - least) / span * (high - low) + low)

    def inverse_transform(self, x: Any) -> Array:
        """Return *x* in the features' own units; raises as `transform` does."""
        low, high = self.low, self.high
        return _applied(x, *self._statistics(), lambda array, least, span: (array - low) / (high - low) * span + least)

    @explains_arguments
    def fit_transform(self, x: Any) -> tuple[MinMaxScaler, Array]:
        """Return ``(fitted, fitted.transform(x))``.

        Both, because the scaler itself does not change and the test data will need the fitted one:
        ``scaler, x_train = MinMaxScaler().fit_transform(x_train)``.
        """
        fitted = self.fit(x)
        return fitted, fitted.transform(x)

    def _statistics(self) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
        minimum, maximum, shape = _require_fitted(self, self.minimum, self.maximum, self.shape)
        return shape, minimum, tuple(high - low or 1.0 for low, high in zip(minimum, maximum, strict=True))


def _freeze_statistics(scaler: Any, *names: str) -> None:
    """Turn statistics that were given as any sequences (JSON has only lists) into tuples, and check them."""
    given = [getattr(scaler, name) for name in (*names, "shape")]
    if all(value is None for value in given):
        return
    if any(value is None for value in given):
        raise ConfigurationError(f"{', '.join(names)} and shape must be given together or not at all; use fit(x).")
    shape = tuple(map(int, scaler.shape))
    object.__setattr__(scaler, "shape", shape)
    for name in names:
        values = tuple(map(float, getattr(scaler, name)))
        if len(values) != math.prod(shape) or not all(map(math.isfinite, values)):
            raise ConfigurationError(
                f"{name} must be {math.prod(shape)} finite numbers, one for each feature of a sample of "
                f"shape {shape}; got {len(values)}: {values[:5]}...; use fit(x)."
            )
        object.__setattr__(scaler, name, values)


def _require_fitted(
    scaler: Any,
    first: tuple[float, ...] | None,
    second: tuple[float, ...] | None,
    shape: tuple[int, ...] | None,
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]]:
    if first is None or second is None or shape is None:
        name = type(scaler).__name__
        raise NotBuiltError(
            f"this {name} is not fitted; fit returns a new one: scaler = {name}().fit(x_train), "
            "then scaler.transform(x)."
        )
    return first, second, shape


def _open_training_data(x: Any) -> tuple[Array, Any, Any]:
    """Return *x* as an array that statistics can be taken of, with its namespace and device; never a copy of it all."""
    array, xp, device = open_array(x, "x")
    require_real(array, xp, "x")
    require_samples(array, "x")
    if xp.isdtype(array.dtype, "real floating") and not all(
        bool(xp.all(xp.isfinite(block))) for block in _blocks(array, xp, array.dtype)
    ):
        raise DataError("x holds NaN or infinities; drop or fill those samples before fitting a scaler.")
    return array, xp, device


def _applied(
    x: Any,
    shape: tuple[int, ...],
    offset: tuple[float, ...],
    scale: tuple[float, ...],
    formula: Callable[[Array, Array, Array], Array],
) -> Array:
    """Return a formula of *x*, an offset and a scale, in the dtype of *x* if it is floating, else the default float."""
    array, xp, device = open_array(x, "x")
    require_real(array, xp, "x")
    if array.ndim < 1 or tuple(array.shape[1:]) != shape:
        expected = f"({', '.join(['n', *map(str, shape)])}{',' if not shape else ''})"
        raise ShapeError(
            f"x must have shape {expected}, as the data that the scaler was fitted on; got "
            f"{tuple(array.shape)}; reshape it, or fit a scaler on data of this shape."
        )
    dtype = array.dtype
    if not xp.isdtype(dtype, "real floating"):
        dtype = default_dtype(xp, device, "real floating")
        # Above 16 bits, integers may not all be of that type.
        long = xp.isdtype(array.dtype, "integral") and xp.iinfo(array.dtype).bits > 16
        array = xp.astype(array, _widest(xp, device) if long else dtype)
    if xp.finfo(array.dtype).bits < 32:
        array = xp.astype(array, xp.float32)  # in 16 bits a difference may overflow where the scaled result would not
    limits = xp.finfo(array.dtype)
    smallest, largest = float(limits.smallest_normal) * float(limits.eps), float(limits.max)
    for value in scale:
        if not smallest <= value <= largest:
            raise DataError(
                f"x of {array.dtype} cannot be scaled by {value:.6g}, the spread of a feature; convert x to a wider "
                "type, or fit the scaler on x times a power of ten."
            )
    constants = (xp.asarray(list(values), dtype=array.dtype, device=device) for values in (offset, scale))
    first, second = (xp.reshape(constant, shape) for constant in constants)
    return xp.astype(formula(array, first, second), dtype, copy=False)


def _extremes(array: Array, xp: Any, device: Any) -> tuple[Array, Array]:
    """Return the least and the greatest of each feature; those of integers as the widest float."""
    dtype = array.dtype if xp.isdtype(array.dtype, "real floating") else _widest(xp, device)
    found = [(xp.min(block, axis=0), xp.max(block, axis=0)) for block in _blocks(array, xp, dtype)]
    lows, highs = zip(*found, strict=True)
    return reduce(xp.minimum, lows), reduce(xp.maximum, highs)


def _widest(xp: Any, device: Any) -> Any:
    available = xp.__array_namespace_info__().dtypes(device=device, kind="real floating")
    return available.get("float64", available["float32"])


def _moments(array: Array, low: Array, high: Array, xp: Any, device: Any) -> tuple[Array, Array]:
    """Return mean and deviation of samples from *low* to *high*, in the widest float that the device has."""
    wide = _widest(xp, device)
    samples = array.shape[0]
    limits = xp.finfo(wide)
    # Differences whose squares would be lost below the type's numbers are multiplied by a power of two, which is exact.
    least, epsilon = math.sqrt(float(limits.smallest_normal)), float(limits.eps)
    with np.errstate(over="ignore", invalid="ignore"):  # the result says so
        spread = xp.astype(high, wide) - xp.astype(low, wide)
        one = xp.ones_like(spread)
        factor = xp.where(spread < least / epsilon, one / (least * epsilon), one)
        total = sum(xp.sum(block, axis=0) for block in _blocks(array, xp, wide))
        mean = total / samples
        squares = sum(xp.sum(((block - mean) * factor) ** 2, axis=0) for block in _blocks(array, xp, wide))
        return mean, xp.sqrt(squares / samples) / factor


def _blocks(array: Array, xp: Any, dtype: Any) -> Iterator[Array]:
    rows = max(1, _BLOCK // math.prod(array.shape[1:]))
    for start in range(0, array.shape[0], rows):
        # The standard leaves a slice beyond the end undefined.
        stop = min(start + rows, array.shape[0])
        yield xp.astype(array[start:stop, ...], dtype, copy=False)


def _numbers(array: Array) -> tuple[float, ...]:
    return tuple(to_host(array).astype(np.float64).reshape(-1).tolist())


explain_records(globals(), __all__)
