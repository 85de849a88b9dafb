"""Native calls of NumPy's own inner loops: ufuncs, sums and maxima, copies.

A ufunc has a C function for each combination of dtypes, its inner loop, which goes over a stretch of memory
(``PyUFuncObject`` in NumPy's C API). It is called as NumPy calls it, so the numbers are NumPy's; a long function of one
array is divided among the threads of :mod:`team`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import casting, native, team
from xpnet_backends.on_numpy.compiler import Function, c_function, pointer
from xpnet_backends.on_numpy.fusing import TYPES
from xpnet_backends.on_numpy.native import Location, NativeCall
from xpnet_backends.on_numpy.strides import merged_axes

__all__ = ["NAMES", "copy_call", "reduction_calls", "ufunc_calls"]

NAMES = frozenset({"exp", "exp2", "expm1", "log", "log1p", "log2", "sin", "cos", "tanh"})
"""Functions of one array whose elements take NumPy long enough for threads to share them."""

ELEMENT = 0.5
"""An element of those takes at least so many ns (exp of float32 on an AVX-512 processor)."""

CALLED = frozenset(kind.char for kind in TYPES)
"""Dtypes whose loops are called; those of objects need Python's lock."""

LOOP, DATA, LENGTH, STEPS, ROWS, ROW_STEPS, PLACES, NOW = 0, 1, 2, 3, 6, 7, 10, 13
"""A call's words: the loop and what NumPy gives it; elements and three steps of a row; rows and the steps between
them; where three arrays begin, and where the row does that is gone through."""


class _UFunc(ctypes.Structure):
    """The beginning of ``PyUFuncObject``."""

    _fields_ = (
        ("head", ctypes.c_char * object.__basicsize__),
        *((name, ctypes.c_int) for name in ("nin", "nout", "nargs", "identity")),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        *((name, ctypes.c_int) for name in ("ntypes", "reserved")),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_char)),
    )


@cache
def _loop(function: np.ufunc, kinds: str) -> tuple[int, int] | None:
    """Return the address of a ufunc's inner loop for these dtypes, the result's last, and of the loop's data.

    None if it has none, or if its record in memory is not as expected.
    """
    if getattr(np, function.__name__, None) is not function or not set(kinds) <= CALLED:
        return None
    if function.signature is not None or (function.nin + 1, function.nout) != (len(kinds), 1):
        return None
    if function is np.power and not set(kinds) <= set("fd"):
        return None  # which raises errors of Python's from its loop
    record, count = _UFunc.from_address(id(function)), len(kinds)
    if (record.nin, record.nout, record.name) != (count - 1, 1, function.__name__.encode()):
        return None
    numbers = [bytes([np.dtype(kind).num]) for kind in kinds]
    for k in range(record.ntypes):
        if record.types[count * k : count * (k + 1)] == b"".join(numbers):
            loop = record.functions[k], record.data[k] or 0
            return loop if loop[0] and _agrees(function, kinds, loop) else None
    return None


def _agrees(function: np.ufunc, kinds: str, loop: tuple[int, int]) -> bool:
    """Compare a loop with the ufunc on some numbers."""
    numbers = np.linspace(0.1, 3.0, 100)
    given = [numbers[:: (-1) ** k].astype(kind) for k, kind in enumerate(kinds[:-1])]
    found = np.empty(len(numbers), dtype=kinds[-1])
    every = [*given, found]
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(loop[0])
    words = [*(array.ctypes.data for array in every), len(numbers), *(array.itemsize for array in every)]
    table = np.asarray(words, dtype=np.int64)
    place = table.ctypes.data
    call(place, place + 8 * len(every), place + 8 * len(every) + 8, loop[1])
    return bool(np.array_equal(found, function(*given), equal_nan=True))


def ufunc_calls(function: Any, given: Sequence[Location | None], into: Location | None) -> list[NativeCall | None]:
    """Return the calls of ``into[...] = function(*given)`` by a ufunc's loop; None among them where there is none.

    Arrays of other types than the loop's are copied first, as NumPy does.
    """
    known = [place for place in given if place is not None]
    if into is None or len(known) < len(given) or not isinstance(function, np.ufunc) or len(given) > 2:
        return [None]
    if not all(place.array.dtype.isnative for place in known) or any(_overlaps(place, into) for place in known):
        return [None]
    kinds = _kinds(function, tuple(place.array.dtype for place in known))
    loop = _loop(function, kinds) if kinds[-1:] == into.array.dtype.char else None
    if loop is None:
        return [None]
    if _is_shared(function, known, into):
        return [_shared(loop, known[0], into)]
    copies, same = [], []
    for place, kind in zip(known, kinds[:-1], strict=True):
        if place.array.dtype.char != kind:
            converted = Location.of(np.empty(place.array.shape, dtype=kind))
            copies.append(copy_call(place, converted))
            place = converted
        same.append(place)
    return [*copies, _call(loop, same, into)]


@cache
def _kinds(function: np.ufunc, given: tuple[Any, ...]) -> str:
    """Return the types that a ufunc computes in, the result's last; empty where it does not take these."""
    try:
        return "".join(kind.char for kind in function.resolve_dtypes((*given, *[None] * function.nout)))
    except (TypeError, ValueError):
        return ""


def _call(loop: tuple[int, int], given: Sequence[Location], into: Location) -> NativeCall | None:
    places, shape = [*given, into], into.array.shape
    found = merged_axes(shape, *(np.broadcast_to(place.array, shape) for place in places))
    if found is None:
        return None
    (rows, outer), (length, inner) = found
    if min(*outer, *inner) < 0:
        return None  # NumPy may turn such an axis round, and its loops round otherwise where steps are not in order
    padded = [0] * (3 - len(places))
    words = [*loop, length, *inner, *padded, rows, *outer, *padded, *places, *padded, 0, 0, 0]
    return NativeCall(native.routine("loop", _looping), words)


def copy_call(source: Location | None, into: Location | None) -> NativeCall | None:
    """Return the call of ``into[...] = source``; None where there is none for these types, or for so many axes."""
    if source is None or into is None or source.array.dtype != into.array.dtype:
        return casting.cast_call(source, into)
    loop = _loop(np.positive, 2 * into.array.dtype.char) if into.array.dtype.isnative else None
    return casting.cast_call(source, into) if loop is None else _call(loop, [source], into)


def _overlaps(place: Location, into: Location) -> bool:
    """Say whether a result would be written over what is still to be read, as NumPy would see to."""
    if place.argument is not None or into.argument is not None:
        return False  # results are never written to arguments
    same = (place.start, place.array.shape, place.array.strides) == (into.start, into.array.shape, into.array.strides)
    return not same and np.may_share_memory(place.array, into.array)


def reduction_calls(function: Any, given: Location | None, into: Location | None, axis: Any) -> list[NativeCall | None]:
    """Return the calls of ``into[...] = sum(given, axis)``, or of a maximum that is one number.

    Of other functions and orders in memory there are none.
    """
    if given is None or into is None or not given.array.flags.c_contiguous:
        return [None]
    if function is np.maximum and into.array.size == 1 and given.array.size > 2:
        return _maximum(given, into)
    if function is not np.add:
        return [None]
    if given.array.dtype != into.array.dtype or given.array.dtype.char not in "fd":
        return [None]
    gone = range(given.array.ndim) if axis is None else np.atleast_1d(axis) % max(given.array.ndim, 1)
    kept = [1 if k in gone else count for k, count in enumerate(given.array.shape)]
    total = into.moved(np.broadcast_to(into.array.reshape(kept), given.array.shape))
    loop = _loop(np.add, 3 * given.array.dtype.char)
    adding = None if loop is None else _call(loop, [total, given], total)
    return [copy_call(Location.of(zero(into.array.dtype.char)), into), adding]


def _maximum(given: Location, into: Location) -> list[NativeCall | None]:
    """Return the calls of the largest of more than two numbers, beginning with the first, as NumPy does.

    Of one step of its loop, in which no stride is seen, NumPy's could be another NaN.
    """
    numbers, kind = given.array.reshape(-1), given.array.dtype
    largest, rest = into.array.reshape(-1), numbers[1:]
    total = into.moved(np.broadcast_to(largest, rest.shape))
    loop = _loop(np.maximum, 3 * kind.char) if kind == into.array.dtype else None
    looking = None if loop is None else _call(loop, [total, given.moved(rest, kind.itemsize)], total)
    return [copy_call(given.moved(numbers[:1]), into.moved(largest)), looking]


@cache
def zero(kind: str) -> Any:
    """Return the zero that sums begin with."""
    return np.zeros((), dtype=kind)


def _looping() -> Function:
    whole, loop = pointer("int64"), c_function("", "p", "p", "p", "p")

    def looping(address: Any, me: Any, members: Any) -> Any:
        words = whole(address)
        for i in range(words[ROWS]):
            for k in range(3):
                words[NOW + k] = words[PLACES + k] + i * words[ROW_STEPS + k]
            loop(words[LOOP], address + 8 * NOW, address + 8 * LENGTH, address + 8 * STEPS, words[DATA])
        return 0

    return looping


def _is_shared(function: Any, given: Sequence[Location], into: Location) -> bool:
    """Say whether threads share a function of one array: a long one, in order, of a floating type."""
    if len(given) != 1 or function.__name__ not in NAMES:
        return False
    source, result = given[0].array, into.array
    if source.dtype != result.dtype or source.dtype.char not in "fd" or source.shape != result.shape:
        return False
    if source.size * ELEMENT <= team.min_shared_ns() or team.size() == 1 or not source.dtype.isnative:
        return False
    together = source.flags.c_contiguous and result.flags.c_contiguous
    return together and _loop(function, source.dtype.char * 2) is not None


def _shared(loop: tuple[int, int], given: Location, into: Location) -> NativeCall:
    """Return the call of a function of one array by all threads."""
    own = [0] * STRETCH * team.size()
    words = [*loop, given.array.itemsize, given.array.size, given, into, *own]
    return team.make_call("stretches", _stretches, words, shared=True)


ITEM, COUNT, GIVEN, INTO, OWN, STRETCH = 2, 3, 4, 5, 6, 5
"""A shared call's words after loop and data: bytes of an element, how many there are, two arrays, and for each thread
what it gives to the loop: two places, a count, two steps."""


def _stretches() -> Function:
    whole, loop, head = pointer("int64"), c_function("", "p", "p", "p", "p"), team.HEADER_WORDS

    def stretches(address: Any, me: Any, members: Any) -> Any:
        begin = address + 8 * head
        words = whole(begin)
        mine = begin + 8 * (OWN + STRETCH * me)
        own = whole(mine)
        first = words[COUNT] * me // members
        own[0], own[1] = words[GIVEN] + first * words[ITEM], words[INTO] + first * words[ITEM]
        own[2] = words[COUNT] * (me + 1) // members - first
        own[3] = own[4] = words[ITEM]
        loop(words[LOOP], mine, mine + 16, mine + 24, words[DATA])
        return 0

    return stretches
