"""What code of one's own raises or returns under check, the error says which class, which method, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import xpnet
from xpnet import layers, losses, optimizers
from xpnet.layers.base import Built
from xpnet.parameters import Param
from xpnet.testing import CheckError, check_layer, check_loss, check_optimizer

Y = np.array([[0.25, 0.75], [1.0, 0.0]])


class BuildsAShape(layers.Tanh):
    def build(self, in_shape):
        return in_shape


class CountsOutputs(layers.Tanh):
    def build(self, in_shape):
        return Built(in_shape[0])


class ShapeForParam(layers.Tanh):
    def build(self, in_shape):
        return Built(in_shape, {"weight": in_shape})


class OutputAlone(layers.Tanh):
    def forward(self, params, x, context):
        return super().forward(params, x, context)[0]


class Text(layers.Tanh):
    def forward(self, params, x, context):
        return "y", x


class NoGradients(layers.Tanh):
    def backward(self, params, y, dy, context):
        return super().backward(params, y, dy, context)[0], None


class NoInputGradient(layers.Tanh):
    def backward(self, params, y, dy, context):
        return None, {}


class NumberForGradient(layers.Dense):
    def backward(self, params, x, dy, context):
        dx, gradients = super().backward(params, x, dy, context)
        return dx, {**gradients, "bias": 0.0}


class AdvancesToNothing(layers.BatchNorm):
    def advance(self, state, batch):
        return None


class ArrayForParam(layers.Tanh):
    def build(self, in_shape):
        return Built(in_shape, {"bias": np.zeros(in_shape)})


class ParamAlone(layers.Tanh):
    def build(self, in_shape):
        return Built(in_shape, Param(in_shape, "zeros"))


class NumberForShape(layers.Tanh):
    def build(self, in_shape):
        return Built(in_shape, {"bias": Param(in_shape[0], "zeros")})


class StartsShort(layers.Tanh):
    def build(self, in_shape):
        return Built(in_shape, {"bias": Param(in_shape, lambda stream, shape: np.zeros(1))})


class Suits(layers.Tanh):
    initializer = "glorot"


class DrawsUnasked(layers.Tanh):
    def forward(self, params, x, context):
        if context.key is not None:
            x = x * context.xp.nn.dropout_mask(context.key, x.shape, 0.5, x.dtype)
        return super().forward(params, x, context)


class Misspelt(layers.Dense):
    def forward(self, params, x, context):
        return super().forward({"weight": params["wieght"]}, x, context)


class NoContext(layers.Tanh):
    def forward(self, params, x):
        return x, x


class BuildsForABatch(layers.Tanh):
    def build(self, in_shape):
        return layers.Built((None, *in_shape))


class BuildFails(layers.Tanh):
    def build(self, in_shape):
        return in_shape.nothing


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (BuildsAShape(), "BuildsAShape.build must return an xpnet.layers.base.Built; got a tuple of 1"),
        (
            BuildFails(),
            "BuildFails(): BuildFails.build raises AttributeError: 'tuple' object has no attribute 'nothing'",
        ),
        (CountsOutputs(), "CountsOutputs.build: out_shape must be a tuple of integers above 0, without the axis of"),
        (
            BuildsForABatch(),
            "BuildsForABatch.build: out_shape must be a tuple of integers above 0, without the axis of",
        ),
        (ShapeForParam(), "ShapeForParam.build: weight must be declared as Param(shape, initializer); got (3,)"),
        (ArrayForParam(), "ArrayForParam.build: bias must be declared as Param(shape, initializer); got array([0., 0."),
        (ParamAlone(), "ParamAlone.build: params must be a mapping of names to Param, {'bias': Param((4,), 'zeros')}"),
        (NumberForShape(), "NumberForShape.build raises ConfigurationError: Param.shape must be a tuple of integers"),
        (StartsShort(), "must return real numbers of shape (3,); got float64 of shape (1,)"),
        (Suits(), "unknown initializer 'glorot'; did you mean 'glorot_normal'?"),
        (
            DrawsUnasked(),
            "DrawsUnasked uses context.key, which a network gives to a layer with the class attribute",
        ),
        (OutputAlone(), "OutputAlone.forward must return (y, residuals); got "),
        (Text(), "Text.forward must give an array for y; got 'y' of type str"),
        (
            NoGradients(),
            "NoGradients.backward must give gradients as a mapping of arrays by name, maybe empty; got None",
        ),
        (NoInputGradient(), "NoInputGradient.backward must give an array for dx; got None of type NoneType"),
        (NumberForGradient(2), "NumberForGradient.backward must give an array for gradients['bias']; got 0.0 of type"),
        (AdvancesToNothing(), "AdvancesToNothing.advance must give state as a mapping of arrays"),
        (Misspelt(2), ": Misspelt.forward raises KeyError: 'wieght'; docs/own_layer.md"),
        (layers.Sequential(["tanh", Misspelt(2)]), ": Misspelt.forward raises KeyError: 'wieght'"),
        (layers.Sequential(["tanh", OutputAlone()]), "OutputAlone.forward must return (y, residuals); got "),
        (layers.Sequential(["tanh", BuildsAShape()]), "BuildsAShape.build must return an xpnet.layers.base.Built"),
        (NoContext(), "NoContext.forward() takes 3 positional arguments but 4 were given; docs/own_layer.md"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_a_layers_method_is_named(layer: Any, said: str, backend: xpnet.Backend) -> None:
    with pytest.raises(CheckError) as caught:
        check_layer(layer, (3,), backend=backend, beside=())
    assert said in str(caught.value)
    assert str(caught.value).count("docs/own_layer.md") <= 1


def test_the_error_itself_is_the_cause() -> None:
    with pytest.raises(CheckError, match=r"in training on numpy in float64: Misspelt\.forward") as caught:
        check_layer(Misspelt(2), (3,), beside=())
    assert "KeyError" in repr(caught.value.__cause__)


class CallsNumPy(layers.Tanh):
    def forward(self, params, x, context):
        y = np.tanh(np.asarray(x))
        return y, y


class CallsMethods(layers.Dense):
    method: ClassVar[str] = "sum"

    def backward(self, params, x, dy, context):
        dx, gradients = super().backward(params, x, dy, context)
        return dx, {**gradients, "bias": getattr(dy, self.method)(0)}


class Flattens(CallsMethods):
    method = "flatten"


class Rounds(CallsMethods):
    method = "round"


class Sorts(CallsMethods):
    method = "argpartition"


class LooksAtValues(layers.Tanh):
    def forward(self, params, x, context):
        y, kept = super().forward(params, x, context)
        return (y if x[0, 0] < 100.0 else 2.0 * y), kept


class LossOnNumPy(losses.MeanSquaredError):
    def __call__(self, scores, targets, xp):
        values, slopes = super().__call__(scores, targets, xp)
        return np.asarray(values), slopes


class OptimizerOnNumPy(optimizers.SGD):
    def update(self, gradient, params, state, now):
        return super().update(np.sign(np.asarray(gradient)), params, state, now)


@pytest.mark.parametrize("name", ["array-api-strict", "jax"])
def test_numpy_in_place_of_the_namespace_is_told_with_the_remedy(name: str, open_backend: Any) -> None:
    there = [open_backend(name)]
    for check, method, xp in (
        (lambda: check_layer(CallsNumPy(), 3, beside=there), "CallsNumPy.forward", "context.xp"),
        (lambda: check_loss(LossOnNumPy(), Y, beside=there), "LossOnNumPy.__call__", "xp"),
        (lambda: check_optimizer(OptimizerOnNumPy(0.1), beside=there), "OptimizerOnNumPy.update", "now.xp"),
    ):
        with pytest.raises(CheckError, match=rf"on {name} in float64: {method} raises") as caught:
            check()
        assert f"use {xp} in place of NumPy, {xp}.tanh for np.tanh" in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (CallsMethods(2), "has no attribute 'sum'; call context.xp.sum(array, axis=0) instead of the method, as not"),
        (Flattens(2), "has no attribute 'flatten'; call context.xp.reshape(array, (-1,)) instead of the method"),
        (Rounds(2), "has no attribute 'round'; call context.xp.round(array, ...) instead of the method"),
        (Sorts(2), "has no attribute 'argpartition'; call functions of context.xp instead of the method"),
    ],
    ids=lambda case: "" if isinstance(case, str) else type(case).__name__,
)
def test_a_method_of_an_array_is_told_with_the_function(layer: Any, said: str, open_backend: Any) -> None:
    with pytest.raises(CheckError) as caught:
        check_layer(layer, 3, backend=open_backend("array-api-strict"), beside=())
    assert said in str(caught.value)


def test_a_look_at_values_is_told(open_backend: Any) -> None:
    with pytest.raises(
        CheckError, match=r"on jax in float64: LooksAtValues\.forward raises Tracer.*xp\.where for `if`"
    ):
        check_layer(LooksAtValues(), 3, beside=[open_backend("jax")])


class ValuesAlone(losses.MeanSquaredError):
    def __call__(self, scores, targets, xp):
        return super().__call__(scores, targets, xp)[0]


class TargetsFail(losses.MeanSquaredError):
    def targets(self, y, out_shape):
        return y.nothing


class TargetsOfText(losses.MeanSquaredError):
    def targets(self, y, out_shape):
        return "y"


class LinkOfText(losses.MeanSquaredError):
    def link(self, scores, xp):
        return "scores"


class Averages(losses.MeanSquaredError):
    def __post_init__(self):
        object.__setattr__(self, "reduction", "average")


class CommaForgotten(losses.MeanSquaredError):
    metrics = "squared_error"


class Answers(losses.MeanSquaredError):
    def check(self, out_shape):
        return len(out_shape) == 1


@dataclass(frozen=True)
class CallAlone:
    def __call__(self, scores, targets, xp):
        return scores, scores


@pytest.mark.parametrize(
    ("loss", "error", "said"),
    [
        (ValuesAlone(), CheckError, "ValuesAlone.__call__ must return (losses, slopes); got "),
        (TargetsFail(), CheckError, "TargetsFail.targets raises AttributeError"),
        (TargetsOfText(), CheckError, "targets() must return a NumPy array of numbers; got array('y'"),
        (Averages(), CheckError, "unknown reduction 'average'"),
        (CommaForgotten(), CheckError, "CommaForgotten.metrics must be a tuple; write ('squared_error',)"),
        (Answers(), CheckError, "check() must raise ConfigurationError, or return nothing; got True"),
        (LinkOfText(), CheckError, "LinkOfText.link must give an array for link; got 'scores'"),
        (
            CallAlone(),
            xpnet.ConfigurationError,
            "got CallAlone(), which lacks check, targets, link, reduction, metrics; docs",
        ),
        (losses.Huber, xpnet.ConfigurationError, "got the class Huber: write Huber()"),
    ],
    ids=lambda case: getattr(case, "__name__", type(case).__name__) if not isinstance(case, str) else "",
)
def test_a_losss_method_is_named(loss: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        check_loss(loss, Y, beside=())
    assert said in str(caught.value)


class OwnRate(optimizers.SGD):
    def update(self, gradient, params, state, now):
        return gradient, params - self.learning_rate * gradient, state


class TwoValues(optimizers.SGD):
    def update(self, gradient, params, state, now):
        return super().update(gradient, params, state, now)[1:]


class Counts(optimizers.SGD):
    def init(self, params, layout, xp):
        return {"count": 0}


class CountsOn(optimizers.SGD):
    def update(self, gradient, params, state, now):
        gradient, params, _ = super().update(gradient, params, state, now)
        return gradient, params, {"count": 1}


class NoState(optimizers.SGD):
    def init(self, params, layout, xp):
        return None


@dataclass(frozen=True)
class UpdateAlone:
    learning_rate: float = 0.1

    def update(self, gradient, params, state, now):
        return gradient, params, state


@pytest.mark.parametrize(
    ("optimizer", "error", "said"),
    [
        (TwoValues(), CheckError, "TwoValues.update must return (gradient, params, state); got a tuple of 2"),
        (
            OwnRate(0.1),
            CheckError,
            "half the learning rate gives the same parameters: update must read now.learning",
        ),
        (OwnRate(xpnet.CosineDecay(0.1, 9)), CheckError, "; read now.learning_rate in update: self.learning_rate is a"),
        (Counts(), CheckError, "Counts.init must give an array for state['count']; got 0 of type int: make it one"),
        (CountsOn(), CheckError, "CountsOn.update must give an array for state['count']; got 1 of type int"),
        (NoState(), CheckError, "NoState.init must give state as a mapping of arrays by name, maybe empty; got None"),
        (optimizers.SGD(lambda step, xp: None + step), CheckError, "SGD raises TypeError: "),
        (UpdateAlone(), xpnet.ConfigurationError, "which lacks init; docs/own_optimizer.md"),
        (optimizers.Adam, xpnet.ConfigurationError, "got the class Adam: write Adam()"),
        (xpnet.L2(), xpnet.ConfigurationError, "is no optimizer by itself; use chain("),
    ],
    ids=lambda case: getattr(case, "__name__", type(case).__name__) if not isinstance(case, str) else "",
)
def test_an_optimizers_method_is_named(optimizer: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        check_optimizer(optimizer, beside=())
    assert said in str(caught.value)


def test_the_shape_of_an_input_may_be_a_number_of_features() -> None:
    check_layer(layers.Dense(2), 3, beside=())
    with pytest.raises(xpnet.ConfigurationError, match="in_shape must be a positive integer or a tuple"):
        check_layer(layers.Dense(2), 0, beside=())
    with pytest.raises(xpnet.ConfigurationError, match=r"got the class Dense: write Dense\(units\)"):
        check_layer(layers.Dense, 3, beside=())


def test_arguments_that_do_not_fit_are_told_as_such() -> None:
    with pytest.raises(xpnet.ShapeError, match="needs inputs"):
        check_layer(layers.Dense(2), (), beside=())
    with pytest.raises(xpnet.DataError):
        check_loss(losses.CrossEntropy(), [0, 5], out_shape=(3,), beside=())
