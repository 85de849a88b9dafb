"""Compiled tests of a plan's arguments: that they have the form they were recorded with, and that the last is finite.

Python takes some 3 us for these tests, where a middle network's prediction for one example takes 20.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

import numpy as np

from xpnet_backends.on_numpy import native
from xpnet_backends.on_numpy.compiler import Function, pointer
from xpnet_backends.on_numpy.native import OBJECT_HEADER, Location, NativeCall
from xpnet_backends.on_numpy.signatures import ORDER_FLAGS, memory_order
from xpnet_backends.on_numpy.tracing import Host

__all__ = ["check_calls"]

AXES, SHAPE, DTYPE, FLAGS = (OBJECT_HEADER + offset for offset in (8, 16, 40, 48))
"""Where a ``PyArrayObject`` has these fields (NumPy's C API): a 32-bit integer, two addresses, a 32-bit integer."""

TYPE, TYPE_MASK = OBJECT_HEADER + 8, 0xFFFFFF
"""Where a ``PyArray_Descr`` has ``kind``, ``char`` and ``byteorder``, a byte each."""

EXPONENTS = {"f": (4, 0x7F800000), "d": (8, 0x7FF0000000000000)}
"""By NumPy's type character: the bytes of a floating-point number, and the bits of its exponent. All of them are set in
infinity and NaN, and in no other number."""

OBJECT, OF_TYPE, ORDER, COUNT, LENGTHS = range(5)
"""Words of a test of a form: where the array object's address stands; the type's three bytes, the bits of
``ORDER_FLAGS`` that are set, the number of axes, and their lengths."""


def check_calls(arrays: Sequence[Host], objects: int) -> list[NativeCall]:
    """Return calls that fail unless arguments are like these *arrays*, and the last one finite; [] if there are none.

    The arguments have to be NumPy arrays; the addresses of the array objects stand at the address *objects*.
    """
    kind = arrays[-1].dtype.char if arrays else ""
    orders = [memory_order(array) for array in arrays]
    if kind not in EXPONENTS or not arrays[-1].dtype.isnative or not _layout_is_known():
        return []
    if not all(array.dtype.kind in "fiub" for array in arrays) or not all(type(order) is int for order in orders):
        return []
    form = native.routine("form", _testing_form)
    finite = native.routine(("finite", kind), lambda: _testing_finite(kind))
    last = Location(arrays[-1], 0, len(arrays) - 1)
    calls = [
        NativeCall(form, [objects + 8 * i, _type_of(array.dtype), order, array.ndim, *array.shape])
        for i, (array, order) in enumerate(zip(arrays, orders, strict=True))
    ]
    return [*calls, NativeCall(finite, [last, last.array.size])]


def _type_of(dtype: np.dtype[np.generic]) -> int:
    return ctypes.c_int32.from_address(id(dtype) + TYPE).value & TYPE_MASK


def _testing_form() -> Function:
    whole, half = pointer("int64"), pointer("int32")

    def differs(address, me, members):  # type: ignore[no-untyped-def]
        words = whole(address)
        array = whole(words[OBJECT])[0]
        dtype, lengths = whole(array + DTYPE)[0], whole(whole(array + SHAPE)[0])
        if half(dtype + TYPE)[0] & TYPE_MASK != words[OF_TYPE] or half(array + AXES)[0] != words[COUNT]:
            return 1
        if half(array + FLAGS)[0] & ORDER_FLAGS != words[ORDER]:
            return 1
        for axis in range(words[COUNT]):
            if lengths[axis] != words[LENGTHS + axis]:
                return 1
        return 0

    return differs


def _testing_finite(kind: str) -> Function:
    size, exponent = EXPONENTS[kind]
    whole, bits = pointer("int64"), pointer(f"int{8 * size}")

    def is_not_finite(address, me, members):  # type: ignore[no-untyped-def]
        words = whole(address)
        numbers, found = bits(words[0]), 0
        for i in range(words[1]):
            if numbers[i] & exponent == exponent:
                found = 1
        return found

    return is_not_finite


@cache
def _layout_is_known() -> bool:
    """Say whether the fields are where NumPy's C API has them."""
    whole, half = ctypes.c_int64.from_address, ctypes.c_int32.from_address
    array = np.zeros((2, 3), dtype=np.float32)
    at, dtype = id(array), array.dtype
    found = half(at + AXES).value, whole(at + DTYPE).value, half(at + FLAGS).value, whole(at + SHAPE).value
    if found[:3] != (2, id(dtype), array.flags.num) or whole(found[3] + 8).value != 3:
        return False
    return ctypes.string_at(id(dtype) + TYPE, 3).decode() == dtype.kind + dtype.char + dtype.byteorder
