"""What a call's arguments have to share with an earlier call's, so that the same plan serves both."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["form", "signature"]

CONTIGUOUS, FORM = 3, 0x103
"""NPY_ARRAY_C_CONTIGUOUS and NPY_ARRAY_F_CONTIGUOUS in NumPy's flags, and these with NPY_ARRAY_ALIGNED; where neither
of the two is set, strides stand in a key. What is a view, and which routine makes a product, depends on the order in
memory; compiled code reads what is aligned."""


def signature(tree: Any, flat: list[Any]) -> Any:
    """Return a key of a tree's structure, shapes, types and orders in memory, and collect its arrays in *flat*."""
    kind = type(tree)
    if kind is np.ndarray:
        flat.append(tree)
        return tree.shape, tree.dtype, form(tree)
    if tree is None:
        return None
    if isinstance(tree, tuple | list):
        return kind, *[signature(item, flat) for item in tree]
    if isinstance(tree, dict):
        return kind, *[(name, signature(item, flat)) for name, item in tree.items()]
    if isinstance(tree, np.generic):
        flat.append(np.asarray(tree))
        return (), tree.dtype, FORM
    if isinstance(tree, np.ndarray):
        flat.append(tree)
        return kind, tree.shape, tree.dtype, form(tree)
    # 1, 1.0 and True are equal, and make other types of an array; so are 0.0 and -0.0, by which a quotient differs.
    return kind, tree.hex() if kind is float else tree


def form(array: np.ndarray[Any, Any]) -> Any:
    """Return the order of an array in memory, and whether its numbers lie where their type asks for."""
    found = array.flags.num & FORM
    return found if found & CONTIGUOUS else (found, array.strides)
