"""Plot the weights of the first layer as images, which show what its units respond to."""

from __future__ import annotations

from math import ceil, isqrt, prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arguments import explains_arguments
from xpnet.checks import check_integer
from xpnet.configuration import as_shape
from xpnet.errors import ConfigurationError, ShapeError
from xpnet.plotting.axes import one_axes
from xpnet.plotting.networks import require_built

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xpnet.arrays import Host
    from xpnet.network import Network

__all__ = ["plot_weights"]

GAP = "#cccccc"
"""Between images: no colour of a weight, so that an image of zeros has an edge."""


@explains_arguments
def plot_weights(
    net: Network,
    *,
    ax: Axes | None = None,
    image_shape: Any = None,
    units: int = 36,
    cmap: Any = "RdBu_r",
    colorbar: bool = True,
) -> Axes:
    """Draw the first units' weights as images, side by side, on one scale around 0.

    Parameters
    ----------
    net : Network
        Its first layer with weights reads images: pixels, row by row.
    ax : Axes, optional
        Where to draw. Default: a new figure.
    image_shape : (int, int), optional
        Rows and columns of an image. Default: the input's own shape, or a square.
    units : int
        Most units to draw, from the first on.
    cmap : str or Colormap
        Colours from negative to positive; red is positive by default.
    colorbar : bool
        Whether a bar explains the colours.

    Returns
    -------
    Axes

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    NotBuiltError
        The network is not built.
    ShapeError
        The weights do not make images of that shape.
    ConfigurationError
        No layer has weights, or an argument is unusable.

    Examples
    --------
    >>> import xpnet
    >>> net = xpnet.Network([xpnet.Dense(20), "relu", xpnet.Dense(10)], inputs=64)
    >>> plot_weights(net, units=6).get_title()
    'weights of layer 0: units 0 to 5 of 20, images 8 x 8'
    """
    ax = one_axes(ax)
    require_built(net, "plot_weights")
    units = check_integer("units", units)
    layer, weight = _first_weight(net)
    shape = _image_shape(image_shape, net, len(weight))
    shown = min(units, weight.shape[1])
    limit = float(np.abs(weight[:, :shown]).max()) or 1.0
    wall = _tile_images(weight[:, :shown].T.reshape(shown, *shape))
    import matplotlib

    colors = matplotlib.colormaps.get_cmap(cmap).with_extremes(bad=GAP)
    image = ax.imshow(wall, cmap=colors, vmin=-limit, vmax=limit, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(False)
    which = f"units 0 to {shown - 1}" if shown > 1 else "unit 0"
    ax.set_title(f"weights of layer {layer}: {which} of {weight.shape[1]}, images {shape[0]} x {shape[1]}")
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label="weight", shrink=0.85)
    return ax


def _first_weight(net: Network) -> tuple[str, Host]:
    """Return name and weights, (inputs, units), of the first layer that has such."""
    for name, value in net.get_weights().items():
        layer, _, what = name.rpartition(".")
        if what == "weight" and value.ndim == 2:
            return layer, value
    raise ConfigurationError(f"plot_weights needs a layer with weights, such as Dense; {net!r} has none")


def _image_shape(given: Any, net: Network, inputs: int) -> tuple[int, int]:
    if given is not None:
        shape = as_shape(given)
    elif net.in_shape is not None and len(net.in_shape) == 2 and prod(net.in_shape) == inputs:
        shape = net.in_shape
    else:
        shape = (isqrt(inputs), isqrt(inputs))
    if len(shape) != 2 or prod(shape) != inputs:
        raise ShapeError(
            f"image_shape must be (rows, columns) of {inputs} pixels, one for each weight of a unit; got {given}"
            + ("" if given is not None else f", and {inputs} pixels make no square: give image_shape")
        )
    return shape[0], shape[1]


def _tile_images(images: Host) -> Host:
    """Return images (n, rows, columns) as one, a pixel or more apart; what is between is NaN."""
    count, rows, columns = images.shape
    across = ceil(sqrt(count * rows / columns))
    down = ceil(count / across)
    gap = max(1, min(rows, columns) // 10)
    wall = np.full((down * (rows + gap) - gap, across * (columns + gap) - gap), np.nan)
    for number, image in enumerate(images):
        top, left = (number // across) * (rows + gap), (number % across) * (columns + gap)
        wall[top : top + rows, left : left + columns] = image
    return wall
