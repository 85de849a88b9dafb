"""Host memory that begins at a cache line: what vector units read fastest, and what JAX takes over as it lies."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

__all__ = ["aligned_copy", "aligned_empty"]

ALIGNMENT = 64
"""Bytes of a cache line, and of the alignment that XLA asks of memory on a CPU."""


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """Return a new array with nothing written to it yet, in C order."""
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    found: np.ndarray[Any, Any] = raw[start : start + size].view(dtype).reshape(shape)
    return found


def aligned_copy(values: np.ndarray[Any, Any], dtype: Any) -> np.ndarray[Any, Any]:
    """Return a copy in C order and of another type."""
    copied = aligned_empty(values.shape, dtype)
    np.copyto(copied, values, casting="unsafe")
    return copied
