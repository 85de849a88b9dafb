"""Replacements for functions of :mod:`xpnet.nn`, in XLA's terms: it compiles them to fewer passes on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

__all__ = ["NN"]

FEW = 8
"""Columns up to which what goes along rows is written out by columns: XLA makes vector loops of that, but reduces rows
of two or three numbers one by one."""


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
