"""Allocate host memory aligned to cache lines, which vector units read fastest and JAX can use without a copy."""

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
    raw = np.empty(prod(shape) * dtype.itemsize + ALIGNMENT, dtype=np.uint8)
    return np.ndarray(shape, dtype, buffer=raw, offset=-raw.ctypes.data % ALIGNMENT)


def aligned_copy(values: np.ndarray[Any, Any], dtype: Any) -> np.ndarray[Any, Any]:
    """Return a copy in C order and of this type."""
    copied = aligned_empty(values.shape, dtype)
    np.copyto(copied, values, casting="unsafe")
    return copied
