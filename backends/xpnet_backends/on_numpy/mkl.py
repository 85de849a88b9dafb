"""Products of large matrices, and sums of long columns, by Intel's MKL, where the extra ``mkl`` has installed it.

NumPy's wheels contain OpenBLAS, whose products of middle size are a third slower than MKL's on Intel's processors and
a third faster on AMD's. So MKL is used on Intel's only, unless ``XPNET_MKL`` in the environment, 1 or 0, decides
otherwise. It is called through CBLAS, the C interface that all BLAS libraries share. The same shapes give the same bits
at every address, but not OpenBLAS's bits: both are within n epsilon |a| |b| of the exact product, n the number of terms
of a sum (Higham 2002, section 3.5).

Sums down the columns of a table, a layer's bias gradients, are computed as its product with a row of ones, by either
library: on all its threads, and several times as fast as NumPy's sums.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache, lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.errors import BackendError
from xpnet_backends.machine import is_intel

if TYPE_CHECKING:
    from xpnet_backends.on_numpy.tracing import Host

__all__ = [
    "are_blas_matrices",
    "available",
    "bias_gradient",
    "column_sums",
    "is_loadable",
    "library",
    "matmul",
    "matmul_using",
    "mkl_dot",
    "ones",
    "product",
    "sums_by_product",
    "supports",
    "transposes_product",
]

VARIABLE = "XPNET_MKL"
"""The environment variable that decides whether MKL is used, instead of the processor's maker."""

MIN_MULTIPLICATIONS = 1 << 18
"""Smaller products are left to NumPy. This one takes some 5 us, of which calling C from Python is a small part."""

MIN_SUMMED = 1 << 16
"""Columns of smaller tables are not summed by a product: a kernel that sums them beside other work is faster."""

NARROW, LONGER, DEEPER = 128, 6, 12
"""A product of a transposed matrix, such as the weight gradient of a layer of few units, is computed as its transpose
if it has at most ``NARROW`` columns, ``LONGER`` times as many rows and ``DEEPER`` times as many terms. That takes down
to a third of the time. Measured on an AVX-512 processor."""

ROWS, PLAIN, TRANSPOSED = 101, 111, 112
"""CblasRowMajor, CblasNoTrans and CblasTrans in cblas.h."""


COMPANIONS = "mkl_core*.dll", "mkl_intel_thread*.dll", "mkl_def*.dll", "mkl_mc*.dll", "mkl_avx*.dll"
"""Libraries that MKL looks up by name at its first product, and without which it ends the process. Windows finds them
if they are loaded already or on the PATH, which does not contain a virtual environment's folder of libraries."""


@cache
def library_file() -> Path | None:
    """Return the path of MKL in this Python's environment, without loading it; None if it is not installed."""
    folder, pattern = ("Library/bin", "mkl_rt*.dll") if sys.platform == "win32" else ("lib", "libmkl_rt.so*")
    return max(Path(sys.prefix, folder).glob(pattern), default=None)


def available() -> bool:
    """Say whether to use MKL: it is installed, it is faster on this processor or requested, and it can be loaded."""
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "0", "1"):
        raise BackendError(f"{VARIABLE}={asked!r} in the environment must be 1 (use MKL), 0 (do not) or empty")
    return library_file() is not None and (asked == "1" or (asked == "" and is_intel())) and is_loadable()


@cache
def is_loadable() -> bool:
    """Say whether the installed MKL can be loaded: one for another processor, or half an installation, cannot."""
    try:
        library()
    except OSError:
        return False
    return True


@cache
def library() -> ctypes.CDLL:
    """Return MKL, which must be installed, loaded."""
    file = Path(str(library_file()))
    if sys.platform == "win32":
        for companion in (found for pattern in COMPANIONS for found in file.parent.glob(pattern)):
            ctypes.CDLL(str(companion))
    return ctypes.CDLL(str(file))


@cache
def gemm_routine(kind: str) -> Callable[..., None]:
    """Return ``cblas_sgemm`` (kind "f") or ``cblas_dgemm`` ("d")."""
    found = library()[{"f": "cblas_sgemm", "d": "cblas_dgemm"}[kind]]
    number = {"f": ctypes.c_float, "d": ctypes.c_double}[kind]
    whole, place = ctypes.c_int, ctypes.c_void_p
    found.restype = None
    found.argtypes = [*[whole] * 6, number, place, whole, place, whole, number, place, whole]
    return found


def are_blas_matrices(a: Any, b: Any) -> bool:
    """Say whether BLAS multiplies these arrays: matrices of one floating type that fit, contiguous or transposed."""
    if a.ndim != 2 or b.ndim != 2 or a.dtype != b.dtype or a.dtype.char not in "fd" or not a.dtype.isnative:
        return False
    return bool(a.shape[1] == b.shape[0] and a.flags.forc and b.flags.forc)


def supports(a: Any, b: Any) -> bool:
    """Say whether MKL multiplies these two: large matrices that BLAS accepts."""
    return are_blas_matrices(a, b) and a.shape[0] * b.size >= MIN_MULTIPLICATIONS


def transposes_product(a: Host, b: Host) -> bool:
    """Say whether ``a @ b``, of two that MKL supports, is computed as the transpose of ``b.T @ a.T``."""
    (rows, terms), columns = a.shape, b.shape[1]
    return not a.flags.c_contiguous and columns <= NARROW and rows >= LONGER * columns and terms >= DEEPER * columns


def sums_by_product(table: Any) -> bool:
    """Say whether a table's columns are summed by a product: it is large and of a floating type."""
    if not hasattr(table, "flags") or table.ndim != 2 or table.shape[1] < 2 or table.size < MIN_SUMMED:
        return False
    kind = table.dtype
    return kind.char in "fd" and kind.isnative and bool(table.flags.c_contiguous)


def gemm_arguments_of(a: Host, b: Host, out: Host) -> tuple[Any, ...]:
    """Return the arguments of ``cblas_?gemm`` for ``out = a @ b``."""
    return gemm_arguments(a, b, *[matrix.ctypes.data for matrix in (a, b, out)])


def gemm_arguments(a: Host, b: Host, *places: Any) -> tuple[Any, ...]:
    """Return the arguments of ``cblas_?gemm`` for ``a @ b`` of matrices of this layout at the addresses *places*."""
    (rows, terms), columns = a.shape, b.shape[1]
    forms = [PLAIN if matrix.flags.c_contiguous else TRANSPOSED for matrix in (a, b)]
    steps = [matrix.shape[form == PLAIN] for matrix, form in zip((a, b), forms, strict=True)]
    into = (places[0], steps[0], places[1], steps[1], 0.0, places[2], columns)
    return (ROWS, *forms, rows, columns, terms, 1.0, *into)


def mkl_dot(a: Host, b: Host, out: Host) -> Host:
    """Write ``a @ b``, of two that MKL supports, into *out*."""
    if transposes_product(a, b):
        np.copyto(out, mkl_dot(b.T, a.T, np.empty(out.shape[::-1], dtype=out.dtype)).T)
    else:
        gemm_routine(a.dtype.char)(*gemm_arguments_of(a, b, out))
    return out


def recordable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let arrays that record operations record this function, as they record NumPy's (``__array_function__``)."""

    @wraps(function)
    def ask(*arguments: Any) -> Any:
        for argument in arguments:
            if not isinstance(argument, np.ndarray) and hasattr(argument, "__array_function__"):
                return argument.__array_function__(ask, (type(argument),), arguments, {})
        return function(*arguments)

    return ask


@recordable
def product(a: Any, b: Any) -> Any:
    """Return MKL's ``a @ b`` of two that it supports."""
    return mkl_dot(a, b, np.empty((a.shape[0], b.shape[1]), dtype=a.dtype))


@lru_cache(maxsize=16)
def ones(rows: int, kind: str) -> Host:
    """Return the row of ones whose product with a table of so many rows is its column sums."""
    return np.ones((1, rows), dtype=kind)


@recordable
def column_sums(table: Any) -> Any:
    """Return MKL's column sums of a table that :func:`sums_by_product` accepts."""
    out = np.empty(table.shape[1], dtype=table.dtype)
    gemm_routine(table.dtype.char)(*gemm_arguments_of(ones(len(table), table.dtype.char), table, out[None]))
    return out


def matmul_using(supports: Callable[[Any, Any], bool], product: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the Array API's ``matmul``, which calls *product* for the pairs that *supports* accepts."""

    def matmul(a: Any, b: Any, /) -> Any:
        if hasattr(a, "flags") and hasattr(b, "flags") and supports(a, b):
            return product(a, b)
        return np.matmul(a, b)

    return matmul


matmul = matmul_using(supports, product)
"""``a @ b``, by MKL where it supports the two."""


def bias_gradient(xp: Any, slopes: Any) -> Any:
    """Return :func:`xpnet.nn.bias_gradient`, by a product where that is faster."""
    if not sums_by_product(slopes):
        return xp.sum(slopes, axis=0)
    if available():
        return column_sums(slopes)
    return np.reshape(np.matmul(ones(slopes.shape[0], slopes.dtype.char), slopes), (-1,))
