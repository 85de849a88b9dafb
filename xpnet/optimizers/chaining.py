"""Composition: an optimizer with penalties, clipping, decay, constraints and averages around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any

from xpnet.arguments import explains_arguments
from xpnet.backend import Array
from xpnet.errors import ConfigurationError
from xpnet.optimizers.base import Link, Now, Updated
from xpnet.optimizers.links import L1, L2, ClipByNorm, ClipByValue, ExponentialMovingAverage, MaxNorm
from xpnet.parameters import Layout, Tree
from xpnet.records import record
from xpnet.registry import check_returned
from xpnet.schedules import Schedule

__all__ = ["Chain", "averages", "chain", "with_averages"]

BEFORE: tuple[type[Link], ...] = (L1, L2, ClipByNorm, ClipByValue)
"""Links that change the gradient: after the optimizer, which uses it, they would have no effect."""

AFTER: tuple[type[Link], ...] = (MaxNorm, ExponentialMovingAverage)
"""Links that constrain or average the new weights: before the optimizer they would see those of the last step."""


@record
class Chain:
    """Links one after the other, among them exactly one optimizer. Made by :func:`chain`.

    Parameters
    ----------
    links : tuple of Link
        In the order in which they act.

    Raises
    ------
    ConfigurationError
        One is a name, a class or has no ``init``, there is not exactly one optimizer among them, a penalty or a clip
        comes after it, or a constraint on the weights or an average before it.
    """

    links: tuple[Link, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if not isinstance(self.links, Iterable):
            raise ConfigurationError(f"Chain takes a tuple of links; write chain({self.links!r})")
        object.__setattr__(self, "links", tuple(self.links))
        for link in self.links:
            if isinstance(link, str | type) or not hasattr(link, "init"):
                listed = "; write them without the list, chain(a, b)" if isinstance(link, list | tuple) else ""
                raise ConfigurationError(
                    f"chain() takes optimizers, penalties and clips as objects; got {link!r}{listed}"
                )
        optimizers = [i for i, link in enumerate(self.links) if hasattr(link, "learning_rate")]
        if len(optimizers) != 1:
            raise ConfigurationError(
                f"chain() needs exactly one optimizer among its links; got {len(optimizers)}: "
                f"{', '.join(str(link) for link in self.links) or 'no link'}"
            )
        self._require_order(optimizers[0])

    def _require_order(self, optimizer: int) -> None:
        """Raise ConfigurationError where a link stands on that side of the optimizer on which it does not work."""
        positions = [_working_position(link, i, optimizer) for i, link in enumerate(self.links)]
        misplaced = [link for i, link in enumerate(self.links) if positions[i] != i]
        if not misplaced:
            return
        names = [type(self.links[i]).__name__ for i in sorted(range(len(positions)), key=positions.__getitem__)]
        written = ", ".join(f"{'chain' if name == Chain.__name__ else name}(...)" for name in names)
        reason = (
            "changes the gradient, so it has no effect after the optimizer"
            if isinstance(misplaced[0], BEFORE)
            else "acts on the weights that a step has made, so it comes after the optimizer"
        )
        raise ConfigurationError(f"{misplaced[0]} {reason}; write chain({written})")

    @property
    def learning_rate(self) -> float | Schedule:
        """The optimizer's rate."""
        rates = [link.learning_rate for link in self.links if hasattr(link, "learning_rate")]
        rate: float | Schedule = rates[0]
        return rate

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the links' states by their place."""
        return {str(i): link.init(params, layout, xp) for i, link in enumerate(self.links)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Hand gradient and parameters through the links."""
        new = {}
        for i, link in enumerate(self.links):
            updated = link.update(gradient, params, state[str(i)], now)
            gradient, params, new[str(i)] = check_returned("optimizer", link, "update", updated)
        return gradient, params, new


def averages(link: Link, state: Tree) -> Iterator[Array]:
    """Yield what the links that keep averages of the parameters have in an optimizer's state."""
    if isinstance(link, ExponentialMovingAverage):
        yield state["average"]
    for i, part in enumerate(link.links if isinstance(link, Chain) else ()):
        yield from averages(part, state[str(i)])


def with_averages(link: Link, state: Tree, values: Iterator[Array]) -> Tree:
    """Return an optimizer's state with *values* in place of the averages that :func:`averages` yields."""
    if isinstance(link, ExponentialMovingAverage):
        return {"average": next(values)}
    if isinstance(link, Chain):
        return {str(i): with_averages(part, state[str(i)], values) for i, part in enumerate(link.links)}
    return state


@explains_arguments
def chain(*links: Link) -> Chain:
    """Compose an optimizer with penalties, clipping, decay, constraints and averages, in their order.

    Raises
    ------
    ConfigurationError
        One is a name, a class or has no ``init``, there is not exactly one optimizer among them, a penalty or a clip
        comes after it, or a constraint on the weights or an average before it.

    Examples
    --------
    >>> from xpnet import Adam, ClipByNorm, L2, MaxNorm, chain
    >>> optimizer = chain(L2(1e-4), ClipByNorm(1.0), Adam(1e-3), MaxNorm(3.0))
    >>> optimizer.learning_rate
    0.001
    """
    return Chain(links)


def _working_position(link: Link, position: int, optimizer: int) -> float:
    """Return *position* if the link works there, else one on the other side of the optimizer."""
    if isinstance(link, BEFORE):
        return min(position, optimizer - 0.5)
    return max(position, optimizer + 0.5) if isinstance(link, AFTER) else position
