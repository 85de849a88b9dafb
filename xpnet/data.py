"""One-hot labels and splits, for lists, NumPy, pandas and every Array API library.

What comes in as an array of some library goes out as an array of that library, on the same device;
lists and data frames come out as NumPy arrays. Everything here is done once, before training, so it may
look at values and raise; nothing here runs inside a training step.
"""

from __future__ import annotations

import math
import operator
import re
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet.arguments import explains_arguments
from xpnet.arrays import Host, default_dtype, open_array, require_real, require_samples, to_host
from xpnet.backend import Array
from xpnet.checks import check_integer, seeded_generator
from xpnet.errors import ConfigurationError, DataError, DtypeError, ShapeError, unknown_name
from xpnet.targets import MOST_INFERRED

__all__ = ["deal", "draw_held_out", "from_one_hot", "one_hot", "part_sizes", "split"]

_DTYPES = (
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *("bfloat16", "float16", "float32", "float64"),
)


# --- one-hot -----------------------------------------------------------------------------------------


@explains_arguments
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
        There are none, or one is fractional, not finite, negative or not below *classes*, or where that is not given
        above 10 million.
    ConfigurationError
        *classes* is not a positive integer, or *dtype* names no Array API dtype.

    Examples
    --------
    >>> one_hot([0, 2, 1], 3)
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """
    array, xp, device = open_array(labels, "labels")
    array, largest = _labels(array, xp, device)
    count = largest + 1 if classes is None else check_integer("classes", classes)
    if classes is None and count > MOST_INFERRED:
        raise DataError(
            f"the labels reach {largest}, which would make rows of {count:,} columns; number the classes from 0 "
            "(`np.unique(labels, return_inverse=True)`), or pass classes= if it is meant."
        )
    if largest >= count:
        raise DataError(f"labels must lie in 0..{count - 1} for classes={count}, but the largest is {largest}.")
    columns = xp.arange(count, dtype=array.dtype, device=device)
    return xp.astype(array[..., None] == columns, _dtype_of(xp, dtype))


@explains_arguments
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
    array, xp, device = open_array(encoded, "encoded")
    require_real(array, xp, "encoded")
    require_samples(array, "encoded", what="a last axis of classes")
    # The comparisons are done on booleans and integers: a sum of floats could hide a stray value.
    ones = array if xp.isdtype(array.dtype, "bool") else array == 1
    other = xp.logical_not(ones) if xp.isdtype(array.dtype, "bool") else array == 0
    integer = default_dtype(xp, device, "integral")
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
    require_real(array, xp, "labels")
    if 0 in array.shape:
        raise DataError(f"labels are empty: their shape is {tuple(array.shape)}.")
    integer = default_dtype(xp, device, "integral")
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


def _dtype_of(xp: Any, dtype: Any) -> Any:
    """Return the namespace's dtype for a name or for another library's dtype."""
    # Every library prints the standard's name last: "float32", "torch.float32", "<class 'numpy.float32'>".
    words = re.findall(r"\w+", str(dtype))
    name = words[-1] if words else ""
    if name not in _DTYPES or not hasattr(xp, name):
        raise unknown_name("dtype", name if words else dtype, [known for known in _DTYPES if hasattr(xp, known)])
    return getattr(xp, name)


# --- splits ------------------------------------------------------------------------------------------


@explains_arguments
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
    part, rounded down or up, and the sizes of the parts are the same as without. Which of equal shares are
    rounded up is drawn by *seed*.

    Shapes: arrays (n, ...) each -> (n_part, ...) each, of the same library, on the same device; lists and
    frames become NumPy arrays. The arrays are copied, never changed. One *seed* gives one split, whatever
    the library.

    Raises
    ------
    ConfigurationError
        No array, no part, or sizes that are negative or leave nothing to train on; a bad seed.
    ShapeError
        The arrays, or *stratify*, differ in length, or one of them is a single number.
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
    opened = [open_array(array, f"array {index}") for index, array in enumerate(arrays)]
    if numbers := [value for value in arrays[1:] if isinstance(value, Real)]:
        raise ShapeError(f"the sizes of split go by name: write test={numbers[0]!r}")
    samples = _common_length([array for array, _, _ in opened])
    sizes = part_sizes(samples, test=test, validation=validation)
    names, codes = _classes(stratify, samples)
    parts = deal(codes, sizes, seeded_generator(seed))
    if len(names) > 1:
        _require_every_class(np.stack([np.bincount(codes[part], minlength=len(names)) for part in parts]), sizes, names)
    return tuple(_take(*entry, indices) for indices in parts for entry in opened)


def _common_length(arrays: list[Array]) -> int:
    lengths = [require_samples(array, f"array {index}") for index, array in enumerate(arrays)]
    if len(set(lengths)) > 1:
        raise ShapeError(f"arrays to split must hold the same samples, but their lengths are {lengths}.")
    return lengths[0]


def part_sizes(samples: int, *, test: float, validation: float) -> tuple[int, int, int]:
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
            f"{name} must be a fraction from 0.0 to below 1.0 or a count of samples; got {size!r}."
        )
    if count == 0 and size > 0:
        raise DataError(f"{name}={size!r} of {samples} samples is none; ask for a larger part or a count.")
    return count


def _classes(stratify: Any, samples: int) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """Return the sorted labels and each sample's place among them; without labels there is one class."""
    if stratify is None:
        return [None], np.zeros(samples, np.int64)
    labels = to_host(stratify, "stratify")
    if labels.ndim != 1:
        raise ShapeError(
            f"stratify must be one label per sample, shape ({samples},); got shape {labels.shape}; "
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


def deal(
    codes: npt.NDArray[np.int64],
    sizes: tuple[int, int, int],
    generator: np.random.Generator,
) -> list[npt.NDArray[np.int64]]:
    """Return the shuffled indices of each part that is not empty, every class dealt in proportion.

    *codes* are classes from 0, (N,). Which of equal shares are rounded up is drawn from the generator. The share of a
    rare class may be rounded to none, but in training each class keeps a row, unless that has fewer rows than there
    are classes.
    """
    order = generator.permutation(len(codes))
    counts = np.bincount(codes)
    held_out = _shares(counts, sizes, generator)
    part = np.zeros(len(codes), np.int64)
    # A stable sort by class keeps the shuffled order inside each class, and so its first samples are random.
    grouped = order[np.argsort(codes[order], kind="stable")]
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    limits = np.cumsum(held_out[::-1], axis=0)  # (2, classes): up to where test, then validation, reaches
    of_class = codes[grouped]
    part[grouped] = np.where(rank < limits[0, of_class], 2, np.where(rank < limits[1, of_class], 1, 0))
    return [order[part[order] == index] for index in range(3) if sizes[index]]


def draw_held_out(codes: Host, count: int, generator: np.random.Generator) -> Host:
    """Return the numbers of *count* rows, at least one, that :func:`deal` draws: each class's share of them."""
    return deal(codes, (len(codes) - count, 0, count), generator)[1]


def _shares(
    counts: npt.NDArray[np.int64], sizes: tuple[int, int, int], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return (2, classes): how many samples of each class go to validation and to test."""
    kept = (counts > 0) & (sizes[0] >= np.count_nonzero(counts))
    test = _apportion(counts, sizes[2], counts - kept, generator)
    rest = counts - test
    return np.stack([_apportion(rest, sizes[1], rest - kept, generator), test])


def _apportion(
    counts: npt.NDArray[np.int64], seats: int, limits: npt.NDArray[np.int64], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Share *seats* in proportion to *counts*, up to *limits*, by largest remainders, in exact integers.

    Equal remainders go by chance. What is beyond a limit is shared in the same way among the others; the limits' sum
    must be at least *seats*.
    """
    shares = np.zeros_like(counts)
    while left := seats - int(shares.sum()):
        weights = np.where(shares < limits, counts, 0)
        more, remainders = np.divmod(weights * left, weights.sum())
        by_remainder = np.lexsort((generator.permutation(len(counts)), -remainders))
        more[by_remainder[: left - more.sum()]] += 1
        shares = np.minimum(shares + more, limits)
    return shares


def _require_every_class(dealt: npt.NDArray[np.int64], sizes: tuple[int, int, int], names: list[Any]) -> None:
    """Raise DataError unless each part has every class: *dealt* are a part's numbers of each, (parts, classes)."""
    counts = dealt.sum(axis=0)
    told = [(part, size) for part, size in zip(("training", "validation", "test"), sizes, strict=True) if size]
    for (part, size), row in zip(told, dealt, strict=True):
        if not row.all():
            missing = int(np.argmin(row))
            raise DataError(
                f"stratify leaves the {part} part ({size} samples) without class {names[missing]!r}, which "
                f"has {counts[missing]} of {counts.sum()} samples; make that part larger, merge or drop rare "
                "classes, or split without stratify."
            )


def _take(array: Array, xp: Any, device: Any, indices: npt.NDArray[np.int64]) -> Array:
    dtype = default_dtype(xp, device, "indexing")
    return xp.take(array, xp.asarray(indices, dtype=dtype, device=device), axis=0)
