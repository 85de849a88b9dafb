"""Products of a tall matrix by a narrow one, as of a full batch by a layer of few units, a block of rows at a time.

OpenBLAS lays out a copy of what it multiplies. Of a matrix of many rows that copy does not stay in a core's cache,
and each number of it is used for few columns only, so that memory decides how long the product takes. In blocks it
takes 0.6 to 0.9 of the time. The last bits may be others than the whole product's, as OpenBLAS has other routines for
the rows at an end, within the same bound (Higham 2002, section 3.5); the same shapes give the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet_backends.on_numpy.products import choosing, fit, recordable

__all__ = ["dot_in_blocks", "matmul", "product", "suits"]

ROWS = 1024
"""Rows of a block, whose copy a core's second cache holds in part."""

LARGE = 1 << 24
"""Bytes of the tall matrix from which blocks are faster."""

NARROW, SHORTEST = 128, 16
"""Columns of the narrow matrix at most, and terms of a sum at least; otherwise blocks save nothing, or take longer."""


def suits(a: Any, b: Any) -> bool:
    """Say whether ``a @ b`` is computed in blocks: a tall matrix, row after row, by a narrow one."""
    if not fit(a, b) or not a.flags.c_contiguous:
        return False
    (rows, terms), columns = a.shape, b.shape[1]
    return bool(rows > ROWS and a.size * a.dtype.itemsize >= LARGE and terms >= SHORTEST and columns <= NARROW)


def dot_in_blocks(a: Any, b: Any, out: Any) -> Any:
    """Write ``a @ b``, of two that suit, into *out*."""
    for start in range(0, len(a), ROWS):
        np.dot(a[start : start + ROWS], b, out[start : start + ROWS])
    return out


@recordable
def product(a: Any, b: Any) -> Any:
    """Return ``a @ b`` of two that suit."""
    return dot_in_blocks(a, b, np.empty((a.shape[0], b.shape[1]), dtype=a.dtype))


matmul = choosing(suits, product)
"""``a @ b``, in blocks where it suits."""
