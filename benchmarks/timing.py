"""Seconds that one call takes on a device that works on while the host goes ahead."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import perf_counter

ROUNDS = 7
SECONDS = 0.02
"""Length of a round, by its number of calls."""


def time_of(function: Callable[[], object], wait: Callable[[], None], seconds: float) -> float:
    """Return the median of seconds a call, over rounds of so many calls as last *seconds*."""

    def taken(calls: int) -> float:
        wait()
        start = perf_counter()
        for _ in range(calls):
            function()
        wait()
        return perf_counter() - start

    taken(1)  # compiles, allocates
    calls = max(1, round(seconds / taken(1)))
    return statistics.median(taken(calls) / calls for _ in range(ROUNDS))
