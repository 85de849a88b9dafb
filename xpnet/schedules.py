"""Learning-rate schedules: functions of the step, computed on the device.

A schedule is called with the number of finished steps (floating, 0-d, on the device, 0 at the first step) and the
namespace, and returns the learning rate, 0 or above. It branches by ``where``, so the same code runs inside a compiled
step. ``ReduceLROnPlateau``, which looks at results, is a callback.
"""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING, Any, Protocol

from xpnet.arguments import explain_records
from xpnet.backend import Array
from xpnet.checks import check_flag_fields, check_integer, check_integer_fields, check_real, check_real_fields
from xpnet.errors import ConfigurationError
from xpnet.records import record

__all__ = [
    "ConstantRate",
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "OneCycle",
    "PiecewiseConstant",
    "Schedule",
    "StepDecay",
]

MOST_STEPS = 2**53
"""Up to here every integer is a float64, as which steps are computed."""


class Schedule(Protocol):
    """A learning rate as a function of the step."""

    def __call__(self, step: Array, xp: Any, /) -> Array | float:
        """Return the rate after *step* finished steps."""


@record
class ConstantRate:
    """The same rate at every step.

    Raises
    ------
    ConfigurationError
        ``rate`` is not in (0, inf).
    """

    rate: float

    def __post_init__(self) -> None:
        check_real_fields(self, "rate", above=0)

    def __call__(self, step: Array, xp: Any) -> float:
        """Return ``rate``."""
        return self.rate


@record
class InverseTimeDecay:
    r""":math:`rate / (1 + decay \cdot step / every)`, continuous in the step.

    As Keras' schedule of this name.

    Parameters
    ----------
    rate : float
        Learning rate at the start.
    decay : float
        How much the divisor grows in ``every`` steps, 0 or above; with 1 the first ``every`` steps halve the rate.
    every : int
        A number of steps; with 1, ``decay`` is that of a single step.

    Raises
    ------
    ConfigurationError
        ``rate`` is not in (0, inf), ``decay`` is not in [0, inf), or ``every`` is not an integer in 1..2**53.
    """

    rate: float
    decay: float
    every: int = 1

    def __post_init__(self) -> None:
        check_real_fields(self, "rate", above=0)
        check_real_fields(self, "decay", least=0)
        check_integer_fields(self, "every", most=MOST_STEPS)

    def __call__(self, step: Array, xp: Any) -> Array:
        """Return the rate after *step* steps."""
        return self.rate / (1.0 + (self.decay / self.every) * step)


@record
class StepDecay:
    r""":math:`rate \cdot factor^{\lfloor step / every \rfloor}`.

    Parameters
    ----------
    rate : float
        Learning rate at the start.
    every : int
        Steps from one fall to the next.
    factor : float
        What a fall multiplies the rate by, above 0; 0.1 is the default of PyTorch's ``StepLR``.

    Raises
    ------
    ConfigurationError
        ``rate`` or ``factor`` is not in (0, inf), or ``every`` is not an integer in 1..2**53.
    """

    rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_real_fields(self, "rate", "factor", above=0)
        check_integer_fields(self, "every", most=MOST_STEPS)

    def __call__(self, step: Array, xp: Any) -> Array:
        """Return the rate after *step* steps."""
        # A quotient may come out just below an integer, where a compiler multiplies by 1 / every; a remainder is exact.
        stair = xp.floor((step - xp.remainder(step, float(self.every))) / float(self.every) + 0.5)
        return self.rate * xp.exp(log(self.factor) * stair)


@record
class ExponentialDecay:
    r""":math:`rate \cdot factor^{step / every}`, continuous in the step.

    As Keras' schedule of this name.

    Parameters
    ----------
    rate : float
        Learning rate at the start.
    every : int
        Steps in which the rate is multiplied by ``factor``.
    factor : float
        Above 0. 0.1 is the default of :class:`StepDecay`; Keras and PyTorch have none here.

    Raises
    ------
    ConfigurationError
        ``rate`` or ``factor`` is not in (0, inf), or ``every`` is not an integer in 1..2**53.
    """

    rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_real_fields(self, "rate", "factor", above=0)
        check_integer_fields(self, "every", most=MOST_STEPS)

    def __call__(self, step: Array, xp: Any) -> Array:
        """Return the rate after *step* steps."""
        return self.rate * xp.exp((log(self.factor) / self.every) * step)


@record
class CosineDecay:
    r"""Half a cosine from ``rate`` down to ``final``, after a linear warm-up, with optional restarts.

    .. math:: final + (rate - final) (1 + \cos(\pi\, t / steps)) / 2

    where t counts from the end of the warm-up. Without restarts the rate stays at ``final`` after ``steps``;
    with them t starts anew every ``steps``. Loshchilov and Hutter 2017, "SGDR", eq. 5 (periods of equal length).

    Parameters
    ----------
    rate : float
        Highest learning rate.
    steps : int
        Length of the decay in steps, the warm-up not counted.
    warmup : int
        Steps of the rise from rate / warmup to rate.
    final : float
        Lowest learning rate.
    restarts : bool
        Whether the decay repeats.

    Raises
    ------
    ConfigurationError
        ``rate`` is not in (0, inf), ``final`` is not in [0, inf), ``steps`` is not an integer in 1..2**53,
        ``warmup`` is not one in 0..2**53, or ``restarts`` is no bool.
    """

    rate: float
    steps: int
    warmup: int = 0
    final: float = 0.0
    restarts: bool = False

    def __post_init__(self) -> None:
        check_real_fields(self, "rate", above=0)
        check_real_fields(self, "final", least=0)
        check_flag_fields(self, "restarts")
        check_integer_fields(self, "steps", most=MOST_STEPS)
        check_integer_fields(self, "warmup", least=0, most=MOST_STEPS)

    def __call__(self, step: Array, xp: Any) -> Array:
        """Return the rate after *step* steps."""
        past, steps = step - float(self.warmup), float(self.steps)
        t = xp.remainder(past, steps) / steps if self.restarts else xp.minimum(past / steps, 1.0)
        cosine = self.final + (self.rate - self.final) * 0.5 * (1.0 + xp.cos(pi * t))
        if not self.warmup:
            return cosine
        return xp.where(step < float(self.warmup), (self.rate / self.warmup) * (step + 1.0), cosine)


@record
class OneCycle:
    r"""Up along a half cosine from ``rate / 25`` to ``rate``, then down to ``rate / 250,000``.

    Smith and Topin 2018, "Super-convergence", with the shape and the default divisors of PyTorch's ``OneCycleLR``.

    Parameters
    ----------
    rate : float
        Highest learning rate.
    steps : int
        Length of the cycle in steps; the rate then stays at its end.
    rise : float
        Share of the steps on the way up, in (0, 1).
    start_divisor, end_divisor : float
        The start is ``rate / start_divisor``, the end ``start / end_divisor``.

    Raises
    ------
    ConfigurationError
        ``rate`` or a divisor is not in (0, inf), ``steps`` is not an integer in 1..2**53, or ``rise`` is not in (0, 1).
    """

    rate: float
    steps: int
    rise: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4

    def __post_init__(self) -> None:
        check_real_fields(self, "rate", "start_divisor", "end_divisor", above=0)
        check_integer_fields(self, "steps", most=MOST_STEPS)
        check_real_fields(self, "rise", above=0, below=1)

    def __call__(self, step: Array, xp: Any) -> Array:
        """Return the rate after *step* steps."""
        start = self.rate / self.start_divisor
        end = start / self.end_divisor
        top = self.rise * self.steps - 1.0  # below 0 where the first step is on the way down already
        fall = (1.0 - self.rise) * self.steps
        up = _anneal(start, self.rate, xp.minimum(step / (top if top > 0.0 else 1.0), 1.0), xp)
        down = _anneal(self.rate, end, xp.maximum(xp.minimum((step - top) / fall, 1.0), 0.0), xp)
        return xp.where(step <= top, up, down)


@record
class PiecewiseConstant:
    """``rates[i]`` until step ``boundaries[i]``, the last rate from the last boundary on.

    Parameters
    ----------
    boundaries : tuple or list of int
        Rising numbers of steps, each at least 1.
    rates : tuple or list of float
        Learning rates, one more than boundaries; 0 is allowed, and stops the learning.

    Raises
    ------
    ConfigurationError
        One of the two is neither a tuple nor a list, the boundaries are not rising integers in 1..2**53, a rate is
        not in [0, inf), or there is not one rate more than boundaries.

    Examples
    --------
    >>> import numpy as np
    >>> rates = PiecewiseConstant(boundaries=(10, 20), rates=(0.1, 0.01, 0.001))
    >>> [float(rates(np.asarray(step), np)) for step in (0.0, 10.0, 25.0)]
    [0.1, 0.01, 0.001]
    """

    boundaries: tuple[int, ...]
    rates: tuple[float, ...]

    if TYPE_CHECKING:  # it takes more than it holds

        def __init__(self, boundaries: list[int] | tuple[int, ...], rates: list[float] | tuple[float, ...]) -> None: ...

    def __post_init__(self) -> None:
        for name in ("boundaries", "rates"):
            given = getattr(self, name)
            if not isinstance(given, tuple | list):
                raise ConfigurationError(f"PiecewiseConstant.{name} must be a list of numbers; got {given!r}")
        boundaries = tuple(check_integer("PiecewiseConstant.boundaries", n, most=MOST_STEPS) for n in self.boundaries)
        object.__setattr__(self, "boundaries", boundaries)
        object.__setattr__(self, "rates", tuple(check_real("PiecewiseConstant.rates", n, least=0) for n in self.rates))
        if len(self.rates) != len(self.boundaries) + 1:
            raise ConfigurationError(
                f"PiecewiseConstant needs one rate more than boundaries; got {len(self.rates)} rates and "
                f"{len(self.boundaries)} boundaries"
            )
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ConfigurationError(f"PiecewiseConstant.boundaries must rise; got {self.boundaries}")

    def __call__(self, step: Array, xp: Any) -> Array:
        """Return the rate after *step* steps."""
        rate = 0.0 * step + self.rates[0]
        for boundary, following in zip(self.boundaries, self.rates[1:], strict=True):
            rate = xp.where(step < float(boundary), rate, following + 0.0 * step)
        return rate


def _anneal(start: float, end: float, share: Array, xp: Any) -> Array:
    return end + (start - end) * 0.5 * (1.0 + xp.cos(pi * share))


explain_records(globals(), __all__)
