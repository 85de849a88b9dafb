"""The language's types, and what its functions can name beside numbers and each other."""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import dedent, indent
from types import CodeType
from typing import Any, NamedTuple

__all__ = [
    "CODES",
    "FORMS",
    "Caller",
    "Function",
    "Intrinsic",
    "NotCompilable",
    "Pointer",
    "Written",
    "address",
    "caller",
    "float_of",
    "fma",
    "pointer",
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
    """A function as text, and what its names stand for."""

    text: str
    scope: dict[str, Any]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Written:
        """Return a function of Python's as text; its source has to be there."""
        try:
            text = dedent(inspect.getsource(function))
        except OSError as error:
            raise NotCompilable(f"the source of {function.__qualname__} is not there: {error}") from error
        if not _is_still(text, function.__code__):
            raise NotCompilable(f"the source of {function.__qualname__} has changed since it was imported")
        return cls(text, {**function.__globals__, **inspect.getclosurevars(function).nonlocals})


def _is_still(text: str, code: CodeType) -> bool:
    """Say whether a function's text, read now, is what it was made from."""
    around = [f"    {name} = None" for name in code.co_freevars]
    whole = "\n".join(["def around():", *around, indent(text, "    ")])
    try:
        (outer,) = (part for part in compile(whole, "<source>", "exec").co_consts if isinstance(part, CodeType))
    except SyntaxError:
        return False
    inner = [part for part in outer.co_consts if isinstance(part, CodeType)]
    return [_meaning(part) for part in inner] == [_meaning(code)]


def _meaning(code: CodeType) -> tuple[Any, ...]:
    return code.co_name, code.co_code, repr(code.co_consts), code.co_names, code.co_varnames, code.co_freevars


Function = Written | Callable[..., Any]


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
