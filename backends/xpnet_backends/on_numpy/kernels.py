"""Write the kernel of a group of fused operations, loops in Python's syntax that :mod:`compiler` compiles.

A kernel is one pass over the rows of a table, or over a flat table as one vector. It does the same IEEE operations in
the same order as NumPy, without reassociation or fused multiply-add (except in exp, as NumPy), and sums a row in
NumPy's own order, so the numbers are NumPy's bit for bit; only the sign of a zero may differ. What needs the result of
a row's reduction is a second pass over that row, which is then in the L1 cache. Only small numbers of columns are part
of a kernel's text, so networks of other sizes share its compiled code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import exponential, team
from xpnet_backends.on_numpy.compiler import ParsedFunction, pointer, sqrt
from xpnet_backends.on_numpy.fusing import (
    EXPRESSIONS,
    UNROLLED_COLUMNS,
    Group,
    is_argmax,
    is_column_sum,
    is_row_reduction,
    role,
)
from xpnet_backends.on_numpy.native import Location, NativeCall
from xpnet_backends.on_numpy.tracing import Node

__all__ = ["KernelSource", "kernel_call"]

STRAIGHT = 8
"""Elements that NumPy's pairwise sum adds one after the other (``pairwise_sum`` in NumPy's loops)."""


class KernelSource:
    """The source of one group's kernel, and what it reads and writes.

    Attributes
    ----------
    text : str
        ``kernel(rows, columns, *arrays)``. A vector's elements count as rows, as do those of a table that is treated
        as one; the name of another table stands for its current row.
    divisible : bool
        Whether several threads can share the rows: not where columns are summed, which is in NumPy's order.
    reads : list of (argument, role)
        The nodes and constants that it reads, in the order of their arrays.
    writes : list of (Node, role)
        The results that are read outside the group; their arrays follow those of ``reads``.
    last_read, written : dict
        By node, the pass over a row in which its table is last read, or is written.
    scratch : list of dtype
        Buffers of one row, for values that a later pass over the same row needs; their arrays come last.
    """

    def __init__(self, group: Group, is_read_outside: Callable[[Node], bool]) -> None:
        self.shape = group.shape
        self.flat = group.flat
        self.reads: list[tuple[Any, str]] = []
        self.writes: list[tuple[Node, str]] = []
        self.scratch: list[Any] = []
        self.last_read: dict[int, int] = {}
        self.written: dict[int, int] = {}
        self._group, self._is_read_outside = group, is_read_outside
        self._pass: dict[int, int] = {}
        self._loops: list[list[str]] = [[]]
        self._before: list[list[str]] = [[]]
        self._after: list[list[str]] = [[]]
        self._stores: list[list[str]] = [[]]  # after everything that a loop reads, as a result may overwrite an operand
        self._names: dict[Any, str] = {}
        self._head: list[str] = []
        self._stored: dict[int, str] = {}
        self._largest: dict[int, str] = {}  # the maxima of rows, by table
        for node in group.members:
            self._assign_pass(node)
        self._needed_later = self._find_needed_later()
        for k, node in enumerate(group.members):
            self._write(k, node)
        self.divisible = not group.column_sums
        self.text = self._assemble()

    def alias(self, result: int, read: int) -> None:
        """Name a result that overwrites an operand as the operand: two names would count as overlapping."""
        text = re.sub(rf"\br{result}\b", f"a{read}", self.text)
        head, _, body = text.partition("\n")
        names = dict.fromkeys(re.findall(r"\w+", head)[2:])
        self.text = f"def kernel({', '.join(names)}):\n{body}"

    # Passes over a row

    def _ready_pass(self, arg: Any) -> int:
        """Return the first pass in which an argument can be read."""
        return self._pass.get(id(arg), 0)

    def _assign_pass(self, node: Node) -> None:
        """Assign a node to the first pass that can compute it; the next pass can read a row reduction's result."""
        first = max((self._ready_pass(operand) for operand in node.operands), default=0)
        self._pass[id(node)] = first + 1 if is_row_reduction(node, self.shape) else first
        while len(self._loops) <= self._pass[id(node)]:
            for lines in (self._before, self._loops, self._stores, self._after):
                lines.append([])

    def _find_needed_later(self) -> set[int]:
        """Return the tables of the group that are read in a later pass, or by whole rows."""
        found: set[int] = set()
        for node in self._group.members:
            now = self._pass[id(node)] - is_row_reduction(node, self.shape)
            for operand in node.operands:
                late = self._pass.get(id(operand), now) < now or self._reads_whole_rows(node)
                if late and id(operand) in self._group.inside and role(operand.value, self.shape) == "table":
                    found.add(id(operand))
        return found

    def _reads_whole_rows(self, node: Node) -> bool:
        """Say whether a node has an own loop over each row: for a pairwise sum, or for an argmax."""
        if not is_row_reduction(node, self.shape):
            return False
        return is_argmax(node) or (node.function is np.add and self.columns >= STRAIGHT)

    # One operation

    def _write(self, k: int, node: Node) -> None:
        phase = self._pass[id(node)]
        if is_row_reduction(node, self.shape):
            self._write_row_reduction(k, node, phase - 1)
            if self._is_read_outside(node):
                self._after[phase - 1].append(f"{self._new_result(node, 'row value')}[i] = t{k}")
        elif is_column_sum(node, self.shape):
            into = self._new_result(node, "column value")
            self._head += ["for j in range(columns):", f"    {into}[j] = 0"]
            self._loops[phase].append(f"{into}[j] += {self._read(node.args[0], phase)}")
        elif role(node.value, self.shape) == "table":
            self._loops[phase].append(f"t{k} = {self._expression(node, phase)}")
            self._names[id(node)] = f"t{k}"
            if self._is_read_outside(node):
                into = self._new_result(node, "table")
                self.written[id(node)] = phase
                self._stored[id(node)] = into
                self._stores[phase].append(f"{into}[j] = t{k}")
            elif id(node) in self._needed_later:
                name = f"s{len(self.scratch)}"
                self.scratch.append(node.value.dtype)
                self._stored[id(node)] = name
                self._loops[phase].append(f"{name}[j] = t{k}")
        else:
            self._before[phase].append(f"t{k} = {self._expression(node, phase)}")
            self._names[id(node)] = f"t{k}"
            if self._is_read_outside(node):
                self._before[phase].append(f"{self._new_result(node, 'row value')}[i] = t{k}")

    def _write_row_reduction(self, k: int, node: Node, phase: int) -> None:
        """Write a row's maximum, argmax or sum; sums of 8 elements or more are pairwise, as NumPy's."""
        self._names[id(node)] = f"t{k}"
        operand = node.args[0]
        if self._reads_whole_rows(node):
            read = self._read(operand, phase)
            held = self._stored.get(id(operand)) or read.partition("[")[0]
            # A table from outside is read before the loop, which may write over it.
            inside = id(operand) in self._group.inside
            place = self._after if inside else self._before
            if is_argmax(node):
                largest = self._largest.get(id(operand)) if inside else None
                place[phase] += _argmax(f"t{k}", f"{held}[j]", operand.value.dtype.name, self.columns, largest)
                return
            small = self.columns <= UNROLLED_COLUMNS
            total = _unrolled_sum(held, self.columns) if small else f"pairwise_sum({held}, 0, columns)"
            place[phase].append(f"t{k} = {total}")
            return
        start, step = ("-inf", "maximum(t{k}, {})") if node.function is np.maximum else ("0", "t{k} + {}")
        if node.function is np.maximum:
            self._largest[id(operand)] = f"t{k}"
        kind = node.value.dtype.name
        self._before[phase].append(f"t{k} = {kind}({start})")
        self._loops[phase].append(f"t{k} = {kind}({step.format(self._read(operand, phase), k=k)})")

    def _expression(self, node: Node, phase: int) -> str:
        kind = node.value.dtype.name
        names = [self._read(arg, phase, self._kind_of_constant(node, arg)) for arg in node.args]
        if node.kind == "where":
            return f"{kind}({names[1]}) if {names[0]} else {kind}({names[2]})"
        if node.kind == "astype":
            return f"{kind}({names[0]})"
        return f"{kind}({EXPRESSIONS[node.function].format(*names)})"

    def _kind_of_constant(self, node: Node, arg: Any) -> Any:
        """Return the dtype that an operation gives a constant: 0.5 beside integers stays 0.5."""
        if isinstance(arg, Node) or node.kind == "where":
            return node.value.dtype
        return np.result_type(*(operand.value.dtype for operand in node.operands), arg)

    # Names

    def _read(self, arg: Any, phase: int, dtype: Any = None) -> str:
        """Return the name of an argument in this pass."""
        if isinstance(arg, Node) and id(arg) in self._group.inside:
            if role(arg.value, self.shape) == "table" and self._pass[id(arg)] < phase:
                held = self._stored[id(arg)]
                return f"{held}[j]"
            return self._names[id(arg)]
        number = not isinstance(arg, Node | np.ndarray)  # an array's repr leaves out digits, and elements
        what = (type(arg).__name__, repr(arg)) if number else id(arg)
        key = id(arg) if isinstance(arg, Node) else (what, str(dtype))  # one constant may be read in two types
        if key not in self._names:
            # A constant is read row after row, whatever its own order in memory.
            value = arg.value if isinstance(arg, Node) else np.asarray(arg, dtype=dtype, order="C")
            found = role(value, self.shape) or "number"
            self._names[key] = self._new_operand(arg if isinstance(arg, Node) else value, found)
        if isinstance(arg, Node):
            self.last_read[id(arg)] = max(phase, self.last_read.get(id(arg), 0))
        return self._names[key]

    def _new_operand(self, arg: Any, found: str) -> str:
        name = f"a{len(self.reads)}"
        self.reads.append((arg, found))
        truth = " != 0" if (arg.value if isinstance(arg, Node) else arg).dtype == bool else ""
        if found == "number":
            self._head.append(f"{name}_ = {name}[0]{truth}")
            return f"{name}_"
        element = f"{name}[i]" if found == "row value" else f"{name}[j]"
        return f"({element}{truth})" if truth else element

    def _new_result(self, node: Node, found: str) -> str:
        name = f"r{len(self.writes)}"
        self.writes.append((node, found))
        return name

    # The whole

    @property
    def columns(self) -> int:
        """Elements of a row."""
        return self.shape[-1]

    @property
    def rows(self) -> int:
        """Rows of a table; a vector's elements are divided among threads as rows are."""
        return prod(self.shape if self.flat else self.shape[:-1])

    def _assemble(self) -> str:
        arrays = [f"a{k}" for k in range(len(self.reads))] + [f"r{k}" for k in range(len(self.writes))]
        arrays += [f"s{k}" for k in range(len(self.scratch))]
        lines = [f"def kernel(rows, columns, {', '.join(arrays)}):"]
        lines += [f"    {line}" for line in self._head]
        if self.flat:
            lines.append("    for j in range(rows):")
            lines += [f"        {line}" for line in (*self._loops[0], *self._stores[0])]
            return "\n".join(lines) + "\n"
        width = str(self.columns) if self.columns <= UNROLLED_COLUMNS else "columns"
        lines.append("    for i in range(rows):")
        passes = zip(self._before, self._loops, self._stores, self._after, strict=True)
        for before, loop, stores, after in passes:
            lines += [f"        {line}" for line in before]
            if loop:
                lines.append(f"        for j in range({width}):")
                lines += [f"            {line}" for line in (*loop, *stores)]
            lines += [f"        {line}" for line in after]
        return "\n".join(lines) + "\n"


def kernel_call(source: KernelSource, places: list[tuple[str, Location]], shared: bool, noalias: bool) -> NativeCall:
    """Return the call of a source's kernel.

    *places* has the role and the location of each of its arrays. The role is "vector", "table", "row value", "column
    value", "number", or "scratch" for rows of which each thread has one. *noalias* says that no array that is written
    overlaps another one.
    """
    kinds = tuple((role, place.array.dtype.name) for role, place in places)
    words = [source.rows, source.columns, *(place for _, place in places)]
    text = source.text  # not the source, which would keep the recording's memory alive
    return team.make_call(("kernel", text, kinds, noalias), lambda: _share(text, kinds, noalias), words, shared)


def _share(text: str, kinds: tuple[tuple[str, str], ...], noalias: bool) -> ParsedFunction:
    """Return what each thread does: the kernel's loops over its share of the rows."""
    head, _, loops = text.partition("\n")
    names = re.findall(r"\w+", head)[4:]
    begins = {"table": "first * columns", "row value": "first", "vector": "first", "scratch": "me * columns"}
    lines = [
        "def share(address, me, members):",
        f"    words = at_int64(address + {8 * team.HEADER_WORDS})",
        "    columns = words[1]",
        "    first = words[0] * me // members",
        "    rows = words[0] * (me + 1) // members - first",
    ]
    rows = ["    for i in range(rows):"]
    for k, (name, (found, kind)) in enumerate(zip(names, kinds, strict=True)):
        size = np.dtype(kind).itemsize
        begin = f"words[{k + 2}]" + (f" + {begins[found]} * {size}" if found in begins else "")
        if found == "table":  # a pointer to each row, as compilers make vector loops of p[j], but not of p[i * n + j]
            lines.append(f"    {name}_ = {begin}")
            rows.append(f"        {name} = at_{kind}({name}_ + i * columns * {size})")
        else:
            lines.append(f"    {name} = at_{kind}({begin})")
    loops = loops.replace(rows[0], "\n".join(rows), 1)
    scope = {f"at_{kind}": pointer(kind) for kind in {"int64", *(kind for _, kind in kinds)}}
    return ParsedFunction.of_text(
        "\n".join([*lines, f"{loops}    return 0"]), SCOPE | scope, tuple(names) if noalias else ()
    )


def _argmax(into: str, value: str, kind: str, columns: int, largest: str | None) -> list[str]:
    """Write NumPy's argmax of a row of few elements, without a branch. NaN counts as the largest.

    *largest* names the row's maximum if the pass computes it anyway.
    """
    found = []
    if largest is None:
        largest = f"{into}_"
        found = [
            f"{largest} = {kind}(-inf)",
            f"for j in range({columns}):",
            f"    {largest} = maximum({largest}, {value})",
        ]
    backwards = value.replace("j]", f"{columns - 1} - j]")
    return [
        *found,
        f"{into} = 0",
        f"for j in range({columns}):",
        f"    if {backwards} == {largest} or {backwards} != {backwards}:",
        f"        {into} = {columns - 1} - j",
    ]


def _unrolled_sum(table: str, count: int) -> str:
    """Write NumPy's pairwise sum of 8 to 16 elements: eight sums, which are added in pairs, then the remainder."""
    sums = [" + ".join(f"{table}[{j}]" for j in range(k, count - count % 8, 8)) for k in range(8)]
    while len(sums) > 1:
        sums = [f"({a}) + ({b})" for a, b in zip(sums[::2], sums[1::2], strict=True)]
    rest = [f"{table}[{j}]" for j in range(count - count % 8, count)]
    return " + ".join([f"({sums[0]})", *rest])


def _maximum(a: Any, b: Any) -> Any:
    return a if a > b or a != a else b  # NaN where either is


def _minimum(a: Any, b: Any) -> Any:
    return a if a < b or a != a else b


def pairwise_sum(table: Any, start: int, count: int) -> Any:
    """Return the sum of *count* elements from *start* on, at least :data:`STRAIGHT`, in NumPy's order."""
    if count <= 128:
        r0, r1, r2, r3 = table[start], table[start + 1], table[start + 2], table[start + 3]
        r4, r5, r6, r7 = table[start + 4], table[start + 5], table[start + 6], table[start + 7]
        end = start + count - count % 8
        for j in range(start + 8, end, 8):
            r0 += table[j]
            r1 += table[j + 1]
            r2 += table[j + 2]
            r3 += table[j + 3]
            r4 += table[j + 4]
            r5 += table[j + 5]
            r6 += table[j + 6]
            r7 += table[j + 7]
        total = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))
        for j in range(end, start + count):
            total += table[j]
        return total
    half = count // 2
    half -= half % 8
    return pairwise_sum(table, start, half) + pairwise_sum(table, start + half, count - half)


SCOPE = {
    **{name: getattr(np, name) for name in ("float32", "float64", "uint32", "int32", "int64")},
    "maximum": _maximum,
    "minimum": _minimum,
    "pairwise_sum": pairwise_sum,
    "exp": exponential.exp,
    "sqrt": sqrt,
    "inf": np.inf,
}
"""The scope of kernels: the objects that their names refer to."""
