"""Arguments that a class or a function does not have: an error that says what to write instead.

:func:`explains_arguments` is the one mechanism. To a call that is right it adds one more call and nothing else; so it
stands where objects are made and where training starts, and not at what runs for each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from xpnet.errors import ArgumentError

__all__ = ["explain_records", "explains_arguments"]

Function = TypeVar("Function", bound=Callable[..., Any])


def explains_arguments(function: Function) -> Function:
    """Return *function*, with ArgumentError in place of the TypeError for arguments that it does not have.

    Its signature stays what it is, for people and for tools.

    >>> @explains_arguments
    ... def train(*, learning_rate): ...
    >>> train(lr=0.1)
    Traceback (most recent call last):
        ...
    xpnet.errors.ArgumentError: train has no argument 'lr'; write learning_rate=0.1. It has learning_rate
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            problem = _problem(function, args, kwargs)
            if problem is None:
                raise
        raise problem

    return call  # type: ignore[return-value]


def explain_records(namespace: Mapping[str, Any], names: Iterable[str]) -> None:
    """Make the dataclasses with these names in a module explain wrong arguments when objects of them are made."""
    for name in names:
        if is_dataclass(record := namespace[name]):
            record.__init__ = explains_arguments(record.__init__)  # type: ignore[misc, method-assign]


def _problem(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ArgumentError | None:
    """Return what is wrong with the arguments, or None where they are right and the TypeError is another."""
    from inspect import signature

    from xpnet.errors import ArgumentError

    form = signature(function)
    try:
        form.bind(*args, **kwargs)
    except TypeError as error:
        owner = function.__qualname__.rpartition("<locals>.")[2]
        if owner.endswith(".__init__"):  # which may be that of a base class
            owner = type(args[0]).__name__
        kinds = {name: argument.kind.name for name, argument in form.parameters.items() if name != "self"}
        known = [name for name, kind in kinds.items() if not kind.startswith("VAR")]
        unknown = next((name for name in kwargs if name not in known), None)
        if unknown is None:
            placed = [name for name in known if kinds[name] != "KEYWORD_ONLY"]
            what = f"{owner}: {error}{_by_position(owner, str(error), placed, known)}."
        else:
            what = f"{owner} has no argument {unknown!r}{_instead(owner, unknown, kwargs[unknown], known)}"
        return ArgumentError(f"{what} It has {', '.join(known) or 'no arguments'}")
    return None


def _instead(owner: str, name: str, value: Any, known: list[str]) -> str:
    """Say what to write instead of an argument that is not among the *known* ones."""
    from xpnet import elsewhere
    from xpnet.errors import nearest

    shown = repr(value) if isinstance(value, str | int | float) and len(repr(value)) < 20 else "..."
    for ours in elsewhere.ARGUMENTS.get(name.lower(), ()):
        if ours in known:
            return f"; write {ours}={shown}."
    advice = elsewhere.INSTEAD.get(f"{owner}({name})", elsewhere.INSTEAD.get(name)) or _neighbour(owner, name, shown)
    if advice:
        return f": {advice}."
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else "."


def _neighbour(owner: str, name: str, shown: str) -> str | None:
    """Say that an argument of ``Network`` was given to ``fit``, or the other way round, if it was."""
    if owner not in ("Network", "Network.fit"):
        return None
    from inspect import signature

    from xpnet import elsewhere
    from xpnet.network import Network

    there = signature(Network.fit if owner == "Network" else Network).parameters
    meant = next((ours for ours in (name, *elsewhere.ARGUMENTS.get(name.lower(), ())) if ours in there), None)
    if meant is None:
        return None
    call = f"fit, net.fit(x, y, {meant}={shown})" if owner == "Network" else f"Network(layers, {meant}={shown})"
    return f"it belongs to {call}"


def _by_position(owner: str, problem: str, placed: list[str], known: list[str]) -> str:
    """Say which arguments go by position, those *placed*, where more were given so."""
    from xpnet import elsewhere

    if "too many positional" not in problem:
        return ""
    if advice := elsewhere.INSTEAD.get(f"{owner}()"):
        return f": {advice}"
    if placed == known:
        return ""
    if placed == ["layers"]:
        return ": give the layers as one list, Network([...])"
    return f": only {' and '.join(placed)} go without a name; write {known[len(placed)]}=... and so on"
