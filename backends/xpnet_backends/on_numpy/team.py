"""Calls that several threads share: those on which the library of the products runs them, too.

Between two products such threads wait at hand for a while, each spinning on a core. A second pool would fight them for
the cores, so there is one: :mod:`openmp` has MKL's, :mod:`workers` those of this library, which OpenBLAS is lent.
Each thread does its part of the rows, and nothing is added up across parts: the numbers are those of one thread, to
the bit.
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
"""What stands before a shared call's own words: what each thread does, how many do it, and whether one of them found
what it was given unusable."""


@cache
def _pool() -> ModuleType:
    """Return whose threads they are, once for all that is compiled."""
    return openmp if mkl.available() else workers


def size() -> int:
    """Return the number of threads; 1 where none can be had."""
    return int(_pool().size())


def min_shared_ns() -> int:
    """Return from how many ns of work on a call is shared."""
    return int(_pool().MIN_SHARED_NS)


def name() -> str:
    """Return the name of what hands work to the threads."""
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
    """Return what each thread does, as the pool calls it; one that finds something unusable says so."""
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
