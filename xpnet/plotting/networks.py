"""A check that all plots of networks share."""

from __future__ import annotations

from typing import Any

from xpnet.errors import ConfigurationError, NotBuiltError, shown
from xpnet.network import Network

__all__ = ["require_built"]


def require_built(net: Any, function: str) -> None:
    """Raise unless *net* is a Network that knows its input's shape."""
    if not isinstance(net, Network):
        raise ConfigurationError(f"{function} takes an xpnet.Network first; got {shown(net)}")
    if not net.built:
        raise NotBuiltError(f"{function} needs a built network: call fit first, or give Network(..., inputs=shape)")
