"""Matrix products of float32 on all threads, bit for bit as NumPy's; most take half to all of NumPy's time.

The method is that of Goto and van de Geijn (2008): the columns of the second matrix are packed into contiguous panels,
and the product is computed in tiles whose sums stay in registers. Only the first matrix is read in place, not packed.
Each thread has its own rows or columns. :mod:`microkernel` writes the tile's inner loop and the packing loop in LLVM's
language, :mod:`macrokernel` loops over panels and tiles, and this module decides when to use them.

The terms are added in OpenBLAS's order, which :mod:`summation_order` finds by experiment for each shape. NumPy's own
routine is called where that order is unknown, or where this release of LLVM does not accept the text of a tile.
"""

from __future__ import annotations

import ctypes
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from xpnet.aligned import aligned_empty
from xpnet_backends.machine import is_intel
from xpnet_backends.on_numpy import bfloat16_pairs, mkl, openblas, summation_order, team
from xpnet_backends.on_numpy.compiler import Entry, accepted_by_llvm, compile_functions
from xpnet_backends.on_numpy.macrokernel import HALF, LANES, WIDE, multiply, panel_routine, tile_routine
from xpnet_backends.on_numpy.native import Location, NativeCall, Routine, find_routine

__all__ = ["is_tiled_call", "tiled_call"]

CORE = "SkylakeX"
"""OpenBLAS's name for the processors with AVX-512, whose summation order is known."""

MIN_MULTIPLICATIONS = 1 << 19
"""Smaller products are left to NumPy. This one takes a single thread some 9 us where it has many rows."""

MAX_THREADS = 4
"""With more threads NumPy's routine is called: parts would be short, and OpenBLAS's threads share packed panels."""

FEW_ROWS, MANY_ROWS, LARGE_MATRIX = 48, 1024, 1 << 16
"""Threads split the columns instead of the rows, if there are enough panels, in two cases. One: there are at most
``FEW_ROWS`` rows. Two: the second matrix has at least ``LARGE_MATRIX`` numbers, of which each thread then packs its own
columns only; its panels divide evenly; and there are at most ``MANY_ROWS`` rows, so that the first matrix, which all
threads read, stays in the caches."""

TILE_ROWS = {
    1: (24, 20, 16, 12, 10, 8, 6, 5, 4), 2: (12, 10, 8, 6, 5, 4, 3, 2), 3: (8, 7, 6, 5, 4, 3, 2), 4: (6, 5, 4, 3, 2),
}  # fmt: skip
"""The heights that a tile may have, by its width in vectors: 24 of 32 registers hold sums, the others operands."""

MAX_TILE_ROWS = max(map(max, TILE_ROWS.values()))
"""Rows of the highest tile. A thread may have up to twice as many rows more than its even share."""


def tiled_call(
    a: Location,
    b: Location,
    into: Location,
    uncompiled: set[Routine] | None = None,
    block: int | None = None,
    bfloat16: bool = False,
) -> NativeCall | None:
    """Return the call that computes ``into = a @ b`` in tiles; None where NumPy's routine is to be called instead.

    Parameters
    ----------
    a, b, into : Location
        The matrices, which :func:`mkl.are_blas_matrices` accepts.
    uncompiled : set of Routine, optional
        If given, nothing is compiled now: routines that are missing are added to the set, and None is returned.
    block : int, optional
        The number of rows that NumPy multiplies at a time, where it does not multiply all at once.
    bfloat16 : bool
        Whether all numbers are bfloat16 values, so that a processor with AVX512-BF16 can add two terms at a time.
    """
    (rows, terms), columns = a.array.shape, b.array.shape[1]
    members = team.size()
    if (
        a.array.dtype != np.float32
        or rows * terms * columns < MIN_MULTIPLICATIONS
        or members > MAX_THREADS
        or not _is_supported_processor()
    ):
        return None
    a_transposed, b_transposed = (not matrix.array.flags.c_contiguous for matrix in (a, b))
    number = -(-columns // WIDE)
    even = columns % (WIDE * members) == 0 or number >= 4 * members
    by_columns = (even and rows <= MANY_ROWS and terms * columns >= LARGE_MATRIX) or (
        rows <= FEW_ROWS and number >= members
    )
    each, last = (
        rows if by_columns else rows // members,
        -(-(columns % WIDE) // HALF) * HALF,
    )
    # _adds_pairs compiles code; where that is not allowed, its routines are reported as missing below. The number of
    # terms is divisible by 4, so that half a sum has an even number of terms, too.
    tries = uncompiled is None or _adds_pairs.cache_info().currsize > 0
    paired = bfloat16 and terms % 4 == 0 and (not tries or _adds_pairs())
    pack: Any = bfloat16_pairs.packing_routine(a_transposed) if paired else 0
    kinds: list[Any] = []
    for wide in (WIDE if columns >= WIDE else 0, last):
        kinds += _panel_words(each, wide, a_transposed, b_transposed, paired) if wide else [0] * 4
    routine = team.make_call("gemm", lambda: multiply, (), members > 1)
    missing = {word for word in (*routine.routines, pack, *kinds) if isinstance(word, Routine) and not word.is_compiled}
    if uncompiled is not None and missing:
        uncompiled |= missing
        return None
    if not _llvm_accepts_tiles():
        return None
    found = summation_order.find_order(block or rows, terms, columns, a_transposed, b_transposed, members)
    if found is None:
        return None
    ends = summation_order.partial_sum_ends(terms, found)
    longest = max(end - begin for begin, end in pairwise(ends))
    memory = Location.of(aligned_empty((members, WIDE * longest), np.float32))
    most = rows if by_columns else min(rows, each + 2 * MAX_TILE_ROWS)
    packed = Location.of(aligned_empty((members, most * longest // 2 if paired else 0), np.float32))
    first, second = (
        (a, a_transposed, rows if a_transposed else terms),
        (b, b_transposed, terms if b_transposed else columns),
    )
    words = [*first, *second, into, rows, columns, by_columns, memory, memory.array.strides[0]]
    words += [pack, packed, packed.array.strides[0], *kinds]
    return routine._replace(words=[*routine.words, *words, 0 if found.to_zero else -1, len(ends) - 1, *ends])


def is_tiled_call(call: NativeCall) -> bool:
    """Say whether a call is a tiled product, whose summation order depends on the number of threads."""
    return any(
        routine is find_routine("gemm") or routine is find_routine(("part", "gemm")) for routine in call.routines
    )


def _panel_words(rows: int, wide: int, a_transposed: bool, b_transposed: bool, paired: bool) -> list[Any]:
    """Return a panel's words of a call, for a panel of *wide* columns and a thread that has *rows* rows.

    The tile's height is the one that takes the fewest cycles. A fused multiply-add has a latency of four cycles, so a
    tile, or a single left-over row, of fewer than four vectors takes as long as one of four.
    """
    vectors = -(-wide // LANES)
    high = min(
        TILE_ROWS[vectors], key=lambda high: rows // high * max(4, high * vectors) + rows % high * max(4, vectors)
    )
    tile, row = (tile_routine(count, wide, a_transposed, paired) for count in (high, 1))
    return [high, tile, row, panel_routine(wide, b_transposed, paired)]


@cache
def _llvm_accepts_tiles() -> bool:
    """Say whether this release of LLVM accepts a tile's text: the syntax of masked loads and stores may change."""
    return accepted_by_llvm(*_texts(paired=False))


@cache
def _adds_pairs() -> bool:
    """Say whether this processor adds a pair's two terms in order and rounds each sum, found by experiment."""
    if not bfloat16_pairs.available() or not accepted_by_llvm(*_texts(paired=True)):
        return False
    stream = np.random.default_rng(0)
    a, b = (stream.normal(size=shape).astype(np.float32) ** 5 for shape in ((1, 64), (64, HALF)))
    for numbers in (a, b):  # so far apart that sums are rounded
        numbers.view(np.uint32)[...] &= 0xFFFF0000
    first, second, into = _in_pairs(a.T), _in_pairs(b), np.empty((1, HALF), np.float32)
    (tile,) = compile_functions(tile_routine(1, HALF, transposed=False, paired=True).make())
    places = [array.ctypes.data for array in (first, second, into)]
    compute = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 10)(tile)
    compute(places[0], len(first), places[1], len(first), places[2], *[HALF] * 2, -1, places[1], 0)
    return np.array_equal(
        into, summation_order.multiply_in_order(a, b, summation_order.Order(a.size, 1, to_zero=False))
    )


def _in_pairs(terms: Any) -> Any:
    bits = np.ascontiguousarray(terms).view(np.uint32)
    return bits[::2] | bits[1::2] >> 16


def _texts(paired: bool) -> list[Entry]:
    form = HALF, False, paired
    return [tile_routine(1, *form).make(), panel_routine(*form).make()]


@cache
def _is_supported_processor() -> bool:
    """Say whether tiles were found to be faster here: with OpenBLAS, on AVX-512 processors not made by Intel."""
    return openblas.core() == CORE and not is_intel() and not mkl.available()
