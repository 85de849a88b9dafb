"""Extreme inputs, for which results must be finite wherever the exact ones are."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from xpnet.parameters import Shape

if TYPE_CHECKING:
    from xpnet.arrays import Host

__all__ = ["EVERYWHERE", "LARGE", "Domain", "extremes"]

Domain = tuple[float, float]
"""The smallest and the largest input that a layer is defined for."""

EVERYWHERE: Domain = (-inf, inf)
"""The domain of a layer that is defined for all numbers."""

LARGE = 1e4
"""Inputs that nothing may overflow on: exp(710) would be infinite in float64, exp(89) in float32."""


def extremes(shape: Shape, dtype: str, largest: float, domain: Domain = EVERYWHERE) -> Iterator[tuple[str, Host]]:
    """Yield arrays of *shape* that are finite in *dtype* and far from the usual, each with what it is.

    What lies outside the *domain* is moved to the nearest number of *dtype* within.

    >>> moved = dict(extremes((1,), "float32", 1e4, (0.7, inf)))
    >>> float(moved["inputs of 0, moved into the domain (0.7, inf)"][0])
    0.7000000476837158
    """
    low, high = (_inwards(end, other, dtype) for end, other in (domain, domain[::-1]))
    for what, values in _extremes(shape, dtype, largest):
        inside = np.clip(values, low, high)
        moved = not np.array_equal(inside, values)
        yield f"{what}{f', moved into the domain {domain}' if moved else ''}", inside


def _inwards(end: float, other: float, dtype: str) -> float:
    """Return an end of a domain, rounded towards its other end to a number of *dtype*."""
    with np.errstate(over="ignore"):
        nearest, towards = np.asarray([end, other]).astype(dtype)
    outside = float(nearest) < end < other or float(nearest) > end > other
    return float(np.nextafter(nearest, towards) if outside else nearest)


def _extremes(shape: Shape, dtype: str, largest: float) -> Iterator[tuple[str, Host]]:
    finfo = np.finfo(dtype)
    signs = np.where(np.arange(int(np.prod(shape))) % 2, -1.0, 1.0).reshape(shape)
    yield "inputs of 0", np.zeros(shape)
    yield "inputs that are all equal", np.ones(shape)
    yield f"inputs of {finfo.tiny:.1e}, the smallest normal number", signs * float(finfo.tiny)
    yield f"inputs of {finfo.smallest_subnormal:.1e}, which is denormal", signs * float(finfo.smallest_subnormal)
    yield f"inputs of {largest:g} and {-largest:g}", signs * largest
    yield f"inputs of {largest:g}", np.full(shape, largest)
    yield f"inputs of {-largest:g}", np.full(shape, -largest)
