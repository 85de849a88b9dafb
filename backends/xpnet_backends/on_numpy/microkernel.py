"""The inner loop of a product of matrices, and the copy that it reads, in LLVM's own language: see :mod:`gemm`.

A tile of the product, some rows by some vectors of columns, stays in the processor's registers while all its terms are
added. A compiler finds no such loop by itself, so it is written out here, for 512-bit vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from xpnet_backends.on_numpy.compiler import Assembly

__all__ = ["LANES", "LINES", "panel", "tile"]

LANES = 16
"""Numbers of a vector, and of a line of the caches."""

LINES = 4
"""Lines in a row of which the numbers are asked for ahead."""

V, TRUTHS, WHOLE = f"<{LANES} x float>", f"<{LANES} x i1>", f"<{LANES} x i32>"
"""LLVM's names of vectors."""

DECLARED = (
    f"declare {V} @llvm.fma.v{LANES}f32({V}, {V}, {V})",
    f"declare {V} @llvm.masked.load.v{LANES}f32.p0(ptr, i32, {TRUTHS}, {V})",
    f"declare void @llvm.masked.store.v{LANES}f32.p0({V}, ptr, i32, {TRUTHS})",
    "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
    "!0 = distinct !{!0, !1}",
    '!1 = !{!"llvm.loop.unroll.disable"}',  # a turn of these loops is long as it is
)


@cache
def tile(rows: int, vectors: int, turned: bool) -> Assembly:
    """Return ``tile(a, step, b, terms, into, columns, count, nth, ahead, ahead_step)``.

    It writes a tile of a product of two matrices, so many rows by *count* columns in vectors; where *nth* is not 0, it
    adds it to what is there. A product of two numbers and its addition are rounded once.

    - Number (i, k) of the first matrix is ``a[i * step + k]``, or ``a[i + k * step]`` where it is *turned*.
    - The second matrix is a :func:`panel` at ``b``.
    - Number (i, j) of the product is ``into[i * columns + j]``.
    - With each of the terms a cache line is asked for that is read soon: :data:`LINES` of them from *ahead* on, then as
      many that are *ahead_step* numbers further on.
    """
    return Assembly("tile", "\n  ".join(_tile(rows, vectors, turned)), DECLARED)


@cache
def panel(vectors: int) -> Assembly:
    """Return ``panel(b, step, terms, into, count, wide)``, which copies *count* columns into a panel.

    In a panel, so many vectors are a row, *wide* numbers with zeros after the last column, and rows follow each other.
    """
    return Assembly("panel", "\n  ".join(_panel(vectors)), DECLARED)


def _tile(rows: int, vectors: int, turned: bool) -> Iterator[str]:
    each = [(i, j) for i in range(rows) for j in range(vectors)]
    given = "ptr %a, i64 %step, ptr %b, i64 %terms, ptr %into, i64 %columns, i64 %count, i64 %nth, ptr %ahead"
    yield f"({given}, i64 %ahead.step) {{\nentry:"
    for i in range(rows):
        yield f"%a{i}.at = mul nsw i64 {i}, {'1' if turned else '%step'}"
        yield f"%a{i} = getelementptr float, ptr %a, i64 %a{i}.at"
        yield f"%row{i}.at = mul nsw i64 {i}, %columns"
        yield f"%row{i} = getelementptr float, ptr %into, i64 %row{i}.at"
    yield from _mask(vectors)
    yield "br label %loop\nloop:"
    yield "%k = phi i64 [ 0, %entry ], [ %k.next, %loop ]"
    yield "%at = phi i64 [ 0, %entry ], [ %at.next, %loop ]"
    for i, j in each:
        yield f"%sum{i}.{j} = phi {V} [ zeroinitializer, %entry ], [ %total{i}.{j}, %loop ]"
    yield f"%begin = mul nsw i64 %k, {vectors * LANES}"
    yield "%here = getelementptr float, ptr %b, i64 %begin"
    for j in range(vectors):
        yield f"%b{j} = getelementptr float, ptr %here, i64 {j * LANES}"
        yield f"%y{j} = load {V}, ptr %b{j}, align {4 * LANES}"
    yield f"%ahead.line = urem i64 %k, {LINES}"
    yield f"%ahead.first = mul nsw i64 %ahead.line, {LANES}"
    yield f"%ahead.row = udiv i64 %k, {LINES}"
    yield "%ahead.rows = mul nsw i64 %ahead.row, %ahead.step"
    yield "%ahead.at = add nsw i64 %ahead.rows, %ahead.first"
    yield "%ahead.here = getelementptr float, ptr %ahead, i64 %ahead.at"
    yield "call void @llvm.prefetch.p0(ptr %ahead.here, i32 0, i32 2, i32 1)"
    for i in range(rows):
        yield f"%a{i}.here = getelementptr float, ptr %a{i}, i64 %at"
        yield f"%x{i}.number = load float, ptr %a{i}.here, align 4"
        yield f"%x{i}.first = insertelement {V} poison, float %x{i}.number, i32 0"
        yield f"%x{i} = shufflevector {V} %x{i}.first, {V} poison, {WHOLE} zeroinitializer"
        for j in range(vectors):
            yield f"%total{i}.{j} = call {V} @llvm.fma.v{LANES}f32({V} %x{i}, {V} %y{j}, {V} %sum{i}.{j})"
    yield "%k.next = add nsw i64 %k, 1"
    yield f"%at.next = add nsw i64 %at, {'%step' if turned else '1'}"
    yield "%more = icmp slt i64 %k.next, %terms"
    yield "br i1 %more, label %loop, label %end, !llvm.loop !0\nend:"
    for i, j in each:
        yield f"%into{i}.{j} = getelementptr float, ptr %row{i}, i64 {j * LANES}"
    yield "%adds = icmp sgt i64 %nth, 0"
    yield "br i1 %adds, label %add, label %write\nadd:"
    for i, j in each:
        yield _load(f"old{i}.{j}", f"%into{i}.{j}", j == vectors - 1)
        yield f"%new{i}.{j} = fadd {V} %old{i}.{j}, %total{i}.{j}"
    yield "br label %write\nwrite:"
    for i, j in each:
        yield f"%out{i}.{j} = phi {V} [ %total{i}.{j}, %end ], [ %new{i}.{j}, %add ]"
    for i, j in each:
        yield _store(f"%out{i}.{j}", f"%into{i}.{j}", j == vectors - 1)
    yield "ret void\n}"


def _panel(vectors: int) -> Iterator[str]:
    yield "(ptr %b, i64 %step, i64 %terms, ptr %into, i64 %count, i64 %wide) {\nentry:"
    yield from _mask(vectors)
    yield "br label %loop\nloop:"
    yield "%k = phi i64 [ 0, %entry ], [ %k.next, %loop ]"
    yield "%from.at = mul nsw i64 %k, %step"
    yield "%from = getelementptr float, ptr %b, i64 %from.at"
    yield f"%to.at = mul nsw i64 %k, {vectors * LANES}"
    yield "%to = getelementptr float, ptr %into, i64 %to.at"
    for j in range(vectors):
        yield f"%from{j} = getelementptr float, ptr %from, i64 {j * LANES}"
        yield f"%to{j} = getelementptr float, ptr %to, i64 {j * LANES}"
        yield _load(f"y{j}", f"%from{j}", j == vectors - 1)
        yield f"store {V} %y{j}, ptr %to{j}, align {4 * LANES}"
    yield "%k.next = add nsw i64 %k, 1"
    yield "%more = icmp slt i64 %k.next, %terms"
    yield "br i1 %more, label %loop, label %end, !llvm.loop !0\nend:"
    yield "ret void\n}"


def _mask(vectors: int) -> Iterator[str]:
    """Find which numbers of the last vector are among *count* columns."""
    yield f"%rest = sub i64 %count, {(vectors - 1) * LANES}"
    yield "%rest.short = trunc i64 %rest to i32"
    yield f"%rest.first = insertelement {WHOLE} poison, i32 %rest.short, i32 0"
    yield f"%rests = shufflevector {WHOLE} %rest.first, {WHOLE} poison, {WHOLE} zeroinitializer"
    yield f"%mask = icmp slt {WHOLE} <{', '.join(f'i32 {lane}' for lane in range(LANES))}>, %rests"


def _load(name: str, place: str, last: bool) -> str:
    if last:
        given = f"ptr {place}, i32 4, {TRUTHS} %mask, {V} zeroinitializer"
        return f"%{name} = call {V} @llvm.masked.load.v{LANES}f32.p0({given})"
    return f"%{name} = load {V}, ptr {place}, align 4"


def _store(value: str, place: str, last: bool) -> str:
    if last:
        return f"call void @llvm.masked.store.v{LANES}f32.p0({V} {value}, ptr {place}, i32 4, {TRUTHS} %mask)"
    return f"store {V} {value}, ptr {place}, align 4"
