"""Run other work on the threads that MKL keeps for its products.

It is handed to them through the entry that Intel's OpenMP library has for code compiled by GCC (``GOMP_parallel``).
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import mkl
from xpnet_backends.on_numpy.compiler import Entry, Function, address, c_function

__all__ = ["MIN_SHARED_NS", "NAME", "divide", "entry", "size"]

NAME = "GOMP_parallel"
"""What hands work to the threads."""

MIN_SHARED_NS = 8_000
"""ns of work from which a kernel is shared: handing it over and waiting for all takes 1,500."""


@cache
def _library() -> ctypes.CDLL | None:
    """Return Intel's OpenMP library where MKL uses it: on Linux, with no other threading layer asked for."""
    file = Path(sys.prefix, "lib", "libiomp5.so")
    other = os.environ.get("MKL_THREADING_LAYER", "INTEL").upper() != "INTEL"
    if sys.platform != "linux" or other or not mkl.library_file() or not file.exists():
        return None
    return ctypes.CDLL(str(file))


def size() -> int:
    """Return the number of threads that MKL uses now; 1 where its threads cannot be had."""
    return 1 if _library() is None else max(1, int(mkl.library().MKL_Get_Max_Threads()))


def divide() -> Function:
    """Return ``divide(part, words, members)``, for compiled code: it returns when every thread has done its part."""
    parallel, hand_over = address(_routines().GOMP_parallel), c_function("", "p", "p", "i", "i")

    def divide(part: Any, words: Any, members: Any) -> None:
        hand_over(parallel, part, words, np.int32(members), 0)

    return divide


def entry(share: Any) -> Entry:
    """Return ``share(words, me, members)`` as a C function of the words alone."""
    number, members = address(_routines().omp_get_thread_num), address(_routines().omp_get_num_threads)
    count = c_function("i")

    def part(words: Any) -> None:
        share(words, np.int64(count(number)), np.int64(count(members)))

    return Entry(part, "l")


def _routines() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise RuntimeError("MKL's threads cannot be had here: size() is 1")
    return library
