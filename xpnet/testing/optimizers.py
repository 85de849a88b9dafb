"""Check an optimizer or a chain: updates of a flat vector, alone and alternating with those of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from xpnet.arrays import Host
from xpnet.backend import Array, Backend
from xpnet.configuration import resolve_optimizer
from xpnet.initializers import Zeros
from xpnet.optimizers import Now, Optimizer, rate_at
from xpnet.parameters import Layout, Param, Shape, Tree, flatten
from xpnet.random import host_stream
from xpnet.registry import check_returned
from xpnet.testing.comparing import check_close, check_finite, require
from xpnet.testing.comparison_backends import PARITY, open_float32, open_float64, other_backends, to_device
from xpnet.testing.extremes import LARGE, extremes
from xpnet.testing.records import check_record
from xpnet.testing.user_code import check_array, check_arrays, raising_check_errors

__all__ = ["check_optimizer"]


def check_optimizer(
    optimizer: Optimizer,
    *,
    backend: str | Backend = "numpy",
    beside: Iterable[str | Backend] | None = None,
    expected: Callable[[list[Host], Host, list[float]], Host] | None = None,
    steps: int = 10,
    seed: int = 0,
    tolerance: float = 1e-10,
) -> None:
    """Hold an optimizer or a chain to its contract, on a layout of two weights and a bias.

    It is a frozen record that a file brings back equal. Its state keeps its names, shapes and dtype, as a compiled
    loop needs; it hides nothing in itself, so two runs side by side do not disturb each other; it goes by the
    learning rate that it is given, and leaves that and the step alone. float32 and other backends give nearly the same
    parameters. These go down the slope of a parabola, and stay finite under gradients that are huge, tiny, denormal, 0
    or all equal.

    Parameters
    ----------
    optimizer : optimizer or chain
    backend, beside, seed
        As for :func:`check_layer`.
    expected : callable, optional
        ``expected(gradients, params, rates) -> params``: the method in plain NumPy. ``gradients`` and ``rates``
        hold one entry for each step.
    steps : int
        Updates to make.
    tolerance : float
        Largest difference from *expected*, as a share of the largest parameter.

    Raises
    ------
    CheckError
        The optimizer breaks the contract, or raises an error of its own; the message says in which method, and where.
    ConfigurationError
        It is no optimizer: a class, an object that lacks a method, or a link of a chain alone.
    """
    optimizer = resolve_optimizer(optimizer)
    backend = open_float64(backend)
    beside = other_backends(backend, beside)
    stream, where = host_stream(seed, "check"), f"{optimizer}"
    run = _OptimizerRun(optimizer, backend)
    params = stream.normal(size=run.layout.size)
    gradients = [stream.normal(size=run.layout.size) for _ in range(2 * steps)]
    alone = run.follow(params, gradients[:steps])
    disturbed = run.follow(params, gradients[:steps], disturbed_by=gradients[steps:])
    require(np.array_equal(alone, disturbed), where, "a second run beside the first one changes it")
    require(bool(np.isfinite(alone).all()), where, "parameters are not finite")
    after = f"parameters after {steps} steps"
    if expected is not None:
        check_close(where, after, alone, expected(gradients[:steps], params, run.rates(steps)), tolerance)
    narrowed = _OptimizerRun(optimizer, open_float32(backend))
    for other in (narrowed, *(_OptimizerRun(optimizer, there) for there in beside)):
        there = f"{where} on {other.backend.name} in {other.backend.dtype}"
        check_close(there, after, other.follow(params, gradients[:steps]), alone, PARITY[other.backend.dtype])
    for each in (run, narrowed):
        for what, values in extremes(params.shape, each.backend.dtype, LARGE):
            found = each.follow(params, [values] * steps)
            check_finite(f"{where} in {each.backend.dtype}", {after: found}, what.replace("inputs", "gradients"))
    down = run.descend(params, steps)
    require(
        float(np.sum(down**2)) < float(np.sum(params**2)), where, f"{steps} steps do not go down the parabola |p|²/2"
    )
    require(
        not np.array_equal(alone, run.follow(params, gradients[:steps], scale=0.5)),
        where,
        "half the learning rate gives the same parameters: update must read now.learning_rate, which schedules, "
        "callbacks and net.learning_rate change, and not self.learning_rate",
    )
    check_record(optimizer, where)


class _OptimizerRun:
    """Updates of one flat vector, from host arrays and to host arrays."""

    def __init__(self, optimizer: Optimizer, backend: Backend) -> None:
        weight, bias = Param((3, 2), Zeros()), Param((2,), Zeros(), decay=False)
        self.layout = Layout({"0": {"weight": weight, "bias": bias}, "1": {"weight": Param((2, 2), Zeros())}})
        self.optimizer, self.backend = optimizer, backend
        where = f"{optimizer} on {backend.name} in {backend.dtype}"
        self.start = raising_check_errors("optimizer", optimizer, where, backend.compile(self._init))
        self.rates = raising_check_errors("optimizer", optimizer, where, self._rates)
        self.update = raising_check_errors("optimizer", optimizer, where, backend.compile(self._update))

    def _init(self, params: Array) -> Tree:
        state = self.optimizer.init(params, self.layout, self.backend.xp)
        check_arrays(self.optimizer, "init", "state", state)
        return state

    def _update(self, gradient: Array, params: Array, state: Tree, rate: Array, step: Array) -> tuple[Array, Tree]:
        now = Now(rate, step, self.layout, self.backend.xp)
        given = self.optimizer.update(gradient, params, state, now)
        _, params, state = check_returned("optimizer", self.optimizer, "update", given)
        check_array(self.optimizer, "update", "params", params)
        check_arrays(self.optimizer, "update", "state", state)
        return params, state

    def _rates(self, steps: int) -> list[float]:
        rule = self.optimizer.learning_rate
        return [float(rate_at(rule, np.asarray(float(step)), np)) for step in range(steps)]

    def begin(self, params: Host) -> tuple[Array, Tree]:
        placed = to_device(params, self.backend)
        return placed, self.start(placed)

    def step(self, gradient: Host, carry: tuple[Array, Tree], number: int, scale: float = 1.0) -> tuple[Array, Tree]:
        """Make one update, and hold its results to the shapes of its arguments."""
        backend, where = self.backend, f"{self.optimizer} at step {number}"
        before = self._shapes(carry)
        rate = scale * self.rates(number)[-1]
        now = [to_device(np.asarray(value), backend) for value in (rate, float(number))]
        after = self.update(to_device(gradient, backend), *carry, *now)
        require(self._shapes(after) == before, where, f"state {before} became {self._shapes(after)}")
        for name, array, value in zip(("learning rate", "step"), now, (rate, float(number)), strict=True):
            require(backend.to_numpy(array) == np.asarray(value, backend.dtype), where, f"writes to the {name}")
        params: Array = after[0]
        state: Tree = after[1]
        return params, state

    def _shapes(self, carry: tuple[Array, Tree]) -> dict[str, tuple[Shape, str]]:
        named = flatten({"params": carry[0], "state": carry[1]})
        return {name: (tuple(array.shape), str(array.dtype)) for name, array in named}

    def follow(
        self, params: Host, gradients: list[Host], disturbed_by: list[Host] | None = None, scale: float = 1.0
    ) -> Host:
        """Return the parameters after these gradients, with other updates in between if there are any.

        *scale* is what callbacks multiply the learning rate by.
        """
        carry = self.begin(params)
        other = self.begin(-params)
        for number, gradient in enumerate(gradients, 1):
            carry = self.step(gradient, carry, number, scale)
            if disturbed_by:
                other = self.step(disturbed_by[number - 1], other, number)
        return np.array(self.backend.to_numpy(carry[0]))

    def descend(self, params: Host, steps: int) -> Host:
        """Return the parameters after steps down the parabola |p|²/2, whose gradient is p."""
        carry = self.begin(params)
        for number in range(1, steps + 1):
            carry = self.step(np.array(self.backend.to_numpy(carry[0])), carry, number)
        return np.array(self.backend.to_numpy(carry[0]))
