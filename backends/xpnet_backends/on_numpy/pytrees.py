"""Flatten and unflatten nested containers of arrays, by functions generated for one structure each.

These functions run at every call of a plan, so they are written out as one expression each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xpnet_backends.on_numpy.signatures import memory_order
from xpnet_backends.on_numpy.tracing import Traced, map_leaves

__all__ = ["caller_for", "flattener_for", "leaves", "unflattener"]


def leaves(tree: Any) -> list[Any]:
    """Return the arrays in nested tuples, lists and mappings, in order."""
    found: list[Any] = []
    map_leaves(found.append, tree)
    return found


class _Expression:
    """Writes a function of one argument whose body is one expression, and collects the constants that it names."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def constant(self, value: Any) -> str:
        """Return the name of a constant."""
        name = f"k{len(self.values)}"
        self.values[name] = value
        return name

    def is_same(self, name: str, array: Any) -> Iterator[str]:
        """Write the test whether an expression is this very array."""
        yield f"{name} is {self.constant(array)}"

    def tests(self, name: str, tree: Any, of_array: Callable[[str, Any], Iterator[str]]) -> Iterator[str]:
        """Write the tests whether an expression has this structure, and, by *of_array*, those of its arrays."""
        if isinstance(tree, np.ndarray):
            yield from of_array(name, tree)
        elif isinstance(tree, tuple | list | dict):
            keys = [*tree] if isinstance(tree, dict) else None
            yield f"type({name}) is {self.constant(type(tree))}"
            yield f"len({name}) == {len(tree)}" if keys is None else f"[*{name}] == {self.constant(keys)}"
            for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
                yield from self.tests(f"{name}[{self.constant(key)}]", item, of_array)
        else:  # NumPy's numbers are arrays to a plan
            yield "False" if isinstance(tree, np.generic) else f"{name} is {self.constant(tree)}"

    def written(self, tree: Any, leaf: Callable[[Any], str]) -> str:
        """Write an expression that makes new containers of this structure, with *leaf* writing its arrays."""
        if isinstance(tree, np.ndarray | np.generic | Traced):
            return leaf(tree)
        if isinstance(tree, dict):
            items = [f"{self.constant(name)}: {self.written(item, leaf)}" for name, item in tree.items()]
            return f"{{{', '.join(items)}}}"
        if not isinstance(tree, tuple | list):
            return self.constant(tree)
        items = [f"{self.written(item, leaf)}, " for item in tree]
        if type(tree) is list:
            return f"[{''.join(items)}]"
        if type(tree) is tuple:
            return f"({''.join(items)})"
        made = "".join(items) if hasattr(tree, "_fields") else f"({''.join(items)})"
        return f"{self.constant(type(tree))}({made})"

    def function(self, parameter: str, expression: str) -> Callable[[Any], Any]:
        """Return the function."""
        exec(f"def function({parameter}):\n    return {expression}\n", self.values)
        function: Callable[[Any], Any] = self.values.pop("function")  # so that nothing holds itself
        return function


def unflattener(rest: Any, kept: Any) -> Callable[[tuple[Any, ...]], Any]:
    """Return a function that gives a plan's outputs the structure of its function's result.

    The arrays of *kept* come first, in new containers, as the caller may change those; if *rest* is None, they are the
    whole result. Only the structure of *rest* is used: its recorded arrays would keep the recording's memory alive.
    """
    scope, outputs = _Expression(), iter(range(len(leaves(rest))))

    def output(leaf: Any) -> str:
        return f"outputs[{next(outputs)}]"

    if kept is None:
        return scope.function("outputs", scope.written(rest, output))
    first = scope.written(kept, scope.constant)
    others = None if rest is None else "".join([f"{scope.written(item, output)}, " for item in rest])
    return scope.function("outputs", first if others is None else f"({first}, {others})")


def caller_for(arguments: tuple[Any, ...], function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return a function that calls *function* with the arrays of its argument, or returns None.

    It returns None of arguments in other containers than these, of other types than NumPy's arrays, or where the last
    array has another dtype, which is the usual difference. Other forms are left to *function*.
    """
    scope = _Expression()
    names: list[str] = []

    def is_array(name: str, array: Any) -> Iterator[str]:
        names.append(f"a{len(names)}")
        yield f"type({names[-1]} := {name}) is {scope.constant(np.ndarray)}"

    tests = [*scope.tests("arguments", arguments, is_array)]
    tests += [f"{names[-1]}.dtype == {scope.constant(leaves(arguments)[-1].dtype)}"] if names else []
    call = f"{scope.constant(function)}({', '.join(names)})"
    return scope.function("arguments", f"{call} if {' and '.join(tests)} else None")


def flattener_for(arguments: tuple[Any, ...], kept: Any) -> Callable[[Any], list[Any] | None]:
    """Return a function that flattens arguments of the signature of these ones, and returns None of others.

    If *kept* is not None, the first argument has to consist of exactly the arrays of *kept*, which are left out.
    """
    scope = _Expression()
    names: list[str] = []

    def is_alike(name: str, array: Any) -> Iterator[str]:
        a = f"a{len(names)}"
        names.append(a)
        yield f"type({a} := {name}) is {scope.constant(type(array))}"
        yield f"{a}.shape == {array.shape}"
        yield f"{a}.dtype == {scope.constant(array.dtype)}"
        yield f"{scope.constant(memory_order)}({a}) == {memory_order(array)}"

    tests = [f"len(arguments) == {len(arguments)}"]
    for i, argument in enumerate(arguments):
        if i == 0 and kept is not None:
            tests += scope.tests("arguments[0]", kept, scope.is_same)
        else:
            tests += scope.tests(f"arguments[{i}]", argument, is_alike)
    return scope.function("arguments", f"[{', '.join(names)}] if {' and '.join(tests)} else None")
