"""The interface of a loss, and helpers that losses share."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar, Protocol

from xpnet.arrays import Host
from xpnet.backend import Array
from xpnet.errors import unknown_name
from xpnet.parameters import Shape

__all__ = ["Loss", "check_reduction", "mean_of_outputs"]

REDUCTIONS = ("mean", "sum")


class Loss(Protocol):
    """The interface of a loss; those for classes also have ``classify(scores, xp)``, ``true_classes(targets, xp)``."""

    metrics: ClassVar[tuple[str, ...]]
    """Names of the metrics that are reported when none are asked for."""

    @property
    def reduction(self) -> str:
        """``"mean"`` or ``"sum"``."""

    def __call__(self, scores: Array, targets: Array, xp: Any, /) -> tuple[Array, Array]:
        """Return losses (N,) and slopes shaped as the scores."""

    def check(self, out_shape: Shape, /) -> None:
        """Raise ConfigurationError if a network with these outputs cannot have this loss."""

    def targets(self, y: Host, out_shape: Shape, /) -> Host:
        """Check the user's y, on the host, and bring it into the form that the call takes."""

    def link(self, scores: Array, xp: Any, /) -> Array:
        """Return predictions: probabilities for classes, the scores themselves otherwise."""


def mean_of_outputs(losses: Array, slopes: Array, xp: Any) -> tuple[Array, Array]:
    """Average an elementwise loss, and its slopes, over each example's K values."""
    outputs = prod(losses.shape[1:])
    return xp.sum(xp.reshape(losses, (losses.shape[0], outputs)), axis=1) / outputs, slopes / outputs


def check_reduction(reduction: str) -> None:
    """Raise ConfigurationError unless it is ``"mean"`` or ``"sum"``."""
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
