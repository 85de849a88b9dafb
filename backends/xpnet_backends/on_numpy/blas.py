"""Products of matrices, by the library of NumPy's own products or by MKL, as calls of a plan.

NumPy multiplies two matrices of one floating type by ``cblas_sgemm`` or ``cblas_dgemm`` of the OpenBLAS in its wheels,
and a matrix by a single row or column by ``gemv`` (``cblas_matrixproduct`` in NumPy's C code). They are called here as
NumPy calls them, so the numbers are NumPy's.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import blocks, gemm, loops, native, one_row, openblas, products
from xpnet_backends.on_numpy.compiler import Function, address, caller, pointer
from xpnet_backends.on_numpy.native import Call, Place
from xpnet_backends.on_numpy.tracing import Host

__all__ = ["call", "in_blocks", "mkl", "turned"]

COLUMNS = 102
"""CblasColMajor in cblas.h."""


def call(
    a: Place | None,
    b: Place | None,
    into: Place | None,
    wanted: set[native.Routine] | None = None,
    bfloat16: bool = False,
) -> Call | None:
    """Return the call of NumPy's ``into = a @ b``; None where NumPy would do more than one call of BLAS.

    What would be faster if more were compiled is *wanted*, if that is given; else it is used. It may be known that all
    numbers are those of *bfloat16*.
    """
    if a is None or b is None or into is None or not products.fit(a.form, b.form):
        return None
    if not into.form.flags.c_contiguous or min(a.form.size, b.form.size) == 0:
        return None
    found = _numpys(a.form.dtype.char)
    ones = [count == 1 for count in (*a.form.shape, b.form.shape[1])]
    if found is None or ones[1] or (ones[0] and ones[2]):
        return None
    if ones[0]:
        return one_row.call(a, b, into) or _vector(found, b, a, into, turned=True)
    if ones[2]:
        return _vector(found, a, b, into, turned=False)
    if _may_be_one(a, b):
        return None
    return _tiled(a, b, into, wanted, bfloat16=bfloat16) or _matrices(found.gemm, found.whole, a, b, into)


def _tiled(
    a: Place,
    b: Place,
    into: Place,
    wanted: set[native.Routine] | None,
    block: int | None = None,
    bfloat16: bool = False,
) -> Call | None:
    """Return the call of the product in tiles, if there is one, with which NumPy's routine is compiled, too.

    That is what networks of other sizes do with until they have tiles of their own.
    """
    found, made = _numpys(a.form.dtype.char), gemm.call(a, b, into, wanted, block, bfloat16)
    if found is None or made is None:
        return None
    return made._replace(words=[*made.words, _matrices(found.gemm, found.whole, a, b, into).routine])


def mkl(a: Place, b: Place, into: Place) -> Call:
    """Return the call of MKL's ``into = a @ b``, of two that suit."""
    return _matrices(address(products.routine(a.form.dtype.char)), "i", a, b, into)


def turned(a: Place, b: Place, into: Place, between: Place) -> list[Call | None]:
    """Return the calls of MKL's ``between = b.T @ a.T``, and of ``into = between.T``."""
    product = mkl(b.moved(b.form.T), a.moved(a.form.T), between)
    return [product, loops.copy(between.moved(between.form.T), into)]


def in_blocks(a: Place, b: Place, into: Place, wanted: set[native.Routine] | None = None) -> list[Call | None]:
    """Return the calls of NumPy's ``into = a @ b``, a block of rows at a time."""
    even = len(a.form) // blocks.ROWS * blocks.ROWS
    found: list[Call | None] = []
    if shared := _tiled(_rows(a, 0, even), b, _rows(into, 0, even), wanted, blocks.ROWS):
        found.append(shared)
    for start in range(even if shared else 0, len(a.form), blocks.ROWS):
        found.append(call(_rows(a, start, start + blocks.ROWS), b, _rows(into, start, start + blocks.ROWS), wanted))
    return found


def _rows(matrix: Place, start: int, end: int) -> Place:
    return matrix.moved(matrix.form[start:end], start * matrix.form.strides[0])


def _may_be_one(a: Place, b: Place) -> bool:
    """Say whether these may be a matrix and its own transpose, for which NumPy calls another routine (syrk)."""
    if a.form.shape != b.form.shape[::-1] or a.form.strides != b.form.strides[::-1]:
        return False
    return a.argument is not None or b.argument is not None or a.start == b.start


def _matrices(function: int, whole: str, a: Place, b: Place, into: Place) -> Call:
    kind = a.form.dtype.char
    _, *forms, rows, columns, terms, _, _, a_step, _, b_step, _, _, _ = products.arguments(a.form, b.form, 0, 0, 0)
    words = [function, *forms, rows, columns, terms, a, a_step, b, b_step, into]
    return Call(native.routine(("gemm", kind, whole), lambda: _multiplying(kind, whole)), words)


def _multiplying(kind: str, whole: str) -> Function:
    at, int32 = pointer("int64"), np.int32
    number, size = {"f": np.float32, "d": np.float64}[kind], {"i": np.int32, "l": np.int64}[whole]
    gemm = caller("", *"iii", *whole * 3, kind, "p", whole, "p", whole, kind, "p", whole)
    order, one, zero = int32(products.ROWS), number(1), number(0)

    def multiply(address: Any, me: Any, members: Any) -> Any:
        w = at(address)
        rows, columns, terms = size(w[3]), size(w[4]), size(w[5])
        a, a_step, b, b_step, into = w[6], size(w[7]), w[8], size(w[9]), w[10]
        gemm(
            w[0], order, int32(w[1]), int32(w[2]), rows, columns, terms, one, a, a_step, b, b_step, zero, into, columns
        )
        return 0

    return multiply


def _vector(found: _Numpys, matrix: Place, vector: Place, into: Place, turned: bool) -> Call:
    """Return the call for a matrix, or its transpose, by a vector."""
    kind, (rows, columns) = matrix.form.dtype.char, matrix.form.shape
    by_rows = matrix.form.flags.c_contiguous
    order, step = (products.ROWS, columns) if by_rows else (COLUMNS, rows)
    form = products.TRANSPOSED if turned else products.PLAIN
    words = [found.gemv, order, form, rows, columns, matrix, step, vector, into]
    return Call(native.routine(("gemv", kind, found.whole), lambda: _multiplying_vector(kind, found.whole)), words)


def _multiplying_vector(kind: str, whole: str) -> Function:
    at, int32 = pointer("int64"), np.int32
    number, size = {"f": np.float32, "d": np.float64}[kind], {"i": np.int32, "l": np.int64}[whole]
    gemv = caller("", *"ii", *whole * 2, kind, "p", whole, "p", whole, kind, "p", whole)
    unit, one, zero = size(1), number(1), number(0)

    def multiply(address: Any, me: Any, members: Any) -> Any:
        w = at(address)
        rows, columns, matrix, step = size(w[3]), size(w[4]), w[5], size(w[6])
        gemv(w[0], int32(w[1]), int32(w[2]), rows, columns, one, matrix, step, w[7], unit, zero, w[8], unit)
        return 0

    return multiply


class _Numpys:
    """The addresses of NumPy's routines for a type, and the kind of their integers."""

    def __init__(self, kind: str) -> None:
        library = openblas.loaded()
        if library is None:
            raise AttributeError("NumPy multiplies by a library that is not known")
        name = "scipy_cblas_" + {"f": "s", "d": "d"}[kind]
        self.whole = "l" if hasattr(library, f"{name}gemm64_") else "i"
        self.gemm, self.gemv = (address(openblas.exported(library, name + which)) for which in ("gemm", "gemv"))


@cache
def _numpys(kind: str) -> _Numpys | None:
    """Return NumPy's routines; None where they are not as known."""
    try:
        found = _Numpys(kind)
    except AttributeError:
        return None
    return found if _agrees(found, kind) else None


def _agrees(found: _Numpys, kind: str) -> bool:
    """Try them on matrices in each order in memory, and on vectors."""
    stream = np.random.default_rng(0)
    number, size = {"f": ctypes.c_float, "d": ctypes.c_double}[kind], {"l": ctypes.c_int64, "i": ctypes.c_int32}
    short, whole, place = ctypes.c_int, size[found.whole], ctypes.c_void_p
    ends = (place, whole, place, whole, number, place, whole)
    gemm = ctypes.CFUNCTYPE(None, *[short] * 3, *[whole] * 3, number, *ends)(found.gemm)
    gemv = ctypes.CFUNCTYPE(None, *[short] * 2, *[whole] * 2, number, *ends)(found.gemv)

    def matrix(order: str, *shape: int) -> Host:
        return np.asarray(stream.normal(size=shape), dtype=kind, order=order)  # type: ignore[call-overload, no-any-return]

    into = np.empty((17, 5), dtype=kind)
    for orders in ("CC", "CF", "FC", "FF"):
        a, b = matrix(orders[0], 17, 9), matrix(orders[1], 9, 5)
        gemm(*products.arguments(a, b, *(each.ctypes.data for each in (a, b, into))))
        if not np.array_equal(into, np.dot(a, b)):
            return False
    a, x = matrix("C", 17, 9), matrix("C", 9, 1)
    gemv(products.ROWS, products.PLAIN, 17, 9, 1.0, a.ctypes.data, 9, x.ctypes.data, 1, 0.0, into.ctypes.data, 1)
    return np.array_equal(into.reshape(-1)[:17], np.dot(a, x)[:, 0])
