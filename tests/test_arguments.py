"""Arguments that are not there: what to write instead, and nothing else changed."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import (
    ArgumentError,
    Dense,
    Network,
    foreign_names,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    plotting,
    schedules,
)
from xpnet.arguments import explains_arguments

X, Y = np.ones((6, 4)), np.arange(6) % 3

RECORDS = [
    value
    for module in (layers, losses, optimizers, metrics, initializers, schedules)
    for name in module.__all__
    if is_dataclass(value := getattr(module, name)) and name not in ("Built", "ConstantRate")
]
CALLBACKS = [xpnet.EarlyStopping, xpnet.ReduceLROnPlateau, xpnet.ModelCheckpoint]
METHODS = [Network.fit, Network.evaluate, Network.to, Network.save, Network.to_onnx]
PLOTS = [getattr(plotting, name) for name in plotting.__all__]
FUNCTIONS = [Network, *METHODS, *PLOTS, xpnet.split]


def network() -> Network:
    return Network([Dense(3)])


CASES: dict[str, tuple[Callable[[], object], str, str]] = {
    # Keras
    "Dense(activation)": (lambda: Dense(8, activation="relu"), "'activation'", "[Dense(8), 'relu', ...]"),
    "Dense(input_shape)": (lambda: Dense(8, input_shape=(3,)), "'input_shape'", "Network(..., inputs=...)"),
    "Dense(kernel_initializer)": (lambda: Dense(8, kernel_initializer="ones"), "; write", "weight_initializer='ones'"),
    "Dense(use_bias)": (lambda: Dense(8, use_bias=False), "; write", "bias=False. It has units, bias"),
    "Dense(kernel_regularizer)": (lambda: Dense(8, kernel_regularizer="l2"), "optimizer", "chain(L2(1e-4), Adam())"),
    "Adam(beta_1)": (lambda: xpnet.Adam(beta_1=0.8), "'beta_1'", "write beta1=0.8"),
    "Adam(clipnorm)": (lambda: xpnet.Adam(clipnorm=1.0), "'clipnorm'", "ClipByNorm"),
    "CrossEntropy(weight)": (
        lambda: xpnet.CrossEntropy(weight=[1, 2]),
        "'weight'",
        "fit(x, y, class_weight=[1.0, 2.0])",
    ),
    "BinaryCrossEntropy(pos_weight)": (lambda: xpnet.BinaryCrossEntropy(pos_weight=2), "'pos_weight'", "class_weight="),
    "LeakyReLU(negative_slope)": (lambda: xpnet.LeakyReLU(negative_slope=0.1), "'negative_slope'", "write slope=0.1"),
    "CrossEntropy(from_logits)": (lambda: xpnet.CrossEntropy(from_logits=True), "'from_logits'", "raw scores"),
    "fit(nb_epoch)": (lambda: network().fit(X, Y, nb_epoch=3), "Network.fit has", "write epochs=3"),
    "fit(metrics)": (lambda: network().fit(X, Y, metrics=["f1"]), "belongs to", "Network(layers, metrics=...)"),
    "fit(steps_per_epoch)": (lambda: network().fit(X, Y, steps_per_epoch=9), "'steps_per_epoch'", "one pass"),
    "evaluate(verbose)": (lambda: network().evaluate(X, Y, verbose=0), "Network.evaluate has", "nothing is printed"),
    "save(filepath)": (lambda: network().save(filepath="a"), "Network.save has", "write path='a'"),
    "save(overwrite)": (lambda: network().save("a", overwrite=True), "'overwrite'", "what is there is replaced"),
    "plot_history(ax)": (lambda: plotting.plot_history({}, ax=None), "'ax'", "write axes=..."),
    "ModelCheckpoint(filepath)": (lambda: xpnet.ModelCheckpoint(filepath="a"), "'filepath'", "write path='a'"),
    "CosineDecay(decay_steps)": (lambda: xpnet.CosineDecay(0.1, decay_steps=9), "'decay_steps'", "write steps=9"),
    # PyTorch
    "Dense(in_features)": (lambda: Dense(in_features=4, out_features=8), "'in_features'", "taken from the data"),
    "Dense(out_features)": (lambda: Dense(out_features=8), "'out_features'", "write units=8"),
    "BatchNorm(num_features)": (lambda: xpnet.BatchNorm(num_features=8), "'num_features'", "taken from the data"),
    "Dropout(p)": (lambda: xpnet.Dropout(p=0.2), "'p'", "write rate=0.2. It has rate"),
    "Adam(lr)": (lambda: xpnet.Adam(lr=0.1), "Adam has no argument 'lr'", "write learning_rate=0.1"),
    "Adam(betas)": (lambda: xpnet.Adam(betas=(0.9, 0.99)), "'betas'", "beta1 and beta2"),
    "Adam(weight_decay)": (lambda: xpnet.Adam(weight_decay=0.1), "'weight_decay'", "AdamW(weight_decay=...)"),
    "SGD(weight_decay)": (lambda: xpnet.SGD(weight_decay=0.1), "'weight_decay'", "chain(L2(...), SGD())"),
    "StepDecay(step_size)": (lambda: xpnet.StepDecay(0.1, step_size=3, gamma=0.1), "'step_size'", "write every=3"),
    # scikit-learn
    "StandardScaler.fit_transform(x, y)": (
        lambda: xpnet.StandardScaler().fit_transform(X, Y),
        "StandardScaler.fit_transform: too many",
        "there take sklearn.preprocessing.StandardScaler",
    ),
    "MinMaxScaler.fit(x, y)": (
        lambda: xpnet.MinMaxScaler().fit(X, Y),
        "xpnet.MinMaxScaler is a record",
        "take x alone",
    ),
    "Network(hidden_layer_sizes)": (lambda: Network(hidden_layer_sizes=(9,)), "'hidden_layer_sizes'", "[Dense(32),"),
    "Network(random_state)": (lambda: Network([Dense(3)], random_state=1), "'random_state'", "write seed=1"),
    "Network(max_iter)": (lambda: Network([Dense(3)], max_iter=9), "it belongs to fit", "net.fit(x, y, epochs=9)"),
    "split(test_size)": (lambda: xpnet.split(X, Y, test_size=0.5), "'test_size'", "write test=0.5. It has test,"),
    # Our own names, in another place or with a slip
    "Network(learning_rate)": (lambda: Network([Dense(3)], learning_rate=0.1), "optimizer's", "Adam(learning_rate="),
    "Network(batch_size)": (lambda: Network([Dense(3)], batch_size=8), "it belongs to fit", "batch_size=8"),
    "fit(optimizer)": (lambda: network().fit(X, Y, optimizer="sgd"), "it belongs to", "optimizer='sgd')"),
    "fit(validation_splt)": (lambda: network().fit(X, Y, validation_splt=0.1), "did you mean", "'validation_split'?"),
    "EarlyStopping(patence)": (lambda: xpnet.EarlyStopping(patence=3), "did you mean", "'patience'?"),
    "Dense(zzz)": (lambda: Dense(3, zzz=1), "Dense has no argument 'zzz'.", "It has units, bias, weight_initializer"),
    # By position
    "fit(x, y, 10)": (lambda: network().fit(X, Y, 10), "only x and y go without a name", "write epochs=..."),
    "Network(a, b)": (lambda: Network(Dense(4), Dense(3)), "too many positional", "one list, Network([...])"),
    "LayerNorm(64)": (lambda: xpnet.LayerNorm(64), "features are counted in the data", "write LayerNorm()"),
    "BatchNorm(64)": (lambda: xpnet.BatchNorm(64), "features are counted in the data", "It has momentum, epsilon"),
    "Adam(rate, decay)": (lambda: xpnet.Adam(1e-3, 1e-4), "only learning_rate goes without a name", "write beta1=..."),
    "AdamW(rate, decay)": (lambda: xpnet.AdamW(1e-3, 0.004), "only learning_rate goes", "It has learning_rate, beta1,"),
    "ReLU(0.1)": (lambda: xpnet.ReLU(0.1), "ReLU: too many", "no arguments"),
    "Dense()": (lambda: Dense(), "missing a required argument: 'units'", "It has units"),
    "Dense(3, units=3)": (lambda: Dense(3, units=3), "multiple values for argument 'units'", "It has units"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_argument_that_is_not_there_says_what_to_write(name: str) -> None:
    call, *fragments = CASES[name]
    with pytest.raises(ArgumentError) as caught:
        call()
    missing = [part for part in fragments if part not in str(caught.value)]
    assert not missing, f"{missing} not in {str(caught.value)!r}"
    assert isinstance(caught.value, TypeError)
    assert caught.value.__context__ is None  # one error, not one during another


@pytest.mark.parametrize("call", [*RECORDS, *CALLBACKS, *FUNCTIONS], ids=lambda call: call.__qualname__)
def test_everything_that_is_made_by_name_explains_itself(call: Callable[..., object]) -> None:
    with pytest.raises(ArgumentError, match="has no argument 'qqq'"):
        call(qqq=1)


def test_a_call_that_is_refused_changes_nothing(backend: xpnet.Backend) -> None:
    net = Network([Dense(3)], backend=backend)
    with pytest.raises(ArgumentError):
        net.fit(X, Y, nb_epoch=3)
    assert not net.built
    net.fit(X, Y, verbose=0)
    before = net.get_weights()
    with pytest.raises(ArgumentError):
        net.fit(X, Y, 3)
    assert all(np.array_equal(array, before[name]) for name, array in net.get_weights().items())
    assert net.epochs == 1


def test_a_type_error_from_within_is_left_alone() -> None:
    own = TypeError("mine() got an unexpected keyword argument 'x'")

    @explains_arguments
    def function(x: int, *, y: int = 0) -> int:
        raise own

    with pytest.raises(TypeError) as caught:
        function(1, y=2)
    assert caught.value is own

    class Interruption(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            raise own

    with pytest.raises(TypeError) as caught:
        network().fit(X, Y, callbacks=[Interruption()], verbose=0)
    assert caught.value is own
    with pytest.raises(xpnet.DtypeError, match=r"^x must hold real numbers"):
        network().fit([["a"]], [0], verbose=0)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_signatures_stay_what_they_are(record: Any) -> None:
    parameters = inspect.signature(record).parameters
    made = [field for field in fields(record) if field.init]
    assert list(parameters) == [field.name for field in made]
    assert all(parameters[field.name].annotation == field.type for field in made)


def test_signatures_of_functions_stay_what_they_are() -> None:
    assert list(inspect.signature(Network.fit).parameters)[:4] == ["self", "x", "y", "epochs"]
    assert list(inspect.signature(Network).parameters)[:2] == ["layers", "loss"]
    assert Network.fit.__doc__
    assert Network.fit.__name__ == "fit"
    assert inspect.getsource(Network.fit).lstrip().startswith("@explains_arguments")


def test_records_are_copied_and_pickled_as_ever() -> None:
    layer = Dense(8, bias=False)
    assert pickle.loads(pickle.dumps(layer)) == copy.deepcopy(layer) == replace(layer, units=8) == layer
    with pytest.raises(ArgumentError, match="write units=9"):
        replace(layer, neurons=9)


@pytest.mark.parametrize("name", ["train_step", "forward", "predict", "classify"])
def test_what_runs_for_each_batch_pays_nothing(name: str) -> None:
    assert not hasattr(getattr(Network, name), "__wrapped__")


def test_each_of_our_names_in_the_table_is_an_argument_somewhere() -> None:
    known = {name for call in (*RECORDS, *CALLBACKS, *FUNCTIONS) for name in inspect.signature(call).parameters}
    assert {ours for names in foreign_names.ARGUMENTS.values() for ours in names} <= known
    assert all(name == name.lower() for name in foreign_names.ARGUMENTS)


@pytest.mark.parametrize("bias", [8, "relu", None, 1.0, np.ones(2)])
def test_bias_is_true_or_false(bias: Any) -> None:
    with pytest.raises(xpnet.ConfigurationError, match=r"Dense\.bias must be True or False; got .*layer of its own"):
        Dense(4, bias)
    assert Dense(4, np.False_) == Dense(4, bias=False)
    assert type(Dense(4, np.False_).bias) is bool


WITHOUT = {"Backend", "BackendInfo", "Callback", "History", "Param", "TerminateOnNaN", "available_backends"}
"""Public names that take anything, nothing, or are made by xpnet alone."""


def is_called(name: str) -> bool:
    public = getattr(xpnet, name)
    return callable(public) and not (isinstance(public, type) and issubclass(public, BaseException))


@pytest.mark.parametrize("name", sorted(filter(is_called, set(xpnet.__all__) - WITHOUT)))
def test_an_argument_that_is_not_there_is_explained_by_everything_public(name: str) -> None:
    with pytest.raises(ArgumentError, match=rf"^{name} has no argument 'unheard_of'"):
        getattr(xpnet, name)(unheard_of=1)
