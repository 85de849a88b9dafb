"""One row by a matrix of middle size, as of one example by a layer's weights, on all threads, to NumPy's bits.

Such a product reads each number of the matrix once, and takes as long as that takes: two cores read from their second
and third caches twice as fast as one, to which OpenBLAS leaves it up to a size. Its order of additions is kept: eight
terms of a sum are added up by themselves, a product and its addition rounded once, and then added to the sum. Each
thread has columns of its own. On other processors, and for other shapes, OpenBLAS may have other orders: that is seen
by trying, and it is called then.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import order, team
from xpnet_backends.on_numpy.compiler import Function, fma, pointer
from xpnet_backends.on_numpy.native import Call, Place

__all__ = ["call", "in_order"]

WORTH, DIVIDED = 200_000, 460_800
"""Numbers of a matrix from which it is worth dividing, and from which OpenBLAS divides it among its threads itself."""

NARROWEST = 192
"""Columns from which two threads are faster wherever the matrix begins; of some 100 they are as fast as one."""

EIGHT = 8
"""Terms that are added up by themselves; there are as many more."""

LINE = 16
"""Numbers of a cache line, of which a row of the matrix is some.

Threads begin where a line of the matrix does: what lies across two takes longer to read.
"""

MATRIX, ROW, INTO, TERMS, COLUMNS = range(5)
"""A call's words: three addresses, rows and columns of the matrix."""


def call(row: Place, matrix: Place, into: Place) -> Call | None:
    """Return the shared call of ``into = row @ matrix``; None where one thread does better, or as NumPy does."""
    form, (terms, columns) = matrix.form, matrix.form.shape
    if form.dtype != np.float32 or not form.flags.c_contiguous or not WORTH <= form.size < DIVIDED:
        return None
    if columns < NARROWEST or columns % LINE or terms % EIGHT or team.size() == 1 or not _agrees(terms, columns):
        return None
    return team.call("row", _multiplying, [matrix, row, into, terms, columns], shared=True)


@lru_cache(maxsize=64)
def _agrees(terms: int, columns: int) -> bool:
    """Try whether NumPy adds in this order in a product of this shape."""
    row, matrix = order.drawn(terms), order.drawn(terms, columns)
    return np.array_equal(np.dot(row[None], matrix)[0], in_order(row, matrix))


def in_order(row: Any, matrix: Any) -> Any:
    """Return ``row @ matrix`` of float32, added up in the order above."""
    parts = np.zeros((len(row) // EIGHT, matrix.shape[1]), dtype=np.float32)
    for k in range(EIGHT):
        parts = order.fused(row[k::EIGHT, None], matrix[k::EIGHT], parts)
    return np.add.reduce(parts, axis=0)


def _multiplying() -> Function:
    whole, at, head, size = pointer("int64"), pointer("float32"), team.HEAD, 4

    def add(into: Any, x: Any, rows: Any, step: Any, count: Any) -> Any:
        """Add eight numbers of the row, each by so many of its row of the matrix."""
        total, a, b, c, d = at(into), at(rows), at(rows + step), at(rows + 2 * step), at(rows + 3 * step)
        e, f, g, h = at(rows + 4 * step), at(rows + 5 * step), at(rows + 6 * step), at(rows + 7 * step)
        for j in range(count):
            part = fma(x[3], d[j], fma(x[2], c[j], fma(x[1], b[j], x[0] * a[j])))
            total[j] += fma(x[7], h[j], fma(x[6], g[j], fma(x[5], f[j], fma(x[4], e[j], part))))
        return 0

    def multiply(address: Any, me: Any, members: Any) -> Any:
        words = whole(address + 8 * head)
        matrix, terms, columns, step = words[MATRIX], words[TERMS], words[COLUMNS], words[COLUMNS] * size
        short = -(matrix // size) % LINE  # columns before the first line that begins here, for the first thread
        lines = (columns - short) // LINE
        first, end = short + lines * me // members * LINE, short + lines * (me + 1) // members * LINE
        start = 0 if me == 0 else first
        end = columns if me + 1 == members else end
        total = at(words[INTO])
        for j in range(start, end):
            total[j] = 0.0
        for k in range(0, terms, EIGHT):
            x, rows = at(words[ROW] + k * size), matrix + k * step
            add(words[INTO] + start * size, x, rows + start * size, step, first - start)
            add(words[INTO] + first * size, x, rows + first * size, step, end - first)
        return 0

    return multiply
