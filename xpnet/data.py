"""One-hot labels, splits and scalers, for lists, NumPy, pandas and every Array API library.

What comes in as an array of some library goes out as an array of that library, on the same device;
lists and data frames come out as NumPy arrays. Everything here is done once, before training, so it may
look at values and raise; nothing here runs inside a training step.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xpnet.errors import ConfigurationError, DataError, DtypeError, NotBuiltError, ShapeError, unknown_name

__all__ = ["MinMaxScaler", "StandardScaler", "from_one_hot", "one_hot", "split", "to_host"]

Array: TypeAlias = Any
HostArray: TypeAlias = npt.NDArray[Any]

_DTYPES = (
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *("bfloat16", "float16", "float32", "float64"),
)
# Statistics are summed in float64 over blocks of this many numbers, so that a whole set of images is
# never copied in double precision at once; 2**21 doubles are 16 MiB.
_BLOCK = 2**21


def to_host(value: Any, name: str = "array") -> HostArray:
    """Return *value* as a NumPy array in main memory.

    Shapes: any; a sequence, a pandas or polars object, or an array of any library, on any device. The
    result may share memory with *value*: read it, never write it. bfloat16 becomes float32, which holds
    each of its values.

    Raises
    ------
    ShapeError
        *value* is a ragged sequence.
    DataError
        *value* is a masked array with masked entries.
    DtypeError
        It is sparse, or its library refuses to hand it over.

    Examples
    --------
    >>> to_host([[1, 2], [3, 4]])
    array([[1, 2],
           [3, 4]])
    """
    if isinstance(value, np.ndarray) and np.any(getattr(value, "mask", False)):
        raise DataError(f"{name} has masked entries; fill them (`.filled(...)`) or drop those samples.")
    if hasattr(value, "toarray"):
        raise DtypeError(f"{name} is a sparse {type(value).__name__}; give its .toarray().")
    try:
        host = np.asarray(_off_device(value))
    except ValueError as error:
        raise ShapeError(f"{name} is not a rectangular array ({error}); give every row one length.") from error
    except (TypeError, RuntimeError, BufferError) as error:
        raise DtypeError(
            f"{name}, a {type(value).__name__}, cannot be read as an array ({error}); convert it to NumPy first."
        ) from error
    # Kind V with a bfloat16 name is ml_dtypes' type, with which plain NumPy cannot calculate.
    return host.astype(np.float32) if host.dtype.name == "bfloat16" else host


def _off_device(value: Any) -> Any:
    """Return *value* in a form that ``np.asarray`` takes, by its library's own way out."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        tensor = value.detach().cpu()
        return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
    if hasattr(value, "to_numpy"):
        return value.to_numpy()
    # A dict has `get` too; only arrays on a CUDA device have the interface beside it.
    if hasattr(value, "__cuda_array_interface__") and hasattr(value, "get"):
        return value.get()
    if hasattr(value, "__dlpack__") and not isinstance(value, (np.ndarray, np.generic)):
        return _through_dlpack(value)
    return value


def _through_dlpack(value: Any) -> Any:
    try:
        return np.from_dlpack(value)
    except (TypeError, ValueError, RuntimeError, BufferError):
        # DLPack has no way for some devices and dtypes that the library itself can convert.
        return value


def _open(value: Any, name: str) -> tuple[Array, Any, Any]:
    """Return *value* as an array with its namespace and device; what is no array becomes NumPy's."""
    import array_api_compat

    if isinstance(value, (np.ndarray, np.generic)) or not array_api_compat.is_array_api_obj(value):
        value = to_host(value, name)
    return value, array_api_compat.array_namespace(value), array_api_compat.device(value)


def _default_dtype(xp: Any, device: Any, kind: str) -> Any:
    return xp.__array_namespace_info__().default_dtypes(device=device)[kind]


def _require_samples(array: Array, name: str, *, what: str = "one row per sample") -> int:
    """Return the length of the first axis, which has to be there and not empty."""
    if array.ndim < 1:
        raise ShapeError(f"{name} must have {what}, got a single value (shape ()).")
    if 0 in array.shape:
        raise DataError(f"{name} is empty: its shape is {tuple(array.shape)}.")
    return int(array.shape[0])


# --- one-hot -----------------------------------------------------------------------------------------


def one_hot(labels: Any, classes: int | None = None, *, dtype: Any = "float32") -> Array:
    """Return a 1 in the column of each label and 0 elsewhere: ``y[..., c] = 1 if labels[...] == c else 0``.

    Shapes: labels (...), integers in 0..classes-1 (whole floats and booleans are taken too) -> (...,
    classes) of *dtype*, a name such as ``"float32"`` or a dtype of any library, in the labels' own
    namespace and on their device. *classes* is the largest label plus one where it is not given: give it
    whenever the labels are only a part of a set, or a class missing there will be missing in the result.

    Raises
    ------
    DtypeError
        The labels are text, objects or complex.
    DataError
        There are none, or one is fractional, not finite, negative or not below *classes*.
    ConfigurationError
        *classes* is not a positive integer, or *dtype* names no Array API dtype.

    Examples
    --------
    >>> one_hot([0, 2, 1], 3)
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """
    array, xp, device = _open(labels, "labels")
    array, largest = _labels(array, xp, device)
    count = largest + 1 if classes is None else positive_integer("classes", classes)
    if largest >= count:
        raise DataError(f"labels must lie in 0..{count - 1} for classes={count}, but the largest is {largest}.")
    columns = xp.arange(count, dtype=array.dtype, device=device)
    return xp.astype(array[..., None] == columns, _dtype_of(xp, dtype))


def from_one_hot(encoded: Any) -> Array:
    """Return the class of each row of one-hot labels: ``argmax(encoded, axis=-1)``, the inverse of `one_hot`.

    Shapes: (..., classes) -> (...), of the namespace's default integer dtype. Rows have to *be* one-hot,
    a single 1 among zeros, so that probabilities, several labels a row or a transposed matrix are not
    taken for it.

    Raises
    ------
    DtypeError
        *encoded* is text, objects or complex.
    ShapeError
        It has no axis of classes.
    DataError
        It is empty, or a row is not one-hot.

    Examples
    --------
    >>> from_one_hot([[0, 1, 0], [0, 0, 1]])
    array([1, 2])
    """
    array, xp, device = _open(encoded, "encoded")
    _require_real(array, xp, "encoded")
    _require_samples(array, "encoded", what="a last axis of classes")
    # The comparisons are done on booleans and integers: a sum of floats could hide a stray value.
    ones = array if xp.isdtype(array.dtype, "bool") else array == 1
    other = xp.logical_not(ones) if xp.isdtype(array.dtype, "bool") else array == 0
    integer = _default_dtype(xp, device, "integral")
    single = xp.sum(xp.astype(ones, integer), axis=-1) == 1
    valid = xp.logical_and(single, xp.all(xp.logical_or(ones, other), axis=-1))
    if not bool(xp.all(valid)):
        wrong = int(xp.sum(xp.astype(xp.logical_not(valid), integer)))
        raise DataError(
            f"encoded must hold a single 1 and zeros in each row, but {wrong} of its rows do not; "
            "for probabilities or scores take argmax over the last axis instead."
        )
    return xp.astype(xp.argmax(xp.astype(ones, integer), axis=-1), integer)


def _labels(array: Array, xp: Any, device: Any) -> tuple[Array, int]:
    """Return checked labels in the default integer dtype, and the largest one."""
    _require_real(array, xp, "labels")
    if 0 in array.shape:
        raise DataError(f"labels are empty: their shape is {tuple(array.shape)}.")
    integer = _default_dtype(xp, device, "integral")
    if xp.isdtype(array.dtype, "bool"):
        array = xp.astype(array, integer)
    if xp.isdtype(array.dtype, "real floating"):
        _require_whole(array, xp)
    # Bounds are read before the conversion, which would wrap a label too large for the integer dtype.
    smallest, largest = int(xp.min(array)), int(xp.max(array))
    if smallest < 0:
        raise DataError(
            f"labels must not be negative, but the smallest is {smallest}; "
            "number the classes from 0 (for NumPy: `np.unique(labels, return_inverse=True)`)."
        )
    if largest >= xp.iinfo(integer).max:
        raise DataError(f"labels must be class numbers from 0, but the largest is {largest}.")
    return xp.astype(array, integer), largest


def _require_whole(array: Array, xp: Any) -> None:
    whole = xp.logical_and(xp.isfinite(array), array == xp.floor(array))
    if not bool(xp.all(whole)):
        raise DataError(
            "labels must be whole numbers, but some are fractional, NaN or infinite; "
            "for one-hot labels or probabilities take their classes first (from_one_hot, argmax)."
        )


def _require_real(array: Array, xp: Any, name: str) -> None:
    # `isdtype` of some libraries raises for the dtypes of text and objects, which only NumPy arrays have.
    real = (
        array.dtype.kind in "biuf"
        if isinstance(array, np.ndarray)
        else xp.isdtype(array.dtype, ("bool", "integral", "real floating"))
    )
    if not real:
        raise DtypeError(
            f"{name} must hold real numbers, got dtype {array.dtype}; encode text and categories as "
            "numbers first, and give mixed or missing columns one numeric dtype."
        )


def positive_integer(name: str, value: Any) -> int:
    """Return *value* as an integer from 1 on, or raise `ConfigurationError` about the argument *name*."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ConfigurationError(f"{name} must be a positive integer, got {value!r}.")
    return number


def _dtype_of(xp: Any, dtype: Any) -> Any:
    """Return the namespace's dtype for a name or for another library's dtype."""
    # Every library prints the standard's name last: "float32", "torch.float32", "<class 'numpy.float32'>".
    words = re.findall(r"\w+", str(dtype))
    name = words[-1] if words else ""
    if name not in _DTYPES or not hasattr(xp, name):
        raise unknown_name("dtype", name if words else dtype, [known for known in _DTYPES if hasattr(xp, known)])
    return getattr(xp, name)


# --- splits ------------------------------------------------------------------------------------------


def split(
    *arrays: Any,
    test: float = 0.2,
    validation: float = 0.0,
    stratify: Any = None,
    seed: int = 0,
) -> tuple[Array, ...]:
    """Shuffle samples and deal them into training, validation and test parts.

    The result is flat and goes **part by part: training, validation, test**, with the arrays of each part
    in the order in which they were given (the order of :func:`xpnet.datasets.mnist`)::

        x_train, y_train, x_test, y_test = split(x, y)
        x_train, y_train, x_val, y_val, x_test, y_test = split(x, y, validation=0.1)
        x_train, y_train, x_val, y_val = split(x, y, test=0, validation=0.1)

    A part of size 0 is left out. *test* and *validation* are fractions of all samples (a float in 0..1,
    rounded to the nearest whole number of samples) or counts (an integer); the rest is for training.

    With *stratify*, one label per sample, each class is dealt in proportion: it gets its share of each
    part, rounded down or up, and the sizes of the parts are the same as without.

    Shapes: arrays (n, ...) each -> (n_part, ...) each, of the same library, on the same device; lists and
    frames become NumPy arrays. The arrays are copied, never changed. One *seed* gives one split, whatever
    the library.

    Raises
    ------
    ConfigurationError
        No array, no part, or sizes that are negative or leave nothing to train on; a bad seed.
    ShapeError
        The arrays, or *stratify*, differ in length.
    DataError
        They are empty, a part that was asked for would be, or stratified parts would lack a class.

    Examples
    --------
    >>> x_train, y_train, x_test, y_test = split([[0.0], [0.1], [1.0], [1.1]], [0, 0, 1, 1],
    ...                                          test=0.5, stratify=[0, 0, 1, 1])
    >>> x_train.shape, sorted(y_train.tolist()), sorted(y_test.tolist())
    ((2, 1), [0, 1], [0, 1])
    """
    if not arrays:
        raise ConfigurationError("split needs at least one array, as in split(x, y, test=0.2).")
    opened = [_open(array, f"array {index}") for index, array in enumerate(arrays)]
    samples = _common_length([array for array, _, _ in opened])
    sizes = _part_sizes(samples, test=test, validation=validation)
    names, codes = _classes(stratify, samples)
    parts = _deal(codes, sizes, seeded_generator(seed), names=names)
    return tuple(_take(*entry, indices) for indices in parts for entry in opened)


def _common_length(arrays: list[Array]) -> int:
    lengths = [_require_samples(array, f"array {index}") for index, array in enumerate(arrays)]
    if len(set(lengths)) > 1:
        raise ShapeError(f"arrays to split must hold the same samples, but their lengths are {lengths}.")
    return lengths[0]


def _part_sizes(samples: int, *, test: float, validation: float) -> tuple[int, int, int]:
    """Return how many samples go to training, validation and test."""
    held_out = _part_size("validation", validation, samples), _part_size("test", test, samples)
    training = samples - sum(held_out)
    if sum(held_out) == 0:
        raise ConfigurationError("test and validation are both 0, so there is nothing to split off.")
    if training < 1:
        raise ConfigurationError(
            f"validation={validation!r} and test={test!r} take {sum(held_out)} of {samples} samples and "
            "leave none to train on; make them smaller."
        )
    return training, *held_out


def _part_size(name: str, size: Any, samples: int) -> int:
    fraction = isinstance(size, (float, np.floating))
    count = None
    if fraction and 0.0 <= size < 1.0:
        count = math.floor(float(size) * samples + 0.5)
    elif not fraction and not isinstance(size, (bool, np.bool_)) and hasattr(size, "__index__"):
        count = operator.index(size)
    if count is None or count < 0:
        raise ConfigurationError(
            f"{name} must be a fraction from 0.0 to below 1.0 or a count of samples, got {size!r}."
        )
    if count == 0 and size > 0:
        raise DataError(f"{name}={size!r} of {samples} samples is none; ask for a larger part or a count.")
    return count


def seeded_generator(seed: Any) -> np.random.Generator:
    """Return a new generator for an integer *seed*, or raise `ConfigurationError`."""
    try:
        return np.random.default_rng(operator.index(seed))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"seed must be an integer that is not negative, got {seed!r}.") from error


def _classes(stratify: Any, samples: int) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """Return the sorted labels and each sample's place among them; without labels there is one class."""
    if stratify is None:
        return [None], np.zeros(samples, np.int64)
    labels = to_host(stratify, "stratify")
    if labels.ndim != 1:
        raise ShapeError(
            f"stratify must be one label per sample, shape ({samples},), got shape {labels.shape}; "
            "for one-hot labels give from_one_hot(labels)."
        )
    if len(labels) != samples:
        raise ShapeError(f"stratify must be as long as the arrays, {samples}, but it has {len(labels)} labels.")
    if labels.dtype.kind == "f" and not np.all(np.isfinite(labels)):
        raise DataError("stratify holds NaN or infinite labels; give a finite class to each sample.")
    try:
        names, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise DtypeError(f"stratify mixes labels that have no order ({error}); give them one type.") from error
    return names.tolist(), codes.astype(np.int64)


def _deal(
    codes: npt.NDArray[np.int64],
    sizes: tuple[int, int, int],
    generator: np.random.Generator,
    *,
    names: list[Any],
) -> list[npt.NDArray[np.int64]]:
    """Return the shuffled indices of each part that is not empty, every class dealt in proportion."""
    order = generator.permutation(len(codes))
    counts = np.bincount(codes)
    held_out = _shares(counts, sizes)
    part = np.zeros(len(codes), np.int64)
    # A stable sort by class keeps the shuffled order inside each class, and so its first samples are random.
    grouped = order[np.argsort(codes[order], kind="stable")]
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    limits = np.cumsum(held_out[::-1], axis=0)  # (2, classes): up to where test, then validation, reaches
    of_class = codes[grouped]
    part[grouped] = np.where(rank < limits[0, of_class], 2, np.where(rank < limits[1, of_class], 1, 0))
    if len(names) > 1:
        _require_every_class(np.stack([counts - limits[1], *held_out]), sizes, names, counts)
    return [order[part[order] == index] for index in range(3) if sizes[index]]


def _shares(counts: npt.NDArray[np.int64], sizes: tuple[int, int, int]) -> npt.NDArray[np.int64]:
    """Return (2, classes): how many samples of each class go to validation and to test."""
    test = _apportion(counts, sizes[2])
    return np.stack([_apportion(counts - test, sizes[1]), test])


def _apportion(counts: npt.NDArray[np.int64], seats: int) -> npt.NDArray[np.int64]:
    """Share *seats* in proportion to *counts* by largest remainders, in exact integers."""
    shares, remainders = np.divmod(counts * seats, counts.sum())
    shares[np.argsort(-remainders, kind="stable")[: seats - shares.sum()]] += 1
    return shares


def _require_every_class(
    dealt: npt.NDArray[np.int64], sizes: tuple[int, int, int], names: list[Any], counts: npt.NDArray[np.int64]
) -> None:
    for part, size, row in zip(("training", "validation", "test"), sizes, dealt, strict=True):
        if size and not row.all():
            missing = int(np.argmin(row))
            raise DataError(
                f"stratify leaves the {part} part ({size} samples) without class {names[missing]!r}, which "
                f"has {counts[missing]} of {counts.sum()} samples; make that part larger, merge or drop rare "
                "classes, or split without stratify."
            )


def _take(array: Array, xp: Any, device: Any, indices: npt.NDArray[np.int64]) -> Array:
    dtype = _default_dtype(xp, device, "indexing")
    return xp.take(array, xp.asarray(indices, dtype=dtype, device=device), axis=0)


# --- scalers -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
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
    one feature. Floating data keeps its dtype; integers and booleans become the library's default float.
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

    def fit(self, x: Any) -> StandardScaler:
        """Return a new scaler with the statistics of *x*, of shape (n, ...).

        Raises `DtypeError`, `ShapeError` or `DataError` for data that is not real numbers, has no samples,
        or holds NaN or infinities.
        """
        array, xp, device = _open_training_data(x)
        low, high = xp.min(array, axis=0), xp.max(array, axis=0)
        mean, variance = _moments(array, xp, device)
        # A sum rounds: a constant 0.1 would get a deviation of 1e-17, and its rounding error be scaled to 1.
        constant = low == high
        mean = xp.where(constant, xp.astype(low, mean.dtype), mean)
        deviation = xp.where(constant, xp.zeros_like(variance), xp.sqrt(variance))
        return StandardScaler(_numbers(mean), _numbers(deviation), tuple(array.shape[1:]))

    def transform(self, x: Any) -> Array:
        """Return ``(x - mean) / deviation``, in the shape of *x*.

        Raises `NotBuiltError` before `fit`, `ShapeError` for other features, `DtypeError` for text.
        """
        array, mean, scale = self._prepare(x)
        return (array - mean) / scale

    def inverse_transform(self, x: Any) -> Array:
        """Return ``x * deviation + mean``, in the features' own units; raises as `transform` does."""
        array, mean, scale = self._prepare(x)
        return array * scale + mean

    def fit_transform(self, x: Any) -> tuple[StandardScaler, Array]:
        """Return ``(fitted, fitted.transform(x))``.

        Both, because the scaler itself does not change and the test data will need the fitted one:
        ``scaler, x_train = StandardScaler().fit_transform(x_train)``.
        """
        fitted = self.fit(x)
        return fitted, fitted.transform(x)

    def _prepare(self, x: Any) -> tuple[Array, Array, Array]:
        mean, deviation, shape = _require_fitted(self, self.mean, self.deviation, self.shape)
        return _open_with(x, shape, mean, tuple(value or 1.0 for value in deviation))


@dataclass(frozen=True)
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
    dtype; integers and booleans become the library's default float. NaN in data to transform stays NaN.

    Raises
    ------
    ConfigurationError
        *low* is not below *high*, or statistics that were given by hand do not fit together.

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
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigurationError(f"low must be below high, both finite; got low={self.low}, high={self.high}.")
        _freeze_statistics(self, "minimum", "maximum")

    def fit(self, x: Any) -> MinMaxScaler:
        """Return a new scaler with the statistics of *x*, of shape (n, ...), and the same *low* and *high*.

        Raises `DtypeError`, `ShapeError` or `DataError` for data that is not real numbers, has no samples,
        or holds NaN or infinities.
        """
        array, xp, _ = _open_training_data(x)
        minimum, maximum = _numbers(xp.min(array, axis=0)), _numbers(xp.max(array, axis=0))
        return MinMaxScaler(self.low, self.high, minimum, maximum, tuple(array.shape[1:]))

    def transform(self, x: Any) -> Array:
        """Return *x* on ``low..high``, in the shape of *x*.

        Raises `NotBuiltError` before `fit`, `ShapeError` for other features, `DtypeError` for text.
        """
        array, minimum, scale = self._prepare(x)
        return (array - minimum) / scale * (self.high - self.low) + self.low

    def inverse_transform(self, x: Any) -> Array:
        """Return *x* in the features' own units; raises as `transform` does."""
        array, minimum, scale = self._prepare(x)
        return (array - self.low) / (self.high - self.low) * scale + minimum

    def fit_transform(self, x: Any) -> tuple[MinMaxScaler, Array]:
        """Return ``(fitted, fitted.transform(x))``.

        Both, because the scaler itself does not change and the test data will need the fitted one:
        ``scaler, x_train = MinMaxScaler().fit_transform(x_train)``.
        """
        fitted = self.fit(x)
        return fitted, fitted.transform(x)

    def _prepare(self, x: Any) -> tuple[Array, Array, Array]:
        minimum, maximum, shape = _require_fitted(self, self.minimum, self.maximum, self.shape)
        scale = tuple(high - low or 1.0 for low, high in zip(minimum, maximum, strict=True))
        return _open_with(x, shape, minimum, scale)


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
                f"shape {shape}, got {len(values)}: {values[:5]}...; use fit(x)."
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


def _open_real(x: Any) -> tuple[Array, Any, Any]:
    """Return *x* as a floating array, with its namespace and device."""
    array, xp, device = _open(x, "x")
    _require_real(array, xp, "x")
    if not xp.isdtype(array.dtype, "real floating"):
        array = xp.astype(array, _default_dtype(xp, device, "real floating"))
    return array, xp, device


def _open_training_data(x: Any) -> tuple[Array, Any, Any]:
    array, xp, device = _open_real(x)
    _require_samples(array, "x")
    if not bool(xp.all(xp.isfinite(array))):
        raise DataError("x holds NaN or infinities; drop or fill those samples before fitting a scaler.")
    return array, xp, device


def _open_with(
    x: Any, shape: tuple[int, ...], offset: tuple[float, ...], scale: tuple[float, ...]
) -> tuple[Array, Array, Array]:
    """Return *x* as a floating array beside an offset and a scale of the same dtype and device."""
    array, xp, device = _open_real(x)
    if array.ndim < 1 or tuple(array.shape[1:]) != shape:
        expected = f"({', '.join(['n', *map(str, shape)])}{',' if not shape else ''})"
        raise ShapeError(
            f"x must have shape {expected}, as the data that the scaler was fitted on, got "
            f"{tuple(array.shape)}; reshape it, or fit a scaler on data of this shape."
        )
    constants = (xp.asarray(list(values), dtype=array.dtype, device=device) for values in (offset, scale))
    first, second = (xp.reshape(constant, shape) for constant in constants)
    return array, first, second


def _moments(array: Array, xp: Any, device: Any) -> tuple[Array, Array]:
    """Return mean and variance over the samples, in the widest float that the device has."""
    available = xp.__array_namespace_info__().dtypes(device=device, kind="real floating")
    wide = available.get("float64", available["float32"])
    samples = array.shape[0]
    total = sum(xp.sum(block, axis=0) for block in _blocks(array, xp, wide))
    mean = total / samples
    squares = sum(xp.sum((block - mean) ** 2, axis=0) for block in _blocks(array, xp, wide))
    return mean, squares / samples


def _blocks(array: Array, xp: Any, dtype: Any) -> Iterator[Array]:
    rows = max(1, _BLOCK // math.prod(array.shape[1:]))
    for start in range(0, array.shape[0], rows):
        # The standard leaves a slice beyond the end undefined.
        stop = min(start + rows, array.shape[0])
        yield xp.astype(array[start:stop, ...], dtype)


def _numbers(array: Array) -> tuple[float, ...]:
    return tuple(to_host(array).astype(np.float64).reshape(-1).tolist())
