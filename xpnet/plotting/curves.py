"""Plot results against the epoch: one training run in panels, or several runs in one plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arguments import explains_arguments
from xpnet.arrays import to_host
from xpnet.callbacks import RISING
from xpnet.errors import ConfigurationError, DataError, ShapeError, unknown_name
from xpnet.plotting.axes import COLORS, one_axes, several_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xpnet.arrays import Host

__all__ = ["plot_curves", "plot_history"]

FEW = 20
"""Up to so many epochs each gets a mark: a line through one point is none."""

LOG_SPAN = 100.0
"""From this factor between the smallest and the largest value on, only a logarithmic scale shows both."""

STYLES = ("-", "--", "-.", ":")
SCALES = ("auto", "linear", "log")


@explains_arguments
def plot_curves(
    curves: Mapping[str, Any],
    *,
    ax: Axes | None = None,
    ylabel: str = "",
    xlabel: str = "epoch",
    xscale: str = "linear",
    yscale: str = "auto",
) -> Axes:
    """Draw one line for each curve, to compare results or runs.

    Parameters
    ----------
    curves : mapping of str to sequence
        The values of each epoch by the curve's name, such as ``{"SGD": one["loss"], "Adam": other["loss"]}``; the
        first value is epoch 1. NaN leaves a gap.
    ax : Axes, optional
        Where to draw. Default: a new figure.
    ylabel, xlabel : str
        What the axes show.
    xscale, yscale : str
        ``"linear"``, ``"log"`` or ``"auto"``: logarithmic where all values are above 0 and span a factor of 100.

    Returns
    -------
    Axes

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    ConfigurationError
        There is no curve, or a scale or *ax* is unusable.
    ShapeError, DtypeError, DataError
        A curve is not a row of numbers.

    Examples
    --------
    >>> ax = plot_curves({"training": [0.9, 0.5, 0.3], "validation": [1.0, 0.7, 0.6]}, ylabel="loss")
    >>> [line.get_label() for line in ax.lines]
    ['training', 'validation']
    """
    ax = one_axes(ax)
    if not isinstance(curves, Mapping) or not curves:
        raise ConfigurationError(f"curves must be a mapping of names to values, not empty; got {curves!r}")
    rows = {str(name): _row(str(name), values) for name, values in curves.items()}
    everything = np.concatenate(list(rows.values()))
    longest = max(len(row) for row in rows.values())
    scales = {
        "xscale": _scale("xscale", xscale, np.arange(1, longest + 1)),
        "yscale": _scale("yscale", yscale, everything),
    }
    for number, (name, row) in enumerate(rows.items()):
        ax.plot(
            np.arange(1, len(row) + 1),
            row,
            label=name,
            color=COLORS[number % len(COLORS)],
            # As many colours and dashes as have no common divisor: 28 curves look different, neighbours in print too.
            linestyle=STYLES[number % len(STYLES)],
            marker="." if len(row) <= FEW or np.isnan(row).any() else None,
        )
    ax.set(xlabel=xlabel, ylabel=ylabel, **scales)
    if scales["xscale"] == "linear":
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


@explains_arguments
def plot_history(history: Mapping[str, Any], results: Iterable[str] | None = None, *, axes: Any = None) -> Host:
    """Draw a training run: a panel for each result, training against validation, and the learning rate.

    A dot marks the best validation value, by the rule of ``EarlyStopping(mode="auto")``: accuracy and its kin
    rise, everything else falls.

    Parameters
    ----------
    history : History
        What ``fit`` returned, ``net.history``, or any mapping of the kind.
    results : iterable of str, optional
        Which panels, such as ``["loss"]``. Default: every result, the learning rate last.
    axes : iterable of Axes, optional
        Where to draw, one for each panel. Default: a new figure.

    Returns
    -------
    array of Axes, one for each panel

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    ConfigurationError
        A result is unknown, or *axes* are unusable.
    DataError
        The history has no epochs.

    Examples
    --------
    >>> axes = plot_history({"loss": [0.9, 0.4], "val_loss": [0.8, 0.7], "learning_rate": [0.1, 0.1]})
    >>> [ax.get_ylabel() for ax in axes]
    ['loss', 'learning rate']
    """
    names = _panels(history, results)
    panels = several_axes(axes, len(names))
    for ax, name in zip(panels, names, strict=True):
        if name == "learning_rate":
            plot_curves({"learning rate": history[name]}, ax=ax, ylabel="learning rate")
            ax.set_title("learning rate", fontsize="medium")
            ax.get_legend().remove()
            if ax.get_yscale() == "linear":
                ax.set_ylim(bottom=0.0)  # or rounding would look like change
            continue
        curves = {"training": history.get(name), "validation": history.get(f"val_{name}")}
        plot_curves({label: row for label, row in curves.items() if row is not None}, ax=ax, ylabel=name)
        best = "" if curves["validation"] is None else _mark_best(ax, name, curves["validation"])
        ax.set_title(name + best, fontsize="medium")
    return panels


def _panels(history: Any, results: Iterable[str] | None) -> list[str]:
    """Return the panels' names, each once and the learning rate last."""
    if not isinstance(history, Mapping):
        raise ConfigurationError(f"history must be what fit returned, or net.history; got {history!r}")
    if not any(len(values) for values in history.values()):
        raise DataError("history has no epochs to draw; call fit first, with epochs of at least 1")
    known = dict.fromkeys(name.removeprefix("val_") for name in history if name != "learning_rate")
    known |= dict.fromkeys(name for name in history if name == "learning_rate")
    if results is None:
        return list(known)
    wanted = [results] if isinstance(results, str) else list(results)
    for name in wanted:
        if name not in known:
            raise unknown_name("result of the history", name, known)
    if not wanted:
        raise ConfigurationError(f"results must name at least one of {', '.join(known)}; got an empty list")
    return wanted


def _mark_best(ax: Axes, name: str, values: Any) -> str:
    """Put a dot on the best validation value, and return what the title says of it."""
    row = np.asarray(values, dtype=float)
    if not np.isfinite(row).any():
        return ""
    rises = any(name.endswith(rising) for rising in RISING)
    best = int(np.nanargmax(row) if rises else np.nanargmin(row))
    ax.plot(
        [best + 1],
        [row[best]],
        "o",
        color=COLORS[1],
        markeredgecolor="white",
        markersize=8,
        zorder=3,
    )
    return f": {'highest' if rises else 'lowest'} on validation {row[best]:.3g}, epoch {best + 1}"


def _row(name: str, values: Any) -> np.ndarray[Any, Any]:
    row = to_host(values, f"curve {name!r}", real=True)
    if row.ndim != 1:
        raise ShapeError(f"curve {name!r} must be one number an epoch, shape (epochs,); got {row.shape}")
    if not row.size:
        raise DataError(f"curve {name!r} has no values to draw")
    return row.astype(float)


def _scale(argument: str, scale: str, values: np.ndarray[Any, Any]) -> str:
    if scale not in SCALES:
        raise unknown_name(argument, scale, SCALES)
    if scale != "auto":
        return scale
    finite = values[np.isfinite(values)]
    wide = finite.size and finite.min() > 0 and finite.max() / finite.min() >= LOG_SPAN
    return "log" if wide else "linear"
