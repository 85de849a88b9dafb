"""Describe a network: the table that ``net.summary()`` prints, and the network's view in a notebook."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from html import escape
from math import prod
from typing import TYPE_CHECKING, Any

from xpnet.html import Markup, history_html, table_html
from xpnet.parameters import flatten

if TYPE_CHECKING:
    from xpnet.network import Network

__all__ = ["network_html", "short", "summarize"]


def short(record: Any) -> str:
    """Return the text of a record with only those hyper-parameters that differ from their defaults.

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


def summarize(network: Network) -> Markup:
    """Return a table with the output shape and the number of parameters of each layer, and the total."""
    backend = network.backend
    head = f"Network on {backend.name} ({backend.device}), {backend.dtype}"
    if backend.precision != backend.dtype:
        head = f"{head}, products in {backend.precision}"
    if network.in_shape is None:
        head = f"{head}, not built: its input's shape comes with the first data"
        layers = [short(layer) for layer in network.model.layers]
        table = table_html(head, ["layer", ""], [(str(i), layer) for i, layer in enumerate(layers)])
        return Markup("\n".join([head, *layers]), table)
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
    foot = f"{network.layout.size:,} parameters, {network.steps:,} steps trained"
    table = table_html(head, ["layer", "", "output shape", "parameters"], rows, foot, right=[3])
    return Markup("\n".join([head, *lines, foot]), table)


def network_html(network: Network) -> str:
    """Return HTML with the table of layers, the loss and optimizer, and the results of training."""
    parts = f"loss {short(network.loss)}, optimizer {short(network.optimizer)}, seed {network.seed}"
    history = history_html(network.history) if network.history.epochs else ""
    return f"<div>{summarize(network).html}<div>{escape(parts)}</div>{history}</div>"
