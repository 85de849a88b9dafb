"""Merge the axes of arrays in memory to one loop, or to two nested ones."""

from __future__ import annotations

from xpnet_backends.on_numpy.tracing import Host

__all__ = ["merged_axes"]

Axis = tuple[int, list[int]]
"""Elements along it, and the bytes from one to the next in each array."""


def merged_axes(shape: tuple[int, ...], *arrays: Host) -> tuple[Axis, Axis] | None:
    """Return the outer and the inner axis of arrays of this shape, merged where memory allows; None if there are more.

    >>> import numpy as np
    >>> table, bias = np.zeros((10, 4)), np.broadcast_to(np.zeros(4), (10, 4))
    >>> merged_axes((10, 4), table, table)
    ((1, [0, 0]), (40, [8, 8]))
    >>> merged_axes((10, 4), table, bias)
    ((10, [32, 0]), (4, [8, 8]))
    """
    found: list[Axis] = []
    for k, count in enumerate(shape):
        if count == 1:
            continue
        steps = [array.strides[k] for array in arrays]
        if found and all(outer == count * inner for outer, inner in zip(found[-1][1], steps, strict=True)):
            found[-1] = found[-1][0] * count, steps
        else:
            found.append((count, steps))
    still = [0] * len(arrays)
    padded = [(1, still)] * (2 - len(found)) + found
    return (padded[0], padded[1]) if len(padded) == 2 else None
