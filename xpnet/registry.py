"""Turn names into layers, losses, optimizers, ..., and check that objects of each kind have the right interface."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from xpnet.errors import ConfigurationError, shown, unknown_name

__all__ = ["INTERFACES", "check_returned", "resolve", "wrong_return_error"]


class Interface(NamedTuple):
    """What objects of one kind must have, and how errors about them help the user."""

    methods: tuple[str, ...]
    guide: str  # where to read how to write one
    returns: Mapping[str, tuple[str, ...]] = {}  # by method: the names of the values that it returns
    instead: Mapping[type, str] = {}  # by type: what to write for a value that was probably meant for one


INTERFACES = {
    "layer": Interface(
        ("build", "forward", "backward"),
        "docs/own_layer.md in xpnet's repository shows one of your own",
        {"build": ("Built",), "forward": ("y", "residuals"), "backward": ("dx", "gradients")},
        {
            int: "write Dense({!r}) for so many units",
            **dict.fromkeys((list, tuple), "give all layers in one flat list"),
        },
    ),
    "loss": Interface(
        ("__call__", "check", "targets", "link", "reduction", "metrics"),
        "docs/own_loss_and_metric.md in xpnet's repository shows one of your own, with the slopes beside the losses",
        {"__call__": ("losses", "slopes")},
    ),
    "metric": Interface(
        ("name", "check", "shape", "sums", "result"),
        "docs/own_loss_and_metric.md in xpnet's repository shows one of your own",
    ),
    "optimizer": Interface(
        ("init", "update"),
        "docs/own_optimizer.md in xpnet's repository shows one of your own",
        {"update": ("gradient", "params", "state")},
    ),
    "initializer": Interface(("__call__",), "one of your own is called with a NumPy generator and a shape"),
    "callback": Interface(("on_epoch_end",), "one of your own is of a subclass of xpnet.Callback"),
}


def resolve(kind: str, value: Any, names: Mapping[str, Callable[[], Any]], argument: str = "") -> Any:
    """Return the object that *value* names, or *value* itself after a check of its interface.

    Parameters
    ----------
    kind : str
        A key of :data:`INTERFACES`: ``"layer"``, ``"loss"``, ...
    value : str or object
        A name, which gives an object with its default arguments, or an object of the kind.
    names : mapping
        The known names and their classes.
    argument : str
        What errors call it, if that says more than the kind: ``"weight_initializer"``.

    Raises
    ------
    ConfigurationError
        The name is unknown, or the object is not of this kind (a class instead of its object, say).
    """
    if isinstance(value, str):
        if value not in names:
            raise _unknown_name_error(kind, value, names, argument or kind)
        return names[value]()
    interface = INTERFACES[kind]
    lacking = [method for method in interface.methods if not hasattr(value, method)]
    if not lacking and not inspect.isclass(value):
        return value
    called = argument or kind
    article = "an" if called[0] in "aeiou" else "a"
    if not lacking:
        raise ConfigurationError(
            f"{article} {called} must be an object; got the class {value.__name__}: write {_constructor_call(value)}"
        )
    raise ConfigurationError(
        f"{article} {called} must be a name or an object with {', '.join(interface.methods)}; got {shown(value)}, "
        f"which lacks {', '.join(lacking)}; {_advice(kind, value, names) or interface.guide}"
    )


def wrong_return_error(kind: str, owner: Any, method: str, given: Any) -> ConfigurationError:
    """Return the error for a method that has returned the wrong thing."""
    interface = INTERFACES[kind]
    names = interface.returns[method]
    wanted = f"({', '.join(names)})" if len(names) > 1 else f"an xpnet.layers.base.{names[0]}"
    got = f"a tuple of {len(given)}" if isinstance(given, tuple) else type(given).__name__
    return ConfigurationError(f"{type(owner).__name__}.{method} must return {wanted}; got {got}; {interface.guide}")


def check_returned(kind: str, owner: Any, method: str, given: Any) -> Any:
    """Return what a method has *given*, after checking that it is the right number of values.

    Backends that compile or record a step check once; the others (CuPy, PyTorch, array-api-strict) compare two lengths
    in each call.

    Raises
    ------
    ConfigurationError
        It is not; the message names the class and the method.
    """
    if isinstance(given, tuple | list) and len(given) == len(INTERFACES[kind].returns[method]):
        return given
    raise wrong_return_error(kind, owner, method, given)


def _advice(kind: str, value: Any, names: Mapping[str, Any]) -> str:
    """Say what to write instead of a value of the wrong type or of another library's class, or nothing."""
    if type(value) in INTERFACES[kind].instead:
        return INTERFACES[kind].instead[type(value)].format(value)
    from xpnet.foreign_names import OBJECT_NAMES

    plain = str(getattr(value, "__name__", type(value).__name__)).lower()
    name = OBJECT_NAMES.get(plain, plain)
    return f"write {name!r}, the name alone" if name in names else ""


def _constructor_call(found: type) -> str:
    """Return the call that makes an object of a class, with the arguments that it needs."""
    parameters = inspect.signature(found).parameters.values()
    return f"{found.__name__}({', '.join(p.name for p in parameters if p.default is p.empty)})"


def _unknown_name_error(
    kind: str, value: str, names: Mapping[str, Callable[[], Any]], called: str
) -> ConfigurationError:
    """Return the error for an unknown name, which may be that of a class that cannot be made without arguments."""
    import xpnet

    plain = value.replace("_", "").lower()
    for name in dir(xpnet):
        found = getattr(xpnet, name) if name.lower() == plain else None
        if not inspect.isclass(found) or found in names.values():
            continue
        if all(hasattr(found, method) for method in INTERFACES[kind].methods):
            call = _constructor_call(found)
            return ConfigurationError(f"unknown {called} {value!r}; write {call}, the object itself")
    return unknown_name(called, value, names)
