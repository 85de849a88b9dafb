"""What an object of a kind is: the names that stand for one, the methods that it has, and what these return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from xpnet.errors import ConfigurationError, unknown_name

__all__ = ["misreturned", "resolve", "returned"]


class Form(NamedTuple):
    """What an object of a kind has, where a user finds how to write one, and what its methods return.

    *instead* says what to write for values of other types that were likely meant for one.
    """

    has: tuple[str, ...]
    own: str
    returns: Mapping[str, tuple[str, ...]] = {}
    instead: Mapping[type, str] = {}


FORMS = {
    "layer": Form(
        ("build", "forward", "backward"),
        "docs/own_layer.md in xpnet's repository shows one of your own",
        {"build": ("Built",), "forward": ("y", "residuals"), "backward": ("dx", "gradients")},
        {
            int: "write Dense({!r}) for so many units",
            **dict.fromkeys((list, tuple), "give all layers in one flat list"),
        },
    ),
    "loss": Form(
        ("__call__", "check", "targets", "link", "reduction", "metrics"),
        "docs/own_loss_and_metric.md in xpnet's repository shows one of your own, with the slopes beside the losses",
        {"__call__": ("losses", "slopes")},
    ),
    "metric": Form(
        ("name", "check", "shape", "sums", "result"),
        "docs/own_loss_and_metric.md in xpnet's repository shows one of your own",
    ),
    "optimizer": Form(
        ("init", "update"),
        "docs/own_optimizer.md in xpnet's repository shows one of your own",
        {"update": ("gradient", "params", "state")},
    ),
    "initializer": Form(("__call__",), "one of your own is called with a NumPy generator and a shape"),
    "callback": Form(("on_epoch_end",), "one of your own is of a subclass of xpnet.Callback"),
}


def resolve(kind: str, value: Any, names: Mapping[str, Callable[[], Any]], argument: str = "") -> Any:
    """Return the object that *value* stands for.

    Parameters
    ----------
    kind : str
        What is looked for: ``"layer"``, ``"loss"``, ...
    value : str or object
        A name, taken with its class's defaults, or an object of the kind.
    names : mapping
        The known names and their classes.
    argument : str
        What errors call it, where that says more than the kind: ``"weight_initializer"``.

    Raises
    ------
    ConfigurationError
        The name is unknown, or the object is not of this kind (a class instead of its object, say).
    """
    if isinstance(value, str):
        if value not in names:
            raise _unknown(kind, value, names, argument or kind)
        return names[value]()
    lacking = [method for method in FORMS[kind].has if not hasattr(value, method)]
    if not lacking and not inspect.isclass(value):
        return value
    called = argument or kind
    article = "an" if called[0] in "aeiou" else "a"
    if not lacking:
        raise ConfigurationError(
            f"{article} {called} must be an object; got the class {value.__name__}: write {_written(value)}"
        )
    raise ConfigurationError(
        f"{article} {called} must be a name or an object with {', '.join(FORMS[kind].has)}; got {value!r}, which lacks "
        f"{', '.join(lacking)}; {_meant(kind, value, names) or FORMS[kind].own}"
    )


def misreturned(kind: str, owner: Any, method: str, given: Any) -> ConfigurationError:
    """Return the error for a method of an object of the kind that has returned something else than it should."""
    form = FORMS[kind]
    names = form.returns[method]
    wanted = f"({', '.join(names)})" if len(names) > 1 else f"an xpnet.layers.base.{names[0]}"
    got = f"a tuple of {len(given)}" if isinstance(given, tuple) else type(given).__name__
    return ConfigurationError(f"{type(owner).__name__}.{method} must return {wanted}; got {got}; {form.own}")


def returned(kind: str, owner: Any, method: str, given: Any) -> Any:
    """Return what a method of an object of the kind has *given*, if it is as many values as it should be.

    Backends that compile or record a step check once; on those that run it as it stands (CuPy, PyTorch,
    array-api-strict) this costs a comparison of lengths a call.

    Raises
    ------
    ConfigurationError
        It is something else; the message names the class and the method.
    """
    if isinstance(given, tuple | list) and len(given) == len(FORMS[kind].returns[method]):
        return given
    raise misreturned(kind, owner, method, given)


def _meant(kind: str, value: Any, names: Mapping[str, Any]) -> str:
    """Say what to write for a value of its type, or which name stands for what another library calls so."""
    if type(value) in FORMS[kind].instead:
        return FORMS[kind].instead[type(value)].format(value)
    from xpnet.foreign_names import OBJECT_NAMES

    plain = str(getattr(value, "__name__", type(value).__name__)).lower()
    name = OBJECT_NAMES.get(plain, plain)
    return f"write {name!r}, the name alone" if name in names else ""


def _written(found: type) -> str:
    """Return how an object of a class is made."""
    parameters = inspect.signature(found).parameters.values()
    return f"{found.__name__}({', '.join(p.name for p in parameters if p.default is p.empty)})"


def _unknown(kind: str, value: str, names: Mapping[str, Callable[[], Any]], called: str) -> ConfigurationError:
    """Return the error for a name that stands for nothing; it may be that of a class that needs arguments."""
    import xpnet

    plain = value.replace("_", "").lower()
    for name in dir(xpnet):
        found = getattr(xpnet, name) if name.lower() == plain else None
        if not inspect.isclass(found) or found in names.values():
            continue
        if all(hasattr(found, method) for method in FORMS[kind].has):
            return ConfigurationError(f"unknown {called} {value!r}; write {_written(found)}, the object itself")
    return unknown_name(called, value, names)
