"""Native calls for matrix products, by the BLAS library that NumPy itself uses or by MKL.

NumPy multiplies two matrices of one floating type by ``cblas_sgemm`` or ``cblas_dgemm`` of the OpenBLAS in its wheels,
and a matrix by a single row or column by ``gemv`` (``cblas_matrixproduct`` in NumPy's C code). They are called here as
NumPy calls them, so the numbers are NumPy's.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import blocks, gemm, mkl, native, one_row, openblas, ufunc_loops
from xpnet_backends.on_numpy.compiler import Function, address, c_function, pointer
from xpnet_backends.on_numpy.native import Location, NativeCall
from xpnet_backends.on_numpy.tracing import Host

__all__ = ["block_calls", "matmul_call", "mkl_call", "transposed_mkl_calls"]

COLUMNS = 102
"""CblasColMajor in cblas.h."""


def matmul_call(
    a: Location | None,
    b: Location | None,
    into: Location | None,
    uncompiled: set[native.Routine] | None = None,
    bfloat16: bool = False,
) -> NativeCall | None:
    """Return the call of NumPy's ``into = a @ b``; None where NumPy does more than call one BLAS routine.

    If *uncompiled* is given, nothing is compiled for it: faster routines that are missing are added to the set, and
    BLAS is called instead. *bfloat16* says that all numbers are known to be bfloat16 values.
    """
    if a is None or b is None or into is None or not mkl.are_blas_matrices(a.array, b.array):
        return None
    if not into.array.flags.c_contiguous or min(a.array.size, b.array.size) == 0:
        return None
    found = _numpy_blas(a.array.dtype.char)
    ones = [count == 1 for count in (*a.array.shape, b.array.shape[1])]
    if found is None or ones[1] or (ones[0] and ones[2]):
        return None
    if ones[0]:
        return one_row.row_call(a, b, into) or _gemv_call(found, b, a, into, transposed=True)
    if ones[2]:
        return _gemv_call(found, a, b, into, transposed=False)
    if _may_be_transposes(a, b):
        return None
    return _tiled_call(a, b, into, uncompiled, bfloat16=bfloat16) or _gemm_call(found.gemm, found.whole, a, b, into)


def _tiled_call(
    a: Location,
    b: Location,
    into: Location,
    uncompiled: set[native.Routine] | None,
    block: int | None = None,
    bfloat16: bool = False,
) -> NativeCall | None:
    """Return the call of the product in tiles, or None. Compiling it compiles the call of BLAS's routine, too.

    Products of other sizes use that one until their own tiles are compiled.
    """
    found, made = _numpy_blas(a.array.dtype.char), gemm.tiled_call(a, b, into, uncompiled, block, bfloat16)
    if found is None or made is None:
        return None
    return made._replace(words=[*made.words, _gemm_call(found.gemm, found.whole, a, b, into).routine])


def mkl_call(a: Location, b: Location, into: Location) -> NativeCall:
    """Return the call of MKL's ``into = a @ b``, of two that MKL supports."""
    return _gemm_call(address(mkl.gemm_routine(a.array.dtype.char)), "i", a, b, into)


def transposed_mkl_calls(a: Location, b: Location, into: Location, between: Location) -> list[NativeCall | None]:
    """Return the calls of MKL's ``between = b.T @ a.T``, and of the copy ``into = between.T``."""
    product = mkl_call(b.moved(b.array.T), a.moved(a.array.T), between)
    return [product, ufunc_loops.copy_call(between.moved(between.array.T), into)]


def block_calls(
    a: Location, b: Location, into: Location, uncompiled: set[native.Routine] | None = None
) -> list[NativeCall | None]:
    """Return the calls of NumPy's ``into = a @ b``, one block of rows at a time."""
    even = len(a.array) // blocks.ROWS * blocks.ROWS
    found: list[NativeCall | None] = []
    if shared := _tiled_call(_rows(a, 0, even), b, _rows(into, 0, even), uncompiled, blocks.ROWS):
        found.append(shared)
    for start in range(even if shared else 0, len(a.array), blocks.ROWS):
        found.append(
            matmul_call(_rows(a, start, start + blocks.ROWS), b, _rows(into, start, start + blocks.ROWS), uncompiled)
        )
    return found


def _rows(matrix: Location, start: int, end: int) -> Location:
    return matrix.moved(matrix.array[start:end], start * matrix.array.strides[0])


def _may_be_transposes(a: Location, b: Location) -> bool:
    """Say whether these may be a matrix and its own transpose, for which NumPy calls another routine (syrk)."""
    if a.array.shape != b.array.shape[::-1] or a.array.strides != b.array.strides[::-1]:
        return False
    return a.argument is not None or b.argument is not None or a.start == b.start


def _gemm_call(function: int, whole: str, a: Location, b: Location, into: Location) -> NativeCall:
    kind = a.array.dtype.char
    _, *forms, rows, columns, terms, _, _, a_step, _, b_step, _, _, _ = mkl.gemm_arguments(a.array, b.array, 0, 0, 0)
    words = [function, *forms, rows, columns, terms, a, a_step, b, b_step, into]
    return NativeCall(native.routine(("gemm", kind, whole), lambda: _multiplying(kind, whole)), words)


def _multiplying(kind: str, whole: str) -> Function:
    at, int32 = pointer("int64"), np.int32
    number, size = {"f": np.float32, "d": np.float64}[kind], {"i": np.int32, "l": np.int64}[whole]
    gemm = c_function("", *"iii", *whole * 3, kind, "p", whole, "p", whole, kind, "p", whole)
    order, one, zero = int32(mkl.ROWS), number(1), number(0)

    def multiply(address: Any, me: Any, members: Any) -> Any:
        w = at(address)
        rows, columns, terms = size(w[3]), size(w[4]), size(w[5])
        a, a_step, b, b_step, into = w[6], size(w[7]), w[8], size(w[9]), w[10]
        gemm(
            w[0], order, int32(w[1]), int32(w[2]), rows, columns, terms, one, a, a_step, b, b_step, zero, into, columns
        )
        return 0

    return multiply


def _gemv_call(found: _NumpyBlas, matrix: Location, vector: Location, into: Location, transposed: bool) -> NativeCall:
    """Return the call of the product of a matrix, or its transpose, and a vector (``gemv``)."""
    kind, (rows, columns) = matrix.array.dtype.char, matrix.array.shape
    by_rows = matrix.array.flags.c_contiguous
    order, step = (mkl.ROWS, columns) if by_rows else (COLUMNS, rows)
    form = mkl.TRANSPOSED if transposed else mkl.PLAIN
    words = [found.gemv, order, form, rows, columns, matrix, step, vector, into]
    return NativeCall(
        native.routine(("gemv", kind, found.whole), lambda: _multiplying_vector(kind, found.whole)), words
    )


def _multiplying_vector(kind: str, whole: str) -> Function:
    at, int32 = pointer("int64"), np.int32
    number, size = {"f": np.float32, "d": np.float64}[kind], {"i": np.int32, "l": np.int64}[whole]
    gemv = c_function("", *"ii", *whole * 2, kind, "p", whole, "p", whole, kind, "p", whole)
    unit, one, zero = size(1), number(1), number(0)

    def multiply(address: Any, me: Any, members: Any) -> Any:
        w = at(address)
        rows, columns, matrix, step = size(w[3]), size(w[4]), w[5], size(w[6])
        gemv(w[0], int32(w[1]), int32(w[2]), rows, columns, one, matrix, step, w[7], unit, zero, w[8], unit)
        return 0

    return multiply


class _NumpyBlas:
    """The addresses of NumPy's BLAS routines for a dtype, and the C type of their integers."""

    def __init__(self, kind: str) -> None:
        library = openblas.library()
        if library is None:
            raise AttributeError("NumPy multiplies by a library that is not known")
        name = "scipy_cblas_" + {"f": "s", "d": "d"}[kind]
        self.whole = "l" if hasattr(library, f"{name}gemm64_") else "i"
        self.gemm, self.gemv = (address(openblas.exported(library, name + which)) for which in ("gemm", "gemv"))


@cache
def _numpy_blas(kind: str) -> _NumpyBlas | None:
    """Return NumPy's BLAS routines; None where they are missing or do not give NumPy's numbers."""
    try:
        found = _NumpyBlas(kind)
    except AttributeError:
        return None
    return found if _agrees(found, kind) else None


def _agrees(found: _NumpyBlas, kind: str) -> bool:
    """Compare them with NumPy on matrices in each memory order, and on vectors."""
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
        gemm(*mkl.gemm_arguments(a, b, *(each.ctypes.data for each in (a, b, into))))
        if not np.array_equal(into, np.dot(a, b)):
            return False
    a, x = matrix("C", 17, 9), matrix("C", 9, 1)
    gemv(mkl.ROWS, mkl.PLAIN, 17, 9, 1.0, a.ctypes.data, 9, x.ctypes.data, 1, 0.0, into.ctypes.data, 1)
    return np.array_equal(into.reshape(-1)[:17], np.dot(a, x)[:, 0])
