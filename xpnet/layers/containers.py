"""Layers made of layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from xpnet import initializers
from xpnet.backend import Array
from xpnet.errors import ConfigurationError, ShapeError, XpnetError, unknown_attribute
from xpnet.initializers import Initializer
from xpnet.layers.base import Built, Context, Layer, build_problem
from xpnet.layers.names import resolve_layer
from xpnet.parameters import Shape, Tree, flatten, unflatten
from xpnet.records import record
from xpnet.registry import INTERFACES, check_returned, resolve, wrong_return_error

__all__ = ["Residual", "Sequential"]


@record
class Sequential:
    """Layers one after the other; each is fed the one before.

    A child's parameters are named by its index: ``"0.weight"``.

    Parameters
    ----------
    layers : iterable of Layer or str
        At least one; a name stands for a layer with its defaults.

    Raises
    ------
    ConfigurationError
        There is no layer, or one is unknown.
    ShapeError
        At build: a layer does not fit the one before; the message says which.

    Examples
    --------
    >>> from xpnet.layers import Dense
    >>> Sequential([Dense(64), "relu", Dense(3)]).build((2,)).out_shape
    (3,)
    """

    layers: tuple[Layer, ...]

    if TYPE_CHECKING:  # it takes more than it holds

        def __init__(self, layers: Iterable[Layer | str]) -> None: ...

    else:  # a checker is to go by the attributes that there are

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown_attribute("Sequential", name, self)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _resolve_all(self.layers))

    def build(self, in_shape: Shape) -> Built:
        """Build each layer on the output of the one before."""
        shape, children = in_shape, []
        for i, layer in enumerate(self.layers):
            children.append(_child_build(layer, shape, str(i)))
            shape = children[-1].out_shape
        return Built(
            shape,
            _choose_initializers(self.layers, [built.params for built in children]),
            {str(i): built.state for i, built in enumerate(children) if built.state},
        )

    @property
    def random(self) -> bool:
        """Whether any layer draws random bits."""
        return any(getattr(layer, "random", False) for layer in self.layers)

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, list[Any]]:
        """Return the last layer's output; keep every layer's residuals."""
        residuals = []
        for i, layer in enumerate(self.layers):
            name = str(i)
            x, kept = _child_forward(name, layer, params.get(name, {}), x, context)
            context.note(f"{name}.output", x)
            residuals.append(kept)
        return x, residuals

    def backward(self, params: Tree, residuals: list[Any], dy: Array, context: Context) -> tuple[Array | None, Tree]:
        """Carry dy back through the layers, no further than anything asks for it."""
        first = 0 if context.input_gradient else min((int(name) for name in params), default=len(self.layers))
        gradients: dict[str, Tree] = {}
        dx: Array | None = dy
        for i in range(len(self.layers) - 1, first - 1, -1):
            name, layer = str(i), self.layers[i]
            context.note(f"{name}.output.gradient", dx)
            asked = context._replace(input_gradient=context.input_gradient or i > first)
            dx, found = _child_backward(name, layer, params.get(name, {}), residuals[i], dx, asked)
            if found:
                gradients[name] = found
        return (dx if context.input_gradient else None), gradients

    def advance(self, state: Tree, residuals: list[Any]) -> Tree:
        """Return the state of the layers that have one, after a training step."""
        return {name: self.layers[int(name)].advance(old, residuals[int(name)]) for name, old in state.items()}  # type: ignore[attr-defined]


@record
class Residual:
    """A residual block, layers with a shortcut around them: y = shortcut(x) + f(x).

    A child's parameters are named ``"0.weight"`` and so on, the shortcut's ``"shortcut.weight"``.
    He et al. 2016, "Deep residual learning for image recognition", eq. 1 and 2.

    Parameters
    ----------
    layers : iterable of Layer or str
        f, at least one layer.
    shortcut : Layer or str, optional
        The layer on the shortcut, such as ``Dense(units)`` if f changes the shape. Default: none, y = x + f(x).

    Raises
    ------
    ConfigurationError
        There is no layer, or one is unknown.
    ShapeError
        At build: f(x) and the shortcut differ in shape.
    """

    layers: tuple[Layer, ...]
    shortcut: Layer | None = None

    if TYPE_CHECKING:  # it takes more than it holds

        def __init__(self, layers: Iterable[Layer | str], shortcut: Layer | str | None = None) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _resolve_all(self.layers))
        if self.shortcut is not None:
            object.__setattr__(self, "shortcut", resolve_layer(self.shortcut))

    def build(self, in_shape: Shape) -> Built:
        """Build f and the shortcut, and check that their outputs can be added."""
        inner = self._inner.build(in_shape)
        params, state = dict(inner.params), dict(inner.state)
        around = in_shape
        if self.shortcut is not None:
            built = _child_build(self.shortcut, in_shape, "shortcut")
            around = built.out_shape
            if built.params:
                params["shortcut"] = built.params
            if built.state:
                state["shortcut"] = built.state
        if around != inner.out_shape:
            raise ShapeError(
                f"Residual adds f(x) of shape {inner.out_shape} to a shortcut of shape {around}; make the last layer "
                f"give {around}, or give shortcut=Dense({inner.out_shape[-1] if inner.out_shape else 1})"
            )
        return Built(inner.out_shape, params, state)

    @property
    def _inner(self) -> Sequential:
        return Sequential(self.layers)

    @property
    def random(self) -> bool:
        """Whether any layer draws random bits."""
        return self._inner.random or getattr(self.shortcut, "random", False)

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, tuple[Any, Any]]:
        """Return shortcut(x) + f(x); keep the residuals of both."""
        y, inner = self._inner.forward(_without_shortcut(params), x, context)
        if self.shortcut is None:
            return x + y, (inner, None)
        around, outer = _child_forward("shortcut", self.shortcut, params.get("shortcut", {}), x, context)
        return around + y, (inner, outer)

    def backward(
        self, params: Tree, residuals: tuple[Any, Any], dy: Array, context: Context
    ) -> tuple[Array | None, Tree]:
        """Return the sum of dx of f and of the shortcut, and all gradients."""
        inner, outer = residuals
        dx, gradients = self._inner.backward(_without_shortcut(params), inner, dy, context)
        around: Any = dy
        if self.shortcut is not None:
            around, found = _child_backward("shortcut", self.shortcut, params.get("shortcut", {}), outer, dy, context)
            gradients = {**gradients, "shortcut": found} if found else gradients
        return (around + dx if context.input_gradient else None), gradients

    def advance(self, state: Tree, residuals: tuple[Any, Any]) -> Tree:
        """Return the state of f and of the shortcut after a training step."""
        inner, outer = residuals
        new = dict(self._inner.advance(_without_shortcut(state), inner))
        if "shortcut" in state:
            new["shortcut"] = self.shortcut.advance(state["shortcut"], outer)  # type: ignore[union-attr]
        return new


def _resolve_all(layers: Iterable[Layer | str]) -> tuple[Layer, ...]:
    if isinstance(layers, str) or not isinstance(layers, Iterable):
        if isinstance(layers, str):
            said = f"write [{layers!r}]"
        elif _is_network(layers):
            said = "got a network: give its layers, net.model.layers"
        elif hasattr(layers, "forward") and not isinstance(layers, type):
            said = f"write [{type(layers).__name__}(...)]"
        else:
            said = f"got {layers!r}; write [Dense(32), 'relu', Dense(3)] say"
        raise ConfigurationError(f"layers must be a list; {said}")
    layers = list(layers)
    if any(map(_is_network, layers)):
        raise ConfigurationError("a network is no layer: give its layers in place of it, *net.model.layers")
    resolved = tuple(resolve_layer(layer) for layer in layers)
    if not resolved:
        raise ConfigurationError("layers must be a list of at least one layer, [Dense(3)] say; got an empty one")
    return resolved


def _is_network(value: Any) -> bool:
    return isinstance(getattr(value, "model", None), Sequential) and not hasattr(value, "backward")


def _child_forward(name: str, layer: Layer, params: Tree, x: Array, context: Context) -> tuple[Array, Any]:
    """Run the forward pass of a child; errors name it."""
    try:
        given = layer.forward(params, x, context.child(name, layer))
    except Exception as error:
        _add_layer_note(error, name, layer, "forward")
        raise
    y, kept = check_returned("layer", layer, "forward", given)
    _require_rows(y, x, f"layer {name}: {type(layer).__name__}.forward must give an array with a row for each of x's")
    if context.verify:
        _require_declared_shape(name, layer, x, y)
    return y, kept


def _child_backward(
    name: str, layer: Layer, params: Tree, kept: Any, dy: Array | None, context: Context
) -> tuple[Array | None, Tree]:
    """Run the backward pass of a child; errors name it."""
    child = context.child(name, layer)
    try:
        given = layer.backward(params, kept, dy, child)
    except Exception as error:
        _add_layer_note(error, name, layer, "backward")
        raise
    dx, gradients = check_returned("layer", layer, "backward", given)
    if context.input_gradient:
        _require_rows(dx, dy, f"layer {name}: {type(layer).__name__}.backward must give dx with a row for each of dy's")
    return dx, gradients


def _add_layer_note(error: Exception, name: str, layer: Layer, method: str) -> None:
    """Add a note to an error that xpnet did not raise: in which layer it occurred."""
    if not isinstance(error, XpnetError):
        error.add_note(f"It is in {method} of layer {name}, {type(layer).__name__}.")


def _require_rows(given: Any, like: Any, expected: str) -> None:
    shape = getattr(given, "shape", None)
    if shape is None or tuple(shape[:1]) != tuple(like.shape[:1]):
        got = type(given).__name__ if shape is None else f"shape {tuple(shape)}"
        raise ShapeError(f"{expected} {like.shape[0]}; got {got}")


def _require_declared_shape(name: str, layer: Layer, x: Array, y: Array) -> None:
    """Raise ShapeError unless a child's output, which the next layer may broadcast, has the shape of its build."""
    declared = tuple(layer.build(tuple(x.shape[1:])).out_shape)
    if tuple(y.shape[1:]) != declared:
        expected = f"({', '.join(map(str, ('N', *declared)))}{'' if declared else ','})"
        raise ShapeError(
            f"layer {name}: {type(layer).__name__}.forward must give {expected}, as its build declares; got "
            f"{tuple(y.shape)}"
        )


def _child_build(layer: Layer, shape: Shape, name: str) -> Built:
    """Build a child; errors name it."""
    try:
        built = layer.build(shape)
    except ShapeError as error:
        raise ShapeError(f"layer {name}: {error}") from None
    if not isinstance(built, Built):
        raise wrong_return_error("layer", layer, "build", built)
    if problem := build_problem(built):
        raise ConfigurationError(f"layer {name}: {type(layer).__name__}.build: {problem}; {INTERFACES['layer'].guide}")
    return built


def _choose_initializers(layers: tuple[Layer, ...], children: list[Tree]) -> Tree:
    """Choose initializers for parameters without one, by the activation that follows their layer.

    Parameters of the last layers may stay without: only the container around them knows which activation follows.
    """
    suited: dict[str, Tree] = {}
    recipe: Initializer | None = None
    for i in range(len(layers) - 1, -1, -1):
        leaves = dict(flatten(children[i]))
        if leaves:
            suited[str(i)] = unflatten({name: param.suited(recipe) for name, param in leaves.items()})
        activation = getattr(layers[i], "initializer", None)
        if activation is not None:
            recipe = resolve("initializer", activation, initializers.NAMES)
        elif any(param.initializer is None for param in leaves.values()):
            recipe = initializers.GlorotUniform()
    return dict(reversed(suited.items()))


def _without_shortcut(tree: Tree) -> Tree:
    return {name: value for name, value in tree.items() if name != "shortcut"}
