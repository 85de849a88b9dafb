"""Report epochs that have ended: wait for their results, enter them in the histories and call the callbacks."""

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
    """An epoch that has ended, or several that were one call."""

    first: int
    sums: Sums  # those of several are stacked
    rates: Sequence[float]  # for each epoch, the learning rate of its last step

    @property
    def last(self) -> int:
        return self.first + len(self.rates) - 1


class EndedEpochs:
    """The epochs of one call of ``fit`` that have ended and are not yet reported.

    Parameters
    ----------
    network : Network
    hooks : CallbackList
    guard : Guard
        Checks that an epoch's numbers are finite.
    run : Run or None
        Saves the network between two epochs.
    validation : Source or None
        Examples on which the network is evaluated after every epoch, in batches of at least *batch_size*.

    Attributes
    ----------
    history : History
        The results of the epochs that this call has trained.
    report_at_once : bool
        Whether an epoch must be reported before the next one begins: if something uses the network after every epoch,
        or if the backend is synchronous. Otherwise the device computes the next epoch meanwhile.
    """

    def __init__(
        self,
        network: Network,
        hooks: CallbackList,
        guard: Guard,
        run: Run | None,
        validation: Source | None,
        batch_size: int,
    ) -> None:
        self.network, self.hooks, self.guard, self.run = network, hooks, guard, run
        self.validation, self.evaluation_rows = validation, max(batch_size, EVALUATION_ROWS)
        self.history = History()
        self.report_at_once = guard.observed or network.backend.is_synchronous
        self._ended: list[Ended] = []
        self._unfinished_entry: list[tuple[int, int, int, Mapping[str, float]]] = []  # arguments of _enter; one at most

    def __len__(self) -> int:
        return len(self._ended)

    def add(self, first: int, sums: Sums, rates: Sequence[float]) -> None:
        """Add an epoch that has ended, with its sums and the learning rate of its last step, or several epochs.

        Those are the ones from the *first* on that were one call; their sums are stacked.
        """
        kept = sums if self.report_at_once else self.network.compiled.copy(sums)
        self._ended.append(Ended(first, kept, rates))

    def report_next(self, total_epochs: int) -> dict[str, float]:
        """Wait for the epochs of the next call that has ended, report each, and return the results of the last one.

        Training is over when the network has *total_epochs*.
        """
        first, sums, rates = self._ended[0]
        results = self.network.compiled.results(sums, len(rates))
        for epoch, (logs, rate) in enumerate(zip(results, rates, strict=True), first):
            if epoch >= self.network.epochs:  # the others were reported before an interruption
                self._report_epoch(epoch, logs, rate, total_epochs)
        del self._ended[:1]
        return results[-1]

    def _report_epoch(self, epoch: int, logs: dict[str, float], rate: float, total_epochs: int) -> None:
        network, run = self.network, self.run
        self.guard.end_epoch(epoch, logs["loss"])
        if self.validation is not None:
            logs |= self._validate(self.validation)
        logs["learning_rate"] = rate
        # Ctrl-C may come between any two lines; `report_remaining` then finishes an entry that was begun.
        self._unfinished_entry.append((epoch, self.history.epochs, network.history.epochs, dict(logs)))
        self._enter(*self._unfinished_entry[0])
        self.hooks.end_epoch(epoch, logs, self._revise)
        if run:
            run.end_epoch(self.history, last=network.stop_training or network.epochs == total_epochs)

    def report_remaining(self, total_epochs: int) -> None:
        """After an interruption, finish an entry that was begun, and report the epochs that have ended."""
        network, guard = self.network, self.guard
        for entry in self._unfinished_entry[:1]:
            self._enter(*entry)
        self._ended[:] = [ended for ended in self._ended if ended.last >= network.epochs]
        with suppress(BackendError):  # results that were not fetched yet are lost with the device
            while self._ended and not guard.observed and (guard.failed is None or self._ended[0].last < guard.failed):
                self.report_next(total_epochs)
        network.recount()

    def _validate(self, validation: Source) -> dict[str, float]:
        self.hooks.call("on_test_begin", {})
        measured = evaluate(self.network, validation, self.evaluation_rows)
        self.hooks.call("on_test_end", measured)
        return {f"val_{name}": value for name, value in measured.items()}

    def _enter(self, epoch: int, own_epochs: int, all_epochs: int, logs: Mapping[str, float]) -> None:
        """Enter results after the first *own_epochs* of this call's history and *all_epochs* of the network's.

        Entering the same results again changes nothing.
        """
        self.history.append(logs, own_epochs)
        self.network.history.append(logs, all_epochs)
        self.network.epochs = epoch + 1
        self._unfinished_entry.clear()

    def _revise(self, logs: Mapping[str, float]) -> None:
        self.history.revise(logs)
        self.network.history.revise(logs)
