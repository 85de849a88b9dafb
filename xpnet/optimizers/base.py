"""The interface of an optimizer and of the other links of a chain: a pair of pure functions on ONE flat vector.

    init(params, layout, xp)              -> state
    update(gradient, params, state, now)  -> (gradient, params, state)

Whatever acts on a step has this interface: an optimizer changes the parameters, clipping and penalties change the
gradient on its way there, max-norm changes the parameters on their way out, an average only watches.
``chain`` hands the three from link to link. All vectors are donated: an update may reuse them.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple, Protocol

from xpnet.backend import Array
from xpnet.checks import check_real_fields, check_takes
from xpnet.errors import ConfigurationError
from xpnet.parameters import Layout, Tree
from xpnet.schedules import Schedule

__all__ = ["Link", "Now", "Optimizer", "Updated", "rate_at"]

Updated = tuple[Array, Array, Tree]
"""What update returns: gradient, params, state."""


class Now(NamedTuple):
    """What an update is told beside the vectors."""

    learning_rate: Array  # 0-d, that of this step
    step: Array  # 0-d, floating, counted from 1, where schedules count finished steps
    layout: Layout
    xp: Any
    weight: Array | float = 1.0  # 0-d: the sum of the batch's weights, its number of examples where none are given


class Link(Protocol):
    """What can stand in a chain."""

    def init(self, params: Array, layout: Layout, xp: Any, /) -> Tree:
        """Return the state before the first step: a mapping of arrays, maybe empty."""

    def update(self, gradient: Array, params: Array, state: Tree, now: Now, /) -> Updated:
        """Return gradient, parameters and state after one step."""


class Optimizer(Link, Protocol):
    """A link that moves the parameters: what a chain has exactly one of."""

    @property
    def learning_rate(self) -> float | Schedule:
        """How far a step goes, or a schedule of that."""


def rate_at(learning_rate: float | Schedule, step: Array, xp: Any) -> Array | float:
    """Return the learning rate after *step* finished steps.

    Raises
    ------
    ConfigurationError
        A schedule gives neither a number nor an array with no axes.
    """
    if not callable(learning_rate):
        return learning_rate
    rate = learning_rate(step, xp)
    if isinstance(rate, Real) and not hasattr(rate, "shape"):
        return float(rate)
    if getattr(rate, "shape", None) != ():
        raise ConfigurationError(
            f"learning_rate as a function of (step, xp) must return a number, or an array with no axes; "
            f"{learning_rate} returned {rate!r:.60}"
        )
    return rate


def check_learning_rate(optimizer: Any) -> None:
    """Check the field ``learning_rate`` of an optimizer: a schedule, or a finite number above 0."""
    rate = optimizer.learning_rate
    if callable(rate) and not isinstance(rate, type):
        check_takes(f"{type(optimizer).__name__}.learning_rate", rate, "step", "xp")
        return
    schedule = ". A schedule is taken, too, such as CosineDecay(rate, steps)"
    check_real_fields(optimizer, "learning_rate", above=0, hint=schedule)


def check_moments(optimizer: Any) -> None:
    """Check the fields ``learning_rate``, ``beta1`` and ``beta2``, which Adam and its relatives have."""
    check_learning_rate(optimizer)
    check_real_fields(optimizer, "beta1", "beta2", least=0, below=1)
