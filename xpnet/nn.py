"""The composite operations in pure Array API: the reference for ``xp.nn``, and the one door for speed.

A backend may replace any function here by name with a faster one of the same signature; the same tests hold
both to the same numbers. Each takes the namespace first and writes only into arrays that it made itself,
except :func:`wrap` and :func:`adam`, which may reuse what they are given (its owner has donated it).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, prod
from typing import TYPE_CHECKING, Any

from xpnet.random import Key, bits16

if TYPE_CHECKING:
    from xpnet.backend import Array

__all__ = [
    "adam",
    "argmax",
    "bias_correction",
    "bias_gradient",
    "dropout_mask",
    "linear",
    "linear_backward",
    "log_softmax",
    "normalize",
    "normalize_backward",
    "one_hot",
    "operand",
    "product",
    "rounded",
    "rounded_product",
    "rows",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "weight_gradient",
    "words",
    "wrap",
]

LARGEST = (2.0 - 2.0**-23) * 2.0**127
"""The largest number of float32."""


def linear(xp: Any, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return ``x @ weight + bias``: (..., inputs) and (inputs, units) to (..., units)."""
    y = xp.nn.product(xp.nn.operand(x), xp.nn.operand(weight))
    if bias is not None:
        y += bias
    return y


def linear_backward(
    xp: Any, x: Array, weight: Array, dy: Array, input_gradient: bool
) -> tuple[Array | None, Array, Array]:
    """Return the gradients (dx, dweight, dbias) of :func:`linear`; dx is None where it is not wanted."""
    rows = xp.nn.operand(xp.reshape(x, (-1, x.shape[-1])))  # (N, inputs)
    slopes = xp.reshape(dy, (-1, dy.shape[-1]))  # (N, units)
    factors = xp.nn.operand(dy)
    dx = xp.nn.product(factors, xp.matrix_transpose(xp.nn.operand(weight))) if input_gradient else None
    dweight = xp.nn.weight_gradient(rows, xp.reshape(factors, slopes.shape))
    return dx, dweight, xp.nn.bias_gradient(slopes)


def operand(xp: Any, x: Array) -> Array:
    """Return an array as :func:`product` takes it: as it is, or, for products in bfloat16, :func:`rounded`."""
    return x


def product(xp: Any, a: Array, b: Array) -> Array:
    """Return the matrix product of two arrays of :func:`operand`, in the dtype of what they were made of."""
    return xp.matmul(a, b)


def rounded(xp: Any, x: Array) -> Array:
    """Return the nearest numbers of bfloat16, which have 8 significant bits, as :func:`rounded_product` takes them.

    By Veltkamp's splitting (Dekker 1971, section 5), in float32; either of two that are equally near. It multiplies by
    2**16 + 1, for which large numbers have no room, so all are divided by 2**17 first; of those below 2**-109 that
    takes bits, too, and they may become the other neighbour, or from 2**-124 down a coarser number.
    """
    small = 2.0**-17 * x
    spread = 65537.0 * 2.0**-17 * x  # of 24 bits 16 are rounded away
    spread = xp.minimum(xp.maximum(spread, -LARGEST), LARGEST)  # so that infinity stays infinite
    return 2.0**17 * (spread - (spread - small))


def rounded_product(xp: Any, a: Array, b: Array) -> Array:
    """Return the matrix product of two arrays of :func:`rounded`, added up in float32, in float32.

    A backend may round the sums to bfloat16 in the end, as PyTorch does.
    """
    return xp.matmul(a, b)


def weight_gradient(xp: Any, rows: Array, slopes: Array) -> Array:
    """Return the gradient of a weight, (inputs, units), from a layer's rows (N, inputs) and the slopes (N, units)."""
    return xp.nn.product(xp.matrix_transpose(rows), slopes)


def bias_gradient(xp: Any, slopes: Array) -> Array:
    """Return the gradient of a bias that was added to every row: the sums of the columns, (N, units) to (units,)."""
    return xp.sum(slopes, axis=0)


def sigmoid(xp: Any, x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) from exp(-|x|), which does not overflow and keeps its digits in both tails."""
    return _logistic(xp, x, xp.exp(-xp.abs(x)))


def _logistic(xp: Any, x: Array, decay: Array) -> Array:
    """Return the sigmoid of x, where *decay* is exp(-|x|): 1 / (1 + decay), or decay / (1 + decay) for x below 0."""
    y = xp.maximum(decay, xp.astype(x >= 0.0, x.dtype))  # no where(): NumPy's takes as long as all the rest
    y /= 1.0 + decay
    return y


def softplus(xp: Any, x: Array) -> Array:
    """Return log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|)), which does not overflow."""
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


def softmax(xp: Any, logits: Array) -> Array:
    """Return exp(z) / sum(exp(z)) over the last axis, with the row's own maximum taken off first."""
    y = xp.exp(logits - xp.max(logits, axis=-1, keepdims=True))
    y /= xp.sum(y, axis=-1, keepdims=True)
    return y


def log_softmax(xp: Any, logits: Array) -> Array:
    """Return the logarithm of :func:`softmax` without forming it."""
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def one_hot(xp: Any, labels: Array, classes: int, dtype: Any) -> Array:
    """Return rows with 1 at the label and 0 elsewhere: (N,) integers to (N, classes)."""
    indices = xp.arange(classes, dtype=labels.dtype)
    return xp.astype(xp.expand_dims(labels, axis=1) == xp.expand_dims(indices, axis=0), dtype)


def rows(xp: Any, array: Array, indices: Array) -> Array:
    """Return rows of an array: (M, ...) and (N,) integers to (N, ...).

    Every integer has to lie in [0, M): backends need not look, and what they give for another is undefined.
    """
    return xp.take(array, indices, axis=0)


def argmax(xp: Any, scores: Array) -> Array:
    """Return the place of each row's largest number, the first of equal ones: (N, classes) to (N,) integers."""
    return xp.argmax(scores, axis=1)


def softmax_cross_entropy(xp: Any, logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return each row's loss -sum(t log softmax(z)) and its slope softmax(z) - t.

    The loss is finite where the differences of a row's logits are, the slope where the logits are.

    Parameters
    ----------
    logits : array, shape (N, classes)
    targets : array, shape (N, classes)
        Rows that sum to 1.
    """
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    slopes = xp.exp(shifted)
    total = xp.sum(slopes, axis=-1, keepdims=True)
    slopes /= total
    slopes -= targets
    shifted *= targets
    return xp.log(total)[:, 0] - xp.sum(shifted, axis=-1), slopes


def sigmoid_cross_entropy(xp: Any, logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return elementwise -t log s(z) - (1-t) log(1-s(z)) and its slope s(z) - t, with s the sigmoid.

    Computed as (max(z, 0) - t z) + log1p(exp(-|z|)), whose first part is 0 where the answer is right and sure.
    """
    decay = xp.exp(-xp.abs(logits))
    losses = xp.maximum(logits, 0.0) - logits * targets
    losses += xp.log1p(decay)
    return losses, _logistic(xp, logits, decay) - targets


def normalize(xp: Any, x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array, Array]:
    """Shift and scale to mean 0 and variance 1 over *axes*: (x - mean) / sqrt(variance + epsilon).

    Returns the normalized array, 1 / sqrt(variance + epsilon), mean and variance (population), the last
    three with the reduced axes kept as 1.
    """
    mean = xp.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    variance = xp.mean(centred * centred, axis=axes, keepdims=True)
    inverse = 1.0 / xp.sqrt(variance + epsilon)
    centred *= inverse
    return centred, inverse, mean, variance


def normalize_backward(xp: Any, normalized: Array, inverse: Array, dy: Array, axes: tuple[int, ...]) -> Array:
    """Return dx of :func:`normalize`: inverse (dy - mean(dy) - normalized mean(dy normalized))."""
    dx = dy - xp.mean(dy, axis=axes, keepdims=True)
    dx -= normalized * xp.mean(dy * normalized, axis=axes, keepdims=True)
    dx *= inverse
    return dx


def dropout_mask(xp: Any, key: Key, shape: tuple[int, ...], rate: float, dtype: Any) -> Array:
    """Return an array of 0 with probability *rate* and otherwise 1 / (1 - rate).

    The probability is rounded to a multiple of 2**-16, in the mask and in its scale alike, so that the
    expectation is exactly 1.
    """
    kept = round((1.0 - rate) * 65536)
    bits = bits16(key, prod(shape), xp)
    return xp.reshape(xp.astype(bits < kept, dtype) * (65536 / kept), shape)


def words(xp: Any, values: Sequence[int]) -> Array:
    """Return 32-bit words on the device, in the integer type that the library can shift and multiply."""
    return xp.asarray(values, dtype=xp.uint32)


def wrap(xp: Any, words: Array) -> Array:
    """Return words modulo 2**32, after a sum or product in the type that :func:`words` chose, maybe in its memory."""
    return words


def adam(
    xp: Any,
    gradient: Array,
    params: Array,
    m: Array,
    v: Array,
    learning_rate: Array,
    step: Array,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> tuple[Array, Array, Array]:
    """Return (params, m, v) after one step of Adam (Kingma and Ba 2015, algorithm 1).

    ``step`` counts from 1 and is floating.
    """
    m *= beta1
    m += (1.0 - beta1) * gradient
    v *= beta2
    v += (1.0 - beta2) * (gradient * gradient)
    denominator = xp.sqrt(v)
    if beta2:
        # sqrt(v / c) as sqrt(v) (1 / sqrt(c)), as a division takes longer than all the rest of an element.
        denominator *= 1.0 / xp.sqrt(xp.nn.bias_correction(beta2, step))
    denominator += epsilon
    params -= (learning_rate / xp.nn.bias_correction(beta1, step)) * m / denominator
    return params, m, v


def bias_correction(xp: Any, beta: float, step: Array) -> Array | float:
    """Return 1 - beta**step as -expm1(step log beta), which keeps the digits that float32 would lose."""
    return -xp.expm1(step * log(beta)) if beta else 1.0
