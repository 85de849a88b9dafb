"""Decide which recorded operations are fused: run together in one compiled pass over the rows of an array.

A group is a run of operations on arrays of one shape, read as a table of *rows* and *columns*. Beside the table's own
elements, an operation may take numbers, one value a column (a bias), or one value a row (a row's maximum). It may
reduce each row to its sum or maximum, which later operations of the group can use, or sum down the columns, for use
outside the group. :mod:`kernels` writes the loops.

exp joins a group only where the compiler vectorizes its loop: in tables of many columns, or in a *flat* group, which
treats a table as one long vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np

from xpnet_backends.on_numpy.graph import root
from xpnet_backends.on_numpy.tracing import Node

__all__ = [
    "EXPRESSIONS",
    "FLOATS",
    "TYPES",
    "UNROLLED_COLUMNS",
    "Group",
    "find_groups",
    "is_argmax",
    "is_column_sum",
    "is_row_reduction",
    "role",
]

EXPRESSIONS = {
    np.add: "{} + {}",
    np.subtract: "{} - {}",
    np.multiply: "{} * {}",
    np.divide: "{} / {}",
    np.negative: "-{}",
    np.absolute: "abs({})",
    np.sqrt: "sqrt({})",
    np.maximum: "maximum({}, {})",
    np.minimum: "minimum({}, {})",
    np.greater: "{} > {}",
    np.greater_equal: "{} >= {}",
    np.less: "{} < {}",
    np.less_equal: "{} <= {}",
    np.equal: "{} == {}",
    np.exp: "exp({})",
    np.bitwise_xor: "{} ^ {}",
    np.bitwise_and: "{} & {}",
    np.right_shift: "{} >> {}",
}
"""Operations that IEEE 754 or integer arithmetic define to the last bit, and exp, which :mod:`exponential` computes as
NumPy does; tanh, log and others are left to NumPy."""

FLOATS = tuple(map(np.dtype, ("float32", "float64")))
TYPES = (*FLOATS, *map(np.dtype, ("uint32", "int32", "int64", "bool")))
"""The dtypes that kernels can use, in native byte order."""

CALL_NS, ELEMENT_NS, STRIP_NS, KERNEL_CALL_NS, KERNEL_ELEMENT_NS = 400, 0.15, 13, 1200, 0.1
"""Rough costs in ns: a NumPy operation, each element of it, each short inner loop of it; a kernel, each element of an
operation in it. Measured on an AVX-512 processor; they only decide whether fusing pays."""

EXP_ELEMENTS, REDUCED_ELEMENTS = 5, 4
"""An element of exp, and of a row that is reduced, takes as long as so many of another operation."""

MIN_GAIN = 1000
"""A group has to save so many ns."""

UNROLLED_COLUMNS = 16
"""Up to so many columns, their number is part of the kernel's source, so that the compiler unrolls the loop."""

MIN_VECTOR_COLUMNS = 32
"""From so many columns on, the compiler vectorizes an exp along a row."""

LONG_COLUMNS = 64
"""From so many columns on, NumPy's inner loop along a row is no longer short."""


class Group:
    """Operations that one kernel will do, in order, on tables of one shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.members: list[Node] = []
        self.inside: set[int] = set()
        self.column_sums: set[int] = set()
        self.flat = True
        self.has_exp = False

    def add(self, node: Node) -> None:
        """Take an operation in."""
        self.members.append(node)
        self.inside.add(id(node))
        self.flat = self.flat and is_flat(node, self.shape)
        self.has_exp = self.has_exp or is_exp(node)
        if is_column_sum(node, self.shape):
            self.column_sums.add(id(node))

    def vectorizes(self, node: Node) -> bool:
        """Whether the compiler vectorizes the group's loop with this node, which matters only for exp."""
        wide = len(self.shape) == 1 or self.shape[-1] >= MIN_VECTOR_COLUMNS
        return wide or not (self.has_exp or is_exp(node)) or (self.flat and is_flat(node, self.shape))

    @property
    def pays(self) -> bool:
        """Whether one kernel is likely to take less time than NumPy's operations one by one."""
        separate = sum(_cost(node) for node in self.members)
        return (len(self.members) > 1 or self.has_exp) and separate - KERNEL_CALL_NS - self.work > MIN_GAIN

    @property
    def work(self) -> float:
        """The ns that the kernel's loops take."""
        return sum(KERNEL_ELEMENT_NS * _elements(node) for node in self.members)


def _widest(node: Node) -> tuple[int, ...]:
    """Return the largest shape among an operation's result and operands."""
    shapes: list[tuple[int, ...]] = [part.value.shape for part in (node, *node.operands)]
    return max(shapes, key=prod)


def _cost(node: Node) -> float:
    """Estimate the ns that NumPy takes for one operation."""
    shape = _widest(node)
    uneven = any(part.value.size > 1 and part.value.shape != shape for part in (node, *node.operands))
    strips = prod(shape[:-1]) if shape[-1] < LONG_COLUMNS and (uneven or node.kind == "reduce") else 0
    return CALL_NS + ELEMENT_NS * _elements(node) + STRIP_NS * strips


def _elements(node: Node) -> int:
    """Return the number of elements of an operation, weighted by their cost."""
    reduces = node.kind != "ufunc" and is_row_reduction(node, _widest(node))
    return prod(_widest(node)) * (EXP_ELEMENTS if is_exp(node) else REDUCED_ELEMENTS if reduces else 1)


def role(value: np.ndarray[Any, Any], shape: tuple[int, ...]) -> str | None:
    """Return the role of an array in a group of this shape: "table", "number", "row value", "column value", or None.

    >>> role(np.zeros((5, 3)), (5, 3)), role(np.zeros(3), (5, 3)), role(np.zeros((5, 1)), (5, 3))
    ('table', 'column value', 'row value')
    """
    if value.shape == shape and value.size > 1:
        return "table"
    if value.size == 1:
        return "number"
    if len(shape) > 1 and value.shape == (*shape[:-1], 1):
        return "row value"
    if len(shape) > 1 and value.shape in (shape[-1:], (*(1 for _ in shape[:-1]), shape[-1])):
        return "column value"
    return None


def is_exp(node: Node) -> bool:
    """Say whether a node is exp."""
    return node.function is np.exp


def is_flat(node: Node, shape: tuple[int, ...]) -> bool:
    """Say whether an operation on tables of this shape treats them as one vector, without regard to their columns."""
    if node.kind not in ("ufunc", "astype", "where"):
        return False
    return all(role(part, shape) in ("table", "number") for part in _arrays(node))


def is_row_reduction(node: Node, shape: tuple[int, ...]) -> bool:
    """Say whether a node reduces each row of a table to its sum, its maximum or, in short rows, its argmax."""
    known = node.function in (np.add, np.maximum) if node.kind == "reduce" else is_argmax(node)
    if not known or len(shape) < 2 or node.args[0].value.shape != shape:
        return False
    return node.options.get("axis") in (-1, len(shape) - 1, (-1,), (len(shape) - 1,))


def is_argmax(node: Node) -> bool:
    """Say whether a node is an argmax of rows of a few columns."""
    if node.kind != "call" or node.function is not np.argmax or len(node.args) != 1:
        return False
    return isinstance(node.args[0], Node) and node.args[0].value.shape[-1:] <= (UNROLLED_COLUMNS,)


def is_column_sum(node: Node, shape: tuple[int, ...]) -> bool:
    """Say whether a node sums each column of a table of several columns: NumPy adds the rows one after the other."""
    if node.kind != "reduce" or node.function is not np.add or len(shape) != 2 or shape[1] < 2:
        return False
    return node.args[0].value.shape == shape and node.options["axis"] in (0, (0,))


def fits(node: Node, shape: tuple[int, ...], has_fixed_address: Callable[[Node], bool]) -> bool:
    """Say whether a node can be computed in a pass over tables of this shape."""
    if shape[1:] and shape[-1] == 1:
        return False  # tables of one column, whose values a row are tables themselves
    if any(part.dtype not in TYPES for part in _arrays(node)):
        return False
    if is_row_reduction(node, shape) or is_column_sum(node, shape):
        return node.args[0].value.dtype in FLOATS and _is_readable(node.args[0], shape, has_fixed_address)
    if role(node.value, shape) not in ("table", "row value") or not _is_exact(node):
        return False
    return all(_is_readable(arg, shape, has_fixed_address) for arg in node.args)


def _is_exact(node: Node) -> bool:
    """Say whether a kernel computes the operation to the bit."""
    if node.kind == "ufunc":
        kinds = {part.dtype for part in _arrays(node) if part.dtype.char != "?"}
        if is_exp(node) and kinds != {np.dtype("float32")}:
            return False
        return node.function in EXPRESSIONS and len(kinds) <= 1 and _shifts_within_words(node)
    if node.kind == "astype":
        return node.value.dtype in FLOATS
    return node.kind == "where"


def _shifts_within_words(node: Node) -> bool:
    """Say whether a node is no shift, or one by constant counts below the word's bits: only NumPy defines others."""
    if node.function is not np.right_shift:
        return True
    count = node.args[1]
    bits = 8 * node.value.dtype.itemsize
    return not isinstance(count, Node) and bool(np.all((np.asarray(count) >= 0) & (np.asarray(count) < bits)))


def _arrays(node: Node) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the arrays of an operation: its result, its operands, its constants but for plain numbers."""
    yield node.value
    for arg in node.args:
        if isinstance(arg, Node):
            yield arg.value
        elif not isinstance(arg, int | float) or isinstance(arg, np.generic):
            yield np.asarray(arg)


def _is_readable(arg: Any, shape: tuple[int, ...], has_fixed_address: Callable[[Node], bool]) -> bool:
    """Say whether a kernel can read an argument: a table at a fixed address, or smaller values, which can be copied."""
    if not isinstance(arg, Node):
        return type(arg) in (int, float) or role(np.asarray(arg), shape) is not None
    found = role(arg.value, shape)
    if found == "table":
        return has_fixed_address(arg) and arg.value.flags.c_contiguous
    return found is not None


def with_early_reductions(nodes: list[Node]) -> list[Node]:
    """Return the nodes with each sum or maximum of a table right after the table, so that one pass can do both."""
    made = {id(node) for node in nodes if node.kind != "input"}
    followers: dict[int, list[Node]] = {}
    for node in nodes:
        maker = node.args[0] if node.args else None
        if isinstance(maker, Node) and id(maker) in made and maker is root(maker):
            shape = maker.value.shape
            if is_column_sum(node, shape) or is_row_reduction(node, shape):
                followers.setdefault(id(maker), []).append(node)
    moved = {id(node) for nodes in followers.values() for node in nodes}
    order: list[Node] = []
    waiting = [node for node in reversed(nodes) if id(node) not in moved]
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += reversed(followers.get(id(node), ()))  # which may be followed by others
    return order


def find_groups(
    nodes: list[Node], has_fixed_address: Callable[[Node], bool], exp: bool = True
) -> tuple[list[Node], list[Group]]:
    """Return the nodes in an order that keeps each group together, and the groups that pay.

    *has_fixed_address* says whether a node's address is known when the plan is written, *exp* whether kernels compute
    exp as NumPy does.
    """
    idle: set[int] = set()
    while True:
        order, found = _form_groups(nodes, has_fixed_address, exp, idle)
        # A vector closes a table's group for its own sake, so only where its own group pays.
        vain = {id(node) for group in found if len(group.shape) == 1 and not group.pays for node in group.members}
        if vain <= idle:
            return order, [group for group in found if group.pays]
        idle |= vain


def _form_groups(
    nodes: list[Node], has_fixed_address: Callable[[Node], bool], exp: bool, idle: set[int]
) -> tuple[list[Node], list[Group]]:
    """Form groups, whether they pay or not.

    One group is open at a time. An operation that depends on the open group but cannot join it is deferred until the
    group is closed. The group is closed when a new table depends on a deferred operation; when another group can begin
    with a table, or with a vector no smaller than the open group's table; or with any vector that does not depend on
    the open group, unless the node is in *idle*.
    """
    order: list[Node] = []
    found: list[Group] = []
    group: Group | None = None
    deferred: list[Node] = []
    deferred_ids: set[int] = set()

    def close() -> None:
        nonlocal group
        if group is not None:
            found.append(group)
            order.extend((*group.members, *deferred))
        group = None
        deferred.clear()
        deferred_ids.clear()

    for node in with_early_reductions(nodes):
        reads = {id(root(operand)) for operand in node.operands}
        late = bool(reads & deferred_ids)
        exact = exp or not is_exp(node)
        if (
            group is not None
            and exact
            and not late
            and _joins(node, group, has_fixed_address)
            and (not deferred or reads & group.inside)
        ):
            group.add(node)
            continue
        start = _table_shape(node, has_fixed_address) if exact else None
        depends = late or (group is not None and bool(reads & group.inside))
        if group is not None and start is not None and _closes(start, group, depends or id(node) in idle):
            close()
        if group is None and start is not None:
            group = Group(start)
            group.add(node)
        elif group is not None and depends:
            deferred.append(node)
            deferred_ids.add(id(root(node)))
        else:
            order.append(node)
    close()
    return order, found


def _closes(start: tuple[int, ...], group: Group, depends: bool) -> bool:
    """Say whether an open group is closed so that another can begin with tables, or a vector, of this shape."""
    return len(start) > 1 or prod(start) >= prod(group.shape) or not depends


def _joins(node: Node, group: Group, has_fixed_address: Callable[[Node], bool]) -> bool:
    reads = node.operands
    if any(id(root(operand)) in group.column_sums for operand in reads):
        return False
    if any(id(root(operand)) in group.inside and id(operand) not in group.inside for operand in reads):
        return False  # a view of what is being computed
    if any(id(operand) in group.inside and role(operand.value, group.shape) == "column value" for operand in reads):
        return False  # a value of each row, in a square table, that is to stand for a value of each column
    if not group.vectorizes(node):
        return False
    table = role(node.value, group.shape) == "table" or node.kind in ("reduce", "call")
    if not table and not any(id(operand) in group.inside for operand in reads):
        return False

    def known(operand: Node) -> bool:
        return id(operand) in group.inside or has_fixed_address(operand)

    return fits(node, group.shape, known)


def _table_shape(node: Node, has_fixed_address: Callable[[Node], bool]) -> tuple[int, ...] | None:
    """Return the table shape of a group that begins with this node; None if none can."""
    if node.kind == "input":
        return None
    shape: tuple[int, ...] = node.args[0].value.shape if node.kind == "reduce" or is_argmax(node) else node.value.shape
    return shape if prod(shape) > 1 and fits(node, shape, has_fixed_address) else None
