"""Names for objects, on every table of names that the library has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from xpnet import (
    Backend,
    ConfigurationError,
    Dense,
    Network,
    ShapeError,
    callbacks,
    initializers,
    losses,
    metrics,
    optimizers,
    schedules,
)
from xpnet.layers import Residual, Tanh, names as layers
from xpnet.layers.base import Built
from xpnet.registry import INTERFACES, resolve

TABLES: dict[str, Any] = {
    "layer": layers.NAMES,
    "loss": losses.NAMES,
    "optimizer": optimizers.NAMES,
    "metric": metrics.NAMES,
    "initializer": initializers.NAMES,
    "callback": callbacks.NAMES,
}
ENTRIES = [(kind, name) for kind, names in TABLES.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_a_name_stands_for_its_class_with_defaults(kind: str, name: str) -> None:
    names = TABLES[kind]
    found = resolve(kind, name, names)
    assert type(found) is names[name]
    assert all(hasattr(found, method) for method in INTERFACES[kind].methods)
    assert resolve(kind, found, names) is found


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_a_slip_of_the_pen_gets_a_suggestion(kind: str, name: str) -> None:
    names = TABLES[kind]
    wrong = name[:-1] + "_" if len(name) > 3 else name + "x"
    with pytest.raises(ConfigurationError) as caught:
        resolve(kind, wrong, names)
    message = str(caught.value)
    assert message.startswith(f"unknown {kind} {wrong!r}; did you mean '")
    assert message.partition("did you mean '")[2].partition("'")[0] in names
    assert all(known in message for known in names)


@pytest.mark.parametrize(
    ("kind", "name", "call"),
    [
        ("layer", "dense", "Dense(units)"),
        ("layer", "reshape", "Reshape(shape)"),
        ("callback", "model_checkpoint", "ModelCheckpoint(path)"),
        ("callback", "LearningRateScheduler", "LearningRateScheduler(schedule)"),
    ],
)
def test_the_name_of_a_class_that_needs_arguments_says_how_to_write_it(kind: str, name: str, call: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(kind, name, TABLES[kind])
    assert str(caught.value) == f"unknown {kind} {name!r}; write {call}, the object itself"


@given(st.text(max_size=20))
def test_no_text_is_more_than_unknown(text: str) -> None:
    names = TABLES["loss"]
    if text not in names:
        with pytest.raises(ConfigurationError, match="unknown loss"):
            resolve("loss", text, names)


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("value", [None, 5, 2.5, [], {}, object(), b"relu"])
def test_what_is_no_such_object_is_refused(kind: str, value: Any) -> None:
    names = TABLES[kind]
    with pytest.raises(
        ConfigurationError, match=f"^an? {kind} must be a name or an object with {INTERFACES[kind].methods[0]}"
    ) as caught:
        resolve(kind, value, names)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("kind", TABLES)
def test_an_object_that_lacks_a_method_is_told_which(kind: str) -> None:
    *others, last = INTERFACES[kind].methods
    partial = type("Partial", (), {name: print for name in others if name != "__call__"})()
    with pytest.raises(ConfigurationError, match=rf"which lacks .*{last}; .*of your own") as caught:
        resolve(kind, partial, TABLES[kind])
    said = str(caught.value).partition("which lacks ")[2]
    assert not any(f"{name}," in said for name in others if name != "__call__")


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("loss", losses.CrossEntropy, "CrossEntropy()"),
        ("loss", losses.Quantile, "Quantile()"),
        ("layer", Dense, "Dense(units)"),
        ("metric", metrics.Accuracy, "Accuracy()"),
        ("optimizer", optimizers.Adam, "Adam()"),
        ("initializer", initializers.Zeros, "Zeros()"),
        ("callback", callbacks.ModelCheckpoint, "ModelCheckpoint(path)"),
    ],
)
def test_a_class_is_told_from_its_object(kind: str, value: type, written: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(kind, value, TABLES[kind])
    assert str(caught.value).endswith(f"must be an object; got the class {value.__name__}: write {written}")


class CrossEntropyLoss:
    """As PyTorch's is called."""


class Linear:
    """As PyTorch's is called; '"linear"' is something else here."""


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("loss", lambda scores, targets: scores - targets, "docs/own_loss_and_metric.md"),
        ("loss", CrossEntropyLoss(), "write 'cross_entropy'"),
        ("loss", CrossEntropyLoss, "write 'cross_entropy'"),
        ("metric", metrics.accuracy, "write 'accuracy'"),
        ("metric", lambda scores, targets: 0.0, "docs/own_loss_and_metric.md"),
        ("layer", np.tanh, "write 'tanh'"),
        ("layer", Linear(), "docs/own_layer.md"),
        ("optimizer", lambda weight: weight, "docs/own_optimizer.md"),
        ("callback", print, "xpnet.Callback"),
    ],
)
def test_what_goes_by_a_name_or_can_be_written_says_how(kind: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match="must be a name or an object with") as caught:
        resolve(kind, value, TABLES[kind])
    assert said in str(caught.value)


PAGES = sorted({kind.guide.split()[0] for kind in INTERFACES.values() if kind.guide.startswith("docs/")})


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_that_are_named_are_there(page: str) -> None:
    assert (Path(__file__).parents[1] / page).is_file()


class BuildsAShape(Tanh):
    def build(self, in_shape):
        return in_shape


class GivesOutputAlone(Tanh):
    def forward(self, params, x, context):
        return super().forward(params, x, context)[0]


class GivesThree(Tanh):
    def backward(self, params, residuals, dy, context):
        return (*super().backward(params, residuals, dy, context), None)


class GivesNoSlopes(losses.CrossEntropy):
    def __call__(self, scores, targets, xp):
        return super().__call__(scores, targets, xp)[0]


class GivesTwo(optimizers.SGD):
    def update(self, gradient, params, state, now):
        return super().update(gradient, params, state, now)[1:]


@dataclass(frozen=True)
class BuildsForABatch(Tanh):
    def build(self, in_shape: Any) -> Any:
        return Built((None, *in_shape))


@dataclass(frozen=True)
class BuildsANumber(Tanh):
    def build(self, in_shape: Any) -> Any:
        return Built(in_shape[0])


class DeclaresAnArray(Tanh):
    def build(self, in_shape):
        return Built(in_shape, {"bias": np.zeros(in_shape)})


class Averages(losses.CrossEntropy):
    def __post_init__(self):
        object.__setattr__(self, "reduction", "average")


@dataclass(frozen=True)
class NoWayBack:
    build = Tanh.build
    forward = Tanh.forward


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"layers": ["relu", BuildsAShape()]},
            "BuildsAShape.build must return an xpnet.layers.base.Built; got a tuple",
        ),
        (
            {"layers": ["relu", BuildsForABatch()]},
            "layer 2: BuildsForABatch.build: out_shape must be a tuple of integers above 0, without the axis of the"
            " batch, (4,) for 4 outputs; got (None, 4); docs/own_layer",
        ),
        (
            {"layers": [Residual(["relu"], BuildsANumber())]},
            "layer shortcut: BuildsANumber.build: out_shape must be a tuple",
        ),
        (
            {"layers": [DeclaresAnArray()]},
            "layer 1: DeclaresAnArray.build: bias must be declared as Param(shape, ",
        ),
        ({"loss": Averages()}, "unknown reduction 'average'"),
        ({"layers": [GivesOutputAlone()]}, "GivesOutputAlone.forward must return (y, residuals); got "),
        (
            {"layers": [GivesThree()]},
            "GivesThree.backward must return (dx, gradients); got a tuple of 3; docs/own_layer",
        ),
        ({"layers": [Residual(["relu"], GivesOutputAlone())]}, "GivesOutputAlone.forward must return (y, residuals)"),
        (
            {"layers": [Residual(["relu"], GivesThree())]},
            "GivesThree.backward must return (dx, gradients); got a tuple",
        ),
        ({"loss": GivesNoSlopes()}, "GivesNoSlopes.__call__ must return (losses, slopes); got "),
        (
            {"optimizer": GivesTwo()},
            "GivesTwo.update must return (gradient, params, state); got a tuple of 2; docs/own_o",
        ),
        ({"optimizer": optimizers.chain(optimizers.L2(), GivesTwo())}, "GivesTwo.update must return (gradient, params"),
        (
            {"layers": [NoWayBack()]},
            "with build, forward, backward; got NoWayBack(), which lacks backward; docs/own_la",
        ),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else "",
)
def test_what_returns_something_else_is_named_in_training(parts: Any, said: str, backend: Backend) -> None:
    settings = {"layers": [], **parts}
    with pytest.raises(ConfigurationError) as caught:
        Network([Dense(4), *settings.pop("layers"), Dense(3)], backend=backend, **settings).fit(
            np.ones((6, 2)), [0, 1, 2] * 2, verbose=0
        )
    assert said in str(caught.value)


def test_one_array_of_two_rows_is_no_pair() -> None:
    with pytest.raises(ConfigurationError, match="GivesOutputAlone"):
        Network([Dense(4), GivesOutputAlone(), Dense(3)]).fit(np.ones((2, 2)), [0, 1], verbose=0)


class GivesANumber(Tanh):
    def forward(self, params, x, context):
        return 1.0, None


class GivesOneRow(Tanh):
    def forward(self, params, x, context):
        y, kept = super().forward(params, x, context)
        return y[:1, ...], kept


class GivesNoSlope(Tanh):
    def backward(self, params, residuals, dy, context):
        return None, {}


class GivesFewSlopes(Tanh):
    def backward(self, params, residuals, dy, context):
        dx, gradients = super().backward(params, residuals, dy, context)
        return dx[:2, ...], gradients


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([GivesANumber()], "layer 1: GivesANumber.forward must give an array with a row for each of x's 6; got float"),
        (
            [GivesOneRow()],
            "layer 1: GivesOneRow.forward must give an array with a row for each of x's 6; got shape (1,",
        ),
        ([GivesNoSlope()], "layer 1: GivesNoSlope.backward must give dx with a row for each of dy's 6; got NoneType"),
        (
            [GivesFewSlopes()],
            "layer 1: GivesFewSlopes.backward must give dx with a row for each of dy's 6; got shape (2",
        ),
        ([Residual(["relu"], GivesOneRow())], "layer shortcut: GivesOneRow.forward must give an array with a row"),
        ([Residual([GivesNoSlope()])], "layer 0: GivesNoSlope.backward must give dx with a row for each of dy's"),
    ],
    ids=["number", "one row", "no slope", "few slopes", "shortcut", "inside"],
)
def test_what_gives_too_few_rows_is_named_in_training(layers: Any, said: str, backend: Backend) -> None:
    with pytest.raises(ShapeError) as caught:
        Network([Dense(4), *layers, Dense(3)], backend=backend).fit(np.ones((6, 2)), [0, 1, 2] * 2, verbose=0)
    assert said in str(caught.value)


class FailsOnItsWay(Tanh):
    def forward(self, params, x, context):
        raise ZeroDivisionError("of its own")


class FailsOnItsWayBack(Tanh):
    def backward(self, params, residuals, dy, context):
        raise ZeroDivisionError("of its own")


@pytest.mark.parametrize(("layer", "way"), [(FailsOnItsWay(), "forward"), (FailsOnItsWayBack(), "backward")])
def test_an_error_of_a_layers_own_says_which_layer(layer: Any, way: str, backend: Backend) -> None:
    with pytest.raises(ZeroDivisionError, match="of its own") as caught:
        Network([Dense(4), layer, Dense(3)], backend=backend).fit(np.ones((6, 2)), [0, 1, 2] * 2, verbose=0)
    assert caught.value.__notes__[0] == f"It is in {way} of layer 1, {type(layer).__name__}."


class ReadsItsOwnRate(optimizers.SGD):
    def update(self, gradient, params, state, now):
        return gradient, params - self.learning_rate * gradient, state


def test_an_error_of_an_optimizers_own_says_where_the_rate_is() -> None:
    net = Network([Dense(3)], optimizer=ReadsItsOwnRate(schedules.CosineDecay(0.1, 9)))
    with pytest.raises(TypeError) as caught:
        net.fit(np.ones((6, 2)), [0, 1, 2] * 2, verbose=0)
    (note,) = caught.value.__notes__
    assert note.startswith("It is in update of ReadsItsOwnRate. The rate of a step is now.learning_rate")
