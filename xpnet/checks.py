"""Numbers that are given as arguments: what they must be, or a clear error."""

from __future__ import annotations

import operator
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from xpnet.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["check_real", "positive_integer", "seeded_generator"]


def positive_integer(name: str, value: Any) -> int:
    """Return *value* as an integer from 1 on, or raise `ConfigurationError` about the argument *name*."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ConfigurationError(f"{name} must be a positive integer, got {value!r}.")
    return number


def check_real(
    name: str,
    value: object,
    *,
    least: float = -inf,
    above: float = -inf,
    below: float = inf,
) -> None:
    """Raise `ConfigurationError` unless *value* is a finite number in the range."""
    if _is_finite(value) and value >= least and above < value < below:  # type: ignore[operator]
        return
    limits = [
        f"{word} {limit:g}"
        for word, limit in (("of at least", least), ("above", above), ("below", below))
        if isfinite(limit)
    ]
    expected = " ".join(["must be a finite number", " and ".join(limits)]).rstrip()
    raise ConfigurationError(f"{name} {expected}; got {value!r}")


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def seeded_generator(seed: Any) -> np.random.Generator:
    """Return a new generator for an integer *seed*, or raise `ConfigurationError`."""
    from numpy.random import default_rng

    try:
        return default_rng(operator.index(seed))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"seed must be an integer that is not negative, got {seed!r}.") from error
