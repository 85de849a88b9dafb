"""Attributes that can be set once: what was made of the first value would not follow a second."""

from __future__ import annotations

from typing import Any

__all__ = ["Fixed"]


class Fixed:
    """An attribute that takes its first value alone; *instead* says how to get an object with another.

    >>> class Net:
    ...     seed = Fixed("make a new one")
    ...     def __init__(self, seed):
    ...         self.seed = seed
    >>> Net(0).seed = 1
    Traceback (most recent call last):
    AttributeError: Net.seed cannot be set: make a new one
    """

    def __init__(self, instead: str) -> None:
        self.instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the attribute's name."""
        self.name = name

    def __set__(self, thing: Any, value: object) -> None:
        """Take the first value; it is read where any attribute is, so that reading costs nothing."""
        if self.name in vars(thing):
            raise AttributeError(f"{type(thing).__name__}.{self.name} cannot be set: {self.instead}", name=self.name)
        vars(thing)[self.name] = value
