"""Plot the decision boundary of a network in a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arguments import explains_arguments
from xpnet.arrays import check_lengths, to_host
from xpnet.checks import check_integer, check_real
from xpnet.errors import ConfigurationError, DataError, ShapeError, unknown_name
from xpnet.losses import BinaryCrossEntropy, CrossEntropy, Hinge
from xpnet.metrics.inputs import class_labels, require_range
from xpnet.plotting.axes import GREY, MARKERS, class_colors, default_labels, one_axes
from xpnet.plotting.networks import require_built
from xpnet.targets import sign_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xpnet.arrays import Host
    from xpnet.network import Network

__all__ = ["plot_decision_boundary"]

RESPONSES = ("auto", "predict", "classify")
STRENGTH = 0.35
"""Share of the classes' colours in the plane; the rest is white, so that points stand out on it."""


@explains_arguments
def plot_decision_boundary(
    net: Network,
    x: Any,
    y: Any = None,
    *,
    ax: Axes | None = None,
    grid_resolution: int = 200,
    eps: float | None = None,
    response_method: str = "auto",
    display_labels: Any = None,
    xlabel: str = "feature 0",
    ylabel: str = "feature 1",
) -> Axes:
    """Colour the plane by what the network says there, and draw examples on it.

    Arguments are named as those of scikit-learn's ``DecisionBoundaryDisplay.from_estimator``. Where the network gives
    probabilities, each point of the plane mixes the classes' colours in their proportion: pale or mixed
    colours are doubt, lines are where the most probable class changes. A network of one output value (regression)
    gives a map of that value.

    Parameters
    ----------
    net : Network
        Built for inputs of shape (2,), with at most one value, or one label, for an example.
    x : array (N, 2)
        Examples: they set the part of the plane that is drawn.
    y : array (N,), optional
        Their classes 0, 1, ..., for a hinge of one output also -1 and 1, or for a regression their values. Default:
        points without a class.
    ax : Axes, optional
        Where to draw. Default: a new figure.
    grid_resolution : int
        Points along each axis at which the network is asked.
    eps : float, optional
        What is drawn beyond the outermost examples, in the features' units. Default: a twentieth of each span.
    response_method : str
        ``"predict"`` mixes colours by probability, ``"classify"`` shows the class alone, ``"auto"`` takes
        probabilities where the loss has them.
    display_labels : list of str, optional
        The classes' names. Default: their numbers.
    xlabel, ylabel : str
        What the features are, with their units.

    Returns
    -------
    Axes
        Its title says how well the network does on the examples, where y is given.

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    NotBuiltError
        The network is not built.
    ShapeError
        The network has not two inputs or several answers at once, or x or y do not fit.
    ConfigurationError
        Another argument is unusable.
    DataError, DtypeError
        x or y are no usable numbers.

    Examples
    --------
    >>> import xpnet
    >>> x, y = xpnet.clouds(20)
    >>> net = xpnet.Network([xpnet.Dense(3)], inputs=2)
    >>> ax = plot_decision_boundary(net, x, y, display_labels=["low", "right", "left"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['low', 'right', 'left']
    """
    ax = one_axes(ax)
    require_built(net, "plot_decision_boundary")
    grid_resolution = check_integer("grid_resolution", grid_resolution, least=2)
    if response_method not in RESPONSES:
        raise unknown_name("response_method", response_method, RESPONSES)
    points = _points(net, x)
    across, up = (_ticks(values, eps, grid_resolution) for values in points.T)
    grid = np.stack([part.ravel() for part in np.meshgrid(across, up)], axis=1)
    if hasattr(net.loss, "classify"):
        _draw_classes(ax, net, grid, (across, up), points, y, response_method, display_labels)
    elif response_method == "classify" or display_labels is not None:
        raise ConfigurationError(
            f"response_method='classify' and display_labels are for classes; the network's loss is {net.loss}"
        )
    else:
        _draw_values(ax, net, grid, (across, up), points, y)
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=across[[0, -1]], ylim=up[[0, -1]])
    return ax


def _draw_classes(
    ax: Axes, net: Network, grid: Host, ticks: tuple[Host, Host], points: Host, y: Any, response: str, names: Any
) -> None:
    if len(net.out_shape) != 1 or (net.out_shape[0] > 1 and isinstance(net.loss, BinaryCrossEntropy)):
        raise ShapeError(
            f"plot_decision_boundary needs one class for an example; this network answers {net.out_shape} questions "
            "for each: draw a network for one of them"
        )
    count = max(net.out_shape[0], 2)
    labels = default_labels(names, count)
    if response == "auto":
        response = "predict" if isinstance(net.loss, CrossEntropy | BinaryCrossEntropy) else "classify"
    shares = _probabilities(net, grid) if response == "predict" else _one_hot(net, grid, count)
    colors = class_colors(count)
    shape = (len(ticks[1]), len(ticks[0]))
    _show(ax, (1.0 - STRENGTH + STRENGTH * shares @ colors).reshape(*shape, 3), ticks)
    for number in range(count):
        lead = shares[:, number] - np.delete(shares, number, axis=1).max(axis=1)
        if lead.min() < 0.0 < lead.max():
            ax.contour(*ticks, lead.reshape(shape), levels=[0.0], colors="black", linewidths=0.8, alpha=0.6)
    if y is None:
        ax.scatter(points[:, 0], points[:, 1], s=14, color=GREY, edgecolors="white", linewidths=0.5)
        return
    classes = class_labels(y, "y")
    check_lengths(points, classes, "y")
    if isinstance(net.loss, Hinge) and net.out_shape == (1,):
        classes = (sign_rows(classes)[:, 0] > 0).astype(np.int64)
    require_range(classes, "y", count, f"the network's {count} classes")
    right = float(np.mean(net.backend.to_numpy(net.classify(points)) == classes))
    ax.set_title(f"{right:.1%} of {len(points):,} examples right")
    size = _marker_size(len(points))
    for number in range(count):
        ax.scatter(
            points[classes == number, 0],
            points[classes == number, 1],
            s=size,
            color=colors[number],
            marker=MARKERS[number % len(MARKERS)],
            edgecolors="white",
            linewidths=0.5,
            label=labels[number],
        )
    ax.legend(title="true class", framealpha=0.9, markerscale=(36.0 / size) ** 0.5)


def _draw_values(ax: Axes, net: Network, grid: Host, ticks: tuple[Host, Host], points: Host, y: Any) -> None:
    values = net.backend.to_numpy(net.predict(grid)).reshape(len(grid), -1)
    if values.shape[1] != 1:
        raise ShapeError(
            f"plot_decision_boundary draws one value for an example; this network gives {values.shape[1]}: draw a "
            "network for one of them"
        )
    seen = None if y is None else to_host(y, "y", real=True).reshape(-1)
    if seen is not None:
        check_lengths(points, seen, "y")
    both = values if seen is None else np.concatenate([values[:, 0], seen])
    scale: dict[str, Any] = {"vmin": both.min(), "vmax": both.max(), "cmap": "viridis"}
    image = _show(ax, values.reshape(len(ticks[1]), len(ticks[0])), ticks, **scale)
    color = {"color": GREY} if seen is None else {"c": seen, **scale}
    if seen is not None:
        error = net.backend.to_numpy(net.predict(points)).reshape(-1) - seen
        ax.set_title(f"root mean square error {np.sqrt(np.mean(error**2)):.3g} on {len(points):,} examples")
    ax.scatter(points[:, 0], points[:, 1], s=_marker_size(len(points)), edgecolors="black", linewidths=0.6, **color)
    ax.figure.colorbar(
        image, ax=ax, label="predicted value" if seen is None else "value: predicted (plane), true (points)"
    )


def _show(ax: Axes, image: Host, ticks: tuple[Host, Host], **settings: Any) -> Any:
    """Draw an image whose first row is at the bottom, its pixels' middles at the ticks."""
    across, up = ticks
    half = (across[1] - across[0]) / 2, (up[1] - up[0]) / 2
    extent = (across[0] - half[0], across[-1] + half[0], up[0] - half[1], up[-1] + half[1])
    return ax.imshow(image, origin="lower", extent=extent, aspect="auto", **settings)


def _probabilities(net: Network, grid: Host) -> Host:
    """Return the classes' probabilities, (N, classes)."""
    if not isinstance(net.loss, CrossEntropy | BinaryCrossEntropy):
        raise ConfigurationError(f"response_method='predict' needs probabilities, which {net.loss} does not give")
    shares = net.backend.to_numpy(net.predict(grid))
    return np.concatenate([1.0 - shares, shares], axis=1) if shares.shape[1] == 1 else shares


def _one_hot(net: Network, grid: Host, count: int) -> Host:
    rows: Host = np.eye(count)[net.backend.to_numpy(net.classify(grid))]
    return rows


def _points(net: Network, x: Any) -> Host:
    points = to_host(x, "x", real=True)
    if net.in_shape != (2,):
        raise ShapeError(
            f"plot_decision_boundary draws a plane: it needs a network of inputs (2,); this one takes {net.in_shape}"
        )
    if points.ndim != 2 or points.shape[1] != 2:
        raise ShapeError(f"x must have shape (N, 2); got {points.shape}")
    if not len(points) or not np.isfinite(points).all():
        raise DataError("x must hold at least one example and be finite: the examples set the part that is drawn")
    return points.astype(float)


def _ticks(values: Host, eps: float | None, resolution: int) -> Host:
    low, high = values.min(), values.max()
    beyond = (high - low) / 20 or 0.5 if eps is None else check_real("eps", eps, above=0)
    return np.linspace(low - beyond, high + beyond, resolution)


def _marker_size(count: int) -> float:
    """Return an area in square points: many examples get small ones."""
    return float(np.clip(8_000 / count, 8.0, 36.0))
