"""exp of float32 inside a kernel, bit for bit as NumPy's on processors with AVX2 or AVX-512.

There NumPy computes exp(x) = 2^k P(r) / Q(r), with k the integer nearest to x log2 e, r = x - k ln 2 subtracted in two
parts, and P and Q the polynomials of degrees 5 and 2 below, each step fused or rounded as here. NumPy's own exp is a
pass over memory. In a kernel an element takes half of that time, and the operations around it need no passes of their
own. On other processors NumPy has another exp: :func:`agrees` finds out by comparing, and kernels then leave exp to
NumPy.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from xpnet_backends.on_numpy.compiler import Entry, compile_functions, float_of, fma, pointer

__all__ = ["agrees", "exp", "filled"]

F = np.float32
LOG2E, ROUND = F(1.44269504), F(1.5 * 2**23)  # adding this rounds to an integer
LN2_HIGH, LN2_LOW = F(0.693145752), F(1.42860677e-6)
P0, P1, P2 = F(0.9999999999980870), F(0.7257664613233124), F(0.2473615434895521)
P3, P4, P5 = F(0.05114512081637298), F(0.006757896990527505), F(0.0005082762527590694)
Q0, Q1, Q2 = F(1.0), F(-0.2742335390411667), F(0.02159509375685830)
LARGEST, SMALLEST = F(88.7228394), F(-103.972084)
"""Beyond these exp is infinite, or zero."""

STEP = 65_537
"""One of so many float32 bit patterns is compared."""


def exp(x: Any) -> Any:
    """Return exp of one float32, in :mod:`compiler`'s language."""
    nearest = x * LOG2E + ROUND - ROUND
    r = fma(-nearest, LN2_LOW, fma(-nearest, LN2_HIGH, x))
    above = fma(fma(fma(fma(fma(P5, r, P4), r, P3), r, P2), r, P1), r, P0)
    below = fma(fma(Q2, r, Q1), r, Q0)
    k = np.int32(nearest)
    half = k >> 1  # 2^k may be no number of its own: two factors are
    y = above / below * float_of((half + 127) << 23) * float_of((k - half + 127) << 23)
    y = F(np.inf) if x > LARGEST else y
    y = F(0.0) if x < SMALLEST else y
    return F(np.nan) if x != x else y


@cache
def agrees() -> bool:
    """Compare it with NumPy's on one number of every :data:`STEP`."""
    given = np.arange(0, 2**32, STEP, dtype=np.uint32).view(np.float32)
    try:
        found = filled(given)
    except Exception:  # kernels do without it
        return False
    with np.errstate(all="ignore"):
        return np.array_equal(found, np.exp(given), equal_nan=True)


def filled(given: Any) -> Any:
    """Return the exp of every number of an array, by a loop of its own."""
    found = np.empty_like(given)
    _loop()(given.ctypes.data, found.ctypes.data, given.size)
    return found


@cache
def _loop() -> Callable[[int, int, int], None]:
    at = pointer("float32")

    def fill(given: Any, found: Any, count: Any) -> None:
        source, into = at(given), at(found)
        for i in range(count):
            into[i] = exp(source[i])

    (place,) = compile_functions(Entry(fill))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(place)
