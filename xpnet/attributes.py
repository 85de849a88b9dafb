"""Assignments to attributes: some can be set only once, and likely mistakes in a name are refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["SetOnce", "check_attribute_name"]

NEAR = 0.85
"""Similarity, by ``difflib``'s measure, from which a name is taken for a typing mistake: "learn_rate" is at 0.87."""


class SetOnce:
    """An attribute that keeps its first value; *instead* says how to get an object with another one.

    >>> class Net:
    ...     seed = SetOnce("make a new one")
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
        """Store the first value in the instance's dictionary, so that reading it costs no more than any attribute."""
        if self.name in vars(thing):
            raise AttributeError(f"{type(thing).__name__}.{self.name} cannot be set: {self.instead}", name=self.name)
        vars(thing)[self.name] = value


def check_attribute_name(thing: Any, name: str, value: object, settable: Iterable[str]) -> None:
    """Raise AttributeError if the *name* of a new attribute is another library's, or is close to one of ours.

    Ours are the *settable* ones and the class's :class:`SetOnce` attributes. Users may set any other name.

    >>> class Net:
    ...     seed = SetOnce("make a new one")
    >>> check_attribute_name(Net(), "note", "fine", ["learning_rate"])
    >>> check_attribute_name(Net(), "lr", 0.1, ["learning_rate"])
    Traceback (most recent call last):
    AttributeError: Net has no attribute 'lr' to set; write net.learning_rate = 0.1
    """
    from xpnet.errors import nearest
    from xpnet.foreign_names import ARGUMENTS, ATTRIBUTE_ADVICE

    owner = type(thing).__name__
    set_once = {ours: value.instead for ours, value in vars(type(thing)).items() if isinstance(value, SetOnce)}
    known = [*settable, *set_once]
    same = [ours for ours in ARGUMENTS.get(name.lower(), ()) if ours in known]
    meant = same[0] if same else nearest(name, known, NEAR)
    if f"{owner}.{name}" in ATTRIBUTE_ADVICE:
        hint = f": {ATTRIBUTE_ADVICE[f'{owner}.{name}']}"
    elif meant is None:
        return
    elif meant in set_once:
        hint = f": it is {meant!r} here; {set_once[meant]}"
    else:
        hint = f"; write net.{meant} = {value!r:.60}"
    raise AttributeError(f"{owner} has no attribute {name!r} to set{hint}", name=name, obj=thing)
