"""Plot the distribution of activations and of gradients, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arguments import explains_arguments
from xpnet.checks import check_integer
from xpnet.errors import ConfigurationError
from xpnet.plotting.axes import COLORS, several_axes
from xpnet.plotting.networks import require_built
from xpnet.summary import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xpnet.arrays import Host
    from xpnet.network import Network

__all__ = ["plot_activations", "plot_gradients"]


@explains_arguments
def plot_activations(net: Network, x: Any, y: Any = None, *, axes: Any = None, bins: int = 40) -> Host:
    """Draw a histogram of every layer's output for one batch, as in training.

    What to look for: outputs of one layer piled up at the ends of a sigmoid or tanh (saturated units), ReLU outputs
    that are nearly all 0 (dead units), deviations that shrink or grow from layer to layer.

    Parameters
    ----------
    net : Network
        Built; it is not changed.
    x, y : arrays
        A batch, as for :meth:`xpnet.Network.trace`, whose values are drawn; y makes no difference, and may be left out.
    axes : iterable of Axes, optional
        Where to draw, one for each layer. Default: a new figure.
    bins : int
        Columns of a histogram.

    Returns
    -------
    array of Axes, one for each layer

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    NotBuiltError
        The network is not built.
    ConfigurationError
        An argument is unusable.
    ShapeError, DataError, DtypeError
        The batch is unusable.

    Examples
    --------
    >>> import xpnet
    >>> x, y = xpnet.clouds(20)
    >>> net = xpnet.Network([xpnet.Dense(8), "relu", xpnet.Dense(3)], inputs=2)
    >>> [ax.get_title() for ax in plot_activations(net, x, y)]
    ['0: Dense(8)', '1: ReLU()', '2: Dense(3)']
    """
    bins = check_integer("bins", bins)
    found = _outputs(_trace(net, x, y, "plot_activations"), "output")
    panels = several_axes(axes, len(found))
    for ax, (layer, values) in zip(panels, found.items(), strict=True):
        _histogram(ax, _finite(values), bins, COLORS[0])
        ax.set(title=_title(net, layer), xlabel="activation", ylabel="number of values")
        _note(ax, f"mean {values.mean():.3g}\ndeviation {values.std():.3g}", values)
    return panels


@explains_arguments
def plot_gradients(net: Network, x: Any, y: Any, *, of: str = "parameters", axes: Any = None, bins: int = 40) -> Host:
    """Draw a histogram of the magnitude of every layer's gradients for one batch, all on one scale.

    What to look for: columns that move left from the last layer to the first (vanishing gradients) or right
    (exploding ones). The scale is logarithmic; gradients of exactly 0 are counted in the corner.

    Parameters
    ----------
    net : Network
        Built; it is not changed.
    x, y : arrays
        A batch, as for :meth:`xpnet.Network.trace`, whose gradients are drawn.
    of : str
        ``"parameters"``: the loss's gradient with respect to weights and biases of each layer that has such;
        ``"outputs"``: with respect to each layer's output.
    axes : iterable of Axes, optional
        Where to draw, one for each layer. Default: a new figure.
    bins : int
        Columns of a histogram.

    Returns
    -------
    array of Axes, one for each layer

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    NotBuiltError
        The network is not built.
    ConfigurationError
        An argument is unusable.
    ShapeError, DataError, DtypeError
        The batch is unusable.

    Examples
    --------
    >>> import xpnet
    >>> x, y = xpnet.clouds(20)
    >>> net = xpnet.Network([xpnet.Dense(8), "relu", xpnet.Dense(3)], inputs=2)
    >>> [ax.get_title() for ax in plot_gradients(net, x, y)]
    ['0: Dense(8)', '2: Dense(3)']
    """
    bins = check_integer("bins", bins)
    if of not in ("parameters", "outputs"):
        raise ConfigurationError(f"of must be 'parameters' or 'outputs'; got {of!r}")
    trace = _trace(net, x, y, "plot_gradients")
    found = _outputs(trace, "output.gradient") if of == "outputs" else _parameters(trace)
    panels = several_axes(axes, len(found))
    logs = {layer: np.log10(np.abs(values[values != 0.0])) for layer, values in found.items()}
    from matplotlib.ticker import MaxNLocator

    everything = _finite(np.concatenate(list(logs.values())))
    span = (everything.min(), everything.max()) if everything.size else (-1.0, 1.0)
    for ax, (layer, values) in zip(panels, found.items(), strict=True):
        _histogram(ax, _finite(logs[layer]), bins, COLORS[1], span)
        ax.set(title=_title(net, layer), xlabel="magnitude of the gradient", ylabel="number of values")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=span[1] - span[0] >= 2.0))
        ax.xaxis.set_major_formatter(_power_of_ten)
        _note(ax, f"root mean square {np.sqrt(np.mean(values**2)):.2g}", values)
    return panels


def _trace(net: Network, x: Any, y: Any, function: str) -> Mapping[str, Host]:
    require_built(net, function)
    return net.trace(x, y)


def _outputs(trace: Mapping[str, Host], what: str) -> dict[str, Host]:
    """Return the values of each layer of the network itself, not of those inside containers."""
    names = {name: re.fullmatch(rf"(\d+)\.{re.escape(what)}", name) for name in trace}
    return dict(sorted(((m[1], trace[name].ravel()) for name, m in names.items() if m), key=lambda item: int(item[0])))


def _parameters(trace: Mapping[str, Host]) -> dict[str, Host]:
    """Return the gradients of each layer's parameters in one row, those inside a container together."""
    found: dict[str, list[Host]] = {}
    for name, values in trace.items():
        layer, _, rest = name.partition(".")
        if layer.isdecimal() and rest.endswith(".gradient") and "output.gradient" not in rest:
            found.setdefault(layer, []).append(values.ravel())
    return {layer: np.concatenate(found[layer]) for layer in sorted(found, key=int)}


def _histogram(ax: Axes, values: Host, bins: int, color: str, span: tuple[float, float] | None = None) -> None:
    ax.hist(values, bins=bins, range=span, color=color)
    ax.margins(y=0.35)  # room for the note above the columns
    ax.grid(axis="y", alpha=0.3)


def _finite(values: Host) -> Host:
    return values[np.isfinite(values)]


def _title(net: Network, layer: str) -> str:
    text = short(net.model.layers[int(layer)])
    return f"{layer}: {text if len(text) <= 32 else text[:31] + '…'}"


def _note(ax: Axes, text: str, values: Host) -> None:
    """Write what describes the values in the corner, with the share of them that are 0."""
    zeros = float(np.mean(values == 0.0))
    text += f"\n{zeros:.0%} are 0" if zeros else ""
    ax.text(0.97, 0.95, text, transform=ax.transAxes, ha="right", va="top", fontsize="small")


def _power_of_ten(exponent: float, position: int | None = None) -> str:
    return f"$10^{{{exponent:g}}}$"
