"""What bad input gets: one table, each row on every backend.

A row is a call, the exception that it must raise, and what the message must contain: the argument, what was
expected, what was given. After every row the network is, bit for bit, what it was, and it still trains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import (
    BackendError,
    CheckpointError,
    ConfigurationError,
    DataError,
    Dense,
    DtypeError,
    Network,
    NotBuiltError,
    ShapeError,
)
from xpnet.weights import read_arrays

ROWS, FEATURES, CLASSES = 12, 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, FEATURES))
TARGETS = {
    "classes": np.arange(ROWS) % CLASSES,
    "binary": np.arange(ROWS) % 2,
    "answers": np.stack([np.arange(ROWS) % 2, np.arange(ROWS) % 3 == 0], axis=1),
    "real": RNG.normal(size=ROWS),
    "hinge": np.arange(ROWS) % 2 * 2 - 1,
}
LOSSES = {
    "classes": (CLASSES, "cross_entropy"),
    "binary": (1, "binary_cross_entropy"),
    "answers": (2, "binary_cross_entropy"),
    "real": (1, "mse"),
    "hinge": (1, "hinge"),
}

Call = Callable[[Network, Any, Any], object]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    call: Call
    error: type[Exception]
    fragments: tuple[str, ...]
    kind: str = "classes"
    unbuilt: bool = False  # whether a network that has seen no data must refuse it too

    def __str__(self) -> str:
        return self.name


METHODS: dict[str, Call] = {
    "fit": lambda net, x, y: net.fit(x, y, verbose=0),
    "evaluate": lambda net, x, y: net.evaluate(x, y),
    "train_step": lambda net, x, y: net.train_step(x, y),
    "gradients": lambda net, x, y: net.gradients(x, y),
    "trace": lambda net, x, y: net.trace(x, y),
    "predict": lambda net, x, y: net.predict(x),
    "classify": lambda net, x, y: net.classify(x),
    "forward": lambda net, x, y: net.forward(x),
}
TRAINING = ("fit", "evaluate", "train_step", "gradients")
CHECKED = ("fit", "evaluate", "predict", "classify", "forward")


def bad_x(
    name: str,
    make: Callable[[], Any],
    error: type[Exception],
    *fragments: str,
    methods: tuple[str, ...] = tuple(METHODS),
    unbuilt: bool = True,
) -> Iterator[Row]:
    for method in methods:

        def call(net: Network, x: Any, y: Any, method: str = method) -> object:
            return METHODS[method](net, make(), y)

        yield Row(f"x-{name}-{method}", call, error, ("x ", *fragments), unbuilt=unbuilt and method == "fit")


def bad_y(
    name: str,
    make: Callable[[Any], Any],
    error: type[Exception],
    *fragments: str,
    kind: str = "classes",
    methods: tuple[str, ...] = TRAINING,
) -> Iterator[Row]:
    for method in methods:

        def call(net: Network, x: Any, y: Any, method: str = method) -> object:
            return METHODS[method](net, x, make(y))

        yield Row(f"y-{kind}-{name}-{method}", call, error, ("y", *fragments), kind, unbuilt=method == "fit")


def bad_weight(name: str, make: Callable[[], Any], error: type[Exception], *fragments: str) -> Iterator[Row]:
    calls: dict[str, Call] = {
        "fit": lambda net, x, y: net.fit(x, y, sample_weight=make(), verbose=0),
        "evaluate": lambda net, x, y: net.evaluate(x, y, sample_weight=make()),
        "train_step": lambda net, x, y: net.train_step(x, y, make()),
    }
    for method, call in calls.items():
        fragments_here = ("sample_weight", *fragments)
        yield Row(f"sample_weight-{name}-{method}", call, error, fragments_here, unbuilt=method == "fit")


def bad_fit(
    name: str, arguments: dict[str, Any], error: type[Exception], *fragments: str, kind: str = "classes"
) -> Iterator[Row]:
    def call(net: Network, x: Any, y: Any) -> object:
        return net.fit(
            x, y, verbose=arguments.get("verbose", 0), **{k: v for k, v in arguments.items() if k != "verbose"}
        )

    yield Row(f"fit-{name}", call, error, fragments, kind, unbuilt=True)


def with_value(value: float, where: tuple[int, ...] = (3, 1)) -> Callable[[], Any]:
    def make() -> Any:
        x = X.copy()
        x[where] = value
        return x

    return make


def sparse() -> Any:
    scipy = pytest.importorskip("scipy.sparse")
    return scipy.csr_matrix(X)


def put(index: int, value: float) -> Callable[[Any], Any]:
    def make(y: Any) -> Any:
        y = np.array(y, dtype=np.float64)
        y[index] = value
        return y

    return make


def one_hot(classes: int) -> Callable[[Any], Any]:
    return lambda y: np.eye(classes)[y % classes]


TEXT = np.full((ROWS, FEATURES), "a")


class Loader:
    """A user's own iterable of batches."""

    def __iter__(self) -> Iterator[Any]:
        return iter([X])


LOADER = Loader()

FEATURES_TABLE = [
    *bad_x("too-few-features", lambda: X[:, :3], ShapeError, "(N, 4)", "(12, 3)", unbuilt=False),
    *bad_x("too-many-features", lambda: np.hstack([X, X]), ShapeError, "(N, 4)", "(12, 8)", unbuilt=False),
    *bad_x("rank-3", lambda: X[:, :, None], ShapeError, "(N, 4)", "(12, 4, 1)", unbuilt=False),
    *bad_x("flat", lambda: X.ravel(), ShapeError, "got (48,)", unbuilt=False),
    *bad_x("single-example", lambda: X[0], ShapeError, "(N, 4)", "got (4,)", "x[None]", unbuilt=False),
    *bad_x("single-number", lambda: 3.0, ShapeError, "one row for each example", "single number"),
    *bad_x("empty", lambda: X[:0], DataError, "at least one example", "(0, 4)"),
    *bad_x("empty-list", list, DataError, "at least one example", "(0,)"),
    *bad_x("no-features", lambda: X[:, :0], DataError, "at least one", "(12, 0)"),
    *bad_x("nan", with_value(np.nan), DataError, "NaN or infinity", "check_finite=False", methods=CHECKED),
    *bad_x("infinity", with_value(np.inf), DataError, "NaN or infinity", methods=CHECKED),
    *bad_x("minus-infinity", with_value(-np.inf), DataError, "NaN or infinity", methods=CHECKED),
    *bad_x("text", lambda: TEXT, DtypeError, "real numbers", "<U1"),
    *bad_x("bytes", lambda: TEXT.astype("S"), DtypeError, "real numbers", "S1"),
    *bad_x("dates", lambda: np.full((ROWS, FEATURES), "2020-01-01", "M8[D]"), DtypeError, "datetime64"),
    *bad_x("object", lambda: TEXT.astype(object), DtypeError, "real numbers", "dtype object"),
    *bad_x("numbers-in-text", lambda: np.full((ROWS, FEATURES), "1", object), DtypeError, "real numbers"),
    *bad_x("list-of-text", lambda: [["a"] * FEATURES] * ROWS, DtypeError, "real numbers"),
    *bad_x("mapping", lambda: {"a": 1}, DtypeError, "real numbers", "dict"),
    *bad_x("none", lambda: None, DtypeError, "real numbers", "None", methods=("predict", "evaluate", "train_step")),
    *bad_x("generator", lambda: (row for row in X), DtypeError, "array of real numbers", "generator", "loop"),
    *bad_x("loader", lambda: LOADER, DtypeError, "array of real numbers", "Loader", "each batch in a loop"),
    *bad_x("integer-beyond-float64", lambda: [[10**400] * FEATURES] * ROWS, DataError, "beyond float64", "scale"),
    *bad_x("complex", lambda: X + 1j, DtypeError, "real numbers", "complex128", "real part"),
    *bad_x("ragged", lambda: [[1.0, 2.0], [1.0]], ShapeError, "not a rectangular array", "one length"),
    *bad_x("masked", lambda: np.ma.masked_less(X, 0), DataError, "masked", "fill"),
    *bad_x("sparse", sparse, DtypeError, "sparse", "csr_matrix", "toarray()"),
]

TARGETS_TABLE = [
    *bad_y("too-short", lambda y: y[:-1], ShapeError, "each row of x", "expected 12", "got 11"),
    *bad_y("too-long", lambda y: np.append(y, 0), ShapeError, "expected 12", "got 13"),
    *bad_y("single-number", lambda y: 1, ShapeError, "one row for each example"),
    *bad_y("empty", lambda y: [], ShapeError, "expected 12", "got 0"),
    *bad_y("too-high", put(2, 3), DataError, "0..2", "got 3", "Dense"),
    *bad_y("negative", put(2, -1), DataError, "0..2", "got -1"),
    *bad_y("fraction", put(2, 0.5), DataError, "integral", "0.5", "mse"),
    *bad_y("text", lambda y: np.where(y, "cat", "dog"), DtypeError, "real numbers", "<U3", "number text"),
    *bad_y("text-objects", lambda y: np.where(y, "1", "2").astype(object), DtypeError, "real numbers"),
    *bad_y("complex", lambda y: y + 1j, DtypeError, "complex128"),
    *bad_y("nan", put(1, np.nan), DataError, "NaN or infinity", methods=("fit", "evaluate")),
    *bad_y("infinity", put(1, np.inf), DataError, "NaN or infinity", methods=("fit", "evaluate")),
    *bad_y("infinity-in-a-step", put(1, np.inf), DataError, "integral", "inf", methods=("train_step",)),
    *bad_y("too-few-columns", one_hot(2), ShapeError, "2 columns", "3 outputs", "Dense(2)"),
    *bad_y("too-many-columns", one_hot(4), ShapeError, "4 columns", "3 outputs", "Dense(4)"),
    *bad_y("rank-3", lambda y: y[:, None, None], ShapeError, "(N,)", "(N, 3)", "(12, 1, 1)"),
    *bad_y("rows-that-do-not-sum-to-1", lambda y: np.eye(3)[y] * 2, DataError, "sum", "to 1", "binary_cross_entropy"),
    *bad_y("negative-probability", lambda y: np.full((ROWS, 3), [2.0, -1.0, 0.0]), DataError, "none negative"),
    *bad_y("above-1", put(2, 2), DataError, "0..1", "got 2", kind="binary"),
    *bad_y("below-0", put(2, -0.5), DataError, "0..1", "got -0.5", kind="binary"),
    *bad_y("one-hot", one_hot(2), ShapeError, "(N, 1)", "(12, 2)", kind="binary"),
    *bad_y("one-column", lambda y: y[:, 0], ShapeError, "(N, 2)", "(12,)", kind="answers"),
    *bad_y("other-sign", put(2, 5), DataError, "-1 and 1", "got 5", kind="hinge"),
    *bad_y("mixed-signs", put(2, 0), DataError, "mixes -1 and 0", kind="hinge"),
    *bad_y("two-columns", lambda y: np.stack([y, y], axis=1), ShapeError, "(N, 1)", "(12, 2)", kind="real"),
    *bad_y("nan", put(1, np.nan), DataError, "NaN or infinity", kind="real", methods=("fit", "evaluate")),
    *bad_y("text", lambda y: y.astype(str), DtypeError, "real numbers", kind="real"),
]

WEIGHTS_TABLE = [
    *bad_weight("too-short", lambda: np.ones(11), ShapeError, "expected 12", "got 11"),
    *bad_weight("rank-2", lambda: np.ones((ROWS, 1)), ShapeError, "(N,)", "(12, 1)"),
    *bad_weight("negative", lambda: put(3, -1)(np.ones(ROWS)), DataError, "not negative", "-1"),
    *bad_weight("nan", lambda: put(3, np.nan)(np.ones(ROWS)), DataError, "finite", "nan"),
    *bad_weight("infinite", lambda: put(3, np.inf)(np.ones(ROWS)), DataError, "finite", "inf"),
    *bad_weight("all-zero", lambda: np.zeros(ROWS), DataError, "0 for every example"),
    *bad_weight("text", lambda: ["a"] * ROWS, DtypeError, "real numbers"),
    *bad_weight("single-number", lambda: 2.0, ShapeError, "one row for each example"),
    *bad_fit("class_weight-unknown-class", {"class_weight": {3: 1.0}}, DataError, "class_weight", "class 3", "0..2"),
    *bad_fit("class_weight-negative-class", {"class_weight": {-1: 1.0}}, DataError, "class_weight", "-1", "0..2"),
    *bad_fit("class_weight-named-class", {"class_weight": {"cat": 1.0}}, DataError, "class_weight", "'cat'"),
    *bad_fit("class_weight-too-short", {"class_weight": [1.0, 2.0]}, ShapeError, "class_weight", "3 classes", "(2,)"),
    *bad_fit("class_weight-negative", {"class_weight": {0: -1.0}}, DataError, "class_weight", "not negative", "-1"),
    *bad_fit("class_weight-nan", {"class_weight": [1, np.nan, 1]}, DataError, "class_weight", "finite", "nan"),
    *bad_fit("class_weight-all-zero", {"class_weight": [0, 0, 0]}, DataError, "class_weight", "not 0 for all"),
    *bad_fit("class_weight-text", {"class_weight": {0: "a"}}, DtypeError, "class_weight", "'a'"),
    *bad_fit("class_weight-none", {"class_weight": {0: None}}, DtypeError, "class_weight", "None"),
    *bad_fit("class_weight-name", {"class_weight": "equal"}, ConfigurationError, "class_weight", "balanced", "'equal'"),
    *bad_fit("class_weight-number", {"class_weight": 2.0}, ShapeError, "class_weight", "3 classes", "2.0"),
    *bad_fit(
        "class_weight-real", {"class_weight": {0: 1.0}}, ConfigurationError, "class_weight", "one class", kind="real"
    ),
    *bad_fit(
        "class_weight-answers",
        {"class_weight": {0: 1.0}},
        ConfigurationError,
        "class_weight",
        "one class",
        kind="answers",
    ),
    *bad_fit(
        "class_weight-leaves-nothing",
        {"class_weight": [0, 0, 1], "sample_weight": (np.arange(ROWS) % 3 == 0) * 1.0},
        DataError,
        "class_weight",
        "sample_weight",
        "0 for every example",
    ),
]

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
    *bad_fit("split-above-1", {"validation_split": 1.5}, ConfigurationError, "validation_split", "[0, 1)", "1.5"),
    *bad_fit("split-1", {"validation_split": 1.0}, ConfigurationError, "validation_split", "[0, 1)", "1.0"),
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
    Row("to-dtype", lambda net, x, y: net.to("numpy", dtype="float16"), BackendError, ("dtype", "float32", "float16")),
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


def set_weights(name: str, value: Any) -> Call:
    return lambda net, x, y: net.set_weights({"0.bias": np.ones(6), name: value})


STATE_TABLE = [
    Row("weights-unknown", set_weights("0.wieght", 1), ConfigurationError, ("weight", "'0.wieght'", "'0.weight'")),
    Row("weights-shape", set_weights("0.weight", np.ones((6, 4))), ShapeError, ("0.weight", "(4, 6)", "(6, 4)")),
    Row(
        "weights-nan",
        set_weights("0.weight", np.full((4, 6), np.nan)),
        DataError,
        ("0.weight", "NaN", "network.check_finite"),
    ),
    Row("weights-number", set_weights("0.weight", 0.5), ShapeError, ("0.weight", "(4, 6)", "got ()")),
    Row("weights-text", set_weights("0.weight", TEXT), DtypeError, ("0.weight", "real numbers", "<U1")),
    Row("weights-list", lambda net, x, y: net.set_weights([1]), ConfigurationError, ("weights", "mapping", "list")),
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

TABLE = [*FEATURES_TABLE, *TARGETS_TABLE, *WEIGHTS_TABLE, *ARGUMENTS_TABLE, *STATE_TABLE]


def make(kind: str, backend: xpnet.Backend, **arguments: Any) -> Network:
    outputs, loss = LOSSES[kind]
    return Network([Dense(6), "relu", Dense(outputs)], loss=loss, backend=backend, seed=1, **arguments)


def snapshot(net: Network) -> dict[str, Any]:
    arrays = {name: array.tobytes() for name, array in read_arrays(net).items()}
    history = {name: list(values) for name, values in net.history.items()}
    return {
        **arrays,
        "history": history,
        "epochs": net.epochs,
        "steps": net.steps,
        "device steps": int(net.backend.to_numpy(net.state.step)),
        "rate": net.learning_rate,
        "scale": float(net.backend.to_numpy(net.state.scale)),
    }


@pytest.fixture(scope="module")
def trained(backend: xpnet.Backend) -> dict[str, Network]:
    """A network of each kind after an epoch of training."""
    nets = {kind: make(kind, backend) for kind in LOSSES}
    for kind, net in nets.items():
        net.fit(X, TARGETS[kind], epochs=1, batch_size=None, verbose=0)
    return nets


def assert_refused(net: Network, row: Row) -> None:
    with pytest.raises(row.error) as caught:
        row.call(net, X.copy(), TARGETS[row.kind].copy())
    assert isinstance(caught.value, xpnet.XpnetError)
    message = str(caught.value)
    missing = [part for part in row.fragments if part not in message]
    assert not missing, f"{missing} not in {message!r}"


def names(rows: list[Row]) -> list[str]:
    found = [row.name for row in rows]
    assert len(set(found)) == len(found)
    return found


@pytest.mark.parametrize("row", TABLE, ids=names(TABLE))
def test_a_trained_network_refuses_and_stays_as_it_was(row: Row, trained: dict[str, Network]) -> None:
    net = trained[row.kind]
    before = snapshot(net)
    assert_refused(net, row)
    assert snapshot(net) == before
    loss = net.train_step(X, TARGETS[row.kind])
    assert np.isfinite(float(net.backend.to_numpy(loss)))
    assert net.steps == before["steps"] + 1


UNBUILT = [row for row in TABLE if row.unbuilt] + UNBUILT_TABLE


@pytest.mark.parametrize("row", UNBUILT, ids=names(UNBUILT))
def test_a_network_that_has_seen_no_data_refuses_and_stays_unbuilt(row: Row, backend: xpnet.Backend) -> None:
    net = make(row.kind, backend)
    assert_refused(net, row)
    assert not net.built
    assert (net.in_shape, net.out_shape, net.epochs, net.steps, dict(net.history)) == (None, (), 0, 0, {})
    assert net.learning_rate == 1e-3
    net.build(FEATURES)
    assert {name: array.shape for name, array in net.get_weights().items()} == {
        "0.weight": (4, 6),
        "0.bias": (6,),
        "2.weight": (6, LOSSES[row.kind][0]),
        "2.bias": (LOSSES[row.kind][0],),
    }


# Construction


class Unbuildable:
    """Layers and networks that cannot be, by name: a function, the error, and what its message must hold."""

    def __init__(self, make: Callable[[xpnet.Backend], object], error: type[Exception], *fragments: str) -> None:
        self.make, self.error, self.fragments = make, error, fragments


def network(*layers: Any, **arguments: Any) -> Callable[[xpnet.Backend], object]:
    return lambda backend: Network(layers or [Dense(2)], backend=backend, **arguments)


def record(kind: Callable[..., object], *positional: Any, **named: Any) -> Callable[[xpnet.Backend], object]:
    return lambda backend: kind(*positional, **named)


def impossible(kind: Any, name: str, *values: Any, first: tuple[Any, ...] = ()) -> dict[str, Unbuildable]:
    """Rows of hyper-parameters out of range: the message names class and parameter, and shows the value."""
    return {
        f"{kind.__name__}.{name}={value!r}": Unbuildable(
            record(kind, *first, **{name: value}), ConfigurationError, f"{kind.__name__}.{name}", repr(value)
        )
        for value in values
    }


NAN, INF = float("nan"), float("inf")

CONSTRUCTION = {
    "layer unknown": Unbuildable(network("rleu"), ConfigurationError, "layer", "'rleu'", "'relu'"),
    "layer class": Unbuildable(network(Dense), ConfigurationError, "layer", "class Dense", "Dense(...)"),
    "layer number": Unbuildable(network(64), ConfigurationError, "layer", "64", "forward"),
    "layers none": Unbuildable(lambda backend: Network([], backend=backend), ConfigurationError, "at least one layer"),
    "layers text": Unbuildable(lambda backend: Network("relu", backend=backend), ConfigurationError, "list", "'relu'"),
    "layers number": Unbuildable(
        lambda backend: Network(5, backend=backend), ConfigurationError, "list of layers", "5"
    ),
    "loss unknown": Unbuildable(network(loss="crossentropy"), ConfigurationError, "loss", "'cross_entropy'"),
    "loss class": Unbuildable(network(loss=xpnet.Huber), ConfigurationError, "loss", "class Huber", "Huber(...)"),
    "loss none": Unbuildable(network(loss=None), ConfigurationError, "loss", "None"),
    "loss optimizer": Unbuildable(network(loss=xpnet.Adam()), ConfigurationError, "loss", "Adam"),
    "optimizer unknown": Unbuildable(network(optimizer="addam"), ConfigurationError, "optimizer", "'adam'"),
    "optimizer class": Unbuildable(network(optimizer=xpnet.SGD), ConfigurationError, "optimizer", "SGD(...)"),
    "optimizer number": Unbuildable(network(optimizer=0.1), ConfigurationError, "optimizer", "0.1"),
    "optimizer penalty": Unbuildable(network(optimizer=xpnet.L2()), ConfigurationError, "chain(", "L2", "Adam"),
    "chain none": Unbuildable(record(xpnet.chain, xpnet.L2()), ConfigurationError, "exactly one optimizer", "0"),
    "chain two": Unbuildable(record(xpnet.chain, xpnet.SGD(), xpnet.Adam()), ConfigurationError, "one optimizer", "2"),
    "chain name": Unbuildable(record(xpnet.chain, "adam"), ConfigurationError, "objects", "'adam'"),
    "chain class": Unbuildable(record(xpnet.chain, xpnet.Adam), ConfigurationError, "objects", "Adam"),
    "metric unknown": Unbuildable(network(metrics=["acuracy"]), ConfigurationError, "metric", "'accuracy'"),
    "metric class": Unbuildable(network(metrics=[xpnet.F1]), ConfigurationError, "metric", "F1(...)"),
    "metric name alone": Unbuildable(network(metrics="f1"), ConfigurationError, "metrics", "['f1']"),
    "metric alone": Unbuildable(network(metrics=xpnet.F1()), ConfigurationError, "metrics", "list", "F1"),
    "metric twice": Unbuildable(network(metrics=["f1", "f1"]), ConfigurationError, "metrics", "different", "f1"),
    "metric average": Unbuildable(record(xpnet.F1, "makro"), ConfigurationError, "average", "'makro'", "'macro'"),
    "metric real for classes": Unbuildable(network(metrics=["mse"], inputs=3), ConfigurationError, "mse", "accuracy"),
    "metric classes for real": Unbuildable(
        network(loss="mse", metrics=["accuracy"], inputs=3), ConfigurationError, "'accuracy'", "MeanSquaredError"
    ),
    "metric too many": Unbuildable(
        network(metrics=["top_k_accuracy"], inputs=3), ConfigurationError, "5 classes", "(2,)"
    ),
    "metric of answers": Unbuildable(
        network(loss="binary_cross_entropy", metrics=["f1"], inputs=3), ConfigurationError, "'f1'", "2 answers"
    ),
    "initializer unknown": Unbuildable(
        record(Dense, 2, weight_initializer="he_norml"), ConfigurationError, "initializer", "'he_normal'"
    ),
    "initializer class": Unbuildable(
        record(Dense, 2, bias_initializer=xpnet.Zeros), ConfigurationError, "initializer", "Zeros"
    ),
    "reduction unknown": Unbuildable(
        record(xpnet.CrossEntropy, reduction="means"), ConfigurationError, "reduction", "'means'", "'mean'"
    ),
    "reduction number": Unbuildable(record(xpnet.Hinge, reduction=1), ConfigurationError, "reduction", "1"),
    "softmax twice": Unbuildable(network(Dense(3), "softmax"), ConfigurationError, "raw scores", "Softmax"),
    "softmax twice, inside": Unbuildable(
        network(xpnet.Sequential([Dense(3), "softmax"])), ConfigurationError, "raw scores", "Softmax"
    ),
    "sigmoid twice": Unbuildable(
        network(Dense(1), "sigmoid", loss="binary_cross_entropy"), ConfigurationError, "raw scores", "Sigmoid"
    ),
    "no parameters": Unbuildable(network("relu", inputs=3), ConfigurationError, "no parameters", "Dense"),
    "one output": Unbuildable(network(Dense(1), inputs=3), ConfigurationError, "cross_entropy", "(1,)", "binary"),
    "outputs of rank 2": Unbuildable(network(Dense(2), inputs=(3, 4)), ConfigurationError, "cross_entropy", "(3, 2)"),
    "hinge of rank 2": Unbuildable(
        network(Dense(2), inputs=(3, 4), loss="hinge"), ConfigurationError, "hinge", "(3, 2)", "Flatten()"
    ),
    "residual shapes": Unbuildable(
        network(Dense(4), xpnet.Residual([Dense(3)]), inputs=2),
        ShapeError,
        "layer 1",
        "(3,)",
        "(4,)",
        "shortcut=Dense(3)",
    ),
    "reshape misfit": Unbuildable(
        network(xpnet.Reshape((2, 2)), "flatten", Dense(2), inputs=5), ShapeError, "layer 0", "size 4", "(5,)"
    ),
    "reshape rest misfit": Unbuildable(
        network(xpnet.Reshape((2, -1)), "flatten", Dense(2), inputs=5), ShapeError, "layer 0", "size", "(5,)"
    ),
    "reshape two rests": Unbuildable(record(xpnet.Reshape, (-1, -1)), ConfigurationError, "Reshape.shape", "(-1, -1)"),
    "reshape zero": Unbuildable(record(xpnet.Reshape, (0, 2)), ConfigurationError, "Reshape.shape", "(0, 2)"),
    "reshape text": Unbuildable(record(xpnet.Reshape, "4"), ConfigurationError, "Reshape.shape", "'4'"),
    "no axis": Unbuildable(network(Dense(2), inputs=()), ShapeError, "layer 0", "(features,)"),
    "seed negative": Unbuildable(network(seed=-1), ConfigurationError, "seed", "at least 0", "-1"),
    "seed fraction": Unbuildable(network(seed=1.5), ConfigurationError, "seed", "integer", "1.5"),
    "seed none": Unbuildable(network(seed=None), ConfigurationError, "seed", "None"),
    "inputs zero": Unbuildable(network(inputs=0), ConfigurationError, "inputs", "positive integer", "0"),
    "inputs text": Unbuildable(network(inputs="4"), ConfigurationError, "inputs", "positive integer", "'4'"),
    "backend unknown": Unbuildable(
        lambda backend: Network([Dense(2)], backend=backend.name + "x"), BackendError, "backend", "did you mean"
    ),
    "backend number": Unbuildable(lambda backend: Network([Dense(2)], backend=5), BackendError, "backend", "5"),
    "backend list": Unbuildable(lambda backend: Network([Dense(2)], backend=[]), BackendError, "backend", "[]"),
    "dtype half": Unbuildable(
        lambda backend: Network([Dense(2)], backend=backend.name, dtype="float16"),
        BackendError,
        "dtype",
        "float32, float64",
        "'float16'",
    ),
    "dtype integer": Unbuildable(
        lambda backend: Network([Dense(2)], backend=backend.name, dtype=int), BackendError, "dtype", "float32, float64"
    ),
    "device unknown": Unbuildable(
        lambda backend: Network([Dense(2)], backend=backend.name, device="nowhere"), BackendError, "device", "'nowhere'"
    ),
    **impossible(Dense, "units", 0, -3, 2.5, "10", None, True),
    **impossible(xpnet.Dropout, "rate", 1, 1.0, -0.1, NAN, "0.5", None, True),
    **impossible(xpnet.BatchNorm, "momentum", 1.0, -0.1, NAN, "0.9", None),
    **impossible(xpnet.BatchNorm, "epsilon", 0, -1e-5, NAN, INF, "small", None),
    **impossible(xpnet.LayerNorm, "epsilon", 0, -1e-5, NAN, INF, "small", None),
    **impossible(xpnet.LeakyReLU, "slope", NAN, INF, "0.1", None),
    **impossible(xpnet.ELU, "alpha", NAN, INF, "1", None),
    **impossible(xpnet.CrossEntropy, "label_smoothing", 1.0, -0.1, NAN, "0.1", None),
    **impossible(xpnet.Huber, "delta", 0, -1.0, NAN, INF, "1", None),
    **impossible(xpnet.TopKAccuracy, "k", 0, 1.5, "5", None, True),
    **impossible(xpnet.Normal, "deviation", -0.1, NAN, INF, "1", None),
    **impossible(xpnet.Normal, "mean", NAN, INF, "1", None),
    **impossible(xpnet.Uniform, "low", 1.0, NAN, -INF, "1", None),
    **impossible(xpnet.Uniform, "high", -1.0, NAN, INF, "1", None),
    **impossible(xpnet.Constant, "value", NAN, INF, "1", None),
    **impossible(xpnet.Orthogonal, "gain", NAN, INF, "1", None),
    **impossible(xpnet.SGD, "learning_rate", 0, -0.1, NAN, INF, "fast", None, True, xpnet.CosineDecay),
    **impossible(xpnet.SGD, "momentum", 1.0, -0.1, NAN, "0.9", None),
    "SGD.nesterov": Unbuildable(record(xpnet.SGD, nesterov=True), ConfigurationError, "SGD.nesterov", "momentum"),
    **{
        name: row
        for rule in (xpnet.Adam, xpnet.AdamW, xpnet.Nadam, xpnet.Lion)
        for name, row in {
            **impossible(rule, "learning_rate", 0, -1.0, NAN, INF, "fast", None),
            **impossible(rule, "beta1", 1.0, -0.1, NAN, "0.9", None),
            **impossible(rule, "beta2", 1.0, -0.1, NAN, "0.9", None),
        }.items()
    },
    **impossible(xpnet.Adam, "epsilon", -1.0, NAN, INF, "0", None),
    **impossible(xpnet.AdamW, "weight_decay", -1.0, NAN, INF, "0", None),
    **impossible(xpnet.Nadam, "momentum_decay", -1.0, NAN, INF, "0", None),
    **impossible(xpnet.RMSProp, "rho", 1.0, -0.1, NAN, "0.9", None),
    **impossible(xpnet.Adagrad, "epsilon", -1.0, NAN, INF, "0", None),
    **impossible(xpnet.Adadelta, "rho", 1.0, -0.1, NAN, "0.9", None),
    **impossible(xpnet.Adadelta, "epsilon", 0, -1.0, NAN, INF, "0", None),
    **impossible(xpnet.L1, "rate", -1.0, NAN, INF, "0", None),
    **impossible(xpnet.L2, "rate", -1.0, NAN, INF, "0", None),
    **impossible(xpnet.DecoupledWeightDecay, "rate", -1.0, NAN, INF, "0", None),
    **impossible(xpnet.ClipByValue, "limit", 0, -1.0, NAN, INF, "1", None),
    **impossible(xpnet.ClipByNorm, "limit", 0, -1.0, NAN, INF, "1", None),
    **impossible(xpnet.MaxNorm, "limit", 0, -1.0, NAN, INF, "1", None),
    **impossible(xpnet.ExponentialMovingAverage, "decay", 1.0, -0.1, NAN, "0.9", None),
    **impossible(xpnet.ConstantRate, "rate", 0, -0.1, NAN, INF, "fast", None),
    **impossible(xpnet.InverseTimeDecay, "decay", -0.1, NAN, "1", None, first=(0.1,)),
    **impossible(xpnet.StepDecay, "every", 0, -1, 1.5, "1", None, first=(0.1,)),
    **impossible(xpnet.ExponentialDecay, "factor", 0, -0.1, NAN, "1", None, first=(0.1, 10)),
    **impossible(xpnet.CosineDecay, "steps", 0, -1, 1.5, "1", None, first=(0.1,)),
    **impossible(xpnet.CosineDecay, "warmup", -1, 1.5, "1", None, first=(0.1, 10)),
    **impossible(xpnet.CosineDecay, "final", -0.1, NAN, "1", None, first=(0.1, 10)),
    **impossible(xpnet.OneCycle, "rise", 0, 1, -0.1, NAN, "0.3", None, first=(0.1, 10)),
    **impossible(xpnet.OneCycle, "start_divisor", 0, -1, NAN, "25", None, first=(0.1, 10)),
    "PiecewiseConstant lengths": Unbuildable(
        record(xpnet.PiecewiseConstant, (10,), (0.1,)), ConfigurationError, "PiecewiseConstant", "1 rates", "1 bound"
    ),
    **{
        f"PiecewiseConstant.boundaries={value!r}": Unbuildable(
            record(xpnet.PiecewiseConstant, value, (0.1, 0.2, 0.3)), ConfigurationError, "PiecewiseConstant.boundaries"
        )
        for value in ((20, 10), (10, 10), (1.5, 2), ("a", "b"), (-1, 5), 7, (NAN, 2), None)
    },
    **{
        f"PiecewiseConstant.rates={value!r}": Unbuildable(
            record(xpnet.PiecewiseConstant, (10,), value), ConfigurationError, "PiecewiseConstant.rates"
        )
        for value in ((0.1, -1.0), (0.1, NAN), (0.1, "a"), 7, None)
    },
    **impossible(xpnet.EarlyStopping, "patience", -1, 1.5, "3", None, True),
    **impossible(xpnet.ReduceLROnPlateau, "factor", 0, 1, 1.5, -0.1, NAN, "0.1", None),
    **impossible(xpnet.ReduceLROnPlateau, "min_learning_rate", -1.0, NAN, "0", None),
    **impossible(xpnet.ModelCheckpoint, "every", 0, -1, 1.5, "3", None, first=("a.safetensors",)),
    "EarlyStopping.mode": Unbuildable(record(xpnet.EarlyStopping, mode="mim"), ConfigurationError, "mode", "'min'"),
    **{
        f"EarlyStopping.min_delta={value!r}": Unbuildable(
            record(xpnet.EarlyStopping, min_delta=value), ConfigurationError, "min_delta", repr(value)
        )
        for value in (-0.1, NAN, "0", None)
    },
    "EarlyStopping.monitor": Unbuildable(record(xpnet.EarlyStopping, 5), ConfigurationError, "monitor", "5"),
    "LearningRateScheduler": Unbuildable(
        record(xpnet.LearningRateScheduler, 0.1), ConfigurationError, "LearningRateScheduler", "function", "0.1"
    ),
}


@pytest.mark.parametrize("name", CONSTRUCTION)
def test_what_cannot_be_is_refused_when_it_is_made(name: str, backend: xpnet.Backend) -> None:
    row = CONSTRUCTION[name]
    with pytest.raises(row.error) as caught:
        row.make(backend)
    missing = [part for part in row.fragments if part not in str(caught.value)]
    assert not missing, f"{missing} not in {str(caught.value)!r}"


# Arrays of another library


def test_a_tensor_that_requires_a_gradient_is_read_by_its_own_library_alone(
    trained: dict[str, Network], backend: xpnet.Backend
) -> None:
    torch = pytest.importorskip("torch")
    net = trained["classes"]
    tensor = torch.tensor(X, requires_grad=True)
    if backend.name == "torch":
        expected = net.backend.to_numpy(net.predict(X))
        np.testing.assert_array_equal(net.backend.to_numpy(net.predict(tensor)), expected)
        return
    for method in METHODS:
        row = Row(
            "tensor", lambda net, x, y, m=method: METHODS[m](net, tensor, y), DataError, ("x is a torch", "to NumPy")
        )
        before = snapshot(net)
        assert_refused(net, row)
        assert snapshot(net) == before


@pytest.mark.parametrize("method", ["fit", "predict", "train_step"])
def test_a_traced_array_is_refused(method: str, trained: dict[str, Network], backend: xpnet.Backend) -> None:
    jax = pytest.importorskip("jax")
    net = trained["classes"]
    before = snapshot(net)
    with pytest.raises(DataError, match=r"x is a jax.*cannot read"):
        jax.jit(lambda x: METHODS[method](net, x, TARGETS["classes"]))(X)
    assert snapshot(net) == before


def test_a_sparse_tensor_is_refused(trained: dict[str, Network]) -> None:
    torch = pytest.importorskip("torch")
    net = trained["classes"]
    before = snapshot(net)
    with pytest.raises((DataError, DtypeError), match=r"x is a .*(sparse|cannot read)"):
        net.predict(torch.tensor(X).to_sparse())
    assert snapshot(net) == before


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_arrays_of_any_library_are_refused(dtype: str, trained: dict[str, Network]) -> None:
    net = trained["classes"]
    for library in ("torch", "array_api_strict"):
        xp = pytest.importorskip(library)
        values = xp.ones((ROWS, FEATURES), dtype=getattr(xp, dtype))
        with pytest.raises((DtypeError, DataError), match=r"^x .*(complex|cannot read)"):
            net.predict(values)


def test_text_in_a_frame_is_refused(trained: dict[str, Network]) -> None:
    pandas = pytest.importorskip("pandas")
    net = trained["classes"]
    frame = pandas.DataFrame(X).assign(name="cat")
    before = snapshot(net)
    with pytest.raises(DtypeError, match="x must hold real numbers"):
        net.predict(frame)
    with pytest.raises(DtypeError, match="y must hold real numbers"):
        net.fit(X, pandas.Series(["cat", "dog", "cow"] * 4), verbose=0)
    with pytest.raises((DtypeError, DataError), match=r"^y "):
        net.fit(X, pandas.Series([0, 1, None] * 4, dtype="Int64"), verbose=0)
    assert snapshot(net) == before


# Not finite, on purpose or by the network's own type


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_check_finite_false_lets_it_through(value: float, backend: xpnet.Backend) -> None:
    x = with_value(value)()
    net = make("classes", backend, check_finite=False, inputs=FEATURES)
    with np.errstate(invalid="ignore"):
        scores = backend.to_numpy(net.forward(x))
        net.fit(x, TARGETS["classes"], batch_size=None, verbose=0)
    assert not np.isfinite(scores[3]).all()
    assert np.isfinite(np.delete(scores, 3, axis=0)).all()
    assert not np.isfinite(net.history["loss"][0])


def test_a_number_too_large_for_float32_is_refused(backend32: xpnet.Backend) -> None:
    net = make("classes", backend32, inputs=FEATURES)
    before = snapshot(net)
    with pytest.raises(DataError, match=r"x holds .*float32"):
        net.fit(with_value(1e300)(), TARGETS["classes"], verbose=0)
    assert snapshot(net) == before


# Files


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (None, "No such file"),
        (b"", "not an xpnet file"),
        (b"PK\x03\x04 some archive, not a network", "not an xpnet file"),
        (b"\x80\x04\x95 a pickle", "not an xpnet file"),
        (b"\xff" * 64, "not an xpnet file"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "not an xpnet file"),
    ],
    ids=["missing", "empty", "archive", "pickle", "noise", "foreign"],
)
def test_a_file_that_is_not_a_network_is_refused(
    content: bytes | None, fragment: str, backend: xpnet.Backend, tmp_path: Any
) -> None:
    path = tmp_path / "net.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=fragment) as caught:
        xpnet.load(path, backend=backend)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_network(backend: xpnet.Backend, tmp_path: Any) -> None:
    with pytest.raises(CheckpointError, match="directory"):
        xpnet.load(tmp_path, backend=backend)


def test_saving_where_nothing_can_be_saved(trained: dict[str, Network], tmp_path: Any) -> None:
    net = trained["classes"]
    before = snapshot(net)
    path = tmp_path / "missing" / "net.safetensors"
    with pytest.raises(CheckpointError, match="cannot write") as caught:
        net.save(path)
    assert str(path) in str(caught.value)
    assert snapshot(net) == before


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
    class Broken:
        def __call__(self, stream: Any, shape: Any) -> Any:
            raise RuntimeError("no numbers today")

    net = Network([Dense(2, weight_initializer=Broken())], backend=backend)
    with pytest.raises(RuntimeError, match="no numbers today"):
        net.build(FEATURES)
    assert not net.built
    with pytest.raises(NotBuiltError):
        net.get_weights()
