"""Layers that shift and scale their input to mean 0 and variance 1."""

from __future__ import annotations

from dataclasses import KW_ONLY
from math import prod
from typing import Any, NamedTuple

from xpnet.backend import Array
from xpnet.checks import check_real_fields
from xpnet.initializers import Ones, Zeros
from xpnet.layers.base import Built, Context, check_rank
from xpnet.parameters import Param, Shape, Tree
from xpnet.records import record

__all__ = ["BatchNorm", "LayerNorm"]


class _Batch(NamedTuple):
    """What BatchNorm keeps from a training pass."""

    normalized: Array  # the input's shape
    inverse: Array  # (1, ..., features)
    mean: Array  # (1, ..., features)
    variance: Array  # (1, ..., features)


@record
class BatchNorm:
    r"""Batch normalization over every axis but the last.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta

    Shapes: x and y (N, ..., features); gamma, beta (features,). While training, mu and sigma² are the batch's
    mean and population variance; otherwise they are running averages,
    ``running = momentum * running + (1 - momentum) * batch``, where the batch's variance enters with
    Bessel's correction n / (n - 1). A batch with one value of each feature has no variance, and moves the running
    mean alone. Ioffe and Szegedy 2015, algorithms 1 and 2.

    Parameters
    ----------
    momentum : float
        Share of the old running average that each step keeps, in [0, 1). 0.9 is PyTorch's default, which counts the
        other share, 0.1.
    epsilon : float
        Added to the variance, above 0; 1e-5 is PyTorch's default (Keras' is 1e-3).

    Raises
    ------
    ConfigurationError
        ``momentum`` is not in [0, 1), or ``epsilon`` is not in (0, inf).
    ShapeError
        At build: the input is one number per example, without an axis.
    """

    _: KW_ONLY
    momentum: float = 0.9
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_real_fields(self, "momentum", least=0, below=1)
        check_real_fields(self, "epsilon", above=0)

    def build(self, in_shape: Shape) -> Built:
        """Declare gamma, beta and the running mean and variance."""
        check_rank(self, in_shape)
        features = (in_shape[-1],)
        return Built(
            in_shape,
            {"gamma": Param(features, Ones(), decay=False), "beta": Param(features, Zeros(), decay=False)},
            {"running_mean": Param(features, Zeros()), "running_variance": Param(features, Ones())},
        )

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Any]:
        """Return y; keep the normalized input and the statistics."""
        if context.training:
            batch = _Batch(*context.xp.nn.normalize(x, _leading_axes(x), self.epsilon))
            normalized: Array = batch.normalized
        else:
            state = context.state
            inverse = 1.0 / context.xp.sqrt(state["running_variance"] + self.epsilon)
            normalized = (x - state["running_mean"]) * inverse
            batch = _Batch(normalized, inverse, None, None)
        return normalized * params["gamma"] + params["beta"], batch

    def backward(self, params: Tree, batch: _Batch, dy: Array, context: Context) -> tuple[Array | None, Tree]:
        r"""Return dx through the statistics too, :math:`d\gamma = \sum dy\,\hat x` and :math:`d\beta = \sum dy`."""
        axes = _leading_axes(dy)
        gradients = _scale_gradients(batch.normalized, dy, context.xp)
        if not context.input_gradient:
            return None, gradients
        slopes = dy * params["gamma"]
        if not context.training:
            return slopes * batch.inverse, gradients
        return context.xp.nn.normalize_backward(batch.normalized, batch.inverse, slopes, axes), gradients

    def advance(self, state: Tree, batch: _Batch) -> Tree:
        """Return the running averages after a training step; one value of each feature says nothing of their spread."""
        rows = prod(batch.normalized.shape[:-1])
        keep, take = self.momentum, 1.0 - self.momentum
        last = (*(0 for _ in batch.mean.shape[1:]), ...)
        mean, variance = keep * state["running_mean"] + take * batch.mean[last], state["running_variance"]
        if rows > 1:
            variance = keep * variance + (take * (rows / (rows - 1))) * batch.variance[last]
        return {"running_mean": mean, "running_variance": variance}


@record
class LayerNorm:
    r"""Normalization of each example over its last axis.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta

    Shapes: x and y (N, ..., features); gamma, beta (features,). mu and sigma² are the mean and the population
    variance of one example's features, in training and out of it. Ba, Kiros and Hinton 2016, eq. 4.

    Parameters
    ----------
    epsilon : float
        Added to the variance, above 0; 1e-5 is PyTorch's default (Keras' is 1e-3).

    Raises
    ------
    ConfigurationError
        ``epsilon`` is not in (0, inf).
    ShapeError
        At build: the input is one number per example, without an axis.
    """

    _: KW_ONLY
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_real_fields(self, "epsilon", above=0)

    def build(self, in_shape: Shape) -> Built:
        """Declare gamma and beta."""
        check_rank(self, in_shape)
        features = (in_shape[-1],)
        return Built(
            in_shape,
            {"gamma": Param(features, Ones(), decay=False), "beta": Param(features, Zeros(), decay=False)},
        )

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, tuple[Array, Array]]:
        """Return y; keep the normalized input and 1 / sqrt(variance + epsilon)."""
        normalized, inverse, _, _ = context.xp.nn.normalize(x, (-1,), self.epsilon)
        return normalized * params["gamma"] + params["beta"], (normalized, inverse)

    def backward(
        self, params: Tree, residuals: tuple[Array, Array], dy: Array, context: Context
    ) -> tuple[Array | None, Tree]:
        r"""Return dx, :math:`d\gamma = \sum dy\,\hat x` and :math:`d\beta = \sum dy`."""
        normalized, inverse = residuals
        gradients = _scale_gradients(normalized, dy, context.xp)
        if not context.input_gradient:
            return None, gradients
        return context.xp.nn.normalize_backward(normalized, inverse, dy * params["gamma"], (-1,)), gradients


def _leading_axes(x: Array) -> tuple[int, ...]:
    return tuple(range(len(x.shape) - 1))


def _scale_gradients(normalized: Array, dy: Array, xp: Any) -> Tree:
    axes = _leading_axes(dy)
    return {"gamma": xp.sum(dy * normalized, axis=axes), "beta": xp.sum(dy, axis=axes)}
