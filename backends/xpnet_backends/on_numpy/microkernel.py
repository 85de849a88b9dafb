"""The micro-kernel of :mod:`gemm`, a tile of the product, and the packing of its panels, in LLVM's own language.

A tile of the product, some rows by some vectors of columns, stays in the processor's registers while all its terms are
added. LLVM finds no such loop by itself, so it is written out here, for 512-bit vectors. The last vector of a row has
half as many numbers where that is enough, which takes half of the time. Of bfloat16 values, two terms are added at a
time: they are packed in pairs, see :mod:`bfloat16_pairs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from xpnet_backends.on_numpy.compiler import Assembly

__all__ = ["HALF", "LANES", "PREFETCHED_LINES", "panel", "tile"]

LANES, HALF = 16, 8
"""Numbers of a vector, which are those of a cache line; numbers of a half vector."""

PREFETCHED_LINES = 4
"""Consecutive cache lines that are prefetched."""


def _declared(lanes: int) -> tuple[str, ...]:
    v, truths = f"<{lanes} x float>", f"<{lanes} x i1>"
    return (
        f"declare {v} @llvm.fma.v{lanes}f32({v}, {v}, {v})",
        f"declare {v} @llvm.masked.load.v{lanes}f32.p0(ptr, i32, {truths}, {v})",
        f"declare void @llvm.masked.store.v{lanes}f32.p0({v}, ptr, i32, {truths})",
    )


def _declared_pairs(lanes: int) -> str:
    v, pairs = f"<{lanes} x float>", f"<{2 * lanes} x bfloat>"
    return f"declare {v} @llvm.x86.avx512bf16.dpbf16ps.{32 * lanes}({v}, {pairs}, {pairs})"


DECLARED = (
    *_declared(LANES),
    *_declared(HALF),
    "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
    "!0 = distinct !{!0, !1}",
    '!1 = !{!"llvm.loop.unroll.disable"}',  # a turn of these loops is long as it is
)


PAIRED = (*DECLARED, _declared_pairs(LANES), _declared_pairs(HALF))


@cache
def tile(rows: int, columns: int, transposed: bool, paired: bool = False) -> Assembly:
    """Return ``tile(a, step, b, terms, into, columns, count, nth, ahead, ahead_step)``.

    It computes a tile of a product, *rows* rows by *count* columns, at most *columns*. Where *nth* is 0 the tile is
    added to zeros, where it is positive to the numbers that are there already, where it is negative to nothing. Each
    multiplication and its addition are rounded once.

    - Number (i, k) of the first matrix is ``a[i * step + k]``, or ``a[i + k * step]`` where it is *transposed*.
    - The second matrix is a :func:`panel` at ``b``.
    - Number (i, j) of the product is ``into[i * columns + j]``.
    - Where terms are *paired*, both matrices hold pairs, and *terms* counts these.
    - With each term one cache line is prefetched: :data:`PREFETCHED_LINES` consecutive lines from *ahead* on, then as
      many that begin *ahead_step* numbers further on, and so forth.
    """
    return Assembly("tile", "\n  ".join(_tile(rows, columns, transposed, paired)), PAIRED if paired else DECLARED)


@cache
def panel(columns: int, paired: bool = False) -> Assembly:
    """Return ``panel(b, step, terms, into, count, wide)``, which packs *count* columns into a panel.

    A panel is contiguous: rows of *columns* numbers, with zeros after the last of the *count* columns; where the terms
    are *paired*, each row holds two of them.
    """
    return Assembly("panel", "\n  ".join(_panel(columns, paired)), DECLARED)


class Vector:
    """One of the vectors of a row: LLVM's name of its type, and where it begins."""

    def __init__(self, start: int, columns: int) -> None:
        self.start, self.lanes = start, min(LANES, columns - start)
        self.is_last = start + self.lanes == columns
        self.form, self.truths = f"<{self.lanes} x float>", f"<{self.lanes} x i1>"

    def all_of(self, value: str, name: str) -> Iterator[str]:
        """Write a vector that repeats a number (broadcast)."""
        yield f"%{name}.first = insertelement {self.form} poison, float {value}, i32 0"
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        yield f"%{name} = shufflevector {self.form} %{name}.first, {self.form} poison, {zeros}"

    def added(self, x: str, y: str, total: str, paired: bool) -> Iterator[str]:
        """Write the sum of a vector and the products of two others; of pairs, the upper half is added first."""
        name, kind = total.replace("sum", "total"), f"<{2 * self.lanes} x bfloat>"
        if paired:
            yield f"{name}.x = bitcast {self.form} {x} to {kind}"
            yield f"{name}.y = bitcast {self.form} {y} to {kind}"
            given = f"{self.form} {total}, {kind} {name}.x, {kind} {name}.y"
            yield f"{name} = call {self.form} @llvm.x86.avx512bf16.dpbf16ps.{32 * self.lanes}({given})"
        else:
            given = f"{self.form} {x}, {self.form} {y}, {self.form} {total}"
            yield f"{name} = call {self.form} @llvm.fma.v{self.lanes}f32({given})"

    def pair(self, first: str, second: str, name: str) -> Iterator[str]:
        """Write a vector of pairs of bfloat16 values, given as float32: the first one becomes the upper half."""
        whole = f"<{self.lanes} x i32>"
        for half, given in (("upper", first), ("lower", second)):
            yield f"%{name}.{half}.whole = bitcast {self.form} {given} to {whole}"
        sixteens = f"<{', '.join(['i32 16'] * self.lanes)}>"
        yield f"%{name}.upper = and {whole} %{name}.upper.whole, <{', '.join(['i32 -65536'] * self.lanes)}>"
        yield f"%{name}.lower = lshr {whole} %{name}.lower.whole, {sixteens}"
        yield f"%{name}.both = or {whole} %{name}.upper, %{name}.lower"
        yield f"%{name} = bitcast {whole} %{name}.both to {self.form}"

    def load(self, name: str, place: str) -> str:
        if self.is_last:
            given = f"ptr {place}, i32 4, {self.truths} %mask, {self.form} zeroinitializer"
            return f"%{name} = call {self.form} @llvm.masked.load.v{self.lanes}f32.p0({given})"
        return f"%{name} = load {self.form}, ptr {place}, align 4"

    def store(self, value: str, place: str) -> str:
        if self.is_last:
            given = f"{self.form} {value}, ptr {place}, i32 4, {self.truths} %mask"
            return f"call void @llvm.masked.store.v{self.lanes}f32.p0({given})"
        return f"store {self.form} {value}, ptr {place}, align 4"

    def mask(self) -> Iterator[str]:
        """Find which of its numbers are among *count* columns."""
        whole = f"<{self.lanes} x i32>"
        yield f"%rest = sub i64 %count, {self.start}"
        yield "%rest.short = trunc i64 %rest to i32"
        yield f"%rest.first = insertelement {whole} poison, i32 %rest.short, i32 0"
        yield f"%rests = shufflevector {whole} %rest.first, {whole} poison, {whole} zeroinitializer"
        yield f"%mask = icmp slt {whole} <{', '.join(f'i32 {lane}' for lane in range(self.lanes))}>, %rests"


def _tile(rows: int, columns: int, transposed: bool, paired: bool) -> Iterator[str]:
    vectors = [Vector(start, columns) for start in range(0, columns, LANES)]
    each = [(i, j, v) for i in range(rows) for j, v in enumerate(vectors)]
    given = "ptr %a, i64 %step, ptr %b, i64 %terms, ptr %into, i64 %columns, i64 %count, i64 %nth, ptr %ahead"
    yield f"({given}, i64 %ahead.step) {{\nentry:"
    for i in range(rows):
        yield f"%a{i}.at = mul nsw i64 {i}, {'1' if transposed else '%step'}"
        yield f"%a{i} = getelementptr float, ptr %a, i64 %a{i}.at"
        yield f"%row{i}.at = mul nsw i64 {i}, %columns"
        yield f"%row{i} = getelementptr float, ptr %into, i64 %row{i}.at"
    yield from vectors[-1].mask()
    yield "br label %loop\nloop:"
    yield "%k = phi i64 [ 0, %entry ], [ %k.next, %loop ]"
    yield "%at = phi i64 [ 0, %entry ], [ %at.next, %loop ]"
    for i, j, v in each:
        yield f"%sum{i}.{j} = phi {v.form} [ zeroinitializer, %entry ], [ %total{i}.{j}, %loop ]"
    yield f"%begin = mul nsw i64 %k, {columns}"
    yield "%here = getelementptr float, ptr %b, i64 %begin"
    for j, v in enumerate(vectors):
        yield f"%b{j} = getelementptr float, ptr %here, i64 {v.start}"
        yield f"%y{j} = load {v.form}, ptr %b{j}, align 4"
    yield f"%ahead.line = urem i64 %k, {PREFETCHED_LINES}"
    yield f"%ahead.first = mul nsw i64 %ahead.line, {LANES}"
    yield f"%ahead.row = udiv i64 %k, {PREFETCHED_LINES}"
    yield "%ahead.rows = mul nsw i64 %ahead.row, %ahead.step"
    yield "%ahead.at = add nsw i64 %ahead.rows, %ahead.first"
    yield "%ahead.here = getelementptr float, ptr %ahead, i64 %ahead.at"
    yield "call void @llvm.prefetch.p0(ptr %ahead.here, i32 0, i32 2, i32 1)"
    for i in range(rows):
        yield f"%a{i}.here = getelementptr float, ptr %a{i}, i64 %at"
        yield f"%n{i} = load float, ptr %a{i}.here, align 4"
        for v in {v.lanes: v for v in vectors}.values():
            yield from v.all_of(f"%n{i}", f"x{i}.{v.lanes}")
        for j, v in enumerate(vectors):
            yield from v.added(f"%x{i}.{v.lanes}", f"%y{j}", f"%sum{i}.{j}", paired)
    yield "%k.next = add nsw i64 %k, 1"
    yield f"%at.next = add nsw i64 %at, {'%step' if transposed else '1'}"
    yield "%more = icmp slt i64 %k.next, %terms"
    yield "br i1 %more, label %loop, label %end, !llvm.loop !0\nend:"
    for i, j, v in each:
        yield f"%into{i}.{j} = getelementptr float, ptr %row{i}, i64 {v.start}"
    yield "%alone = icmp slt i64 %nth, 0"
    yield "br i1 %alone, label %write, label %zero\nzero:"
    yield "%adds = icmp sgt i64 %nth, 0"
    for i, j, v in each:
        yield f"%positive{i}.{j} = fadd {v.form} %total{i}.{j}, zeroinitializer"
    yield "br i1 %adds, label %add, label %write\nadd:"
    for i, j, v in each:
        yield v.load(f"old{i}.{j}", f"%into{i}.{j}")
        yield f"%new{i}.{j} = fadd {v.form} %old{i}.{j}, %total{i}.{j}"
    yield "br label %write\nwrite:"
    for i, j, v in each:
        written = f"[ %total{i}.{j}, %end ], [ %positive{i}.{j}, %zero ], [ %new{i}.{j}, %add ]"
        yield f"%out{i}.{j} = phi {v.form} {written}"
    for i, j, v in each:
        yield v.store(f"%out{i}.{j}", f"%into{i}.{j}")
    yield "ret void\n}"


def _panel(columns: int, paired: bool) -> Iterator[str]:
    vectors = [Vector(start, columns) for start in range(0, columns, LANES)]
    yield "(ptr %b, i64 %step, i64 %terms, ptr %into, i64 %count, i64 %wide) {\nentry:"
    yield from vectors[-1].mask()
    yield "br label %loop\nloop:"
    yield "%k = phi i64 [ 0, %entry ], [ %k.next, %loop ]"
    yield f"%row = mul nsw i64 %k, {2 if paired else 1}"
    yield "%from.at = mul nsw i64 %row, %step"
    yield "%from = getelementptr float, ptr %b, i64 %from.at"
    yield f"%to.at = mul nsw i64 %k, {columns}"
    yield "%to = getelementptr float, ptr %into, i64 %to.at"
    for j, v in enumerate(vectors):
        yield f"%from{j} = getelementptr float, ptr %from, i64 {v.start}"
        yield f"%to{j} = getelementptr float, ptr %to, i64 {v.start}"
        if paired:
            yield f"%after{j} = getelementptr float, ptr %from{j}, i64 %step"
            yield v.load(f"first{j}", f"%from{j}")
            yield v.load(f"second{j}", f"%after{j}")
            yield from v.pair(f"%first{j}", f"%second{j}", f"y{j}")
        else:
            yield v.load(f"y{j}", f"%from{j}")
        yield f"store {v.form} %y{j}, ptr %to{j}, align 4"
    yield "%k.next = add nsw i64 %k, 1"
    yield f"%more.at = mul nsw i64 %k.next, {2 if paired else 1}"
    yield "%more = icmp slt i64 %more.at, %terms"
    yield "br i1 %more, label %loop, label %end, !llvm.loop !0\nend:"
    yield "ret void\n}"
