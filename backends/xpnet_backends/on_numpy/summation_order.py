"""The order in which OpenBLAS adds up the terms of a matrix product, found for each shape by experiment.

Rounding makes the order visible: a product of sample matrices by NumPy is compared, bit for bit, with the same product
added up in each of the orders that OpenBLAS is known to use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Order",
    "find_order",
    "fused_multiply_add",
    "multiply_in_order",
    "partial_sum_ends",
    "sample_matrix",
]

BLOCKS = 448, 512
"""Terms of a partial sum on processors with AVX-512 (``SGEMM_DEFAULT_Q`` in OpenBLAS's ``param.h``): the OpenBLAS of
NumPy 2.4 and earlier, and of 2.5."""


class Order(NamedTuple):
    """How the terms are added: in partial sums, each starting from zero, whose results are then added up in turn.

    A partial sum has *block* terms; the last block or two are split in halves, rounded up to a multiple of *unit*. If
    *to_zero*, even the first partial sum is added to a zero, so that a sum of tiny negative products, which underflow
    to -0.0, ends as 0.0.
    """

    block: int
    unit: int
    to_zero: bool


PROBE_SHAPE = 256, 1760, 256
"""Rows, terms, columns of a product that tells the values of ``BLOCKS`` apart, whatever the number of threads."""

UNBOUNDED = 1 << 40
"""A block larger than any number of terms: everything is one sum."""

MIN_PROBE = 1 << 22
"""A large product is probed by one of at least so many multiplications: OpenBLAS may add up smaller ones otherwise."""

MAX_PROBED_BLOCK = 1 << 14
"""Orders with partial sums of more terms are not probed, as each term takes some us."""

UNIT = 256
"""The smaller product's numbers of rows and columns leave the same remainder modulo this as the large one's."""

TINY = np.float32(1e-30)
"""Scales the first row and column of the samples, so that their products underflow, which shows the sign of zeros."""


@lru_cache(maxsize=256)
def find_order(
    rows: int, terms: int, columns: int, a_transposed: bool, b_transposed: bool, threads: int
) -> Order | None:
    """Return the order in which NumPy adds up the terms of such a product; None if it is none of the known ones.

    *threads* is the number of threads that OpenBLAS uses now; it is an argument because the cached answer depends on
    it. A large product is probed by a smaller one that OpenBLAS divides in the same way. Some rows and columns are
    compared, among them the last ones, for which OpenBLAS may have other routines.
    """
    block = _block_size()
    return _first_match(
        candidate_orders(block), _smaller_shape(rows, terms, columns, block), a_transposed, b_transposed
    )


def candidate_orders(block: int) -> tuple[Order, ...]:
    """Return the orders of several threads, of one thread, and of small products, which are one sum."""
    return (
        Order(block, 1, True),
        Order(block, 16, True),
        Order(UNBOUNDED, 1, False),
        Order(UNBOUNDED, 1, True),
    )


@cache
def _block_size() -> int:
    """Return the number of terms in a partial sum of NumPy's OpenBLAS; the first of ``BLOCKS`` if it is neither."""
    found = _first_match(
        [Order(block, 1, True) for block in BLOCKS], PROBE_SHAPE, a_transposed=False, b_transposed=False
    )
    return found.block if found else BLOCKS[0]


def _first_match(
    orders: Iterable[Order], form: Sequence[int], a_transposed: bool = False, b_transposed: bool = False
) -> Order | None:
    """Return the first of these orders that gives NumPy's bits in a product of this shape."""
    rows, terms, columns = form
    a, b = sample_matrix(rows, terms, transposed=a_transposed), sample_matrix(terms, columns, transposed=b_transposed)
    a[0], b[:, 0] = np.abs(a[0]) * TINY, -np.abs(b[:, 0]) * TINY
    i, j = _sample_indices(rows), _sample_indices(columns)
    numpys = np.dot(a, b)[np.ix_(i, j)].view(np.uint32)
    for order in orders:
        if min(terms, order.block) > MAX_PROBED_BLOCK:
            continue
        if np.array_equal(numpys, multiply_in_order(a[i], b[:, j], order).view(np.uint32)):
            return order
    return None


def partial_sum_ends(terms: int, order: Order) -> list[int]:
    """Return where the partial sums begin and end: blocks, and the halves of a remainder of less than two blocks.

    >>> partial_sum_ends(1000, Order(448, 1, True)), partial_sum_ends(1000, Order(448, 16, True))
    ([0, 448, 724, 1000], [0, 448, 736, 1000])
    >>> partial_sum_ends(300, Order(448, 1, True))
    [0, 300]
    """
    block, unit, _ = order
    found = [0]
    while (left := terms - found[-1]) > 0:
        half = -(-left // 2) if unit == 1 else -(-(left // 2) // unit) * unit
        found.append(found[-1] + (block if left >= 2 * block else half if left > block else left))
    return found


def multiply_in_order(a: Any, b: Any, order: Order) -> Any:
    """Return ``a @ b`` of float32, added up in an order; all partial sums are computed at the same time."""
    each = list(pairwise(partial_sum_ends(a.shape[1], order)))
    longest = max(end - begin for begin, end in each)
    x = np.zeros((longest, len(each), len(a), 1), dtype=np.float32)
    y = np.zeros((longest, len(each), 1, b.shape[1]), dtype=np.float32)
    for part, (begin, end) in enumerate(each):
        x[: end - begin, part, :, 0], y[: end - begin, part, 0] = a[:, begin:end].T, b[begin:end]
    sums = np.zeros((len(each), len(a), b.shape[1]), dtype=np.float32)
    for k in range(longest):
        sums = fused_multiply_add(x[k], y[k], sums)
    total = sums[0] + np.float32(0) if order.to_zero else sums[0]
    for part in sums[1:]:
        total = total + part
    return total


def fused_multiply_add(x: Any, y: Any, total: Any) -> Any:
    """Return ``x y + total`` of float32, rounded once.

    A product of two float32 is exact in float64. Its sum with a third is rounded twice, to float64 and to float32,
    which differs from one rounding in about one sum of some hundred million.
    """
    return (np.multiply(x, y, dtype=np.float64) + total).astype(np.float32)


def sample_matrix(*shape: int, transposed: bool = False) -> Any:
    """Return a sample array of numbers between -1 and 1, in row-major order, or *transposed* in column-major order."""
    numbers = np.resize(np.sin(np.arange(9973, dtype=np.float32)), shape[::-1] if transposed else shape)
    return numbers.T if transposed else numbers


def _smaller_shape(rows: int, terms: int, columns: int, block: int) -> list[int]:
    """Return a smaller shape where possible, which has the same remainders modulo the units of OpenBLAS's blocking."""
    found = [rows, terms, columns]
    for axis in sorted(range(3), key=lambda axis: -found[axis]):
        unit = block if axis == 1 else UNIT
        others = prod(found) // found[axis]
        least = max(3 * unit, -(-MIN_PROBE // others) // unit * unit + unit)
        found[axis] = min(found[axis], least + found[axis] % unit)
    return found


def _sample_indices(count: int) -> Any:
    """Return the indices of the rows or columns to compare: the first, two in the middle, the last 17."""
    return np.unique([0, count // 3, count // 2, *range(max(0, count - 17), count)])
