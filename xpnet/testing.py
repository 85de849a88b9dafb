"""Checks that hold a layer, a loss or an optimizer to its contract, on any backend.

For your own as for xpnet's. A check passes silently, or raises :class:`CheckError`, which names what is wrong:

>>> from xpnet.layers import Dense
>>> from xpnet.losses import MeanSquaredError
>>> from xpnet.optimizers import SGD
>>> check_layer(Dense(2), (3,))
>>> check_loss(MeanSquaredError(), [[0.5, -1.0], [2.0, 0.0]])
>>> check_optimizer(SGD(0.1))

Gradients are compared with central differences (f(x + h) - f(x - h)) / 2h of every element in float64. Their
error is h² f'''/6 from truncation and about epsilon f / h from rounding; :data:`STEP` makes the two alike, some
1e-10 where values are of the order of 1, so :data:`TOLERANCE` leaves three decimal places of room and no mistake.
Everything runs through ``backend.compile``, as it does in a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend import Backend, open_backend
from xpnet.errors import ConfigurationError, XpnetError
from xpnet.initializers import Zeros
from xpnet.layers.base import Context
from xpnet.optimizers import Now, rate_at
from xpnet.parameters import Layout, Param, flatten, unflatten
from xpnet.random import host_stream, key_words, make_key

if TYPE_CHECKING:
    from xpnet.backend import Array
    from xpnet.layers.base import Layer
    from xpnet.losses import Loss
    from xpnet.optimizers import Link
    from xpnet.parameters import Shape, Tree

__all__ = ["STEP", "TOLERANCE", "CheckError", "check_layer", "check_loss", "check_optimizer", "numeric_gradient"]

Host = np.ndarray[Any, Any]

STEP = 6e-6
"""h of the central differences: the cube root of float64's epsilon."""

TOLERANCE = 1e-7
"""Largest difference allowed between a gradient and its numeric value, as a share of its largest element."""

FLOOR = 0.01
"""A gradient smaller than this share of the largest one is held to that share: a bias before BatchNorm has the
gradient 0, of which no rounding error is a small part."""

KINK = 0.1
"""Distance that random inputs keep from 0, where ReLU and its kin have no derivative."""


LARGE = 1e4
"""Scores that no loss may overflow on: exp(710) would be infinite in float64."""


class CheckError(XpnetError, AssertionError):
    """A layer, a loss or an optimizer breaks its contract."""


def check_layer(
    layer: Layer,
    in_shape: Shape,
    *,
    backend: str | Backend = "numpy",
    x: Any = None,
    batch: int = 5,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> None:
    """Hold a layer to the contract of :mod:`xpnet.layers.base`, in training and out of it.

    Shapes of outputs, gradients and state are those that ``build`` declared; gradients of parameters and
    inputs equal numeric ones; the same arguments give the same results; no argument is written to.

    Parameters
    ----------
    layer : Layer
        A container too.
    in_shape : tuple of int
        Shape of one input.
    backend : str or Backend
        Must compute in float64, as it does when given by name.
    x : array (batch, *in_shape), optional
        Inputs away from the kinks of the layer. Default: random, of the order of 1, none nearer to 0 than 0.1.
    batch : int
        Number of random inputs.
    seed : int
        Of inputs, parameters and dropout masks.
    tolerance : float
        See :data:`TOLERANCE`.

    Raises
    ------
    CheckError
        The layer breaks the contract; the message says which layer, in which mode, and where.
    """
    backend = _open(backend)
    stream = host_stream(seed, "check")
    built = layer.build(in_shape)
    params = {name: stream.normal(size=param.shape) for name, param in flatten(built.params)}
    state = {name: stream.uniform(0.5, 1.5, param.shape) for name, param in flatten(built.state)}
    x = _away_from_zero(stream.normal(size=(batch, *in_shape))) if x is None else np.array(x, dtype=np.float64)
    dy = stream.normal(size=(len(x), *built.out_shape))
    for training in (True, False):
        where = f"{layer} in {'training' if training else 'prediction'}"
        run = _LayerRun(layer, training, seed, params, state, x, dy, backend)
        _check_shapes(where, {"output": run.output()}, {"output": dy})
        _check_pure(where, run)
        found = run.results()
        states = _states(state) if training else {}
        _check_shapes(where, found, {"input.gradient": x, **_gradients(params), **states})
        numeric = run.numeric()
        _check_gradients(where, found, numeric, tolerance)


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
        self.state = unflatten(_placed(state, backend))
        self.arguments = (unflatten(_placed(params, backend)), self.state, _place(x, backend), _place(dy, backend))
        self.forward = backend.compile(lambda params, x: self._forward(params, self.state, x)[0])
        self.both = backend.compile(self._both)

    def _forward(self, params: Tree, state: Tree, x: Array) -> tuple[Array, Any, Context]:
        xp = self.backend.xp
        key = make_key(self.words, xp.zeros((), dtype=xp.int32), xp) if self.training else None
        context = Context(xp, training=self.training, key=key, state=state)
        y, residuals = self.layer.forward(params, x, context)
        return y, residuals, context._replace(key=None)

    def _both(self, params: Tree, state: Tree, x: Array, dy: Array) -> dict[str, Array]:
        """Run the layer as a network does: the residuals never leave the compiled function."""
        xp = self.backend.xp
        y, residuals, context = self._forward(params, state, x)
        y = _copied(y, xp)
        kept = [_copied(array, xp) for array in _arrays(residuals)]
        dx, gradients = self.layer.backward(params, residuals, dy, context)
        found = {"output": y, "input.gradient": _copied(dx, xp)}
        found |= {f"{name}.gradient": _copied(array, xp) for name, array in flatten(gradients)}
        for i, (before, after) in enumerate(zip(kept, _arrays(residuals), strict=True)):
            found |= {f"residual {i}.before": before, f"residual {i}.after": _copied(after, xp)}
        again, repeated = self.layer.backward(params, residuals, dy, context)
        _, bare = self.layer.backward(params, residuals, dy, context._replace(input_gradient=False))
        found["input.gradient.again"] = again
        for name, array in flatten(repeated):
            found[f"{name}.gradient.again"] = array
        for name, array in flatten(bare):
            found[f"{name}.gradient.alone"] = array
        if self.training and state:
            new = self.layer.advance(state, residuals)  # type: ignore[attr-defined]
            found |= {f"{name}.advanced": array for name, array in flatten(new)}
        return found

    def results(self) -> dict[str, Host]:
        """Return every array of a pass by name."""
        return _hosted(self.both(*self.arguments), self.backend)

    def output(self) -> Host:
        """Return the output of a forward pass alone."""
        return self._output(self.arguments[0], self.arguments[2])

    def inputs(self) -> dict[str, Host]:
        """Return copies of every argument by name."""
        params, state, x, dy = self.arguments
        named = {"parameter": params, "state": state, "x": x, "dy": dy}
        return _hosted(dict(flatten(named)), self.backend)

    def numeric(self) -> dict[str, Host]:
        """Return the gradients of sum(dy y) by central differences, by name."""
        params, _, x, _ = self.arguments
        found = {}
        for name, values in self.params.items():
            others = dict(flatten(params))

            def of_parameter(changed: Host, name: str = name, others: dict[str, Array] = others) -> Host:
                return self._output(unflatten({**others, name: _place(changed, self.backend)}), x)

            found[f"{name}.gradient"] = numeric_gradient(of_parameter, values, self.dy)
        found["input.gradient"] = numeric_gradient(
            lambda changed: self._output(params, _place(changed, self.backend)), self.x, self.dy
        )
        return found

    def _output(self, params: Tree, x: Array) -> Host:
        return self.backend.to_numpy(self.forward(params, x))


def check_loss(
    loss: Loss,
    y: Any,
    *,
    scores: Any = None,
    out_shape: Shape | None = None,
    backend: str | Backend = "numpy",
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> None:
    """Hold a loss to its contract: a value for each example and its slope in that example's scores.

    Shapes are right; slopes equal numeric ones, and no example's loss depends on another's scores; scores of up
    to 1e4 give finite losses and slopes; the same arguments give the same results, and none is written to.

    Parameters
    ----------
    loss : Loss
    y : array (N, ...)
        Targets, as a user gives them.
    scores : array (N, *out_shape), optional
        Away from the kinks of the loss. Default: random, of the order of 1.
    out_shape : tuple of int, optional
        Shape of one output. Default: that of *scores*, else of y's rows.
    backend, seed, tolerance
        As for :func:`check_layer`.

    Raises
    ------
    CheckError
        The loss breaks the contract; the message says where.
    """
    backend = _open(backend)
    xp, where = backend.xp, f"{loss}"
    y = np.asarray(y)
    if scores is None:
        shape = out_shape or y.shape[1:]
        scores = host_stream(seed, "check").normal(size=(len(y), *shape))
    scores = np.array(scores, dtype=np.float64)
    given = np.array(y)
    targets = np.array(loss.targets(y, scores.shape[1:]))
    _require(np.array_equal(y, given), where, "targets() writes to y")
    integral = targets.dtype.kind in "iu"
    placed = backend.asarray(targets.copy(), dtype=xp.int32 if integral else backend.float)
    compiled = backend.compile(lambda scores, targets: loss(scores, targets, xp))

    def run(values: Host) -> dict[str, Host]:
        losses, slopes = compiled(_place(values, backend), placed)
        return _hosted({"losses": losses, "slopes": slopes}, backend)

    on_device = _place(scores, backend)
    first = _hosted(dict(zip(("losses", "slopes"), compiled(on_device, placed), strict=True)), backend)
    _check_same(where, "scores", backend.to_numpy(on_device), scores)
    _check_same(where, "targets", backend.to_numpy(placed), targets)
    second = run(scores)
    for name, values in first.items():
        _require(np.array_equal(values, second[name]), where, f"the same arguments give other {name} a second time")
    _check_shapes(where, first, {"losses": scores[(slice(None), *(0 for _ in scores.shape[1:]))], "slopes": scores})
    # Of different weight, so that no example can stand in for another.
    weights = host_stream(seed, "weights").normal(size=len(scores))
    slopes = weights.reshape(-1, *(1 for _ in scores.shape[1:])) * first["slopes"]
    numeric = numeric_gradient(lambda values: run(values)["losses"], scores, weights)
    _check_gradients(where, {"slopes": slopes}, {"slopes": numeric}, tolerance)
    for name, values in run(scores * (LARGE / np.max(np.abs(scores)))).items():
        _require(bool(np.isfinite(values).all()), where, f"{name} are not finite for scores up to {LARGE:g}")


def check_optimizer(
    optimizer: Link,
    *,
    backend: str | Backend = "numpy",
    expected: Callable[[list[Host], Host, list[float]], Host] | None = None,
    steps: int = 10,
    seed: int = 0,
    tolerance: float = 1e-10,
) -> None:
    """Hold an optimizer or a chain to its contract, on a layout of two weights and a bias.

    Its state keeps its names, shapes and dtype, as a compiled loop needs; it hides nothing in itself, so two
    runs side by side do not disturb each other; it leaves the learning rate and the step alone; parameters
    stay finite and go down the slope of a parabola.

    Parameters
    ----------
    optimizer : optimizer or chain
    backend, seed
        As for :func:`check_layer`.
    expected : callable, optional
        ``expected(gradients, params, rates) -> params``: the method in plain NumPy. ``gradients`` and ``rates``
        hold one entry for each step.
    steps : int
        Updates to make.
    tolerance : float
        Largest difference from *expected*, as a share of the largest parameter.

    Raises
    ------
    CheckError
        The optimizer breaks the contract; the message says where.
    """
    backend = _open(backend)
    stream, where = host_stream(seed, "check"), f"{optimizer}"
    run = _OptimizerRun(optimizer, backend)
    params = stream.normal(size=run.layout.size)
    gradients = [stream.normal(size=run.layout.size) for _ in range(2 * steps)]
    alone = run.follow(params, gradients[:steps])
    beside = run.follow(params, gradients[:steps], disturbed_by=gradients[steps:])
    _require(np.array_equal(alone, beside), where, "a second run beside the first one changes it")
    _require(bool(np.isfinite(alone).all()), where, "parameters are not finite")
    if expected is not None:
        wanted = expected(gradients[:steps], params, run.rates(steps))
        _check_close(where, f"parameters after {steps} steps", alone, wanted, tolerance)
    down = run.descend(params, steps)
    _require(
        float(np.sum(down**2)) < float(np.sum(params**2)), where, f"{steps} steps do not go down the parabola |p|²/2"
    )


class _OptimizerRun:
    """Updates of one flat vector, from host arrays and to host arrays."""

    def __init__(self, optimizer: Link, backend: Backend) -> None:
        weight, bias = Param((3, 2), Zeros()), Param((2,), Zeros(), decay=False)
        self.layout = Layout({"0": {"weight": weight, "bias": bias}, "1": {"weight": Param((2, 2), Zeros())}})
        self.optimizer, self.backend = optimizer, backend
        self.start = backend.compile(lambda params: optimizer.init(params, self.layout, backend.xp))
        self.update = backend.compile(self._update)

    def _update(self, gradient: Array, params: Array, state: Tree, rate: Array, step: Array) -> tuple[Array, Tree]:
        now = Now(rate, step, self.layout, self.backend.xp)
        _, params, state = self.optimizer.update(gradient, params, state, now)
        return params, state

    def rates(self, steps: int) -> list[float]:
        rule = self.optimizer.learning_rate  # type: ignore[attr-defined]
        return [float(rate_at(rule, np.asarray(float(step)), np)) for step in range(steps)]

    def begin(self, params: Host) -> tuple[Array, Tree]:
        placed = _place(params, self.backend)
        return placed, self.start(placed)

    def step(self, gradient: Host, carry: tuple[Array, Tree], number: int) -> tuple[Array, Tree]:
        """Make one update, and hold its results to the shapes of its arguments."""
        backend, where = self.backend, f"{self.optimizer} at step {number}"
        before = self._shapes(carry)
        rate = self.rates(number)[-1]
        now = [_place(np.asarray(value), backend) for value in (rate, float(number))]
        after = self.update(_place(gradient, backend), *carry, *now)
        _require(self._shapes(after) == before, where, f"state {before} became {self._shapes(after)}")
        for name, array, value in zip(("learning rate", "step"), now, (rate, float(number)), strict=True):
            _require(float(backend.to_numpy(array)) == value, where, f"writes to the {name}")
        params: Array = after[0]
        state: Tree = after[1]
        return params, state

    def _shapes(self, carry: tuple[Array, Tree]) -> dict[str, tuple[Shape, str]]:
        named = flatten({"params": carry[0], "state": carry[1]})
        return {name: (tuple(array.shape), str(array.dtype)) for name, array in named}

    def follow(self, params: Host, gradients: list[Host], disturbed_by: list[Host] | None = None) -> Host:
        """Return the parameters after these gradients, with other updates in between if there are any."""
        carry = self.begin(params)
        other = self.begin(-params)
        for number, gradient in enumerate(gradients, 1):
            carry = self.step(gradient, carry, number)
            if disturbed_by:
                other = self.step(disturbed_by[number - 1], other, number)
        return np.array(self.backend.to_numpy(carry[0]))

    def descend(self, params: Host, steps: int) -> Host:
        """Return the parameters after steps down the parabola |p|²/2, whose gradient is p."""
        carry = self.begin(params)
        for number in range(1, steps + 1):
            carry = self.step(np.array(self.backend.to_numpy(carry[0])), carry, number)
        return np.array(self.backend.to_numpy(carry[0]))


def numeric_gradient(function: Callable[[Host], Host], at: Host, weights: Host, step: float = STEP) -> Host:
    """Return the gradient of sum(weights * function(at)) by central differences, shaped as *at*.

    Differences are taken before the sum, so that the values that do not change leave no rounding error.

    >>> numeric_gradient(lambda x: x * x, np.array([1.0, 3.0]), np.ones(2)).round(6).tolist()
    [2.0, 6.0]
    """
    gradient = np.empty_like(at)
    for place in np.ndindex(at.shape):
        moved = at.copy()
        moved[place] = at[place] + step
        above = np.array(function(moved))
        moved = at.copy()
        moved[place] = at[place] - step
        gradient[place] = np.sum(weights * (above - function(moved))) / (2.0 * step)
    return gradient


def _check_pure(where: str, run: _LayerRun) -> None:
    first = run.results()
    for name, values in run.inputs().items():
        _check_same(where, name, values, run.given[name])
    second = run.results()
    for name, values in first.items():
        _require(np.array_equal(values, second[name]), where, f"the same arguments give another {name} a second time")
        if name.endswith(".before"):
            kept = name.removesuffix(".before")
            _check_same(where, kept, first[f"{kept}.after"], values)
        base, _, kind = name.rpartition(".")
        if kind == "again":
            _require(np.array_equal(values, first[base]), where, f"a second backward pass gives another {base}")
        if kind == "alone":
            _check_close(where, f"{base} without input_gradient", values, first[base], 1e-12)


def _check_shapes(where: str, found: Mapping[str, Host], like: Mapping[str, Host]) -> None:
    for name, wanted in like.items():
        _require(name in found, where, f"there is no {name}")
        got = found[name]
        _require(got.shape == wanted.shape, where, f"{name} must have shape {wanted.shape}; got {got.shape}")
        _require(got.dtype == np.float64, where, f"{name} must stay float64; got {got.dtype}")
    for name in found:
        _require(not name.endswith(".gradient") or name in like, where, f"{name} belongs to no declared parameter")


def _check_gradients(where: str, found: Mapping[str, Host], numeric: Mapping[str, Host], tolerance: float) -> None:
    largest = max(float(np.max(np.abs(values), initial=0.0)) for values in numeric.values())
    for name, wanted in numeric.items():
        _check_close(where, name, found[name], wanted, tolerance, FLOOR * largest)


def _check_close(where: str, name: str, got: Host, wanted: Host, tolerance: float, floor: float = 0.0) -> None:
    """Compare by the largest difference as a share of the largest element (of the two, and of *floor*)."""
    if not got.size:
        return
    off = np.abs(got - wanted)
    scale = max(float(np.max(np.abs(wanted))), float(np.max(np.abs(got))), floor)
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(off)), off.shape))
    _require(
        bool(np.all(off <= tolerance * scale)),
        where,
        f"{name} is {got[place]:.9g} at {place}, expected {wanted[place]:.9g} "
        f"(off by {float(np.max(off)):.1e}; the largest element is {scale:.3g})",
    )


def _check_same(where: str, name: str, after: Host, before: Host) -> None:
    _require(np.array_equal(after, before), where, f"writes to {name}, which is not its own")


def _require(condition: bool, where: str, complaint: str) -> None:
    if not condition:
        raise CheckError(f"{where}: {complaint}")


def _open(backend: str | Backend) -> Backend:
    opened = open_backend(backend, dtype="float64")
    if opened.dtype != "float64":
        raise ConfigurationError(
            f"backend must compute in float64 for numeric gradients; got {opened}: use "
            f"open_backend({opened.name!r}, dtype='float64')"
        )
    return opened


def _place(values: Host, backend: Backend) -> Array:
    """Return the values on the device, in memory that the caller does not share."""
    return backend.asarray(np.array(values, dtype=np.float64), dtype=backend.float)


def _copied(array: Array, xp: Any) -> Array:
    return xp.astype(array, array.dtype)


def _placed(arrays: Mapping[str, Host], backend: Backend) -> dict[str, Array]:
    return {name: _place(values, backend) for name, values in arrays.items()}


def _hosted(arrays: Mapping[str, Array], backend: Backend) -> dict[str, Host]:
    return {name: np.array(backend.to_numpy(array)) for name, array in arrays.items()}


def _gradients(params: Mapping[str, Host]) -> dict[str, Host]:
    return {f"{name}.gradient": values for name, values in params.items()}


def _states(state: Mapping[str, Host]) -> dict[str, Host]:
    return {f"{name}.advanced": values for name, values in state.items()}


def _away_from_zero(values: Host) -> Host:
    return np.asarray(values + np.copysign(KINK, values))


def _arrays(tree: Any) -> Iterator[Array]:
    """Yield the arrays among residuals, which may be nested and hold anything else."""
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for item in tree:
            yield from _arrays(item)
    elif hasattr(tree, "shape") and hasattr(tree, "dtype"):
        yield tree
