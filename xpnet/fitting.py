"""The training loop: epochs, validation, callbacks, history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from xpnet.batches import Before, Epoch, Resident, Source
from xpnet.callbacks import Callback, CallbackList, TerminateOnNaN, resolve_callbacks
from xpnet.checks import check_integer, check_real
from xpnet.data_adapter import DataAdapter
from xpnet.epochs import EndedEpochs
from xpnet.errors import BackendError, ConfigurationError
from xpnet.nonfinite_guard import Guard
from xpnet.progress import choose_progress
from xpnet.shuffling import RowOrders
from xpnet.training import Batch

if TYPE_CHECKING:
    from xpnet.history import History
    from xpnet.network import Network
    from xpnet.progress import Progress
    from xpnet.resuming import Run
    from xpnet.training import Sums

__all__ = ["alone", "fit", "opened_run", "place_batch"]

EVERY, KEEP = "1 epoch", 2
"""How often ``fit`` saves a run, and how many of its files stay, when the caller does not say."""


def fit(
    network: Network,
    x: Any,
    y: Any,
    *,
    epochs: int,
    batch_size: int | None,
    shuffle: bool | Callable[[int, int], Any],
    validation_split: float,
    validation_data: Any,
    sample_weight: Any,
    class_weight: Any,
    callbacks: Sequence[Callback | str],
    verbose: int | str,
    run: Run | None,
    on_nonfinite: str | None,
) -> History:
    """Train; see :meth:`xpnet.Network.fit`, whose arguments these are, and :func:`opened_run`."""
    epochs = check_integer("epochs", epochs, least=0)
    if not isinstance(shuffle, bool | np.bool_) and not callable(shuffle):
        raise ConfigurationError(
            f"shuffle must be True (new batches every epoch), False or a function (epoch, rows); got {shuffle!r}"
        )
    progress = choose_progress(epochs, verbose)
    given = resolve_callbacks(callbacks)
    adapter = DataAdapter(network, class_weight)
    source, validation = _sources(adapter, x, y, sample_weight, validation_split, validation_data)
    size = _batch_size(batch_size, source)
    hooks = CallbackList([*given, *([progress] if progress else [])], network)
    hooks.check(_result_names(network, validation is not None))
    observed = validation is not None or hooks.watch_epochs or run is not None
    guard = Guard(network, _policy(on_nonfinite, network, given), observed=observed, run=run)
    if run:
        run.open(
            network,
            given,
            in_shape=adapter.in_shape,
            source=source,
            validation=validation,
            batch_size=size,
            shuffle=shuffle,
        )
    fresh = not network.built
    network.build(adapter.in_shape)
    network.stop_training = False
    try:
        hooks.begin()
    except BaseException:
        if fresh:  # data of another shape may be next
            network.in_shape = None
        raise
    return TrainingLoop(network, source, validation, hooks, progress, guard, run, size, shuffle).train(epochs)


class TrainingLoop:
    """One call of ``fit``, whose arguments have been looked at and whose network is built."""

    def __init__(
        self,
        network: Network,
        source: Source,
        validation: Source | None,
        hooks: CallbackList,
        progress: Progress | None,
        guard: Guard,
        run: Run | None,
        size: int,
        shuffle: bool | Callable[[int, int], Any],
    ) -> None:
        self.network, self.source, self.hooks, self.progress = network, source, hooks, progress
        self.guard, self.run, self.size = guard, run, size
        self.steps = None if source.rows is None else -(-source.rows // size)
        here = network.backend.is_synchronous
        self.orders = RowOrders(
            shuffle, source.rows, size, (self.steps or 0) * network.compiled.seconds(size) if here else 0.0
        )
        self.together = self._most_epochs()
        self.longest = run.longest(self.steps) if run else None
        self.before = _before_batch(hooks) if hooks.watch_batches else None
        self.ended = EndedEpochs(network, hooks, guard, run, validation, size)
        self.logs: dict[str, float] = {}  # the last epoch's results
        self.last = 0  # the epoch after which training is over
        self.at, self.begun = network.epochs, network.steps  # the epoch that runs, and the steps before it

    def train(self, epochs: int) -> History:
        """Train for so many epochs, or as many as a run that goes on has left; callbacks may end it sooner."""
        network, hooks, run, ended = self.network, self.hooks, self.run, self.ended
        try:
            first, _, start, sums, rate = run.begin(ended.history) if run else (network.epochs, 0, 0, None, None)
            self.last = first + epochs
            self.logs = _last(ended.history)
            epoch = network.epochs
            while epoch < self.last and not network.stop_training:
                if self.together > 1 and isinstance(self.source, Resident):
                    epoch += self._train_epochs(self.source, epoch)
                else:
                    self._train_epoch(epoch, start, sums, rate)
                    epoch, start, sums, rate = epoch + 1, 0, None, None
                if ended.at_once or len(ended) > 1:
                    self.logs = ended.close(self.last)
            if len(ended):
                self.logs = ended.close(self.last)
            self.guard.finish()
            hooks.call("on_train_end", self.logs)
        except BaseException as error:
            self._end_early(error)
            raise
        finally:
            self.orders.close()
        return ended.history

    def _train_epoch(self, epoch: int, start: int, sums: Sums | None, rate: float | None) -> None:
        """Train for one epoch, or from batch *start* on, where those before gave *sums* and were done at *rate*."""
        network, hooks, progress, run = self.network, self.hooks, self.progress, self.run
        self.at, self.begun, done = epoch, network.steps - start, start
        if not start:
            hooks.call("on_epoch_begin", epoch, {})
        elif progress:
            progress.on_epoch_begin(epoch, {})
        order = self.orders.order_for(network.seed, epoch)
        if network.backend.spare_core and epoch + 1 < self.last:
            self.orders.draw_ahead(network.seed, epoch + 1)
        carry = network.state, sums or network.compiled.zero_sums()
        rate = network.last_learning_rate if rate is None else rate
        plan = Epoch(epoch, order, self.size, start, self.longest)
        for reached, more in self.guard.train(self.source, carry, plan, self.before):
            carry = reached
            network.take_state(carry[0], more)
            rate = network.last_learning_rate
            done += more
            if self.before:
                hooks.call("on_train_batch_end", done - 1, {})
            if progress:
                progress.advance(done, self.steps)
            if self.before and network.stop_training:
                break
            if run and self.guard.save and done != self.steps:
                run.save(self.ended.history, done, carry[1], rate)
        self.ended.add(epoch, carry[1], [rate])

    def _most_epochs(self) -> int:
        """Return how many epochs may be one call: more than 1 only where nobody sees them before the call is over."""
        guard, source = self.guard, self.source
        seen = guard.observed or guard.stepwise or callable(self.orders.shuffle)
        if seen or not isinstance(source, Resident):
            return 1
        return source.most_epochs(self.network.compiled, self.size)

    def _train_epochs(self, source: Resident, first: int) -> int:
        """Train for as many epochs in one call as may be and are left, from the *first* on; return how many."""
        network, last = self.network, min(first + self.together, self.last)
        epochs = [Epoch(epoch, self.orders.order_for(network.seed, epoch), self.size) for epoch in range(first, last)]
        steps = self.steps or 0  # which data on the device have
        self.at, self.begun = first, network.steps
        rates = [network.rate_of(network.steps + steps * number - 1) for number in range(1, len(epochs) + 1)]
        state, sums = self.guard.train_epochs(source, network.state, epochs)
        network.take_state(state, steps * len(epochs))
        self.ended.add(first, sums, rates)
        return len(epochs)

    def _end_early(self, error: BaseException) -> None:
        """Save what can be saved of the epochs that have ended, tell the callbacks, and say in *error* where it was."""
        network, run = self.network, self.run
        try:
            self.ended.rescue(self.last)
        finally:
            self.hooks.call("on_train_interrupted", _last(self.ended.history))
        if isinstance(error, KeyboardInterrupt | BackendError):
            done = network.steps - self.begun if network.epochs == self.at else 0  # as far as the device knows
            usable = not isinstance(error, BackendError)
            error.add_note(_where(network, done, self.steps, self.last, run, usable=usable))


class _Call:
    """A call of ``fit``."""


@contextmanager
def alone(network: Network) -> Iterator[None]:
    """Let no other call of ``fit`` train the network meanwhile.

    Raises
    ------
    ConfigurationError
        One does, in another thread or by a callback of this one.
    """
    call = _Call()
    me = ref(call)  # gone with the call, also where Ctrl-C keeps it from being taken back
    try:
        other = vars(network).setdefault("_trained_by", me)  # which no thread can come between
        if other() is None:
            other = vars(network)["_trained_by"] = me
        if other is not me:
            raise ConfigurationError(
                "the network is being trained by another call of fit, in another thread or by a callback; "
                "wait until that has ended, or train a copy: net.copy()"
            )
        yield
    finally:
        if vars(network).get("_trained_by") is me:
            del vars(network)["_trained_by"]


@contextmanager
def opened_run(checkpoint: Any, resume: Any, every: Any, keep: Any) -> Iterator[Run | None]:
    """Give the run whose folder is *checkpoint*, or None; afterwards its folder is free for others."""
    if checkpoint is None:
        if resume:
            raise ConfigurationError("resume=True needs the folder of the run: give checkpoint='run/' too")
        if (every, keep) != (EVERY, KEEP):
            raise ConfigurationError(
                f"every={every!r} and keep={keep!r} say how checkpoints are kept, and none are: give checkpoint='run/' "
                "too"
            )
        yield None
        return
    from xpnet.resuming import Run

    run = Run(checkpoint, resume=resume, every=every, keep=keep)
    try:
        yield run
    finally:
        run.close()


def place_batch(network: Network, x: Any, y: Any, sample_weight: Any = None) -> Batch:
    """Check one batch, but for NaN, and move it to the device; the network is built if it was not."""
    adapter = DataAdapter(network)
    batch = adapter.batch(x, y, sample_weight)
    if not network.built:
        network.build(adapter.in_shape)
    return batch


def _sources(
    adapter: DataAdapter, x: Any, y: Any, sample_weight: Any, split: float, validation_data: Any
) -> tuple[Source, Source | None]:
    """Return where training and validation examples come from."""
    split = check_real("validation_split", split, least=0, below=1, hint="; it is a share, 0.1 for 10 %")
    if split and validation_data is not None:
        raise ConfigurationError("give validation_split or validation_data, not both")
    if split:
        return adapter.open_split(x, y, sample_weight, split)
    source = adapter.open(x, y, sample_weight)
    return source, None if validation_data is None else adapter.open_validation(validation_data)


def _policy(on_nonfinite: Any, network: Network, callbacks: Sequence[Callback]) -> Any:
    """Return what is asked for; else to raise, unless the caller has asked for another treatment in another place."""
    if on_nonfinite is not None:
        return on_nonfinite
    elsewhere = any(isinstance(callback, TerminateOnNaN) for callback in callbacks)
    return "ignore" if elsewhere or not network.check_finite else "raise"


def _last(history: History) -> dict[str, float]:
    """Return the last epoch's results; none before an epoch has ended."""
    return {name: values[-1] for name, values in history.items() if values}


def _where(network: Network, done: int, steps: int | None, last: int, run: Run | None, *, usable: bool) -> str:
    """Return where training was interrupted, counted as the progress line does, and how it goes on."""
    batches = f"{done} of {steps} batches" if steps else f"{done} batches"
    saved = f" The last checkpoint is {run.latest}; resume=True goes on from it." if run and run.latest else ""
    state = " The network can be used, saved and trained on." if usable else ""
    return (
        f"training stopped in epoch {network.epochs + 1} of {last} after {batches}, {network.steps} steps in all."
        f"{state}{saved}"
    )


def _before_batch(hooks: CallbackList) -> Before:
    """Return what calls the hooks before a step, and goes on with the state that hooks have left."""
    network = hooks.network

    def before(batch: int, carry: Any) -> Any:
        hooks.call("on_train_batch_begin", batch, {})
        # A backend knows its own carry by identity, so a new one is made only where a hook made a new state.
        return carry if carry[0] is network.state else (network.state, carry[1])

    return before


def _result_names(network: Network, validation: bool) -> list[str]:
    """Return the names of an epoch's results."""
    measured = ["loss", *(metric.name for metric in network.metrics)]
    return [*measured, *(f"val_{name}" for name in measured if validation), "learning_rate"]


def _batch_size(batch_size: int | None, source: Source) -> int:
    if batch_size is None:
        return source.rows or 1
    return check_integer("batch_size", batch_size)
