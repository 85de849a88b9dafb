"""Check a layer: its gradients, purity, shapes, and agreement between backends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from xpnet import initializers
from xpnet.arrays import Host
from xpnet.backend import Array, Backend
from xpnet.configuration import as_shape
from xpnet.errors import ConfigurationError
from xpnet.layers.base import Built, Context, Layer, build_problem
from xpnet.layers.names import resolve_layer
from xpnet.parameters import Layout, Shape, Tree, flatten, unflatten
from xpnet.random import host_stream, key_words, make_key
from xpnet.registry import check_returned, resolve, wrong_return_error
from xpnet.testing.comparing import CheckError, check_close, check_finite, check_same, check_shapes, require
from xpnet.testing.comparison_backends import (
    PARITY,
    arrays_to_device,
    arrays_to_host,
    open_float32,
    open_float64,
    other_backends,
    to_device,
)
from xpnet.testing.extremes import EVERYWHERE, LARGE, Domain, extremes
from xpnet.testing.numeric import TOLERANCE, check_gradients, numeric_gradient, within
from xpnet.testing.records import check_record
from xpnet.testing.user_code import check_array, check_arrays, raising_check_errors

__all__ = ["check_layer"]

FOR_SOME = "; domain=(low, high) says where the layer is defined, largest= up to where it must not overflow"


def check_layer(
    layer: Layer,
    in_shape: int | Shape,
    *,
    backend: str | Backend = "numpy",
    beside: Iterable[str | Backend] | None = None,
    x: Any = None,
    batch: int = 5,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    largest: float = LARGE,
    domain: Domain = EVERYWHERE,
) -> None:
    """Hold a layer to the contract of :mod:`xpnet.layers.base`, in training and out of it.

    It is a frozen record that a file brings back equal. Shapes of outputs, gradients and state are those that
    ``build`` declared, and first values can be drawn; gradients of parameters and inputs equal numeric ones; the same
    arguments give the same results; no argument, residual or dy is written to; random bits are there for a layer
    that says ``random = True``. float32 stays float32, near the same numbers, and so do other backends. Inputs that
    are huge, tiny, denormal, 0 or all equal, as far as they lie in the domain, give finite outputs and gradients.

    Parameters
    ----------
    layer : Layer
        A container too.
    in_shape : int or tuple of int
        Shape of one input; a number of features stands for ``(features,)``.
    backend : str or Backend
        Where gradients are checked. Must compute in float64, as it does when given by name.
    beside : iterable of str or Backend, optional
        Backends, in float64, whose results are compared. Default: all that are available, with a warning where
        array-api-strict, without which portability is not checked, is not installed.
    x : array (batch, *in_shape), optional
        Inputs away from the kinks of the layer. Default: random, of the order of 1, none nearer to 0 than 0.1; with a
        domain, none nearer to an end of it.
    batch : int
        Number of random inputs.
    seed : int
        Of inputs, parameters and dropout masks.
    tolerance : float
        See :data:`TOLERANCE`.
    largest : float
        Size of the huge inputs. Give less for a layer whose mathematics overflows there, such as x³ in float32.
    domain : (float, float)
        The smallest and the largest input that the layer is defined for: ``(1e-3, math.inf)`` for a square root that
        follows a softplus. Default: all numbers.

    Raises
    ------
    CheckError
        The layer breaks the contract, or raises an error of its own; the message says which layer and method, in
        which mode, and where.
    ConfigurationError
        It is no layer: a class, or an object that lacks a method. Or ``domain`` is no pair of rising numbers.
    ShapeError
        It does not take inputs of this shape.
    """
    layer, in_shape = resolve_layer(layer), as_shape(in_shape, "in_shape")
    domain = _checked_domain(domain)
    backend = open_float64(backend)
    beside = other_backends(backend, beside)
    stream = host_stream(seed, "check")
    built = raising_check_errors("layer", layer, f"{layer}", lambda: _built(layer, in_shape))()
    params = {name: stream.normal(size=param.shape) for name, param in flatten(built.params)}
    state = {name: stream.uniform(0.5, 1.5, param.shape) for name, param in flatten(built.state)}
    x = within(stream.normal(size=(batch, *in_shape)), domain) if x is None else np.array(x, dtype=np.float64)
    dy = stream.normal(size=(len(x), *built.out_shape))
    for training in (True, False):
        where = f"{layer} in {'training' if training else 'prediction'}"
        states = {f"{name}.advanced": values for name, values in state.items()} if training else {}
        wanted = {"input.gradient": x, **{f"{name}.gradient": values for name, values in params.items()}, **states}
        run = _LayerRun(layer, training, seed, params, state, x, dy, backend)
        check_shapes(where, {"output": run.output()}, {"output": dy}, backend.dtype)
        _check_numbers(where, run)
        _check_pure(where, run)
        found = run.results()
        check_shapes(where, found, wanted, backend.dtype)
        check_gradients(where, found, run.numeric(), tolerance)
        seen = {"output": dy, **wanted}
        narrowed, *compared = (
            _LayerRun(layer, training, seed, params, state, x, dy, there) for there in (open_float32(backend), *beside)
        )
        for other in (narrowed, *compared):
            there = f"{where} on {other.backend.name} in {other.backend.dtype}"
            again = other.results()
            check_shapes(there, again, seen, other.backend.dtype)
            check_gradients(there, again, {name: found[name] for name in seen}, PARITY[other.backend.dtype])
        for each in (run, narrowed):
            for what, values in extremes(x.shape, each.backend.dtype, largest, domain):
                check_finite(f"{where} in {each.backend.dtype}", each.results(values), f"{what}{FOR_SOME}")
    check_record(layer, f"{layer}")


def _checked_domain(domain: Any) -> Domain:
    """Return the ends of a domain as floats, or raise ConfigurationError."""
    try:
        low, high = map(float, domain)
    except (TypeError, ValueError):
        low = high = 0.0
    if not low < high:
        raise ConfigurationError(
            f"domain must be the smallest and the largest input, (0.001, math.inf) say; got {domain!r}"
        )
    return low, high


def _built(layer: Layer, in_shape: Shape) -> Built:
    built = layer.build(in_shape)
    if not isinstance(built, Built):
        raise wrong_return_error("layer", layer, "build", built)
    where = f"{type(layer).__name__}.build"
    problem = build_problem(built)
    require(not problem, where, problem)
    for declared in (built.params, built.state):
        Layout(declared).initialize(0)
    if (suited := getattr(layer, "initializer", None)) is not None:
        resolve("initializer", suited, initializers.NAMES)
    return built


class _NoKey:
    """What stands for a random key where a network gives none: an error for whoever wants to use it."""

    def __init__(self, layer: Layer) -> None:
        self._owner = type(layer).__name__

    def __getattr__(self, name: str) -> NoReturn:
        raise CheckError(
            f"{self._owner} uses context.key, which a network gives to a layer with the class attribute random = True "
            "alone: set it"
        )

    def __getitem__(self, place: int) -> NoReturn:
        self.__getattr__("first")


class _LayerRun:
    """One pass forward and back, from host arrays and to host arrays by name."""

    def __init__(
        self,
        layer: Layer,
        training: bool,
        seed: int,
        params: dict[str, Host],
        state: dict[str, Host],
        x: Host,
        dy: Host,
        backend: Backend,
    ) -> None:
        self.layer, self.training, self.backend = layer, training, backend
        self.params, self.x, self.dy = params, x, dy
        self.given = {"x": x, "dy": dy}
        self.given |= {f"parameter.{name}": values for name, values in params.items()}
        self.given |= {f"state.{name}": values for name, values in state.items()}
        xp = backend.xp
        self.words = xp.nn.words(key_words(seed))
        self.state = unflatten(arrays_to_device(state, backend))
        on_device = unflatten(arrays_to_device(params, backend))
        self.arguments = (on_device, self.state, to_device(x, backend), to_device(dy, backend))
        where = f"{layer} in {'training' if training else 'prediction'} on {backend.name} in {backend.dtype}"
        forward = backend.compile(lambda params, x: self._forward(params, self.state, x)[0])
        self.forward = raising_check_errors("layer", layer, where, forward)
        self.both = raising_check_errors("layer", layer, where, backend.compile(self._both))

    def _forward(self, params: Tree, state: Tree, x: Array) -> tuple[Array, Any, Context]:
        xp = self.backend.xp
        key: Any = None
        if self.training:
            random = getattr(self.layer, "random", False)
            key = make_key(self.words, xp.zeros((), dtype=xp.int32), xp) if random else _NoKey(self.layer)
        context = Context(xp, training=self.training, key=key, state=state)
        y, residuals = check_returned("layer", self.layer, "forward", self.layer.forward(params, x, context))
        check_array(self.layer, "forward", "y", y)
        return y, residuals, context._replace(key=None)

    def _both(self, params: Tree, state: Tree, x: Array, dy: Array) -> dict[str, Array]:
        """Run the layer as a network does: the residuals never leave the compiled function."""
        xp = self.backend.xp
        y, residuals, context = self._forward(params, state, x)
        y = _copied(y, xp)
        kept = [_copied(array, xp) for array in _arrays(residuals)]
        dx, gradients = self._backward(params, residuals, dy, context)
        check_array(self.layer, "backward", "dx", dx)
        found = {"output": y, "input.gradient": _copied(dx, xp)}
        found |= {f"{name}.gradient": _copied(array, xp) for name, array in gradients.items()}
        for i, (before, after) in enumerate(zip(kept, _arrays(residuals), strict=True)):
            found |= {f"residual {i}.before": before, f"residual {i}.after": _copied(after, xp)}
        again, repeated = self._backward(params, residuals, dy, context)
        _, bare = self._backward(params, residuals, dy, context._replace(input_gradient=False))
        found["input.gradient.again"] = again
        for name, array in repeated.items():
            found[f"{name}.gradient.again"] = array
        for name, array in bare.items():
            found[f"{name}.gradient.alone"] = array
        if self.training and state:
            new = self.layer.advance(state, residuals)  # type: ignore[attr-defined]
            advanced = check_arrays(self.layer, "advance", "state", new)
            found |= {f"{name}.advanced": array for name, array in advanced.items()}
        return found

    def _backward(self, params: Tree, residuals: Any, dy: Array, context: Context) -> tuple[Any, dict[str, Array]]:
        given = self.layer.backward(params, residuals, dy, context)
        dx, gradients = check_returned("layer", self.layer, "backward", given)
        return dx, check_arrays(self.layer, "backward", "gradients", gradients)

    def results(self, x: Host | None = None) -> dict[str, Host]:
        """Return every array of a pass by name, for other inputs if there are any."""
        params, state, own, dy = self.arguments
        given = own if x is None else to_device(x, self.backend)
        return arrays_to_host(self.both(params, state, given, dy), self.backend)

    def output(self) -> Host:
        """Return the output of a forward pass alone."""
        return self._output(self.arguments[0], self.arguments[2])

    def inputs(self) -> dict[str, Host]:
        """Return copies of every argument by name."""
        params, state, x, dy = self.arguments
        named = {"parameter": params, "state": state, "x": x, "dy": dy}
        return arrays_to_host(dict(flatten(named)), self.backend)

    def numeric(self) -> dict[str, Host]:
        """Return the gradients of sum(dy y) by central differences, by name."""
        params, _, x, _ = self.arguments
        found = {}
        for name, values in self.params.items():
            others = dict(flatten(params))

            def of_parameter(changed: Host, name: str = name, others: dict[str, Array] = others) -> Host:
                return self._output(unflatten({**others, name: to_device(changed, self.backend)}), x)

            found[f"{name}.gradient"] = numeric_gradient(of_parameter, values, self.dy)
        found["input.gradient"] = numeric_gradient(
            lambda changed: self._output(params, to_device(changed, self.backend)), self.x, self.dy
        )
        return found

    def _output(self, params: Tree, x: Array) -> Host:
        return self.backend.to_numpy(self.forward(params, x))


def _check_numbers(where: str, run: _LayerRun) -> None:
    """Raise CheckError where ordinary inputs give NaN or infinity, as those outside a layer's domain do."""
    for name, values in run.results().items():
        if not np.isfinite(values).all():
            found = "NaN" if np.isnan(values).any() else "infinite"
            negative = bool((run.x < 0.0).any()) and np.isfinite(run.results(np.abs(run.x))[name]).all()
            raise CheckError(
                f"{where}: {name} is {found} for {'negative' if negative else 'some'} inputs; for a layer that is not "
                "defined for all numbers, give check_layer(..., domain=(low, high)), or inputs of your own as x="
            )


def _check_pure(where: str, run: _LayerRun) -> None:
    first = run.results()
    for name, values in run.inputs().items():
        check_same(where, name, values, run.given[name])
    second = run.results()
    for name, values in first.items():
        require(np.array_equal(values, second[name]), where, f"the same arguments give another {name} a second time")
        if name.endswith(".before"):
            kept = name.removesuffix(".before")
            check_same(where, kept, first[f"{kept}.after"], values)
        base, _, kind = name.rpartition(".")
        if kind == "again":
            require(np.array_equal(values, first[base]), where, f"a second backward pass gives another {base}")
        if kind == "alone":
            check_close(where, f"{base} without input_gradient", values, first[base], 1e-12)


def _copied(array: Array, xp: Any) -> Array:
    return xp.astype(array, array.dtype)


def _arrays(tree: Any) -> Iterator[Array]:
    """Yield the arrays among residuals, which may be nested and hold anything else."""
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for item in tree:
            yield from _arrays(item)
    elif hasattr(tree, "shape") and hasattr(tree, "dtype"):
        yield tree
