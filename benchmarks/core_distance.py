"""How far apart two cores are: the time of a cache line from one to the other and back.

On a shared machine it may be five times as long in some minutes as in others, as if the cores were moved apart; what
two threads share takes up to twice as long then. A measurement that does not know of such minutes compares them.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache
from time import perf_counter_ns

import numpy as np
from xpnet_backends.on_numpy.compiler import Assembly, Entry, compile_functions

WARM_UP, TRIPS, BURSTS = 500, 2_000, 5

PLAY = Assembly(
    "play",
    """(i64 %address, i64 %first, i64 %last) {
entry:
  %line = inttoptr i64 %address to ptr
  br label %turn
turn:
  %mine = phi i64 [ %first, %entry ], [ %next, %answer ]
  %more = icmp ult i64 %mine, %last
  br i1 %more, label %wait, label %out
wait:
  %seen = load atomic i64, ptr %line monotonic, align 8
  %here = icmp eq i64 %seen, %mine
  br i1 %here, label %answer, label %wait
answer:
  %theirs = add i64 %mine, 1
  store atomic i64 %theirs, ptr %line monotonic, align 8
  %next = add i64 %mine, 2
  br label %turn
out:
  ret void
}""",
    (),
)
"""Of two players one waits for even numbers and the other for odd ones; each answers with the next."""


_seen: list[float] = []


@cache
def cores() -> tuple[int, int] | None:
    """Return two cores of this process; None where threads cannot be bound to them, or LLVM is missing."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None
    try:
        _play()
    except Exception:  # no llvmlite, or one that is not known here
        return None
    first, second, *_ = sorted(os.sched_getaffinity(0))
    return first, second


def round_trip() -> float | None:
    """Return the ns of a round trip, of the quickest of a few bursts; None where this cannot be measured."""
    if cores() is None:
        return None
    trip = min(_burst() for _ in range(BURSTS))
    _seen.append(trip)
    return trip


def least() -> float | None:
    """Return the shortest that this process has measured."""
    return min(_seen, default=None)


def _burst() -> float:
    memory = np.zeros(16, dtype=np.int64)
    line = memory.ctypes.data + -memory.ctypes.data % 64
    one, other = cores() or (0, 0)
    end = 2 * (WARM_UP + TRIPS)
    took: list[int] = []

    def first() -> None:
        os.sched_setaffinity(0, {one})  # this thread alone
        _play()(line, 0, 2 * WARM_UP)
        begin = perf_counter_ns()
        _play()(line, 2 * WARM_UP, end)
        took.append(perf_counter_ns() - begin)

    def second() -> None:
        os.sched_setaffinity(0, {other})
        _play()(line, 1, end + 1)

    threads = [threading.Thread(target=player) for player in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took[0] / TRIPS


@cache
def _play() -> Callable[[int, int, int], None]:
    (place,) = compile_functions(Entry(PLAY))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(place)  # which lets go of Python's lock
