"""What each thread does of a product of matrices: see :mod:`gemm`."""

from __future__ import annotations

from typing import Any

from xpnet_backends.on_numpy import pairs, team
from xpnet_backends.on_numpy.compiler import Entry, caller, pointer
from xpnet_backends.on_numpy.microkernel import HALF, LANES, LINES, panel, tile
from xpnet_backends.on_numpy.native import Routine, part

__all__ = ["HALF", "LANES", "WIDE", "computing", "copying", "multiply"]

WIDE = 4 * LANES
"""Columns of a panel."""

HEAD, PLACE = 8 * team.HEAD, 4
"""Bytes of what stands before a call's own words, and of a number."""

HIGH, TILE, ROW, COPY = range(4)
"""A kind of panel's words: the rows of a tile, what computes one, what computes a single row, and what copies numbers.
"""

A, A_TURNED, A_STEP, B, B_TURNED, B_STEP, INTO, ROWS, COLUMNS, BY_COLUMNS, MEMORY, SIZE = range(12)
PACK, PACKED, PACKED_SIZE, WHOLE = range(12, 16)
LAST = WHOLE + 1 + COPY
FIRST = LAST + 1 + COPY
SUMS = FIRST + 1
"""A call's words: of two matrices the address, whether it is turned and its step in memory; the product's address and
form; whether threads have columns; memory for a panel of each thread, and its bytes; what packs terms of the first
matrix into pairs, or 0, and memory for the pairs of each thread, and its bytes; from :data:`WHOLE` and from
:data:`LAST` on, for whole panels and for the last one, a kind's words; 0 where the first sums are added to zeros, else
-1; how many sums are taken by themselves, and their ends, from the first's begin on."""


def computing(rows: int, columns: int, turned: bool, paired: bool) -> Routine:
    """Return what computes a tile; packed pairs are never turned."""
    form = (rows, columns, turned and not paired, paired)
    return part(("tile", *form), lambda: Entry(tile(*form)))


def copying(columns: int, turned: bool, paired: bool) -> Routine:
    """Return what copies some terms of some columns of the second matrix into a panel."""
    if turned:
        return pairs.turned_panel() if paired else part("turned panel", lambda: Entry(_turned, "llllll"))
    return part(("panel", columns, paired), lambda: Entry(panel(columns, paired)))


_at, _number = pointer("int64"), pointer("float32")
_tile, _copy, _pack = caller("", *"plplplllpl"), caller("", *"pllpll"), caller("", *"plllp")


def multiply(address: Any, me: Any, members: Any) -> Any:
    """Compute a thread's rows, or columns, panel by panel.

    While a panel is multiplied, the numbers of the next one are asked for, some with each tile, to be at hand when they
    are copied.
    """
    words = _at(address + HEAD)
    rows, columns, memory = words[ROWS], words[COLUMNS], words[MEMORY] + me * words[SIZE]
    a_step, b_step, b_turned = words[A_STEP], words[B_STEP], words[B_TURNED]
    a_along, a_down = a_step if words[A_TURNED] else 1, 1 if words[A_TURNED] else a_step
    b_along, b_down = b_step if b_turned else 1, 1 if b_turned else b_step
    number, unit = (columns + WIDE - 1) // WIDE, words[WHOLE + HIGH if columns >= WIDE else LAST + HIGH]
    top, bottom, left, right = 0, rows, 0, number
    if words[BY_COLUMNS]:
        left, right = number * me // members, number * (me + 1) // members
    else:
        top = rows // unit * me // members * unit
        bottom = bottom if me + 1 == members else rows // unit * (me + 1) // members * unit
    for s in range(words[SUMS]):
        k, terms = words[SUMS + 1 + s], words[SUMS + 2 + s] - words[SUMS + 1 + s]
        nth, turns, x_step, x_down = words[FIRST] if s == 0 else s, terms, a_step, a_down
        first = words[A] + PLACE * (k * a_along + top * a_down)
        if words[PACK]:
            turns, x_step, x_down = terms // 2, terms // 2, terms // 2
            packed = words[PACKED] + me * words[PACKED_SIZE]
            _pack(words[PACK], first, a_step, bottom - top, terms, packed)
            first = packed
        for j in range(left * WIDE, right * WIDE, WIDE):
            is_whole = j + WIDE <= columns
            kind = _at(address + HEAD + 8 * (WHOLE if is_whole else LAST))
            count = WIDE if is_whole else columns - j
            wide = (count + HALF - 1) // HALF * HALF
            b, into = words[B] + PLACE * (k * b_down + j * b_along), words[INTO] + PLACE * j
            _copy(kind[COPY], b, b_step, terms, memory, count, wide)
            ahead = b + PLACE * WIDE * b_along
            further = PLACE * (LINES * LANES if b_turned else turns // LINES * b_step)
            asking = terms // (LINES * LANES) if b_turned else LINES  # tiles that ask for as much each
            high = kind[HIGH]
            until = top + high * asking if j + 2 * WIDE <= columns else top
            rest = top + (bottom - top) // high * high
            for i in range(top, rest, high):
                asked, step = ahead if i < until else memory, b_step if i < until else 0
                x, y = first + PLACE * (i - top) * x_down, into + PLACE * i * columns
                _tile(kind[TILE], x, x_step, memory, turns, y, columns, count, nth, asked, step)
                ahead += further
            for i in range(rest, bottom):
                x, y = first + PLACE * (i - top) * x_down, into + PLACE * i * columns
                _tile(kind[ROW], x, x_step, memory, turns, y, columns, count, nth, memory, 0)
    return 0


def _turned(b: Any, step: Any, terms: Any, into: Any, count: Any, wide: Any) -> None:
    """Copy columns that lie one after the other, some numbers of each at a time."""
    some = terms // LANES * LANES
    for t in range(0, some, LANES):
        for c in range(count):
            column, to = _number(b + PLACE * (c * step + t)), _number(into + PLACE * (t * wide + c))
            for k in range(LANES):
                to[k * wide] = column[k]
    for t in range(some, terms):
        to = _number(into + PLACE * t * wide)
        for c in range(count):
            to[c] = _number(b + PLACE * (c * step + t))[0]
    for t in range(terms):
        to = _number(into + PLACE * t * wide)
        for c in range(count, wide):
            to[c] = 0.0
