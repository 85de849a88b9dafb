"""The macro-kernel of :mod:`gemm`: the loops over panels and tiles by which a thread computes its part of a product."""

from __future__ import annotations

from typing import Any

from xpnet_backends.on_numpy import bfloat16_pairs, team
from xpnet_backends.on_numpy.compiler import Entry, c_function, pointer
from xpnet_backends.on_numpy.microkernel import HALF, LANES, PREFETCHED_LINES, panel, tile
from xpnet_backends.on_numpy.native import Routine, entry_routine

__all__ = ["HALF", "LANES", "WIDE", "multiply", "panel_routine", "tile_routine"]

WIDE = 4 * LANES
"""Columns of a panel."""

HEADER_BYTES, ITEM_BYTES = 8 * team.HEADER_WORDS, 4
"""Bytes of the header before a call's own words, and of a float32."""

TILE_ROWS, TILE, ROW, COPY = range(4)
"""A panel's words: the rows of a tile, and the routines for a tile, for a single row, and for packing the panel."""

A, A_TRANSPOSED, A_STEP, B, B_TRANSPOSED, B_STEP, INTO, ROWS, COLUMNS, BY_COLUMNS, MEMORY, MEMORY_BYTES = range(12)
PACK, PACKED, PACKED_BYTES, FULL_PANEL = range(12, 16)
LAST_PANEL = FULL_PANEL + 1 + COPY
FIRST_SUM = LAST_PANEL + 1 + COPY
SUMS = FIRST_SUM + 1
"""A call's words. Of each matrix: its address, whether it is transposed, the step between its rows or columns. The
product's address and shape; whether threads split the columns. Memory for one packed panel of each thread, and its
bytes. The routine that packs the first matrix into bfloat16 pairs, or 0; memory for each thread's pairs, and its bytes.
From ``FULL_PANEL`` and ``LAST_PANEL`` on, the words of a full and of the last panel. 0 if the first partial sums are
added to zeros, else -1. From ``SUMS`` on, the number of partial sums, where the first begins, and where each ends."""


def tile_routine(rows: int, columns: int, transposed: bool, paired: bool) -> Routine:
    """Return the routine that computes a tile; rows that are packed into pairs are never transposed."""
    form = (rows, columns, transposed and not paired, paired)
    return entry_routine(("tile", *form), lambda: Entry(tile(*form)))


def panel_routine(columns: int, transposed: bool, paired: bool) -> Routine:
    """Return the routine that packs some terms of some columns of the second matrix into a panel."""
    if transposed:
        return (
            bfloat16_pairs.transposed_panel_routine()
            if paired
            else entry_routine("turned panel", lambda: Entry(_turned, "llllll"))
        )
    return entry_routine(("panel", columns, paired), lambda: Entry(panel(columns, paired)))


_at, _number = pointer("int64"), pointer("float32")
_tile, _copy, _pack = c_function("", *"plplplllpl"), c_function("", *"pllpll"), c_function("", *"plllp")


def multiply(address: Any, me: Any, members: Any) -> Any:
    """Compute a thread's rows, or columns, panel by panel.

    While a panel is multiplied, each tile prefetches some numbers of the next one, so that they are in the cache when
    they are packed.
    """
    words = _at(address + HEADER_BYTES)
    rows, columns, memory = words[ROWS], words[COLUMNS], words[MEMORY] + me * words[MEMORY_BYTES]
    a_step, b_step, b_turned = words[A_STEP], words[B_STEP], words[B_TRANSPOSED]
    a_along, a_down = a_step if words[A_TRANSPOSED] else 1, 1 if words[A_TRANSPOSED] else a_step
    b_along, b_down = b_step if b_turned else 1, 1 if b_turned else b_step
    number, unit = (
        (columns + WIDE - 1) // WIDE,
        words[FULL_PANEL + TILE_ROWS if columns >= WIDE else LAST_PANEL + TILE_ROWS],
    )
    top, bottom, left, right = 0, rows, 0, number
    if words[BY_COLUMNS]:
        left, right = number * me // members, number * (me + 1) // members
    else:
        top = rows // unit * me // members * unit
        bottom = bottom if me + 1 == members else rows // unit * (me + 1) // members * unit
    for s in range(words[SUMS]):
        k, terms = words[SUMS + 1 + s], words[SUMS + 2 + s] - words[SUMS + 1 + s]
        nth, turns, x_step, x_down = words[FIRST_SUM] if s == 0 else s, terms, a_step, a_down
        first = words[A] + ITEM_BYTES * (k * a_along + top * a_down)
        if words[PACK]:
            turns, x_step, x_down = terms // 2, terms // 2, terms // 2
            packed = words[PACKED] + me * words[PACKED_BYTES]
            _pack(words[PACK], first, a_step, bottom - top, terms, packed)
            first = packed
        for j in range(left * WIDE, right * WIDE, WIDE):
            is_whole = j + WIDE <= columns
            kind = _at(address + HEADER_BYTES + 8 * (FULL_PANEL if is_whole else LAST_PANEL))
            count = WIDE if is_whole else columns - j
            wide = (count + HALF - 1) // HALF * HALF
            b, into = words[B] + ITEM_BYTES * (k * b_down + j * b_along), words[INTO] + ITEM_BYTES * j
            _copy(kind[COPY], b, b_step, terms, memory, count, wide)
            ahead = b + ITEM_BYTES * WIDE * b_along
            further = ITEM_BYTES * (PREFETCHED_LINES * LANES if b_turned else turns // PREFETCHED_LINES * b_step)
            asking = (
                terms // (PREFETCHED_LINES * LANES) if b_turned else PREFETCHED_LINES
            )  # tiles that prefetch as much each
            high = kind[TILE_ROWS]
            until = top + high * asking if j + 2 * WIDE <= columns else top
            rest = top + (bottom - top) // high * high
            for i in range(top, rest, high):
                asked, step = ahead if i < until else memory, b_step if i < until else 0
                x, y = first + ITEM_BYTES * (i - top) * x_down, into + ITEM_BYTES * i * columns
                _tile(kind[TILE], x, x_step, memory, turns, y, columns, count, nth, asked, step)
                ahead += further
            for i in range(rest, bottom):
                x, y = first + ITEM_BYTES * (i - top) * x_down, into + ITEM_BYTES * i * columns
                _tile(kind[ROW], x, x_step, memory, turns, y, columns, count, nth, memory, 0)
    return 0


def _turned(b: Any, step: Any, terms: Any, into: Any, count: Any, wide: Any) -> None:
    """Pack columns of a matrix in column-major order, some numbers of each at a time."""
    some = terms // LANES * LANES
    for t in range(0, some, LANES):
        for c in range(count):
            column, to = _number(b + ITEM_BYTES * (c * step + t)), _number(into + ITEM_BYTES * (t * wide + c))
            for k in range(LANES):
                to[k * wide] = column[k]
    for t in range(some, terms):
        to = _number(into + ITEM_BYTES * t * wide)
        for c in range(count):
            to[c] = _number(b + ITEM_BYTES * (c * step + t))[0]
    for t in range(terms):
        to = _number(into + ITEM_BYTES * t * wide)
        for c in range(count, wide):
            to[c] = 0.0
