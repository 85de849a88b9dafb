"""The memory of a plan: where each value is stored, and buffers that are used again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from xpnet.aligned import aligned_empty
from xpnet_backends.on_numpy.tracing import Host

__all__ = ["BufferPool", "Store", "new_array", "total_bytes"]


class Store:
    """Where a value is stored: an array that exists now, or a local variable of the written function.

    *name* is its name in the function, *array* the array if it exists. It is *pooled* if its buffer can be used again;
    *donated_index* is the number of the donated buffer, if it is one.
    """

    __slots__ = ("array", "donated_index", "name", "pooled")

    def __init__(
        self, name: str, array: Host | None, *, pooled: bool = False, donated_index: int | None = None
    ) -> None:
        self.name, self.array, self.pooled, self.donated_index = name, array, pooled, donated_index


class BufferPool:
    """Free buffers, by size: nobody reads their values any more."""

    def __init__(self) -> None:
        self._free: dict[int, list[Host]] = {}

    def take(self, value: Host) -> Host:
        """Return an array of the shape and dtype of *value*, in a free buffer if there is one."""
        free = self._free.get(value.nbytes)
        return _view_like(free.pop(), value) if free else new_array(value)

    def give_back(self, store: Store) -> None:
        """Take a store's buffer back."""
        if store.array is not None:
            self._free.setdefault(store.array.nbytes, []).append(store.array)


def new_array(value: Host) -> Host:
    """Return a new array of the shape and dtype of *value* that begins at a cache line."""
    return aligned_empty(value.shape, value.dtype)


def total_bytes(values: Iterable[Any]) -> int:
    """Return the bytes of the arrays among *values*, counting memory that they share once."""
    found: dict[int, int] = {}
    for value in values:
        if isinstance(value, np.ndarray):
            while isinstance(value.base, np.ndarray):
                value = value.base
            found[id(value)] = value.nbytes
    return sum(found.values())


def _view_like(raw: Host, value: Host) -> Host:
    return raw.reshape(-1).view(np.uint8)[: value.nbytes].view(value.dtype).reshape(value.shape)
