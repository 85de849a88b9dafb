"""A function's plans in one thread, by the signatures of its arguments: those that were used last."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xpnet_backends.on_numpy.plan import Plan

__all__ = ["Plans"]

FEW, MANY, LARGE = 16, 256, 1 << 28
"""Plans that are kept however large they are; and at most, as long as their memory is no more than so many bytes."""

AGAIN = 128
"""Calls after which a plan that had to make room is made again: that takes as long as 10 to 50 calls without one."""

KNOWN = 4096
"""Signatures without a plan that are remembered; of more the oldest goes."""


class Plans:
    """Plans, and how many calls the signatures that have none are away from one.

    So where a function meets more forms of arguments than there is room for, most calls run as they stand, and few
    plans are made in vain.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, Plan] = {}
        self._away: dict[Hashable, int] = {}
        self._bytes = 0

    def values(self) -> list[Plan]:
        """Return all plans, the one that was used last at the end."""
        return [*self._kept.values()]

    def get(self, key: Hashable) -> Plan | None:
        """Return the plan of a signature, which is then the last one used."""
        plan = self._kept.pop(key, None)
        if plan is not None:
            self._kept[key] = plan
        return plan

    def is_due(self, key: Hashable) -> bool:
        """Count a call whose signature has no plan, and say whether one is to be made: at first, at the second call."""
        left = self._away.pop(key, 1)
        if left > 0:
            self._wait(key, left - 1)
        return left == 0

    def put(self, key: Hashable, plan: Plan) -> None:
        """Keep a plan, and let those go for which there is no room, the one that was not used for longest first."""
        before = self._kept.pop(key, None)
        self._bytes += plan.nbytes - (before.nbytes if before else 0)
        self._kept[key] = plan
        while len(self._kept) > MANY or (len(self._kept) > FEW and self._bytes > LARGE):
            oldest = next(iter(self._kept))
            self._bytes -= self._kept.pop(oldest).nbytes
            self._wait(oldest, AGAIN - 1)

    def _wait(self, key: Hashable, calls: int) -> None:
        self._away[key] = calls
        if len(self._away) > KNOWN:
            del self._away[next(iter(self._away))]
