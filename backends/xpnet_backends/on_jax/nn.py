"""Replacements for functions of :mod:`xpnet.nn` in forms that XLA compiles to fewer passes on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

__all__ = ["NN", "NN_ON_CPU"]

FEW_COLUMNS = 8
"""Columns up to which an operation along rows is written out column by column: XLA makes vector loops of that, but
reduces rows of two or three numbers one by one."""

SMALL_PRODUCT = 4096
"""Multiplications up to which a product is written out as one sum."""

NARROW_UNITS, MANY_INPUTS = 4, 32
"""Units up to which, and inputs from which, a weight's gradient is summed unit by unit."""

COPY_UNITS, COPY_ROWS = 16, 512
"""Units and rows up to which a transposed copy of the rows makes a weight's gradient faster."""

STRIDE = 512
"""Where the inputs are a multiple of this, elements of a column compete for the same cache lines; there the transposed
copy is faster up to as many units."""


def rows(xp: Any, array: Any, indices: Any) -> Any:
    """Return rows of an array by a plain gather, which does not check the indices."""
    return array.at[indices].get(mode="promise_in_bounds")


def sigmoid(xp: Any, x: Any) -> Any:
    """Return 1 / (1 + exp(-x)) in fewer operations than the reference; 0 if exp(-x) overflows."""
    from jax.lax import logistic

    return logistic(x)


def softmax_cross_entropy(xp: Any, logits: Any, targets: Any) -> tuple[Any, Any]:
    """Return losses and slopes, computed column by column if there are few columns.

    Otherwise the softmax is exp(z - log sum exp z), so that no array is kept between two passes.
    """
    if logits.shape[1] <= FEW_COLUMNS:
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
    """Return a product in the dtype's full precision, or in the one set in JAX; GPUs and TPUs would default to less."""
    from jax import config

    return xp.matmul(a, b, precision=config.jax_default_matmul_precision or "highest")


def product_on_cpu(xp: Any, a: Any, b: Any) -> Any:
    """Return a product; by a small factor, as a sum of outer products, which XLA fuses with earlier operations."""
    if b.ndim != 2 or a.shape[-1] != b.shape[0] or max(b.shape) > FEW_COLUMNS:
        return product(xp, a, b)  # which refuses shapes that do not fit
    return reduce(add, [a[..., k, None] * b[k] for k in range(b.shape[0])])


def weight_gradient_on_cpu(xp: Any, rows: Any, slopes: Any) -> Any:
    """Return ``rows.T @ slopes``, which XLA computes by loops down the columns of *rows*.

    Those loops are slow if *slopes* has few columns, or if the elements of a column lie so far apart that they compete
    for the same cache lines. Then sums by columns are faster, or a transposed copy of *rows*.
    """
    from jax.lax import optimization_barrier

    (count, inputs), units = rows.shape, slopes.shape[1]
    transposed = xp.matrix_transpose(rows)
    if rows.dtype == "bfloat16":
        return xp.nn.product(transposed, slopes)
    if count * inputs * units <= SMALL_PRODUCT:
        return xp.sum(rows[:, :, None] * slopes[:, None, :], axis=0)
    if units <= NARROW_UNITS and inputs >= MANY_INPUTS:
        return xp.stack([xp.sum(rows * slopes[:, k, None], axis=0) for k in range(units)], axis=1)
    if (units <= COPY_UNITS and count <= COPY_ROWS) or (units <= STRIDE and inputs % STRIDE == 0):
        transposed = optimization_barrier(transposed)
    return xp.nn.product(transposed, slopes)


def rounded(xp: Any, x: Any) -> Any:
    """Return the array in bfloat16."""
    return x.astype("bfloat16")


def rounded_product(xp: Any, a: Any, b: Any) -> Any:
    """Return a product of bfloat16 arrays, summed and returned in float32."""
    return xp.matmul(a, b, preferred_element_type="float32")


def argmax(xp: Any, scores: Any) -> Any:
    """Return the index of each row's first largest number, where NaN is the largest; by columns if there are few."""
    if scores.shape[1] > FEW_COLUMNS:
        return xp.argmax(scores, axis=1)
    largest, *others = xp.unstack(scores, axis=1)
    index = xp.zeros(largest.shape, dtype=int)  # argmax has the same type
    for k, column in enumerate(others, 1):
        larger = (column > largest) | (xp.isnan(column) & ~xp.isnan(largest))
        index, largest = xp.where(larger, k, index), xp.where(larger, column, largest)
    return index


NN: dict[str, Callable[..., Any]] = {
    "argmax": argmax,
    "product": product,
    "rounded": rounded,
    "rounded_product": rounded_product,
    "rows": rows,
    "sigmoid": sigmoid,
    "softmax_cross_entropy": softmax_cross_entropy,
}
"""One object for every open backend, as programs are equal only if their backends share it."""

NN_ON_CPU = NN | {"product": product_on_cpu, "weight_gradient": weight_gradient_on_cpu}
"""The replacements on a CPU; on other devices XLA calls libraries, which need no help."""
