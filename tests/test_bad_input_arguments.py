"""Arguments of calls that make no sense, and calls that come too early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from bad_input import (
    FEATURES,
    METHODS,
    ROWS,
    TARGETS,
    Row,
    X,
    assert_a_trained_network_refuses,
    assert_an_unbuilt_network_refuses,
    bad_fit,
    make,
    names,
    snapshot,
)

import xpnet
from xpnet import BackendError, ConfigurationError, DataError, Dense, Network, NotBuiltError, ShapeError

Y3 = TARGETS["classes"]

ARGUMENTS_TABLE = [
    *bad_fit("epochs-negative", {"epochs": -1}, ConfigurationError, "epochs", "at least 0", "-1"),
    *bad_fit("epochs-fraction", {"epochs": 1.5}, ConfigurationError, "epochs", "integer", "1.5"),
    *bad_fit("epochs-bool", {"epochs": True}, ConfigurationError, "epochs", "integer", "True"),
    *bad_fit("batch_size-zero", {"batch_size": 0}, ConfigurationError, "batch_size", "at least 1", "0"),
    *bad_fit("batch_size-negative", {"batch_size": -3}, ConfigurationError, "batch_size", "at least 1", "-3"),
    *bad_fit("batch_size-text", {"batch_size": "32"}, ConfigurationError, "batch_size", "'32'"),
    *bad_fit("verbose-unknown", {"verbose": "loud"}, ConfigurationError, "verbose", "auto", "'loud'"),
    *bad_fit("verbose-number", {"verbose": 7}, ConfigurationError, "verbose", "auto", "7"),
    *bad_fit("verbose-array", {"verbose": np.ones(2)}, ConfigurationError, "verbose", "auto", "array"),
    *bad_fit("verbose-none", {"verbose": None}, ConfigurationError, "verbose", "auto", "None"),
    *bad_fit("shuffle-text", {"shuffle": "batch"}, ConfigurationError, "shuffle", "True", "False", "'batch'"),
    *bad_fit("shuffle-none", {"shuffle": None}, ConfigurationError, "shuffle", "True", "False", "None"),
    *bad_fit("split-above-1", {"validation_split": 1.5}, ConfigurationError, "validation_split", "below 1", "1.5"),
    *bad_fit("split-1", {"validation_split": 1.0}, ConfigurationError, "validation_split", "below 1", "1.0"),
    *bad_fit("split-in-percent", {"validation_split": 10}, ConfigurationError, "validation_split", "0.1 for 10 %"),
    *bad_fit("split-negative", {"validation_split": -0.1}, ConfigurationError, "validation_split", "-0.1"),
    *bad_fit("split-nan", {"validation_split": np.nan}, ConfigurationError, "validation_split", "nan"),
    *bad_fit("split-text", {"validation_split": "0.1"}, ConfigurationError, "validation_split", "'0.1'"),
    *bad_fit("split-too-small", {"validation_split": 0.01}, ConfigurationError, "validation_split", "12 examples"),
    *bad_fit(
        "split-and-data",
        {"validation_split": 0.5, "validation_data": (X, TARGETS["classes"])},
        ConfigurationError,
        "validation_split",
        "validation_data",
        "not both",
    ),
    *bad_fit(
        "validation-features",
        {"validation_data": (X[:, :2], TARGETS["classes"])},
        ShapeError,
        "validation_data",
        "(N, 4)",
        "(12, 2)",
    ),
    *bad_fit(
        "validation-lengths", {"validation_data": (X, [0])}, ShapeError, "validation_data", "expected 12", "got 1"
    ),
    *bad_fit("validation-labels", {"validation_data": (X, [9] * ROWS)}, DataError, "validation_data", "0..2", "9"),
    *bad_fit("validation-array", {"validation_data": X}, DataError, "validation_data", "(x, y)"),
    *bad_fit("validation-number", {"validation_data": 5}, DataError, "validation_data", "(x, y)", "int"),
    *(
        bad_validation
        for name, data, fragment in (
            ("one", (X,), "tuple of 1"),
            ("four", (X, Y3, Y3, Y3), "tuple of 4"),
            ("nothing", [], "list of 0"),
            ("list-of-one", [X], "got ndarray"),
            ("batches-of-one", [(X,), (X,)], "got tuple"),
            ("later-batch-of-one", [(X, Y3), (X,)], "got tuple"),
        )
        for bad_validation in bad_fit(
            f"validation-{name}", {"validation_data": data}, DataError, "validation_data", "(x, y)", fragment
        )
    ),
    *bad_fit(
        "validation-batch-features",
        {"validation_data": [(X[:, :2], Y3), (X, Y3)]},
        ShapeError,
        "validation_data",
        "(N, 4)",
        "(12, 2)",
    ),
    *bad_fit("callbacks-unknown", {"callbacks": ["early_stoping"]}, ConfigurationError, "callback", "'early_stopping'"),
    *bad_fit("callbacks-class", {"callbacks": [xpnet.EarlyStopping]}, ConfigurationError, "callback", "EarlyStopping("),
    *bad_fit("callbacks-number", {"callbacks": [5]}, ConfigurationError, "callback", "5"),
    *bad_fit("callbacks-no-list", {"callbacks": xpnet.TerminateOnNaN()}, ConfigurationError, "callbacks", "list"),
    *bad_fit("callbacks-name", {"callbacks": "early_stopping"}, ConfigurationError, "callbacks", "list"),
    *bad_fit(
        "monitor-missing", {"callbacks": [xpnet.EarlyStopping()]}, ConfigurationError, "monitor", "val_loss", "accuracy"
    ),
    *bad_fit(
        "monitor-val_accuracy",
        {"callbacks": [xpnet.EarlyStopping("val_accuracy")]},
        ConfigurationError,
        "'val_accuracy' is not among the epoch's results (loss, accuracy, learning_rate); give fit validation_split",
    ),
    *bad_fit(
        "monitor-val_acc",
        {"callbacks": [xpnet.EarlyStopping("val_acc")], "validation_split": 0.5},
        ConfigurationError,
        "monitor='val_acc' is not among",
        "; did you mean 'val_accuracy'?",
    ),
    *bad_fit(
        "monitor-plateau",
        {"callbacks": [xpnet.ReduceLROnPlateau("acuracy")]},
        ConfigurationError,
        "monitor",
        "'acuracy'",
        "accuracy",
    ),
    *bad_fit(
        "monitor-checkpoint",
        {"callbacks": [xpnet.ModelCheckpoint("best.safetensors", save_best_only=True)]},
        ConfigurationError,
        "monitor",
        "val_loss",
    ),
    *bad_fit(
        "checkpoint-path",
        {"callbacks": [xpnet.ModelCheckpoint("{epoch}-{val_loss}.safetensors")]},
        ConfigurationError,
        "path",
        "val_loss",
        "accuracy",
    ),
    *(
        Row(
            f"{method}-{name}",
            call,
            DataError,
            ("y is missing", f"{kind} of", f"{method}({apart})"),
            unbuilt=method == "fit",
        )
        for method, do in {"fit": lambda net, data: net.fit(data, verbose=0), "evaluate": Network.evaluate}.items()
        for name, kind, apart, data in (
            ("pair", "tuple", "x, y", (X, Y3)),
            ("pair-of-lists", "tuple", "x, y", (X.tolist(), Y3.tolist())),
            ("list-of-two", "list", "x, y", [X, Y3]),
            ("triple", "tuple", "x, y, sample_weight=weights", (X, Y3, np.ones(ROWS))),
        )
        for call in [lambda net, x, y, do=do, data=data: do(net, data)]
    ),
    Row(
        "fit-pair-split",
        lambda net, x, y: net.fit((x, y), validation_split=0.5, verbose=0),
        DataError,
        ("y is missing", "fit(x, y)"),
        unbuilt=True,
    ),
    Row("fit-no-y", lambda net, x, y: net.fit(x, verbose=0), DataError, ("y is missing", "each row"), unbuilt=True),
    Row("fit-no-data", lambda net, x, y: net.fit(None, verbose=0), DataError, ("x", "None"), unbuilt=True),
    Row("fit-number", lambda net, x, y: net.fit(5, verbose=0), DataError, ("y is missing", "int"), unbuilt=True),
    Row(
        "fit-batches-with-weights",
        lambda net, x, y: net.fit([(x, y)], sample_weight=np.ones(ROWS), verbose=0),
        ConfigurationError,
        ("sample_weight", "(x, y, weights)"),
    ),
    Row(
        "fit-batches-with-split",
        lambda net, x, y: net.fit([(x, y)], validation_split=0.5, verbose=0),
        ConfigurationError,
        ("validation_split", "validation_data"),
    ),
    Row(
        "fit-batches-balanced",
        lambda net, x, y: net.fit([(x, y)], class_weight="balanced", verbose=0),
        ConfigurationError,
        ("class_weight", "balanced", "batches"),
    ),
    Row("fit-batches-none", lambda net, x, y: net.fit([], verbose=0), DataError, ("batches", "none")),
    Row("fit-batches-triples", lambda net, x, y: net.fit([(x, y, y, y)], verbose=0), DataError, ("(x, y)", "tuple")),
    Row("fit-batches-dicts", lambda net, x, y: net.fit([{"x": x}], verbose=0), DataError, ("(x, y)", "dict")),
    Row(
        "fit-batches-features", lambda net, x, y: net.fit([(x[:, :1], y)], verbose=0), ShapeError, ("(N, 4)", "(12, 1)")
    ),
    Row("predict-batch_size", lambda net, x, y: net.predict(x, batch_size=0), ConfigurationError, ("batch_size", "0")),
    Row(
        "evaluate-batch_size",
        lambda net, x, y: net.evaluate(x, y, batch_size=None),
        ConfigurationError,
        ("batch_size",),
    ),
    Row("classify-real", lambda net, x, y: net.classify(x), ConfigurationError, ("classify", "predict"), kind="real"),
    Row("build-other-shape", lambda net, x, y: net.build(5), ShapeError, ("(4,)", "(5,)")),
    Row("averaged", lambda net, x, y: net.averaged(), ConfigurationError, ("average", "ExponentialMovingAverage")),
    Row("to-unknown", lambda net, x, y: net.to("numpi"), BackendError, ("backend", "'numpi'", "'numpy'")),
    Row(
        "to-dtype",
        lambda net, x, y: net.to("numpy", dtype="float16"),
        ConfigurationError,
        ("dtype", "float32", "float16"),
    ),
    *(
        Row(
            f"learning_rate-{value!r}",
            lambda net, x, y, value=value: setattr(net, "learning_rate", value),
            ConfigurationError,
            ("learning_rate", "at least 0", repr(value)),
            unbuilt=True,
        )
        for value in (-1.0, float("nan"), float("inf"), "fast", None, True)
    ),
]

UNBUILT_TABLE = [
    *(
        Row(f"unbuilt-{name}", call, NotBuiltError, (name, "fit", "inputs="), unbuilt=True)
        for name, call in {
            **{name: METHODS[name] for name in ("predict", "classify", "forward", "evaluate")},
            "get_weights": lambda net, x, y: net.get_weights(),
            "set_weights": lambda net, x, y: net.set_weights({}),
            "averaged": lambda net, x, y: net.averaged(),
            "learning_rate": lambda net, x, y: setattr(net, "learning_rate", 0.1),
        }.items()
    ),
    Row(
        "unbuilt-batches",
        lambda net, x, y: net.fit([(x, y)], verbose=0),
        NotBuiltError,
        ("iterable of batches", "inputs=", "build"),
        unbuilt=True,
    ),
    *(
        Row(f"build-{inputs!r}", lambda net, x, y, i=inputs: net.build(i), ConfigurationError, ("inputs", repr(inputs)))
        for inputs in (0, -2, 2.5, "4", None, True, (4, 0), [2.5])
    ),
]


@pytest.mark.parametrize("row", ARGUMENTS_TABLE, ids=names(ARGUMENTS_TABLE))
def test_a_trained_network_refuses_and_stays_as_it_was(row: Row, trained: dict[str, Network]) -> None:
    assert_a_trained_network_refuses(row, trained)


UNBUILT = [row for row in ARGUMENTS_TABLE if row.unbuilt] + UNBUILT_TABLE


@pytest.mark.parametrize("row", UNBUILT, ids=names(UNBUILT))
def test_a_network_that_has_seen_no_data_refuses_and_stays_unbuilt(row: Row, backend: xpnet.Backend) -> None:
    assert_an_unbuilt_network_refuses(row, backend)


def test_a_rate_that_the_schedule_cannot_reach(backend: xpnet.Backend) -> None:
    schedule = xpnet.PiecewiseConstant((1,), (0.1, 0.0))
    net = make("classes", backend, optimizer=xpnet.SGD(schedule))
    net.fit(X, TARGETS["classes"], batch_size=None, verbose=0)
    before = snapshot(net)
    with pytest.raises(ConfigurationError, match=r"learning_rate=0.5 cannot be reached.*gives 0 at step 1"):
        net.learning_rate = 0.5
    net.learning_rate = 0.0
    assert snapshot(net) == before


def test_a_build_that_fails_leaves_the_network_unbuilt(backend: xpnet.Backend) -> None:
    @dataclass(frozen=True)
    class Broken:
        def __call__(self, stream: Any, shape: Any) -> Any:
            raise RuntimeError("no numbers today")

    net = Network([Dense(2, weight_initializer=Broken())], backend=backend)
    with pytest.raises(RuntimeError, match="no numbers today"):
        net.build(FEATURES)
    assert not net.built
    with pytest.raises(NotBuiltError):
        net.get_weights()
