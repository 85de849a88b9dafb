"""Check numbers, flags, seeds, paths and functions that are given as arguments.

NumPy scalars become Python's own: left as they are, a float64 scalar would turn a float32 network into a float64 one on
NumPy, and stricter libraries would refuse it. Arrays do not count as numbers here.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from xpnet.errors import ConfigurationError, shown

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "StrPath",
    "check_flag",
    "check_flag_fields",
    "check_integer",
    "check_integer_fields",
    "check_path",
    "check_real",
    "check_real_fields",
    "check_seed",
    "check_takes",
    "seeded_generator",
]

StrPath: TypeAlias = str | PathLike[str]
"""A path, as text or as an object such as ``pathlib.Path``."""


def check_flag(name: str, value: Any, hint: str = "") -> bool:
    """Return *value* as a ``bool``, or raise `ConfigurationError` unless it is Python's or NumPy's True or False.

    The error ends with *hint*, which says what may have been meant.
    """
    if isinstance(value, bool):
        return value
    from numpy import bool_

    if isinstance(value, bool_):
        return bool(value)
    raise ConfigurationError(f"{name} must be True or False; got {shown(value)}{hint}")


def check_integer(name: str, value: Any, *, least: int = 1, most: int | None = None, hint: str = "") -> int:
    """Return *value* as an ``int``, or raise `ConfigurationError` unless it is an integer from *least* to *most*.

    The error ends with *hint*, which says what may have been meant.
    """
    if type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool)):
        number = int(value)
        if least <= number and (most is None or number <= most):
            return number
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise ConfigurationError(f"{name} must be an integer {limits}; got {shown(value)}{hint}")


def check_real(
    name: str,
    value: Any,
    *,
    least: float = -inf,
    above: float = -inf,
    below: float = inf,
    hint: str = "",
) -> float:
    """Return *value* as a ``float``, or raise `ConfigurationError` unless it is a finite number in the range.

    The error ends with *hint*, which says what may have been meant.
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
    raise ConfigurationError(f"{name} {expected}; got {shown(value)}{hint}")


def check_seed(seed: Any) -> int:
    """Return a seed as an ``int``, or raise `ConfigurationError` unless it is an integer from 0 on."""
    hint = ". Where each run is to be another, give random.randrange(2**31)" if seed is None else ""
    return check_integer("seed", seed, least=0, hint=hint)


def check_takes(name: str, function: Callable[..., Any], *arguments: str, result: str = "...") -> None:
    """Raise `ConfigurationError` unless a function can be called with these arguments, in this order.

    The error shows a function that can, and that returns *result*.
    """
    from inspect import signature

    try:
        taken = signature(function)
    except (TypeError, ValueError):  # some functions written in C have no signature
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
    """Return *value* as a path, or raise `ConfigurationError`, which says *what* it must be, if it cannot be one."""
    try:
        return Path(value)
    except TypeError:
        raise ConfigurationError(f"{name} must be {what}; got {value!r}") from None


def check_integer_fields(record: Any, *fields: str, **limits: Any) -> None:
    """Check fields of a frozen dataclass by :func:`check_integer`, and store what it returns."""
    for field in fields:
        _store(record, field, check_integer(_qualified_name(record, field), getattr(record, field), **limits))


def check_real_fields(record: Any, *fields: str, **limits: Any) -> None:
    """Check fields of a frozen dataclass by :func:`check_real`, and store what it returns."""
    for field in fields:
        _store(record, field, check_real(_qualified_name(record, field), getattr(record, field), **limits))


def check_flag_fields(record: Any, *fields: str, hint: str = "") -> None:
    """Check fields of a frozen dataclass by :func:`check_flag`, and store what it returns."""
    for field in fields:
        _store(record, field, check_flag(_qualified_name(record, field), getattr(record, field), hint))


def _qualified_name(record: Any, field: str) -> str:
    return f"{type(record).__name__}.{field}"


def _store(record: Any, field: str, value: object) -> None:
    object.__setattr__(record, field, value)


def seeded_generator(seed: Any) -> np.random.Generator:
    """Return a new generator for an integer *seed*, or raise `ConfigurationError`."""
    from numpy.random import default_rng

    return default_rng(check_seed(seed))
