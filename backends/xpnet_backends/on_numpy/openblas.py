"""The threads that the OpenBLAS in NumPy's wheels keeps for its products, for other work.

They are reached through ``blas_level1_thread``, which divides OpenBLAS's own operations on vectors among them. It is
exported, but no part of OpenBLAS's interface; so it is called in the releases alone that it was tried with.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["WORTH", "arguments", "compiled", "run", "size"]

WORTH = 25_000
"""ns of work from which a kernel is shared. Handing it over takes 2,500; from 8,000 on, small networks lost by it."""

TRIED = (27, 29, 30, 31)
"""The releases 0.3.n whose function takes these arguments; NumPy 2.1 to 2.4 bring them."""

SINGLE, BYTES = 2, 4
"""What ``common.h`` calls float32, and its bytes: the function counts in elements of one type."""

SCALAR = np.zeros(1, np.float32)
"""What the function reads its scalar from, which is of no use here."""


@cache
def _library() -> ctypes.CDLL | None:
    """Return the OpenBLAS that NumPy has loaded: on Linux, a release that was tried, with threads of its own."""
    files = [*Path(np.__file__).parent.parent.glob("numpy.libs/libscipy_openblas*.so")]
    if sys.platform != "linux" or len(files) != 1:
        return None
    try:
        library = ctypes.CDLL(str(files[0]), mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        describe = _exported(library, "scipy_openblas_get_config")
        describe.restype = ctypes.c_char_p
        told = describe().decode()
        known = re.match(r"OpenBLAS 0\.3\.(\d+)", told)
        suits = known is not None and int(known[1]) in TRIED and "OPENMP" not in told
        return library if suits and hasattr(library, "blas_level1_thread") else None
    except (OSError, AttributeError):  # NumPy multiplies by something else
        return None


def _exported(library: ctypes.CDLL, name: str) -> Any:
    """Return a function, whose name says whether the library's integers have 64 bits."""
    return getattr(library, f"{name}64_", None) or getattr(library, name)


def size() -> int:
    """Return the number of threads that OpenBLAS uses now; 1 where its threads cannot be had."""
    return 1 if _library() is None else int(_threads()())


@cache
def run() -> Any:
    """Return a function that does a part on so many threads, or on those that there are now, if they are fewer.

    What is called is ``blas_level1_thread(type, m, n, k, scalar, a, lda, b, ldb, c, ldc, part, threads)``. It divides
    the numbers below m among threads and returns when each has called *part* with how many are its own, and with the
    addresses of its elements in three arrays: of b, whose address is 0, the first number's.
    """
    library, threads, scalar = _found(), _threads(), SCALAR.ctypes.data
    count, place = ctypes.c_long, ctypes.c_void_p
    divide = library.blas_level1_thread
    divide.argtypes = (ctypes.c_int, *[count] * 3, place, *(place, count) * 3, place, ctypes.c_int)

    def blas_level1_thread(part: int, table: int, members: int) -> None:
        now = min(members, threads())  # a job for a thread that is not there would never be done
        divide(SINGLE, now, now, 0, scalar, table, 0, 0, 1, 0, 0, part, now)

    return blas_level1_thread


def arguments(part: int, table: int, members: int) -> tuple[int, ...]:
    """Return the arguments of :func:`run` for two addresses."""
    return part, table, members


def compiled(share: Any) -> Any:
    """Compile ``share(table, me, members)`` as a C function of what OpenBLAS gives its own operations."""
    import numba
    from numba.core import types

    whole, place = types.int64, types.voidptr

    def part(
        m: Any, n: Any, k: Any, scalar: Any, a: Any, lda: Any, b: Any, ldb: Any, c: Any, ldc: Any, buffer: Any
    ) -> None:
        for i in range(m):
            share(a, b // BYTES + i, n)

    operands = [place, whole, whole, whole, place, whole]  # b is taken for the number that it stands for
    return numba.cfunc(types.void(whole, whole, whole, types.float32, *operands, place))(part)


def _found() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise RuntimeError("OpenBLAS's threads cannot be had here: size() is 1")
    return library


@cache
def _threads() -> Any:
    """Return the function that tells the number of threads."""
    return _exported(_found(), "scipy_openblas_get_num_threads")
