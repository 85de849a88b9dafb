"""Names for objects: ``"relu"`` for ``ReLU()``, with the nearest name suggested for an unknown one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from xpnet.errors import ConfigurationError, unknown_name

__all__ = ["resolve"]


def resolve(kind: str, value: Any, names: Mapping[str, Callable[[], Any]], method: str) -> Any:
    """Return the object that *value* stands for.

    Parameters
    ----------
    kind : str
        What is looked for, for the error: ``"layer"``, ``"loss"``, ...
    value : str or object
        A name, taken with its class's defaults, or an object that has *method*.
    names : mapping
        The known names and their classes.
    method : str
        What an object of this kind must have.

    Raises
    ------
    ConfigurationError
        The name is unknown, or the object is not of this kind (a class instead of its object, say).
    """
    if isinstance(value, str):
        if value not in names:
            raise _unknown(kind, value, names, method)
        return names[value]()
    article = "an" if kind[0] in "aeiou" else "a"
    if inspect.isclass(value):
        raise ConfigurationError(
            f"{article} {kind} must be an object; got the class {value.__name__}: write {value.__name__}(...)"
        )
    if not hasattr(value, method):
        raise ConfigurationError(f"{article} {kind} must be a name or an object with {method}(); got {value!r}")
    return value


def _unknown(kind: str, value: str, names: Mapping[str, Callable[[], Any]], method: str) -> ConfigurationError:
    """Return the error for a name that stands for nothing; it may be that of a class that needs arguments."""
    import xpnet

    plain = value.replace("_", "").lower()
    for name in xpnet.__all__:
        found = getattr(xpnet, name) if name.lower() == plain else None
        if inspect.isclass(found) and hasattr(found, method) and found not in names.values():
            parameters = inspect.signature(found).parameters.values()
            needed = ", ".join(p.name for p in parameters if p.default is p.empty)
            return ConfigurationError(f"unknown {kind} {value!r}; write {name}({needed}), the object itself")
    return unknown_name(kind, value, names)
