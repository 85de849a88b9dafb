"""The language's types, and the objects that its functions can name: pointers, C functions, intrinsics."""

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
    "C_TYPES",
    "LLVM_TYPES",
    "Assembly",
    "CFunction",
    "Function",
    "Intrinsic",
    "NotCompilable",
    "ParsedFunction",
    "Pointer",
    "address",
    "atomic_load",
    "c_function",
    "compare_exchange",
    "exchange",
    "float_of",
    "fma",
    "pause",
    "pointer",
    "sqrt",
]

LLVM_TYPES = {
    "bool": "i1", "uint8": "i8", "int32": "i32", "uint32": "i32", "int64": "i64", "float32": "float",
    "float64": "double",
}  # fmt: skip
"""LLVM's names of the types."""

C_TYPES = {"i": "int32", "l": "int64", "f": "float32", "d": "float64"}
"""The types of C's numbers, by their letters in ``c_function``."""


class NotCompilable(ValueError):
    """A function is not in the language."""


class Pointer(NamedTuple):
    """Converts an address to a pointer to numbers of a type."""

    kind: str


class CFunction(NamedTuple):
    """Calls a C function at an address."""

    result: str
    kinds: tuple[str, ...]


class Intrinsic(NamedTuple):
    """An operation for which LLVM has an instruction or intrinsic."""

    name: str


@dataclass(frozen=True, eq=False)
class ParsedFunction:
    """A function's syntax tree, its scope, and which of its pointers are *noalias*.

    Nothing that is written through one of these is read or written through another, as with C's ``restrict``.
    """

    node: ast.FunctionDef
    scope: dict[str, Any]
    noalias: tuple[str, ...] = ()

    @classmethod
    def of_text(cls, text: str, scope: dict[str, Any], noalias: tuple[str, ...] = ()) -> ParsedFunction:
        """Return a function given as text."""
        (node,) = ast.parse(text).body
        if not isinstance(node, ast.FunctionDef):
            raise NotCompilable(f"no function: {text}")
        return cls(node, scope, noalias)

    @classmethod
    def of(cls, function: Callable[..., Any]) -> ParsedFunction:
        """Return a Python function. Its file has to exist and be unchanged since it was imported."""
        code = function.__code__
        try:
            node, read = _functions(code.co_filename)[code.co_name, code.co_firstlineno]
        except (KeyError, SyntaxError) as error:
            raise NotCompilable(f"the source of {function.__qualname__} is not there") from error
        if _bytecode(read) != _bytecode(code):
            raise NotCompilable(f"the source of {function.__qualname__} has changed since it was imported")
        return cls(node, {**function.__globals__, **inspect.getclosurevars(function).nonlocals})


@cache
def _functions(path: str) -> dict[tuple[str, int], tuple[ast.FunctionDef, CodeType]]:
    """Return a file's functions by name and line, as syntax trees and as Python's bytecode."""
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


def _bytecode(code: CodeType) -> tuple[Any, ...]:
    return code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_freevars


@dataclass(frozen=True, eq=False)
class Assembly:
    """A function in LLVM's own language, which returns nothing: the text after its name, and its declarations."""

    name: str
    text: str
    declared: tuple[str, ...]


Function = ParsedFunction | Assembly | Callable[..., Any]


def address(function: Any) -> int:
    """Return the address of a C function, from a library that :mod:`ctypes` has opened."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def pointer(kind: str) -> Any:
    """Return what converts an address to a pointer to numbers of a type; booleans are read as bytes."""
    return Pointer("uint8" if kind == "bool" else kind)


def c_function(result: str, *kinds: str) -> Any:
    """Return ``call(address, ...)`` of a C function.

    The kinds of its arguments are "i" (32-bit integer), "l" (64-bit integer), "f", "d", and "p" (an address, an integer
    here); of its result one of the first four, or "" for none.
    """
    return CFunction(result, kinds)


sqrt: Any = Intrinsic("sqrt")
fma: Any = Intrinsic("fma")
float_of: Any = Intrinsic("float_of")

atomic_load: Any = Intrinsic("atomic_load")
exchange: Any = Intrinsic("exchange")
compare_exchange: Any = Intrinsic("compare_exchange")
pause: Any = Intrinsic("pause")
