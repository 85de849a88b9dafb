"""Products of numbers of bfloat16, which stand in float32: named, so that a plan may compute them in pairs of terms.

The numbers are those of NumPy's product in either case, see :mod:`pairs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet_backends.on_numpy.blocks import suits
from xpnet_backends.on_numpy.products import fit, recordable

__all__ = ["product", "rounded_product"]


def rounded_product(xp: Any, a: Any, b: Any) -> Any:
    """Return :func:`xpnet.nn.rounded_product`: a tall one in blocks, as others are."""
    named = hasattr(a, "flags") and hasattr(b, "flags") and fit(a, b) and not suits(a, b)
    return product(a, b) if named else xp.matmul(a, b)


@recordable
def product(a: Any, b: Any) -> Any:
    """Return ``a @ b`` of two that fit."""
    return np.matmul(a, b)
