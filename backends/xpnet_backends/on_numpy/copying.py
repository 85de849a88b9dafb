"""An array copied into another, in another type where that is wanted, as a call of a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet_backends.on_numpy.native import Call, Place, pointer, routine
from xpnet_backends.on_numpy.strides import axes

__all__ = ["call"]

KINDS = ("bool", "int32", "int64", "uint32", "float32", "float64")
"""What can be copied as it is."""

FLOATS = ("float32", "float64")
"""What all of these can be turned into, which C and NumPy do alike, as they do where every number is kept."""

LENGTH, STEP_FROM, STEP_INTO, ROWS, ROW_FROM, ROW_INTO, FROM, INTO, WORDS = range(9)


def call(source: Place | None, into: Place | None) -> Call | None:
    """Return the call of ``into[...] = source``; None where it has more than two axes or other types."""
    if source is None or into is None:
        return None
    given, wanted = source.form.dtype, into.form.dtype
    known = given.isnative and wanted.isnative and given.name in KINDS
    if not known or not (wanted.name in FLOATS or (wanted.name in KINDS and np.can_cast(given, wanted))):
        return None
    found = axes(into.form.shape, np.broadcast_to(source.form, into.form.shape), into.form)
    if found is None:
        return None
    (rows, outer), (length, inner) = found
    one = routine(("copy", given.name, wanted.name), lambda: _copying(given.type, wanted.type))
    return Call(one, [length, *inner, rows, *outer, source, into])


def _copying(given: Any, wanted: Any) -> Callable[[Any], Any]:
    import numba

    place, carray, int64 = pointer(), numba.carray, np.int64
    read, written = given().itemsize, wanted().itemsize

    def copy(address: Any) -> Any:
        words = carray(place(address), (WORDS,), int64)
        length = words[LENGTH]
        for i in range(words[ROWS]):
            source, into = words[FROM] + i * words[ROW_FROM], words[INTO] + i * words[ROW_INTO]
            if words[STEP_FROM] == read and words[STEP_INTO] == written:
                a, b = carray(place(source), (length,), given), carray(place(into), (length,), wanted)
                for j in range(length):
                    b[j] = wanted(a[j])
            else:
                for j in range(length):
                    value = carray(place(source + j * words[STEP_FROM]), (1,), given)[0]
                    carray(place(into + j * words[STEP_INTO]), (1,), wanted)[0] = wanted(value)
        return 0

    return copy
