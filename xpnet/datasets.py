"""The data sets of the examples: MNIST, and from a seed a spiral and Gaussian clouds."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xpnet.arguments import explains_arguments
from xpnet.arrays import to_host
from xpnet.checks import check_integer, check_real, seeded_generator
from xpnet.errors import DataError, ShapeError
from xpnet.idx import read_idx
from xpnet.mnist_files import mnist

__all__ = ["clouds", "digits_11x11", "mnist", "read_idx", "spiral"]

Points: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


@explains_arguments
def digits_11x11(images: Any) -> npt.NDArray[np.float64]:
    """Shrink 28 x 28 digits to 121 raw pixels: ``images[:, ::2, ::2][:, 1:-2, 1:-2]``, flattened row by row.

    Shapes: (n, 28, 28) -> (n, 121) float64, grey values unscaled (0..255 for MNIST). Every second row and
    column is kept, and of those 14 the first and the last two, nearly always paper, are cut.

    Raises
    ------
    ShapeError
        The images are not (n, 28, 28).
    DtypeError
        They are not real numbers.

    Source: the first of the five networks that the examples reproduce (``examples/digits_11x11.py``).

    Examples
    --------
    >>> digits_11x11(np.zeros((5, 28, 28), np.uint8)).shape
    (5, 121)
    """
    host = to_host(images, "images", real=True)
    if host.ndim != 3 or host.shape[1:] != (28, 28):
        raise ShapeError(f"images must have shape (n, 28, 28); got {host.shape}; give one image as images[None].")
    return host[:, ::2, ::2][:, 1:-2, 1:-2].reshape(len(host), 121).astype(np.float64)


@explains_arguments
def spiral(points: int = 100, arms: int = 3, *, noise: float = 0.2, seed: int = 0) -> Points:
    """Return a spiral of interleaved arms: arm c holds ``(r sin 2.5a, r cos 2.5a)``.

    ``r`` runs evenly over 0..1 and ``a`` over 4c..4(c+1), with normal noise of deviation *noise* on ``a``.

    Shapes: x (arms * points, 2) float64, y (arms * points,) int64, the arm of each point; arm by arm, not
    shuffled.

    Raises
    ------
    ConfigurationError
        *points* or *arms* is not a positive integer, *noise* is negative, or *seed* is no seed.

    Source of 4, 2.5 and 0.2: Kinsley and Kukieła, "Neural Networks from Scratch in Python" (2020), chapter
    3, after Karpathy, https://cs231n.github.io/neural-networks-case-study/.

    Examples
    --------
    >>> x, y = spiral(100, 3, seed=0)
    >>> x.shape, y.shape, np.bincount(y).tolist()
    ((300, 2), (300,), [100, 100, 100])
    """
    points, arms = check_integer("points", points), check_integer("arms", arms)
    noise = check_real("noise", noise, least=0)
    generator = seeded_generator(seed)
    radius = np.linspace(0.0, 1.0, points)
    start = 4.0 * np.arange(arms)[:, None]
    angle = start + np.linspace(0.0, 4.0, points) + noise * generator.standard_normal((arms, points))
    x = np.stack([radius * np.sin(2.5 * angle), radius * np.cos(2.5 * angle)], axis=-1)
    return x.reshape(-1, 2), np.repeat(np.arange(arms, dtype=np.int64), points)


@explains_arguments
def clouds(
    points: int = 500,
    *,
    centers: npt.ArrayLike = ((0, -2), (2, 2), (-2, 2)),
    deviation: float = 1.0,
    seed: int = 0,
) -> Points:
    """Return Gaussian clouds: ``center[c] + deviation * normal``, *points* of each class c.

    Shapes: centers (classes, features); x (classes * points, features) float64, y (classes * points,)
    int64; cloud by cloud, not shuffled.

    Raises
    ------
    ConfigurationError
        *points* is not a positive integer, *deviation* is negative, or *seed* is no seed.
    ShapeError
        *centers* is not a table.
    DataError
        *centers* is empty or not finite.

    Source of the centres: the third of the five networks that the examples reproduce
    (``examples/clouds.py``).

    Examples
    --------
    >>> x, y = clouds(500)
    >>> x.shape, np.bincount(y).tolist()
    ((1500, 2), [500, 500, 500])
    """
    points, deviation = check_integer("points", points), check_real("deviation", deviation, least=0)
    middle = to_host(centers, "centers", real=True)
    if middle.ndim != 2:
        raise ShapeError(f"centers must be a table (classes, features); got shape {middle.shape}.")
    if not middle.size or not np.all(np.isfinite(middle)):
        raise DataError(f"centers must be finite and not empty; got {middle.tolist()}.")
    classes, features = middle.shape
    noise = seeded_generator(seed).standard_normal((classes, points, features))
    x = middle[:, None, :] + deviation * noise
    return x.reshape(-1, features), np.repeat(np.arange(classes, dtype=np.int64), points)
