"""Products of large matrices, and sums of long columns, by Intel's MKL, where the extra ``mkl`` has installed it.

NumPy's wheels bring OpenBLAS, whose products of middle size are a third slower on Intel's processors. On AMD's they
are the faster ones, by as much, so MKL is left alone there; ``XPNET_MKL`` in the environment, 1 or 0, decides
otherwise. MKL is called through the C interface that all BLAS libraries share. The same shapes give the same bits,
wherever the matrices lie, but other bits than OpenBLAS's: each is within n epsilon |a| |b| of the exact product, n the
number of terms of a sum (Higham 2002, section 3.5). The sums down the columns of a table, a layer's bias gradients,
are its product with a row of ones, by either library: on as many threads, and several times as fast as NumPy's sums.
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
    "available",
    "bias_gradient",
    "call",
    "choosing",
    "column_sums",
    "fit",
    "loaded",
    "loads",
    "matmul",
    "mkl_dot",
    "ones",
    "product",
    "suits",
    "sums",
    "turns",
]

VARIABLE = "XPNET_MKL"
"""What decides in the environment whether MKL is used, instead of the processor's maker."""

MIN_TERMS = 1 << 18
"""Multiplications from which MKL is asked: a product of some 5 us, of which calling a C function from Python is a
small part."""

MIN_SUMMED = 1 << 16
"""Elements of a table from which columns are summed by a product: below, a pass that does it beside other work is
faster."""

NARROW, LONGER, DEEPER = 128, 6, 12
"""Columns up to which a product of a transposed matrix, the gradient of a layer's few units, is narrow; rows of it,
and terms of its sums, by column, from which MKL takes up to a third of the time for its transpose. Measured on an
AVX-512 processor."""

ROWS, PLAIN, TRANSPOSED = 101, 111, 112
"""CblasRowMajor, CblasNoTrans and CblasTrans in cblas.h."""


COMPANIONS = "mkl_core*.dll", "mkl_intel_thread*.dll", "mkl_def*.dll", "mkl_mc*.dll", "mkl_avx*.dll"
"""What MKL looks for by name at its first product, and ends the process without: on Windows, among what is loaded, and
on the PATH, which a virtual environment's folder of libraries is not on."""


@cache
def library() -> Path | None:
    """Return MKL's file in this Python's environment, without loading it."""
    folder, pattern = ("Library/bin", "mkl_rt*.dll") if sys.platform == "win32" else ("lib", "libmkl_rt.so*")
    return max(Path(sys.prefix, folder).glob(pattern), default=None)


def available() -> bool:
    """Say whether MKL is to be used: it is there, the faster one on this processor or asked for, and can be loaded."""
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "0", "1"):
        raise BackendError(f"{VARIABLE}={asked!r} in the environment must be 1 (use MKL), 0 (do not) or empty")
    return library() is not None and (asked == "1" or (asked == "" and is_intel())) and loads()


@cache
def loads() -> bool:
    """Say whether MKL, which has to be there, can be loaded: another processor's, or half an installation, cannot."""
    try:
        loaded()
    except OSError:
        return False
    return True


@cache
def loaded() -> ctypes.CDLL:
    """Return MKL, loaded; it has to be there."""
    file = Path(str(library()))
    if sys.platform == "win32":
        for companion in (found for pattern in COMPANIONS for found in file.parent.glob(pattern)):
            ctypes.CDLL(str(companion))
    return ctypes.CDLL(str(file))


@cache
def routine(kind: str) -> Callable[..., None]:
    """Return ``cblas_sgemm`` (kind "f") or ``cblas_dgemm`` ("d")."""
    found = loaded()[{"f": "cblas_sgemm", "d": "cblas_dgemm"}[kind]]
    number = {"f": ctypes.c_float, "d": ctypes.c_double}[kind]
    whole, place = ctypes.c_int, ctypes.c_void_p
    found.restype = None
    found.argtypes = [*[whole] * 6, number, place, whole, place, whole, number, place, whole]
    return found


def fit(a: Any, b: Any) -> bool:
    """Say whether two are matrices of one floating type with a product, each contiguous or transposed."""
    if a.ndim != 2 or b.ndim != 2 or a.dtype != b.dtype or a.dtype.char not in "fd" or not a.dtype.isnative:
        return False
    return bool(a.shape[1] == b.shape[0] and a.flags.forc and b.flags.forc)


def suits(a: Any, b: Any) -> bool:
    """Say whether MKL multiplies these two: large matrices that fit."""
    return fit(a, b) and a.shape[0] * b.size >= MIN_TERMS


def turns(a: Host, b: Host) -> bool:
    """Say whether ``b.T @ a.T`` is computed instead, of two that suit, and transposed."""
    (rows, terms), columns = a.shape, b.shape[1]
    return not a.flags.c_contiguous and columns <= NARROW and rows >= LONGER * columns and terms >= DEEPER * columns


def sums(table: Any) -> bool:
    """Say whether a product sums down the columns of this: a large table of one floating type."""
    if not hasattr(table, "flags") or table.ndim != 2 or table.shape[1] < 2 or table.size < MIN_SUMMED:
        return False
    kind = table.dtype
    return kind.char in "fd" and kind.isnative and bool(table.flags.c_contiguous)


def call(a: Host, b: Host, out: Host) -> tuple[Any, ...]:
    """Return the arguments of the routine for ``out = a @ b``."""
    return arguments(a, b, *[matrix.ctypes.data for matrix in (a, b, out)])


def arguments(a: Host, b: Host, *places: Any) -> tuple[Any, ...]:
    """Return the arguments of the routine for ``a @ b`` in matrices of this form that lie at these addresses."""
    (rows, terms), columns = a.shape, b.shape[1]
    forms = [PLAIN if matrix.flags.c_contiguous else TRANSPOSED for matrix in (a, b)]
    steps = [matrix.shape[form == PLAIN] for matrix, form in zip((a, b), forms, strict=True)]
    into = (places[0], steps[0], places[1], steps[1], 0.0, places[2], columns)
    return (ROWS, *forms, rows, columns, terms, 1.0, *into)


def mkl_dot(a: Host, b: Host, out: Host) -> Host:
    """Write ``a @ b``, of two that suit, into *out*."""
    if turns(a, b):
        np.copyto(out, mkl_dot(b.T, a.T, np.empty(out.shape[::-1], dtype=out.dtype)).T)
    else:
        routine(a.dtype.char)(*call(a, b, out))
    return out


def recordable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let an array that takes notes note this function, as NumPy's functions do."""

    @wraps(function)
    def ask(*arguments: Any) -> Any:
        for argument in arguments:
            if not isinstance(argument, np.ndarray) and hasattr(argument, "__array_function__"):
                return argument.__array_function__(ask, (type(argument),), arguments, {})
        return function(*arguments)

    return ask


@recordable
def product(a: Any, b: Any) -> Any:
    """Return MKL's ``a @ b`` of two that suit."""
    return mkl_dot(a, b, np.empty((a.shape[0], b.shape[1]), dtype=a.dtype))


@lru_cache(maxsize=16)
def ones(rows: int, kind: str) -> Host:
    """Return the row of ones by which a table of so many rows is multiplied."""
    return np.ones((1, rows), dtype=kind)


@recordable
def column_sums(table: Any) -> Any:
    """Return MKL's sums down the columns of a table that suits."""
    out = np.empty(table.shape[1], dtype=table.dtype)
    routine(table.dtype.char)(*call(ones(len(table), table.dtype.char), table, out[None]))
    return out


def choosing(suits: Callable[[Any, Any], bool], product: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the Array API's ``matmul``, in which *product* multiplies the two that suit."""

    def matmul(a: Any, b: Any, /) -> Any:
        if hasattr(a, "flags") and hasattr(b, "flags") and suits(a, b):
            return product(a, b)
        return np.matmul(a, b)

    return matmul


matmul = choosing(suits, product)
"""``a @ b``, by MKL where it suits."""


def bias_gradient(xp: Any, slopes: Any) -> Any:
    """Return :func:`xpnet.nn.bias_gradient`, by a product if the table suits: it is in memory, as products read it."""
    if not sums(slopes):
        return xp.sum(slopes, axis=0)
    if available():
        return column_sums(slopes)
    return np.reshape(np.matmul(ones(slopes.shape[0], slopes.dtype.char), slopes), (-1,))
