"""Pack pairs of bfloat16 values, so that a product adds two terms at a time, on processors with AVX512-BF16.

One instruction adds two products to a sum, in the time of one product of float32. A product of two bfloat16 values is
exact in float32, and the two products are added one after the other, that of the upper halves first. So a pair holds
the earlier term in its upper half, and the sums are those of float32 in NumPy's order, bit for bit, except that numbers
and sums below 1.2e-38 in absolute value count as zero.
"""

from __future__ import annotations

from typing import Any

from xpnet_backends.on_numpy.compiler import Entry, pointer
from xpnet_backends.on_numpy.compiler.llvm import has_feature
from xpnet_backends.on_numpy.native import Routine, entry_routine

__all__ = ["available", "packing_routine", "transposed_panel_routine"]

ITEM_BYTES, LINE_PAIRS = 4, 16
"""Bytes of a pair, or of a float32; pairs in a cache line."""

_bits = pointer("uint32")


def available() -> bool:
    """Say whether this processor has the instruction."""
    return has_feature("avx512bf16")


def packing_routine(transposed: bool) -> Routine:
    """Return the routine that packs rows of the first matrix into pairs: ``pack(a, step, rows, terms, into)``."""
    return entry_routine(("packing", transposed), lambda: Entry(_pack_turned if transposed else _pack, "lllll"))


def transposed_panel_routine() -> Routine:
    """Return the routine that packs columns of a second matrix, a transposed one, into a panel of pairs."""
    return entry_routine("turned panel of pairs", lambda: Entry(_turned_panel, "llllll"))


def _pair(first: Any, second: Any) -> Any:
    return (first & 0xFFFF0000) | (second >> 16)


def _pack(a: Any, step: Any, rows: Any, terms: Any, into: Any) -> None:
    half = terms // 2
    for i in range(rows):
        row, to = _bits(a + ITEM_BYTES * i * step), _bits(into + ITEM_BYTES * i * half)
        for k in range(half):
            to[k] = _pair(row[2 * k], row[2 * k + 1])


def _pack_turned(a: Any, step: Any, rows: Any, terms: Any, into: Any) -> None:
    """Pack rows of a transposed matrix, whose numbers lie a step apart, some of each at a time."""
    half = terms // 2
    some = half // LINE_PAIRS * LINE_PAIRS
    for t in range(0, some, LINE_PAIRS):
        for i in range(rows):
            row, to = _bits(a + ITEM_BYTES * (2 * t * step + i)), _bits(into + ITEM_BYTES * (i * half + t))
            for k in range(LINE_PAIRS):
                to[k] = _pair(row[2 * k * step], row[(2 * k + 1) * step])
    for i in range(rows):
        to = _bits(into + ITEM_BYTES * i * half)
        for k in range(some, half):
            row = _bits(a + ITEM_BYTES * (2 * k * step + i))
            to[k] = _pair(row[0], row[step])


def _turned_panel(b: Any, step: Any, terms: Any, into: Any, count: Any, wide: Any) -> None:
    """Pack columns of a matrix in column-major order, some pairs of each at a time."""
    half = terms // 2
    some = half // LINE_PAIRS * LINE_PAIRS
    for t in range(0, some, LINE_PAIRS):
        for c in range(count):
            column, to = _bits(b + ITEM_BYTES * (c * step + 2 * t)), _bits(into + ITEM_BYTES * (t * wide + c))
            for k in range(LINE_PAIRS):
                to[k * wide] = _pair(column[2 * k], column[2 * k + 1])
    for t in range(some, half):
        to = _bits(into + ITEM_BYTES * t * wide)
        for c in range(count):
            column = _bits(b + ITEM_BYTES * (c * step + 2 * t))
            to[c] = _pair(column[0], column[1])
    for t in range(half):
        to = _bits(into + ITEM_BYTES * t * wide)
        for c in range(count, wide):
            to[c] = 0
