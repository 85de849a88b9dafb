"""Plot a confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arguments import explains_arguments
from xpnet.arrays import to_host
from xpnet.errors import ConfigurationError, DataError, ShapeError, unknown_name
from xpnet.plotting.axes import default_labels, one_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xpnet.arrays import Host

__all__ = ["plot_confusion_matrix"]

SHARES = {
    "true": (1, "share of the true class"),
    "pred": (0, "share of the predicted class"),
    "all": (None, "share of all"),
}
MOST_NUMBERED = 30
"""Beyond so many classes the cells of a picture of common size are too small for numbers."""


@explains_arguments
def plot_confusion_matrix(
    confusion_matrix: Any,
    *,
    ax: Axes | None = None,
    display_labels: Any = None,
    normalize: str | None = None,
    include_values: bool | None = None,
    values_format: str | None = None,
    xticks_rotation: float = 0.0,
    cmap: Any = "Blues",
    colorbar: bool = True,
) -> Axes:
    """Draw a confusion matrix: rows are the true classes, columns the predicted ones.

    Arguments are named as those of scikit-learn's ``ConfusionMatrixDisplay``. Unlike there, colours are shares of the
    true class where the numbers are counts, so that a rare class is as visible as a frequent one.

    Parameters
    ----------
    confusion_matrix : array (classes, classes)
        What :func:`xpnet.confusion_matrix` returns.
    ax : Axes, optional
        Where to draw. Default: a new figure.
    display_labels : list of str, optional
        The classes' names. Default: their numbers.
    normalize : str, optional
        ``"true"``, ``"pred"`` or ``"all"``: write shares of the row, the column or everything. Default: counts.
    include_values : bool, optional
        Whether numbers stand in the cells. Default: for up to 30 classes.
    values_format : str, optional
        How numbers are written, as for :func:`format`. Default: ``","`` for counts, ``".2f"`` for shares.
    xticks_rotation : float
        Of the columns' names, degrees.
    cmap : str or Colormap
        Colours from 0 to 1.
    colorbar : bool
        Whether a bar explains the colours.

    Returns
    -------
    Axes
        Its title gives the accuracy.

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    ShapeError
        The matrix is not square.
    DataError
        It is empty, negative or not finite.
    ConfigurationError
        Another argument is unusable.

    Examples
    --------
    >>> ax = plot_confusion_matrix([[9, 1], [3, 7]], display_labels=["cat", "dog"])
    >>> [text.get_text() for text in ax.texts]
    ['9', '1', '3', '7']
    """
    ax = one_axes(ax)
    matrix = _matrix(confusion_matrix)
    if normalize is not None and normalize not in SHARES:
        raise unknown_name("normalize", normalize, SHARES)
    labels = default_labels(display_labels, len(matrix))
    axis, meaning = SHARES[normalize or "true"]
    total = matrix.sum(axis=axis, keepdims=True)
    # A class without examples has no shares: 0 of 0 is drawn as 0.
    shares = matrix / np.where(total > 0, total, 1)
    image = ax.imshow(shares, cmap=cmap, vmin=0.0, vmax=1.0 if normalize != "all" else shares.max() or 1.0)
    if len(matrix) <= MOST_NUMBERED if include_values is None else include_values:
        _write_values(ax, image, matrix if normalize is None else shares, values_format)
    ticks = range(len(matrix))
    right, count = matrix.trace(), matrix.sum()
    ax.set(xlabel="predicted class", ylabel="true class", title=f"{right / (count or 1):.1%} of {count:,} right")
    ax.set_xticks(ticks, labels, rotation=xticks_rotation)
    ax.set_yticks(ticks, labels)
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label=meaning, shrink=0.85)
    return ax


def _write_values(ax: Axes, image: Any, values: Host, values_format: str | None) -> None:
    """Write a number in each cell, dark on light and light on dark; a count of 0 is grey, as most are."""
    counts = values.dtype.kind in "iu"
    values_format = values_format or ("," if counts else ".2f")
    try:
        texts = [format(value, values_format) for value in values.ravel().tolist()]
    except ValueError as error:
        raise ConfigurationError(
            f"values_format must be a format for numbers; got {values_format!r} ({error})"
        ) from error
    shades = image.cmap(image.norm(image.get_array())).reshape(-1, 4)[:, :3] @ LUMINANCE
    widest = max(map(len, texts))
    size = max(min(11.0, 130.0 / len(values) / max(widest, 2) ** 0.5), 4.0)
    for place, (text, shade) in enumerate(zip(texts, shades, strict=True)):
        row, column = divmod(place, len(values))
        color = "white" if shade < 0.5 else "black"
        faint = 0.35 if not values[row, column] else 1.0
        ax.text(column, row, text, ha="center", va="center", color=color, alpha=faint, fontsize=size)


LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Share of red, green and blue in brightness: ITU-R BT.709, section 3.2."""


def _matrix(values: Any) -> Host:
    matrix = to_host(values, "confusion_matrix", real=True)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(
            f"confusion_matrix must be square, (classes, classes); got {matrix.shape}; make it from labels by "
            "xpnet.confusion_matrix(y_true, y_pred)"
        )
    if not matrix.size or not np.isfinite(matrix).all() or matrix.min() < 0:
        raise DataError("confusion_matrix must not be empty, and hold counts: finite and not negative")
    return matrix
