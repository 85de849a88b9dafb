"""The orders in which OpenBLAS adds the terms of a product: a known one is found for a shape by trying."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Order", "drawn", "ends", "found", "fused", "in_order"]

BLOCKS = 448, 512
"""Terms whose sum is taken by itself on processors with AVX-512 (``SGEMM_DEFAULT_Q`` in OpenBLAS's ``param.h``): up to
NumPy 2.4, and with 2.5."""


class Order(NamedTuple):
    """How terms are added: each sum of so many by itself, halves in whole units, and from zero or to a zero.

    What is added to a zero is never -0.0, as a sum of negative products too small for float32 is.
    """

    block: int
    unit: int
    to_zero: bool


DISTINCT = 256, 1760, 256
"""A form of products that is added up otherwise by each of them, and alike by one thread and by several."""

ALL = 1 << 40
"""More terms than there are."""

SMALLEST = 1 << 22
"""Multiplications of what is tried in the place of a larger product: of fewer, the order may be another."""

LONGEST = 1 << 14
"""Terms of a sum by itself up to which an order is tried: each takes some us."""

UNIT = 256
"""Rows, or columns, whose number's rest a smaller product keeps."""

TINY = np.float32(1e-30)
"""What the first row and column are multiplied by: their products are too small for float32."""


@lru_cache(maxsize=256)
def found(rows: int, terms: int, columns: int, a_turned: bool, b_turned: bool, threads: int) -> Order | None:
    """Return the order in which NumPy adds in a product of this form, by so many threads; None where none is known.

    NumPy has to use that number of *threads* now; it is given to tell apart what was found for each number.
    Some rows and columns are computed, among them those at an end, for which OpenBLAS may have other routines. A large
    product is tried by a smaller one that is divided alike.
    """
    block = _block()
    return _first(orders(block), _smaller(rows, terms, columns, block), a_turned, b_turned)


def orders(block: int) -> tuple[Order, ...]:
    """Return the orders of several threads; of one; and of small products, in one sum."""
    return Order(block, 1, True), Order(block, 16, True), Order(ALL, 1, False), Order(ALL, 1, True)


@cache
def _block() -> int:
    """Return of how many terms NumPy's OpenBLAS takes the sum by itself, if it is a known number."""
    found = _first([Order(block, 1, True) for block in BLOCKS], DISTINCT, a_turned=False, b_turned=False)
    return found.block if found else BLOCKS[0]


def _first(
    orders: Iterable[Order], form: Sequence[int], a_turned: bool = False, b_turned: bool = False
) -> Order | None:
    """Return the first of these orders in which NumPy adds in a product of this form."""
    rows, terms, columns = form
    a, b = drawn(rows, terms, turned=a_turned), drawn(terms, columns, turned=b_turned)
    a[0], b[:, 0] = np.abs(a[0]) * TINY, -np.abs(b[:, 0]) * TINY
    i, j = _some(rows), _some(columns)
    numpys = np.dot(a, b)[np.ix_(i, j)].view(np.uint32)
    for order in orders:
        if min(terms, order.block) > LONGEST:
            continue
        if np.array_equal(numpys, in_order(a[i], b[:, j], order).view(np.uint32)):
            return order
    return None


def ends(terms: int, order: Order) -> list[int]:
    """Return where sums are taken by themselves: blocks, and halves, in whole units, of what is less than two.

    >>> ends(1000, Order(448, 1, True)), ends(1000, Order(448, 16, True)), ends(300, Order(448, 1, True))
    ([0, 448, 724, 1000], [0, 448, 736, 1000], [0, 300])
    """
    block, unit, _ = order
    found = [0]
    while (left := terms - found[-1]) > 0:
        half = -(-left // 2) if unit == 1 else -(-(left // 2) // unit) * unit
        found.append(found[-1] + (block if left >= 2 * block else half if left > block else left))
    return found


def in_order(a: Any, b: Any, order: Order) -> Any:
    """Return ``a @ b`` of float32, added up in an order; its sums side by side."""
    each = list(pairwise(ends(a.shape[1], order)))
    longest = max(end - begin for begin, end in each)
    x = np.zeros((longest, len(each), len(a), 1), dtype=np.float32)
    y = np.zeros((longest, len(each), 1, b.shape[1]), dtype=np.float32)
    for part, (begin, end) in enumerate(each):
        x[: end - begin, part, :, 0], y[: end - begin, part, 0] = a[:, begin:end].T, b[begin:end]
    sums = np.zeros((len(each), len(a), b.shape[1]), dtype=np.float32)
    for k in range(longest):
        sums = fused(x[k], y[k], sums)
    total = sums[0] + np.float32(0) if order.to_zero else sums[0]
    for part in sums[1:]:
        total = total + part
    return total


def fused(x: Any, y: Any, total: Any) -> Any:
    """Return ``x y + total`` of float32, rounded once.

    A product of two float32 is exact in float64, and its sum with a third is rounded twice; that it matters is a
    matter of one sum in some hundred millions.
    """
    return (np.multiply(x, y, dtype=np.float64) + total).astype(np.float32)


def drawn(*shape: int, turned: bool = False) -> Any:
    """Return numbers between -1 and 1, whose sums are rounded: a matrix row after row, or column after column."""
    numbers = np.resize(np.sin(np.arange(9973, dtype=np.float32)), shape[::-1] if turned else shape)
    return numbers.T if turned else numbers


def _smaller(rows: int, terms: int, columns: int, block: int) -> list[int]:
    """Return numbers, smaller where that can be, that leave as much over when they are divided by units."""
    found = [rows, terms, columns]
    for axis in sorted(range(3), key=lambda axis: -found[axis]):
        unit = block if axis == 1 else UNIT
        others = prod(found) // found[axis]
        least = max(3 * unit, -(-SMALLEST // others) // unit * unit + unit)
        found[axis] = min(found[axis], least + found[axis] % unit)
    return found


def _some(count: int) -> Any:
    """Return indices: the first, two in the middle, the last."""
    return np.unique([0, count // 3, count // 2, *range(max(0, count - 17), count)])
