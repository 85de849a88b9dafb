"""Draw a network as textbooks do: columns of units, and a line for each weight."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from xpnet.arguments import explains_arguments
from xpnet.checks import check_integer
from xpnet.layers import Residual
from xpnet.plotting.axes import COLORS, GREY, one_axes
from xpnet.plotting.networks import require_built
from xpnet.summary import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xpnet.arrays import Host
    from xpnet.network import Network
    from xpnet.parameters import Shape

__all__ = ["plot_network"]

POSITIVE, NEGATIVE = COLORS[1], COLORS[0]


@dataclass
class _Column:
    """The input, or a layer with parameters, and the layers without that follow it."""

    shape: Shape
    layers: list[str]
    number: str = ""
    bypassed: bool = False
    rows: list[int] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)


@explains_arguments
def plot_network(net: Network, *, ax: Axes | None = None, units: int = 10) -> Axes:
    """Draw the network: a column of units for the input and each layer that has weights, a line for each weight.

    Lines are thick and dark where a weight is large beside the largest of its layer; their colour is its sign.
    Of a wide layer the first and the last units are drawn. What stands between two columns in another way than
    by one matrix (a residual block, a layer along the last axis) is drawn as a grey band. Below a column stand the
    layers that make it, above it its number of units or its shape.

    Parameters
    ----------
    net : Network
        Built; trained or not.
    ax : Axes, optional
        Where to draw. Default: a new figure.
    units : int
        Most units of a column, at least 2.

    Returns
    -------
    Axes

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    NotBuiltError
        The network is not built.
    ConfigurationError
        An argument is unusable.

    Examples
    --------
    >>> import xpnet
    >>> net = xpnet.Network([xpnet.Dense(4), "relu", xpnet.Dense(3)], inputs=2)
    >>> ax = plot_network(net)
    >>> ax.get_title(), len(ax.collections[0].get_segments())  # the lines of the first layer: 2 x 4
    ('2 - 4 - 3: 27 parameters', 8)
    """
    require_built(net, "plot_network")
    units = check_integer("units", units, least=2)
    columns = _columns(net)
    ax = one_axes(ax, width=max(6.4, 1.3 * len(columns)))
    for column in columns:
        _unit_positions(column, units)
    weights = net.get_weights()
    drawn = [_connect(ax, i, columns[i], columns[i + 1], weights) for i in range(len(columns) - 1)]
    tallest = max(column.heights[0] for column in columns)
    for i, column in enumerate(columns):
        _draw_column(ax, i, column, tallest)
    sizes = " - ".join(str(prod(column.shape)) for column in columns)
    ax.set_title(f"{sizes}: {net.layout.size:,} parameters")
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-tallest - 0.8, tallest + 2.0), yticks=[])
    width = max(12, 76 // len(columns))
    ax.set_xticks(range(len(columns)), ["\n".join(_wrapped(text, width) for text in c.layers) for c in columns])
    ax.tick_params(axis="x", length=0, labelsize="small")
    ax.spines[:].set_visible(False)
    if any(drawn):
        ax.set_xlabel(
            "weights: orange above 0, blue below, thick and dark where large in their layer", fontsize="small"
        )
    return ax


def _columns(net: Network) -> list[_Column]:
    shape: Shape = net.in_shape or ()
    columns = [_Column(shape, ["input"])]
    for number, layer in enumerate(net.model.layers):
        built = layer.build(shape)
        shape = built.out_shape
        # Layers that scale each feature by itself (normalisation) have parameters, but no lines between units.
        if isinstance(layer, Residual) or "weight" in built.params:
            columns.append(_Column(shape, [short(layer)], str(number), isinstance(layer, Residual)))
        else:
            columns[-1].layers.append(short(layer))
    return columns


def _unit_positions(column: _Column, units: int) -> None:
    """Choose the units to draw and their heights, the column's middle at 0."""
    count = prod(column.shape)
    if count <= units:
        column.rows = list(range(count))
        places = list(range(count))
    else:
        first = (units + 1) // 2
        last = units - first
        column.rows = [*range(first), *range(count - last, count)]
        places = [*range(first), *range(first + 1, units + 1)]  # one place is left for the dots
    middle = places[-1] / 2
    column.heights = [middle - place for place in places]


def _connect(ax: Axes, i: int, left: _Column, right: _Column, weights: dict[str, Host]) -> bool:
    """Draw what lies between two columns, and say whether these are single weights."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    weight = weights.get(f"{right.number}.weight")
    ends = (i, i + 1)
    if weight is None or weight.shape != (prod(left.shape), prod(right.shape)):
        _band(ax, ends, left, right)
        return False
    chosen = weight[np.ix_(left.rows, right.rows)]
    shares = np.abs(chosen) / (np.abs(chosen).max() or 1.0)
    lines, colors, widths = [], [], []
    for (row, column), share in np.ndenumerate(shares):
        lines.append([(ends[0], left.heights[row]), (ends[1], right.heights[column])])
        colors.append(to_rgba(POSITIVE if chosen[row, column] > 0 else NEGATIVE, 0.08 + 0.8 * float(share)))
        widths.append(0.3 + 2.0 * share)
    ax.add_collection(LineCollection(lines, colors=colors, linewidths=widths, zorder=1))
    return True


def _band(ax: Axes, ends: tuple[int, int], left: _Column, right: _Column) -> None:
    """Draw a grey band, and for a residual block the way around."""
    edge = [(ends[0], left.heights[0]), (ends[1], right.heights[0])]
    edge += [(ends[1], right.heights[-1]), (ends[0], left.heights[-1])]
    ax.fill(*zip(*edge, strict=True), color=GREY, alpha=0.25, linewidth=0, zorder=1)
    if right.bypassed:
        top = max(left.heights[0], right.heights[0]) + 0.8
        x = (ends[0], ends[0], ends[1], ends[1])
        ax.plot(x, (left.heights[0] + 0.4, top, top, right.heights[0] + 0.4), color=GREY, linewidth=1.2, zorder=1)
        ax.text(sum(ends) / 2, top, "shortcut", ha="center", va="bottom", color="#555555", fontsize="small")


def _draw_column(ax: Axes, x: int, column: _Column, tallest: float) -> None:
    # In points, so that units are round and apart whatever the figure's shape.
    side = min(13.0, 140.0 / (2 * tallest + 1))
    places = [x] * len(column.heights)
    ax.scatter(places, column.heights, s=side**2, facecolor="white", edgecolor="#333333", linewidths=1.0, zorder=2)
    if len(column.rows) < prod(column.shape):
        gap = min(
            height for height in column.heights if height - 1 not in column.heights and height > column.heights[-1]
        )
        dots = [gap - 1 + step for step in (0.25, 0.0, -0.25)]
        ax.plot([x] * 3, dots, ".", color="#333333", markersize=3, zorder=2)
    size = f"{prod(column.shape):,}" if len(column.shape) == 1 else str(column.shape)
    ax.text(x, tallest + 1.4, size, ha="center", va="bottom", fontweight="bold")


def _wrapped(text: str, width: int) -> str:
    return fill(text, width, break_long_words=False)
