"""Products of matrices of float32 on all threads, to the bits of NumPy's, most in half to all of the time.

The columns of the second matrix are taken in panels, each copied to where it is read in order; the product is computed
in tiles, whose sums stay in registers (:mod:`panels`). The method is that of Goto and van de Geijn (2008), but that the
first matrix is read where it lies. Each thread has rows or columns of its own. OpenBLAS's order of additions is kept:
it is seen by trying, for each shape, large ones by a smaller one that is divided alike (:mod:`order`), and NumPy's
routine is called where another is found, or where LLVM does not read the tiles' text.
"""

from __future__ import annotations

import ctypes
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from xpnet.aligned import aligned_empty
from xpnet_backends.machine import is_intel
from xpnet_backends.on_numpy import openblas, order, pairs, panels, products, team
from xpnet_backends.on_numpy.compiler import Entry, compiled, readable
from xpnet_backends.on_numpy.native import Call, Place, Routine, known

__all__ = ["call", "is_one"]

CORE = "SkylakeX"
"""What OpenBLAS calls a processor with AVX-512 for which its order is known."""

WORTH = 1 << 19
"""Multiplications from which a product is computed here: some 9 us of one thread where rows are many."""

MEMBERS = 4
"""Threads at most: of more the parts become short, and OpenBLAS shares what it copies."""

FEW, TALL, LARGE = 48, 1024, 1 << 16
"""When threads have columns of their own and not rows, if there are panels for all: where rows are few; and up to so
many rows, where the second matrix, of which each then copies its columns alone, has so many numbers, and panels can be
dealt evenly. All read the first matrix, which of more rows would come from memory."""

HIGH = {
    1: (24, 20, 16, 12, 10, 8, 6, 5, 4), 2: (12, 10, 8, 6, 5, 4, 3, 2), 3: (8, 7, 6, 5, 4, 3, 2), 4: (6, 5, 4, 3, 2),
}  # fmt: skip
"""Rows that a tile may have, by its vectors: of 32 registers 24 hold sums, and the others what is multiplied."""

HIGHEST = max(map(max, HIGH.values()))
"""Rows of the highest tile: a thread has up to twice as many more than its share."""


def call(
    a: Place,
    b: Place,
    into: Place,
    wanted: set[Routine] | None = None,
    block: int | None = None,
    bfloat16: bool = False,
) -> Call | None:
    """Return the call of ``into = a @ b``, of two that fit; None where NumPy's routine is called.

    Parameters
    ----------
    a, b, into : Place
        Where the matrices lie.
    wanted : set of Routine, optional
        Nothing may be compiled: where that would have to be done, it is added here, and None returned.
    block : int, optional
        Rows that NumPy multiplies at a time, if it is not all.
    bfloat16 : bool
        Whether the numbers are those of bfloat16, so that two terms are added at a time where that can be.
    """
    (rows, terms), columns = a.form.shape, b.form.shape[1]
    members = team.size()
    if a.form.dtype != np.float32 or rows * terms * columns < WORTH or members > MEMBERS or not _is_measured():
        return None
    a_turned, b_turned = (not matrix.form.flags.c_contiguous for matrix in (a, b))
    number = -(-columns // panels.WIDE)
    even = columns % (panels.WIDE * members) == 0 or number >= 4 * members
    by_columns = (even and rows <= TALL and terms * columns >= LARGE) or (rows <= FEW and number >= members)
    each, last = rows if by_columns else rows // members, -(-(columns % panels.WIDE) // panels.HALF) * panels.HALF
    # Trying compiles; where nothing may be, it is what is missing that says so. Halves of sums are even, too.
    tries = wanted is None or _adds_pairs.cache_info().currsize > 0
    paired = bfloat16 and terms % 4 == 0 and (not tries or _adds_pairs())
    pack: Any = pairs.packing(a_turned) if paired else 0
    kinds: list[Any] = []
    for wide in (panels.WIDE if columns >= panels.WIDE else 0, last):
        kinds += _kind(each, wide, a_turned, b_turned, paired) if wide else [0] * 4
    routine = team.call("gemm", lambda: panels.multiply, (), members > 1)
    missing = {word for word in (*routine.routines, pack, *kinds) if isinstance(word, Routine) and not word.known}
    if wanted is not None and missing:
        wanted |= missing
        return None
    if not _is_read():
        return None
    found = order.found(block or rows, terms, columns, a_turned, b_turned, members)
    if found is None:
        return None
    ends = order.ends(terms, found)
    longest = max(end - begin for begin, end in pairwise(ends))
    memory = Place.of(aligned_empty((members, panels.WIDE * longest), np.float32))
    most = rows if by_columns else min(rows, each + 2 * HIGHEST)
    packed = Place.of(aligned_empty((members, most * longest // 2 if paired else 0), np.float32))
    first, second = (a, a_turned, rows if a_turned else terms), (b, b_turned, terms if b_turned else columns)
    words = [*first, *second, into, rows, columns, by_columns, memory, memory.form.strides[0]]
    words += [pack, packed, packed.form.strides[0], *kinds]
    return routine._replace(words=[*routine.words, *words, 0 if found.to_zero else -1, len(ends) - 1, *ends])


def is_one(call: Call) -> bool:
    """Say whether it is the call of such a product, whose order of additions is that of a number of threads."""
    return any(routine is known("gemm") or routine is known(("part", "gemm")) for routine in call.routines)


def _kind(rows: int, wide: int, a_turned: bool, b_turned: bool, paired: bool) -> list[Any]:
    """Return the words for a panel of so many columns, of which a thread has so many rows.

    Each sum waits four turns for the one before, so fewer than four vectors in a tile, or in a single row that is left
    over, take as long as four.
    """
    vectors = -(-wide // panels.LANES)
    high = min(HIGH[vectors], key=lambda high: rows // high * max(4, high * vectors) + rows % high * max(4, vectors))
    tile, row = (panels.computing(count, wide, a_turned, paired) for count in (high, 1))
    return [high, tile, row, panels.copying(wide, b_turned, paired)]


@cache
def _is_read() -> bool:
    """Say whether this release of LLVM reads the text of a tile: its masked loads and stores may change their form."""
    return readable(*_texts(paired=False))


@cache
def _adds_pairs() -> bool:
    """Say whether pairs are added in the order of their terms here, each sum rounded: that is seen by trying."""
    if not pairs.available() or not readable(*_texts(paired=True)):
        return False
    stream = np.random.default_rng(0)
    a, b = (stream.normal(size=shape).astype(np.float32) ** 5 for shape in ((1, 64), (64, panels.HALF)))
    for numbers in (a, b):  # so far apart that sums are rounded
        numbers.view(np.uint32)[...] &= 0xFFFF0000
    first, second, into = _in_pairs(a.T), _in_pairs(b), np.empty((1, panels.HALF), np.float32)
    (tile,) = compiled(panels.computing(1, panels.HALF, turned=False, paired=True).make())
    places = [array.ctypes.data for array in (first, second, into)]
    multiply = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 10)(tile)
    multiply(places[0], len(first), places[1], len(first), places[2], *[panels.HALF] * 2, -1, places[1], 0)
    return np.array_equal(into, order.in_order(a, b, order.Order(a.size, 1, to_zero=False)))


def _in_pairs(terms: Any) -> Any:
    bits = np.ascontiguousarray(terms).view(np.uint32)
    return bits[::2] | bits[1::2] >> 16


def _texts(paired: bool) -> list[Entry]:
    form = panels.HALF, False, paired
    return [panels.computing(1, *form).make(), panels.copying(*form).make()]


@cache
def _is_measured() -> bool:
    """Say whether this was measured here: on a processor with AVX-512 not made by Intel, and beside OpenBLAS alone."""
    return openblas.core() == CORE and not is_intel() and not products.available()
