"""The table that ``net.summary()`` prints."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from xpnet.parameters import flatten

if TYPE_CHECKING:
    from xpnet.network import Network

__all__ = ["short", "summarize"]


def short(record: Any) -> str:
    """Return a record's text with only those hyper-parameters that are not at their default.

    >>> from xpnet.layers import Dense
    >>> short(Dense(10))
    'Dense(10)'
    """
    if isinstance(record, tuple):
        return f"[{', '.join(short(item) for item in record)}]"
    if not is_dataclass(record) or isinstance(record, type):
        return repr(record)
    shown = []
    for field in fields(record):
        value = getattr(record, field.name)
        if field.default is MISSING:
            shown.append(short(value))
        elif value != field.default:
            shown.append(f"{field.name}={short(value)}")
    return f"{type(record).__name__}({', '.join(shown)})"


def summarize(network: Network) -> str:
    """Return a line for each layer with its output shape and number of parameters, and the total."""
    head = f"Network on {network.backend.name} ({network.backend.device}), {network.backend.dtype}"
    if network.in_shape is None:
        return "\n".join(
            [f"{head}, not built: its input's shape comes with the first data", *map(short, network.model.layers)]
        )
    shape, rows = network.in_shape, [("", "input", str(network.in_shape), "")]
    for i, layer in enumerate(network.model.layers):
        built = layer.build(shape)
        shape = built.out_shape
        size = sum(prod(param.shape) for _, param in flatten(built.params))
        rows.append((str(i), short(layer), str(shape), f"{size:,}" if size else "0"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{number:>{widths[0]}}  {name:<{widths[1]}}  {out:<{widths[2]}}  {size:>{widths[3]}}".rstrip()
        for number, name, out, size in rows
    ]
    return "\n".join([head, *lines, f"{network.layout.size:,} parameters, {network.steps:,} steps trained"])
