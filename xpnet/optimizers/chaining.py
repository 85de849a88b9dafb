"""Composition: an optimizer with penalties, clipping, decay, constraints and averages around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any

from xpnet.arguments import explains_arguments
from xpnet.backend import Array
from xpnet.errors import ConfigurationError
from xpnet.optimizers.base import Link, Now, Updated
from xpnet.optimizers.links import ExponentialMovingAverage
from xpnet.parameters import Layout, Tree
from xpnet.records import record
from xpnet.registry import returned
from xpnet.schedules import Schedule

__all__ = ["Chain", "averages", "chain"]


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
        One is a name, a class or has no ``init``, or there is not exactly one optimizer among them.
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
        optimizers = [link for link in self.links if hasattr(link, "learning_rate")]
        if len(optimizers) != 1:
            raise ConfigurationError(
                f"chain() needs exactly one optimizer among its links; got {len(optimizers)}: "
                f"{', '.join(str(link) for link in self.links) or 'no link'}"
            )

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
            gradient, params, new[str(i)] = returned("optimizer", link, "update", updated)
        return gradient, params, new


def averages(link: Link, state: Tree) -> Iterator[Array]:
    """Yield what the links that keep averages of the parameters have in an optimizer's state."""
    if isinstance(link, ExponentialMovingAverage):
        yield state["average"]
    for i, part in enumerate(link.links if isinstance(link, Chain) else ()):
        yield from averages(part, state[str(i)])


@explains_arguments
def chain(*links: Link) -> Chain:
    """Compose an optimizer with penalties, clipping, decay, constraints and averages, in their order.

    Raises
    ------
    ConfigurationError
        One is a name, a class or has no ``init``, or there is not exactly one optimizer among them.

    Examples
    --------
    >>> from xpnet import Adam, ClipByNorm, L2, MaxNorm, chain
    >>> optimizer = chain(L2(1e-4), ClipByNorm(1.0), Adam(1e-3), MaxNorm(3.0))
    >>> optimizer.learning_rate
    0.001
    """
    return Chain(links)
