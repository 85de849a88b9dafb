"""The training loop: epochs, validation, callbacks, history."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from xpnet.arguments import levels_to_user
from xpnet.arrays import as_real_array, check_features, portable
from xpnet.batches import BeforeBatch, DeviceSource, Epoch, Source
from xpnet.callbacks import Callback, CallbackList, TerminateOnNaN, resolve_callbacks
from xpnet.checks import check_integer, check_real
from xpnet.data_adapter import DataAdapter
from xpnet.ended_epochs import EndedEpochs
from xpnet.errors import BackendError, ConfigurationError, DataError, DtypeError, ShapeError
from xpnet.nonfinite_guard import Guard
from xpnet.progress import choose_progress
from xpnet.shuffling import RowOrders
from xpnet.training import Batch

if TYPE_CHECKING:
    from xpnet.backend import Array
    from xpnet.history import History
    from xpnet.network import Network
    from xpnet.parameters import Shape
    from xpnet.progress import Progress
    from xpnet.resuming import Run
    from xpnet.training import State, Sums

__all__ = [
    "DEFAULT_EVERY",
    "DEFAULT_KEEP",
    "exclusive",
    "fit",
    "open_run",
    "prepare_batch",
    "prepare_rows",
    "require_own_thread",
]

DEFAULT_EVERY, DEFAULT_KEEP = "1 epoch", 2
"""How often ``fit`` saves a run, and how many of its files are kept, if the caller does not say."""


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
    """Train; see :meth:`xpnet.Network.fit`, whose arguments these are, and :func:`open_run`."""
    epochs = check_integer("epochs", epochs, least=0)
    _check_shuffle(shuffle)
    progress = choose_progress(epochs, verbose)
    given = resolve_callbacks(callbacks)
    adapter = DataAdapter(network, class_weight, training=True)
    source, validation = _open_sources(adapter, x, y, sample_weight, validation_split, validation_data)
    size = _check_batch_size(batch_size, source)
    hooks = CallbackList([*given, *([progress] if progress else [])], network)
    hooks.check(_result_names(network, validation is not None))
    observed = validation is not None or hooks.watch_epochs or run is not None
    guard = Guard(network, _nonfinite_policy(on_nonfinite, network, given), observed=observed, run=run)
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
    with _unbuilt_on_refusal(network):
        _begin(network, adapter.in_shape, hooks)
        return TrainingLoop(network, source, validation, hooks, progress, guard, run, size, shuffle).train(epochs)


RATES_ONE_BY_ONE = 1000
"""So many steps of a schedule are looked at one by one before training; if it gives 0 at each, more at once."""

MOST_RATES = 1_000_000
"""So many steps of a schedule are looked at before training at most."""


class TrainingLoop:
    """One call of ``fit``, after its arguments are checked and the network is built."""

    def __init__(
        self,
        network: Network,
        source: Source,
        validation: Source | None,
        hooks: CallbackList,
        progress: Progress | None,
        guard: Guard,
        run: Run | None,
        batch_size: int,
        shuffle: bool | Callable[[int, int], Any],
    ) -> None:
        self.network, self.source, self.hooks, self.progress = network, source, hooks, progress
        self.guard, self.run, self.batch_size = guard, run, batch_size
        self.steps = None if source.rows is None else -(-source.rows // batch_size)  # of an epoch
        epoch_seconds = (self.steps or 0) * network.compiled.step_seconds(batch_size)
        host_seconds = epoch_seconds if network.backend.is_synchronous else 0.0
        self.orders = RowOrders(shuffle, source.rows, batch_size, host_seconds)
        self.epochs_per_call = self._max_epochs_per_call()
        self.longest_piece = run.longest_piece(self.steps) if run else None
        self.before_batch = _before_batch(hooks) if hooks.watch_batches else None
        self.ended = EndedEpochs(network, hooks, guard, run, validation, batch_size)
        self._unreported: tuple[State, int, Sums, list[float]] | None = None  # what the last call has trained
        self.logs: dict[str, float] = {}  # the last reported epoch's results
        self.total_epochs = 0  # the network's epochs when training is over
        self.epoch, self.steps_before = network.epochs, network.steps  # the current epoch, and the steps before it

    def train(self, epochs: int) -> History:
        """Train for so many epochs, or those that are left of a resumed run; callbacks may end training sooner."""
        network, hooks, run, ended = self.network, self.hooks, self.run, self.ended
        try:
            first, _, start, sums, rate = run.begin(ended.history) if run else (network.epochs, 0, 0, None, None)
            self.total_epochs = first + epochs
            self._warn_of_no_rate()
            if self.progress:
                self.progress.last = self.total_epochs
                if run and run.resumed:
                    self.progress.resume(run.folder, first)
            self.logs = _last_results(ended.history)
            epoch = network.epochs
            while epoch < self.total_epochs and not network.stop_training:
                if self.epochs_per_call > 1 and isinstance(self.source, DeviceSource):
                    epoch += self._train_epochs(self.source, epoch)
                else:
                    self._train_epoch(epoch, start, sums, rate)
                    epoch, start, sums, rate = epoch + 1, 0, None, None
                if ended.report_at_once or len(ended) > 1:
                    self.logs = ended.report_next(self.total_epochs)
            if len(ended):
                self.logs = ended.report_next(self.total_epochs)
            self.guard.finish()
            hooks.call("on_train_end", self.logs)
        except BaseException as error:
            self._end_early(error)
            raise
        finally:
            self.orders.close()
        return ended.history

    def _train_epoch(self, epoch: int, start: int, sums: Sums | None, rate: float | None) -> None:
        """Train for one epoch, or for the rest of it from batch *start* on.

        The batches before *start* gave *sums*, and the last of them had the learning rate *rate*.
        """
        network, hooks, progress, run = self.network, self.hooks, self.progress, self.run
        self.epoch, self.steps_before, done = epoch, network.steps - start, start
        if not start:
            hooks.call("on_epoch_begin", epoch, {})
        elif progress:
            progress.on_epoch_begin(epoch, {})
        order = self.orders.order_for(network.seed, epoch)
        if network.backend.spare_core and epoch + 1 < self.total_epochs:
            self.orders.draw_ahead(network.seed, epoch + 1)
        carry = network.state, sums or network.compiled.zero_sums()
        rate = network.last_learning_rate if rate is None else rate
        plan = Epoch(epoch, order, self.batch_size, start, self.longest_piece)
        for reached, more in self.guard.train(self.source, carry, plan, self.before_batch):
            carry = reached
            network.take_state(carry[0], more)
            rate = network.last_learning_rate
            done += more
            if self.before_batch:
                hooks.call("on_train_batch_end", done - 1, {})
            if progress:
                progress.advance(done, self.steps)
            if self.before_batch and network.stop_training:
                break
            if run and self.guard.save and done != self.steps:
                run.save(self.ended.history, done, carry[1], rate)
        self.ended.add(epoch, carry[1], [rate])

    def _warn_of_no_rate(self) -> None:
        """Warn, at the line that called ``fit``, of a schedule that gives 0 at every step that is left of this call.

        Of very many steps, or of those of an iterable, whose number is not known, the first are looked at.
        """
        network, epochs = self.network, self.total_epochs - self.network.epochs
        if epochs <= 0 or not callable(schedule := network.optimizer.learning_rate):
            return
        begin, steps = network.steps, None if self.steps is None else epochs * self.steps
        if idle := _idle_steps(network, begin, steps):
            whole = ", all of this call" if idle == steps else ""
            warnings.warn(
                f"nothing is trained where the learning rate is 0, and the schedule {schedule} gives that at each of "
                f"the steps {begin + 1:,} to {begin + idle:,}{whole}; make it longer, or go on with another, "
                "net.with_optimizer(...)",
                stacklevel=levels_to_user(),
            )

    def _max_epochs_per_call(self) -> int:
        """Return how many epochs may be one call: 1 if anything must be done or seen between two epochs."""
        guard, source = self.guard, self.source
        one_by_one = guard.observed or guard.stepwise or callable(self.orders.shuffle)
        if one_by_one or not isinstance(source, DeviceSource):
            return 1
        return source.max_epochs_per_call(self.network.compiled, self.batch_size)

    def _train_epochs(self, source: DeviceSource, first: int) -> int:
        """Train in one call from epoch *first* on, for as many epochs as it may have and are left; return how many."""
        network, stop = self.network, min(first + self.epochs_per_call, self.total_epochs)
        epochs = [
            Epoch(epoch, self.orders.order_for(network.seed, epoch), self.batch_size) for epoch in range(first, stop)
        ]
        steps = self.steps or 0  # never 0: the rows of arrays are known
        self.epoch, self.steps_before = first, network.steps
        rates = [network.rate_of(network.steps + steps * number - 1) for number in range(1, len(epochs) + 1)]
        state, sums = self.guard.train_epochs(source, network.state, epochs)
        self._unreported = state, first, sums, rates  # as Ctrl-C may come before a new state's epochs are added
        network.take_state(state, steps * len(epochs))
        self.ended.add(first, sums, rates)
        self._unreported = None
        return len(epochs)

    def _end_early(self, error: BaseException) -> None:
        """After an *error*, report the epochs that have ended, call the callbacks, and note where training stopped."""
        network, run = self.network, self.run
        try:
            if self._unreported and self._unreported[0] is network.state:
                self.ended.add(*self._unreported[1:])
            self.ended.report_remaining(self.total_epochs)
        finally:
            self.hooks.call("on_train_interrupted", _last_results(self.ended.history))
        if isinstance(error, KeyboardInterrupt | BackendError):
            done = network.steps - self.steps_before if network.epochs == self.epoch else 0  # as far as is known
            done = min(done, self.steps or done)  # where several epochs were one call, it may be in any of them
            usable = not isinstance(error, BackendError)
            error.add_note(_interruption_note(network, done, self.steps, self.total_epochs, run, usable=usable))


def _idle_steps(network: Network, begin: int, steps: int | None) -> int:
    """Return at how many steps after *begin* finished ones the schedule gives 0; 0 if it gives more at one looked at.

    Of *steps*, or of as many as come if that is None, at most :data:`MOST_RATES` are looked at, and
    :data:`RATES_ONE_BY_ONE` and the last if the schedule does not take an array of steps.
    """
    count = MOST_RATES if steps is None else min(steps, MOST_RATES)
    first = min(count, RATES_ONE_BY_ONE)
    if any(network.scheduled_rate(step) for step in range(begin, begin + first)):
        return 0
    if first == count:
        return count
    several, schedule = np.arange(begin, begin + count, dtype=np.float64), network.optimizer.learning_rate
    try:
        with np.errstate(all="ignore"):
            rates = np.asarray(schedule(several, np))  # type: ignore[operator]
    except Exception:
        rates = several[:0]
    if rates.shape == several.shape:
        return 0 if rates.any() else count
    return 0 if steps and network.scheduled_rate(begin + steps - 1) else first


class _FitCall:
    """The identity of one call of ``fit``, and its thread's."""

    def __init__(self) -> None:
        self.thread = get_ident()


@contextmanager
def exclusive(network: Network) -> Iterator[None]:
    """Refuse any other call of ``fit`` that would train the network at the same time.

    Raises
    ------
    ConfigurationError
        The network is being trained already, in another thread or because a callback calls ``fit``.
    """
    call = _FitCall()
    me = ref(call)  # a weak reference dies with the call, even if Ctrl-C keeps `finally` from deleting it
    try:
        other = vars(network).setdefault("_trained_by", me)  # atomic, so two threads cannot both get their own
        if other() is None:
            other = vars(network)["_trained_by"] = me
        if other is not me:
            raise _trained_elsewhere()
        yield
    finally:
        if vars(network).get("_trained_by") is me:
            del vars(network)["_trained_by"]


def require_own_thread(network: Network) -> None:
    """Raise ConfigurationError while a call of ``fit`` trains the network in another thread.

    In the same one it is a callback that asks, between two steps.
    """
    reference = vars(network).get("_trained_by")
    call = None if reference is None else reference()
    if call is not None and call.thread != get_ident():
        raise _trained_elsewhere()


def _trained_elsewhere() -> ConfigurationError:
    return ConfigurationError(
        "the network is being trained by another call of fit, in another thread or by a callback; "
        "wait until that has ended, or train a copy: net.copy()"
    )


@contextmanager
def open_run(checkpoint: Any, resume: Any, every: Any, keep: Any) -> Iterator[Run | None]:
    """Give the run whose folder is *checkpoint*, or None; unlock the folder afterwards."""
    if checkpoint is None:
        if resume:
            raise ConfigurationError("resume=True needs the folder of the run: give checkpoint='run/' too")
        if (every, keep) != (DEFAULT_EVERY, DEFAULT_KEEP):
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


def prepare_batch(network: Network, x: Any, y: Any, sample_weight: Any = None) -> Batch:
    """Check one batch, except for NaN, move it to the device, and build the network if it is not built."""
    adapter = DataAdapter(network)
    batch = adapter.batch(x, y, sample_weight)
    if not network.built:
        network.build(adapter.in_shape)
    return batch


def prepare_rows(network: Network, x: Any) -> Array:
    """Check examples without targets, except for NaN, move them to the device, and build the network if it is not."""
    x = as_real_array(x, network.backend, "x")
    check_features(x, tuple(x.shape[1:]) if network.in_shape is None else network.in_shape)
    if not network.built:
        network.build(tuple(x.shape[1:]))
    return network.backend.asarray(portable(x), dtype=network.backend.float)


def _check_shuffle(shuffle: Any) -> None:
    if not isinstance(shuffle, bool | np.bool_) and not callable(shuffle):
        raise ConfigurationError(
            f"shuffle must be True (new batches every epoch), False or a function (epoch, rows); got {shuffle!r}"
        )


def _check_batch_size(batch_size: int | None, source: Source) -> int:
    """Return the batch size; by default one batch holds all rows."""
    if batch_size is None:
        return source.rows or 1
    return check_integer("batch_size", batch_size)


def _open_sources(
    adapter: DataAdapter, x: Any, y: Any, sample_weight: Any, split: float, validation_data: Any
) -> tuple[Source, Source | None]:
    """Return the sources of the examples for training and for validation."""
    split = check_real("validation_split", split, least=0, below=1, hint="; it is a share, 0.1 for 10 %")
    if split and validation_data is not None:
        raise ConfigurationError("give validation_split or validation_data, not both")
    if split:
        return adapter.open_split(x, y, sample_weight, split)
    source = adapter.open(x, y, sample_weight)
    return source, None if validation_data is None else adapter.open_validation(validation_data)


def _nonfinite_policy(on_nonfinite: Any, network: Network, callbacks: Sequence[Callback]) -> Any:
    """Return the given policy; by default "raise", or "ignore" with TerminateOnNaN or without check_finite."""
    if on_nonfinite is not None:
        return on_nonfinite
    terminates = any(isinstance(callback, TerminateOnNaN) for callback in callbacks)
    return "ignore" if terminates or not network.check_finite else "raise"


@contextmanager
def _unbuilt_on_refusal(network: Network) -> Iterator[None]:
    """Leave a network that was not built as it was where an argument is refused before the first step."""
    was_built = network.built
    try:
        yield
    except (ConfigurationError, DataError, DtypeError, ShapeError):
        if not was_built and not network.steps:  # the next data may have another shape
            network.in_shape = None
        raise


def _begin(network: Network, in_shape: Shape, hooks: CallbackList) -> None:
    """Build the network if it is not built, and begin the callbacks."""
    was_built = network.built
    network.build(in_shape)
    network.stop_training = False
    try:
        hooks.begin()
    except BaseException:
        if not was_built:  # the next data may have another shape
            network.in_shape = None
        raise


def _last_results(history: History) -> dict[str, float]:
    """Return the last epoch's results; empty before an epoch has ended."""
    return {name: values[-1] for name, values in history.items() if values}


def _interruption_note(
    network: Network, done: int, steps: int | None, total_epochs: int, run: Run | None, *, usable: bool
) -> str:
    """Say where training stopped, counted as the progress line counts, and how it can go on."""
    batches = f"{done} of {steps} batches" if steps else f"{done} batches"
    saved = f" The last checkpoint is {run.latest}; resume=True goes on from it." if run and run.latest else ""
    state = " The network can be used, saved and trained on." if usable else ""
    return (
        f"training stopped in epoch {network.epochs + 1} of {total_epochs} after {batches}, {network.steps} steps in "
        f"all.{state}{saved}"
    )


def _before_batch(hooks: CallbackList) -> BeforeBatch:
    """Return a function that calls the hooks before a step, and returns the carry with the state that they leave."""
    network = hooks.network

    def before_batch(batch: int, carry: Any) -> Any:
        hooks.call("on_train_batch_begin", batch, {})
        # A backend knows its own carry by identity, so a new one is made only if a hook has set a new state.
        return carry if carry[0] is network.state else (network.state, carry[1])

    return before_batch


def _result_names(network: Network, validation: bool) -> list[str]:
    """Return the names of an epoch's results."""
    measured = ["loss", *(metric.name for metric in network.metrics)]
    return [*measured, *(f"val_{name}" for name in measured if validation), "learning_rate"]
