"""The orders in which OpenBLAS adds the terms of a product: a known one is found for a shape by trying."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

__all__ = ["drawn", "ends", "found", "fused", "in_order"]

BLOCK = 448
"""Terms whose sum is taken by itself on processors with AVX-512 (``SGEMM_DEFAULT_Q`` in OpenBLAS's ``param.h``)."""

ORDERS = ((BLOCK, 1), (BLOCK, 16), (1 << 40, 1))
"""The orders by blocks and units: of several threads; of one; and of small products, in one sum."""

SMALLEST = 1 << 22
"""Multiplications of what is tried in the place of a larger product: of fewer, the order may be another."""


@lru_cache(maxsize=256)
def found(rows: int, terms: int, columns: int, a_turned: bool, b_turned: bool, threads: int) -> tuple[int, int] | None:
    """Return the order in which NumPy adds in a product of this form, by so many threads; None where none is known.

    Some rows and columns are computed, among them those at an end, for which OpenBLAS may have other routines.
    """
    form = rows, terms, columns
    less = _divided_alike(rows, 256), _divided_alike(terms, BLOCK), _divided_alike(columns, 256)
    rows, terms, columns = less if prod(less) >= SMALLEST else form
    a, b = drawn(rows, terms, turned=a_turned), drawn(terms, columns, turned=b_turned)
    i, j = _some(rows), _some(columns)
    numpys = np.dot(a, b)[np.ix_(i, j)]
    for order in ORDERS:
        if np.array_equal(numpys, in_order(a[i], b[:, j], ends(terms, *order))):
            return order
    return None


def ends(terms: int, block: int, unit: int) -> list[int]:
    """Return where sums are taken by themselves: blocks, and halves, in whole units, of what is less than two.

    >>> ends(1000, 448, 1), ends(1000, 448, 16), ends(300, 448, 1)
    ([0, 448, 724, 1000], [0, 448, 736, 1000], [0, 300])
    """
    found = [0]
    while (left := terms - found[-1]) > 0:
        half = -(-left // 2) if unit == 1 else -(-(left // 2) // unit) * unit
        found.append(found[-1] + (block if left >= 2 * block else half if left > block else left))
    return found


def in_order(a: Any, b: Any, ends: list[int]) -> Any:
    """Return ``a @ b`` of float32, with sums taken by themselves between those ends."""
    longest = max(end - begin for begin, end in pairwise(ends))
    x = np.zeros((len(ends) - 1, longest, len(a), 1), dtype=np.float32)
    y = np.zeros((len(ends) - 1, longest, 1, b.shape[1]), dtype=np.float32)
    for part, (begin, end) in enumerate(pairwise(ends)):
        x[part, : end - begin, :, 0], y[part, : end - begin, 0] = a[:, begin:end].T, b[begin:end]
    total = np.zeros((len(ends) - 1, len(a), b.shape[1]), dtype=np.float32)
    for k in range(longest):
        total = fused(x[:, k], y[:, k], total)
    return np.add.reduce(total, axis=0)


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


def _divided_alike(count: int, unit: int) -> int:
    """Return a number, smaller if that can be, that leaves as much over when it is divided by units."""
    return min(count, 3 * unit + count % unit)


def _some(count: int) -> Any:
    """Return indices: the first, two in the middle, the last."""
    return np.unique([*range(min(count, 3)), count // 2 - 1, count // 2, *range(max(0, count - 17), count)])
