"""What a layer is: a frozen record of hyper-parameters with three pure methods.

    build(in_shape)                           -> Built(out_shape, params, state)   # no array is touched
    forward(params, x, context)               -> (y, residuals)
    backward(params, residuals, dy, context)  -> (dx, gradients)

``params`` and ``gradients`` are mappings by parameter name; ``residuals`` is whatever backward needs.
A layer never writes into its arguments. A layer with non-trainable state (running statistics) reads it from
``context.state`` and has a fourth method, ``advance(state, residuals) -> state``, called after a training step.
Two class attributes may say more of a layer: ``random = True``, that it draws bits from ``context.key``, and on an
activation ``initializer``, the name of what suits the weights of the layer before it, where those are left open.
Shapes exclude the batch axis, which always comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, NamedTuple, Protocol

from xpnet.backend import Array
from xpnet.errors import ShapeError
from xpnet.parameters import Param, Shape, Tree, flatten, is_shape
from xpnet.random import Key, fold_in
from xpnet.records import record

__all__ = ["Built", "Context", "Elementwise", "Layer", "build_problem", "check_rank"]


@record
class Built:
    """What a layer becomes once its input's shape is known.

    Attributes
    ----------
    out_shape : tuple of int
        Shape of one output.
    params : mapping
        A :class:`~xpnet.parameters.Param` for each trainable array, by name (nested in containers).
    state : mapping
        A :class:`~xpnet.parameters.Param` for each non-trainable array.
    """

    out_shape: Shape
    params: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)


class Context(NamedTuple):
    """What a pass through the layers knows beside parameters and data.

    Attributes
    ----------
    xp : Namespace
        The Array API with ``xp.nn``.
    training : bool
        Whether this pass trains: Dropout drops, BatchNorm uses the batch's statistics.
    key : Key or None
        Source of this layer's random bits: in a training forward pass, of a layer with ``random = True``.
    state : mapping
        This layer's non-trainable arrays.
    input_gradient : bool
        Whether backward should return dx; the first layer's is not needed.
    record : callable or None
        ``record(name, array)`` is told each activation and its gradient, when somebody looks.
    verify : bool
        Whether containers hold the shapes of outputs to those that ``build`` declares: in the first forward pass of
        each shape of x.
    """

    xp: Any
    training: bool = False
    key: Key | None = None
    state: Tree = {}  # noqa: RUF012 - never written to
    input_gradient: bool = True
    record: Callable[[str, Array], None] | None = None
    verify: bool = False

    def child(self, name: str, layer: Layer) -> Context:
        """Return the context of the container's child *name*, with a random key and state of its own."""
        key = self.key
        if key is not None:
            key = fold_in(key, _number(name), self.xp) if getattr(layer, "random", False) else None
        record = self.record
        return self._replace(
            key=key,
            state=self.state.get(name, {}),
            record=None if record is None else lambda inner, array: record(f"{name}.{inner}", array),
        )

    def note(self, name: str, array: Array) -> None:
        """Tell the recorder, if there is one."""
        if self.record is not None:
            self.record(name, array)


class Layer(Protocol):
    """The three methods that every layer has (see the head of this module); parameters may have other names."""

    def build(self, in_shape: Shape, /) -> Built:
        """Return output shape, parameters and state for inputs of *in_shape*, or raise ShapeError."""

    def forward(self, params: Tree, x: Array, context: Context, /) -> tuple[Array, Any]:
        """Return the output and what backward needs."""

    def backward(self, params: Tree, residuals: Any, dy: Array, context: Context, /) -> tuple[Array | None, Tree]:
        """Return the gradients with respect to the input and to each parameter."""


class Elementwise:
    """Base of the layers that keep their input's shape and have no parameters."""

    def build(self, in_shape: Shape) -> Built:
        """Keep the shape."""
        return Built(in_shape)


def build_problem(built: Built) -> str:
    """Say what is wrong with what a layer's ``build`` has given, or nothing."""
    if not is_shape(built.out_shape):
        return (
            "out_shape must be a tuple of integers above 0, without the axis of the batch, (4,) for 4 outputs; got "
            f"{built.out_shape!r}"
        )
    for what, declared in (("params", built.params), ("state", built.state)):
        if not isinstance(declared, Mapping):
            example = "{'bias': Param((4,), 'zeros')}"
            return f"{what} must be a mapping of names to Param, {example} say; got {declared!r:.60}"
        for name, param in flatten(declared):
            if not isinstance(param, Param):
                return f"{name} must be declared as Param(shape, initializer); got {param!r:.60}"
    return ""


def _number(name: str) -> int:
    """Return a child's number: its index, or the characters' code for a named one such as ``shortcut``."""
    return int(name) if name.isdecimal() else int.from_bytes(name[:3].encode(), "big")


def check_rank(layer: Layer, in_shape: Shape) -> None:
    """Raise :class:`ShapeError` unless *in_shape* has at least one axis."""
    if not in_shape:
        raise ShapeError(
            f"{type(layer).__name__} needs inputs of shape (features,) or higher rank; got one number per example. "
            "A single feature is a column of x: x[:, None]"
        )
