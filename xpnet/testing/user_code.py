"""Run the user's own code under a check: whatever it raises or wrongly returns becomes an error that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from traceback import walk_tb
from typing import Any

from xpnet.errors import DataError, DtypeError, ShapeError, XpnetError
from xpnet.parameters import flatten
from xpnet.registry import INTERFACES
from xpnet.testing.comparing import CheckError
from xpnet.testing.records import classes_of

__all__ = ["check_array", "check_arrays", "raising_check_errors"]

ARGUMENTS = (ShapeError, DataError, DtypeError)
"""Errors about the arguments of a check, such as targets that do not fit the loss, not about the code under check."""

NAMESPACES = {"layer": "context.xp", "loss": "xp", "optimizer": "now.xp"}
"""The expression by which methods of each kind reach the array namespace, for advice."""

FUNCTIONS = {
    **dict.fromkeys(("sum", "mean", "max", "min", "prod", "std", "var", "any", "all"), "{xp}.{name}(array, axis=0)"),
    **dict.fromkeys(("flatten", "ravel"), "{xp}.reshape(array, (-1,))"),
    "astype": "{xp}.astype(array, dtype)",
    "clip": "{xp}.clip(array, low, high)",
    "copy": "{xp}.asarray(array, copy=True)",
    "dot": "{xp}.matmul(array, other)",
    "reshape": "{xp}.reshape(array, shape)",
    "transpose": "{xp}.permute_dims(array, axes)",
}
"""What to call instead of methods that NumPy's arrays have and those of the standard have not."""

NOT_PORTABLE = ("numpy", "boolean")
"""Words in the errors of array libraries when NumPy or Python's ``if`` is used on one of their arrays."""


def raising_check_errors(kind: str, own: Any, where: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap *function*, which calls methods of the object *own*, to raise CheckError for whatever these raise."""

    @wraps(function, updated=())
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (CheckError, *ARGUMENTS):
            raise
        except Exception as error:
            reason = str(error).partition("\n")[0]
            remedy = "" if isinstance(error, XpnetError) else _remedy(kind, own, error, reason)
            raised = f"{_method(own, error)} raises {type(error).__name__}: {reason}"
            raise CheckError(f"{where}: {raised}" + (f"; {remedy}" if remedy else "")) from error

    return call


def _remedy(kind: str, own: Any, error: Exception, reason: str) -> str:
    """Say what to write instead of what has raised an error that is not xpnet's."""
    xp = NAMESPACES[kind]
    if isinstance(error, AttributeError) and hasattr(error.obj, "__array_namespace__"):
        name = str(error.name)
        known = hasattr(error.obj.__array_namespace__(), name)
        function = FUNCTIONS.get(name, "{xp}.{name}(array, ...)" if known else "functions of {xp}")
        return f"call {function.format(xp=xp, name=name)} instead of the method, as not every library has it"
    if any(word in reason.lower() for word in NOT_PORTABLE):
        return f"use {xp} in place of NumPy, {xp}.tanh for np.tanh, and look at no value: {xp}.where for `if`"
    if kind == "optimizer" and isinstance(error, TypeError) and callable(own.learning_rate):
        return "read now.learning_rate in update: self.learning_rate is a schedule here"
    return INTERFACES[kind].guide


def _method(own: Any, error: BaseException) -> str:
    """Return the name of the innermost method, of the object or of one inside it, that the error passed through."""
    classes, found = tuple(classes_of(own)), type(own).__name__
    for frame, _ in walk_tb(error.__traceback__):
        holder, name = frame.f_locals.get("self"), frame.f_code.co_name
        if isinstance(holder, classes) and name.isidentifier():
            found = f"{type(holder).__name__}.{name}"
    return found


def check_array(own: Any, method: str, name: str, given: Any) -> None:
    """Raise CheckError unless what a method has returned is an array."""
    if not (hasattr(given, "shape") and hasattr(given, "dtype")):
        raise CheckError(
            f"{type(own).__name__}.{method} must give an array for {name}; got {given!r} of type "
            f"{type(given).__name__}: make it one, with xp.zeros or xp.asarray say"
        )


def check_arrays(own: Any, method: str, name: str, given: Any) -> dict[str, Any]:
    """Return the arrays in a mapping that a method has returned, by dotted names, or raise CheckError."""
    if not isinstance(given, Mapping):
        raise CheckError(
            f"{type(own).__name__}.{method} must give {name} as a mapping of arrays by name, maybe empty; got "
            f"{given!r} of type {type(given).__name__}"
        )
    found = dict(flatten(given))
    for leaf, array in found.items():
        check_array(own, method, f"{name}[{leaf!r}]", array)
    return found
