"""Kernels in the place of functions of :mod:`xpnet.nn`, with the signatures of the reference, and of more together.

:func:`adamw`, :func:`bias_activation` and :func:`bias_activation_backward` do what are two calls of ``xp.nn`` or more,
for which there is no door yet.

They have never run on a GPU, so :func:`xpnet_backends.on_cupy.open` does not switch them on. On a CPU their arithmetic
is held to the reference, and they compile for today's GPUs (``tests/test_on_cupy_kernels.py``); whether they run, and
how fast, is what ``python -m benchmarks.gpu`` measures, beside plain CuPy. :data:`NN` is what the backend's ``nn``
takes once a measurement says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from math import inf, log, prod
from typing import TYPE_CHECKING, Any

from xpnet_backends.on_cupy.sources import OPTIONS, source

if TYPE_CHECKING:
    from xpnet.random import Key

__all__ = [
    "ACTIVATIONS",
    "NN",
    "adam",
    "adamw",
    "bias_activation",
    "bias_activation_backward",
    "bias_gradient",
    "dropout_mask",
    "linear",
    "softmax_cross_entropy",
]

Array = Any

THREADS = 256
"""Of a block, where one thread is as good as another."""

BLOCKS = 2048
"""At most, for kernels that go on in strides: twice what the largest GPUs hold at a time."""

WARP = 32
COLUMNS, DEEP = 32, 8
"""Of a block in ``bias_activation.cu``."""

ROW_BLOCKS = 64
"""Blocks that share a column at most, and so partial sums of its gradient."""

ACTIVATIONS = {"identity": 0, "relu": 1, "sigmoid": 2, "tanh": 3}
"""The numbers that ``bias_activation.cu`` knows them by."""


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
    """Do in one pass what :func:`xpnet.nn.adam` does, in the vectors' own memory."""
    _check_alike("adam", params, gradient, m, v)
    rate, count = (_like(params, number) for number in (learning_rate, step))
    moments = _moments(params, beta1, beta2, epsilon)
    _flat("adam", "adam", params.size, gradient, params, m, v, rate, count, *moments)
    return params, m, v


def adamw(
    gradient: Array,
    params: Array,
    m: Array,
    v: Array,
    mask: Array,
    learning_rate: Array,
    step: Array,
    decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> tuple[Array, Array, Array]:
    """Shrink what *mask* marks by ``learning_rate * decay``, then do what :func:`adam` does, in one pass."""
    _check_alike("adamw", params, gradient, m, v, mask)
    rate, count = (_like(params, number) for number in (learning_rate, step))
    moments = _moments(params, beta1, beta2, epsilon)
    shrinkage = params.dtype.type(decay)
    _flat("adam", "adamw", params.size, gradient, params, m, v, mask, rate, count, shrinkage, *moments)
    return params, m, v


def _check_alike(name: str, *arrays: Array) -> None:
    """Refuse arrays that a kernel would read as what they are not."""
    kind = arrays[0].dtype
    if any(array.dtype != kind or not array.flags.c_contiguous for array in arrays):
        given = ", ".join(f"{array.dtype}{'' if array.flags.c_contiguous else ' in strides'}" for array in arrays)
        raise TypeError(f"{name} takes arrays of one dtype in C order; got {given}")


def _like(params: Array, number: Array) -> Array:
    """Return a 0-d array of the parameters' type, on the device: the kernels read it as that."""
    import cupy

    return cupy.asarray(number, dtype=params.dtype)


def _moments(params: Array, beta1: float, beta2: float, epsilon: float) -> list[Any]:
    """Return what the kernels want to know of both betas, in the parameters' type."""
    numbers = [part for beta in (beta1, beta2) for part in (beta, 1.0 - beta, log(beta) if beta else -inf)]
    return [params.dtype.type(number) for number in (*numbers, epsilon)]


def softmax_cross_entropy(xp: Any, logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return what :func:`xpnet.nn.softmax_cross_entropy` does, a warp a row."""
    import cupy

    rows, classes = logits.shape
    losses, slopes = cupy.empty(rows, dtype=logits.dtype), cupy.empty((rows, classes), dtype=logits.dtype)
    kernel = _kernel("softmax_cross_entropy", "softmax_cross_entropy", logits.dtype.name)
    tables = (cupy.ascontiguousarray(table, dtype=logits.dtype) for table in (logits, targets))
    arguments = (*tables, losses, slopes)
    blocks = min(-(-rows * WARP // THREADS), BLOCKS)
    if blocks and classes:
        kernel((blocks,), (THREADS,), (*arguments, _long(rows), _int(classes)))
    return losses, slopes


def linear(xp: Any, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return ``x @ weight + bias``, the bias added in place by one kernel."""
    y = xp.matmul(x, weight)
    return y if bias is None else bias_activation(y, bias, "identity")


def bias_gradient(xp: Any, slopes: Array) -> Array:
    """Return the sums of the columns of (N, units)."""
    return _column_sums(slopes, slopes, None, "identity")


def bias_activation(y: Array, bias: Array, activation: str) -> Array:
    """Return activation(y + bias), written over y, whose last axis is the bias's."""
    _check_alike("bias_activation", y, bias)
    units = bias.size
    rows = y.size // units
    kernel = _kernel("bias_activation", "bias_activation", y.dtype.name)
    if rows:
        grid, block = _over_table(rows, units)
        kernel(grid, block, (y, bias, _long(rows), _int(units), _int(ACTIVATIONS[activation])))
    return y


def bias_activation_backward(y: Array, dy: Array, activation: str) -> tuple[Array, Array]:
    """Return dx = dy f'(x), from y = f(x), and the sums of its columns: both tables (N, units)."""
    import cupy

    dx = cupy.empty_like(dy, order="C")
    return dx, _column_sums(y, dy, dx, activation)


def _column_sums(y: Array, dy: Array, dx: Array | None, activation: str) -> Array:
    import cupy

    rows, units = dy.shape
    dbias = cupy.zeros(units, dtype=dy.dtype)
    if not rows:
        return dbias
    grid, block = _over_table(rows, units)
    partial = cupy.empty((grid[1], units), dtype=dy.dtype)
    number = _int(ACTIVATIONS[activation])
    y, dy = (cupy.ascontiguousarray(table) for table in (y, dy))
    backward = _kernel("bias_activation", "bias_activation_backward", dy.dtype.name)
    backward(grid, block, (y, dy, _long(0) if dx is None else dx, partial, _long(rows), _int(units), number))
    together = _kernel("bias_activation", "add_partial_sums", dy.dtype.name)
    together((-(-units // THREADS),), (THREADS,), (partial, dbias, _int(grid[1]), _int(units)))
    return dbias


def dropout_mask(xp: Any, key: Key, shape: tuple[int, ...], rate: float, dtype: Any) -> Array:
    """Return what :func:`xpnet.nn.dropout_mask` does, bit for bit."""
    import cupy

    mask = cupy.empty(shape, dtype=dtype)
    kept = round((1.0 - rate) * 65536)
    scale = mask.dtype.type(65536 / kept)
    words = (key.first, key.second, key.multipliers)
    _flat("dropout_mask", "dropout_mask", prod(shape), mask, *words, cupy.uint32(kept), scale)
    return mask


NN: Mapping[str, Callable[..., Any]] = {
    "adam": adam,
    "bias_gradient": bias_gradient,
    "dropout_mask": dropout_mask,
    "linear": linear,
    "softmax_cross_entropy": softmax_cross_entropy,
}
"""Replacements for functions of :mod:`xpnet.nn`, by name."""


@cache
def _kernel(file: str, name: str, dtype: str) -> Callable[..., None]:
    """Return a kernel, compiled at its first launch on each device."""
    import cupy

    kernel: Callable[..., None] = _module(cupy, file, dtype).get_function(name)
    return kernel


@cache
def _module(cupy: Any, file: str, dtype: str) -> Any:
    return cupy.RawModule(code=source(file, dtype), options=OPTIONS)


def _flat(file: str, name: str, size: int, *arguments: Any) -> None:
    """Launch a kernel over *size* elements, whose number is its last argument; the first argument gives the type."""
    blocks = min(-(-size // THREADS), BLOCKS)
    if blocks:
        _kernel(file, name, arguments[0].dtype.name)((blocks,), (THREADS,), (*arguments, _long(size)))


def _over_table(rows: int, units: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return grid and block for a table in ``bias_activation.cu``."""
    return (-(-units // COLUMNS), min(-(-rows // DEEP), ROW_BLOCKS)), (COLUMNS, DEEP)


def _long(number: int) -> Any:
    import numpy as np

    return np.int64(number)


def _int(number: int) -> Any:
    import numpy as np

    return np.int32(number)
