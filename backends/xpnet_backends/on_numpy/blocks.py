"""Products of a tall matrix by a narrow one, as of a full batch by a layer of few units, a block of rows at a time.

OpenBLAS packs a copy of the matrices that it multiplies. The copy of a tall matrix does not stay in a core's cache, and
each of its numbers is used for few columns only, so the product is bound by memory. In blocks it takes 0.6 to 0.9 of
the time. The same shapes give the same bits, but the last bits may differ from those of the whole product, within the
same bound (Higham 2002, section 3.5), as OpenBLAS has other routines for the last rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet_backends.on_numpy.mkl import are_blas_matrices, matmul_using, recordable

__all__ = ["dot_in_blocks", "matmul", "product", "supports"]

ROWS = 1024
"""Rows of a block; a core's L2 cache holds part of their copy."""

LARGE = 1 << 24
"""Bytes of the tall matrix from which blocks are faster."""

NARROW, SHORTEST = 128, 16
"""The narrow matrix has at most ``NARROW`` columns and at least ``SHORTEST`` rows; else blocks save nothing."""


def supports(a: Any, b: Any) -> bool:
    """Say whether ``a @ b`` is computed in blocks: ``a`` is tall and in row-major order, ``b`` is narrow."""
    if not are_blas_matrices(a, b) or not a.flags.c_contiguous:
        return False
    (rows, terms), columns = a.shape, b.shape[1]
    return bool(rows > ROWS and a.size * a.dtype.itemsize >= LARGE and terms >= SHORTEST and columns <= NARROW)


def dot_in_blocks(a: Any, b: Any, out: Any) -> Any:
    """Write ``a @ b``, of two that :func:`supports` accepts, into *out*."""
    for start in range(0, len(a), ROWS):
        np.dot(a[start : start + ROWS], b, out[start : start + ROWS])
    return out


@recordable
def product(a: Any, b: Any) -> Any:
    """Return ``a @ b`` of two that :func:`supports` accepts."""
    return dot_in_blocks(a, b, np.empty((a.shape[0], b.shape[1]), dtype=a.dtype))


matmul = matmul_using(supports, product)
"""``a @ b``, in blocks where that is faster."""
