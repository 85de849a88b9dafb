"""Numbers that are given as arguments: what they must be, or a clear error."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from xpnet.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["positive_integer", "seeded_generator"]


def positive_integer(name: str, value: Any) -> int:
    """Return *value* as an integer from 1 on, or raise `ConfigurationError` about the argument *name*."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ConfigurationError(f"{name} must be a positive integer, got {value!r}.")
    return number


def seeded_generator(seed: Any) -> np.random.Generator:
    """Return a new generator for an integer *seed*, or raise `ConfigurationError`."""
    from numpy.random import default_rng

    try:
        return default_rng(operator.index(seed))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"seed must be an integer that is not negative, got {seed!r}.") from error
