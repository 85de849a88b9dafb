"""The signature of a call's arguments: calls with equal signatures are served by the same plan."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["memory_order", "numbers_as_arrays", "signature"]

CONTIGUOUS, ORDER_FLAGS = 3, 0x103
"""Bits of NumPy's array flags: NPY_ARRAY_C_CONTIGUOUS and NPY_ARRAY_F_CONTIGUOUS; and these with NPY_ARRAY_ALIGNED.
They are part of a signature, and so are strides where an array is not contiguous: the memory order decides what is a
view and which routine multiplies, and compiled code reads aligned arrays only."""


def signature(tree: Any, flat: list[Any]) -> Any:
    """Return a hashable key of a tree's structure, shapes, dtypes and memory orders; append its arrays to *flat*."""
    kind = type(tree)
    if kind is np.ndarray:
        flat.append(tree)
        return tree.shape, tree.dtype, memory_order(tree)
    if tree is None:
        return None
    if isinstance(tree, tuple | list):
        return kind, *[signature(item, flat) for item in tree]
    if isinstance(tree, dict):
        return kind, *[(name, signature(item, flat)) for name, item in tree.items()]
    if isinstance(tree, np.generic):
        flat.append(np.asarray(tree))
        return kind, tree.dtype, ORDER_FLAGS  # a number: its powers are not those of an array with no axes
    if isinstance(tree, np.ndarray):
        flat.append(tree)
        return kind, tree.shape, tree.dtype, memory_order(tree)
    # 1, 1.0 and True are equal but give arrays of different dtypes; 0.0 and -0.0 are equal but differ as divisors.
    return kind, tree.hex() if kind is float else tree


def numbers_as_arrays(tree: Any) -> Any:
    """Return nested tuples, lists and mappings with NumPy's numbers as arrays with no axes, as plans return them."""
    if isinstance(tree, np.generic):
        return np.asarray(tree)
    if isinstance(tree, tuple | list):
        items = [numbers_as_arrays(item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if isinstance(tree, dict):
        return {name: numbers_as_arrays(item) for name, item in tree.items()}
    return tree


def memory_order(array: np.ndarray[Any, Any]) -> Any:
    """Return a key of an array's memory order and alignment."""
    found = array.flags.num & ORDER_FLAGS
    return found if found & CONTIGUOUS else (found, array.strides)
