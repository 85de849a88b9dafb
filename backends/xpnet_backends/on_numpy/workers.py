"""Our own threads, on which OpenBLAS's products run, too.

OpenBLAS keeps threads for its products. After each they wait for a while, spinning on a core, and a second pool would
compete with them. But its jobs can be redirected: while there are shared calls, they run on the threads here, for the
whole process, and OpenBLAS's own threads stay asleep. The jobs are divided as for its own threads, so products keep
their bits.

There are as many threads as OpenBLAS uses, the caller's among them. Each has a *box* in memory, in which it finds its
work. A thread that has finished looks for more for a while, and then sleeps. Work that no thread has begun when the
caller is done, the caller does itself, except OpenBLAS's jobs.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from functools import cache
from typing import Any

import numpy as np

from xpnet.aligned import aligned_empty
from xpnet_backends.on_numpy import openblas
from xpnet_backends.on_numpy.compiler import (
    Entry,
    Function,
    address,
    atomic_load,
    c_function,
    compare_exchange,
    compile_functions,
    exchange,
    pause,
    pointer,
)

__all__ = ["MIN_SHARED_NS", "NAME", "divide", "entry", "size"]

NAME = "workers"
"""The name of the pool in a plan's source."""

MIN_SHARED_NS = 8_000
"""ns of work from which sharing a call pays: handing it over and waiting takes 70 to 350, and cores fetch from each
other what they have written."""

SPINS, YIELDS, LONG = 20_000, 20_000, 1_000_000
"""A thread without work looks at its box ``SPINS`` times, some 15 ns each, then ``YIELDS`` times between which other
threads may use its core, and then sleeps. A thread that waits for others to finish yields after ``LONG`` looks."""

ENOUGH = 1_000
"""After so many of OpenBLAS's jobs with no shared call between them, they are left to its own threads again. Its LU
factorization gives some jobs to those even while jobs are redirected, and they would then spin beside these."""

FOREVER = 1 << 62

BOX = 16
"""Words of a box; processors fetch cache lines of 64 bytes in pairs."""

STATE, THREAD, JOB, WORDS, FIRST, STEP, PARTS, SEMAPHORE = range(8)
"""A box's words: its thread's state, and the thread itself; a job, the address that it is given, and which of its parts
to do: the first, the step to the next one, and how many there are in all; and a POSIX semaphore of 32 bytes, on which
the thread sleeps."""

IDLE, ASLEEP, OFFERED, BUSY, STOP = range(5)
"""A box's states; work that is OFFERED may be taken by the caller before the thread does. The first box has no thread:
its state is BUSY while work is shared, and STOP when no more is."""

STARTED, SERVE, RUN, ONE, LENT, DO, DATA, BYTES, TOLD = range(1, 10)
"""The first box's other words: how many threads have been started, and their function; the function that OpenBLAS
calls, the one that does one of its jobs, and how many jobs in a row may still come, while they are redirected; of the
current jobs the function, the address of the first one's data, the bytes of one's data, and the function's last
argument."""

_at, _call = pointer("int64"), c_function("l", "p", "l", "l")


def size() -> int:
    """Return the number of threads that OpenBLAS uses now; 1 where its jobs cannot be had."""
    return openblas.size() if openblas.can_redirect_jobs() else 1


def entry(share: Any) -> Entry:
    """Return ``share(words, me, members)`` as a C function."""

    def part(words: Any, me: Any, members: Any) -> Any:
        share(words, me, members)
        return 0

    return Entry(part)


@cache
def divide() -> Function:
    """Return ``divide(part, words, members)``, for compiled code: it returns when all parts have been done.

    Where the threads are busy, or fewer by now, some do more than one part; where they are more than :func:`_doing` has
    numbers for, the caller does all.
    """
    boxes, start, share, most = _open(), _starting(), _sharing(), openblas.max_threads() // 2
    count, there, lend = c_function("i"), address(openblas.thread_counter()), _lending()

    def divide(part: Any, words: Any, members: Any) -> None:
        threads, alone = np.int64(count(there)), 1
        if threads > 1 and threads <= most:
            alone = compare_exchange(boxes, IDLE, BUSY)
        if alone:
            _do(part, words, 0, 1, members)
        else:
            head, ready = _at(boxes), start(threads)
            if ready == threads:  # else jobs would wait for ever, as they do for each other
                if head[LENT] == 0:
                    lend(head[RUN])
                head[LENT] = ENOUGH
            share(part, words, members if members < ready else ready, members, 0)
            exchange(boxes, IDLE)

    return divide


@cache
def _boxes() -> Any:
    return aligned_empty((openblas.MAX_THREADS, BOX), np.int64)


@cache
def _open() -> int:
    """Return the address of the boxes, initialized; threads are started when they are needed."""
    boxes = _boxes()
    boxes[...] = 0
    entries = Entry(_serving(), "l"), Entry(_running(), "ililli"), Entry(_doing()), Entry(_closing(), "")
    boxes[0, SERVE], boxes[0, RUN], boxes[0, ONE], close = compile_functions(*entries)
    give_back = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(openblas.redirect_function())

    def forget() -> None:  # a forked process has none of the threads
        boxes[:, STATE], boxes[0, STARTED], boxes[0, LENT] = IDLE, 0, 0
        give_back(None)

    os.register_at_fork(after_in_child=forget)
    atexit.register(ctypes.CFUNCTYPE(ctypes.c_int64)(close))
    return int(boxes.ctypes.data)


def _libc(name: str) -> int:
    return address(getattr(ctypes.CDLL(None), name))


@cache
def _resting() -> Any:
    """Return ``rest(turn, spins)``, a pause; from turn *spins* of a loop on, other threads may have the core."""
    leave, give_way = c_function("i"), _libc("sched_yield")

    def rest(turn: Any, spins: Any) -> Any:
        if turn < spins:
            pause()
        else:
            leave(give_way)
        return 0

    return rest


@cache
def _lending() -> Any:
    """Return ``lend(run)``, which redirects OpenBLAS's jobs: see :func:`openblas.redirect_function`."""
    call, place = c_function("", "p"), openblas.redirect_function()

    def lend(run: Any) -> Any:
        call(place, run)
        return 0

    return lend


# What a thread does


def _do(job: Any, words: Any, first: Any, step: Any, parts: Any) -> Any:
    for k in range(first, parts, step):
        _call(job, words, k, parts)
    return 0


def _serving() -> Any:
    """Return ``serve(box)``: jobs, as far as nobody else has done them, until it is to stop."""
    rest, sleep, semaphore = _resting(), c_function("i", "p"), _libc("sem_wait")

    def told(box: Any) -> Any:
        """Return what the thread is to do, when there is something."""
        for turn in range(SPINS + YIELDS):
            found = atomic_load(box)
            if found > ASLEEP:
                return found
            rest(turn, SPINS)
        if compare_exchange(box, IDLE, ASLEEP) == IDLE:
            for _ in range(FOREVER):
                sleep(semaphore, box + 8 * SEMAPHORE)
                if atomic_load(box) != ASLEEP:  # else a signal has woken it
                    return atomic_load(box)
        return atomic_load(box)

    def serve(box: Any) -> Any:
        given = _at(box)
        for _ in range(FOREVER):
            if told(box) == STOP:
                return 0
            if compare_exchange(box, OFFERED, BUSY) == OFFERED:
                _do(given[JOB], given[WORDS], given[FIRST], given[STEP], given[PARTS])
                exchange(box, IDLE)
        return 0

    return serve


# What those do that share their work


@cache
def _telling() -> Any:
    """Return ``tell(box, order)``, which wakes the thread if that is needed."""
    wake, post = c_function("i", "p"), _libc("sem_post")

    def tell(box: Any, order: Any) -> Any:
        if exchange(box, order) == ASLEEP:
            wake(post, box + 8 * SEMAPHORE)
        return 0

    return tell


@cache
def _starting() -> Any:
    """Return ``start(now)``, which starts threads that are missing, and gives how many of *now* there are."""
    boxes, create, prepare = _boxes().ctypes.data, _libc("pthread_create"), _libc("sem_init")
    new, ready = c_function("i", "p", "p", "p", "p"), c_function("i", "p", "i", "i")

    def start(now: Any) -> Any:
        head = _at(boxes)
        for k in range(head[STARTED] + 1, now):
            box = boxes + 8 * BOX * k
            ready(prepare, box + 8 * SEMAPHORE, 0, 0)
            if new(create, box + 8 * THREAD, 0, head[SERVE], box) != 0:
                return k
            head[STARTED] = k
        return now

    return start


@cache
def _sharing() -> Any:
    """Return ``share(job, words, threads, parts, apart)``, in which so many threads, which there are, do a job's parts.

    What a thread has not begun when the caller is done, as it was asleep or another process had its core, the caller
    does, too; but not where parts wait for each other, and have to be done *apart*.
    """
    boxes, tell, rest = _boxes().ctypes.data, _telling(), _resting()

    def wait(box: Any, apart: Any) -> Any:
        given = _at(box)
        for turn in range(FOREVER):
            found = atomic_load(box)
            if found == OFFERED and apart == 0:
                found = compare_exchange(box, OFFERED, IDLE)
                if found == OFFERED:
                    _do(given[JOB], given[WORDS], given[FIRST], given[STEP], given[PARTS])
                    return 0
            if found <= ASLEEP:
                return 0
            rest(turn, LONG)
        return 0

    def share(job: Any, words: Any, threads: Any, parts: Any, apart: Any) -> Any:
        for k in range(1, threads):
            box = boxes + 8 * BOX * k
            given = _at(box)
            given[JOB], given[WORDS], given[FIRST], given[STEP], given[PARTS] = job, words, k, threads, parts
            tell(box, OFFERED)
        _do(job, words, 0, threads, parts)
        for k in range(1, threads):
            wait(boxes + 8 * BOX * k, apart)
        return 0

    return share


@cache
def _taking() -> Any:
    """Return ``take()``, which returns when no other thread has work shared: what the first box said, IDLE or STOP."""
    boxes, rest = _boxes().ctypes.data, _resting()

    def take() -> Any:
        for _ in range(FOREVER):
            found = compare_exchange(boxes, IDLE, BUSY)
            if found == STOP:
                found = compare_exchange(boxes, STOP, BUSY)
            if found != BUSY:
                return found
            rest(0, 0)
        return 0

    return take


@cache
def _ending() -> Any:
    """Return ``end()``: threads end, and nothing is shared from then on."""
    boxes, tell, join, end_of = _boxes().ctypes.data, _telling(), c_function("i", "l", "p"), _libc("pthread_join")

    def end() -> Any:
        head = _at(boxes)
        for k in range(1, head[STARTED] + 1):
            box = boxes + 8 * BOX * k
            tell(box, STOP)
            join(end_of, _at(box)[THREAD], 0)
            exchange(box, IDLE)
        head[STARTED] = 0
        exchange(boxes, STOP)
        return 0

    return end


def _running() -> Any:
    """Return what OpenBLAS calls: ``run(waits, do, jobs, bytes, data, told)``. It waits for all, whatever *waits* says.

    Jobs wait for each other, so each needs a thread of its own.
    """
    boxes, take, start, share, end = _boxes().ctypes.data, _taking(), _starting(), _sharing(), _ending()
    rest, lend = _resting(), _lending()

    def run(waits: Any, do: Any, jobs: Any, size: Any, data: Any, told: Any) -> Any:
        head, members, found = _at(boxes), np.int64(jobs), take()
        if head[LENT] > 0:
            head[LENT] -= 1
            if head[LENT] == 0:
                lend(0)
        head[DO], head[DATA], head[BYTES], head[TOLD] = do, data, size, told
        for _ in range(FOREVER):
            if start(members) == members:
                share(head[ONE], boxes, members, members, 1)
                if found == STOP:  # OpenBLAS has called before it was told not to
                    end()
                else:
                    exchange(boxes, IDLE)
                return 0
            rest(0, 0)
        return 0

    return run


def _doing() -> Any:
    """Return what does one of OpenBLAS's jobs.

    It is told a thread's number, by which OpenBLAS finds memory to work in, and notes that the thread is busy. Its own
    threads have those from 0 on, and may work at the same time, for LU or for a product that was begun before. So these
    are counted down from the last.
    """
    last, do = openblas.max_threads() - 1, c_function("", "i", "p", "i")

    def one(boxes: Any, me: Any, members: Any) -> Any:
        head = _at(boxes)
        do(head[DO], last - me, head[DATA] + me * head[BYTES], head[TOLD])
        return 0

    return one


def _closing() -> Any:
    """Return ``close()``: threads end, and nothing is shared, or run here, from then on."""
    take, end, lend = _taking(), _ending(), _lending()

    def close() -> Any:
        take()
        lend(0)
        end()
        return 0

    return close
