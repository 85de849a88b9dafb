"""Operations of a plan as one call from Python: C functions that are called one after another, by compiled code.

A call of NumPy from Python takes some 0.5 us beside its work, which is most of a small network's step. So each
operation is written down as a :class:`Call`: a C function, and the integers that it is pointed to, addresses
among them. A :class:`Program` is a run of such calls in memory; compiled code goes through it in some ns a call, one
time or, in a loop, once a row. The functions are NumPy's and BLAS's own, or written in :mod:`compiler`'s language, to
the same numbers.

Where an argument of the plan lies is seen at each run: an array object's first field is its data's address
(``PyArrayObject`` in NumPy's C API).
"""

from __future__ import annotations

import array as arrays
import ctypes
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from xpnet_backends.on_numpy.compiler import Entry, Function, caller, compiled, pointer
from xpnet_backends.on_numpy.tracing import Host

__all__ = ["Call", "Place", "Program", "Routine", "known", "part", "routine", "run"]

HEAD = object.__basicsize__
"""Bytes of an object before its own fields."""

PATCH = 3
"""Integers by which a program is told of an address to put in: where, of which argument, how many bytes into it."""

Word = Any
"""What a call is given: an int, or the :class:`Place` or :class:`Routine` whose address it will be."""


class Place(NamedTuple):
    """Where an array lies: in memory that exists now, or so many bytes into an argument's.

    *form* is an array of the same shape, strides and type.
    """

    form: Host
    start: int
    argument: int | None = None

    @classmethod
    def of(cls, array: Host) -> Place:
        """Return the place of an array that exists now."""
        return cls(array, array.ctypes.data)

    def meets(self, other: Place) -> bool:
        """Say whether two places of arrays that exist now, each in one piece, have memory in common."""
        return self.start < other.start + other.form.nbytes and other.start < self.start + self.form.nbytes

    def moved(self, form: Host, offset: int = 0) -> Place:
        """Return a place *offset* bytes further on, with another form."""
        return Place(form, self.start + offset, self.argument)


class Routine:
    """A C function that is compiled when it is first needed; 0 is its *address* until then."""

    def __init__(self, make: Callable[[], Entry]) -> None:
        self.make = make
        self.address = 0

    @property
    def known(self) -> bool:
        """Whether it has been compiled."""
        return self.address != 0


class Call(NamedTuple):
    """A C function and its integers; *otherwise* is Python that raises what is wrong when it returns another than 0."""

    routine: Routine
    words: Sequence[Word]
    otherwise: str = ""

    @property
    def routines(self) -> list[Routine]:
        """All that has to be compiled."""
        return [self.routine, *(word for word in self.words if isinstance(word, Routine))]

    @property
    def is_divided(self) -> bool:
        """Whether it hands another routine to several threads."""
        return bool(self.words) and isinstance(self.words[0], Routine)


class Program:
    """Calls in memory, to be run by :func:`run`. *objects* will hold the identities of the plan's arguments."""

    def __init__(self, calls: Sequence[Call], objects: arrays.array[int]) -> None:
        _compile(routine for call in calls for routine in call.routines)
        count = sum(len(call.words) for call in calls)
        patched = sum(_is_patched(word) for call in calls for word in call.words)
        begin = 6
        first_patch = begin + 2 * len(calls)
        first_word = first_patch + PATCH * patched
        self.memory: Host = np.zeros(first_word + count, dtype=np.int64)
        start = self.memory.ctypes.data
        # What calls read and write is held, but not what arguments looked like.
        places = [word for call in calls for word in call.words if isinstance(word, Place)]
        self._held = [place.form for place in places if place.argument is None]
        self._objects = objects
        head = (len(calls), begin, patched, first_patch, objects.buffer_info()[0], len(objects) - 1)
        self.memory[:begin] = head
        patch, place = first_patch, first_word
        for k, call in enumerate(calls):
            self.memory[begin + 2 * k : begin + 2 * k + 2] = call.routine.address, start + 8 * place
            for word in call.words:
                self.memory[place] = _number(word)
                if _is_patched(word):
                    self.memory[patch : patch + PATCH] = place, word.argument, word.start
                    patch += PATCH
                place += 1

    @property
    def address(self) -> int:
        """What :func:`run` is given."""
        return int(self.memory.ctypes.data)


def _is_patched(word: Word) -> bool:
    return isinstance(word, Place) and word.argument is not None


def _number(word: Word) -> int:
    if isinstance(word, Routine):
        return word.address
    return word.start if isinstance(word, Place) else int(word)


def _compile(routines: Iterable[Routine]) -> None:
    missing = [routine for routine in dict.fromkeys(routines) if not routine.known]
    if missing:
        for routine, place in zip(missing, compiled(*[routine.make() for routine in missing]), strict=True):
            routine.address = place


_routines: dict[Any, Routine] = {}


def routine(key: Any, make: Callable[[], Function]) -> Routine:
    """Return the one routine of this key: *make* returns it as Python, ``function(address, me, members)``.

    It does the *me*-th of so many parts, here all of it, and returns whether what it was given is unusable.
    """
    return part(key, lambda: Entry(make()))


def known(key: Any) -> Routine | None:
    """Return the routine of this key, if there is one."""
    return _routines.get(key)


def part(key: Any, make: Callable[[], Entry]) -> Routine:
    """Return the one routine of this key, which may be a C function of another kind."""
    if key not in _routines:
        _routines[key] = Routine(make)
    return _routines[key]


@cache
def run() -> Callable[[int, int, int], int]:
    """Return ``perform(program, times, step)``: it returns 0, or in which time, from 1 on, a call did not return 0.

    Each time after the first the last argument's data begin *step* bytes further on.
    """
    _check_head()
    at, call = pointer("int64"), caller("l", "p", "l", "l")

    def perform(address: Any, times: Any, step: Any) -> Any:
        words = at(address)
        count, calls, patched, patches, last = words[0], words[1], words[2], words[3], words[5]
        objects = at(words[4])
        for time in range(times):
            for k in range(patched):
                patch = patches + PATCH * k
                argument = words[patch + 1]
                moved = time * step if argument == last else 0
                words[words[patch]] = at(objects[argument] + HEAD)[0] + words[patch + 2] + moved
            for k in range(count):
                failed = call(words[calls + 2 * k], words[calls + 2 * k + 1], 0, 1)
                if failed:
                    return time + 1
        return 0

    (place,) = compiled(Entry(perform))
    found: Any = ctypes.CFUNCTYPE(*[ctypes.c_int64] * 4)(place)
    found.__name__ = perform.__name__  # as plans call it in their source
    return found  # type: ignore[no-any-return]


def _check_head() -> None:
    """Try whether an array's address stands where it should."""
    given = np.zeros(1)
    if ctypes.c_int64.from_address(id(given) + HEAD).value != given.ctypes.data:
        raise RuntimeError("an array's address does not stand where NumPy's C API has it")
