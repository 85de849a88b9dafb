"""Callbacks: observe and steer training from outside, with the hooks and their order known from Keras.

on_train_begin, then for each epoch on_epoch_begin, (on_train_batch_begin, on_train_batch_end) for each batch,
(on_test_begin, on_test_end) around validation, on_epoch_end; at last on_train_end, or on_train_interrupted where an
exception ends training. A callback that has neither of the batch hooks costs nothing within an epoch: many steps then
run as one call.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import xpnet
from xpnet.arguments import explains_arguments
from xpnet.checks import StrPath, check_flag, check_integer, check_path, check_real, check_takes
from xpnet.errors import ConfigurationError, did_you_mean, nearest, unknown_attribute, unknown_name
from xpnet.metrics.classification import AVERAGES
from xpnet.registry import resolve
from xpnet.weights import read_averages, write_averages

__all__ = [
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
    "check_folder",
    "resolve_callbacks",
]

Logs = dict[str, float]

MODES = ("auto", "min", "max")
# Metrics of which more is better; of everything else (losses, errors) less is.
RISING = ("accuracy", "precision", "recall", "f1", "r2", "auc")


class Callback:
    """Base of all callbacks: every hook does nothing. ``self.network`` is the network in training.

    Set ``self.network.stop_training = True`` to end training with the current epoch, which a callback with a hook
    for batches ends at once. ``logs`` holds the epoch's results, such as ``{"loss": 0.3, "accuracy": 0.9, "val_loss":
    0.4}``, and is empty in hooks for batches. A learning rate or weights that a hook sets act from the next step on.
    """

    network: xpnet.Network

    def __repr__(self) -> str:
        """Write the call that makes such a callback, as far as its attributes go by its arguments' names."""
        from inspect import signature

        given = [
            f"{name}={getattr(self, name)!r}"
            for name, argument in signature(type(self)).parameters.items()
            if hasattr(self, name) and repr(getattr(self, name)) != repr(argument.default)
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    if not TYPE_CHECKING:  # type checkers must see only attributes that exist

        def __getattr__(self, name: str) -> Any:
            beyond = getattr(super(), "__getattr__", None)  # of another class that one's own derives from
            if beyond is not None:
                return beyond(name)
            raise unknown_attribute("Callback", name, self)

    def set_network(self, network: xpnet.Network) -> None:
        """Remember the network."""
        self.network = network

    def state(self) -> dict[str, Any]:
        """Return what a run that goes on in another process must know, for ``fit(..., checkpoint=...)``.

        Text, numbers (NumPy's become Python's), None, and lists and mappings (with text for names) of them, up to 64
        MiB as JSON; arrays of any size where a mapping's values are arrays. Default: nothing.
        """
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` returned; called after :meth:`on_train_begin`."""

    def on_train_begin(self, logs: Logs) -> None:
        """Training starts."""

    def on_train_end(self, logs: Logs) -> None:
        """Training is over; *logs* are the last epoch's."""

    def on_train_interrupted(self, logs: Logs) -> None:
        """Training ends by an exception (Ctrl-C is one), which goes on after this; *logs* are the last epoch's."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Epoch *epoch* (from 0, counted over all of the network's training) starts."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Epoch *epoch* is over; *logs*, the history's last entry, may be given more numbers."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Batch *batch* of the epoch starts."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Batch *batch* of the epoch is over."""

    def on_test_begin(self, logs: Logs) -> None:
        """Validation starts."""

    def on_test_end(self, logs: Logs) -> None:
        """Validation is over; *logs* are its results."""


HOOKS = frozenset(name for name in vars(Callback) if name.startswith("on_"))

NEAR = 0.75
"""Similarity, by ``difflib``'s measure, from which a name is taken for a misspelled hook; "on_epoch_ends": 0.96."""


def _warn_of_misspelled_hooks(callback: Callback) -> None:
    """Warn of methods that are never called, but whose names are close to those of hooks.

    Methods with other names may be the callback's own, or hooks of another library that it serves, too.
    """
    kind = type(callback)
    methods = {name for cls in kind.__mro__ for name, value in vars(cls).items() if isinstance(value, FunctionType)}
    for name in sorted(name for name in methods - HOOKS if name.startswith("on_")):
        if near := nearest(name, HOOKS, NEAR):
            warnings.warn(f"{kind.__name__}.{name} is never called; did you mean {near!r}?", UserWarning, 6)


class CallbackList:
    """Calls each hook of several callbacks in order, and warns of misspelled hooks.

    Raises
    ------
    ConfigurationError
        One is not a callback.
    """

    def __init__(self, callbacks: Sequence[Callback], network: xpnet.Network) -> None:
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise ConfigurationError(f"callbacks must be objects of subclasses of xpnet.Callback; got {callback!r}")
            _warn_of_misspelled_hooks(callback)
        self.callbacks, self.network = list(callbacks), network
        for callback in self.callbacks:
            callback.set_network(network)

    @property
    def watch_batches(self) -> bool:
        """Whether a callback has a hook for batches."""
        return self._have("on_train_batch_begin", "on_train_batch_end")

    @property
    def watch_epochs(self) -> bool:
        """Whether a callback has a hook for anything that happens between the beginning and the end of training."""
        return self.watch_batches or self._have("on_epoch_begin", "on_epoch_end", "on_test_begin", "on_test_end")

    def _have(self, *hooks: str) -> bool:
        methods = [(getattr(callback, hook), getattr(Callback, hook)) for callback in self.callbacks for hook in hooks]
        return any(getattr(method, "__func__", method) is not inherited for method, inherited in methods)

    def check(self, results: Sequence[str]) -> None:
        """Refuse, before training, to monitor a result that no epoch will have; users' callbacks may add results."""
        for callback in self.callbacks:
            if type(callback).__module__.partition(".")[0] != "xpnet":
                return
            if isinstance(callback, _Monitor):
                callback.check(results)

    def begin(self) -> None:
        """Call ``on_train_begin`` of each; if one raises, call ``on_train_interrupted`` of those before it."""
        for number, callback in enumerate(self.callbacks):
            try:
                callback.on_train_begin({})
            except BaseException:
                for begun in self.callbacks[:number]:
                    begun.on_train_interrupted({})
                raise

    def call(self, hook: str, *arguments: Any) -> None:
        """Call *hook* of each."""
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)

    def end_epoch(self, epoch: int, logs: Logs, revise: Callable[[Logs], None]) -> None:
        """Call ``on_epoch_end`` of each, and after each *revise* the history by the logs.

        Raises
        ------
        ConfigurationError
            A callback left something in the logs that is not a number.
        """
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)
            for name, value in logs.items():
                logs[name] = _number(callback, name, value)
            revise(logs)


VALIDATE = (
    "; give fit validation_split or validation_data (in xpnet.sklearn: XPClassifier and XPRegressor "
    "validation_fraction, MLPClassifier and MLPRegressor early_stopping=True), or monitor one of these"
)
"""Advice on how to get results of validation."""


class _Monitor(Callback):
    """Base of the callbacks that monitor one result: keeps its best value so far, and how many epochs ago it was."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if not isinstance(monitor, str):
            raise ConfigurationError(f"monitor must be the name of a result, such as 'val_loss'; got {monitor!r}")
        if mode not in MODES:
            raise unknown_name("mode", mode, MODES)
        plain = re.sub(f"_({'|'.join(AVERAGES)})$", "", monitor)  # the name of a metric may end in its average
        rising = mode == "max" or (mode == "auto" and plain.endswith(RISING))
        self.monitor, self.mode, self._sign = monitor, mode, (1.0 if rising else -1.0)
        self.min_delta = check_real(f"{type(self).__name__}.min_delta", min_delta, least=0)
        self._best, self._since = -math.inf, 0

    def check(self, results: Iterable[str]) -> None:
        """Raise ConfigurationError if the monitored result is not among *results*."""
        if self.monitor not in results:
            held = self.monitor.startswith("val_")
            hint = did_you_mean(self.monitor, [name for name in results if name.startswith("val_") == held])
            raise ConfigurationError(
                f"monitor={self.monitor!r} is not among the epoch's results ({', '.join(results)})" + (hint or VALIDATE)
            )

    def on_train_begin(self, logs: Logs) -> None:
        """Forget earlier training."""
        self._best, self._since = -math.inf, 0

    def state(self) -> dict[str, Any]:
        """Return the best value so far and how long ago it was."""
        return {"best": self._best, "since": self._since}

    def restore(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self._best, self._since = state["best"], state["since"]

    def _improved(self, logs: Logs) -> bool:
        """Update by the epoch's value, and say whether it is the best so far."""
        self.check(logs)
        value = self._sign * logs[self.monitor]
        if value > self._best + self.min_delta or (math.isfinite(value) and self._best == -math.inf):
            self._best, self._since = value, 0
            return True
        self._since += 1
        return False


class EarlyStopping(_Monitor):
    """Stop when a result has not improved for ``patience`` epochs, and put the best weights and average back.

    Parameters
    ----------
    monitor : str
        The result to watch.
    patience : int
        Epochs without improvement that are let pass; 10 is scikit-learn's ``n_iter_no_change`` (Keras: 0).
    min_delta : float
        Smallest change that counts, in the result's unit.
    mode : str
        ``"min"``, ``"max"``, or ``"auto"``: accuracy and its kin rise, losses fall.
    restore_best_weights : bool
        Whether the network ends with the weights of its best epoch (as scikit-learn's do; Keras: False), and with the
        moving average of that epoch where its optimizer keeps one; the optimizer's other state is the last epoch's.

    Raises
    ------
    ConfigurationError
        ``patience`` is not an integer from 0 on, ``min_delta`` is not in [0, inf), ``mode`` is unknown, or
        ``restore_best_weights`` is neither True nor False; in ``fit``, no epoch has such a result.
    """

    @explains_arguments
    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        *,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = check_integer("EarlyStopping.patience", patience, least=0)
        self.restore_best_weights = check_flag("EarlyStopping.restore_best_weights", restore_best_weights)
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._best_weights: dict[str, Any] | None = None
        self._best_averages: list[Any] = []

    def on_train_begin(self, logs: Logs) -> None:
        """Forget earlier training."""
        super().on_train_begin(logs)
        self.best_epoch = self.stopped_epoch = self._best_weights = None
        self._best_averages = []

    def state(self) -> dict[str, Any]:
        """Return the best value, epoch, weights and averages so far, and how long ago they were."""
        epochs = {"best_epoch": self.best_epoch, "stopped_epoch": self.stopped_epoch}
        arrays = {"best_weights": self._best_weights, "best_averages": self._best_averages}
        return {**super().state(), **epochs, **arrays}

    def restore(self, state: dict[str, Any]) -> None:
        """Take them back."""
        super().restore(state)
        self.best_epoch, self.stopped_epoch = state["best_epoch"], state["stopped_epoch"]
        self._best_weights, self._best_averages = state["best_weights"], state["best_averages"]

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Keep the best weights, or stop."""
        if self._improved(logs):
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._best_weights, self._best_averages = self.network.get_weights(), read_averages(self.network)
        elif self._since >= self.patience:
            self.stopped_epoch = epoch
            self.network.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        """Put the best weights back."""
        if self._best_weights is not None:
            self.network.set_weights(self._best_weights)
            write_averages(self.network, self._best_averages)


class ReduceLROnPlateau(_Monitor):
    """Multiply the learning rate by ``factor`` when a result has not improved for ``patience`` epochs.

    The defaults of ``factor``, ``patience`` and ``min_delta``, 0.1, 10 and 1e-4, are Keras'.

    Parameters
    ----------
    monitor, mode, min_delta
        As for :class:`EarlyStopping`.
    factor : float
        In (0, 1).
    patience : int
        Epochs without improvement before each reduction.
    min_learning_rate : float
        Where reductions end; a lower rate stays as it is.

    Raises
    ------
    ConfigurationError
        ``factor`` is not in (0, 1), ``patience`` is not an integer from 0 on, ``min_delta`` or ``min_learning_rate`` is
        not in [0, inf), or ``mode`` is unknown; in ``fit``, no epoch has such a result.
    """

    @explains_arguments
    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        *,
        min_delta: float = 1e-4,
        mode: str = "auto",
        min_learning_rate: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = check_real("ReduceLROnPlateau.factor", factor, above=0, below=1)
        self.patience = check_integer("ReduceLROnPlateau.patience", patience, least=0)
        self.min_learning_rate = check_real("ReduceLROnPlateau.min_learning_rate", min_learning_rate, least=0)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Reduce the rate if there was no improvement for long enough."""
        if not self._improved(logs) and self._since >= self.patience:
            self._since = 0
            rate = self.network.learning_rate
            if rate > self.min_learning_rate:
                self.network.learning_rate = max(rate * self.factor, self.min_learning_rate)


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch to ``schedule(epoch, current_rate)``.

    Where the optimizer has a schedule of its own, it goes on within the epoch, from the rate that was set: it is
    multiplied by a factor, ``net.scale``.

    Raises
    ------
    ConfigurationError
        ``schedule`` is no function of these two; in ``fit``, it has returned no number from 0 on.
    """

    @explains_arguments
    def __init__(self, schedule: Callable[[int, float], float]) -> None:
        if not callable(schedule):
            raise ConfigurationError(f"LearningRateScheduler takes a function (epoch, rate) -> rate; got {schedule!r}")
        check_takes("LearningRateScheduler.schedule", schedule, "epoch", "rate")
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Set the rate to what the schedule returns."""
        given = self.schedule(epoch, self.network.learning_rate)
        try:
            rate = float(given)
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"LearningRateScheduler's function must return the learning rate; it returned {given!r} for epoch "
                f"{epoch}: end it with `return rate`"
            ) from None
        self.network.learning_rate = rate


class TerminateOnNaN(Callback):
    """Stop at the end of an epoch whose loss is NaN or infinite, in place of ``fit``'s error at the step."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Look at the loss."""
        if not math.isfinite(logs["loss"]):
            self.network.stop_training = True


class ModelCheckpoint(_Monitor):
    """Save the network after epochs, or only after the best so far.

    The best is that of all calls of ``fit`` that the object was given to, as training in parts goes on with the network
    or a copy of it. With another network it begins anew: one that did not have, in the same epoch, the loss that the
    network had when it was saved last.

    Parameters
    ----------
    path : str or Path
        Where to; ``{epoch}``, counted from 1 as it is printed (and as in Keras), and results such as
        ``{val_loss:.3f}`` are filled in.
    monitor, mode
        As for :class:`EarlyStopping`; used with ``save_best_only``.
    save_best_only : bool
        Whether only a new best is saved.
    every : int
        Epochs between saves; with ``save_best_only`` every new best is saved.

    Raises
    ------
    ConfigurationError
        ``path`` is no path, ``every`` is not a positive integer, ``mode`` is unknown, or ``save_best_only`` is neither
        True nor False; in ``fit``, the path's folder is missing, or no epoch has a result that the path or
        ``save_best_only`` asks for.
    CheckpointError
        In ``fit``: a file cannot hold the network, or cannot be written.
    """

    _epochs: int = 0  # of the network at the last save, by whose loss the network is recognized
    _loss: float | None = None

    @explains_arguments
    def __init__(
        self,
        path: StrPath,
        monitor: str = "val_loss",
        *,
        save_best_only: bool = False,
        mode: str = "auto",
        every: int = 1,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.path = str(check_path("ModelCheckpoint.path", path))
        self.save_best_only = check_flag("ModelCheckpoint.save_best_only", save_best_only)
        self.every = check_integer("ModelCheckpoint.every", every)

    def check(self, results: Iterable[str]) -> None:
        """Raise ConfigurationError where *results* lack what the path or ``save_best_only`` asks for."""
        if self.save_best_only:
            super().check(results)
        self._fill_in(0, dict.fromkeys(results, 0.0))

    def on_train_begin(self, logs: Logs) -> None:
        """Forget another network's best, and check that this one can be saved and that the file has a folder."""
        from xpnet.checkpoint import configs

        if not self._epochs or self._loss_of(self._epochs) != self._loss:
            super().on_train_begin(logs)
            self._epochs, self._loss = 0, None
        configs(self.network)
        check_folder("ModelCheckpoint.path", Path(self.path))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Save if it is time to."""
        wanted = self._improved(logs) if self.save_best_only else (epoch + 1) % self.every == 0
        if wanted:
            self._epochs = self.network.epochs
            self._loss = self._loss_of(self._epochs)
            self.network.save(self._fill_in(epoch, logs))

    def state(self) -> dict[str, Any]:
        """Return the best value so far, how long ago it was, and the epoch of the last save with its loss."""
        return {**super().state(), "epochs": self._epochs, "loss": self._loss}

    def restore(self, state: dict[str, Any]) -> None:
        """Take them back."""
        super().restore(state)
        self._epochs, self._loss = state.get("epochs", 0), state.get("loss")

    def _loss_of(self, epochs: int) -> float | None:
        """Return the loss of the network's epoch with this number, counted from 1; None if it has none."""
        return next(iter(self.network.history.get("loss", ())[epochs - 1 : epochs]), None)

    def _fill_in(self, epoch: int, logs: Logs) -> str:
        try:
            return self.path.format(epoch=epoch + 1, **logs)
        except (LookupError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"ModelCheckpoint.path={self.path!r} cannot be filled in from epoch, {', '.join(logs)} ({error!r})"
            ) from error


NAMES: dict[str, type[Callback]] = {
    "early_stopping": EarlyStopping,
    "reduce_lr_on_plateau": ReduceLROnPlateau,
    "terminate_on_nan": TerminateOnNaN,
}


def resolve_callbacks(given: Any) -> list[Callback]:
    """Return callbacks for objects and for names of :data:`NAMES`; raise ConfigurationError for anything else."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"callbacks must be a list; write callbacks=[{given!r}]")
    return [resolve("callback", item, NAMES) for item in given]


def check_folder(name: str, path: Path) -> None:
    """Raise ConfigurationError if the folder of a file is missing, unless its name is still to be filled in."""
    folder = path.parent
    if "{" not in str(folder) and not folder.is_dir():
        raise ConfigurationError(
            f"{name}='{path}': there is no folder '{folder}'; make it first: "
            f"pathlib.Path({str(folder)!r}).mkdir(parents=True)"
        )


def _number(callback: Callback, name: object, value: Any) -> float:
    """Return a result that a callback left in the logs as a Python number."""
    try:
        if isinstance(name, str) and not isinstance(value, str | bytes):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ConfigurationError(
        f"logs must hold a number for each name; {type(callback).__name__}.on_epoch_end left {value!r} under {name!r}: "
        "keep it in the callback itself"
    )
