"""Native calls that gather rows of a table (``take``), as ``fit`` gathers the examples of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet_backends.on_numpy import team
from xpnet_backends.on_numpy.compiler import Function, pointer
from xpnet_backends.on_numpy.native import Location, NativeCall
from xpnet_backends.on_numpy.tracing import Node

__all__ = ["gather_call", "supports"]

BYTE = 0.1
"""ns a byte of long rows."""

PAIR = 2
"""Rows of one or two 4-byte units (a label, a point in a plane) are copied without an inner loop, which is faster."""

SOURCE, ORDER, INTO, COUNT, UNITS, ROWS = range(6)
"""A call's words: three addresses, rows to gather, 4-byte units of a row, rows there are."""


def supports(node: Node) -> bool:
    """Say whether a recorded operation gathers rows of a known form, by integers."""
    if node.function is not np.take or node.options != {"axis": 0} or len(node.operands) != 2:
        return False
    data, order = (part.value for part in node.operands)
    if data.ndim < 1 or order.ndim != 1 or order.dtype != np.int64 or not len(data) or not len(order):
        return False
    plain = data.dtype.kind in "fiu" and data.dtype.isnative and data.dtype.itemsize in (4, 8)
    return bool(plain and data.flags.c_contiguous and order.flags.c_contiguous)


def gather_call(data: Location, order: Location, into: Location, on_failure: str) -> NativeCall:
    """Return the call of ``into[...] = data[order]``; an index that is out of range makes it fail."""
    count, rows = len(into.array), len(data.array)
    words = [data, order, into, count, data.array[0].nbytes // 4, rows]
    shared = into.array.nbytes * BYTE > team.min_shared_ns() and team.size() > 1
    return team.make_call("gather", _gathering, words, shared, on_failure)


def _gathering() -> Function:
    whole, unit, head = pointer("int64"), pointer("uint32"), team.HEADER_WORDS

    def gather(address: Any, me: Any, members: Any) -> Any:
        words = whole(address + 8 * head)
        source, order, into = unit(words[SOURCE]), whole(words[ORDER]), unit(words[INTO])
        count, units, rows = words[COUNT], words[UNITS], words[ROWS]
        failed = 0
        for i in range(count * me // members, count * (me + 1) // members):
            row = order[i]
            if row < 0:
                row += rows
            if row < 0 or row >= rows:
                failed = 1
            elif units == 1:
                into[i] = source[row]
            elif units == PAIR:
                into[i * PAIR], into[i * PAIR + 1] = source[row * PAIR], source[row * PAIR + 1]
            else:
                for j in range(units):
                    into[i * units + j] = source[row * units + j]
        return failed

    return gather
