"""The plans that a function keeps in one thread, by the signature of its arguments: a least-recently-used cache."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xpnet_backends.on_numpy.plan import Plan

__all__ = ["PlanCache"]

ALWAYS_KEPT, MOST_KEPT, MAX_BYTES = 16, 256, 1 << 28
"""So many plans are kept however large they are; more, up to ``MOST_KEPT``, while they have at most ``MAX_BYTES``."""

CALLS_UNTIL_REMADE = 128
"""A discarded plan is made again at this call without one. Making it takes as long as 10 to 50 such calls."""

MAX_SIGNATURES = 4096
"""Signatures without a plan that are remembered; the oldest is forgotten first."""


class PlanCache:
    """Plans by signature, and, for signatures without one, the number of calls until one is made.

    So where a function is called with more signatures than there is room for, most calls run without a plan, and few
    plans are made in vain.
    """

    def __init__(self) -> None:
        self._plans: dict[Hashable, Plan] = {}
        self._calls_left: dict[Hashable, int] = {}
        self._bytes = 0

    def values(self) -> list[Plan]:
        """Return all plans, the most recently used last."""
        return [*self._plans.values()]

    def get(self, key: Hashable) -> Plan | None:
        """Return the plan of a signature, which becomes the most recently used; None if it has none."""
        plan = self._plans.pop(key, None)
        if plan is not None:
            self._plans[key] = plan
        return plan

    def is_due(self, key: Hashable) -> bool:
        """Count a call of a signature without a plan, and say whether to make one: at first, at the second call."""
        left = self._calls_left.pop(key, 1)
        if left > 0:
            self._set_calls_left(key, left - 1)
        return left == 0

    def put(self, key: Hashable, plan: Plan) -> None:
        """Keep a plan; discard the least recently used ones if there is no room."""
        before = self._plans.pop(key, None)
        self._bytes += plan.nbytes - (before.nbytes if before else 0)
        self._plans[key] = plan
        while len(self._plans) > MOST_KEPT or (len(self._plans) > ALWAYS_KEPT and self._bytes > MAX_BYTES):
            oldest = next(iter(self._plans))
            self._bytes -= self._plans.pop(oldest).nbytes
            self._set_calls_left(oldest, CALLS_UNTIL_REMADE - 1)

    def _set_calls_left(self, key: Hashable, calls: int) -> None:
        self._calls_left[key] = calls
        if len(self._calls_left) > MAX_SIGNATURES:
            del self._calls_left[next(iter(self._calls_left))]
