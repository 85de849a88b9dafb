"""``compile`` and ``loop`` of the NumPy backend: record a function at its second call, replay it from then on.

Where llvmlite is installed, a plan that has been running for a while is written again with compiled kernels. They give
the same numbers to the bit, so it does not matter to a result when that happens, or whether.

Compiled functions run with NumPy's floating-point warnings off: as on the other backends, numbers that are not finite
are looked for in results. OpenBLAS also raises "invalid value encountered in dot" where every number is finite, as its
kernels for small products compute on what lies beside the operands.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet_backends.on_numpy.plan_cache import Plans
from xpnet_backends.on_numpy.signatures import signature

if TYPE_CHECKING:
    from xpnet_backends.on_numpy.plan import Plan

    Settled = tuple[Plan, Callable[[tuple[Any, ...]], list[Any] | None]]

__all__ = ["Compiled", "loop"]

PATIENCE = 0.3
"""Seconds that plans which wait for the same code run before it is compiled, which takes as long: at worst, a job that
ends just then takes twice its time, or three times on a slow processor."""

PIECE = 64
"""Steps of a loop between two looks at the clock, while a plan waits for kernels."""

ALONE = threading.RLock()
"""Held by the thread that compiles, so that what one has compiled the next finds known; by one that forks, whose child
would wait for ever for another; and while the process ends, which LLVM must not be at work beside."""

LAST = 10.0
"""Seconds that the process's end waits at most for what is being compiled."""

atexit.register(ALONE.acquire, timeout=LAST)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=ALONE.acquire, after_in_parent=ALONE.release, after_in_child=ALONE.release)


class Compiled:
    """A function that is run as it stands at its first call with given shapes, and by a plan afterwards.

    A function that cannot be recorded, as it looks at values, is always run as it stands. Plans have
    memory of their own, so each thread has its own plans. The one that served a thread's last call is *settled*:
    whether it serves the next one, too, is seen by a test written for it, without a look at the others.
    """

    def __init__(self, function: Callable[..., Any], donated: bool = False) -> None:
        self.function, self.donated = function, donated
        self.plain: set[Any] = set()
        self._local = threading.local()

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        settled: Settled | None = getattr(self._local, "settled", None)
        if settled is not None and not settled[0].is_outdated:
            plan, collect = settled
            flat = collect(arguments)
            if flat is not None and not plan.runs:
                plan.runs = True
                try:
                    if plan.is_silent:
                        return plan.finish(plan.run(*flat))
                    with np.errstate(all="ignore"):
                        return plan.finish(plan.run(*flat))
                finally:
                    plan.runs = False
        return self._call(arguments)

    @np.errstate(all="ignore")
    def _call(self, arguments: tuple[Any, ...]) -> Any:
        flat: list[Any] = []
        plan = self.plan(arguments, flat)
        if plan is None or plan.runs:
            return self.function(*arguments)
        plan.runs = True
        try:
            if plan.wait is None:
                self._local.settled = plan, plan.collecting(arguments)
                return plan.finish(plan.run(*flat))
            begin = perf_counter()
            outputs = plan.run(*flat)
            plan.wait.seconds += perf_counter() - begin
            return plan.finish(outputs)
        finally:
            plan.runs = False

    def plan(self, arguments: tuple[Any, ...], flat: list[Any]) -> Plan | None:
        """Return the plan for these shapes, made at the second call; None where there is none yet.

        The arrays that it takes are collected in *flat*; those of the donated argument are brought into its memory.
        """
        plan = self._alike(arguments, flat) or self._kept(arguments, flat)
        if plan is not None and self.donated and not plan.runs:
            plan.load(flat[: len(plan.home)])
            del flat[: len(plan.home)]
        return plan

    def _alike(self, arguments: tuple[Any, ...], flat: list[Any]) -> Plan | None:
        """Return the plan of a call like one of the last two, as an epoch has two forms of batches, if there is one."""
        for plan, collect, _ in self._local.__dict__.get("alike", ()):
            found = None if plan.is_outdated else collect(arguments)
            if found is not None:
                flat += found
                return plan  # type: ignore[no-any-return]
        return None

    def _kept(self, arguments: tuple[Any, ...], flat: list[Any]) -> Plan | None:
        """Return the plan that is kept for these shapes, or a new one where it is due."""
        plans = getattr(self._local, "plans", None)
        if plans is None:
            plans = self._local.plans = Plans()
        first = signature(arguments[0], flat) if self.donated else None
        key = first, signature(arguments[1:] if self.donated else arguments, flat)
        alike = self._local.__dict__.get("alike", ())
        for *_, used in alike:
            plans.get(used)  # what was used without a look here is not what makes room first
        plan: Plan | None = plans.get(key)
        if plan is not None and ((plan.wait is not None and plan.wait.seconds > PATIENCE) or plan.is_outdated):
            plan = self._with_kernels(plan, arguments)
            plans.put(key, plan)
        if plan is not None and plan.wait is None and self.donated:
            collect, others = plan.alike(arguments), [entry for entry in alike if entry[0] is not plan]
            self._local.alike = [*([(plan, collect, key)] if collect else []), *others][:2]
        if plan is not None or key in self.plain or not plans.is_due(key):
            return plan
        homes = self._local.__dict__.setdefault("homes", {})
        try:
            from xpnet_backends.on_numpy.plan import Plan  # here, as a first call does without

            made = Plan(self.function, arguments, self.donated, homes.get(first))
        except Exception:  # what cannot be recorded, or not in this Python, still runs, and raises its own errors then
            self.plain.add(key)
            return None
        plans.put(key, made)
        if self.donated:
            homes[first] = made.home
        return made

    def _with_kernels(self, plan: Plan, arguments: tuple[Any, ...]) -> Plan:
        """Return the plan with compiled kernels; itself where that fails."""
        try:
            with ALONE:
                return type(plan)(self.function, arguments, self.donated, plan.home, compile_now=True)
        except Exception as error:  # the numbers are the same without
            if plan.wait is not None:
                plan.wait.seconds = 0.0  # so that others do not try for a while
            plan.wait, plan.threads, plan.problem = None, None, repr(error)
            return plan


def loop(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``run(carry, data, order)``: a step for each row of *order*, by one plan."""
    compiled = Compiled(step, donated=True)

    @np.errstate(all="ignore")
    def run(carry: Any, data: Any, order: np.ndarray[Any, Any]) -> Any:
        i = 0
        while i < len(order):
            arguments = (carry, data, order[i])
            flat: list[Any] = []
            plan = compiled.plan(arguments, flat)
            if plan is None:
                carry = step(*arguments)
                i += 1
                continue
            carry = plan.hand_out(())
            rows = order[i : i + PIECE] if plan.wait is not None else order[i:]
            plan.step_on(flat[:-1], rows)
            i += len(rows)
        return carry

    return run
