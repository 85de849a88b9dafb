"""One row by a matrix of middle size, as of one example by a layer's weights, on all threads, to NumPy's bits.

Such a product reads each number of the matrix once, and takes as long as that takes: two cores read from their second
and third caches twice as fast as one, to which OpenBLAS leaves it up to a size. Its order of additions is kept: eight
terms of a sum are added up by themselves, a product and its addition rounded once, and then added to the sum. Each
thread has columns of its own, but for some at an end. On other processors, and for other shapes, OpenBLAS may have
other orders: that is seen by trying, and it is called then.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import order, team
from xpnet_backends.on_numpy.compiler import Assembly, Function, pointer
from xpnet_backends.on_numpy.native import Call, Place

__all__ = ["call", "in_order"]

WORTH, DIVIDED = 100_000, 460_800
"""Numbers of a matrix from which it is worth dividing, and from which OpenBLAS divides it among its threads itself."""

NARROWEST = 96
"""Columns from which two threads are faster wherever the matrix begins."""

EIGHT = 8
"""Terms that are added up by themselves; there are as many more."""

LINE = 16
"""Numbers of a cache line, of which a row of the matrix is some.

Threads begin where a line of the matrix does: what lies across two takes longer to read.
"""

MATRIX, ROW, INTO, TERMS, COLUMNS = range(5)
"""A call's words: three addresses, rows and columns of the matrix."""

VECTOR = f"<{LINE} x float>"
"""LLVM's name of a line."""

DECLARED = (f"declare {VECTOR} @llvm.fma.v{LINE}f32({VECTOR}, {VECTOR}, {VECTOR})",)
"""What the text of a strip calls."""


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
    whole, number, size = pointer("int64"), pointer("float32"), 4
    four, two, one = _strip(4), _strip(2), _strip(1)

    def multiply(address: Any, me: Any, members: Any) -> Any:
        words = whole(address + 8 * team.HEAD)
        matrix, x, into, terms, columns = words[MATRIX], number(words[ROW]), words[INTO], words[TERMS], words[COLUMNS]
        short = -(matrix // size) % LINE  # columns before the first line that begins here
        lines = (columns - short) // LINE
        first, end = short + lines * me // members * LINE, short + lines * (me + 1) // members * LINE
        for j in range(first, end - 3 * LINE, 4 * LINE):
            four(x, number(matrix + size * j), terms, columns, number(into + size * j))
        if (end - first) // LINE & 2:
            j = end - (end - first) % (4 * LINE)
            two(x, number(matrix + size * j), terms, columns, number(into + size * j))
        if (end - first) // LINE & 1:
            j = end - LINE
            one(x, number(matrix + size * j), terms, columns, number(into + size * j))
        # The ends are lines, too, that lie across two; some columns of theirs are computed twice, to the same bits.
        if short and me == 0:
            one(x, number(matrix), terms, columns, number(into))
        if short and me + 1 == members:
            j = columns - LINE
            one(x, number(matrix + size * j), terms, columns, number(into + size * j))
        return 0

    return multiply


def _strip(lines: int) -> Any:
    """Return ``strip(x, matrix, terms, columns, into)``: so many lines of the product, whose sums stay in registers.

    Number (k, j) of the matrix is ``matrix[k * columns + j]``.
    """
    return Assembly("strip", "\n  ".join(_text(lines)), DECLARED)


def _text(lines: int) -> Iterator[str]:
    yield "(ptr %x, ptr %matrix, i64 %terms, i64 %columns, ptr %into) {\nentry:"
    yield "br label %loop\nloop:"
    yield "%k = phi i64 [ 0, %entry ], [ %k.next, %loop ]"
    yield "%row0 = phi ptr [ %matrix, %entry ], [ %row8, %loop ]"
    for j in range(lines):
        yield f"%sum{j} = phi {VECTOR} [ zeroinitializer, %entry ], [ %total{j}, %loop ]"
    yield "%x0 = getelementptr float, ptr %x, i64 %k"
    for term in range(EIGHT):
        yield f"%row{term + 1} = getelementptr float, ptr %row{term}, i64 %columns"
        yield f"%x{term + 1} = getelementptr float, ptr %x{term}, i64 1"
        yield f"%n{term} = load float, ptr %x{term}, align 4"
        yield f"%first{term} = insertelement {VECTOR} poison, float %n{term}, i32 0"
        yield f"%n{term}.all = shufflevector {VECTOR} %first{term}, {VECTOR} poison, <{LINE} x i32> zeroinitializer"
        for j in range(lines):
            yield f"%at{term}.{j} = getelementptr float, ptr %row{term}, i64 {LINE * j}"
            yield f"%y{term}.{j} = load {VECTOR}, ptr %at{term}.{j}, align 4"
            given = f"{VECTOR} %n{term}.all, {VECTOR} %y{term}.{j}, {VECTOR} %part{term - 1}.{j}"
            added = f"call {VECTOR} @llvm.fma.v{LINE}f32({given})"
            yield f"%part{term}.{j} = " + (added if term else f"fmul {VECTOR} %n0.all, %y0.{j}")
    for j in range(lines):
        yield f"%total{j} = fadd {VECTOR} %sum{j}, %part{EIGHT - 1}.{j}"
    yield f"%k.next = add nsw i64 %k, {EIGHT}"
    yield "%more = icmp slt i64 %k.next, %terms"
    yield "br i1 %more, label %loop, label %end\nend:"
    for j in range(lines):
        yield f"%into{j} = getelementptr float, ptr %into, i64 {LINE * j}"
        yield f"store {VECTOR} %total{j}, ptr %into{j}, align 4"
    yield "ret void\n}"
