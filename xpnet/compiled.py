"""A network's pure functions as its backend compiles them, each when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from xpnet.arrays import Host
    from xpnet.backend import Array, Backend
    from xpnet.training import Batch, Program, State, Sums

__all__ = ["Compiled"]

STEP, RATE = 1e-4, 5e10
"""What a step of a small network takes at most, in seconds, and operations a second in large products: by these the
time of an epoch is guessed, to the order of magnitude. It is not measured, so that a run is cut alike everywhere."""


class Compiled:
    """The functions of one :class:`~xpnet.training.Program` on one backend."""

    def __init__(self, program: Program, backend: Backend) -> None:
        self.program, self.backend = program, backend
        self._functions: dict[str, Callable[..., Any]] = {}

    def function(self, name: str) -> Callable[..., Any]:
        """Return a function of the program that is not called more than once a batch."""
        if name not in self._functions:
            self._functions[name] = self.backend.compile(getattr(self.program, name), donated=name == "step_loss")
        return self._functions[name]

    @cached_property
    def on_batch(self) -> Callable[..., Any]:
        """Train on a batch: ``(carry, batch) -> carry``, which takes the old carry's memory."""
        return self.backend.compile(self.program.advance, donated=True)

    @cached_property
    def on_rows(self) -> Callable[..., Any]:
        """Train on many batches of resident data in one call, as a loop: ``(carry, data, order) -> carry``."""
        return self.backend.loop(self.program.advance_rows)  # type: ignore[misc]

    @cached_property
    def on_epochs(self) -> Callable[..., Any]:
        """Train for several epochs in one call, where the backend can; see :attr:`xpnet.Backend.epochs`."""
        return self.backend.epochs(self.program.advance_rows)  # type: ignore[misc]

    def seconds(self, rows: int) -> float:
        """Guess what a step on so many rows takes: three products, of two operations a parameter and row each.

        What a layer of the user's own computes without parameters is not seen.
        """
        return STEP + 6 * self.program.layout.size * rows / RATE

    def zero_sums(self) -> Sums:
        """Return what an epoch's sums start from."""
        sums: Sums = self._zeros if self.backend.immutable else self.function("zero_sums")()
        return sums

    @cached_property
    def _zeros(self) -> Sums:
        sums: Sums = self.function("zero_sums")()
        return sums

    def measure(self, sums: Sums, model: tuple[Array, Any], batch: Batch) -> Sums:
        """Add a batch's loss and metrics."""
        added: Sums = self.function("measure")(sums, model, batch)
        return added

    def finite(self, carry: tuple[State, Sums]) -> Array:
        """Return whether what a step carries is finite, 0-d on the device."""
        fine: Array = self.function("finite")(carry)
        return fine

    def copied(self, tree: Any) -> Any:
        """Return a state, sums or both that outlive the next step, or a batch that outlives the caller's arrays."""
        return tree if self.backend.immutable else self.function("copied")(tree)

    def trace(self, state: State, batch: Batch) -> tuple[dict[str, Host], dict[str, Host]]:
        """Return all that a training step computes, and the parameters' gradients, by name, on the host."""
        found, gradients = self.function("trace")(state, batch)
        host = self.backend.to_numpy
        return (
            {name: np.array(host(value)) for name, value in found.items()},
            {name: np.array(host(value)) for name, value in gradients.items()},
        )

    def results(self, sums: Sums, epochs: int = 1) -> list[dict[str, float]]:
        """Wait for the device and return loss and metrics, for each of so many epochs whose sums are stacked."""
        total = self.backend.to_numpy(sums.total)
        return [self.program.results(each) for each in total.reshape(-1, total.shape[-1])[:epochs]]
