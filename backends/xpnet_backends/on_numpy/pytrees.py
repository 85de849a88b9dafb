"""Functions about one structure of arrays, written out as Python: they are called at every run of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xpnet_backends.on_numpy.signatures import form
from xpnet_backends.on_numpy.tracing import Traced, map_leaves

__all__ = ["building", "leaves", "matching"]


def leaves(tree: Any) -> list[Any]:
    """Return the arrays in nested tuples, lists and mappings, in order."""
    found: list[Any] = []
    map_leaves(found.append, tree)
    return found


class _Expression:
    """A function of one argument that is one expression, and the values that it names."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def constant(self, value: Any) -> str:
        """Return the name of a value."""
        name = f"k{len(self.values)}"
        self.values[name] = value
        return name

    def is_same(self, name: str, array: Any) -> Iterator[str]:
        """Write the test whether what is named is this array."""
        yield f"{name} is {self.constant(array)}"

    def tests(self, name: str, tree: Any, of_array: Callable[[str, Any], Iterator[str]]) -> Iterator[str]:
        """Write the tests whether what is named has this structure, with those of its arrays."""
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
        """Write what makes this structure anew, with its arrays as *leaf* writes them."""
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


def building(rest: Any, kept: Any) -> Callable[[tuple[Any, ...]], Any]:
    """Return what gives a plan's outputs the structure of its function's result.

    The arrays of *kept* come first, in new containers, as the caller may change those; with *rest* None they are the
    result. Of *rest* the structure alone is taken: recorded arrays would hold every value of the recording in memory.
    """
    scope, outputs = _Expression(), iter(range(len(leaves(rest))))

    def output(leaf: Any) -> str:
        return f"outputs[{next(outputs)}]"

    if kept is None:
        return scope.function("outputs", scope.written(rest, output))
    first = scope.written(kept, scope.constant)
    others = None if rest is None else "".join([f"{scope.written(item, output)}, " for item in rest])
    return scope.function("outputs", first if others is None else f"({first}, {others})")


def matching(arguments: tuple[Any, ...], kept: Any) -> Callable[[Any], list[Any] | None]:
    """Return what collects the arrays of other arguments, if they have these ones' signature; else it gives None.

    The first one has to be *kept*, with these very arrays in it, if that is not None; it is not collected.
    """
    scope = _Expression()
    names: list[str] = []

    def is_alike(name: str, array: Any) -> Iterator[str]:
        a = f"a{len(names)}"
        names.append(a)
        yield f"type({a} := {name}) is {scope.constant(type(array))}"
        yield f"{a}.shape == {array.shape}"
        yield f"{a}.dtype == {scope.constant(array.dtype)}"
        yield f"{scope.constant(form)}({a}) == {form(array)}"

    tests = [f"len(arguments) == {len(arguments)}"]
    for i, argument in enumerate(arguments):
        if i == 0 and kept is not None:
            tests += scope.tests("arguments[0]", kept, scope.is_same)
        else:
            tests += scope.tests(f"arguments[{i}]", argument, is_alike)
    return scope.function("arguments", f"[{', '.join(names)}] if {' and '.join(tests)} else None")
