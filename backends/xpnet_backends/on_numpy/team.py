"""Kernels that several threads share, on the threads that MKL keeps for its products.

Between two products those threads wait at hand for a while, each spinning on a core. A second pool would fight them
for the cores, so a kernel is handed to the same pool, through the entry that Intel's OpenMP library has for code
compiled by GCC (``GOMP_parallel``). Each thread does its part of the rows, and nothing is added up across
parts: the numbers are those of one thread, to the bit.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import products
from xpnet_backends.on_numpy.tracing import Host

__all__ = ["WORTH", "call", "count", "part", "pointer", "run", "size", "table"]

WORTH = 8_000
"""ns of work from which a kernel is shared: handing it over and waiting for all takes 1,500."""


@cache
def _library() -> ctypes.CDLL | None:
    """Return Intel's OpenMP library where MKL uses it: on Linux, with no other threading layer asked for."""
    file = Path(sys.prefix, "lib", "libiomp5.so")
    other = os.environ.get("MKL_THREADING_LAYER", "INTEL").upper() != "INTEL"
    if sys.platform != "linux" or other or not products.available() or not file.exists():
        return None
    return ctypes.CDLL(str(file))


def size() -> int:
    """Return the number of threads that MKL uses now; 1 where its threads cannot be had."""
    return 1 if _library() is None else max(1, int(products.loaded().MKL_Get_Max_Threads()))


@cache
def run() -> Callable[..., None]:
    """Return ``GOMP_parallel(part, argument, threads, flags)``, which returns when every thread has done its part."""
    pointer, count = ctypes.c_void_p, ctypes.c_uint
    function = _routines().GOMP_parallel
    function.argtypes, function.restype = [pointer, pointer, count, count], None
    found: Callable[..., None] = function
    return found


def table(rows: int, columns: int, arrays: list[tuple[str, Host]]) -> Host:
    """Return what a part reads: the whole's rows and columns, and the arrays' addresses."""
    return np.asarray([rows, columns, *(array.ctypes.data for _, array in arrays)], dtype=np.int64)


def call(part: Any, table: Host) -> tuple[int, ...]:
    """Return the arguments of :func:`run` for a part and its table."""
    return part.address, table.ctypes.data, size(), 0


def part(kernel: Callable[..., None], arrays: list[tuple[str, Host]]) -> Any:
    """Compile what each thread does, as a C function of one pointer.

    Parameters
    ----------
    kernel : callable
        ``kernel(rows, columns, *arrays)``, compiled by numba.
    arrays : list of (role, array)
        What it takes: a "vector", "table", "row value", "column value", "number", or "scratch" rows, of which each
        thread has one.

    Returns
    -------
    numba.core.ccallback.CFunc
        It takes the address of a :func:`table`.
    """
    import numba

    shapes = {"table": "(rows, columns)", "row value": "(rows,)", "column value": "(columns,)", "number": "(1,)"}
    shapes |= {"vector": "(rows,)", "scratch": "(1, columns)"}
    begins = {"table": "first * columns", "row value": "first", "vector": "first", "scratch": "me * columns"}
    names = []
    for k, (role, array) in enumerate(arrays):
        place = f"pointer(given[{k + 2}] + {begins.get(role, 0)} * {array.itemsize})"
        names.append(f"carray({place}, {shapes[role]}, {array.dtype.name})")
    lines = [
        "def part(data):",
        f"    given = carray(data, ({len(arrays) + 2},), int64)",
        "    me, team, columns = number(), members(), given[1]",
        "    first = given[0] * me // team",
        "    rows = given[0] * (me + 1) // team - first",
        f"    kernel(rows, columns, {', '.join(names)})",
    ]
    scope: dict[str, Any] = {"kernel": kernel, "carray": numba.carray, "pointer": pointer()}
    scope |= {"number": count("omp_get_thread_num"), "members": count("omp_get_num_threads")}
    scope |= {name: np.dtype(name).type for name in {"int64", *(array.dtype.name for _, array in arrays)}}
    exec(compile("\n".join(lines), "<xpnet part>", "exec"), scope)
    return numba.cfunc(numba.types.void(numba.types.voidptr))(scope["part"])


def _routines() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise RuntimeError("MKL's threads cannot be had here: team.size() is 1")
    return library


@cache
def count(name: str) -> Any:
    """Return a function of OpenMP's that takes nothing and gives an integer."""
    function = getattr(_routines(), name)
    function.argtypes, function.restype = (), ctypes.c_int
    return function


@cache
def pointer() -> Any:
    """Return a function that takes an address for a pointer, inside compiled code."""
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator, unused-ignore]
    def pointer(context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], cgutils.voidptr_t)

        return types.voidptr(types.int64), generate

    return pointer
