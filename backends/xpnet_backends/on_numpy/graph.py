"""Answers about recorded nodes: which are needed, whose memory they share, how long their values are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet_backends.on_numpy.tracing import Host, Node

__all__ = ["in_place_targets", "is_reshape_of", "join_slices", "last_uses", "needed", "root"]


def needed(nodes: list[Node], results: list[Any]) -> list[Node]:
    """Return the nodes that the results depend on, in order."""
    wanted = {id(result) for result in results if isinstance(result, Node)}
    for node in reversed(nodes):
        if id(node) in wanted:
            wanted.update(id(operand) for operand in node.operands)
    return [node for node in nodes if id(node) in wanted or node.kind == "input"]


def root(node: Node) -> Node:
    """Return the node that owns the memory of *node*: the array of which it is a view, or itself."""
    while node.kind == "view":
        node = node.args[0]
    return node


def last_uses(nodes: list[Node], results: list[Any]) -> dict[int, int]:
    """Return, by the node that owns memory, the last position at which it is read."""
    last: dict[int, int] = {}
    for i, node in enumerate(nodes):
        last.setdefault(id(root(node)), i)
        for operand in node.operands:
            for memory in _memories(operand):
                last[id(memory)] = i
    for result in results:
        if isinstance(result, Node):
            for memory in _memories(result):
                last[id(memory)] = len(nodes)
    return last


def _memories(node: Node) -> set[Node]:
    """Return the nodes that may own a value's memory: a NumPy function may return a view of any argument."""
    base = root(node)
    if base.kind != "call":
        return {base}
    return {base}.union(*(_memories(operand) for operand in base.operands))


def in_place_targets(
    successors: list[Any], donated_buffers: list[Host], last_use: dict[int, int], position: dict[int, int]
) -> dict[int, int]:
    """Return the nodes that may be computed in a donated array's buffer, with its index.

    They are the end of the chain of elementwise operations that leads from the donated array to its successor, the
    result that takes its place.
    """
    target: dict[int, int] = {}
    for i, node in enumerate(successors):
        while isinstance(node, Node) and node.kind == "ufunc" and id(node) not in target:
            if node.value.shape != donated_buffers[i].shape or node.value.dtype != donated_buffers[i].dtype:
                break
            target[id(node)] = i
            before = [
                operand
                for operand in node.operands
                if operand.kind in ("ufunc", "input")
                and operand.value.shape == node.value.shape
                and last_use[id(operand)] == position[id(node)]
            ]
            node = before[0] if before else None
    return target


def join_slices(node: Node, array: Host) -> list[Host]:
    """Return the slices of a join's array that its parts fill."""
    places, start = [], 0
    for part in node.args:
        value = part.value if isinstance(part, Node) else np.asarray(part)
        place = array[start : start + max(value.size, 0)]
        places.append(place.reshape(value.shape))
        start += value.size
    return places


def is_reshape_of(part: Node, maker: Node) -> bool:
    """Say whether a part is its maker's whole array, at most reshaped."""
    while part is not maker:
        if part.function is not np.reshape:
            return False
        part = part.args[0]
    return True
