"""Losses of real targets: squared, absolute, Huber and quantile errors, and the Poisson deviance."""

from __future__ import annotations

from typing import Any, ClassVar

from xpnet.arrays import Host
from xpnet.backend import Array
from xpnet.checks import check_real_fields
from xpnet.losses.base import check_reduction, mean_of_outputs
from xpnet.parameters import Shape
from xpnet.records import record
from xpnet.targets import count_rows, real_rows

__all__ = ["Huber", "MeanAbsoluteError", "MeanSquaredError", "Poisson", "Quantile"]


class RealTargets:
    """Base of the losses of real targets: any output shape, and scores that are the predictions."""

    metrics: ClassVar[tuple[str, ...]] = ()

    def check(self, out_shape: Shape) -> None:
        """Take any outputs."""

    def targets(self, y: Host, out_shape: Shape) -> Host:
        """Take real values shaped as the outputs."""
        return real_rows(y, out_shape)

    def link(self, scores: Array, xp: Any) -> Array:
        """Return the scores."""
        return scores


@record
class MeanSquaredError(RealTargets):
    r"""Squared error :math:`l = \frac1K \sum_k (z_k - t_k)^2`, any output shape of K values.

    Raises
    ------
    ConfigurationError
        ``reduction`` is neither ``"mean"`` nor ``"sum"``.
    """

    reduction: str = "mean"

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def __call__(self, scores: Array, targets: Array, xp: Any) -> tuple[Array, Array]:
        """Return losses (N,) and slopes."""
        error = scores - targets
        return mean_of_outputs(error * error, 2.0 * error, xp)


@record
class MeanAbsoluteError(RealTargets):
    r"""Absolute error :math:`l = \frac1K \sum_k |z_k - t_k|`, any output shape of K values; slope 0 at 0.

    Raises
    ------
    ConfigurationError
        ``reduction`` is neither ``"mean"`` nor ``"sum"``.
    """

    reduction: str = "mean"

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def __call__(self, scores: Array, targets: Array, xp: Any) -> tuple[Array, Array]:
        """Return losses (N,) and slopes."""
        error = scores - targets
        return mean_of_outputs(xp.abs(error), xp.sign(error), xp)


@record
class Huber(RealTargets):
    r"""Squared error near 0 and absolute error beyond ``delta`` (Huber 1964), any output shape of K values.

    .. math:: l = \frac1K \sum_k \begin{cases} e_k^2 / 2 & |e_k| \le \delta \\
              \delta (|e_k| - \delta / 2) & \text{otherwise}\end{cases}, \quad e = z - t

    Parameters
    ----------
    delta : float
        Where the square becomes a line, in units of the target, above 0; 1 is PyTorch's and Keras' default.
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ConfigurationError
        ``delta`` or ``reduction`` is out of range.
    """

    delta: float = 1.0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        check_reduction(self.reduction)
        check_real_fields(self, "delta", above=0)

    def __call__(self, scores: Array, targets: Array, xp: Any) -> tuple[Array, Array]:
        """Return losses (N,) and slopes."""
        error = scores - targets
        near = xp.minimum(xp.abs(error), self.delta)
        losses = near * (xp.abs(error) - 0.5 * near)
        return mean_of_outputs(losses, xp.sign(error) * near, xp)


@record
class Quantile(RealTargets):
    r"""Pinball loss, whose minimum is a quantile of the targets (Koenker and Bassett 1978), any shape of K values.

    .. math:: l = \frac1K \sum_k \max(q e_k, (q - 1) e_k), \quad e = t - z

    Slope 0 at 0. With q = 1/2 it is half the absolute error, and the network predicts medians.

    Parameters
    ----------
    quantile : float
        q, the share of targets that shall lie below the prediction, in (0, 1).
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ConfigurationError
        ``quantile`` or ``reduction`` is out of range.
    """

    quantile: float = 0.5
    reduction: str = "mean"

    def __post_init__(self) -> None:
        check_reduction(self.reduction)
        check_real_fields(self, "quantile", above=0, below=1)

    def __call__(self, scores: Array, targets: Array, xp: Any) -> tuple[Array, Array]:
        """Return losses (N,) and slopes."""
        error = targets - scores
        above = xp.astype(error > 0.0, scores.dtype)
        below = xp.astype(error < 0.0, scores.dtype)
        slopes = (1.0 - self.quantile) * below - self.quantile * above
        return mean_of_outputs(-slopes * error, slopes, xp)


@record
class Poisson(RealTargets):
    r"""Half the Poisson deviance of counts from the logarithm of their mean, any output shape of K values.

    .. math:: l = \frac1K \sum_k e^{z_k} - t_k z_k + (t_k \log t_k - t_k)

    Shapes: scores z (N, ...) are logarithms; targets t are not negative. The part in brackets (0 for t = 0) has no
    slope; it makes the loss 0 where the mean is the target. Predictions are exp(z). Above z = 50 the exponential goes
    on as its tangent, so that float32, which ends at exp(88), overflows neither in the loss nor in what is summed of
    it; predictions stay at exp(50) there. Nelder and Wedderburn 1972, table 1, for the deviance.

    Raises
    ------
    ConfigurationError
        ``reduction`` is neither ``"mean"`` nor ``"sum"``.
    """

    reduction: str = "mean"

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def __call__(self, scores: Array, targets: Array, xp: Any) -> tuple[Array, Array]:
        """Return losses (N,) and slopes."""
        within = xp.minimum(scores, LARGEST_LOG)
        mean = xp.exp(within)
        logs = xp.log(targets + xp.astype(targets <= 0.0, targets.dtype))
        # Of large counts the terms cancel; t (e^d - 1 - d) with d = z - log t is the same, and is near 0 where d is.
        apart = within - xp.maximum(logs, 0.0)
        few = mean - targets * within + targets * (logs - 1.0)
        losses = xp.where(targets > 1.0, targets * (xp.expm1(apart) - apart), few) + (mean - targets) * (
            scores - within
        )
        return mean_of_outputs(losses, mean - targets, xp)

    def targets(self, y: Host, out_shape: Shape) -> Host:
        """Take values of at least 0 shaped as the outputs."""
        return count_rows(y, out_shape)

    def link(self, scores: Array, xp: Any) -> Array:
        """Return the mean, exp(z)."""
        return xp.exp(xp.minimum(scores, LARGEST_LOG))


LARGEST_LOG = 50.0
"""Where :class:`Poisson` leaves the exponential for its tangent: exp(50) = 5e21, far from float32's 3e38."""
