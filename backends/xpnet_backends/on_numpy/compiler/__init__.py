"""A compiler for a small subset of Python, by LLVM: what loops over numbers in memory need.

A function is written as Python and never run as such. Its numbers have NumPy's types, promoted by NumPy's rules: two
types to what ``numpy.promote_types`` says, a literal to the type of the number beside it, but a float literal beside an
integer to float64. Booleans are added as integers. Sums of integers wrap around, and quotients of floats by zero are
infinite or NaN. Every operation is rounded by itself, in the order of the source: nothing is reassociated or fused.

Statements are assignments, ``for`` over an ascending ``range``, ``if``, and ``return``. A variable keeps the type of
its first value, and is zero until it is assigned. Besides operators and literals, expressions are

- ``pointer(type)(address)``, and its elements ``p[i]``, to read and to write; booleans are bytes in memory;
- a type applied to a number, which is converted as in C: ``float32(x)``;
- ``abs(x)``, ``sqrt(x)``, ``fma(a, b, c)``, and ``float_of(bits)``, the float32 with these bits;
- for an int64 in memory that threads share: ``atomic_load(address)``; ``exchange(address, new)``, which writes and
  returns the old number; ``compare_exchange(address, expected, new)``, which writes only if it finds the expected
  number, and returns what it has found. They are sequentially consistent. ``pause()`` is the processor's hint for a
  loop that waits;
- ``c_function(result, *kinds)(address, ...)``, the C function at an address;
- another function of this language, which may call itself, or one in LLVM's own language (:class:`Assembly`); and any
  number in the scope of the function.

Both operands of ``and`` and ``or``, which give booleans, and both of ``x if c else y`` are computed. ``//`` and ``%``
take signed integers, and never 0 on the right; ``<<`` is by fewer bits than the type has. The index of ``p[i] += x`` is
computed twice.

:mod:`language` has the types and the names that functions use, :mod:`functions` translates syntax trees, with
:mod:`builder` writing the instructions, and :mod:`llvm` compiles the text. numba compiles far more of Python, and takes
seven times as long for such loops, longer than a small network trains.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from xpnet_backends.on_numpy.compiler import llvm
from xpnet_backends.on_numpy.compiler.functions import Module
from xpnet_backends.on_numpy.compiler.language import (
    C_TYPES,
    Assembly,
    Function,
    NotCompilable,
    ParsedFunction,
    address,
    atomic_load,
    c_function,
    compare_exchange,
    exchange,
    float_of,
    fma,
    pause,
    pointer,
    sqrt,
)

__all__ = [
    "Assembly",
    "Entry",
    "Function",
    "NotCompilable",
    "ParsedFunction",
    "accepted_by_llvm",
    "address",
    "atomic_load",
    "c_function",
    "compare_exchange",
    "compile_functions",
    "exchange",
    "float_of",
    "fma",
    "pause",
    "pointer",
    "sqrt",
]


class Entry(NamedTuple):
    """A function that is called from outside, by C's calling convention, with arguments of these kinds.

    The kinds are those of :func:`c_function`. It returns a 64-bit integer, or nothing.
    """

    function: Function
    kinds: str = "lll"


def compile_functions(*entries: Entry) -> list[int]:
    """Compile functions and return their addresses. Several at a time take less time than one by one.

    Raises
    ------
    NotCompilable
        A function is not in the language.
    """
    text, symbols = _text(entries)
    return llvm.load(text, symbols)


def accepted_by_llvm(*entries: Entry) -> bool:
    """Say whether this release of LLVM accepts the text of these functions: not each accepts every `Assembly`."""
    return llvm.accepts(_text(entries)[0])


def _text(entries: Iterable[Entry]) -> tuple[str, list[str]]:
    """Return LLVM's text of functions, and their names there."""
    module = Module()
    bodies = [module.function(entry.function, tuple(C_TYPES[kind] for kind in entry.kinds)) for entry in entries]
    for body in bodies:
        if body.result not in (None, "int64"):
            raise NotCompilable(f"{body.symbol} returns {body.result}, where an int64 is returned")
    symbols = [body.symbol for body in bodies]
    return module.text(symbols), symbols
