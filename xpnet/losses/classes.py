"""Losses of classes: cross-entropy of one class of several and of yes-or-no questions, and the hinge."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from xpnet.arrays import Host
from xpnet.backend import Array
from xpnet.checks import check_real_fields
from xpnet.errors import ConfigurationError
from xpnet.losses.base import check_reduction, mean_of_outputs
from xpnet.parameters import Shape
from xpnet.records import record
from xpnet.targets import binary_rows, class_targets, sign_rows

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Hinge"]


@record
class CrossEntropy:
    r"""Softmax cross-entropy from logits, for one class of several.

    .. math:: l = -\sum_c t_c \log \mathrm{softmax}(z)_c, \qquad \partial l/\partial z = \mathrm{softmax}(z) - t

    Shapes: scores z (N, classes) with at least two classes; targets (N,) class indices, or (N, classes) rows
    of probabilities (one-hot or soft). Computed with the row's own maximum taken off, so that no exponential
    overflows. Where two scores of a row differ by more than the largest number of the type (3.4e38 in float32) the
    loss is infinite or NaN, as the difference is; the slope is still right.

    Parameters
    ----------
    label_smoothing : float
        s in [0, 1): t becomes (1 - s) t + s / classes (Szegedy et al. 2016, section 7).
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ConfigurationError
        ``label_smoothing`` or ``reduction`` is out of range.
    """

    label_smoothing: float = 0.0
    reduction: str = "mean"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def __post_init__(self) -> None:
        check_reduction(self.reduction)
        check_real_fields(self, "label_smoothing", least=0, below=1)

    def __call__(self, scores: Array, targets: Array, xp: Any) -> tuple[Array, Array]:
        """Return losses (N,) and slopes (N, classes)."""
        classes = scores.shape[1]
        rows = xp.nn.one_hot(targets, classes, scores.dtype) if len(targets.shape) == 1 else targets
        if self.label_smoothing:
            rows = rows * (1.0 - self.label_smoothing) + self.label_smoothing / classes
        losses, slopes = xp.nn.softmax_cross_entropy(scores, rows)
        return losses, slopes

    def check(self, out_shape: Shape) -> None:
        """Need two outputs or more."""
        if len(out_shape) != 1 or out_shape[0] < 2:
            remedy = (
                "Dense acts on the last axis alone: put Flatten() before it"
                if len(out_shape) > 1
                else "For one output use loss='binary_cross_entropy' (two classes), or loss='mse' (a quantity)"
            )
            raise ConfigurationError(
                f"loss 'cross_entropy' needs outputs of shape (classes,) with at least 2 classes; the network gives "
                f"{out_shape}. {remedy}"
            )

    def targets(self, y: Host, out_shape: Shape) -> Host:
        """Take class indices or rows of probabilities."""
        return class_targets(y, out_shape[0])

    def link(self, scores: Array, xp: Any) -> Array:
        """Return the softmax of the scores."""
        return xp.nn.softmax(scores)

    def classify(self, scores: Array, xp: Any) -> Array:
        """Return the class with the highest score, (N,)."""
        return xp.nn.argmax(scores)

    def true_classes(self, targets: Array, xp: Any) -> Array:
        """Return the targets' classes, (N,)."""
        return targets if len(targets.shape) == 1 else xp.nn.argmax(targets)


@record
class BinaryCrossEntropy:
    r"""Cross-entropy from one logit per yes-or-no question.

    .. math:: l = \frac1K \sum_k -t_k \log s(z_k) - (1 - t_k) \log(1 - s(z_k)), \quad s(z) = 1/(1 + e^{-z})

    Shapes: scores z (N, K); targets (N, K) in [0, 1], or (N,) for K = 1. Computed as
    (max(z, 0) - t z) + log1p(exp(-|z|)).

    Raises
    ------
    ConfigurationError
        ``reduction`` is neither ``"mean"`` nor ``"sum"``.
    """

    reduction: str = "mean"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def __call__(self, scores: Array, targets: Array, xp: Any) -> tuple[Array, Array]:
        """Return losses (N,) and slopes (N, K)."""
        losses, slopes = xp.nn.sigmoid_cross_entropy(scores, targets)
        return mean_of_outputs(losses, slopes, xp)

    def check(self, out_shape: Shape) -> None:
        """Need a vector of outputs."""
        _check_vector("binary_cross_entropy", out_shape)

    def targets(self, y: Host, out_shape: Shape) -> Host:
        """Take values in [0, 1]."""
        return binary_rows(y, out_shape[0])

    def link(self, scores: Array, xp: Any) -> Array:
        """Return the sigmoid of the scores."""
        return xp.nn.sigmoid(scores)

    def classify(self, scores: Array, xp: Any) -> Array:
        """Return 1 where the probability exceeds one half: (N,) for one output, else (N, K)."""
        return _column(xp.astype(scores > 0.0, xp.int32))

    def true_classes(self, targets: Array, xp: Any) -> Array:
        """Return 1 where the target exceeds one half."""
        return _column(xp.astype(targets > 0.5, xp.int32))


@record
class Hinge:
    r"""Margin loss of support vector machines.

    One output: :math:`l = \max(0, 1 - t z)` with t in {-1, 1} (0 is read as -1); ``classify`` gives the classes 0
    and 1, which targets -1 and 1 become by ``(t + 1) // 2``. K outputs, class index c:

    .. math:: l = \frac1K \sum_{k \ne c} \max(0, 1 - z_c + z_k)

    (Weston and Watkins 1999, averaged over K as PyTorch's ``MultiMarginLoss`` is.) Slope 0 at the corner.

    Raises
    ------
    ConfigurationError
        ``reduction`` is neither ``"mean"`` nor ``"sum"``.
    """

    reduction: str = "mean"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def __call__(self, scores: Array, targets: Array, xp: Any) -> tuple[Array, Array]:
        """Return losses (N,) and slopes."""
        if len(targets.shape) == 2:
            margins = xp.maximum(1.0 - targets * scores, 0.0)  # (N, 1)
            return margins[:, 0], -targets * xp.astype(margins > 0.0, scores.dtype)
        classes = scores.shape[1]
        true = xp.nn.one_hot(targets, classes, scores.dtype)
        own = xp.sum(scores * true, axis=1, keepdims=True)
        margins = xp.maximum(scores - own + 1.0, 0.0) * (1.0 - true)
        above = xp.astype(margins > 0.0, scores.dtype)
        slopes = above - true * xp.sum(above, axis=1, keepdims=True)
        return xp.sum(margins, axis=1) / classes, slopes / classes

    def check(self, out_shape: Shape) -> None:
        """Need a vector of outputs."""
        _check_vector("hinge", out_shape)

    def targets(self, y: Host, out_shape: Shape) -> Host:
        """Take signs for one output, class indices for several."""
        if out_shape[0] == 1:
            return sign_rows(y)
        labels = class_targets(y, out_shape[0])
        return labels if len(labels.shape) == 1 else labels.argmax(axis=1).astype(np.int32)

    def link(self, scores: Array, xp: Any) -> Array:
        """Return the scores: margins, not probabilities."""
        return scores

    def classify(self, scores: Array, xp: Any) -> Array:
        """Return the class with the highest score; for one output 1 where the score is above 0."""
        if scores.shape[1] == 1:
            return xp.astype(scores[:, 0] > 0.0, xp.int32)
        return xp.nn.argmax(scores)

    def true_classes(self, targets: Array, xp: Any) -> Array:
        """Return the targets' classes; for one output 1 for a positive sign."""
        return targets if len(targets.shape) == 1 else xp.astype(targets[:, 0] > 0.0, xp.int32)


def _column(classes: Array) -> Array:
    return classes[:, 0] if classes.shape[1] == 1 else classes


def _check_vector(loss: str, out_shape: Shape) -> None:
    if len(out_shape) != 1:
        raise ConfigurationError(
            f"loss {loss!r} needs outputs of shape (K,); the network gives {out_shape}. Dense acts on the "
            "last axis alone: put Flatten() before it"
        )
