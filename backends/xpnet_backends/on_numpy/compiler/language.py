"""The language's types, and what its functions can name beside numbers and each other."""

from __future__ import annotations

import ast
import ctypes
import inspect
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Any, NamedTuple

__all__ = [
    "CODES",
    "FORMS",
    "Assembly",
    "Caller",
    "Function",
    "Intrinsic",
    "NotCompilable",
    "Pointer",
    "Written",
    "address",
    "caller",
    "compare_exchange",
    "exchange",
    "float_of",
    "fma",
    "pause",
    "pointer",
    "shared",
    "sqrt",
]

FORMS = {
    "bool": "i1", "uint8": "i8", "int32": "i32", "uint32": "i32", "int64": "i64", "float32": "float",
    "float64": "double",
}  # fmt: skip
"""LLVM's names of the types."""

CODES = {"i": "int32", "l": "int64", "f": "float32", "d": "float64"}
"""The types of C's numbers by their letters."""


class NotCompilable(ValueError):
    """A function is not in the language."""


class Pointer(NamedTuple):
    """What takes an address for a pointer to numbers of a type."""

    kind: str


class Caller(NamedTuple):
    """What calls a C function at an address."""

    result: str
    kinds: tuple[str, ...]


class Intrinsic(NamedTuple):
    """An operation that LLVM has a name for."""

    name: str


@dataclass(frozen=True, eq=False)
class Written:
    """A function's syntax, what its names stand for, and which of its pointers lie *apart* from one another.

    Nothing that is written through one of these is read or written through another.
    """

    node: ast.FunctionDef
    scope: dict[str, Any]
    apart: tuple[str, ...] = ()

    @classmethod
    def of_text(cls, text: str, scope: dict[str, Any], apart: tuple[str, ...] = ()) -> Written:
        """Return a function that stands in no file."""
        (node,) = ast.parse(text).body
        if not isinstance(node, ast.FunctionDef):
            raise NotCompilable(f"no function: {text}")
        return cls(node, scope, apart)

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Written:
        """Return a function of Python's. Its file has to be there, and still be what it was imported from."""
        code = function.__code__
        try:
            node, read = _functions(code.co_filename)[code.co_name, code.co_firstlineno]
        except (KeyError, SyntaxError) as error:
            raise NotCompilable(f"the source of {function.__qualname__} is not there") from error
        if _meaning(read) != _meaning(code):
            raise NotCompilable(f"the source of {function.__qualname__} has changed since it was imported")
        return cls(node, {**function.__globals__, **inspect.getclosurevars(function).nonlocals})


@cache
def _functions(path: str) -> dict[tuple[str, int], tuple[ast.FunctionDef, CodeType]]:
    """Return the functions of a file by name and line, as they stand in it and as Python compiles them."""
    tree = ast.parse("".join(linecache.getlines(path)))
    nodes = {(node.name, node.lineno): node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    waiting, found = [compile(tree, path, "exec", dont_inherit=True)], {}
    while waiting:
        code = waiting.pop()
        waiting += [part for part in code.co_consts if isinstance(part, CodeType)]
        key = code.co_name, code.co_firstlineno
        if key in nodes:
            found[key] = nodes[key], code
    return found


def _meaning(code: CodeType) -> tuple[Any, ...]:
    return code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_freevars


@dataclass(frozen=True, eq=False)
class Assembly:
    """A function in LLVM's own language, which returns nothing: what its text has after its name, and declares."""

    name: str
    text: str
    declared: tuple[str, ...]


Function = Written | Assembly | Callable[..., Any]


def address(function: Any) -> int:
    """Return where a C function lies, of a library that :mod:`ctypes` has opened."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def pointer(kind: str) -> Any:
    """Return what takes an address for a pointer to numbers of a type; truth values are read as bytes."""
    return Pointer("uint8" if kind == "bool" else kind)


def caller(result: str, *kinds: str) -> Any:
    """Return ``call(address, ...)`` of a C function.

    The kinds of its arguments are "i" (32-bit integer), "l" (64-bit integer), "f", "d", and "p" (an address, an integer
    here); of its result one of the first four, or "" for none.
    """
    return Caller(result, kinds)


sqrt: Any = Intrinsic("sqrt")
fma: Any = Intrinsic("fma")
float_of: Any = Intrinsic("float_of")

shared: Any = Intrinsic("shared")
exchange: Any = Intrinsic("exchange")
compare_exchange: Any = Intrinsic("compare_exchange")
pause: Any = Intrinsic("pause")
