"""The product of one row and a matrix of middle size (one example by a layer's weights), on all threads.

It takes as long as reading the matrix does. Two cores read from their L2 and L3 caches twice as fast as one, to which
OpenBLAS leaves such a product up to a size. And rows of the matrix that are multiplied by zero need not be read: half
of them behind a ReLU, four fifths below an image of a digit.

The numbers are NumPy's, as the terms are added in OpenBLAS's order: eight at a time are added up from zero, each
multiplication and addition rounded once, and their sum is added to the total. A zero changes neither, except by a
weight that is infinite or NaN, which NumPy would multiply by zero to NaN. Each thread has its own columns, but for some
at an end. On other processors, and for other shapes, OpenBLAS may have other orders: samples are compared, and OpenBLAS
is called then.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import summation_order, team
from xpnet_backends.on_numpy.compiler import Assembly, Function, pointer
from xpnet_backends.on_numpy.native import Location, NativeCall

__all__ = ["multiply_in_order", "row_call"]

MIN_SIZE, MAX_SIZE = 100_000, 460_800
"""Smaller matrices are not worth sharing; from ``MAX_SIZE`` numbers on, OpenBLAS shares the product itself."""

NARROWEST = 96
"""From so many columns on, two threads are faster whatever the matrix's alignment."""

EIGHT, FOUR = 8, 4
"""Terms of a partial sum, of which a shape has a whole number; terms that a strip adds at once."""

LINE = 16
"""Numbers of a cache line, of which a row of the matrix is some.

Threads begin where a line of the matrix does: what lies across two takes longer to read.
"""

MATRIX, ROW, INTO, TERMS, COLUMNS, FOUND, ZEROS = range(7)
"""A call's words: three addresses, rows and columns of the matrix, where each thread writes what is not zero, and a row
of zeros."""

VECTOR, CHOICE = f"<{LINE} x float>", f"<{LINE} x i1>"
"""LLVM's names of a cache line's numbers as a vector, and of a boolean for each."""

BITS, WORDS = f"<{EIGHT} x i32>", f"<{EIGHT} x i64>"
"""LLVM's names of eight numbers' bits, and of the offsets of their rows."""

COMPRESS = "llvm.experimental.vector.compress"
"""The intrinsic that moves the chosen elements of a vector to its beginning, followed by those of another vector.

They are integers here: of floats LLVM 22 fails, and ends the process, where a processor has no instruction for it.
"""

COMPRESSING = tuple(
    f"declare {kind} @{COMPRESS}.v{EIGHT}{one}({kind}, <{EIGHT} x i1>, {kind})"
    for kind, one in ((BITS, "i32"), (WORDS, "i64"))
)
"""The declarations that the text of ``find`` needs."""

DECLARED = (f"declare {VECTOR} @llvm.fma.v{LINE}f32({VECTOR}, {VECTOR}, {VECTOR})",)
"""The declarations that the text of a strip needs."""


def row_call(row: Location, matrix: Location, into: Location) -> NativeCall | None:
    """Return the shared call of ``into = row @ matrix``; None where NumPy does it as fast, or in another order."""
    form, (terms, columns) = matrix.array, matrix.array.shape
    if form.dtype != np.float32 or not form.flags.c_contiguous or not MIN_SIZE <= form.size < MAX_SIZE:
        return None
    if columns < NARROWEST or columns % LINE or terms % EIGHT or team.size() == 1 or not _agrees(terms, columns):
        return None
    found = Location.of(np.empty((team.size(), _room(terms)), dtype=np.int64))
    zeros = Location.of(np.zeros(columns, dtype=np.float32))
    return team.make_call("row", _multiplying, [matrix, row, into, terms, columns, found, zeros], shared=True)


@lru_cache(maxsize=64)
def _agrees(terms: int, columns: int) -> bool:
    """Compare this order with NumPy's in a product of this shape."""
    row, matrix = summation_order.sample_matrix(terms), summation_order.sample_matrix(terms, columns)
    return np.array_equal(np.dot(row[None], matrix)[0], multiply_in_order(row, matrix))


def multiply_in_order(row: Any, matrix: Any) -> Any:
    """Return ``row @ matrix`` of float32, added up in the order above."""
    parts = np.zeros((len(row) // EIGHT, matrix.shape[1]), dtype=np.float32)
    for k in range(EIGHT):
        parts = summation_order.fused_multiply_add(row[k::EIGHT, None], matrix[k::EIGHT], parts)
    return np.add.reduce(parts, axis=0)


def _multiplying() -> Function:
    whole, number, size = pointer("int64"), pointer("float32"), 4
    find, four, two, one = _find(), _strip(4), _strip(2), _strip(1)

    def multiply(address: Any, me: Any, members: Any) -> Any:
        words = whole(address + 8 * team.HEADER_WORDS)
        matrix, into, terms, columns = words[MATRIX], words[INTO], words[TERMS], words[COLUMNS]
        begin = words[FOUND] + 8 * _room(terms) * me
        rows, values, goes_on = whole(begin), number(begin + 8 * _most(terms)), whole(begin + 12 * _most(terms))
        found = whole(begin + 8 * (_room(terms) - 1))
        find(number(words[ROW]), terms, size * columns, words[ZEROS] - matrix, rows, values, goes_on, found)
        fours = found[0]
        short = -(matrix // size) % LINE  # columns before the first line that begins here
        lines = (columns - short) // LINE
        first, end = short + lines * me // members * LINE, short + lines * (me + 1) // members * LINE
        for j in range(first, end - 3 * LINE, 4 * LINE):
            four(rows, values, goes_on, fours, matrix + size * j, into + size * j)
        if (end - first) // LINE & 2:
            j = end - (end - first) % (4 * LINE)
            two(rows, values, goes_on, fours, matrix + size * j, into + size * j)
        if (end - first) // LINE & 1:
            j = end - LINE
            one(rows, values, goes_on, fours, matrix + size * j, into + size * j)
        # The ends are lines, too, that lie across two; some columns of theirs are computed twice, to the same bits.
        if short and me == 0:
            one(rows, values, goes_on, fours, matrix, into)
        if short and me + 1 == members:
            j = columns - LINE
            one(rows, values, goes_on, fours, matrix + size * j, into + size * j)
        return 0

    return multiply


def _most(terms: Any) -> Any:
    """Return how many terms are written at most: all, and what fills up the last four."""
    return terms + FOUR


def _room(terms: Any) -> Any:
    """Return how many words of 8 bytes a thread needs: of each term 8 and 4 bytes, of each four 8, once 8."""
    return 2 * _most(terms)


def _find() -> Any:
    """Return ``find(x, terms, step, zeros, rows, values, goes_on, found)``: it writes the terms down that are not zero.

    Of each term there are the number of *x*, and how many bytes into the matrix its row begins. They stand in fours,
    the terms of a four are of one eight, and if there are less, there are zeros by the row of zeros. A four *goes on*
    with the eight before it. *found* is how many fours there are.
    """
    return Assembly("find", "\n  ".join(_finding()), (*COMPRESSING, "declare i8 @llvm.ctpop.i8(i8)"))


def _finding() -> Iterator[str]:
    inputs = "ptr %x, i64 %terms, i64 %step.1, i64 %zeros.1"
    yield f"({inputs}, ptr %rows, ptr %values, ptr %goes_on, ptr %found) {{\nentry:"
    yield from _repeat("step", WORDS, "i64")
    yield from _repeat("zeros", WORDS, "i64")
    yield f"%begin = mul {WORDS} %step, <{', '.join(f'i64 {k}' for k in range(EIGHT))}>"
    yield f"%further = mul {WORDS} %step, splat (i64 {EIGHT})"
    yield "%any = icmp sgt i64 %terms, 0\n  br i1 %any, label %loop, label %end\nloop:"
    yield "%term = phi i64 [ 0, %entry ], [ %term.next, %loop ]\n  %four = phi i64 [ 0, %entry ], [ %four.next, %loop ]"
    yield f"%row = phi {WORDS} [ %begin, %entry ], [ %row.next, %loop ]"
    yield "%given.at = getelementptr float, ptr %x, i64 %term"
    yield f"%bits = load {BITS}, ptr %given.at, align 4\n  %given = bitcast {BITS} %bits to <{EIGHT} x float>"
    yield f"%used = fcmp une <{EIGHT} x float> %given, zeroinitializer"
    yield "%place = mul nsw i64 %four, 4"
    for name, kind, one, value, other in (
        ("values", BITS, "i32", "%bits", "zeroinitializer"),
        ("rows", WORDS, "i64", "%row", "%zeros"),
    ):
        operands = f"{kind} {value}, <{EIGHT} x i1> %used, {kind} {other}"
        yield f"%{name}.used = call {kind} @{COMPRESS}.v{EIGHT}{one}({operands})"
        yield f"%{name}.at = getelementptr {one}, ptr %{name}, i64 %place"
        yield f"store {kind} %{name}.used, ptr %{name}.at, align 4"
    yield "%goes.at = getelementptr i64, ptr %goes_on, i64 %four\n  store i64 0, ptr %goes.at"
    yield "%after.at = getelementptr i64, ptr %goes.at, i64 1\n  store i64 1, ptr %after.at"
    yield f"%set = bitcast <{EIGHT} x i1> %used to i8\n  %ones = call i8 @llvm.ctpop.i8(i8 %set)"
    yield "%many = zext i8 %ones to i64\n  %filled = add nsw i64 %many, 3\n  %fours = lshr i64 %filled, 2"
    yield "%four.next = add nsw i64 %four, %fours\n  %term.next = add nsw i64 %term, 8"
    yield f"%row.next = add {WORDS} %row, %further"
    yield "%more = icmp slt i64 %term.next, %terms\n  br i1 %more, label %loop, label %end\nend:"
    yield "%all = phi i64 [ 0, %entry ], [ %four.next, %loop ]\n  store i64 %all, ptr %found\n  ret void\n}"


def _strip(lines: int) -> Any:
    """Return ``strip(rows, values, goes_on, fours, matrix, into)``: so many lines, whose sums stay in registers."""
    return Assembly("strip", "\n  ".join(_text(lines)), DECLARED)


def _text(lines: int) -> Iterator[str]:
    yield "(ptr %rows, ptr %values, ptr %goes_on, i64 %fours, i64 %matrix, i64 %into) {\nentry:"
    yield "%columns = inttoptr i64 %matrix to ptr\n  %sums = inttoptr i64 %into to ptr"
    yield "%any = icmp sgt i64 %fours, 0\n  br i1 %any, label %loop, label %end\nloop:"
    yield "%four = phi i64 [ 0, %entry ], [ %four.next, %loop ]"
    for j in range(lines):
        yield f"%sum{j} = phi {VECTOR} [ zeroinitializer, %entry ], [ %total{j}, %loop ]"
        yield f"%part{j} = phi {VECTOR} [ zeroinitializer, %entry ], [ %added{FOUR}.{j}, %loop ]"
    yield from _read("goes", "i64", "goes_on", "%four")
    yield "%same.1 = trunc i64 %goes to i1"
    yield from _repeat("same", CHOICE, "i1")
    for j in range(lines):
        yield f"%ended{j} = select {CHOICE} %same, {VECTOR} zeroinitializer, {VECTOR} %part{j}"
        yield f"%added0.{j} = select {CHOICE} %same, {VECTOR} %part{j}, {VECTOR} zeroinitializer"
        yield f"%total{j} = fadd {VECTOR} %sum{j}, %ended{j}"
    yield f"%first = mul nsw i64 %four, {FOUR}"
    for k in range(FOUR):
        yield f"%term{k} = add nsw i64 %first, {k}"
        yield from _read(f"row{k}", "i64", "rows", f"%term{k}")
        yield from _read(f"x{k}.1", "float", "values", f"%term{k}")
        yield from _repeat(f"x{k}", VECTOR, "float")
        yield f"%line{k} = getelementptr i8, ptr %columns, i64 %row{k}"
        for j in range(lines):
            yield from _read(f"y{k}.{j}", VECTOR, f"line{k}", f"{j}", align=4)
            given = f"{VECTOR} %x{k}, {VECTOR} %y{k}.{j}, {VECTOR} %added{k}.{j}"
            yield f"%added{k + 1}.{j} = call {VECTOR} @llvm.fma.v{LINE}f32({given})"
    yield "%four.next = add nsw i64 %four, 1\n  %more = icmp slt i64 %four.next, %fours"
    yield "br i1 %more, label %loop, label %end\nend:"
    for j in range(lines):
        yield f"%sum{j}.end = phi {VECTOR} [ zeroinitializer, %entry ], [ %total{j}, %loop ]"
        yield f"%part{j}.end = phi {VECTOR} [ zeroinitializer, %entry ], [ %added{FOUR}.{j}, %loop ]"
    for j in range(lines):
        yield f"%whole{j} = fadd {VECTOR} %sum{j}.end, %part{j}.end"
        yield f"%into{j} = getelementptr {VECTOR}, ptr %sums, i64 {j}"
        yield f"store {VECTOR} %whole{j}, ptr %into{j}, align 4"
    yield "ret void\n}"


def _read(name: str, kind: str, base: str, index: str, align: int | None = None) -> Iterator[str]:
    yield f"%{name}.at = getelementptr {kind}, ptr %{base}, i64 {index}"
    yield f"%{name} = load {kind}, ptr %{name}.at" + (f", align {align}" if align else "")


def _repeat(name: str, kind: str, one: str) -> Iterator[str]:
    """Fill a vector with the number called ``name.1``."""
    yield f"%{name}.first = insertelement {kind} poison, {one} %{name}.1, i32 0"
    lanes = kind[1:].partition(" ")[0]
    yield f"%{name} = shufflevector {kind} %{name}.first, {kind} poison, <{lanes} x i32> zeroinitializer"
