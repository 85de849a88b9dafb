"""The threads that MKL keeps for its products, for other work.

Code is handed to them through the entry that Intel's OpenMP library has for code compiled by GCC (``GOMP_parallel``).
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from xpnet_backends.on_numpy import native, products

__all__ = ["NAME", "WORTH", "compiled", "divide", "size"]

NAME = "GOMP_parallel"
"""What hands work to the threads."""

WORTH = 8_000
"""ns of work from which a kernel is shared: handing it over and waiting for all takes 1,500."""


@cache
def _library() -> ctypes.CDLL | None:
    """Return Intel's OpenMP library where MKL uses it: on Linux, with no other threading layer asked for."""
    file = Path(sys.prefix, "lib", "libiomp5.so")
    other = os.environ.get("MKL_THREADING_LAYER", "INTEL").upper() != "INTEL"
    if sys.platform != "linux" or other or not products.library() or not file.exists():
        return None
    return ctypes.CDLL(str(file))


def size() -> int:
    """Return the number of threads that MKL uses now; 1 where its threads cannot be had."""
    return 1 if _library() is None else max(1, int(products.loaded().MKL_Get_Max_Threads()))


def divide() -> Any:
    """Return ``divide(part, words, members)``, for compiled code: it returns when every thread has done its part."""
    import numba

    place = native.pointer("void")
    function = _routines().GOMP_parallel
    function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None

    def divide(part: Any, words: Any, members: Any) -> None:
        function(place(part), place(words), members, 0)

    return numba.njit(divide)


def compiled(share: Any) -> Any:
    """Compile ``share(words, me, members)`` as a C function of the words alone."""
    import numba

    number, members = _count("omp_get_thread_num"), _count("omp_get_num_threads")

    def part(words: Any) -> None:
        share(words, number(), members())

    return numba.cfunc(numba.types.void(numba.int64), error_model="numpy")(part)


def _routines() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise RuntimeError("MKL's threads cannot be had here: size() is 1")
    return library


def _count(name: str) -> Any:
    """Return a function of OpenMP's that takes nothing and gives an integer."""
    function = getattr(_routines(), name)
    function.argtypes, function.restype = (), ctypes.c_int
    return function
