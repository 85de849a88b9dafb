"""Run many operations of a plan by one call from Python: a program of C functions, which compiled code calls in turn.

A call of NumPy from Python costs some 0.5 us beside its work, which is most of a small network's step. So each
operation becomes a :class:`NativeCall`: a C function (:class:`Routine`) and the integers that it reads, among them the
addresses of arrays. A :class:`Program` is a sequence of such calls in memory. Compiled code executes it at some ns a
call, once or, in a loop, once for each row of an array. The routines are NumPy's and BLAS's own or are written in
:mod:`compiler`'s language, and give NumPy's numbers.

The arrays of the plan itself have fixed addresses. Those of its arguments are read at each run, from the array objects:
the first field of a ``PyArrayObject`` (NumPy's C API) is the address of its data.
"""

from __future__ import annotations

import array as arrays
import ctypes
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from xpnet_backends.on_numpy.compiler import Entry, Function, c_function, compile_functions, pointer
from xpnet_backends.on_numpy.tracing import Host

__all__ = ["Location", "NativeCall", "Program", "Routine", "entry_routine", "find_routine", "program_runner", "routine"]

OBJECT_HEADER = object.__basicsize__
"""Bytes of a Python object before its type's own fields."""

RELOCATION = 3
"""Integers of a relocation: the word to write an address to, the argument that it lies in, and the offset in bytes."""

Word = Any
"""One integer that a routine reads: an int, or the :class:`Location` or :class:`Routine` whose address it will be."""


class Location(NamedTuple):
    """Where an array's data begin: at the address *start*, or *start* bytes into the data of a plan's *argument*.

    *array* is that array or, for an argument, one of the same shape, strides and dtype.
    """

    array: Host
    start: int
    argument: int | None = None

    @classmethod
    def of(cls, array: Host) -> Location:
        """Return the place of an array that exists now."""
        return cls(array, array.ctypes.data)

    def overlaps(self, other: Location) -> bool:
        """Say whether two places of arrays that exist now, each in one piece, have memory in common."""
        return self.start < other.start + other.array.nbytes and other.start < self.start + self.array.nbytes

    def moved(self, array: Host, offset: int = 0) -> Location:
        """Return a place *offset* bytes further on, of another array."""
        return Location(array, self.start + offset, self.argument)


class Routine:
    """A C function that is compiled when a program first needs it; its *address* is 0 until then."""

    def __init__(self, make: Callable[[], Entry]) -> None:
        self.make = make
        self.address = 0

    @property
    def is_compiled(self) -> bool:
        """Whether it has been compiled."""
        return self.address != 0


class NativeCall(NamedTuple):
    """A routine and the integers that it reads.

    If it does not return 0, the Python statement *on_failure* is run, which raises the error.
    """

    routine: Routine
    words: Sequence[Word]
    on_failure: str = ""

    @property
    def routines(self) -> list[Routine]:
        """The routines that have to be compiled for it."""
        return [self.routine, *(word for word in self.words if isinstance(word, Routine))]

    @property
    def is_shared(self) -> bool:
        """Whether it has several threads execute another routine, its first word."""
        return bool(self.words) and isinstance(self.words[0], Routine)


class Program:
    """A sequence of calls in memory, which the function of :func:`program_runner` executes.

    *objects* is to hold the addresses (``id``) of the plan's arguments at each run.
    """

    def __init__(self, calls: Sequence[NativeCall], objects: arrays.array[int]) -> None:
        _compile(routine for call in calls for routine in call.routines)
        count = sum(len(call.words) for call in calls)
        patched = sum(_needs_relocation(word) for call in calls for word in call.words)
        begin = 6
        first_patch = begin + 2 * len(calls)
        first_word = first_patch + RELOCATION * patched
        self.memory: Host = np.zeros(first_word + count, dtype=np.int64)
        start = self.memory.ctypes.data
        # Keeps the memory that calls read and write alive, but not the arguments of the recording.
        places = [word for call in calls for word in call.words if isinstance(word, Location)]
        self._held = [place.array for place in places if place.argument is None]
        self._objects = objects
        head = (len(calls), begin, patched, first_patch, objects.buffer_info()[0], len(objects) - 1)
        self.memory[:begin] = head
        patch, place = first_patch, first_word
        for k, call in enumerate(calls):
            self.memory[begin + 2 * k : begin + 2 * k + 2] = call.routine.address, start + 8 * place
            for word in call.words:
                self.memory[place] = _as_integer(word)
                if _needs_relocation(word):
                    self.memory[patch : patch + RELOCATION] = place, word.argument, word.start
                    patch += RELOCATION
                place += 1

    @property
    def address(self) -> int:
        """Where the program begins in memory."""
        return int(self.memory.ctypes.data)


def _needs_relocation(word: Word) -> bool:
    return isinstance(word, Location) and word.argument is not None


def _as_integer(word: Word) -> int:
    if isinstance(word, Routine):
        return word.address
    return word.start if isinstance(word, Location) else int(word)


def _compile(routines: Iterable[Routine]) -> None:
    missing = [routine for routine in dict.fromkeys(routines) if not routine.is_compiled]
    if missing:
        for routine, place in zip(missing, compile_functions(*[routine.make() for routine in missing]), strict=True):
            routine.address = place


_routines: dict[Any, Routine] = {}


def routine(key: Any, make: Callable[[], Function]) -> Routine:
    """Return the routine of this key; for a new key *make* returns it, ``function(address, me, members)`` in Python.

    *address* points to the call's integers. The function does part *me* of *members* parts, and returns 0, or another
    number if it cannot use what it was given.
    """
    return entry_routine(key, lambda: Entry(make()))


def find_routine(key: Any) -> Routine | None:
    """Return the routine of this key; None if nobody has asked for it yet."""
    return _routines.get(key)


def entry_routine(key: Any, make: Callable[[], Entry]) -> Routine:
    """Return the routine of this key, whose :class:`Entry` may have other arguments than those of :func:`routine`."""
    if key not in _routines:
        _routines[key] = Routine(make)
    return _routines[key]


@cache
def program_runner() -> Callable[[int, int, int], int]:
    """Return ``perform(address, times, step)``, which executes the program at an address several times.

    It returns 0, or the number of the run, from 1 on, in which a call did not return 0. Each run takes the last
    argument's data *step* bytes further on than the one before.
    """
    _check_head()
    at, call = pointer("int64"), c_function("l", "p", "l", "l")

    def perform(address: Any, times: Any, step: Any) -> Any:
        words = at(address)
        count, calls, patched, patches, last = words[0], words[1], words[2], words[3], words[5]
        objects = at(words[4])
        for time in range(times):
            for k in range(patched):
                patch = patches + RELOCATION * k
                argument = words[patch + 1]
                moved = time * step if argument == last else 0
                words[words[patch]] = at(objects[argument] + OBJECT_HEADER)[0] + words[patch + 2] + moved
            for k in range(count):
                failed = call(words[calls + 2 * k], words[calls + 2 * k + 1], 0, 1)
                if failed:
                    return time + 1
        return 0

    (place,) = compile_functions(Entry(perform))
    found: Any = ctypes.CFUNCTYPE(*[ctypes.c_int64] * 4)(place)
    found.__name__ = perform.__name__  # as plans call it in their source
    return found  # type: ignore[no-any-return]


def _check_head() -> None:
    """Check that the address of an array's data is the first field of the array object."""
    given = np.zeros(1)
    if ctypes.c_int64.from_address(id(given) + OBJECT_HEADER).value != given.ctypes.data:
        raise RuntimeError("an array's address does not stand where NumPy's C API has it")
