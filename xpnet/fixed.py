"""Attributes that can be set only once, and assignments that are refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["Fixed", "refuse_misnamed"]

NEAR = 0.85
"""How like one of ours a name has to be for a slip of the pen, by ``difflib``'s measure: "learn_rate" is at 0.87."""


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


def refuse_misnamed(thing: Any, name: str, value: object, settable: Iterable[str]) -> None:
    """Raise AttributeError where a new attribute's *name* is another library's, or nearly one of ours.

    Ours are those *settable* and the class's :class:`Fixed` ones. Any other name is the user's own.

    >>> class Net:
    ...     seed = Fixed("make a new one")
    >>> refuse_misnamed(Net(), "note", "fine", ["learning_rate"])
    >>> refuse_misnamed(Net(), "lr", 0.1, ["learning_rate"])
    Traceback (most recent call last):
    AttributeError: Net has no attribute 'lr' to set; write net.learning_rate = 0.1
    """
    from xpnet import foreign_names
    from xpnet.errors import nearest

    owner = type(thing).__name__
    fixed = {ours: kept.instead for ours, kept in vars(type(thing)).items() if isinstance(kept, Fixed)}
    known = [*settable, *fixed]
    same = [ours for ours in foreign_names.ARGUMENTS.get(name.lower(), ()) if ours in known]
    meant = same[0] if same else nearest(name, known, NEAR)
    if f"{owner}.{name}" in foreign_names.ATTRIBUTE_ADVICE:
        hint = f": {foreign_names.ATTRIBUTE_ADVICE[f'{owner}.{name}']}"
    elif meant is None:
        return
    elif meant in fixed:
        hint = f": it is {meant!r} here; {fixed[meant]}"
    else:
        hint = f"; write net.{meant} = {value!r:.60}"
    raise AttributeError(f"{owner} has no attribute {name!r} to set{hint}", name=name, obj=thing)
