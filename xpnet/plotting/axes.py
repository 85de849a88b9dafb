"""The axes that plots draw on, the caller's or new ones, and the colours that all plots share.

Nothing here shows a figure, touches global settings, or imports pyplot where the caller brings axes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.errors import ConfigurationError
from xpnet.extras import import_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xpnet.arrays import Host

__all__ = ["COLORS", "GREY", "MARKERS", "class_colors", "default_labels", "one_axes", "several_axes"]

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Colours that colour-blind readers can tell apart: Okabe and Ito 2008, "Color universal design", fig. 16.

Their yellow is left out, which a thin line on white would not show.
"""

GREY = "#777777"
"""For what should stand back."""

MARKERS = "os^Dv*P"
"""One for each colour, so that classes differ in print too."""

MOST_COLUMNS, PANEL = 3, (4.2, 3.2)
"""Panels in a row of a new figure at most; width and height of one, inches."""


def one_axes(ax: Any, *, width: float = 6.4) -> Axes:
    """Return *ax*, or for None the axes of a new pyplot figure that is so many inches wide.

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    ConfigurationError
        *ax* is something else.
    """
    axes_type = import_extra("matplotlib.axes", "plot", "xpnet.plotting").Axes
    if ax is None:
        fresh: Axes = _figure(figsize=(width, 4.8))[1]
        return fresh
    if not isinstance(ax, axes_type):
        raise ConfigurationError(f"ax must be one matplotlib Axes, such as figure.subplots() gives; got {ax!r}")
    given: Axes = ax
    return given


def several_axes(axes: Any, count: int) -> Host:
    """Return *count* axes as an array: those of the caller, or a new pyplot figure's, row by row.

    Parameters
    ----------
    axes : iterable of Axes, Axes or None
        As many as there are panels, in any shape.
    count : int
        Number of panels.

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    ConfigurationError
        There are more or fewer axes, or other things among them.
    """
    if axes is None:
        import_extra("matplotlib", "plot", "xpnet.plotting")
        columns = min(count, MOST_COLUMNS)
        rows = -(-count // columns)
        figure, grid = _figure(rows, columns, squeeze=False, figsize=(PANEL[0] * columns, PANEL[1] * rows))
        panels: Host = grid.ravel()
        for unused in panels[count:]:
            figure.delaxes(unused)
        return panels[:count]
    given = list(np.ravel(np.asarray(list(axes) if isinstance(axes, Iterable) else [axes], dtype=object)))
    if len(given) != count:
        raise ConfigurationError(f"axes must hold one Axes for each of the {count} panels; got {len(given)}")
    panels = np.empty(count, dtype=object)
    panels[:] = [one_axes(ax) for ax in given]
    return panels


def class_colors(classes: int) -> Any:
    """Return a colour for each class, (classes, 3) RGB: the common ones, or beyond seven a row of shades."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    if classes <= len(COLORS):
        return np.array([to_rgb(color) for color in COLORS[:classes]])
    return colormaps["viridis"](np.linspace(0.0, 1.0, classes))[:, :3]


def default_labels(display_labels: Any, classes: int) -> list[str]:
    """Return a text for each class: those given, or its number.

    Raises
    ------
    ConfigurationError
        There are more or fewer than classes.
    """
    if display_labels is None:
        return [str(number) for number in range(classes)]
    if isinstance(display_labels, str) or not isinstance(display_labels, Iterable):
        raise ConfigurationError(f"display_labels must be a list of {classes} names; got {display_labels!r}")
    labels = [str(label) for label in display_labels]
    if len(labels) != classes:
        raise ConfigurationError(f"display_labels must name each of the {classes} classes; got {len(labels)}: {labels}")
    return labels


def _figure(*arguments: Any, **settings: Any) -> Any:
    """Return a new figure and its axes: pyplot's, so that notebooks and ``plt.show()`` find it."""
    from matplotlib import pyplot

    return pyplot.subplots(*arguments, layout="constrained", **settings)
