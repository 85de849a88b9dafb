"""Products of bfloat16 values held in float32 arrays.

They have a function of their own, by which a plan recognises them in the record and may add their terms in pairs. The
numbers are those of NumPy's product in either case, see :mod:`bfloat16_pairs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet_backends.on_numpy.blocks import supports
from xpnet_backends.on_numpy.mkl import are_blas_matrices, recordable

__all__ = ["product", "rounded_product"]


def rounded_product(xp: Any, a: Any, b: Any) -> Any:
    """Return :func:`xpnet.nn.rounded_product`: a tall one in blocks, as others are."""
    named = hasattr(a, "flags") and hasattr(b, "flags") and are_blas_matrices(a, b) and not supports(a, b)
    return product(a, b) if named else xp.matmul(a, b)


@recordable
def product(a: Any, b: Any) -> Any:
    """Return ``a @ b`` of two that BLAS accepts."""
    return np.matmul(a, b)
