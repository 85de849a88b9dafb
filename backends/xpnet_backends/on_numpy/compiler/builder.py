"""Write LLVM's instructions for arithmetic on numbers of NumPy's types, converted to their common type."""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from xpnet_backends.on_numpy.compiler.language import LLVM_TYPES, NotCompilable

__all__ = ["Address", "Builder", "Number", "Value", "literal"]


class Number(NamedTuple):
    """A number of a dtype, under its name in LLVM's text."""

    kind: str
    text: str

    @property
    def llvm_type(self) -> str:
        """LLVM's name of the type."""
        return LLVM_TYPES[self.kind]

    @property
    def is_float(self) -> bool:
        """Whether it is of a floating type."""
        return self.kind.startswith("float")

    def __str__(self) -> str:
        return f"{self.llvm_type} {self.text}"


class Address(NamedTuple):
    """A pointer to numbers of a type."""

    kind: str
    text: str
    llvm_type: str = "ptr"

    def __str__(self) -> str:
        return f"ptr {self.text}"


Value = Number | Address | int | float
"""The value of an expression: a computed number, a pointer, or a literal."""

LITERAL = {int: "int64", float: "float64"}
"""The types of literals that have no other number beside them."""

FOLDED: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add, "Sub": operator.sub, "Mult": operator.mul, "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
}  # fmt: skip
FLOATING = {"Add": "fadd", "Sub": "fsub", "Mult": "fmul", "Div": "fdiv"}
LOGICAL = {"BitXor": "xor", "BitAnd": "and", "BitOr": "or"}
WHOLE = {"Add": "add", "Sub": "sub", "Mult": "mul", "LShift": "shl", "RShift": "ashr", **LOGICAL}
ORDER = {"Eq": "eq", "NotEq": "ne", "Lt": "lt", "LtE": "le", "Gt": "gt", "GtE": "ge"}
"""LLVM's names of Python's operators, by the names that ``ast`` has for them."""


class Builder:
    """Writes instructions, one a line; ``lines`` has them, ``serial`` numbers their results."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.serial = count()

    def emit(self, line: str) -> None:
        """Add a line."""
        self.lines.append(f"  {line}")

    def name(self, line: str) -> str:
        """Add a line, and return the name of its result."""
        name = f"%v{next(self.serial)}"
        self.emit(f"{name} = {line}")
        return name

    def new(self, kind: str, line: str) -> Number:
        """Add a line that computes a number."""
        return Number(kind, self.name(line))

    # Types

    def converted(self, value: Value, kind: str) -> Number:
        """Return a number in another type, as C converts it."""
        if isinstance(value, Address):
            raise NotCompilable("a pointer is no number")
        if not isinstance(value, Number):
            return Number(kind, _constant(value, kind))
        if value.kind == kind:
            return value
        if kind == "bool":
            return self.compared("NotEq", value, 0)
        if value.llvm_type == LLVM_TYPES[kind]:
            return Number(kind, value.text)
        larger = _bits(kind) > _bits(value.kind)
        unsigned = (kind if value.is_float else value.kind)[0] in "ub"
        line = {
            (True, True): "fpext" if larger else "fptrunc",
            (True, False): "fptoui" if unsigned else "fptosi",
            (False, True): "uitofp" if unsigned else "sitofp",
            (False, False): "trunc" if not larger else "zext" if unsigned else "sext",
        }[value.is_float, kind.startswith("float")]
        return self.new(kind, f"{line} {value} to {LLVM_TYPES[kind]}")

    def whole(self, value: Value) -> Number:
        """Return an index, or an end of a range."""
        if isinstance(value, Number) and value.is_float:
            raise NotCompilable(f"an index is of type {value.kind}")
        return self.converted(value, "int64")

    def typed(self, value: Value) -> Number | Address:
        """Return a literal as a number of its own type, and all else as it is."""
        return value if isinstance(value, Number | Address) else self.converted(value, LITERAL[type(value)])

    def in_common_type(self, a: Value, b: Value) -> tuple[Number, Number]:
        """Return two numbers converted to their common type."""
        kind = _common_type(a, b)
        return self.converted(a, kind), self.converted(b, kind)

    # Operations

    def operation(self, name: str, a: Value, b: Value) -> Value:
        """Write an operation of two numbers, by ``ast``'s name."""
        if isinstance(a, int | float) and isinstance(b, int | float):
            if name not in FOLDED:
                raise NotCompilable(f"{name} of two literals")
            return literal(FOLDED[name](a, b))
        kind = _common_type(a, b)
        if name == "Div" and not kind.startswith("float"):
            kind = "float64"
        elif kind == "bool" and name not in LOGICAL:
            kind = "int64"
        one, other = self.converted(a, kind), self.converted(b, kind)
        names = FLOATING if one.is_float else WHOLE
        if name in ("FloorDiv", "Mod") and kind.startswith("int"):
            return self._floored(name, one, other)
        if name not in names:
            raise NotCompilable(f"{name} of numbers of type {kind}")
        if name == "RShift" and isinstance(b, Number):
            return self._shifted(one, other)
        line = "lshr" if name == "RShift" and kind.startswith("u") else names[name]
        return self.new(kind, f"{line} {one}, {other.text}")

    def _floored(self, name: str, a: Number, b: Number) -> Number:
        """Write the quotient of integers rounded down, as Python's, or its remainder."""
        rest = self.new(a.kind, f"srem {a}, {b.text}")
        apart = self.new(a.kind, f"xor {rest}, {b.text}")
        signs, left = self.compared("Lt", apart, 0), self.compared("NotEq", rest, 0)
        low = self.new("bool", f"and {signs}, {left.text}")
        if name == "Mod":
            return self.chosen(low, self.new(a.kind, f"add {rest}, {b.text}"), rest)
        whole = self.new(a.kind, f"sdiv {a}, {b.text}")
        return self.chosen(low, self.new(a.kind, f"sub {whole}, 1"), whole)

    def _shifted(self, a: Number, b: Number) -> Number:
        """Write a right shift by a computed number of bits; too large a number leaves the sign alone, as in NumPy."""
        last = _bits(a.kind) - 1
        fits = self.new("bool", f"icmp ule {b}, {last}")
        bits = self.new(a.kind, f"select {fits}, {b}, {b.llvm_type} {last}")
        if not a.kind.startswith("u"):
            return self.new(a.kind, f"ashr {a}, {bits.text}")
        return self.chosen(fits, self.new(a.kind, f"lshr {a}, {bits.text}"), 0)

    def negated(self, value: Value) -> Value:
        """Write a number with the other sign."""
        if isinstance(value, Number) and value.is_float:
            return self.new(value.kind, f"fneg {value}")
        return -value if isinstance(value, int | float) else self.operation("Sub", 0, value)

    def compared(self, name: str, a: Value, b: Value) -> Number:
        """Write a comparison; NaN is unequal to every number, and neither less nor greater."""
        if name not in ORDER:
            raise NotCompilable(f"the comparison {name}")
        one, other = self.in_common_type(a, b)
        if one.is_float:
            line = "fcmp une" if name == "NotEq" else f"fcmp o{ORDER[name]}"
        else:
            sign = "" if name in ("Eq", "NotEq") else "u" if one.kind[0] in "ub" else "s"
            line = f"icmp {sign}{ORDER[name]}"
        return self.new("bool", f"{line} {one}, {other.text}")

    def chosen(self, test: Value, a: Value, b: Value) -> Number:
        """Write one number if a test is true, else the other."""
        truth, (one, other) = self.converted(test, "bool"), self.in_common_type(a, b)
        return self.new(one.kind, f"select {truth}, {one}, {other}")

    def absolute(self, value: Number) -> Number:
        """Write the absolute value of an integer."""
        if value.kind[0] in "ub":
            return value
        return self.chosen(self.compared("Lt", value, 0), self.operation("Sub", 0, value), value)


def literal(value: Any) -> Value:
    """Return a number of the source or of its scope as a value; one of NumPy's keeps its type."""
    if isinstance(value, np.generic) and value.dtype.name in LLVM_TYPES:
        return Number(value.dtype.name, _constant(value.item(), value.dtype.name))
    if type(value) is bool:
        return Number("bool", _constant(value, "bool"))
    if type(value) in LITERAL:
        return value  # type: ignore[no-any-return]
    raise NotCompilable(f"{value!r} is no number")


def _common_type(a: Value, b: Value) -> str:
    """Return the common type of two numbers."""
    kinds = [value.kind for value in (a, b) if isinstance(value, Number)]
    if len(kinds) == 2:
        return np.promote_types(*kinds).name
    literals = LITERAL[float if float in (type(a), type(b)) else int]
    if not kinds or kinds[0] == "bool" or (literals == "float64" and not kinds[0].startswith("float")):
        return literals
    return kinds[0]


def _constant(value: float, kind: str) -> str:
    """Write a number in LLVM's language: a float by its bits, as a float64."""
    if kind.startswith("float"):
        with np.errstate(over="ignore"):
            return "0x" + struct.pack(">d", float(np.dtype(kind).type(value))).hex().upper()
    if kind == "bool":
        return "true" if value else "false"
    if isinstance(value, float) or not np.iinfo(kind).min <= value <= np.iinfo(kind).max:
        raise NotCompilable(f"{value} is no {kind}")
    return str(value)


def _bits(kind: str) -> int:
    return 1 if kind == "bool" else 8 * np.dtype(kind).itemsize
