"""Epochs that have ended: their results are waited for, told to callbacks and entered in histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from xpnet.errors import BackendError
from xpnet.evaluation import EVALUATION_ROWS, evaluate
from xpnet.history import History

if TYPE_CHECKING:
    from xpnet.batches import Source
    from xpnet.callbacks import CallbackList
    from xpnet.network import Network
    from xpnet.nonfinite_guard import Guard
    from xpnet.resuming import Run
    from xpnet.training import Sums

__all__ = ["EndedEpochs"]


class Ended(NamedTuple):
    """One epoch, or several of one call."""

    first: int
    sums: Sums  # stacked where they are several
    rates: Sequence[float]  # of the last step of each

    @property
    def last(self) -> int:
        return self.first + len(self.rates) - 1


class EndedEpochs:
    """The epochs of one call of ``fit`` that have ended, and that nobody knows the results of yet.

    Parameters
    ----------
    network : Network
    hooks : CallbackList
    guard : Guard
        Who has to find an epoch's numbers finite.
    run : Run or None
        What saves the network between two epochs.
    validation : Source or None
        Examples that the network is measured on after every epoch, in batches of *size* or more.

    Attributes
    ----------
    history : History
        What this call has trained.
    at_once : bool
        Whether an epoch is to be closed before the next one begins: where somebody looks at the network after every
        epoch, and where nothing is left to be waited for. Elsewhere the device does the next epoch meanwhile.
    """

    def __init__(
        self,
        network: Network,
        hooks: CallbackList,
        guard: Guard,
        run: Run | None,
        validation: Source | None,
        size: int,
    ) -> None:
        self.network, self.hooks, self.guard, self.run = network, hooks, guard, run
        self.validation, self.rows = validation, max(size, EVALUATION_ROWS)
        self.history = History()
        self.at_once = guard.observed or network.backend.is_synchronous
        self._ended: list[Ended] = []
        self._entering: list[tuple[int, int, int, Mapping[str, float]]] = []

    def __len__(self) -> int:
        return len(self._ended)

    def add(self, first: int, sums: Sums, rates: Sequence[float]) -> None:
        """Take one epoch that has ended, with its sums and the learning rate of its last step; or several of one call.

        The sums of several, from the *first* on, are stacked.
        """
        self._ended.append(Ended(first, sums if self.at_once else self.network.compiled.copied(sums), rates))

    def close(self, last: int) -> dict[str, float]:
        """Wait for the results of the first call that has ended, and tell them; training ends with epoch *last*."""
        first, sums, rates = self._ended[0]
        every = self.network.compiled.results(sums, len(rates))
        for epoch, (logs, rate) in enumerate(zip(every, rates, strict=True), first):
            if epoch >= self.network.epochs:  # those before were closed when Ctrl-C came
                self._close_epoch(epoch, logs, rate, last)
        del self._ended[:1]
        return every[-1]

    def _close_epoch(self, epoch: int, logs: dict[str, float], rate: float, last: int) -> None:
        network, run = self.network, self.run
        self.guard.end_epoch(epoch, logs["loss"])
        if self.validation is not None:
            logs |= self._validate(self.validation)
        logs["learning_rate"] = rate
        # Ctrl-C may come between any two lines; what has begun to be entered is entered again then.
        self._entering.append((epoch, self.history.epochs, network.history.epochs, dict(logs)))
        self._enter(*self._entering[0])
        self.hooks.end_epoch(epoch, logs, self._revise)
        if run:
            run.end_epoch(self.history, last=network.stop_training or network.epochs == last)

    def rescue(self, last: int) -> None:
        """After an interruption, enter what has begun to be entered, and what can still be waited for."""
        network, guard = self.network, self.guard
        for entry in self._entering[:1]:
            self._enter(*entry)
        self._ended[:] = [ended for ended in self._ended if ended.last >= network.epochs]
        with suppress(BackendError):  # a lost device takes the results with it that nobody has fetched
            while self._ended and not guard.observed and (guard.failed is None or self._ended[0].last < guard.failed):
                self.close(last)
        network.recount()

    def _validate(self, validation: Source) -> dict[str, float]:
        self.hooks.call("on_test_begin", {})
        measured = evaluate(self.network, validation, self.rows)
        self.hooks.call("on_test_end", measured)
        return {f"val_{name}": value for name, value in measured.items()}

    def _enter(self, epoch: int, here: int, whole: int, logs: Mapping[str, float]) -> None:
        """Enter results after the first *here* epochs of this call's history, the *whole* of the network's."""
        self.history.append(logs, here)
        self.network.history.append(logs, whole)
        self.network.epochs = epoch + 1
        self._entering.clear()

    def _revise(self, logs: Mapping[str, float]) -> None:
        self.history.revise(logs)
        self.network.history.revise(logs)
