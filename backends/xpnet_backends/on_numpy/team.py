"""Calls that threads share: the same threads on which the BLAS library runs its products.

Between two products those threads wait for a while, each spinning on a core, and a second pool would compete for the
cores. So there is one pool: MKL's (:mod:`openmp`), or our own (:mod:`workers`), which runs OpenBLAS's jobs, too.
Each thread does its part of the rows, and nothing is added up across parts, so the numbers are those of one thread, bit
for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any

from xpnet_backends.on_numpy import mkl, native, openmp, workers
from xpnet_backends.on_numpy.compiler import Entry, Function, pointer

__all__ = ["HEADER_WORDS", "make_call", "min_shared_ns", "name", "size"]

PART, MEMBERS, FAILED, HEADER_WORDS = range(4)
"""The header before a shared call's own words: what each thread does, how many do it, and whether one has failed."""


@cache
def _pool() -> ModuleType:
    """Return the module of the thread pool; it is chosen once, as compiled code depends on it."""
    return openmp if mkl.available() else workers


def size() -> int:
    """Return the number of threads; 1 where none can be had."""
    return int(_pool().size())


def min_shared_ns() -> int:
    """Return the ns of work from which sharing a call pays."""
    return int(_pool().MIN_SHARED_NS)


def name() -> str:
    """Return the name of the pool in a plan's source."""
    return str(_pool().NAME)


def make_call(
    key: Any, make: Callable[[], Function], words: Sequence[Any], shared: bool, on_failure: str = ""
) -> native.NativeCall:
    """Return the call of a routine, which *make* returns and *key* names, by all threads or by one for all of it."""
    if not shared:
        return native.NativeCall(native.routine(key, make), [0, 1, 0, *words], on_failure)
    part = native.entry_routine(("part", key), lambda: _part(make()))
    return native.NativeCall(native.routine("divide", _dividing), [part, size(), 0, *words], on_failure)


def _part(share: Function) -> Entry:
    """Return what each thread does, as the pool calls it; a thread that fails sets the header's flag."""
    at = pointer("int64")

    def part(address: Any, me: Any, members: Any) -> None:
        if share(address, me, members):  # type: ignore[operator]
            at(address)[FAILED] = 1

    entry: Entry = _pool().entry(part)
    return entry


def _dividing() -> Function:
    divide, at = _pool().divide(), pointer("int64")

    def dividing(address: Any, me: Any, members: Any) -> Any:
        head = at(address)
        head[FAILED] = 0
        divide(head[PART], address, head[MEMBERS])
        return head[FAILED]

    return dividing
