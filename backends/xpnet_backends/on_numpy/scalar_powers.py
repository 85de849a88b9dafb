"""Native calls of C's ``pow``, by which NumPy computes a power of two numbers.

Powers of arrays, of those with no axes, too, it computes by loops of its own, and their last bits differ.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from xpnet_backends.on_numpy.compiler import Function, address, c_function, pointer
from xpnet_backends.on_numpy.native import Location, NativeCall, routine

__all__ = ["power_call"]

C_NAMES = {"float32": "powf", "float64": "pow"}
"""C's functions, by the type of their numbers."""


def power_call(base: Location | None, exponent: Location | None, into: Location | None) -> NativeCall | None:
    """Return the call of ``into[...] = base**exponent`` for two numbers of one type; None where there is none."""
    if base is None or exponent is None or into is None:
        return None
    kind = into.array.dtype
    place = _address(kind.name) if base.array.dtype == exponent.array.dtype == kind and kind.isnative else 0
    if not place:
        return None
    return NativeCall(routine(("power", kind.name), lambda: _powering(kind.name, place)), [base, exponent, into])


@cache
def _address(name: str) -> int:
    """Return the address of C's function for a type; 0 if there is none that gives what NumPy's numbers give."""
    if name not in C_NAMES:
        return 0
    number = np.dtype(name).type
    try:
        power = getattr(ctypes.CDLL(None), C_NAMES[name])
    except (AttributeError, OSError, TypeError):  # Windows has no library of the process itself
        return 0
    kind = ctypes.c_float if name == "float32" else ctypes.c_double
    call = ctypes.CFUNCTYPE(kind, kind, kind)(address(power))
    bases, exponents = np.linspace(0.1, 3.0, 100).astype(name), np.linspace(3.0, -3.0, 100).astype(name)
    agrees = all(number(call(a, b)) == a**b for a, b in zip(bases, exponents, strict=True))
    return address(power) if agrees else 0


def _powering(name: str, place: int) -> Function:
    whole, numbers = pointer("int64"), pointer(name)
    letter = "f" if name == "float32" else "d"
    power = c_function(letter, letter, letter)

    def powering(address: Any, me: Any, members: Any) -> Any:
        words = whole(address)
        numbers(words[2])[0] = power(place, numbers(words[0])[0], numbers(words[1])[0])
        return 0

    return powering
