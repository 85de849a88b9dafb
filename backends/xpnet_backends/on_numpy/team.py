"""Kernels that several threads share: those that the library of the products keeps for itself.

Between two products those threads wait at hand for a while, each spinning on a core. A second pool would fight them
for the cores, so a kernel is handed to the same pool: :mod:`openmp` has MKL's, :mod:`openblas` that of NumPy's
wheels. Each thread does its part of the rows, and nothing is added up across parts: the numbers are those of one
thread, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import openblas, openmp, products
from xpnet_backends.on_numpy.tracing import Host

__all__ = ["call", "compiled", "part", "pointer", "run", "size", "table", "worth"]


@cache
def _pool() -> ModuleType:
    """Return whose threads they are, once for all that is compiled."""
    return openmp if products.available() else openblas


def size() -> int:
    """Return the number of threads; 1 where none can be had."""
    return int(_pool().size())


def worth() -> int:
    """Return from how many ns of work on a kernel is shared."""
    return int(_pool().WORTH)


def run() -> Callable[..., None]:
    """Return the function that has every thread do its part, and waits for all."""
    found: Callable[..., None] = _pool().run()
    return found


def call(part: Any, table: Host) -> tuple[int, ...]:
    """Return the arguments of :func:`run` for a part and its table."""
    found: tuple[int, ...] = _pool().arguments(part.address, table.ctypes.data, size())
    return found


def compiled(share: Callable[[Any, Any, Any], None]) -> Any:
    """Compile ``share(table, me, members)``, what each thread does by its number, as a C function for the pool."""
    import numba

    return _pool().compiled(numba.njit(error_model="numpy")(share))


def table(rows: int, columns: int, arrays: list[tuple[str, Host]]) -> Host:
    """Return what a part reads: the whole's rows and columns, and the arrays' addresses."""
    return np.asarray([rows, columns, *(array.ctypes.data for _, array in arrays)], dtype=np.int64)


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
        What :func:`compiled` makes of a share of the rows.
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
        "def share(data, me, members):",
        f"    given = carray(data, ({len(arrays) + 2},), int64)",
        "    columns = given[1]",
        "    first = given[0] * me // members",
        "    rows = given[0] * (me + 1) // members - first",
        f"    kernel(rows, columns, {', '.join(names)})",
    ]
    scope: dict[str, Any] = {"kernel": kernel, "carray": numba.carray, "pointer": pointer()}
    scope |= {name: np.dtype(name).type for name in {"int64", *(array.dtype.name for _, array in arrays)}}
    exec(compile("\n".join(lines), "<xpnet part>", "exec"), scope)
    return compiled(scope["share"])


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
