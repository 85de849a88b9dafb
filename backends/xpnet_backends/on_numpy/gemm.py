"""Products of matrices of float32 on all threads, to the bits of NumPy's, in half to all of the time.

The columns of the second matrix are taken in panels, each copied to where it is read in order; the product is computed
in tiles, whose sums stay in registers (:mod:`panels`). The method is that of Goto and van de Geijn (2008), but that the
first matrix is read where it lies. Each thread has rows or columns of its own. OpenBLAS's order of additions is kept:
it is seen by trying, for each shape, and NumPy's routine is called where another is found.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from xpnet_backends.aligned import aligned_empty
from xpnet_backends.machine import is_intel
from xpnet_backends.on_numpy import openblas, order, panels, team
from xpnet_backends.on_numpy.native import Call, Place

__all__ = ["call"]

CORES = ("SkylakeX", "Cooperlake")
"""What OpenBLAS calls the processors with AVX-512."""

WORTH = 1 << 19
"""Multiplications from which a product is computed here: some 9 us of one thread."""

MEMBERS = 4
"""Threads at most: of more the parts become short, and OpenBLAS shares what it copies."""

FEW, TALL, LARGE = 48, 1024, 1 << 16
"""Rows up to which threads have columns of their own, if there are panels for all; and up to which they do where each
has as many panels, of so many numbers of the second matrix. Each then copies no more than it needs. But all read the
first matrix, which of more rows would come from memory."""

HIGH = {1: (24, 20, 16, 12, 10), 2: (12, 10, 8), 3: (8, 7), 4: (6,)}
"""Rows that a tile may have, by its vectors: of 32 registers 24 hold sums, and the others what is multiplied."""


def call(a: Place, b: Place, into: Place, block: int | None = None) -> Call | None:
    """Return the call of ``into = a @ b``, of two that fit; None where NumPy's routine is faster, or adds otherwise.

    NumPy's product is one of so many rows, or of all.
    """
    (rows, terms), columns = a.form.shape, b.form.shape[1]
    members = team.size()
    if a.form.dtype != np.float32 or rows * terms * columns < WORTH or members > MEMBERS or not _is_measured():
        return None
    a_turned, b_turned = (not matrix.form.flags.c_contiguous for matrix in (a, b))
    found = order.found(block or rows, terms, columns, a_turned, b_turned, members)
    if found is None:
        return None
    ends, count = order.ends(terms, *found), -(-columns // panels.WIDE)
    even = columns % (panels.WIDE * members) == 0 or count >= 4 * members
    by_columns = (even and rows <= TALL and terms * columns >= LARGE) or (rows <= FEW and count >= members)
    size = panels.WIDE * max(end - begin for begin, end in pairwise(ends))
    memory = Place.of(aligned_empty((members, size), np.float32))
    first, second = (a, a_turned, rows if a_turned else terms), (b, b_turned, terms if b_turned else columns)
    words = [*first, *second, into, rows, columns, by_columns, memory, memory.form.strides[0]]
    each = rows if by_columns else rows // members
    last = -(-(columns % panels.WIDE) // panels.HALF) * panels.HALF
    for wide in (panels.WIDE if columns >= panels.WIDE else 0, last):
        words += _kind(each, wide, a_turned, b_turned) if wide else [0] * 4
    return team.call("gemm", lambda: panels.multiply, [*words, len(ends) - 1, *ends], members > 1)


def _kind(rows: int, wide: int, a_turned: bool, b_turned: bool) -> list[Any]:
    """Return the words for a panel of so many columns, of which a thread has so many rows.

    A single row that is left over takes as long as four vectors do, as each sum waits for the one before.
    """
    vectors = -(-wide // panels.LANES)
    high = min(HIGH[vectors], key=lambda high: rows // high * high * vectors + rows % high * max(4, vectors))
    tile, row = (panels.computing(count, wide, a_turned) for count in (high, 1))
    return [high, tile, row, panels.copying(wide, b_turned)]


@cache
def _is_measured() -> bool:
    """Say whether this was measured on such a processor: one with AVX-512, not made by Intel."""
    return openblas.core() in CORES and not is_intel()
