"""The training loop: epochs, validation, callbacks, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet import callbacks as known_callbacks
from xpnet.arrays import Host, check_features, check_finite, check_lengths, take_in, to_host
from xpnet.batches import HostRows, Resident, Source, Stream
from xpnet.callbacks import Callback, CallbackList
from xpnet.errors import ConfigurationError, DataError, NotBuiltError, ShapeError
from xpnet.progress import choose_progress
from xpnet.random import host_stream
from xpnet.registry import resolve
from xpnet.training import Batch

if TYPE_CHECKING:
    from xpnet.network import Network

__all__ = ["History", "evaluate", "fit", "open_source", "place_batch"]

EVALUATION_ROWS = 4096
"""Examples in a batch of prediction or evaluation when the caller does not say: large enough to be fast."""


class History(dict[str, list[float]]):
    """Results of every epoch by name: ``history["val_loss"][-1]`` is the last epoch's.

    Holds ``loss``, the metrics, the same with ``val_`` where there was validation, and ``learning_rate``, the
    rate of the epoch's last step.
    """

    def append(self, logs: Mapping[str, float]) -> None:
        """Add an epoch; a result that is new gets NaN for the epochs before, a missing one NaN for this."""
        epochs = self.epochs
        for name in logs:
            self.setdefault(name, [float("nan")] * epochs)
        for name, values in self.items():
            values.append(float(logs.get(name, float("nan"))))

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return max((len(values) for values in self.values()), default=0)


def fit(
    network: Network,
    x: Any,
    y: Any,
    *,
    epochs: int,
    batch_size: int | None,
    shuffle: bool,
    validation_split: float,
    validation_data: Any,
    sample_weight: Any,
    class_weight: Any,
    callbacks: Sequence[Callback | str],
    verbose: int | str,
) -> History:
    """Train; see :meth:`xpnet.Network.fit`, whose arguments these are."""
    check_count("epochs", epochs, least=0)
    source, validation = _sources(network, x, y, sample_weight, class_weight, validation_split, validation_data)
    size = _batch_size(batch_size, source)
    progress = choose_progress(epochs, verbose)
    given = [resolve("callback", item, known_callbacks.NAMES, "on_epoch_end") for item in callbacks]
    hooks = CallbackList([*given, *([progress] if progress else [])], network)
    functions = network.train_functions
    history, logs = History(), {}
    network.stop_training = False
    hooks.call("on_train_begin", {})
    try:
        for epoch in range(network.epochs, network.epochs + epochs):
            hooks.call("on_epoch_begin", epoch, {})
            order = None
            if shuffle and source.rows is not None:
                order = host_stream(network.seed, "batches", epoch).permutation(source.rows)
            steps = None if source.rows is None else -(-source.rows // size)
            carry, done = (network.state, network.zero_sums()), 0
            if hooks.sees_batches:
                hooks.call("on_train_batch_begin", 0, {})
            for reached, more in source.train(functions, carry, order, size, hooks.sees_batches):
                carry = reached
                network.take_state(carry[0], more)
                done += more
                if hooks.sees_batches:
                    hooks.call("on_train_batch_end", done - 1, {})
                    if done != steps:
                        hooks.call("on_train_batch_begin", done, {})
                if progress:
                    progress.advance(done, steps)
            logs = network.results(carry[1])
            if validation is not None:
                hooks.call("on_test_begin", {})
                measured = evaluate(network, validation, max(size, EVALUATION_ROWS))
                hooks.call("on_test_end", measured)
                logs |= {f"val_{name}": value for name, value in measured.items()}
            logs["learning_rate"] = network.last_learning_rate
            network.epochs = epoch + 1
            hooks.call("on_epoch_end", epoch, logs)
            history.append(logs)
            network.history.append(logs)
            if network.stop_training:
                break
        hooks.call("on_train_end", logs)
    except BaseException:
        if progress:
            progress.on_train_end(logs)
        raise
    return history


def evaluate(network: Network, source: Source, size: int) -> dict[str, float]:
    """Return loss and metrics over a source."""
    sums = network.zero_sums()
    for batch in source.batches(size):
        sums = network.measure(sums, (network.state.params, network.state.layers), batch)
    return network.results(sums)


def open_source(network: Network, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Source:
    """Check data as a whole, once, and return where batches come from; the network is built if it was not."""
    if y is None:
        if sample_weight is not None:
            raise ConfigurationError("sample_weight comes with the batches, as (x, y, weights), when y is not given")
        return _open_stream(network, x, class_weight)
    place = _Placer(network, class_weight)
    if isinstance(x, np.memmap):
        return HostRows(place.check(x, y, sample_weight), place.move, None)
    return Resident(place.move(*place.check(x, y, sample_weight)), network.backend)


def place_batch(network: Network, x: Any, y: Any, sample_weight: Any = None, *, finite: bool = False) -> Batch:
    """Check one batch and move it to the device."""
    place = _Placer(network, None)
    return place.move(*place.check(x, y, sample_weight, finite=finite))


def check_count(name: str, value: object, least: int = 1) -> None:
    """Raise ConfigurationError unless *value* is an integer of at least *least*."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigurationError(f"{name} must be an integer of at least {least}; got {value!r}")


class _Placer:
    """Checks examples against one network, and moves them to its device."""

    def __init__(self, network: Network, class_weight: Any) -> None:
        self.network, self.class_weight = network, class_weight

    def check(self, x: Any, y: Any, sample_weight: Any, *, finite: bool | None = None) -> tuple[Any, Host, Host | None]:
        """Return x (host or device), y and weights (host) in the form that the loss takes."""
        network = self.network
        finite = network.check_finite if finite is None else finite
        x = take_in(x, network.backend, "x")
        if not network.built:
            network.check_buildable(x.shape[1:])
        check_features(x, network.in_shape or tuple(x.shape[1:]))
        y = take_in(y, network.backend, "y")
        y = y if isinstance(y, np.ndarray) else network.backend.to_numpy(y)
        check_lengths(x, y, "y")
        if finite:
            check_finite(x, network.backend, "x")
            check_finite(y, network.backend, "y")
        targets = network.loss.targets(y, network.out_shape_for(x.shape[1:]))
        weights = self._weights(x, targets, sample_weight)
        if not network.built:
            network.build(x.shape[1:])
        return x, targets, weights

    def _weights(self, x: Any, targets: Host, sample_weight: Any) -> Host | None:
        weights = None
        if sample_weight is not None:
            weights = take_in(sample_weight, self.network.backend, "sample_weight")
            weights = weights if isinstance(weights, np.ndarray) else self.network.backend.to_numpy(weights)
            check_lengths(x, weights, "sample_weight")
            weights = check_weights(weights)
        if self.class_weight is not None:
            by_class = self._by_class(targets, self.network.out_shape_for(x.shape[1:]))
            weights = by_class if weights is None else by_class * weights
        return weights

    def _by_class(self, targets: Host, out_shape: tuple[int, ...]) -> Host:
        """Return each example's class weight; a soft target's is the mean over its probabilities."""
        if not hasattr(self.network.loss, "classify") or (targets.ndim == 2 and targets.shape[1] != out_shape[0]):
            raise ConfigurationError(f"class_weight needs a loss for classes; got {self.network.loss}")
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = (targets[:, 0] > 0.5).astype(np.int32)
        classes = max(out_shape[0], 2)
        table = _class_table(self.class_weight, targets, classes)
        weights: Host = table[targets] if targets.ndim == 1 else targets @ table
        return weights

    def move(self, x: Any, y: Any, weights: Any = None) -> Batch:
        """Return the batch on the device: integers for class indices, else the network's floating type."""
        backend = self.network.backend
        dtype = backend.xp.int32 if y.dtype.kind in "iu" else backend.float
        return Batch(
            backend.asarray(x, dtype=backend.float),
            backend.asarray(y, dtype=dtype),
            None if weights is None else backend.asarray(weights, dtype=backend.float),
        )


def check_weights(weights: Host) -> Host:
    """Return weights (N,) as they are.

    Raises
    ------
    ShapeError, DataError
        They have another rank; one is negative or not finite; all are 0.
    """
    if weights.ndim != 1:
        raise ShapeError(f"sample_weight must have shape (N,), one number for each example; got {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise DataError("sample_weight must be finite and not negative; drop an example by weight 0")
    if not weights.any():
        raise DataError("sample_weight is 0 for every example; at least one must be above 0")
    return weights


def _class_table(class_weight: Any, targets: Host, classes: int) -> Host:
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ConfigurationError(f"class_weight must be a mapping, a list or 'balanced'; got {class_weight!r}")
        counts = np.bincount(targets, minlength=classes) if targets.ndim == 1 else targets.sum(axis=0)
        return np.sum(counts) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    if isinstance(class_weight, Mapping):
        table = np.ones(classes)
        for label, weight in class_weight.items():
            if not isinstance(label, int | np.integer) or not 0 <= label < classes:
                raise DataError(f"class_weight names class {label!r}; expected indices in 0..{classes - 1}")
            table[label] = weight
    else:
        table = np.asarray(to_host(class_weight, "class_weight", real=True), dtype=np.float64)
        if table.shape != (classes,):
            raise ShapeError(f"class_weight must have one entry for each of {classes} classes; got shape {table.shape}")
    if not np.isfinite(table).all() or (table < 0).any() or not table.any():
        raise DataError(f"class_weight must be finite, not negative, and not 0 for all classes; got {table.tolist()}")
    return table


def _sources(
    network: Network, x: Any, y: Any, sample_weight: Any, class_weight: Any, split: float, data: Any
) -> tuple[Source, Source | None]:
    """Return where training and validation examples come from."""
    if isinstance(split, bool) or not isinstance(split, int | float) or not 0 <= split < 1:
        raise ConfigurationError(f"validation_split must be a share in [0, 1); got {split!r}")
    if split and data is not None:
        raise ConfigurationError("give validation_split or validation_data, not both")
    if y is None and split:
        raise ConfigurationError("validation_split needs arrays; with an iterable of batches use validation_data")
    if not split:
        validation = None if data is None else _validation(network, data)
        return open_source(network, x, y, sample_weight, class_weight), validation
    place = _Placer(network, class_weight)
    x, y, weights = place.check(x, y, sample_weight)
    rows = len(y)
    held = round(rows * split)
    if not 0 < held < rows:
        raise ConfigurationError(f"validation_split={split} of {rows} examples leaves one part empty")
    order = host_stream(network.seed, "validation").permutation(rows)
    parts = (np.sort(order[held:]), np.sort(order[:held]))
    data = (x, y, weights)
    if isinstance(x, np.memmap):
        return HostRows(data, place.move, parts[0]), HostRows(data, place.move, parts[1])
    training, validation_rows = (Resident(place.move(*_rows(data, part, network)), network.backend) for part in parts)
    return training, validation_rows


def _rows(data: tuple[Any, ...], rows: Host, network: Network) -> list[Any]:
    """Take rows of host and device arrays."""
    backend = network.backend
    take = backend.compile(lambda array, where: backend.xp.take(array, where, axis=0))
    return [
        array if array is None else array[rows] if isinstance(array, np.ndarray) else take(array, backend.asarray(rows))
        for array in data
    ]


def _validation(network: Network, data: Any) -> Source:
    if isinstance(data, tuple | list) and len(data) in (2, 3) and not isinstance(data[0], tuple):
        return open_source(network, data[0], data[1], data[2] if len(data) == 3 else None)
    return open_source(network, data, None)


def _open_stream(network: Network, batches: Any, class_weight: Any) -> Source:
    if not callable(batches) and not hasattr(batches, "__iter__"):
        raise DataError(f"y is missing: give fit(x, y), or an iterable of batches; got {type(batches).__name__}")
    if isinstance(batches, np.ndarray) or hasattr(batches, "__dlpack__") or hasattr(batches, "to_numpy"):
        raise DataError("y is missing: fit(x, y) needs a target for each row of x")
    if not network.built:
        raise NotBuiltError(
            "an iterable of batches does not show its shape before training; give Network(..., inputs=number of "
            "features) or call build(shape) first"
        )
    place = _Placer(network, class_weight)
    looked_at = False

    def check_and_move(x: Any, y: Any, weights: Any = None) -> Batch:
        nonlocal looked_at
        finite = network.check_finite and not looked_at
        looked_at = True
        return place.move(*place.check(x, y, weights, finite=finite))

    return Stream(batches, check_and_move)


def _batch_size(batch_size: int | None, source: Source) -> int:
    if batch_size is None:
        return source.rows or 1
    check_count("batch_size", batch_size)
    return int(batch_size)
