"""Numeric gradients by central differences, and how close they are to the exact ones.

(f(x + h) - f(x - h)) / 2h has an error of h² f'''/6 from truncation and of about epsilon f / h from rounding;
:data:`STEP` makes the two alike, some 1e-10 where values are of the order of 1, so :data:`TOLERANCE` leaves three
decimal places of room and no mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite, pi

import numpy as np

from xpnet.arrays import Host
from xpnet.testing.comparing import check_close
from xpnet.testing.extremes import Domain

__all__ = ["STEP", "TOLERANCE", "away_from_zero", "check_gradients", "numeric_gradient", "within"]

STEP = 6e-6
"""h of the central differences: the cube root of float64's epsilon."""

TOLERANCE = 1e-7
"""Largest difference allowed between a gradient and its numeric value, as a share of its largest element."""

FLOOR = 0.01
"""A gradient smaller than this share of the largest one is held to that share: a bias before BatchNorm has the
gradient 0, of which no rounding error is a small part."""

KINK = 0.1
"""Distance that random inputs keep from 0, where ReLU and its kin have no derivative."""


def numeric_gradient(function: Callable[[Host], Host], at: Host, weights: Host, step: float = STEP) -> Host:
    """Return the gradient of sum(weights * function(at)) by central differences, shaped as *at*.

    Differences are taken before the sum, so that the values that do not change leave no rounding error.

    >>> numeric_gradient(lambda x: x * x, np.array([1.0, 3.0]), np.ones(2)).round(6).tolist()
    [2.0, 6.0]
    """
    gradient = np.empty_like(at)
    for place in np.ndindex(at.shape):
        moved = at.copy()
        moved[place] = at[place] + step
        above = np.array(function(moved))
        moved = at.copy()
        moved[place] = at[place] - step
        gradient[place] = np.sum(weights * (above - function(moved))) / (2.0 * step)
    return gradient


def check_gradients(where: str, found: Mapping[str, Host], wanted: Mapping[str, Host], tolerance: float) -> None:
    """Compare arrays by name, none of them more strictly than :data:`FLOOR` of the largest element of all."""
    largest = max(float(np.max(np.abs(values), initial=0.0)) for values in wanted.values())
    for name, values in wanted.items():
        check_close(where, name, found[name], values, tolerance, FLOOR * largest)


def away_from_zero(values: Host) -> Host:
    """Return the values moved away from 0 by :data:`KINK`."""
    return np.asarray(values + np.copysign(KINK, values))


def within(values: Host, domain: Domain) -> Host:
    """Return normal random values moved into a domain, away from its ends; without any, away from 0.

    >>> within(np.array([-1.0, 0.0, 1.0]), (0.0, 1.0)).round(3).tolist()
    [0.3, 0.5, 0.7]
    """
    low, high = domain
    if isfinite(low) and isfinite(high):
        return np.asarray(low + (high - low) * (0.5 + 0.8 * np.arctan(values) / pi))
    if isfinite(low):
        return np.asarray(low + np.abs(away_from_zero(values)))
    if isfinite(high):
        return np.asarray(high - np.abs(away_from_zero(values)))
    return away_from_zero(values)
