"""Adapt what users pass as x, y and weights to one network: check it, weigh it, and move it to the device.

Nothing here changes or builds the network, so a call that is refused leaves the network as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arrays import (
    LARGEST,
    Host,
    as_real_array,
    check_features,
    check_finite,
    check_lengths,
    portable,
    take_rows,
    to_host,
)
from xpnet.batches import DeviceSource, HostSource, Source, StreamSource
from xpnet.checks import check_takes
from xpnet.data import draw_held_out
from xpnet.errors import ConfigurationError, DataError, DtypeError, NotBuiltError, ShapeError, XpnetError
from xpnet.losses import BinaryCrossEntropy
from xpnet.random import host_stream
from xpnet.rounding import warn_of_rounding
from xpnet.training import Batch

if TYPE_CHECKING:
    from xpnet.losses import Loss
    from xpnet.network import Network
    from xpnet.parameters import Shape

__all__ = ["DataAdapter"]


class DataAdapter:
    """Checks examples against one network and moves them to its device.

    Attributes
    ----------
    in_shape : tuple of int or None
        Shape of one input. If the network is not built yet, the first data that passes the checks sets it.
    training : bool
        Whether the data are trained on. Then features that lose their digits in the network's dtype are warned of, and
        NaN and infinity are looked for in the first batch of an iterable alone, as training itself stops at others.
    class_weight : mapping, sequence, "balanced" or None
        "balanced" gives way to the weights of the classes once the first data are weighed, those that are trained on.
    """

    def __init__(self, network: Network, class_weight: Any = None, *, training: bool = False) -> None:
        self.network, self.class_weight, self.training = network, class_weight, training
        self.in_shape: Any = network.in_shape

    def open(self, x: Any, y: Any, sample_weight: Any = None) -> Source:
        """Return the source of batches for arrays x and y, or for an iterable of batches if y is None."""
        if y is None:
            _refuse_arrays(x)
            if sample_weight is not None:
                raise ConfigurationError(
                    "sample_weight comes with the batches, as (x, y, weights), when y is not given"
                )
            return self._open_stream(x)
        rows, targets, weights = self._check(x, y, sample_weight)
        self._warn_of_rounding(rows, x, targets, y)
        return self._as_source(rows, targets, self._weigh(targets, weights))

    def open_split(self, x: Any, y: Any, sample_weight: Any, share: float) -> tuple[Source, Source]:
        """Return a source for training and one for the *share* of the examples that is held out, drawn by the seed.

        The share of each class is held out, and weights of classes weigh both parts.
        """
        if y is None:
            _refuse_arrays(x)
            raise ConfigurationError("validation_split needs arrays; with an iterable of batches use validation_data")
        rows, targets, weights = self._check(x, y, sample_weight)
        count = len(targets)
        held = round(count * share)
        if not 0 < held < count:
            raise ConfigurationError(f"validation_split={share} of {count} examples leaves one part empty")
        self._warn_of_rounding(rows, x, targets, y)
        stream = host_stream(self.network.seed, "validation")
        held_out = np.sort(draw_held_out(_strata(targets, self.network.loss), held, stream))
        kept = np.delete(np.arange(count), held_out)
        own, others = (None if weights is None else weights[part] for part in (kept, held_out))
        training = self._as_source(rows, targets[kept], self._weigh(targets[kept], own), kept)
        others = self._weigh(targets[held_out], others, what="example that is held out")
        return training, self._as_source(rows, targets[held_out], others, held_out)

    def open_validation(self, data: Any) -> Source:
        """Return the source for (x, y), (x, y, weights) or an iterable of batches.

        Class weights weigh examples that come without weights. A list may hold arrays, or batches, as tuples or lists;
        the first batch of a list is checked.
        """
        if (isinstance(data, tuple) and len(data) not in (2, 3)) or (isinstance(data, list) and not data):
            raise DataError(
                "validation_data must be (x, y) or (x, y, sample_weight), or an iterable of such batches; got a "
                f"{type(data).__name__} of {len(data)}"
            )
        batches = isinstance(data, list) and (len(data) not in (2, 3) or _is_batch(data[0], self.in_shape))
        adapter = DataAdapter(self.network, self.class_weight)
        adapter.in_shape = self.in_shape
        arrays = isinstance(data, tuple | list) and not batches
        try:
            source = adapter.open(*(data if arrays else (data, None)))
            if batches:
                adapter._check(*data[0], padding=True)
            if isinstance(source, StreamSource):
                source.name = "validation_data"
            return source
        except XpnetError as error:
            raise type(error)(f"validation_data: {error}") from None

    def batch(self, x: Any, y: Any, sample_weight: Any = None, *, finite: bool = False, padding: bool = False) -> Batch:
        """Check one batch and move it to the device.

        NaN and infinity are looked for only if *finite*; all weights may be 0 only if *padding*.
        """
        x, targets, weights = self._check(x, y, sample_weight, finite=finite, padding=padding)
        weights = self._weigh(targets, weights, padding=padding)
        _check_representable(weights, self.network.backend.dtype)
        return self._to_device(x, targets, weights)

    def _check(
        self, x: Any, y: Any, sample_weight: Any = None, *, finite: bool | None = None, padding: bool = False
    ) -> tuple[Any, Host, Host | None]:
        """Return x (on host or device), and y and weights (on the host), in the form that the loss takes."""
        network, given_x, given_y = self.network, x, y
        finite = network.check_finite if finite is None else finite
        x = as_real_array(x, network.backend, "x")
        in_shape = tuple(x.shape[1:]) if self.in_shape is None else self.in_shape
        try:
            check_features(x, in_shape)
            if not network.built:
                network.check_buildable(in_shape)
        except ShapeError as error:
            from xpnet.remedies import clearer_shape_error

            raise clearer_shape_error(error, x, y, self.in_shape) from None
        y = self._on_host(y, "y")
        check_lengths(x, y, "y")
        if finite:
            check_finite(x, network.backend, "x", given=given_x)
            check_finite(y, network.backend, "y", given=given_y)
        targets = network.loss.targets(y, network.out_shape_for(in_shape))
        weights = None
        if sample_weight is not None:
            weights = self._on_host(sample_weight, "sample_weight")
            check_lengths(x, weights, "sample_weight")
            _check_weights(weights, padding)
        self.in_shape = in_shape
        return x, targets, weights

    def _weigh(
        self, targets: Host, weights: Host | None, *, padding: bool = False, what: str = "example"
    ) -> Host | None:
        """Return the weights of the examples, in training multiplied by those of their classes.

        Outside training, weights that are given count alone.
        """
        if self.class_weight is None or not (self.training or weights is None):
            return weights
        shares = _class_shares(targets)
        table = _class_table(self.class_weight, shares, self.network.loss, self.network.out_shape_for(self.in_shape))
        if isinstance(self.class_weight, str):
            self.class_weight = table
        by_class: Host = table[shares] if shares.ndim == 1 else shares @ table
        weights = by_class if weights is None else by_class * weights
        if len(weights) and not weights.any() and not padding:
            raise DataError(f"class_weight (times sample_weight) is 0 for every {what}; at least one must be above 0")
        return weights

    def _warn_of_rounding(self, rows: Any, x: Any, targets: Host, y: Any) -> None:
        """Warn of features that lose their digits in the network's dtype, at the line that called ``fit``."""
        if self.training:
            arrays = {"x": (rows, x)} if targets.dtype.kind in "iu" else {"x": (rows, x), "y": (targets, y)}
            warn_of_rounding(self.network.backend.dtype, arrays)

    def _as_source(self, x: Any, y: Host, weights: Host | None, chosen: Host | None = None) -> Source:
        """Return the source for the *chosen* rows of x; y and weights are those of these rows alone."""
        _check_representable(weights, self.network.backend.dtype)
        if isinstance(x, np.memmap):
            return HostSource((x, y, weights), self._to_device, chosen)
        backend = self.network.backend
        x = x if chosen is None else take_rows(x, chosen, backend)
        return DeviceSource(self._to_device(x, y, weights), backend)

    def _open_stream(self, batches: Any) -> Source:
        arrays = isinstance(batches, np.ndarray) or hasattr(batches, "__dlpack__") or hasattr(batches, "to_numpy")
        if arrays or (not callable(batches) and not hasattr(batches, "__iter__")):
            given = "None" if batches is None else type(batches).__name__
            raise DataError(
                "y is missing: give (x, y) with a target for each row of x, or an iterable of batches (x, y); "
                f"got x of type {given} alone"
            )
        if callable(batches):
            check_takes("x", batches, result="an_iterable_of_batches")
        if self.in_shape is None:
            raise NotBuiltError(
                "an iterable of batches does not show its shape before training; give Network(..., inputs=number of "
                "features) or call build(shape) first"
            )
        if isinstance(self.class_weight, str):
            raise ConfigurationError(
                f"class_weight={self.class_weight!r} needs all labels at once, which an iterable of batches does not "
                "show; give a mapping or a list"
            )
        self._weigh(np.zeros(0, dtype=np.int32), None)
        looked_at = False

        def adapt(x: Any, y: Any, weights: Any = None) -> Batch:
            nonlocal looked_at
            finite = self.network.check_finite and not (self.training and looked_at)
            looked_at = True
            return self.batch(x, y, weights, finite=finite, padding=True)

        return StreamSource(batches, adapt)

    def _to_device(self, x: Any, y: Any, weights: Any = None) -> Batch:
        """Return the batch on the device: integers for class indices, else the network's floating type."""
        backend = self.network.backend
        dtype = backend.xp.int32 if y.dtype.kind in "iu" else backend.float
        return Batch(
            backend.asarray(portable(x), dtype=backend.float),
            backend.asarray(portable(y), dtype=dtype),
            None if weights is None else backend.asarray(portable(weights), dtype=backend.float),
        )

    def _on_host(self, values: Any, argument: str) -> Host:
        array = as_real_array(values, self.network.backend, argument)
        return array if isinstance(array, np.ndarray) else self.network.backend.to_numpy(array)


def _refuse_arrays(batches: Any) -> None:
    """Raise DataError if x is (x, y) or (x, y, weights) as one argument, where an iterable of batches is expected."""
    if not isinstance(batches, tuple | list) or len(batches) not in (2, 3) or isinstance(batches[0], tuple):
        return
    if hasattr(batches[0], "shape") or (isinstance(batches[0], list) and len(batches[0]) not in (2, 3)):
        apart = "x, y" if len(batches) == 2 else "x, y, sample_weight=weights"
        raise DataError(
            f"y is missing, and x is a {type(batches).__name__} of {len(batches)} arrays, which are no batches (x, y); "
            f"give them one by one: fit({apart}), evaluate({apart})"
        )


def _is_batch(item: Any, in_shape: Shape) -> bool:
    """Say whether the first of two or three items is a batch, a tuple or a list, and not x itself.

    A list is a batch where its first item is as deep as x is, and x itself where that is as deep as one example.
    """
    if not isinstance(item, list) or len(item) not in (2, 3):
        return isinstance(item, tuple)
    depth, first = 0, item[0]
    while isinstance(first, list | tuple) and first:
        depth, first = depth + 1, first[0]
    return depth + len(getattr(first, "shape", ())) > len(in_shape)


def _check_representable(weights: Host | None, dtype: str) -> None:
    """Raise DataError if weights or their sum become infinite in the network's dtype, or all of them become 0."""
    if weights is None:
        return
    with np.errstate(all="ignore"):
        held = weights.astype(dtype, copy=False)
        total = float(np.sum(held, dtype=np.float64))
    if total > LARGEST[dtype] and np.isfinite(held).all():
        raise DataError(
            f"sample_weight (times class_weight) must have a sum that {dtype} holds, up to {LARGEST[dtype]:.2g}; got "
            f"weights from {weights.min():g} to {weights.max():g}. Divide all of them by their mean"
        )
    if not np.isfinite(held).all() or (weights.any() and not held.any()):
        raise DataError(
            f"sample_weight (times class_weight) must be numbers that {dtype} holds; got {weights.min():g} to "
            f"{weights.max():g}. Divide all of them by their mean"
        )


def _check_weights(weights: Host, padding: bool) -> None:
    """Raise ShapeError or DataError unless weights are (N,), finite, not negative; all may be 0 only if *padding*."""
    if weights.ndim != 1:
        raise ShapeError(f"sample_weight must have shape (N,), one number for each example; got {weights.shape}")
    wrong = ~np.isfinite(weights) | (weights < 0)
    if wrong.any():
        first, count = int(np.argmax(wrong)), np.count_nonzero(wrong)
        raise DataError(
            f"sample_weight must be finite and not negative; the first wrong one, sample_weight[{first}], is "
            f"{weights[first]} (wrong: {count} of {len(weights)}). Leave an example out by weight 0"
        )
    if not padding and not weights.any():
        raise DataError("sample_weight is 0 for every example; at least one must be above 0")


def _strata(targets: Host, loss: Loss) -> Host:
    """Return the class of each example, from 0, (N,), or 0 for all where targets name no single class.

    In one column they are integers, or of no more than two values, as 0.0 and 1.0 or -1.0 and 1.0.
    """
    alike = np.zeros(len(targets), dtype=np.int64)
    if not hasattr(loss, "classify") or targets.ndim > 2:
        return alike
    if targets.ndim == 2 and targets.shape[1] > 1:
        one_hot = not isinstance(loss, BinaryCrossEntropy) and ((targets == 0) | (targets == 1)).all()
        return targets.argmax(axis=1) if one_hot else alike
    values, codes = np.unique(targets.reshape(-1), return_inverse=True)
    return codes if targets.dtype.kind in "iu" or len(values) <= 2 else alike


def _class_shares(targets: Host) -> Host:
    """Return class indices (N,) as they are, soft targets (N, classes), and of one output both classes' shares."""
    if targets.ndim == 2 and targets.shape[1] == 1:
        share = np.maximum(targets, 0.0)  # of class 1; the hinge's other class is -1
        return np.concatenate([1.0 - share, share], axis=1)
    return targets


def _class_table(class_weight: Any, shares: Host, loss: Loss, out_shape: Shape) -> Host:
    """Return the weight of each class, (classes,): a soft target's is the mean weighted by its probabilities."""
    several_answers = isinstance(loss, BinaryCrossEntropy) and out_shape[0] > 1
    if several_answers or not hasattr(loss, "classify"):
        raise ConfigurationError(
            f"class_weight needs one class for each example; got {loss} on outputs of shape {out_shape}: "
            "use sample_weight"
        )
    return _weight_per_class(class_weight, shares, max(out_shape[0], 2))


def _weight_per_class(class_weight: Any, targets: Host, classes: int) -> Host:
    """Return the weight of each class, (classes,), from what the user gave as *class_weight*."""
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ConfigurationError(f"class_weight must be a mapping, a list or 'balanced'; got {class_weight!r}")
        soft = targets.ndim == 2
        counts = targets.sum(axis=0, dtype=np.float64) if soft else np.bincount(targets, minlength=classes)
        table = np.ones(classes)  # of a class without examples, which only validation may have
        table[counts > 0] = np.sum(counts) / (np.count_nonzero(counts) * counts[counts > 0])
        return table
    if isinstance(class_weight, Mapping):
        table = np.ones(classes)
        for label, weight in class_weight.items():
            if not isinstance(label, int | np.integer) or not 0 <= label < classes:
                raise DataError(f"class_weight names class {label!r}; expected indices in 0..{classes - 1}")
            if not isinstance(weight, Real):
                raise DtypeError(f"class_weight must hold real numbers; got {weight!r} for class {label}")
            table[label] = weight
    else:
        table = np.asarray(to_host(class_weight, "class_weight", real=True), dtype=np.float64)
        if table.shape != (classes,):
            raise ShapeError(
                f"class_weight must have one entry for each of {classes} classes; got {class_weight!r} "
                f"of shape {table.shape}"
            )
    if not np.isfinite(table).all() or (table < 0).any() or not table.any():
        raise DataError(f"class_weight must be finite, not negative, and not 0 for all classes; got {table.tolist()}")
    return table
