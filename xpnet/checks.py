"""Checks of numbers, flags and paths given as arguments; NumPy's scalars become Python's.

Left as it is, a float64 scalar would turn a float32 network into a float64 one on NumPy, and be refused by stricter
libraries. Arrays are no numbers here.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from xpnet.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "StrPath",
    "check_flag",
    "check_integer",
    "check_path",
    "check_real",
    "check_seed",
    "check_takes",
    "hold_flags",
    "hold_integers",
    "hold_reals",
    "seeded_generator",
]

StrPath: TypeAlias = str | PathLike[str]
"""Text, or what stands for a path."""


def check_flag(name: str, value: Any, otherwise: str = "") -> bool:
    """Return *value* as a ``bool``, or raise `ConfigurationError` unless it is True or False, of Python or NumPy.

    The error ends with what may have been meant *otherwise*.
    """
    if isinstance(value, bool):
        return value
    from numpy import bool_

    if isinstance(value, bool_):
        return bool(value)
    raise ConfigurationError(f"{name} must be True or False; got {value!r}{otherwise}")


def check_integer(name: str, value: Any, *, least: int = 1, most: int | None = None, otherwise: str = "") -> int:
    """Return *value* as an ``int``, or raise `ConfigurationError` unless it is an integer in least..most.

    The error ends with what may have been meant *otherwise*.
    """
    if type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool)):
        number = int(value)
        if least <= number and (most is None or number <= most):
            return number
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise ConfigurationError(f"{name} must be an integer {limits}; got {value!r}{otherwise}")


def check_real(
    name: str,
    value: Any,
    *,
    least: float = -inf,
    above: float = -inf,
    below: float = inf,
    otherwise: str = "",
) -> float:
    """Return *value* as a ``float``, or raise `ConfigurationError` unless it is a finite number in the range.

    The error ends with what may have been meant *otherwise*.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # an integer beyond every float
            number = inf
        if isfinite(number) and number >= least and above < number < below:
            return number
    limits = [
        f"{word} {limit:g}"
        for word, limit in (("of at least", least), ("above", above), ("below", below))
        if isfinite(limit)
    ]
    expected = " ".join(["must be a finite number", " and ".join(limits)]).rstrip()
    raise ConfigurationError(f"{name} {expected}; got {value!r}{otherwise}")


def check_seed(seed: Any) -> int:
    """Return a seed as an ``int``, or raise `ConfigurationError` unless it is an integer from 0 on."""
    other = ". Where each run is to be another, give random.randrange(2**31)" if seed is None else ""
    return check_integer("seed", seed, least=0, otherwise=other)


def check_takes(name: str, function: Callable[..., Any], *arguments: str, result: str = "...") -> None:
    """Raise `ConfigurationError` unless a function can be called with these arguments, in this order.

    The error writes such a function, with its *result*.
    """
    from inspect import signature

    try:
        taken = signature(function)
    except (TypeError, ValueError):  # some of C's do not tell
        return
    try:
        taken.bind(*arguments)
    except TypeError:
        expected = ", ".join(arguments)
        raise ConfigurationError(
            f"{name} as a function takes ({expected}); got one that takes {taken}: write "
            f"`{f'lambda {expected}'.rstrip()}: {result}`"
        ) from None


def check_path(name: str, value: Any, what: str = "text or a pathlib.Path") -> Path:
    """Return *value* as a path, or raise `ConfigurationError`, which says *what* it must be, unless it can be one."""
    try:
        return Path(value)
    except TypeError:
        raise ConfigurationError(f"{name} must be {what}; got {value!r}") from None


def hold_integers(record: Any, *fields: str, **limits: Any) -> None:
    """Check fields of a frozen dataclass by :func:`check_integer`, and hold what it returns in their place."""
    for field in fields:
        _hold(record, field, check_integer(_argument(record, field), getattr(record, field), **limits))


def hold_reals(record: Any, *fields: str, **limits: Any) -> None:
    """Check fields of a frozen dataclass by :func:`check_real`, and hold what it returns in their place."""
    for field in fields:
        _hold(record, field, check_real(_argument(record, field), getattr(record, field), **limits))


def hold_flags(record: Any, *fields: str, otherwise: str = "") -> None:
    """Check fields of a frozen dataclass by :func:`check_flag`, and hold what it returns in their place."""
    for field in fields:
        _hold(record, field, check_flag(_argument(record, field), getattr(record, field), otherwise))


def _argument(record: Any, field: str) -> str:
    return f"{type(record).__name__}.{field}"


def _hold(record: Any, field: str, value: object) -> None:
    object.__setattr__(record, field, value)


def seeded_generator(seed: Any) -> np.random.Generator:
    """Return a new generator for an integer *seed*, or raise `ConfigurationError`."""
    from numpy.random import default_rng

    return default_rng(check_seed(seed))
