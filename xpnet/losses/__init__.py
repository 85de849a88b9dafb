r"""Losses: a value for each example, and its slope in the network's scores.

A loss is a frozen record, called with scores (N, ...) and targets: it returns the losses (N,) and the slopes
(N, ...), the derivative of each example's loss. The training step weighs and reduces them:

    mean:  L = sum(w l) / sum(w)          sum:  L = sum(w l)

with w the sample weights (1 if none are given). So a weight of 2 equals the example given twice. Scores are raw
(logits); the loss's ``link`` turns them into predictions.
"""

from collections.abc import Callable, Mapping
from typing import Any

from xpnet.arguments import explain_records
from xpnet.losses.base import Loss
from xpnet.losses.classes import BinaryCrossEntropy, CrossEntropy, Hinge
from xpnet.losses.real import Huber, MeanAbsoluteError, MeanSquaredError, Poisson, Quantile

__all__ = [
    "NAMES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Hinge",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Poisson",
    "Quantile",
]

NAMES: Mapping[str, Callable[[], Any]] = {
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "huber": Huber,
    "quantile": Quantile,
    "poisson": Poisson,
    "hinge": Hinge,
}
"""What each loss goes by when it is given by name."""

explain_records(globals(), __all__)
