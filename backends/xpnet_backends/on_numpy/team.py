"""Calls that several threads share: those that the library of the products keeps for itself.

Between two products those threads wait at hand for a while, each spinning on a core. A second pool would fight them
for the cores, so work is handed to the same pool: :mod:`openmp` has MKL's, :mod:`openblas` that of NumPy's wheels.
Each thread does its part of the rows, and nothing is added up across parts: the numbers are those of one thread, to
the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import native, openblas, openmp, products

__all__ = ["FAILED", "HEAD", "call", "name", "size", "worth"]

PART, MEMBERS, FAILED, HEAD = range(4)
"""What stands before a shared call's own words: what each thread does, how many do it, and whether one of them found
what it was given unusable."""

Share = Callable[[Any, Any, Any], None]
"""``share(address, me, members)``: what each thread does by its number, given where the words are."""


@cache
def _pool() -> ModuleType:
    """Return whose threads they are, once for all that is compiled."""
    return openmp if products.available() else openblas


def size() -> int:
    """Return the number of threads; 1 where none can be had."""
    return int(_pool().size())


def worth() -> int:
    """Return from how many ns of work on a call is shared."""
    return int(_pool().WORTH)


def name() -> str:
    """Return the name of what hands work to the threads."""
    return str(_pool().NAME)


def call(key: Any, make: Callable[[], Share], words: Sequence[Any], shared: bool, otherwise: str = "") -> native.Call:
    """Return the call of a share, which *make* returns and *key* names, by all threads or by one for all of it."""
    if not shared:
        alone = native.routine(("alone", key), lambda: _alone(make()))
        return native.Call(alone, [0, 1, 0, *words], otherwise)
    part = native.part(("part", key), lambda: _pool().compiled(_jitted(make())))
    return native.Call(native.routine("divide", _dividing), [part, size(), 0, *words], otherwise)


def _jitted(share: Share) -> Any:
    import numba

    return numba.njit(error_model="numpy")(share)


def _alone(share: Share) -> Callable[[Any], Any]:
    import numba

    share, pointer, carray, int64 = _jitted(share), native.pointer(), numba.carray, np.int64

    def alone(address: Any) -> Any:
        head = carray(pointer(address), (HEAD,), int64)
        head[FAILED] = 0
        share(address, 0, 1)
        return head[FAILED]

    return alone


def _dividing() -> Callable[[Any], Any]:
    import numba

    divide, pointer, carray, int64 = _pool().divide(), native.pointer(), numba.carray, np.int64

    def dividing(address: Any) -> Any:
        head = carray(pointer(address), (HEAD,), int64)
        head[FAILED] = 0
        divide(head[PART], address, head[MEMBERS])
        return head[FAILED]

    return dividing
