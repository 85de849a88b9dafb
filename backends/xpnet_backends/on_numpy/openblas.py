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

from xpnet_backends.on_numpy.compiler import Entry, Function, address, caller

__all__ = ["NAME", "WORTH", "core", "divide", "entry", "exported", "hides", "loaded", "size"]

NAME = "blas_level1_thread"
"""What hands work to the threads."""

WORTH = 25_000
"""ns of work from which a kernel is shared. Handing it over takes 2,500; from 8,000 on, small networks lost by it."""

TRIED = (27, 29, 30, 31)
"""The releases 0.3.n whose function takes these arguments; NumPy 2.1 to 2.4 bring them."""

SINGLE, BYTES = 2, 4
"""What ``common.h`` calls float32, and its bytes: the function counts in elements of one type."""

SCALAR = np.zeros(1, np.float32)
"""What the function reads its scalar from, which is of no use here."""


@cache
def loaded() -> ctypes.CDLL | None:
    """Return the OpenBLAS that NumPy has loaded, on Linux; None where NumPy multiplies by something else."""
    files = [*Path(np.__file__).parent.parent.glob("numpy.libs/libscipy_openblas*.so")]
    if sys.platform != "linux" or len(files) != 1:
        return None
    try:
        return ctypes.CDLL(str(files[0]), mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return None


@cache
def _library() -> ctypes.CDLL | None:
    """Return it if it is a release that was tried, with threads of its own."""
    library = loaded()
    if library is None:
        return None
    try:
        describe = exported(library, "scipy_openblas_get_config")
        describe.restype = ctypes.c_char_p
        told = describe().decode()
        known = re.match(r"OpenBLAS 0\.3\.(\d+)", told)
        suits = known is not None and int(known[1]) in TRIED and "OPENMP" not in told
        return library if suits and hasattr(library, "blas_level1_thread") else None
    except AttributeError:
        return None


def exported(library: ctypes.CDLL, name: str) -> Any:
    """Return a function, whose name says whether the library's integers have 64 bits."""
    return getattr(library, f"{name}64_", None) or getattr(library, name)


@cache
def core() -> str:
    """Return what OpenBLAS calls the processor, by which it chooses its routines; empty where that is not known."""
    library = _library()
    if library is None:
        return ""
    name = exported(library, "scipy_openblas_get_corename")
    name.restype = ctypes.c_char_p
    return str(name().decode())


def hides() -> bool:
    """Say whether NumPy has an OpenBLAS whose threads cannot be had, as that of NumPy 2.5 is."""
    return loaded() is not None and _library() is None


def size() -> int:
    """Return the number of threads that OpenBLAS uses now; 1 where its threads cannot be had."""
    return 1 if _library() is None else int(_threads()())


def divide() -> Function:
    """Return ``divide(part, words, members)``, for compiled code, on the threads that there are if they are fewer.

    What is called is ``blas_level1_thread(type, m, n, k, scalar, a, lda, b, ldb, c, ldc, part, threads)``. It divides
    the numbers below m among threads and returns when each has called *part* with how many are its own, and with the
    addresses of its elements in three arrays: of b, whose address is 0, the first number's.
    """
    there, level1, scalar = address(_threads()), address(_found().blas_level1_thread), SCALAR.ctypes.data
    count, divide_numbers = caller("i"), caller("", "i", *"lll", "p", *"plplpl", "p", "i")

    def divide(part: Any, words: Any, members: Any) -> None:
        threads = np.int64(count(there))
        now = members if members < threads else threads  # a job for a thread that is not there would never be done
        few = np.int32(now)
        divide_numbers(level1, SINGLE, now, now, 0, scalar, words, 0, 0, 1, 0, 0, part, few)

    return divide


def entry(share: Any) -> Entry:
    """Return ``share(words, me, members)`` as a C function of what OpenBLAS gives its own operations."""

    def part(
        m: Any, n: Any, k: Any, scalar: Any, a: Any, lda: Any, b: Any, ldb: Any, c: Any, ldc: Any, buffer: Any
    ) -> None:
        for i in range(m):
            share(a, b // BYTES + i, n)

    return Entry(part, "lllflllllll")  # addresses are numbers here


def _found() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise RuntimeError("OpenBLAS's threads cannot be had here: size() is 1")
    return library


@cache
def _threads() -> Any:
    """Return the function that tells the number of threads."""
    function = exported(_found(), "scipy_openblas_get_num_threads")
    function.argtypes = ()
    return function
