"""The checks catch planted mistakes: a check that lets them through proves nothing about the layers it passes."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import layers, losses, optimizers
from xpnet.layers.base import Built
from xpnet.parameters import Param
from xpnet.testing import CheckError, check_layer, check_loss, check_optimizer, numeric_gradient
from xpnet.testing.extremes import extremes

EAGER = replace(xpnet.open_backend("numpy", dtype="float64"), compile=lambda function: function)
"""Without any compilation, as only code that runs as it stands can write where it must not."""


@dataclass(frozen=True)
class Dense(layers.Dense):
    units: int = 3


class WrongSign(Dense):
    def backward(self, params, x, dy, context):
        dx, gradients = super().backward(params, x, dy, context)
        return -dx if context.input_gradient else None, gradients


class Transposed(Dense):
    def backward(self, params, x, dy, context):
        dx, gradients = super().backward(params, x, dy, context)
        return dx, {**gradients, "weight": context.xp.matrix_transpose(gradients["weight"])}


class TransposedInput(Dense):
    def backward(self, params, x, dy, context):
        _, gradients = super().backward(params, x, dy, context)
        return context.xp.matmul(dy, params["weight"]), gradients


class MeanInsteadOfSum(Dense):
    def backward(self, params, x, dy, context):
        dx, gradients = super().backward(params, x, dy, context)
        return dx, {**gradients, "bias": context.xp.mean(dy, axis=0)}


class UnsummedBias(Dense):
    def backward(self, params, x, dy, context):
        dx, gradients = super().backward(params, x, dy, context)
        return dx, {**gradients, "bias": dy}


class ForgottenGradient(Dense):
    def backward(self, params, x, dy, context):
        dx, gradients = super().backward(params, x, dy, context)
        return dx, {"weight": gradients["weight"]}


class UnknownGradient(Dense):
    def backward(self, params, x, dy, context):
        dx, gradients = super().backward(params, x, dy, context)
        return dx, {**gradients, "scale": gradients["bias"]}


class GradientNeedsInput(Dense):
    def backward(self, params, x, dy, context):
        dx, gradients = super().backward(params, x, dy, context)
        return dx, gradients if context.input_gradient else {**gradients, "bias": 2.0 * gradients["bias"]}


class WrongShape(Dense):
    def build(self, in_shape):
        return replace(super().build(in_shape), out_shape=(in_shape[0] + 1,))

    def forward(self, params, x, context):
        return context.xp.sum(x, axis=1, keepdims=True), x


class Imprecise(layers.GELU):
    def backward(self, params, residuals, dy, context):
        dx, nothing = super().backward(params, residuals, dy, context)
        return dx * (1.0 + 1e-6), nothing


class SlopeOfOutput(layers.Tanh):
    def backward(self, params, y, dy, context):
        return dy * (1.0 - y), {}


class DropsOutside(layers.Dropout):
    def backward(self, params, mask, dy, context):
        return (dy * 0.5 if mask is None else dy * mask), {}


class ForgetsTheMask(layers.Dropout):
    def backward(self, params, mask, dy, context):
        return dy, {}


class StatisticsHeldConstant(layers.BatchNorm):
    def backward(self, params, batch, dy, context):
        _, gradients = super().backward(params, batch, dy, context)
        return dy * params["gamma"] * batch.inverse, gradients


class OneRowTooFew(layers.BatchNorm):
    def backward(self, params, batch, dy, context):
        xp, n = context.xp, dy.shape[0] - 1
        _, gradients = super().backward(params, batch, dy, context)
        slopes = dy * params["gamma"]
        dx = slopes - xp.sum(slopes, axis=0) / n - batch.normalized * xp.sum(slopes * batch.normalized, axis=0) / n
        return dx * batch.inverse, gradients


class GammaForgotten(layers.LayerNorm):
    def backward(self, params, residuals, dy, context):
        xp = context.xp
        return super().backward({**params, "gamma": xp.ones_like(params["gamma"])}, residuals, dy, context)


class AdvancesToOtherShape(layers.BatchNorm):
    def advance(self, state, batch):
        return {name: array[:1] for name, array in super().advance(state, batch).items()}


class AdvancesHalf(layers.BatchNorm):
    def advance(self, state, batch):
        return {"running_mean": super().advance(state, batch)["running_mean"]}


class Narrow(layers.Tanh):
    def forward(self, params, x, context):
        y, kept = super().forward(params, x, context)
        return context.xp.astype(y, context.xp.float32), kept


class ShortcutForgotten(layers.Residual):
    def backward(self, params, residuals, dy, context):
        dx, gradients = super().backward(params, residuals, dy, context)
        return dx - dy if context.input_gradient else None, gradients


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (WrongSign(), "in training: input.gradient is"),
        (Transposed(), "weight.gradient is"),
        (TransposedInput(), "input.gradient is"),
        (MeanInsteadOfSum(), "bias.gradient is"),
        (UnsummedBias(), r"bias.gradient must have shape \(3,\); got \(5, 3\)"),
        (ForgottenGradient(), "there is no bias.gradient"),
        (UnknownGradient(), "scale.gradient belongs to no declared parameter"),
        (GradientNeedsInput(), "bias.gradient without input_gradient"),
        (WrongShape(), r"output must have shape \(5, 4\); got \(5, 1\)"),
        (Imprecise(), r"input.gradient is .*off by"),
        (SlopeOfOutput(), "input.gradient is"),
        (DropsOutside(0.5), "in prediction: input.gradient is"),
        (ForgetsTheMask(0.5), "in training: input.gradient is"),
        (StatisticsHeldConstant(), "in training: input.gradient is"),
        (OneRowTooFew(), "in training: input.gradient is"),
        (GammaForgotten(), "input.gradient is"),
        (AdvancesToOtherShape(), r"running_\w+.advanced must have shape \(3,\); got \(1,\)"),
        (AdvancesHalf(), "there is no running_variance.advanced"),
        (Narrow(), "output must stay float64; got float32"),
        (ShortcutForgotten([layers.Tanh()]), "input.gradient is"),
        (layers.Sequential([layers.Dense(3), WrongSign()]), "0.weight.gradient is"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_mistakes_in_layers_are_caught(layer, message, backend):
    with pytest.raises(CheckError, match=message):
        check_layer(layer, (3,), backend=backend, beside=())


class WritesToInput(layers.ReLU):
    def forward(self, params, x, context):
        x *= context.xp.astype(x > 0.0, x.dtype)
        return x, x


class WritesToSlope(layers.Tanh):
    def backward(self, params, y, dy, context):
        dy *= 1.0 - y * y
        return dy, {}


class WritesToParameter(Dense):
    def forward(self, params, x, context):
        weight = params["weight"]
        weight += 1.0
        return super().forward(params, x, context)


class WritesToResidual(layers.Sigmoid):
    def backward(self, params, y, dy, context):
        slope = dy * y * (1.0 - y)
        y *= 0.0
        return slope, {}


class WritesToState(layers.BatchNorm):
    def advance(self, state, batch):
        mean = state["running_mean"]
        mean += 1.0
        return super().advance(state, batch)


@dataclass(frozen=True)
class Remembers(layers.Tanh):
    calls: list[int] = field(default_factory=list)

    def forward(self, params, x, context):
        self.calls.append(1)
        return x * float(len(self.calls)), x

    def backward(self, params, x, dy, context):
        return dy, {}


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (WritesToInput(), "writes to x, which is not its own"),
        (WritesToSlope(), "writes to dy"),
        (WritesToParameter(), "writes to parameter.weight"),
        (WritesToResidual(), "second time|writes to residual|second backward"),
        (WritesToState(), "writes to state.running_mean"),
        (Remembers(), "the same arguments give another output a second time"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_layers_that_write_or_remember_are_caught(layer, message):
    with pytest.raises(CheckError, match=message):
        check_layer(layer, (3,), backend=EAGER, beside=())


def test_a_kink_is_reported_rather_than_averaged_over():
    with pytest.raises(CheckError, match=r"input\.gradient is"):
        check_layer(layers.ReLU(), (2,), x=[[0.0, 1.0]])


@dataclass(frozen=True)
class SquareRoot(layers.base.Elementwise):
    def forward(self, params, x, context):
        y = context.xp.sqrt(x)
        return y, y

    def backward(self, params, y, dy, context):
        return dy / (2.0 * y), {}


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_a_layer_that_is_not_defined_for_all_numbers_is_told_how_to_be_checked():
    with pytest.raises(CheckError, match=r"output is NaN for negative inputs; .*domain=\(low, high\)"):
        check_layer(SquareRoot(), (3,), beside=())
    with pytest.raises(CheckError, match=r"input.gradient is not finite for inputs of 0; domain=\(low, high\) says"):
        check_layer(SquareRoot(), (3,), x=[[0.5, 1.0, 2.0]], beside=())


@pytest.mark.parametrize("domain", [(1e-3, math.inf), (0.25, 4)])
def test_a_layer_is_checked_within_its_domain(domain, backend):
    check_layer(SquareRoot(), (3,), backend=backend, domain=domain, beside=())


@dataclass(frozen=True)
class Mirrored(SquareRoot):
    def forward(self, params, x, context):
        return super().forward(params, -x, context)

    def backward(self, params, y, dy, context):
        return -dy / (2.0 * y), {}


def test_a_domain_may_end_above_alone():
    check_layer(Mirrored(), (3,), domain=(-math.inf, -1e-3), beside=())


def test_inputs_stay_within_a_domain_that_float32_cannot_express():
    """The nearest number to 0.7 is below it, to 0.1 above."""
    for low, high in [(0.7, math.inf), (-math.inf, 0.1), (0.1, 0.7), (-0.1, 1e39), (0.0, math.inf)]:
        for _, values in extremes((4,), "float32", 1e4, (low, high)):
            narrow = values.astype("float32").astype("float64")
            assert ((low <= narrow) & (narrow <= high) & np.isfinite(narrow)).all()


@pytest.mark.parametrize("domain", [3, (1.0, 0.0), (0.0,), ("a", 1), (math.nan, 1.0)])
def test_a_domain_is_a_pair_of_rising_numbers(domain):
    with pytest.raises(xpnet.ConfigurationError, match=r"^domain must be the smallest and the largest input"):
        check_layer(layers.Tanh(), (2,), domain=domain, beside=())


def test_gradients_need_float64():
    with pytest.raises(xpnet.ConfigurationError, match="float64"):
        check_layer(layers.Tanh(), (2,), backend=xpnet.open_backend("numpy", dtype="float32"))


def test_a_layer_of_your_own_passes(backend):
    @dataclass(frozen=True)
    class Scale:
        def build(self, in_shape):
            return Built(in_shape, {"scale": Param(in_shape, None)})

        def forward(self, params, x, context):
            return x * params["scale"], x

        def backward(self, params, x, dy, context):
            return dy * params["scale"], {"scale": context.xp.sum(dy * x, axis=0)}

    check_layer(Scale(), (2, 3), backend=backend, beside=())


class Squared(losses.MeanSquaredError):
    pass


class LossSign(Squared):
    def __call__(self, scores, targets, xp):
        values, slopes = super().__call__(scores, targets, xp)
        return values, -slopes


class NotDivided(Squared):
    def __call__(self, scores, targets, xp):
        values, slopes = super().__call__(scores, targets, xp)
        return values, slopes * scores.shape[1]


class MeanOverBatch(Squared):
    def __call__(self, scores, targets, xp):
        values, slopes = super().__call__(scores, targets, xp)
        return xp.zeros_like(values) + xp.mean(values), slopes


class Scalar(Squared):
    def __call__(self, scores, targets, xp):
        values, slopes = super().__call__(scores, targets, xp)
        return xp.sum(values), slopes


class Naive(losses.CrossEntropy):
    def __call__(self, scores, targets, xp):
        total = xp.sum(xp.exp(scores), axis=1, keepdims=True)
        shares = xp.exp(scores) / total
        return -xp.sum(targets * xp.log(shares), axis=1), shares - targets


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (LossSign(), "slopes is"),
        (NotDivided(), "slopes is"),
        (MeanOverBatch(), "slopes is"),
        (Scalar(), r"losses must have shape \(2,\); got \(\)"),
        (Naive(), "not finite"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_mistakes_in_losses_are_caught(loss, message, backend):
    with pytest.raises(CheckError, match=message):
        check_loss(loss, [[0.25, 0.75], [1.0, 0.0]], backend=backend, beside=())


class Logarithm(Squared):
    def __call__(self, scores, targets, xp):
        return xp.sum(xp.log(scores), axis=1), 1.0 / scores


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_loss_that_is_not_defined_for_all_scores_is_not_called_impure():
    with pytest.raises(CheckError, match=r"losses is not finite for scores of up to .*; a network's scores may be any"):
        check_loss(Logarithm(), [[0.25, 0.75]], scores=[[-1.0, 1.0]], beside=())


class Asymmetric(Squared):
    def __call__(self, scores, targets, xp):
        error = scores - targets
        weight = xp.where(error > 0.0, 2.0, 1.0)
        return xp.sum(weight * error * error, axis=1), 2.0 * weight * error


def test_a_loss_of_pythons_numbers_is_told_why_it_is_float64():
    with pytest.raises(CheckError, match=r"must stay float32; got float64; .* by xp\.ones_like\(e\)"):
        check_loss(Asymmetric(), [[0.25, 0.75]], beside=())


class WritesToScores(Squared):
    def __call__(self, scores, targets, xp):
        scores -= targets
        return xp.mean(scores * scores, axis=1), 2.0 * scores / scores.shape[1]


class WritesToTargets(Squared):
    def __call__(self, scores, targets, xp):
        targets -= scores
        return xp.mean(targets * targets, axis=1), -2.0 * targets / scores.shape[1]


class WritesToLabels(Squared):
    def targets(self, y, out_shape):
        y *= 2.0
        return y


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (WritesToScores(), "writes to scores"),
        (WritesToTargets(), "writes to targets"),
        (WritesToLabels(), r"targets\(\) writes to y"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_losses_that_write_are_caught(loss, message):
    with pytest.raises(CheckError, match=message):
        check_loss(loss, [[0.25, 0.75], [1.0, 0.0]], backend=EAGER, beside=())


class Uphill(optimizers.SGD):
    def update(self, gradient, params, state, now):
        return super().update(-gradient, params, state, now)


class ChangesState(optimizers.SGD):
    def update(self, gradient, params, state, now):
        gradient, params, state = super().update(gradient, params, state, now)
        return gradient, params, {"velocity": state["velocity"][:2]}


class Explodes(optimizers.SGD):
    def update(self, gradient, params, state, now):
        return gradient, params * float("inf"), state


class NoBiasCorrection(optimizers.Adam):
    def update(self, gradient, params, state, now):
        return super().update(gradient, params, state, now._replace(step=now.step + 1e6))


def adam(gradients, params, rates):
    m = v = np.zeros_like(params)
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        params = params - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return params


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (Uphill(0.1), "do not go down the parabola"),
        (ChangesState(0.1, momentum=0.9), r"state .*velocity.* became"),
        (Explodes(0.1), "parameters are not finite"),
        (NoBiasCorrection(), "parameters after 10 steps is"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_mistakes_in_optimizers_are_caught(optimizer, message, backend):
    expected = adam if isinstance(optimizer, optimizers.Adam) else None
    with pytest.raises(CheckError, match=message):
        check_optimizer(optimizer, backend=backend, beside=(), expected=expected)


@dataclass(frozen=True)
class Hides(optimizers.SGD):
    memory: dict[str, Any] = field(default_factory=dict)

    def update(self, gradient, params, state, now):
        gradient = gradient + self.memory.get("velocity", 0.0)
        self.memory["velocity"] = gradient
        return super().update(gradient, params, state, now)


class WritesToStep(optimizers.SGD):
    def update(self, gradient, params, state, now):
        step = now.step
        step += 1.0
        return super().update(gradient, params, state, now)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [(Hides(0.1), "a second run beside the first one changes it"), (WritesToStep(0.1), "writes to the step")],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_optimizers_that_hide_state_or_write_are_caught(optimizer, message):
    with pytest.raises(CheckError, match=message):
        check_optimizer(optimizer, backend=EAGER, beside=())


@dataclass(frozen=True)
class Overflows:
    """Right where values are small: exp(x) is infinite beyond 710."""

    def build(self, in_shape):
        return Built(in_shape)

    def forward(self, params, x, context):
        y = context.xp.log(1.0 + context.xp.exp(x))
        return y, x

    def backward(self, params, x, dy, context):
        return dy * context.xp.nn.sigmoid(x), {}


class Mutable(layers.base.Elementwise):
    def forward(self, params, x, context):
        return x, None

    def backward(self, params, residuals, dy, context):
        return dy, {}


@dataclass(frozen=True)
class Rounds(layers.Tanh):
    """Equal to Tanh, but for what it becomes on its way through a file."""

    shift: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "shift", self.shift + 1.0)


class Widens(layers.Tanh):
    def forward(self, params, x, context):
        y, kept = super().forward(params, x, context)
        return context.xp.astype(y, context.xp.float64), kept


class LeansOnNumPy(layers.Tanh):
    def forward(self, params, x, context):
        y = np.tanh(np.asarray(x))
        return y, y


class AsksForTheLibrary(layers.Tanh):
    """As it should be on NumPy, and something else elsewhere."""

    def forward(self, params, x, context):
        y, kept = super().forward(params, x, context)
        return (y if "numpy" in repr(context.xp) else 0.5 * y), kept


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Overflows(), r"in float64: output is not finite for inputs of 10000"),
        (Mutable(), r"Mutable must be a dataclass\(frozen=True\)"),
        (Rounds(), "comes back from a file as .*shift=2.5"),
        (Widens(), "in float32: output must stay float32; got float64"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_layers_that_break_in_float32_on_extremes_or_in_files_are_caught(layer, message):
    with pytest.raises(CheckError, match=message):
        check_layer(layer, (3,), beside=())


def test_a_layer_that_works_on_one_library_alone_is_caught(open_backend):
    strict = open_backend("array-api-strict")
    check_layer(layers.Tanh(), (3,), beside=[strict])
    with pytest.raises(CheckError, match=r"AsksForTheLibrary.* on array-api-strict in float64: output is"):
        check_layer(AsksForTheLibrary(), (3,), beside=[strict])
    with pytest.raises(CheckError, match=r"on array-api-strict in float64: LeansOnNumPy\.forward raises"):
        check_layer(LeansOnNumPy(), (3,), beside=[strict])


def test_beside_is_a_list_and_what_is_available_by_default(monkeypatch):
    from xpnet.testing import comparison_backends

    with pytest.raises(xpnet.ConfigurationError, match=r"write beside=\['numpy'\]"):
        check_layer(layers.Tanh(), (3,), beside="numpy")
    infos = {"nothing": xpnet.backend.BackendInfo("nothing", "1")}
    monkeypatch.setattr(comparison_backends, "available_backends", lambda: infos)
    with pytest.raises(xpnet.BackendError, match="nothing"):
        check_layer(layers.Tanh(), (3,))


def test_without_array_api_strict_a_check_says_that_it_proves_less(monkeypatch):
    from xpnet.testing import comparison_backends

    infos = {name: xpnet.backend.BackendInfo(name, "1") for name in ("numpy",)}
    missing = xpnet.backend.BackendInfo("array-api-strict", problem="not installed")
    monkeypatch.setattr(comparison_backends, "available_backends", lambda: {**infos, missing.name: missing})
    for check in (
        lambda **given: check_layer(layers.Tanh(), (3,), **given),
        lambda **given: check_loss(losses.MeanSquaredError(), [[0.5]], **given),
        lambda **given: check_optimizer(optimizers.SGD(0.1), **given),
    ):
        with pytest.warns(
            UserWarning, match=r"^portability was not checked, as .*pip install 'xpnet\[strict\]'$"
        ) as caught:
            check()
        assert [warning.filename for warning in caught] == [__file__]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(beside=())


class LinkOfOneRow(losses.CrossEntropy):
    def link(self, scores, xp):
        return super().link(scores, xp)[0, :]


class FloatingClasses(losses.CrossEntropy):
    def classify(self, scores, xp):
        return xp.astype(super().classify(scores, xp), scores.dtype)


class OneClassTooFew(losses.CrossEntropy):
    def classify(self, scores, xp):
        return super().classify(scores, xp)[:1]


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (LinkOfOneRow(), r"link must have shape \(3, 3\); got \(3,\)"),
        (FloatingClasses(), r"classify\(\) must give integers; got float64"),
        (OneClassTooFew(), r"classify\(\) gives \(1,\), true_classes\(\) \(3,\)"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_links_and_classes_that_do_not_fit_are_caught(loss, message):
    with pytest.raises(CheckError, match=message):
        check_loss(loss, [0, 2, 1], out_shape=(3,), beside=())


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_optimizers_that_fail_on_extreme_gradients_are_caught():
    @dataclass(frozen=True)
    class Relative(optimizers.SGD):
        def update(self, gradient, params, state, now):
            return gradient, params - now.learning_rate * gradient / now.xp.exp(-now.xp.abs(gradient)), state

    with pytest.raises(CheckError, match=r"not finite for gradients of 10000"):
        check_optimizer(Relative(1e-3), beside=())


def test_the_error_is_one_of_xpnets_and_a_failed_assertion():
    assert issubclass(CheckError, xpnet.XpnetError)
    assert issubclass(CheckError, AssertionError)


def test_numeric_gradients_are_right_to_nine_digits():
    at = np.array([[0.3, -1.2], [2.0, 0.7]])
    weights = np.array([[1.0, -2.0], [0.5, 3.0]])
    found = numeric_gradient(lambda x: np.sin(x) * x, at, weights)
    np.testing.assert_allclose(found, weights * (np.cos(at) * at + np.sin(at)), rtol=1e-9)
