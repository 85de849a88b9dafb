"""The names in a written function: of values, of arrays that exist when it is written, and of functions."""

from __future__ import annotations

from operator import getitem
from typing import Any

import numpy as np

from xpnet_backends.on_numpy.memory import Store
from xpnet_backends.on_numpy.tracing import Host, Node, NotTraceable, nodes_in

__all__ = ["Names"]

METHODS = (np.take, np.argmax, np.argmin, np.reshape)
"""Functions that are faster as methods of their first argument, which always is an array."""


class Names:
    """The names that the function's source uses, and what they refer to.

    Attributes
    ----------
    values : dict
        Arrays and functions by name: the globals of the written function.
    stores : dict
        By node, where its value is stored.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"copyto": np.copyto}
        self.stores: dict[int, Store] = {}
        self._names: dict[int, str] = {}
        self._constants: dict[int, str] = {}

    def assign(self, node: Node, store: Store, name: str | None = None) -> None:
        """Note where a node's value is stored, and its name if it is not the store's."""
        self.stores[id(node)] = store
        self._names[id(node)] = name or store.name

    def of(self, node: Node) -> str:
        """Return a node's name."""
        return self._names[id(node)]

    def constant(self, value: Any) -> str:
        """Return the global name of *value*: a function's own, else a letter and a number."""
        known = self._constants.get(id(value))
        if known is not None:
            return known
        owner = getattr(getattr(value, "__self__", None), "__name__", "")
        own = f"{owner}_{value.__name__}".strip("_") if callable(value) and hasattr(value, "__name__") else ""
        name = (
            own
            if own and own not in self.values
            else f"{'a' if isinstance(value, np.ndarray) else 'k'}{len(self.values)}"
        )
        self._constants[id(value)] = name
        self.values[name] = value
        return name

    def array_of(self, node: Node) -> Host | None:
        """Return the node's array if it exists now."""
        return self.array(self.of(node))

    def array(self, name: str) -> Host | None:
        """Return the array of a name, if it exists now."""
        found = self.values.get(name)
        return found if isinstance(found, np.ndarray) else None

    def operand(self, arg: Any, dtypes: set[Any]) -> str:
        """Return an argument's name; a number becomes a 0-d array of the other operands' dtype, which is faster."""
        if isinstance(arg, Node):
            return self.of(arg)
        if isinstance(arg, int | float) and not isinstance(arg, np.generic) and len(dtypes) == 1:
            dtype = next(iter(dtypes))
            if _is_of(arg, dtype):
                arg = np.asarray(arg, dtype=dtype)
        return self.constant(arg)

    def call_expression(self, node: Node) -> str:
        """Return the source of the call that was recorded."""
        arguments = [self._expression(arg) for arg in node.args]
        if node.function is getitem:
            return f"{arguments[0]}[{arguments[1]}]"
        if node.function is np.matrix_transpose:
            return f"{arguments[0]}.mT"
        arguments += [f"{name}={self._expression(value)}" for name, value in node.options.items()]
        if node.function in METHODS:
            return f"{arguments[0]}.{node.function.__name__}({', '.join(arguments[1:])})"
        return f"{self.constant(node.function)}({', '.join(arguments)})"

    def _expression(self, arg: Any) -> str:
        if isinstance(arg, Node):
            return self.of(arg)
        if isinstance(arg, list | tuple):
            return f"[{', '.join(self._expression(item) for item in arg)}]" if nodes_in(arg) else self.constant(arg)
        if isinstance(arg, dict):
            raise NotTraceable("a function takes a mapping")
        return self.constant(arg)


def _is_of(number: Any, dtype: Any) -> bool:
    """Say whether NumPy converts a Python number to this dtype."""
    if dtype.kind == "f":
        return not isinstance(number, bool)
    return type(number) is int and dtype.kind in "iu" and np.iinfo(dtype).min <= number <= np.iinfo(dtype).max
