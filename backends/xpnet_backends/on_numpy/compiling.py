"""``compile`` and ``loop`` of the NumPy backend: record a function at its second call, replay it from then on.

Where llvmlite is installed, a plan that has run for a while is replaced by one with compiled kernels. They give the
same numbers, bit for bit, so results do not depend on when that happens, or whether.

Compiled functions run with NumPy's floating-point warnings off: as on the other backends, results are checked for
numbers that are not finite. Besides, OpenBLAS's kernels for small products read memory beside the operands, and so
raise "invalid value encountered in dot" where every number is finite.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet_backends.on_numpy.plan_cache import PlanCache
from xpnet_backends.on_numpy.signatures import numbers_as_arrays, signature

if TYPE_CHECKING:
    from xpnet_backends.on_numpy.plan import Plan

    Flattener = Callable[[tuple[Any, ...]], list[Any] | None]
    CheckedCall = Callable[[tuple[Any, ...]], Any]
    FastPath = tuple[Plan, Flattener, CheckedCall | None]

__all__ = ["Compiled", "loop"]

COMPILE_AFTER = 0.3
"""Seconds that plans run without kernels before these are compiled, which takes about as long: at worst, a job that
ends just then takes twice its time, or three times on a slow processor. Plans that need the same kernels share one sum
of seconds."""

STEPS_PER_CHECK = 64
"""While a plan has no kernels yet, a loop checks after so many steps whether to compile them."""

COMPILER_LOCK = threading.RLock()
"""Held by a thread that compiles, so that no other compiles the same code; by one that forks, as the child would wait
for a lock of another thread for ever; and at the process's exit, during which LLVM must not be at work."""

EXIT_TIMEOUT = 10.0
"""Seconds that the process's exit waits at most for a compilation to finish."""

atexit.register(lambda: COMPILER_LOCK.acquire(timeout=EXIT_TIMEOUT))

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=COMPILER_LOCK.acquire, after_in_parent=COMPILER_LOCK.release, after_in_child=COMPILER_LOCK.release
    )


class Compiled:
    """A function that is called as it is at its first call with given shapes, and by a plan from the second on.

    A function that cannot be recorded, as it looks at values, is always called as it is. In either case, NumPy's
    numbers among its results become arrays with no axes, so that it goes on alike whether it or its plan has made them.
    Plans have memory of their own, so each thread has its own plans. A thread's *fast path* is the plan that served its
    last call, with a test, generated for that plan, whether it serves the next call, too; if so, the cache is not
    consulted.

    *checked* becomes true at the first :meth:`checked_call`; plans that are made from then on can serve such calls.
    """

    def __init__(self, function: Callable[..., Any], donated: bool = False) -> None:
        self.function, self.donated = function, donated
        self.unrecordable: set[Any] = set()
        self.checked = False
        self._local = threading.local()

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        fast_path: FastPath | None = getattr(self._local, "fast_path", None)
        if fast_path is not None and not fast_path[0].is_outdated:
            plan, flatten, _ = fast_path
            flat = flatten(arguments)
            if flat is not None and not plan.is_running:
                plan.is_running = True
                try:
                    if plan.is_silent:
                        return plan.unflatten(plan.run(*flat))
                    with np.errstate(all="ignore"):
                        return plan.unflatten(plan.run(*flat))
                finally:
                    plan.is_running = False
        return self._call(arguments)

    def checked_call(self, *arguments: Any) -> Any:
        """Return the result, if the arguments are arrays like those of the last call and the last one is finite.

        Else return None, and in any case where no plan of compiled code alone served the last call.
        """
        fast_path: FastPath | None = getattr(self._local, "fast_path", None)
        plan, _, call = fast_path or (None, None, None)
        if plan is None or call is None:
            self.checked = True
            return None
        if plan.is_outdated or plan.is_running:
            return None
        plan.is_running = True
        try:
            outputs = call(arguments)
            return None if outputs is None else plan.unflatten(outputs)
        finally:
            plan.is_running = False

    @np.errstate(all="ignore")
    def _call(self, arguments: tuple[Any, ...]) -> Any:
        flat: list[Any] = []
        plan = self.plan(arguments, flat)
        if plan is None or plan.is_running:
            return numbers_as_arrays(self.function(*arguments))
        plan.is_running = True
        try:
            if plan.pending is None:
                self._local.fast_path = plan, plan.flattener(arguments), plan.checked_call(arguments)
                return plan.unflatten(plan.run(*flat))
            begin = perf_counter()
            outputs = plan.run(*flat)
            plan.pending.seconds += perf_counter() - begin
            return plan.unflatten(outputs)
        finally:
            plan.is_running = False

    def plan(self, arguments: tuple[Any, ...], flat: list[Any]) -> Plan | None:
        """Return the plan for these arguments, made at the second call; None where there is none yet.

        The arguments' arrays are collected in *flat*, but those of the donated one are copied to the plan's buffers.
        """
        plan = self._recent_plan(arguments, flat) or self._cached_plan(arguments, flat)
        if plan is not None and self.donated and not plan.is_running:
            plan.load_donated(flat[: len(plan.donated_buffers)])
            del flat[: len(plan.donated_buffers)]
        return plan

    def _recent_plan(self, arguments: tuple[Any, ...], flat: list[Any]) -> Plan | None:
        """Return the plan of one of the last two signatures if it serves this call, else None.

        Two, as the batches of an epoch have two shapes: the last one is smaller.
        """
        for plan, flatten, _ in self._local.__dict__.get("recent", ()):
            found = None if plan.is_outdated else flatten(arguments)
            if found is not None:
                flat += found
                return plan  # type: ignore[no-any-return]
        return None

    def _cached_plan(self, arguments: tuple[Any, ...], flat: list[Any]) -> Plan | None:
        """Return the plan that the cache has for these arguments, or a new one if it is time to make it."""
        plans = getattr(self._local, "plans", None)
        if plans is None:
            plans = self._local.plans = PlanCache()
        first = signature(arguments[0], flat) if self.donated else None
        key = first, signature(arguments[1:] if self.donated else arguments, flat)
        recent = self._local.__dict__.get("recent", ())
        for *_, used in recent:
            plans.get(used)  # marks it as recently used, although the cache was not consulted
        plan: Plan | None = plans.get(key)
        is_due = plan is not None and plan.pending is not None and plan.pending.seconds > COMPILE_AFTER
        if plan is not None and (is_due or plan.is_outdated):
            plan = self._compiled_plan(plan, arguments)
            plans.put(key, plan)
        if plan is not None and plan.pending is None and self.donated:
            flatten = plan.flattener_with_donated(arguments)
            others = [entry for entry in recent if entry[0] is not plan]
            self._local.recent = [*([(plan, flatten, key)] if flatten else []), *others][:2]
        if plan is not None or key in self.unrecordable or not plans.is_due(key):
            return plan
        donated_buffers = self._local.__dict__.setdefault("donated_buffers", {})
        try:
            from xpnet_backends.on_numpy.plan import Plan  # here, as the first call does not need it

            made = Plan(self.function, arguments, self.donated, donated_buffers.get(first), checked=self.checked)
        except Exception:  # it still runs unrecorded, and then raises its own errors
            self.unrecordable.add(key)
            return None
        plans.put(key, made)
        if self.donated:
            donated_buffers[first] = made.donated_buffers
        return made

    def _compiled_plan(self, plan: Plan, arguments: tuple[Any, ...]) -> Plan:
        """Return a plan with compiled kernels in the place of this one; this one where compiling fails."""
        try:
            with COMPILER_LOCK:
                return type(plan)(
                    self.function, arguments, self.donated, plan.donated_buffers, compile_now=True, checked=self.checked
                )
        except Exception as error:  # the numbers are the same without
            if plan.pending is not None:
                plan.pending.seconds = 0.0  # so that others do not try for a while
            plan.pending, plan.threads, plan.kernel_error = None, None, repr(error)
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
                carry = numbers_as_arrays(step(*arguments))
                i += 1
                continue
            carry = plan.unflatten_donated(())
            rows = order[i : i + STEPS_PER_CHECK] if plan.pending is not None else order[i:]
            plan.run_rows(flat[:-1], rows)
            i += len(rows)
        return carry

    return run
