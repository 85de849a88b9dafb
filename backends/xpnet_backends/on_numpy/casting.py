"""Native calls that copy an array to one of another dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet_backends.on_numpy.compiler import Function, pointer
from xpnet_backends.on_numpy.fusing import FLOATS, TYPES
from xpnet_backends.on_numpy.native import Location, NativeCall, routine
from xpnet_backends.on_numpy.strides import merged_axes

__all__ = ["cast_call"]

LENGTH, STEP_FROM, STEP_INTO, ROWS, ROW_FROM, ROW_INTO, FROM, INTO = range(8)


def cast_call(source: Location | None, into: Location | None) -> NativeCall | None:
    """Return the call of ``into[...] = source``; None where it has more than two axes or other types.

    Into floating types, and where every number is kept, C and NumPy convert alike.
    """
    if source is None or into is None:
        return None
    given, wanted = source.array.dtype, into.array.dtype
    if given not in TYPES or not (wanted in FLOATS or (wanted in TYPES and np.can_cast(given, wanted))):
        return None
    found = merged_axes(into.array.shape, np.broadcast_to(source.array, into.array.shape), into.array)
    if found is None:
        return None
    (rows, outer), (length, inner) = found
    one = routine(("copy", given.name, wanted.name), lambda: _copying(given.name, wanted.name))
    return NativeCall(one, [length, *inner, rows, *outer, source, into])


def _copying(given: str, wanted: str) -> Function:
    whole, a, b = pointer("int64"), pointer(given), pointer(wanted)
    number, truth = np.dtype(wanted).type, given == "bool"

    def copy(address: Any, me: Any, members: Any) -> Any:
        words = whole(address)
        source, into = words[FROM], words[INTO]
        for i in range(words[ROWS]):
            for j in range(words[LENGTH]):
                value = a(source + i * words[ROW_FROM] + j * words[STEP_FROM])[0]
                b(into + i * words[ROW_INTO] + j * words[STEP_INTO])[0] = number(value != 0 if truth else value)
        return 0

    return copy
