"""Layers that change the shape of an example and nothing else."""

from __future__ import annotations

from math import prod
from numbers import Integral
from typing import TYPE_CHECKING

from xpnet.backend import Array
from xpnet.errors import ConfigurationError, ShapeError
from xpnet.layers.base import Built, Context
from xpnet.parameters import Shape, Tree
from xpnet.records import record

__all__ = ["Flatten", "Reshape"]

MOST_AXES = 63
"""NumPy and PyTorch have 64, one of them for the batch."""


@record
class Flatten:
    """Make each example a vector: (N, a, b, ...) to (N, a b ...), in row-major order.

    >>> Flatten().build((28, 28)).out_shape
    (784,)
    """

    def build(self, in_shape: Shape) -> Built:
        """Return the product of the axes."""
        return Built((prod(in_shape),))

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Shape]:
        """Return x reshaped; keep its shape."""
        return context.xp.reshape(x, (x.shape[0], prod(x.shape[1:]))), x.shape

    def backward(self, params: Tree, shape: Shape, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dy in x's shape."""
        return context.xp.reshape(dy, shape), {}


@record
class Reshape:
    """Give each example another shape of the same size: (N, ...) to (N, *shape), in row-major order.

    Parameters
    ----------
    shape : int, or tuple or list of int
        The new shape, without the batch axis. One axis may be -1: it takes what is left.

    Raises
    ------
    ConfigurationError
        An axis is neither positive nor -1, there are two of -1, or more than 63 axes.
    ShapeError
        At build: the sizes differ.

    Examples
    --------
    >>> Reshape((28, -1)).build((784,)).out_shape
    (28, 28)
    """

    shape: tuple[int, ...]

    if TYPE_CHECKING:  # it takes more than it holds

        def __init__(self, shape: int | list[int] | tuple[int, ...]) -> None: ...

    def __post_init__(self) -> None:
        shape = tuple(self.shape) if isinstance(self.shape, list | tuple) else (self.shape,)
        if len(shape) > MOST_AXES:
            raise ConfigurationError(f"Reshape.shape must have at most {MOST_AXES} axes; got {len(shape)}")
        integers = all(isinstance(n, Integral) and not isinstance(n, bool) for n in shape)
        if not integers or any(n < 1 and n != -1 for n in shape) or shape.count(-1) > 1:
            raise ConfigurationError(
                f"Reshape.shape must be positive integers with at most one -1 among them; got {self.shape!r}"
            )
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))

    def build(self, in_shape: Shape) -> Built:
        """Check that the sizes agree."""
        known, size = abs(prod(self.shape)), prod(in_shape)
        if -1 in self.shape and size % known == 0:
            return Built(tuple(size // known if n == -1 else n for n in self.shape))
        if size != known:
            raise ShapeError(f"{self} needs inputs of size {known}; got shape {in_shape} of size {size}")
        return Built(self.shape)

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Shape]:
        """Return x reshaped; keep its shape."""
        out_shape = self.build(tuple(x.shape[1:])).out_shape
        return context.xp.reshape(x, (x.shape[0], *out_shape)), x.shape

    def backward(self, params: Tree, shape: Shape, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dy in x's shape."""
        return context.xp.reshape(dy, shape), {}
