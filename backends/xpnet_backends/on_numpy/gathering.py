"""Rows of a table gathered by the threads of :mod:`team`, as ``fit`` gathers the examples of a batch."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import team
from xpnet_backends.on_numpy.graph import operands
from xpnet_backends.on_numpy.tracing import Host, Node

__all__ = ["gather", "part", "suits", "table"]

BYTE = 0.1
"""ns that ``take`` needs for a byte of long rows."""

SOURCE, ORDER, INTO, COUNT, WORDS, ROWS, REFUSED = range(7)
"""What a table's integers are: three addresses, rows to gather, 4-byte words of a row, rows there are, and whether an
index was out of range."""


def suits(node: Node) -> bool:
    """Say whether a recorded operation gathers enough rows for it to be shared."""
    if node.function is not np.take or node.options != {"axis": 0} or len(operands(node)) != 2:
        return False
    data, order = (part.value for part in operands(node))
    plain = data.ndim > 1 and order.ndim == 1 and order.dtype == np.int64 and data.dtype.isnative
    long = node.value.nbytes * BYTE > team.worth() and data.dtype.kind in "fiu" and node.value[0].nbytes % 4 == 0
    return plain and long and team.size() > 1


def table(node: Node, into: Host) -> Host:
    """Return what :func:`part` reads, but for the two addresses that each call brings."""
    data = operands(node)[0].value
    words = into[0].nbytes // 4
    return np.asarray([0, 0, into.ctypes.data, len(into), words, len(data), 0], dtype=np.int64)


def gather(data: Host, order: Host, into: Host, given: Host, call: tuple[int, ...]) -> None:
    """Write ``data[order]`` into memory of the plan; what is out of range or out of order is NumPy's to judge."""
    if data.flags.c_contiguous and order.flags.c_contiguous:
        given[SOURCE], given[ORDER], given[REFUSED] = data.ctypes.data, order.ctypes.data, 0
        team.run()(*call)
        if not given[REFUSED]:
            return
    into[...] = data.take(order, axis=0)


@cache
def part() -> Any:
    """Compile what each thread does: its share of the rows."""
    import numba

    pointer, int64, uint32, carray = team.pointer(), np.int64, np.uint32, numba.carray

    def rows(data: Any, me: Any, members: Any) -> None:
        given = carray(data, (7,), int64)
        count, words = given[COUNT], given[WORDS]
        source = carray(pointer(given[SOURCE]), (given[ROWS], words), uint32)
        order = carray(pointer(given[ORDER]), (count,), int64)
        into = carray(pointer(given[INTO]), (count, words), uint32)
        for i in range(count * me // members, count * (me + 1) // members):
            row = order[i]
            if row < 0 or row >= given[ROWS]:
                given[REFUSED] = 1
            else:
                for j in range(words):
                    into[i, j] = source[row, j]

    return team.compiled(rows)
