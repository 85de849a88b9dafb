"""What stops training where numbers stop being finite: at the step that did it, with the state before it.

A look at the device costs a wait, so it is taken where the loop waits anyway: at the end of an epoch (for short ones
every tenth of a second), and within long ones every second; a large network is looked at so rarely, up to every ten
seconds, that looks and the copies that they make take a hundredth of the host's time. What a look finds is then pinned
to its step by training once more, a step at a time, from the last state that was found good. Nothing is added to the
step itself.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xpnet.batches import RECENT, Before, Stream
from xpnet.errors import NonFiniteError, unknown_name

if TYPE_CHECKING:
    from xpnet.batches import Carry, Epoch, Resident, Source
    from xpnet.network import Network
    from xpnet.resuming import Run
    from xpnet.training import Batch, State, Sums

__all__ = ["POLICIES", "Guard"]

POLICIES = ("raise", "skip", "ignore")

SECONDS = 1.0
"""Between two looks within an epoch."""

SHORT = 0.1
"""Seconds of training after which the end of an epoch is worth a look, which costs up to 1.5 ms on JAX; a loss that is
not finite is seen without."""

SHARE, LONGEST = 0.01, 10.0
"""What looks may take of the time, and the seconds between two of them at most, however long one takes."""

HALVINGS = 10
"""Steps in a row that are skipped at most: a rate a thousand times lower does not help either."""


class Window(NamedTuple):
    """Where examples come from, and an epoch from the first batch on that nobody has looked at."""

    source: Source
    epoch: Epoch


class Guard:
    """Looks after one call of ``fit``.

    Parameters
    ----------
    network : Network
    policy : str
        ``"raise"``; ``"skip"``, which leaves a bad step out and halves the learning rate; or ``"ignore"``.
    observed : bool
        Whether somebody looks at the network after every epoch, so that no epoch may end unseen.
    run : Run or None
        The run whose checkpoints must hold nothing that was not looked at.

    Attributes
    ----------
    save : bool
        Whether the run is to be saved after the piece of an epoch that was yielded last.
    failed : int or None
        The epoch of the step at which training was stopped.
    """

    def __init__(self, network: Network, policy: str, *, observed: bool, run: Run | None) -> None:
        if policy not in POLICIES:
            raise unknown_name("on_nonfinite", policy, POLICIES)
        self.network, self.policy, self.run, self.save = network, policy, run, False
        self.observed = observed
        self.stepwise = policy == "skip"
        self.failed: int | None = None
        self._good: Any = None  # a copy of the last carry that was found good
        self._known: State | None = None  # the network's state as training has left it
        self._window: list[Window] = []  # epochs since then, and where in them
        self._looked = 0.0
        self._cost: float | None = None  # seconds of the host that the last look took
        self._asked: dict[int, Any] = {}  # what a look after an epoch will have found
        self._last: Carry = None
        self._mended: Carry | None = None
        self._skipped = 0

    def train(self, source: Source, carry: Carry, epoch: Epoch, before: Before | None) -> Iterator[tuple[Carry, int]]:
        """Train as :meth:`~xpnet.batches.Source.train` does, and look where it is time."""
        network, done = self.network, epoch.start
        self._begin(carry, Window(source, epoch))
        if before or self.stepwise:
            before = self._around(before, source, epoch)
        if isinstance(source, Stream):
            source.remembers = self.policy != "ignore"
        self._last = carry
        for reached, more in source.train(network.compiled, carry, epoch, before):
            done += more
            self.save = self.run is not None and self.run.due(more)
            if self.policy != "ignore" and (self.stepwise or self.save or self._time(source, done)):
                for ended in [*self._asked]:
                    self._answer(ended)
                fine, copy = self._inspect(reached)
                if fine:
                    self._skipped = 0
                else:
                    reached, copy = self._treat(), self._good
                if self._window[0].epoch.number < epoch.number:
                    # A short epoch before, whose sums nobody has asked about: its results will tell, and may send back.
                    self._looked = time.monotonic()
                else:
                    self._remember(copy, Window(source, epoch._replace(start=done)))
            self._last, self._known = reached, reached[0]
            yield reached, more
        if self.policy == "ignore" or self.stepwise:
            return
        if isinstance(source, Stream):  # its batches are gone when the next epoch begins
            fine, copy = self._inspect(self._last)
            if not fine:
                self._treat()
            self._remember(copy)
        else:
            self._end(epoch)

    def train_epochs(self, source: Resident, state: State, epochs: Sequence[Epoch]) -> tuple[State, Sums]:
        """Train as :meth:`~xpnet.batches.Resident.train_epochs` does, and look afterwards if it is time.

        A look sees no epoch's running loss: whether that is finite is told by its results.
        """
        start = self.network.compiled.zero_sums()
        self._begin((state, start), *(Window(source, epoch) for epoch in epochs))
        reached, sums = source.train_epochs(self.network.compiled, state, epochs)
        self._last, self._known = (reached, start), reached
        if self.policy != "ignore":
            self._end(epochs[-1])
        return reached, sums

    def end_epoch(self, epoch: int, loss: float) -> None:
        """Look at an epoch that has ended, whose loss the host knows now; the next one may have been trained since.

        Raises
        ------
        NonFiniteError
            A step has made something NaN or infinite; the network is as it was before that step.
        """
        if self.policy != "ignore":
            if not isfinite(loss):
                self._treat()
            self._answer(epoch)

    def finish(self) -> None:
        """Look at what training ends with, if the last epochs were too short for a look; raises as ``end_epoch``."""
        if self.policy != "ignore" and self._window and not self.stepwise:
            if not self._is_fine(self._last):
                self._treat()
            self._window.clear()

    def _begin(self, carry: Carry, *windows: Window) -> None:
        """Note what is trained on next, and from where, if training has not left the network in this state itself."""
        self._mended = None  # the network has what a step skipped last has left, and hooks may have changed it since
        if self._known is self.network.state and not self.stepwise:
            self._window.extend(windows)
        elif self.policy != "ignore":
            self._remember(self.network.compiled.copied(carry), *windows)

    def _end(self, epoch: Epoch) -> None:
        """Look at what an epoch has ended with, if it is time."""
        if self.observed or (not self._asked and self._is_due(SHORT)):
            # The question is put before the loop waits for the epoch's results; the answer is looked at after.
            self._asked[epoch.number] = self._ask(self._last)

    def _time(self, source: Source, done: int) -> bool:
        """Whether to look within an epoch."""
        if isinstance(source, Stream) and done % RECENT == 0:
            return True  # its batches are gone afterwards
        return self._is_due(SECONDS)

    def _is_due(self, pause: float) -> bool:
        return time.monotonic() - self._looked >= max(pause, min((self._cost or 0.0) / SHARE, LONGEST))

    def _ask(self, carry: Carry) -> Any:
        """Ask the device whether a carry is finite, and for a copy of it."""
        begin = time.monotonic()
        asked = self.network.compiled.finite(carry), self.network.compiled.copied(carry)
        first = self._cost is None  # which compiles, where the backend does
        self._cost = 0.0 if first else time.monotonic() - begin
        return asked

    def _is_fine(self, carry: Carry) -> bool:
        return bool(self.network.backend.to_numpy(self.network.compiled.finite(carry)))

    def _answer(self, epoch: int) -> None:
        fine, copy = self._asked.pop(epoch, (None, None))
        if fine is not None:
            if not bool(self.network.backend.to_numpy(fine)):
                self._treat()
            later = [window for window in self._window if window.epoch.number > epoch]
            self._remember(copy, *later)

    def _inspect(self, carry: Carry) -> tuple[bool, Carry]:
        fine, copy = self._ask(carry)
        return bool(self.network.backend.to_numpy(fine)), copy

    def _remember(self, copy: Carry, *windows: Window) -> None:
        """Hold a carry that was found good, and the epochs that are trained on from there."""
        self._good, self._looked, self._window = copy, time.monotonic(), list(windows)
        self._asked.clear()

    def _around(self, before: Before | None, source: Source, epoch: Epoch) -> Before:
        """Return what is asked before each step: it puts a mended state in place, and sees where a hook makes one."""
        network = self.network

        def around(batch: int, carry: Carry) -> Carry:
            carry, self._mended = carry if self._mended is None else self._mended, None
            given = before(batch, carry) if before else carry
            if given[0] is not carry[0] and self.policy != "ignore":
                # Training again from before this would not meet it, so what was before is looked at now.
                if not self._is_fine(carry):
                    self._treat()
                self._remember(network.compiled.copied(given), Window(source, epoch._replace(start=batch)))
            return given

        return around

    def _treat(self) -> Carry:
        """Put the state before the bad step back, and raise, or return what goes on without that step."""
        from xpnet.diagnosis import explain

        network = self.network
        with np.errstate(all="ignore"):
            located = self._locate()
            if located is None:
                raise NonFiniteError(
                    "training stopped before its first step: the network, or the epoch so far that it goes on with, "
                    "holds NaN or infinity, as after on_nonfinite='ignore'. Go on from an older file, or start anew"
                )
            epoch, number, batch, (state, sums) = located
            network.state = state
            network.recount()
            step = network.steps
            found = explain(network, batch)
        where = f"step {step} (epoch {epoch}, batch {number}, counted from 0): {found}"
        if self.policy == "skip" and self._skipped < HALVINGS:
            self._skipped += 1
            network.scale /= 2
            warnings.warn(f"skipped {where}. The learning rate is {network.learning_rate:g} now", RuntimeWarning, 8)
            counted = network.backend.asarray(np.asarray(step + 1, dtype=np.int32), dtype=network.backend.xp.int32)
            self._good = network.compiled.copied((network.state._replace(step=counted), sums))
            self._mended = network.compiled.copied(self._good)
            return self._mended
        self.failed = epoch
        undone = max(network.epochs - epoch, 0)
        network.history.cut(network.history.epochs - undone)
        network.epochs -= undone
        again = f" {HALVINGS} steps before it were skipped, one after the other." if self.policy == "skip" else ""
        saved = f"; {self.run.latest} is whole" if self.run and self.run.latest else ""
        raise NonFiniteError(f"training stopped at {where}.{again} The network is as it was before that step{saved}")

    def _locate(self) -> tuple[int, int, Batch, Carry] | None:
        """Train once more from the last good state to the first bad step; return its place, batch, and state before.

        None where no step has been done since: the state was bad when training began.
        """
        carry, last = self._good, None
        for source, epoch in self._window:
            for number, batch in enumerate(source.again(epoch), epoch.start):
                before = self.network.compiled.copied(carry)
                carry = self.network.compiled.on_batch(carry, batch)
                last = epoch.number, number, batch, before
                if not self._is_fine(carry):
                    return last
        # Compiled a step at a time, arithmetic may round differently, and a step at the edge come out finite.
        return last
