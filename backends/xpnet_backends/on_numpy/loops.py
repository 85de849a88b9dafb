"""NumPy's own loops over elements, shared by the threads of :mod:`team`: exp, tanh and others that kernels leave to it.

A ufunc keeps a C function for each type, which goes over a stretch of memory (``PyUFuncObject`` in NumPy's C API).
Each thread calls that function on a stretch of its own, so the numbers are NumPy's.
"""

from __future__ import annotations

import ctypes
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import team
from xpnet_backends.on_numpy.tracing import Host

__all__ = ["NAMES", "part", "suits", "table"]

NAMES = frozenset({"exp", "exp2", "expm1", "log", "log1p", "log2", "sin", "cos", "tanh"})
"""Functions of one element that take NumPy long enough."""

ELEMENT = 0.5
"""ns that an element takes at least (exp of float32 on an AVX-512 processor)."""

WORDS = 5
"""Integers that a stretch is described by: where it is read and written, its length, and two strides."""


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
def _loop(function: np.ufunc, kind: str) -> tuple[int, int] | None:
    """Return the address of a ufunc's loop for a type, and of what the loop is given; None where it is not as known."""
    record = _UFunc.from_address(id(function))
    if (record.nin, record.nout, record.name) != (1, 1, function.__name__.encode()):
        return None
    number = np.dtype(kind).num
    for k in range(record.ntypes):
        if record.types[2 * k] == record.types[2 * k + 1] == bytes([number]):
            loop = record.functions[k], record.data[k] or 0
            return loop if loop[0] and _agrees(function, kind, loop) else None
    return None


def _agrees(function: np.ufunc, kind: str, loop: tuple[int, int]) -> bool:
    """Try a loop on some numbers."""
    given = np.linspace(0.1, 3.0, 100, dtype=kind)
    found = np.empty_like(given)
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(loop[0])
    words = np.asarray([given.ctypes.data, found.ctypes.data, given.size, given.itemsize, given.itemsize], np.int64)
    place = words.ctypes.data
    call(place, place + 16, place + 24, loop[1])
    return bool(np.array_equal(found, function(given)))


def suits(function: np.ufunc, given: Host, into: Host) -> bool:
    """Say whether threads share a function of one array: a long one, in order, of a floating type."""
    if function.__name__ not in NAMES or given.dtype != into.dtype or given.dtype.char not in "fd":
        return False
    if given.size * ELEMENT <= team.worth() or team.size() == 1 or not given.dtype.isnative:
        return False
    together = given.flags.c_contiguous and into.flags.c_contiguous and given.shape == into.shape
    return together and _loop(function, given.dtype.char) is not None


def table(function: np.ufunc, given: Host, into: Host) -> Host:
    """Return what :func:`part` reads: loop, its data, where the stretches are described, how many, and they."""
    count, size = team.size(), given.itemsize
    ends = [given.size * k // count for k in range(count + 1)]
    stretches = [
        (given.ctypes.data + size * first, into.ctypes.data + size * first, last - first, size, size)
        for first, last in pairwise(ends)
    ]
    loop = _loop(function, given.dtype.char)
    if loop is None:
        raise ValueError(f"numpy.{function.__name__} has no loop for {given.dtype}: ask suits() before")
    words = np.asarray([*loop, 0, count, *(word for stretch in stretches for word in stretch)], dtype=np.int64)
    words[2] = words.ctypes.data + 4 * words.itemsize
    return words


@cache
def part() -> Any:
    """Compile what each thread does: every so manyth stretch, as there may be fewer threads than stretches."""
    import numba

    call, int64, carray = _call(), np.int64, numba.carray

    def stretches(data: Any, me: Any, members: Any) -> None:
        given = carray(data, (4,), int64)
        for k in range(me, given[3], members):
            call(given[0], given[2] + 8 * WORDS * k, given[1])

    return team.compiled(stretches)


def _call() -> Any:
    """Return a function that calls a loop by its address, inside compiled code."""
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator, unused-ignore]
    def call(context: Any, loop: Any, stretch: Any, data: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address, place, more = arguments
            pointer = ir.IntType(8).as_pointer()
            function = ir.FunctionType(ir.VoidType(), [pointer] * 4).as_pointer()
            places = [place, *(builder.add(place, ir.Constant(place.type, offset)) for offset in (16, 24)), more]
            builder.call(builder.inttoptr(address, function), [builder.inttoptr(each, pointer) for each in places])
            return context.get_dummy_value()

        return types.none(types.int64, types.int64, types.int64), generate

    return call
