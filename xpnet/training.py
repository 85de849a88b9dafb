"""The pure functions of one network on one backend: the step, the measurement, the prediction.

Each takes and returns only arrays, has static shapes and never waits for the device, so a backend may compile it,
capture it or run it as it is. Whatever changes from step to step is a 0-d array in :class:`State`, never a Python
number.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from xpnet.errors import ShapeError, XpnetError
from xpnet.layers.base import Context
from xpnet.metrics.streaming import weighted_sum
from xpnet.optimizers import Now, rate_at
from xpnet.parameters import flatten
from xpnet.random import make_key
from xpnet.records import identity
from xpnet.registry import check_returned

if TYPE_CHECKING:
    from xpnet.backend import Array
    from xpnet.layers import Sequential
    from xpnet.losses import Loss
    from xpnet.metrics.streaming import Metric
    from xpnet.optimizers import Optimizer
    from xpnet.parameters import Layout, Shape, Tree

__all__ = ["Batch", "Program", "State", "Sums", "gather_rows"]


class State(NamedTuple):
    """Everything that training changes. A step donates its old state: only the new one can be used afterwards."""

    params: Array  # (size,) every parameter, in the order of the layout
    optimizer: Tree  # the optimizer's own state
    layers: Tree  # non-trainable arrays of the layers, by name
    step: Array  # 0-d int32: finished steps
    scale: Array  # 0-d: the factor by which callbacks change the scheduled learning rate
    words: Array  # (4,) the seed of dropout masks


class Sums(NamedTuple):
    """Running sums of the loss and the metrics over an epoch's batches, one after the other in flat vectors."""

    total: Array  # (size,) of the loss (sum of w l, sum of w), then of each metric
    compensation: Array  # (size,) the excess of the total that is due to rounding


class Batch(NamedTuple):
    """Examples, their targets, and their weights or None."""

    x: Array  # (N, *in_shape)
    y: Array  # (N,) or (N, ...)
    weights: Array | None  # (N,)


class Differentiated(NamedTuple):
    """The results of one forward and backward pass."""

    losses: Array  # (N,)
    sums: dict[str, Array]  # of the loss and the requested metrics, by name
    residuals: Any  # of each layer, from its forward pass
    dx: Array | None  # (N, *in_shape), the gradient of the reduced loss, if the context asks for it
    gradients: Tree  # of the reduced loss, by parameter


class Program:
    """The pure functions of a network: its layers, loss, metrics and optimizer over one namespace.

    Programs whose records have the same :func:`~xpnet.records.identity`, over the same library, device and dtype, are
    equal, so that a backend can use what it compiled for one network in the next. *backend_key* identifies the library,
    device and dtype.
    """

    def __init__(
        self,
        model: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        metrics: tuple[Metric, ...],
        layout: Layout,
        out_shape: Shape,
        dtype: Any,
        xp: Any,
        backend_key: Hashable,
    ) -> None:
        self.model, self.loss, self.optimizer, self.metrics = model, loss, optimizer, metrics
        self.layout, self.out_shape, self.dtype, self.xp = layout, out_shape, dtype, xp
        self.sum_shapes = {"loss": (2,), **{metric.name: tuple(metric.shape(out_shape)) for metric in metrics}}
        self._parameter_shapes = tuple((slot.name, slot.shape) for slot in layout.slots)
        self._backend_key = backend_key
        self._verified: set[tuple[tuple[int, ...], bool]] = set()  # kinds of forward passes whose shapes are right

    @cached_property
    def _identity(self) -> Hashable:
        records = identity((self.model, self.loss, self.optimizer, self.metrics))
        return records, self._parameter_shapes, self.out_shape, self._backend_key

    def __eq__(self, other: object) -> bool:
        """Compare everything that determines the functions."""
        return self is other or (isinstance(other, Program) and self._identity == other._identity)

    def __hash__(self) -> int:
        """Hash everything that determines the functions; raise TypeError if a part is mutable."""
        return hash(self._identity)

    def with_model(self, model: Sequential) -> Program:
        """Return the program of layers with the same parameters and other hyper-parameters."""
        own = self.loss, self.optimizer, self.metrics, self.layout, self.out_shape, self.dtype, self.xp
        return Program(model, *own, self._backend_key)

    def initial_state(self, params: Array, layers: Tree, words: Array) -> State:
        """Return the state before the first step."""
        xp = self.xp
        return State(
            params=params,
            optimizer=self.optimizer.init(params, self.layout, xp),
            layers=layers,
            step=xp.zeros((), dtype=xp.int32),
            scale=xp.ones((), dtype=self.dtype),
            words=words,
        )

    def step(self, state: State, batch: Batch) -> tuple[State, dict[str, Array]]:
        """Train on one batch (forward, loss, backward, update) and return the batch's own sums, by name."""
        xp = self.xp
        context = Context(xp, training=True, key=self._key(state), state=state.layers, input_gradient=False)
        found = self.differentiate(state.params, batch, context, self.metrics)
        gradient = self.layout.pack(found.gradients, xp)
        done = xp.astype(state.step, self.dtype)
        rate = rate_at(self.optimizer.learning_rate, done, xp) * state.scale
        now = Now(rate, done + 1.0, self.layout, xp, found.sums["loss"][1])
        try:
            updated = self.optimizer.update(gradient, state.params, state.optimizer, now)
        except Exception as error:
            if not isinstance(error, XpnetError):
                error.add_note(
                    f"It is in update of {type(self.optimizer).__name__}. The rate of a step is now.learning_rate; "
                    "self.learning_rate may be a schedule."
                )
            raise
        _, new_params, optimizer = check_returned("optimizer", self.optimizer, "update", updated)
        layers = self.model.advance(state.layers, found.residuals)
        step = state.step
        step += 1
        return State(new_params, optimizer, layers, step, state.scale, state.words), found.sums

    def step_loss(self, state: State, batch: Batch) -> tuple[State, Array]:
        """Train on one batch and return its reduced loss, 0-d."""
        state, sums = self.step(state, batch)
        return state, self.reduced_loss(sums["loss"])

    def advance(self, carry: tuple[State, Sums], batch: Batch) -> tuple[State, Sums]:
        """Train on one batch and add its sums to the running sums."""
        state, sums = carry
        state, batch_sums = self.step(state, batch)
        return state, _add(sums, batch_sums, self.xp)

    def advance_rows(self, carry: tuple[State, Sums], data: Batch, rows: Array) -> tuple[State, Sums]:
        """Train on the given rows of data on the device."""
        return self.advance(carry, gather_rows(data, rows, self.xp))

    def measure(self, sums: Sums, model: tuple[Array, Tree], batch: Batch) -> Sums:
        """Add one batch's loss and metrics to the running sums, without training."""
        scores = self.scores(model, batch.x)
        losses, _ = self.losses(scores, batch.y)
        return _add(sums, self._sums(scores, losses, batch, self.metrics), self.xp)

    def differentiate(
        self, params: Array, batch: Batch, context: Context, metrics: tuple[Metric, ...] = ()
    ) -> Differentiated:
        """Go forward, compute the losses and these metrics, and go backward from the slopes of the reduced loss."""
        views = self.layout.views(params, self.xp)
        scores, residuals = self.forward(views, batch.x, context)
        losses, slopes = self.losses(scores, batch.y)
        sums = self._sums(scores, losses, batch, metrics)
        slopes = slopes * self._loss_factors(slopes, batch.weights, sums["loss"])
        dx, gradients = self.model.backward(views, residuals, slopes, context._replace(key=None))
        return Differentiated(losses, sums, residuals, dx, gradients)

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Any]:
        """Return the scores and the residuals; the first pass of a kind checks the shapes that layers give."""
        kind = tuple(x.shape), context.training
        if kind in self._verified:
            return self.model.forward(params, x, context)
        found = self.model.forward(params, x, context._replace(verify=True))
        self._verified.add(kind)
        return found

    def losses(self, scores: Array, targets: Array) -> tuple[Array, Array]:
        """Return the examples' losses and their slopes, after checking the shapes of both."""
        losses, slopes = check_returned("loss", self.loss, "__call__", self.loss(scores, targets, self.xp))
        for what, array, shape in (("losses", losses, scores.shape[:1]), ("slopes", slopes, scores.shape)):
            if tuple(array.shape) != tuple(shape):
                raise ShapeError(
                    f"the loss {type(self.loss).__name__} must return {what} of shape {tuple(shape)}, for "
                    f"{scores.shape[0]} examples; got {tuple(array.shape)}"
                )
        return losses, slopes

    def scores(self, model: tuple[Array, Tree], x: Array) -> Array:
        """Return the last layer's output, computed as outside training."""
        params, layers = model
        context = Context(self.xp, state=layers)
        return self.forward(self.layout.views(params, self.xp), x, context)[0]

    def predictions(self, model: tuple[Array, Tree], x: Array) -> Array:
        """Return the loss's link of the scores."""
        return self.loss.link(self.scores(model, x), self.xp)

    def classes(self, model: tuple[Array, Tree], x: Array) -> Array:
        """Return the predicted classes."""
        return self.loss.classify(self.scores(model, x), self.xp)  # type: ignore[attr-defined]

    def activations(self, state: State, x: Array) -> dict[str, Array]:
        """Return every output of a training step's forward pass, by name."""
        named: dict[str, Array] = {}
        self._forward_in_training(state, x, named.__setitem__)
        return named

    def statistics(self, state: State, x: Array) -> Tree:
        """Return the layers' non-trainable arrays after a training step on these examples, without their loss."""
        return self.model.advance(state.layers, self._forward_in_training(state, x)[1])

    def trace(self, state: State, batch: Batch) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return everything that a training step computes, by name, and the parameters' gradients."""
        named: dict[str, Array] = {}
        context = Context(self.xp, training=True, key=self._key(state), state=state.layers, record=named.__setitem__)
        found = self.differentiate(state.params, batch, context)
        named["input.gradient"] = found.dx
        named["losses"] = found.losses
        named["loss"] = self.reduced_loss(found.sums["loss"])
        return named, self.layout.gradients(found.gradients)

    def reduced_loss(self, sums: Array) -> Array:
        """Return the loss of a batch, 0-d, from (sum of w l, sum of w)."""
        return sums[0] / sums[1] if self.loss.reduction == "mean" else sums[0]

    def zero_sums(self) -> Sums:
        """Return the sums at the start of an epoch."""
        size = sum(prod(shape) for shape in self.sum_shapes.values())
        return Sums(*(self.xp.zeros((size,), dtype=self.dtype) for _ in Sums._fields))

    def results(self, total: Any) -> dict[str, float]:
        """Return loss and metrics, computed from an epoch's total on the host."""
        sums, start = {}, 0
        for name, shape in self.sum_shapes.items():
            sums[name] = total[start : start + prod(shape)].reshape(shape)
            start += prod(shape)
        added, weight = (float(part) for part in sums["loss"])
        loss = added / weight if self.loss.reduction == "mean" and weight else added
        return {"loss": loss, **{metric.name: metric.result(sums[metric.name]) for metric in self.metrics}}

    def is_finite(self, carry: tuple[State, Sums]) -> Array:
        """Return whether everything that a step carries is finite, 0-d.

        This checks the running loss and every array that training changes. None of them recovers from NaN or infinity,
        so one check covers all steps before it.
        """
        xp = self.xp
        state, sums = carry
        finite = xp.all(xp.isfinite(sums.total[:2])) & xp.all(xp.isfinite(state.params))
        for tree in (state.optimizer, state.layers):
            for _, array in flatten(tree):
                finite = finite & xp.all(xp.isfinite(array))
        return finite

    def copy(self, tree: Any) -> Any:
        """Return a copy of a state, sums, both or a batch, as the original may be overwritten."""
        return _copy(tree)

    def _forward_in_training(
        self, state: State, x: Array, record: Callable[[str, Array], None] | None = None
    ) -> tuple[Array, Any]:
        context = Context(self.xp, True, self._key(state), state.layers, input_gradient=False, record=record)
        return self.forward(self.layout.views(state.params, self.xp), x, context)

    def _key(self, state: State) -> Any:
        return make_key(state.words, state.step, self.xp) if self.model.random else None

    def _sums(self, scores: Array, losses: Array, batch: Batch, metrics: tuple[Metric, ...]) -> dict[str, Array]:
        sums = {"loss": weighted_sum(losses, batch.weights, self.xp)}
        for metric in metrics:
            sums[metric.name] = metric.sums(scores, batch.y, batch.weights, self.loss, self.xp)
        return sums

    def _loss_factors(self, slopes: Array, weights: Array | None, sums: Array) -> Array | float:
        """Return each example's factor in the reduced loss: w / sum(w) for the mean, w for the sum."""
        mean = self.loss.reduction == "mean"
        if weights is None:
            return 1.0 / slopes.shape[0] if mean else 1.0
        if mean:
            total = sums[1]
            weights = weights / self.xp.where(total > 0.0, total, self.xp.ones_like(total))
        return self.xp.reshape(weights, (-1, *(1 for _ in slopes.shape[1:])))


def _add(sums: Sums, batch_sums: Mapping[str, Array], xp: Any) -> Sums:
    """Add a batch's sums by Kahan's compensated summation (1965), as rounding errors grow over a long epoch."""
    addend = xp.concat([xp.reshape(part, (-1,)) for part in batch_sums.values()]) - sums.compensation
    total = sums.total + addend
    return Sums(total, (total - sums.total) - addend)


def _copy(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _copy(value) for name, value in tree.items()}
    if isinstance(tree, State | Sums | Batch):
        return type(tree)(*(_copy(part) for part in tree))
    if isinstance(tree, tuple):
        return tuple([_copy(part) for part in tree])
    if tree is None:
        return None
    # Exact, and unlike `asarray(copy=True)` an operation that backends can record.
    return tree | False if "bool" in str(tree.dtype) else tree * 1


def gather_rows(data: Batch, rows: Array, xp: Any) -> Batch:
    """Return the given rows of data on the device."""
    x, y, weights = (None if array is None else xp.nn.rows(array, rows) for array in data)
    return Batch(x, y, weights)
