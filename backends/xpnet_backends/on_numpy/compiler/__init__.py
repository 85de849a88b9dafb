"""A small part of Python, with C's types, compiled by LLVM: what loops over numbers in memory need.

A function is written as Python and never run as such. Its numbers have NumPy's types and meet by NumPy's rules: two
types in what ``numpy.promote_types`` says, a literal in the type of the number beside it, but a float beside an integer
in float64. Truth values are added as integers. Sums of integers wrap around, and quotients of floats by zero are
infinite or NaN. Every operation is rounded by itself, in the order in which it stands: nothing is reassociated or
fused.

Statements are assignments, ``for`` over a ``range`` that goes up, ``if``, and ``return``. A variable keeps the type of
its first value, and is zero where it has got none yet. Beside operators and literals, expressions are

- ``pointer(type)(address)``, and its elements ``p[i]``, to read and to write; truth values lie in memory as bytes;
- a type with a number, which is converted as C does: ``float32(x)``;
- ``abs(x)``, ``sqrt(x)``, ``fma(a, b, c)``, and ``float_of(bits)``, a float32 by its bits;
- of an int64 at an address that threads share ``shared(address)``, the number; ``exchange(address, new)``, which writes
  another and gives the one before; ``compare_exchange(address, expected, new)``, which writes if it finds the expected
  one, and gives what it has found. All threads see them, and what each has written before, in one order. ``pause()``
  leaves the processor to its other thread for a moment;
- ``caller(result, *kinds)(address, ...)``, a C function at an address;
- another function of this language, which may call itself, or of LLVM's own (:class:`Assembly`); and any number that
  stands around the function.

Both sides of ``and``, ``or``, which give truth values, and of ``x if c else y`` are computed. ``//`` and ``%`` are for
integers with a sign, and never by 0; ``<<`` is by fewer bits than there are. The index of ``p[i] += x`` is computed
twice.

numba compiles far more of Python, and takes seven times as long for such loops, longer than a small network trains.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from xpnet_backends.on_numpy.compiler import llvm
from xpnet_backends.on_numpy.compiler.functions import Module
from xpnet_backends.on_numpy.compiler.language import (
    CODES,
    Assembly,
    Function,
    NotCompilable,
    Written,
    address,
    caller,
    compare_exchange,
    exchange,
    float_of,
    fma,
    pause,
    pointer,
    shared,
    sqrt,
)

__all__ = [
    "Assembly",
    "Entry",
    "Function",
    "NotCompilable",
    "Written",
    "address",
    "caller",
    "compare_exchange",
    "compiled",
    "exchange",
    "float_of",
    "fma",
    "pause",
    "pointer",
    "readable",
    "shared",
    "sqrt",
]


class Entry(NamedTuple):
    """A function that is called from outside, as one of C's, with numbers of these kinds: see :func:`caller`.

    It returns a 64-bit integer, or nothing at all.
    """

    function: Function
    kinds: str = "lll"


def compiled(*entries: Entry) -> list[int]:
    """Return the addresses of functions. Several at a time take less time than one by one.

    Raises
    ------
    NotCompilable
        A function is not in the language.
    """
    text, symbols = _text(entries)
    return llvm.load(text, symbols)


def readable(*entries: Entry) -> bool:
    """Say whether this release of LLVM reads what these functions become; not each reads every :class:`Assembly`."""
    return llvm.takes(_text(entries)[0])


def _text(entries: Iterable[Entry]) -> tuple[str, list[str]]:
    """Return LLVM's text of functions, and their names there."""
    module = Module()
    bodies = [module.function(entry.function, tuple(CODES[kind] for kind in entry.kinds)) for entry in entries]
    for body in bodies:
        if body.result not in (None, "int64"):
            raise NotCompilable(f"{body.symbol} returns {body.result}, where an int64 is returned")
    symbols = [body.symbol for body in bodies]
    return module.text(symbols), symbols
