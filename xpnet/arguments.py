"""Wrong arguments in a call: a decorator whose error says what to write instead.

:func:`explains_arguments` costs every call one more function call, so it is used on constructors and on functions that
users call once, not on anything that runs for each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from xpnet.errors import ArgumentError

__all__ = ["explain_records", "explains_arguments", "levels_to_user"]

Function = TypeVar("Function", bound=Callable[..., Any])


def explains_arguments(function: Function) -> Function:
    """Decorate *function* to raise ArgumentError where arguments that it does not have would raise TypeError.

    The signature stays the same, for people and for tools.

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
    """Decorate the constructors of the dataclasses with these names in a module with :func:`explains_arguments`."""
    for name in names:
        if is_dataclass(record := namespace[name]):
            record.__init__ = explains_arguments(record.__init__)  # type: ignore[misc, method-assign]


def levels_to_user() -> int:
    """Return how many frames the user's is above the caller's, which has xpnet's and scikit-learn's in between."""
    from inspect import currentframe

    frame, levels = currentframe(), 0
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in ("xpnet", "sklearn"):
        frame, levels = frame.f_back, levels + 1
    return levels


def _problem(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ArgumentError | None:
    """Return the error for wrong arguments, or None if they are right and the TypeError came from inside the call."""
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
    from xpnet.errors import nearest
    from xpnet.foreign_names import ARGUMENT_ADVICE, ARGUMENTS

    shown = repr(value) if isinstance(value, str | int | float) and len(repr(value)) < 20 else "..."
    for ours in ARGUMENTS.get(name.lower(), ()):
        if ours in known:
            return f"; write {ours}={shown}."
    advice = ARGUMENT_ADVICE.get(f"{owner}({name})") or ARGUMENT_ADVICE.get(name) or _neighbour(owner, name, shown)
    if advice:
        return f": {advice}."
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else "."


def _neighbour(owner: str, name: str, shown: str) -> str | None:
    """Say that an argument of ``Network`` was given to ``fit``, or the other way round, if it was."""
    if owner not in ("Network", "Network.fit"):
        return None
    from inspect import signature

    from xpnet.foreign_names import ARGUMENTS
    from xpnet.network import Network

    there = signature(Network.fit if owner == "Network" else Network).parameters
    meant = next((ours for ours in (name, *ARGUMENTS.get(name.lower(), ())) if ours in there), None)
    if meant is None:
        return None
    call = f"fit, net.fit(x, y, {meant}={shown})" if owner == "Network" else f"Network(layers, {meant}={shown})"
    return f"it belongs to {call}"


def _by_position(owner: str, problem: str, placed: list[str], known: list[str]) -> str:
    """Say which arguments go by position, those *placed*, where more were given so."""
    from xpnet.foreign_names import ARGUMENT_ADVICE

    if "too many positional" not in problem:
        return ""
    if advice := ARGUMENT_ADVICE.get(f"{owner}()"):
        return f": {advice}"
    if placed == known:
        return ""
    if placed == ["layers"]:
        return ": give the layers as one list, Network([...])"
    verb = "goes" if len(placed) == 1 else "go"
    return f": only {' and '.join(placed)} {verb} without a name; write {known[len(placed)]}=... and so on"
