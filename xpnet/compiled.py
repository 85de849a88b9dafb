"""A network's pure functions, each compiled by the backend when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from xpnet.arrays import Host
    from xpnet.backend import Array, Backend
    from xpnet.training import Batch, Program, State, Sums

__all__ = ["Compiled", "pass_order", "step_order"]

STEP_SECONDS, OPERATIONS_PER_SECOND = 1e-4, 5e10
"""The time of a step of a small network at most, and the speed of large products. They give the order of magnitude of
an epoch's time, which is not measured, so that epochs are cut into the same pieces on every machine."""


class Compiled:
    """The functions of one :class:`~xpnet.training.Program` on one backend."""

    def __init__(self, program: Program, backend: Backend) -> None:
        self.program, self.backend = program, backend
        self._functions: dict[str, Callable[..., Any]] = {}
        self._checked: dict[str, Callable[..., Any] | None] = {}

    def function(self, name: str) -> Callable[..., Any]:
        """Return a function of the program by its name, compiled; for those called at most once a batch."""
        if name not in self._functions:
            self._functions[name] = self.backend.compile(getattr(self.program, name), donated=name == "step_loss")
        return self._functions[name]

    def checked(self, name: str) -> Callable[..., Any] | None:
        """Return what calls a function at once if its last argument needs no checks, else returns None.

        There is none on a backend without it; see :attr:`xpnet.Backend.compile`.
        """
        if name not in self._checked:
            self._checked[name] = getattr(self.function(name), "checked_call", None)
        return self._checked[name]

    @cached_property
    def train_on_batch(self) -> Callable[..., Any]:
        """Train on a batch: ``(carry, batch) -> carry``; the new carry may take the memory of the old one."""
        return self.backend.compile(self.program.advance, donated=True)

    @cached_property
    def train_on_rows(self) -> Callable[..., Any]:
        """Train on many batches of data on the device in one call: ``(carry, data, order) -> carry``."""
        return self.backend.loop(self.program.advance_rows)  # type: ignore[misc]

    @cached_property
    def train_epochs(self) -> Callable[..., Any]:
        """Train for several epochs in one call, if the backend can; see :attr:`xpnet.Backend.epochs`."""
        return self.backend.epochs(self.program.advance_rows)  # type: ignore[misc]

    def step_seconds(self, rows: int) -> float:
        """Estimate the time of a step on so many rows: three products of two operations for each parameter and row.

        The work of a layer without parameters is not counted.
        """
        return STEP_SECONDS + 6 * self.program.layout.size * rows / OPERATIONS_PER_SECOND

    def zero_sums(self) -> Sums:
        """Return the sums at the start of an epoch."""
        return self._shared_zeros if self.backend.immutable else self._new_zeros()

    @cached_property
    def _shared_zeros(self) -> Sums:
        return self._new_zeros()

    def _new_zeros(self) -> Sums:
        sums: Sums = self.function("zero_sums")()
        return sums

    def measure(self, sums: Sums, model: tuple[Array, Any], batch: Batch) -> Sums:
        """Add a batch's loss and metrics to the sums."""
        added: Sums = self.function("measure")(sums, model, batch)
        return added

    def is_finite(self, carry: tuple[State, Sums]) -> Array:
        """Return whether everything that a step carries is finite, 0-d on the device."""
        finite: Array = self.function("is_finite")(carry)
        return finite

    def copy(self, tree: Any) -> Any:
        """Return a copy of a state, sums or both that outlives the next step, or of a batch that outlives its arrays.

        On a backend whose arrays are immutable, that is the tree itself.
        """
        return tree if self.backend.immutable else self.function("copy")(tree)

    def trace(self, state: State, batch: Batch) -> tuple[dict[str, Host], dict[str, Host]]:
        """Return everything that a training step computes, and the parameters' gradients, by name, on the host.

        A compiler need not keep the order in which a mapping was made: the first are as they come, for
        :func:`step_order`, the second in the order of the layout.
        """
        found, gradients = self.function("trace")(state, batch)
        host = self.backend.to_numpy
        return (
            {name: np.array(host(value)) for name, value in found.items()},
            {slot.name: np.array(host(gradients[slot.name])) for slot in self.program.layout.slots},
        )

    def activations(self, state: State, x: Array) -> dict[str, Host]:
        """Return every output of a training step's forward pass by name, on the host."""
        found = self.function("activations")(state, x)
        return {name: np.array(self.backend.to_numpy(value)) for name, value in found.items()}

    def results(self, sums: Sums, epochs: int = 1) -> list[dict[str, float]]:
        """Wait for the device and return loss and metrics of each epoch; the sums of several *epochs* are stacked."""
        total = self.backend.to_numpy(sums.total)
        return [self.program.results(each) for each in total.reshape(-1, total.shape[-1])[:epochs]]


def step_order(names: Collection[str]) -> list[str]:
    """Return the names of a trace, of outputs alone or of all, in the order in which a step computes them."""
    last = [name for name in ("input.gradient", "losses", "loss") if name in names]
    noted = [name for name in names if name not in last]
    forward = [name for name in noted if not name.endswith(".gradient")]
    back = [name for name in noted if name.endswith(".gradient")]
    return [*sorted(forward, key=pass_order), *sorted(back, key=pass_order, reverse=True), *last]


def pass_order(name: str) -> list[tuple[int, int]]:
    """Return a key that sorts names in the order of the forward pass: a container's parts, its shortcut, its output.

    >>> sorted(["10.output", "2.output", "2.shortcut.weight", "2.1.output"], key=pass_order)
    ['2.1.output', '2.shortcut.weight', '2.output', '10.output']
    """
    ranks = {"shortcut": 1, "output": 3}
    return [(0, int(part)) if part.isdecimal() else (ranks.get(part, 2), 0) for part in name.split(".")]
