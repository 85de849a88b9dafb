"""Long runs of elementwise operations over large vectors in one pass, where numba is installed.

An optimizer's update is a dozen NumPy passes over vectors that do not fit the cache; one compiled loop reads and
writes each number once. It applies the same IEEE operations in the same order, without fused multiply-add or
reassociation, so the numbers are those of NumPy, bit for bit. Functions whose last bit depends on the library (exp,
tanh, ...) are left to NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from xpnet_backends.on_numpy.graph import operands, root
from xpnet_backends.on_numpy.tracing import Node

__all__ = ["expression", "fusable", "groups", "kernel"]

MIN_SIZE = 32768
"""Elements from which a vector leaves the first cache; below, NumPy's own passes are as fast."""

MIN_OPERATIONS = 4
"""Operations from which a kernel is worth the half second that compiling it takes."""

EXPRESSIONS = {
    np.add: "{} + {}",
    np.subtract: "{} - {}",
    np.multiply: "{} * {}",
    np.divide: "{} / {}",
    np.negative: "-{}",
    np.sqrt: "sqrt({})",
    np.bitwise_xor: "{} ^ {}",
    np.bitwise_and: "{} & {}",
    np.right_shift: "{} >> {}",
}
TYPES = ("float32", "float64", "uint32")


@cache
def available() -> bool:
    """Say whether numba can be had, without importing it."""
    return find_spec("numba") is not None


def fusable(node: Node) -> bool:
    """Say whether a node is an exact elementwise operation over a large vector and numbers."""
    value = node.value
    if node.kind != "ufunc" or node.function not in EXPRESSIONS or value.size < MIN_SIZE:
        return False
    return value.dtype.name in TYPES and all(_fits(arg, value) for arg in node.args)


def _fits(arg: Any, value: np.ndarray[Any, Any]) -> bool:
    if not isinstance(arg, Node):
        if isinstance(arg, np.ndarray | np.generic):
            return arg.ndim == 0 and arg.dtype == value.dtype
        return type(arg) is int or (type(arg) is float and value.dtype.kind == "f")
    if arg.value.dtype != value.dtype:
        return False
    whole = arg.value.shape == value.shape and arg.kind != "view" and arg.kind != "call"
    return whole or arg.value.size == 1


def groups(nodes: list[Node], fixed: Callable[[Node], bool]) -> tuple[list[Node], list[list[Node]]]:
    """Gather fusable nodes of one size: return the nodes in an order that keeps each group together, and the groups.

    A group runs where its last member stood, or earlier, just before something else needs one of its values.
    *fixed* says whether a node's memory is known when the plan is written.
    """
    order: list[Node] = []
    found: list[list[Node]] = []
    group: list[Node] = []
    inside: set[int] = set()

    def close() -> None:
        if len(group) >= MIN_OPERATIONS:
            found.append(list(group))
        order.extend(group)
        group.clear()
        inside.clear()

    for node in nodes:
        joins = fusable(node) and all(fixed(operand) for operand in operands(node))
        if joins and group and group[0].value.shape != node.value.shape:
            close()
        if joins:
            group.append(node)
            inside.add(id(node))
            continue
        if inside & _reads(node):
            close()
        order.append(node)
    close()
    return order, found


def _reads(node: Node) -> set[int]:
    """Return the memory that a node reads, through views."""
    return {id(root(operand)) for operand in operands(node)}


def expression(node: Node, names: list[str]) -> str:
    """Return a node's operation on named numbers, rounded to its own type."""
    return f"{node.value.dtype.name}({EXPRESSIONS[node.function].format(*names)})"


def kernel(lines: list[str], vectors: list[str], numbers: list[str]) -> Callable[..., Any]:
    """Compile ``kernel(*vectors, *numbers)``, which runs *lines* for each element ``i``."""
    from numba import njit

    head = [f"def kernel({', '.join([*vectors, *numbers])}):"]
    head += [f"    {name}_ = {name}[0]" for name in numbers]
    body = [f"        {line}" for line in lines]
    source = "\n".join([*head, f"    for i in range({vectors[0]}.size):", *body])
    scope: dict[str, Any] = {"sqrt": np.sqrt, **{name: getattr(np, name) for name in TYPES}}
    exec(compile(source, "<xpnet kernel>", "exec"), scope)
    compiled: Callable[..., Any] = njit(error_model="numpy", nogil=True)(scope["kernel"])
    return compiled
