"""Stop training at the step that made a number NaN or infinite, with the network as it was before that step.

Checking means waiting for the device, so the guard checks where the training loop waits anyway: at the end of an epoch
(at most every tenth of a second where epochs are short), and every second within a long one. A large network is checked
less often, down to every ten seconds, so that checks and the copies that they need take a hundredth of the host's time.
When a check fails, the guard finds the step by training again, one step at a time, from the last state that passed.
The training step itself does nothing extra.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xpnet.batches import RECENT_BATCHES, BeforeBatch, StreamSource
from xpnet.errors import NonFiniteError, unknown_name

if TYPE_CHECKING:
    from xpnet.batches import Carry, DeviceSource, Epoch, Source
    from xpnet.network import Network
    from xpnet.resuming import Run
    from xpnet.training import Batch, State, Sums

__all__ = ["POLICIES", "Guard"]

POLICIES = ("raise", "skip", "ignore")

INTERVAL = 1.0
"""Seconds between two checks within an epoch."""

SHORT_INTERVAL = 0.1
"""Seconds between two checks at the ends of epochs. A check takes up to 1.5 ms on JAX; a loss that is not finite is
noticed without one."""

MAX_OVERHEAD, MAX_INTERVAL = 0.01, 10.0
"""Checks may take this share of the time; but there are never more seconds than this between two of them."""

MAX_SKIPPED = 10
"""Steps that may be skipped in a row: by then the rate is a thousandth of what it was, and a lower one is no help."""


class Unchecked(NamedTuple):
    """A part of an epoch that has been trained on since the last check: where examples come from, and from where on."""

    source: Source
    epoch: Epoch


class Guard:
    """Checks during one call of ``fit`` that all numbers stay finite.

    Parameters
    ----------
    network : Network
    policy : str
        ``"raise"``; ``"skip"``, which leaves a bad step out and halves the learning rate; or ``"ignore"``.
    observed : bool
        Whether something uses the network after every epoch, so that each epoch has to be checked at its end.
    run : Run or None
        The run that saves checkpoints; only what has passed a check may be saved.

    Attributes
    ----------
    save : bool
        Whether to save the run after the piece of an epoch that was yielded last.
    failed : int or None
        The epoch of the step that stopped training.
    """

    def __init__(self, network: Network, policy: str, *, observed: bool, run: Run | None) -> None:
        if policy not in POLICIES:
            raise unknown_name("on_nonfinite", policy, POLICIES)
        self.network, self.policy, self.run, self.save = network, policy, run, False
        self.observed = observed
        self.stepwise = policy == "skip"
        self.failed: int | None = None
        self._last_good: Any = None  # a copy of the last carry that passed a check
        self._last_state: State | None = None  # as training left it; a hook or the user may set another
        self._unchecked: list[Unchecked] = []  # what was trained on since that carry
        self._last_check = 0.0
        self._check_seconds: float | None = None  # host time that the last check took
        self._pending: dict[int, Any] = {}  # by epoch: results of checks that nobody has waited for yet
        self._last_carry: Carry = None
        self._replacement: Carry | None = None  # what goes on in place of a skipped step
        self._skipped = 0  # one after the other
        self._has_skipped = False

    def train(
        self, source: Source, carry: Carry, epoch: Epoch, before_batch: BeforeBatch | None
    ) -> Iterator[tuple[Carry, int]]:
        """Train as :meth:`~xpnet.batches.Source.train` does, with a check wherever one is due."""
        network, done = self.network, epoch.start
        self._begin(carry, Unchecked(source, epoch))
        if before_batch or self.stepwise:
            before_batch = self._checked_hook(before_batch, source, epoch)
        if isinstance(source, StreamSource):
            source.keeps_recent = self.policy != "ignore"
        self._last_carry = carry
        for reached, more in source.train(network.compiled, carry, epoch, before_batch):
            done += more
            self.save = self.run is not None and self.run.due(more)
            if self.policy != "ignore" and (self.stepwise or self.save or self._is_due_within_epoch(source, done)):
                for ended in [*self._pending]:
                    self._finish_check(ended)
                fine, copy = self._check(reached)
                if fine:
                    self._skipped = 0
                else:
                    reached, copy = self._handle_bad_step(), self._last_good
                if self._unchecked[0].epoch.number < epoch.number:
                    # A short epoch before this one is unchecked; its results will show whether to go back to it.
                    self._last_check = time.monotonic()
                else:
                    self._set_last_good(copy, Unchecked(source, epoch._replace(start=done)))
            self._last_carry, self._last_state = reached, reached[0]
            yield reached, more
        if self.policy == "ignore" or self.stepwise:
            return
        if isinstance(source, StreamSource):  # its batches are gone when the next epoch begins
            fine, copy = self._check(self._last_carry)
            if not fine:
                self._handle_bad_step()
            self._set_last_good(copy)
        else:
            self._end(epoch)

    def train_epochs(self, source: DeviceSource, state: State, epochs: Sequence[Epoch]) -> tuple[State, Sums]:
        """Train as :meth:`~xpnet.batches.DeviceSource.train_epochs` does, with a check afterwards if one is due.

        The check does not see the epochs' running losses: their results tell whether those are finite.
        """
        start = self.network.compiled.zero_sums()
        self._begin((state, start), *(Unchecked(source, epoch) for epoch in epochs))
        reached, sums = source.train_epochs(self.network.compiled, state, epochs)
        self._last_carry, self._last_state = (reached, start), reached
        if self.policy != "ignore":
            self._end(epochs[-1])
        return reached, sums

    def end_epoch(self, epoch: int, loss: float) -> None:
        """Check an epoch that has ended, whose loss the host now knows; the next one may have been trained since.

        Raises
        ------
        NonFiniteError
            A step has made something NaN or infinite; the network is as it was before that step.
        """
        if self.policy != "ignore":
            if not isfinite(loss):
                self._handle_bad_step()
            self._finish_check(epoch)

    def finish(self) -> None:
        """Check the final state, if the last epochs were too short for checks of their own; raises as ``end_epoch``."""
        if self.policy != "ignore" and self._unchecked and not self.stepwise:
            if not self._is_fine(self._last_carry):
                self._handle_bad_step()
            self._unchecked.clear()

    def _begin(self, carry: Carry, *unchecked: Unchecked) -> None:
        """Note what is trained on next, and from where, unless training itself left the network in this state."""
        self._replacement = None  # the network already has it, and hooks may have changed it since
        if self._last_state is self.network.state and not self.stepwise:
            self._unchecked.extend(unchecked)
        elif self.policy != "ignore":
            self._set_last_good(self.network.compiled.copy(carry), *unchecked)

    def _end(self, epoch: Epoch) -> None:
        """Start a check of what an epoch has ended with, if one is due."""
        if self.observed or (not self._pending and self._is_due(SHORT_INTERVAL)):
            # The check starts before the loop waits for the epoch's results, and is finished after that.
            self._pending[epoch.number] = self._start_check(self._last_carry)

    def _is_due_within_epoch(self, source: Source, done: int) -> bool:
        """Whether it is time for a check within an epoch."""
        if isinstance(source, StreamSource) and done % RECENT_BATCHES == 0:
            return True  # its batches are gone afterwards
        return self._is_due(INTERVAL)

    def _is_due(self, pause: float) -> bool:
        needed = min((self._check_seconds or 0.0) / MAX_OVERHEAD, MAX_INTERVAL)
        return time.monotonic() - self._last_check >= max(pause, needed)

    def _start_check(self, carry: Carry) -> Any:
        """Let the device begin to check that a carry is finite, and to copy it, without waiting for either."""
        begin = time.monotonic()
        started = self.network.compiled.is_finite(carry), self.network.compiled.copy(carry)
        first = self._check_seconds is None  # which compiles, where the backend does
        self._check_seconds = 0.0 if first else time.monotonic() - begin
        return started

    def _is_fine(self, carry: Carry) -> bool:
        return bool(self.network.backend.to_numpy(self.network.compiled.is_finite(carry)))

    def _finish_check(self, epoch: int) -> None:
        fine, copy = self._pending.pop(epoch, (None, None))
        if fine is not None:
            if not bool(self.network.backend.to_numpy(fine)):
                self._handle_bad_step()
            later = [window for window in self._unchecked if window.epoch.number > epoch]
            self._set_last_good(copy, *later)

    def _check(self, carry: Carry) -> tuple[bool, Carry]:
        fine, copy = self._start_check(carry)
        return bool(self.network.backend.to_numpy(fine)), copy

    def _set_last_good(self, copy: Carry, *windows: Unchecked) -> None:
        """Keep a carry that passed a check, and the parts of epochs that are trained on from there."""
        self._last_good, self._last_check, self._unchecked = copy, time.monotonic(), list(windows)
        self._pending.clear()

    def _checked_hook(self, before_batch: BeforeBatch | None, source: Source, epoch: Epoch) -> BeforeBatch:
        """Wrap the hook *before_batch*: replace a bad state before it, and notice a state that it has set."""
        network = self.network

        def around(batch: int, carry: Carry) -> Carry:
            carry, self._replacement = carry if self._replacement is None else self._replacement, None
            given = before_batch(batch, carry) if before_batch else carry
            if given[0] is not carry[0] and self.policy != "ignore":
                # Training again from an earlier state would not repeat the hook's change, so check now.
                if not self._is_fine(carry):
                    self._handle_bad_step()
                self._set_last_good(network.compiled.copy(given), Unchecked(source, epoch._replace(start=batch)))
            return given

        return around

    def _handle_bad_step(self) -> Carry:
        """Go back to the state before the bad step; then raise, or return the carry to go on with without that step."""
        from xpnet.nonfinite_diagnosis import explain_nonfinite

        network = self.network
        with np.errstate(all="ignore"):
            located = self._find_bad_step()
            if located is None:
                raise NonFiniteError(
                    "training stopped before its first step: the network, or the epoch so far that it goes on with, "
                    "holds NaN or infinity, as after on_nonfinite='ignore'. Go on from an older file, or start anew"
                )
            epoch, number, batch, (state, sums) = located
            network.state = state
            network.recount()
            step = network.steps
            found = explain_nonfinite(network, batch, after_skipping=self._has_skipped)
        where = f"step {step + 1} (epoch {epoch + 1}, batch {number + 1}, counted from 1): {found}"
        if self.policy == "skip" and self._skipped < MAX_SKIPPED:
            self._skipped += 1
            self._has_skipped = True
            network.scale /= 2
            warnings.warn(f"skipped {where}. The learning rate is {network.learning_rate:g} now", RuntimeWarning, 8)
            counted = network.backend.asarray(np.asarray(step + 1, dtype=np.int32), dtype=network.backend.xp.int32)
            self._last_good = network.compiled.copy((network.state._replace(step=counted), sums))
            self._replacement = network.compiled.copy(self._last_good)
            return self._replacement
        self.failed = epoch
        undone = max(network.epochs - epoch, 0)
        network.history.cut(network.history.epochs - undone)
        network.epochs -= undone
        again = f" {MAX_SKIPPED} steps before it were skipped, one after the other." if self.policy == "skip" else ""
        saved = f"; {self.run.latest} is whole" if self.run and self.run.latest else ""
        raise NonFiniteError(f"training stopped at {where}.{again} The network is as it was before that step{saved}")

    def _find_bad_step(self) -> tuple[int, int, Batch, Carry] | None:
        """Train again from the last good state until the first bad step.

        Returns its epoch, the number of its batch, the batch, and the carry before it; None if no step has been done
        since the last check, as the state was bad when training began.
        """
        carry, last = self._last_good, None
        for source, epoch in self._unchecked:
            for number, batch in enumerate(source.replay(epoch), epoch.start):
                before = self.network.compiled.copy(carry)
                carry = self.network.compiled.train_on_batch(carry, batch)
                last = epoch.number, number, batch, before
                if not self._is_fine(carry):
                    return last
        # Compiled one step at a time, arithmetic may round differently, so that a borderline step comes out finite.
        return last
