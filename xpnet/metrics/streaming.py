"""Streaming metrics: sums over batches on the device, from which the host computes a number once per epoch.

A metric is a sum over examples and a function of that sum: ``sums(scores, targets, weights, loss, xp)``
returns an array shaped ``shape(outputs)`` for one batch, on the device; sums of batches are added;
``result(sums)`` makes a number of the total, on the host.

In the formulas below, i runs over the examples, w are their weights (1 where there are none), t targets and y
predictions, after the loss's link; c is an example's true class, z its scores, and [...] is 1 where it holds, else 0.
"""

from __future__ import annotations

from math import prod
from typing import Any, Protocol

import numpy as np

from xpnet.arrays import Host
from xpnet.backend import Array
from xpnet.checks import check_integer_fields
from xpnet.errors import ConfigurationError, unknown_name
from xpnet.losses import BinaryCrossEntropy, Loss
from xpnet.metrics.classification import AVERAGES, Counts, averaged_figures
from xpnet.parameters import Shape
from xpnet.records import record

__all__ = [
    "F1",
    "R2",
    "AbsoluteError",
    "Accuracy",
    "Metric",
    "Precision",
    "Recall",
    "SquaredError",
    "TopKAccuracy",
    "weighted_sum",
]


class Metric(Protocol):
    """The interface of a metric."""

    @property
    def name(self) -> str:
        """Its key in histories and results."""

    def check(self, loss: Loss, out_shape: Shape, /) -> None:
        """Raise ConfigurationError if this metric makes no sense with this loss."""

    def shape(self, out_shape: Shape, /) -> Shape:
        """Return the shape of the sums."""

    def sums(self, scores: Array, targets: Array, weights: Array | None, loss: Any, xp: Any, /) -> Array:
        """Return the batch's sums."""

    def result(self, sums: Host, /) -> float:
        """Return the metric's value from the total."""


class _Mean:
    """Base of the metrics that are a mean over examples, whose sums are those of :func:`weighted_sum`."""

    def shape(self, out_shape: Shape) -> Shape:
        """Return (2,): sum of w v, sum of w."""
        return (2,)

    def result(self, sums: Host) -> float:
        """Return the mean; 0 if all weights are 0."""
        return float(sums[0]) / float(sums[1]) if sums[1] else 0.0


@record
class Accuracy(_Mean):
    r"""Share of examples whose class is right (of answers, where an example has several yes-or-no ones).

    .. math:: \frac{\sum_i w_i [\hat c_i = c_i]}{\sum_i w_i}

    with the predicted class :math:`\hat c` of the loss's ``classify``; 0 where nothing weighs anything.

    Raises
    ------
    ConfigurationError
        At build: the loss is not one for classes.
    """

    name = "accuracy"

    def check(self, loss: Loss, out_shape: Shape) -> None:
        """Need classes."""
        _need_classes(self.name, loss)

    def sums(self, scores: Array, targets: Array, weights: Array | None, loss: Any, xp: Any) -> Array:
        """Count the right answers."""
        right = xp.astype(loss.classify(scores, xp) == loss.true_classes(targets, xp), scores.dtype)
        return weighted_sum(xp.mean(right, axis=1) if len(right.shape) == 2 else right, weights, xp)


@record
class TopKAccuracy(_Mean):
    r"""Share of examples whose class is among the ``k`` highest scores; of equal scores the lower class comes first.

    .. math:: \frac{\sum_i w_i [r_i < k]}{\sum_i w_i}, \quad
              r = \sum_j [z_j > z_c] + \sum_{j < c} [z_j = z_c]

    So it agrees with :class:`Accuracy` and :func:`xpnet.top_k_accuracy`, and a network that scores all classes alike,
    or gives NaN, does not look good.

    Parameters
    ----------
    k : int
        At least 1; 5 is Keras' default.

    Raises
    ------
    ConfigurationError
        ``k`` is not a positive integer. At build: the loss is not one for classes, an example has several answers, or
        the network does not give a vector of at least k scores.
    """

    k: int = 5

    def __post_init__(self) -> None:
        check_integer_fields(self, "k")

    @property
    def name(self) -> str:
        """``top_5_accuracy`` for k = 5."""
        return f"top_{self.k}_accuracy"

    def check(self, loss: Loss, out_shape: Shape) -> None:
        """Need one class for each example, of at least k."""
        _need_one_class(self.name, loss, out_shape)
        if len(out_shape) != 1 or out_shape[0] < self.k:
            raise ConfigurationError(
                f"metric {self.name!r} needs at least {self.k} classes; the network gives {out_shape}; "
                "give TopKAccuracy(k=...) with a smaller k"
            )

    def sums(self, scores: Array, targets: Array, weights: Array | None, loss: Any, xp: Any) -> Array:
        """Count the examples with fewer than k classes ahead of the true one."""
        classes = scores.shape[1]
        labels = xp.expand_dims(xp.astype(loss.true_classes(targets, xp), xp.int32), axis=1)
        columns = xp.expand_dims(xp.arange(classes, dtype=xp.int32), axis=0)
        own = xp.sum(xp.where(columns == labels, scores, xp.zeros_like(scores)), axis=1, keepdims=True)
        # Those that are not ahead are counted, as NaN is neither ahead nor behind; the true class is one of them.
        behind = (scores < own) | ((scores == own) & (columns >= labels))
        count = xp.sum(xp.astype(behind, scores.dtype), axis=1)
        return weighted_sum(xp.astype(count > float(classes - self.k), scores.dtype), weights, xp)


class _FromConfusion:
    """Base of the metrics that are functions of the confusion matrix (rows true, columns predicted)."""

    average: str | None
    figure: str

    @property
    def name(self) -> str:
        """The figure's name; where an average is given, with that: ``f1_micro``."""
        return self.figure if self.average is None else f"{self.figure}_{self.average}"

    def __post_init__(self) -> None:
        if self.average not in (None, *AVERAGES):
            raise unknown_name("average", self.average, AVERAGES)

    def check(self, loss: Loss, out_shape: Shape) -> None:
        """Need one class for each example, and two of them for ``"binary"``."""
        _need_one_class(self.name, loss, out_shape)
        if self.average == "binary" and prod(out_shape) > 2:
            raise ConfigurationError(
                f"metric {self.figure!r} with average='binary' needs two classes; the network gives {out_shape}: leave "
                "average out, or write 'macro'"
            )

    def shape(self, out_shape: Shape) -> Shape:
        """Return (classes, classes)."""
        classes = max(prod(out_shape), 2)
        return (classes, classes)

    def sums(self, scores: Array, targets: Array, weights: Array | None, loss: Any, xp: Any) -> Array:
        """Return the batch's confusion matrix."""
        classes = max(scores.shape[1], 2)
        true = xp.nn.one_hot(xp.astype(loss.true_classes(targets, xp), xp.int32), classes, scores.dtype)
        predicted = xp.nn.one_hot(xp.astype(loss.classify(scores, xp), xp.int32), classes, scores.dtype)
        if weights is not None:
            true = true * xp.expand_dims(weights, axis=1)
        return xp.matmul(xp.matrix_transpose(true), predicted)

    def result(self, sums: Host) -> float:
        """Average the classes' values, or give that of class 1."""
        if not sums.any():
            return 0.0
        actual, predicted = sums.sum(axis=1), sums.sum(axis=0)
        counts = Counts(np.diagonal(sums), actual, predicted, actual + predicted > 0)
        figures = averaged_figures(counts, self.average or ("binary" if len(sums) == 2 else "macro"))
        return float(getattr(figures, self.figure))


@record
class Precision(_FromConfusion):
    r"""Share of the predictions of a class that are right; of class 1 for two classes, else averaged, unless told.

    .. math:: P_k = \frac{\sum_i w_i [\hat c_i = k][c_i = k]}{\sum_i w_i [\hat c_i = k]},
              \quad 0 \text{ where } k \text{ is never predicted}

    Parameters
    ----------
    average : str, optional
        ``"macro"``, ``"micro"``, ``"weighted"`` or ``"binary"`` (class 1 of two), as in
        :func:`xpnet.precision_recall_f1`. Default: ``"binary"`` for two classes, else ``"macro"``. One that is given
        is part of the name, as in ``precision_micro``. ``"macro"`` is over the classes that are true or predicted of an
        example that weighs something; that function, as scikit-learn, takes those of weight 0, too.

    Raises
    ------
    ConfigurationError
        ``average`` is none of these. At build: the loss is not one for classes, an example has several answers, or
        there are more than the two classes of ``"binary"``.
    """

    average: str | None = None
    figure = "precision"


@record
class Recall(_FromConfusion):
    r"""Share of a class's examples that are found; of class 1 for two classes, else averaged, unless told.

    .. math:: R_k = \frac{\sum_i w_i [\hat c_i = k][c_i = k]}{\sum_i w_i [c_i = k]},
              \quad 0 \text{ where } k \text{ does not occur}

    Parameters
    ----------
    average : str, optional
        ``"macro"``, ``"micro"``, ``"weighted"`` or ``"binary"`` (class 1 of two), as in
        :func:`xpnet.precision_recall_f1`. Default: ``"binary"`` for two classes, else ``"macro"``. One that is given
        is part of the name, as in ``recall_micro``. ``"macro"`` is over the classes that are true or predicted of an
        example that weighs something; that function, as scikit-learn, takes those of weight 0, too.

    Raises
    ------
    ConfigurationError
        ``average`` is none of these. At build: the loss is not one for classes, an example has several answers, or
        there are more than the two classes of ``"binary"``.
    """

    average: str | None = None
    figure = "recall"


@record
class F1(_FromConfusion):
    r"""Harmonic mean of precision and recall; of class 1 for two classes, else averaged, unless told.

    .. math:: F_k = \frac{2 P_k R_k}{P_k + R_k}, \quad 0 \text{ where both are}

    Parameters
    ----------
    average : str, optional
        ``"macro"``, ``"micro"``, ``"weighted"`` or ``"binary"`` (class 1 of two), as in
        :func:`xpnet.precision_recall_f1`. Default: ``"binary"`` for two classes, else ``"macro"``. One that is given
        is part of the name, as in ``f1_micro``. ``"macro"`` is over the classes that are true or predicted of an
        example that weighs something; that function, as scikit-learn, takes those of weight 0, too.

    Raises
    ------
    ConfigurationError
        ``average`` is none of these. At build: the loss is not one for classes, an example has several answers, or
        there are more than the two classes of ``"binary"``.
    """

    average: str | None = None
    figure = "f1"


@record
class SquaredError(_Mean):
    r"""Mean squared error of the predictions (after the loss's link), over examples and each example's K outputs.

    .. math:: \frac{\sum_i w_i \frac1K \sum_k (y_{ik} - t_{ik})^2}{\sum_i w_i}

    In the target's unit, squared.

    Raises
    ------
    ConfigurationError
        At build: the loss is one for classes.
    """

    name = "mse"

    def check(self, loss: Loss, out_shape: Shape) -> None:
        """Need real targets."""
        _need_real_targets(self.name, loss)

    def sums(self, scores: Array, targets: Array, weights: Array | None, loss: Any, xp: Any) -> Array:
        """Add up the examples' squared errors."""
        error = loss.link(scores, xp) - targets
        return weighted_sum(_example_mean(error * error, xp), weights, xp)


@record
class AbsoluteError(_Mean):
    r"""Mean absolute error of the predictions (after the loss's link), over examples and each example's K outputs.

    .. math:: \frac{\sum_i w_i \frac1K \sum_k |y_{ik} - t_{ik}|}{\sum_i w_i}

    In the target's unit.

    Raises
    ------
    ConfigurationError
        At build: the loss is one for classes.
    """

    name = "mae"

    def check(self, loss: Loss, out_shape: Shape) -> None:
        """Need real targets."""
        _need_real_targets(self.name, loss)

    def sums(self, scores: Array, targets: Array, weights: Array | None, loss: Any, xp: Any) -> Array:
        """Add up the examples' absolute errors."""
        return weighted_sum(_example_mean(xp.abs(loss.link(scores, xp) - targets), xp), weights, xp)


@record
class R2:
    r"""Coefficient of determination :math:`1 - \sum (t-y)^2 / \sum (t-\bar t)^2`, averaged over outputs.

    The second sum is taken from sums of t and t², so it loses digits where the targets' mean is far larger than their
    spread: 1 - R² is wrong by about epsilon times the square of their ratio, in float32 by 0.1 % for a mean of 100
    standard deviations. The result is NaN where an output has no spread, or so little that this may be 1 % (where it is
    below 128 epsilon of the sum of t²): in float32, for a mean of more than some 250 standard deviations. Standardize
    such targets, take ``dtype="float64"``, or :func:`xpnet.r2` of ``net.predict(x)``. It is 0 where nothing weighs
    anything.

    Raises
    ------
    ConfigurationError
        At build: the loss is one for classes.
    """

    name = "r2"

    def check(self, loss: Loss, out_shape: Shape) -> None:
        """Need real targets."""
        _need_real_targets(self.name, loss)

    def shape(self, out_shape: Shape) -> Shape:
        """Return (4, outputs): weight, target, target², error²."""
        return (4, prod(out_shape))

    def sums(self, scores: Array, targets: Array, weights: Array | None, loss: Any, xp: Any) -> Array:
        """Return the four sums."""
        shape = (scores.shape[0], prod(scores.shape[1:]))
        t = xp.reshape(targets, shape)
        error = xp.reshape(loss.link(scores, xp), shape) - t
        rows = xp.stack([xp.ones_like(t), t, t * t, error * error])  # (4, N, outputs)
        if weights is not None:
            rows = rows * xp.reshape(weights, (1, -1, 1))
        return xp.sum(rows, axis=1)

    def result(self, sums: Host) -> float:
        """Return the mean over outputs of 1 - error² / spread; NaN where a spread is not known."""
        weight, total, square, error = np.asarray(sums, dtype=np.float64)
        if not weight.any():
            return 0.0
        spread = square - total * total / weight
        known = spread > 128 * np.finfo(sums.dtype).eps * square
        return float(np.mean(np.where(known, 1 - error / np.where(known, spread, 1), np.nan)))


NAMES = {
    "accuracy": Accuracy,
    "top_k_accuracy": TopKAccuracy,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "mse": SquaredError,
    "mae": AbsoluteError,
    "r2": R2,
}


def weighted_sum(values: Array, weights: Array | None, xp: Any) -> Array:
    """Return (sum of w v, sum of w) for values (N,); w is 1 where there are no weights."""
    if weights is None:
        return xp.stack([xp.sum(values), xp.full((), float(values.shape[0]), dtype=values.dtype)])
    return xp.stack([xp.sum(values * weights), xp.sum(weights)])


def _example_mean(values: Array, xp: Any) -> Array:
    return xp.mean(xp.reshape(values, (values.shape[0], -1)), axis=1)


def _need_classes(metric: str, loss: Loss) -> None:
    if not hasattr(loss, "classify"):
        raise ConfigurationError(f"metric {metric!r} needs a loss for classes; got {loss}. For real targets use 'mae'")


def _need_one_class(metric: str, loss: Loss, out_shape: Shape) -> None:
    _need_classes(metric, loss)
    if isinstance(loss, BinaryCrossEntropy) and prod(out_shape) > 1:
        raise ConfigurationError(f"metric {metric!r} needs one class for each example, not {prod(out_shape)} answers")


def _need_real_targets(metric: str, loss: Loss) -> None:
    if hasattr(loss, "classify"):
        raise ConfigurationError(
            f"metric {metric!r} needs a loss for real targets; got {loss}. For classes use 'accuracy'"
        )
