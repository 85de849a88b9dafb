"""Replacements for functions of :mod:`xpnet.nn`, in XLA's terms: it compiles them to fewer passes on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

__all__ = ["NN", "ON_CPU"]

FEW = 8
"""Columns up to which what goes along rows is written out by columns: XLA makes vector loops of that, but reduces rows
of two or three numbers one by one."""

SMALL = 4096
"""Multiplications up to which a product is written out as one sum."""

NARROW, LONG = 4, 32
"""Units up to which, and inputs from which, a weight's gradient is summed unit by unit."""

FEW_UNITS, FEW_ROWS = 16, 512
"""Units and rows up to which a copy of the rows that lies the other way pays in a weight's gradient."""

FAR = 512
"""Inputs at whose multiples the elements of a column share lines of a cache; units up to which the copy pays there."""


def rows(xp: Any, array: Any, indices: Any) -> Any:
    """Return rows of an array, without a look whether each index is one: a gather alone."""
    return array.at[indices].get(mode="promise_in_bounds")


def sigmoid(xp: Any, x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), in a pass of fewer operations; where exp(-x) overflows, 0."""
    from jax.lax import logistic

    return logistic(x)


def softmax_cross_entropy(xp: Any, logits: Any, targets: Any) -> tuple[Any, Any]:
    """Return losses and slopes, by columns where there are few.

    Else the softmax is exp(z - log sum exp z), so that no array is kept between two passes.
    """
    if logits.shape[1] <= FEW:
        return _cross_entropy_by_columns(xp, logits, targets)
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    log_total = xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
    return log_total[:, 0] - xp.sum(shifted * targets, axis=-1), xp.exp(shifted - log_total) - targets


def _cross_entropy_by_columns(xp: Any, logits: Any, targets: Any) -> tuple[Any, Any]:
    columns, wanted = xp.unstack(logits, axis=1), xp.unstack(targets, axis=1)
    largest = reduce(xp.maximum, columns)
    shifted = [column - largest for column in columns]
    powers = [xp.exp(column) for column in shifted]
    total = reduce(add, powers)
    share = 1.0 / total
    losses = xp.log(total) - reduce(add, [z * t for z, t in zip(shifted, wanted, strict=True)])
    return losses, xp.stack([e * share - t for e, t in zip(powers, wanted, strict=True)], axis=1)


def product(xp: Any, a: Any, b: Any) -> Any:
    """Return a product in the dtype's full precision, unless JAX was told another: GPUs and TPUs would take less."""
    from jax import config

    return xp.matmul(a, b, precision=config.jax_default_matmul_precision or "highest")


def product_on_cpu(xp: Any, a: Any, b: Any) -> Any:
    """Return a product of few columns by few as a sum of outer products, which XLA joins with what comes before it."""
    if b.ndim != 2 or a.shape[-1] != b.shape[0] or max(b.shape) > FEW:
        return product(xp, a, b)  # which refuses shapes that do not go together
    return reduce(add, [a[..., k, None] * b[k] for k in range(b.shape[0])])


def weight_gradient_on_cpu(xp: Any, rows: Any, slopes: Any) -> Any:
    """Return a product whose first factor is transposed, which XLA leaves to loops that go down its columns.

    These take long where there are few columns to go along on the other side, or where the columns' elements lie so far
    apart that they share lines of a cache: then sums by columns are faster, or a copy that lies the other way.
    """
    from jax.lax import optimization_barrier

    (count, inputs), units = rows.shape, slopes.shape[1]
    transposed = xp.matrix_transpose(rows)
    if rows.dtype == "bfloat16":
        return xp.nn.product(transposed, slopes)
    if count * inputs * units <= SMALL:
        return xp.sum(rows[:, :, None] * slopes[:, None, :], axis=0)
    if units <= NARROW and inputs >= LONG:
        return xp.stack([xp.sum(rows * slopes[:, k, None], axis=0) for k in range(units)], axis=1)
    if (units <= FEW_UNITS and count <= FEW_ROWS) or (units <= FAR and inputs % FAR == 0):
        transposed = optimization_barrier(transposed)
    return xp.nn.product(transposed, slopes)


def rounded(xp: Any, x: Any) -> Any:
    """Return the array in bfloat16."""
    return x.astype("bfloat16")


def rounded_product(xp: Any, a: Any, b: Any) -> Any:
    """Return a product of arrays in bfloat16, added up in float32 and left there."""
    return xp.matmul(a, b, preferred_element_type="float32")


def argmax(xp: Any, scores: Any) -> Any:
    """Return the place of each row's first largest number, by columns where there are few; NaN is the largest."""
    if scores.shape[1] > FEW:
        return xp.argmax(scores, axis=1)
    largest, *others = xp.unstack(scores, axis=1)
    place = xp.zeros(largest.shape, dtype=int)  # the type that argmax gives, too
    for k, column in enumerate(others, 1):
        larger = (column > largest) | (xp.isnan(column) & ~xp.isnan(largest))
        place, largest = xp.where(larger, k, place), xp.where(larger, column, largest)
    return place


NN: dict[str, Callable[..., Any]] = {
    "argmax": argmax,
    "product": product,
    "rounded": rounded,
    "rounded_product": rounded_product,
    "rows": rows,
    "sigmoid": sigmoid,
    "softmax_cross_entropy": softmax_cross_entropy,
}
"""One object, so that networks know that they share it."""

ON_CPU = NN | {"product": product_on_cpu, "weight_gradient": weight_gradient_on_cpu}
"""The same for a CPU; on other devices XLA calls libraries, which do well as they are."""
