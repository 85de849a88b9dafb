"""Numbers of bfloat16 in pairs, of which a product adds two terms at a time, where the processor can.

AVX512-BF16 has one instruction that adds two products to a sum, in the time of one of float32. A product of two such
numbers is exact in float32, and the two are added one after the other, the one of the upper halves first; so a pair
holds the earlier term in its upper half, and the sums are those of float32, bit for bit, in NumPy's order. What is
smaller than 1.2e-38, be it a number or a sum, counts as zero there.
"""

from __future__ import annotations

from typing import Any

from xpnet_backends.on_numpy.compiler import Entry, pointer
from xpnet_backends.on_numpy.compiler.llvm import has
from xpnet_backends.on_numpy.native import Routine, part

__all__ = ["available", "packing", "turned_panel"]

PLACE, SOME = 4, 16
"""Bytes of a number; pairs of a cache line."""

_bits = pointer("uint32")


def available() -> bool:
    """Say whether this processor has the instruction."""
    return has("avx512bf16")


def packing(turned: bool) -> Routine:
    """Return what packs some rows of the first matrix into rows of pairs: ``pack(a, step, rows, terms, into)``."""
    return part(("packing", turned), lambda: Entry(_pack_turned if turned else _pack, "lllll"))


def turned_panel() -> Routine:
    """Return what packs some columns of a second matrix that is turned into a panel of pairs."""
    return part("turned panel of pairs", lambda: Entry(_turned_panel, "llllll"))


def _pair(first: Any, second: Any) -> Any:
    return (first & 0xFFFF0000) | (second >> 16)


def _pack(a: Any, step: Any, rows: Any, terms: Any, into: Any) -> None:
    half = terms // 2
    for i in range(rows):
        row, to = _bits(a + PLACE * i * step), _bits(into + PLACE * i * half)
        for k in range(half):
            to[k] = _pair(row[2 * k], row[2 * k + 1])


def _pack_turned(a: Any, step: Any, rows: Any, terms: Any, into: Any) -> None:
    """Pack rows whose numbers lie a step apart, some of each at a time."""
    half = terms // 2
    some = half // SOME * SOME
    for t in range(0, some, SOME):
        for i in range(rows):
            row, to = _bits(a + PLACE * (2 * t * step + i)), _bits(into + PLACE * (i * half + t))
            for k in range(SOME):
                to[k] = _pair(row[2 * k * step], row[(2 * k + 1) * step])
    for i in range(rows):
        to = _bits(into + PLACE * i * half)
        for k in range(some, half):
            row = _bits(a + PLACE * (2 * k * step + i))
            to[k] = _pair(row[0], row[step])


def _turned_panel(b: Any, step: Any, terms: Any, into: Any, count: Any, wide: Any) -> None:
    """Copy columns that lie one after the other, some pairs of each at a time."""
    half = terms // 2
    some = half // SOME * SOME
    for t in range(0, some, SOME):
        for c in range(count):
            column, to = _bits(b + PLACE * (c * step + 2 * t)), _bits(into + PLACE * (t * wide + c))
            for k in range(SOME):
                to[k * wide] = _pair(column[2 * k], column[2 * k + 1])
    for t in range(some, half):
        to = _bits(into + PLACE * t * wide)
        for c in range(count):
            column = _bits(b + PLACE * (c * step + 2 * t))
            to[c] = _pair(column[0], column[1])
    for t in range(half):
        to = _bits(into + PLACE * t * wide)
        for c in range(count, wide):
            to[c] = 0
