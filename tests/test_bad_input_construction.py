"""Layers, networks and their parts that cannot be, refused when they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bad_input import INF, NAN

import xpnet
from xpnet import BackendError, ConfigurationError, Dense, Network, ShapeError


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


CONSTRUCTION = {
    "layer unknown": Unbuildable(network("rleu"), ConfigurationError, "layer", "'rleu'", "'relu'"),
    "layer class": Unbuildable(network(Dense), ConfigurationError, "layer", "class Dense", "Dense(units)"),
    "layer number": Unbuildable(network(64), ConfigurationError, "layer", "got 64, which lacks", "; write Dense(64)"),
    "layer list": Unbuildable(network([Dense(3)]), ConfigurationError, "layer", "give all layers in one flat list"),
    "layer tuple": Unbuildable(network((Dense(3), "relu")), ConfigurationError, "give all layers in one flat list"),
    "units named": Unbuildable(record(Dense, "relu"), ConfigurationError, "Dense.units", "[Dense(8), 'relu', ...]"),
    "layers none": Unbuildable(lambda backend: Network([], backend=backend), ConfigurationError, "at least one layer"),
    "layers text": Unbuildable(lambda backend: Network("relu", backend=backend), ConfigurationError, "write ['relu']"),
    "layers number": Unbuildable(
        lambda backend: Network(5, backend=backend), ConfigurationError, "layers must be a list", "5"
    ),
    "layer alone": Unbuildable(
        lambda backend: Network(Dense(3), backend=backend),
        ConfigurationError,
        "layers must be a list; write [Dense(...)]",
    ),
    "layer alone in a residual": Unbuildable(
        record(xpnet.Residual, Dense(3, bias=False)), ConfigurationError, "must be a list; write [Dense(...)]"
    ),
    "loss unknown": Unbuildable(network(loss="crossentropy"), ConfigurationError, "loss", "'cross_entropy'"),
    "loss class": Unbuildable(network(loss=xpnet.Huber), ConfigurationError, "loss", "class Huber", "Huber()"),
    "loss function": Unbuildable(network(loss=lambda scores, y: scores - y), ConfigurationError, "lambda", "own_loss"),
    "metric function": Unbuildable(network(metrics=[xpnet.accuracy]), ConfigurationError, "write 'accuracy'"),
    "optimizer function": Unbuildable(network(optimizer=print), ConfigurationError, "lacks init, update", "own_opt"),
    "loss none": Unbuildable(network(loss=None), ConfigurationError, "loss", "None"),
    "loss optimizer": Unbuildable(network(loss=xpnet.Adam()), ConfigurationError, "loss", "Adam"),
    "optimizer unknown": Unbuildable(network(optimizer="addam"), ConfigurationError, "optimizer", "'adam'"),
    "optimizer class": Unbuildable(network(optimizer=xpnet.SGD), ConfigurationError, "optimizer", "SGD()"),
    "optimizer number": Unbuildable(network(optimizer=0.1), ConfigurationError, "optimizer", "0.1"),
    "optimizer penalty": Unbuildable(network(optimizer=xpnet.L2()), ConfigurationError, "chain(", "L2", "Adam"),
    "chain none": Unbuildable(record(xpnet.chain, xpnet.L2()), ConfigurationError, "exactly one optimizer", "0"),
    "chain two": Unbuildable(record(xpnet.chain, xpnet.SGD(), xpnet.Adam()), ConfigurationError, "one optimizer", "2"),
    "chain list": Unbuildable(
        record(xpnet.chain, [xpnet.Adam(), xpnet.L2()]), ConfigurationError, "objects; got [Adam", "chain(a, b)"
    ),
    "chain name": Unbuildable(record(xpnet.chain, "adam"), ConfigurationError, "objects", "'adam'"),
    "chain class": Unbuildable(record(xpnet.chain, xpnet.Adam), ConfigurationError, "objects", "Adam"),
    "metric unknown": Unbuildable(network(metrics=["acuracy"]), ConfigurationError, "metric", "'accuracy'"),
    "metric class": Unbuildable(network(metrics=[xpnet.F1]), ConfigurationError, "metric", "F1()"),
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
        record(Dense, 2, weight_initializer="he_norml"), ConfigurationError, "weight_initializer", "'he_normal'"
    ),
    "initializer's first half": Unbuildable(
        record(Dense, 2, weight_initializer="he"),
        ConfigurationError,
        "unknown weight_initializer 'he'; did you mean 'he_normal'? Known: ",
    ),
    "initializer number": Unbuildable(
        record(Dense, 2, bias_initializer=0), ConfigurationError, "a bias_initializer must be a name or an object"
    ),
    "initializer class": Unbuildable(
        record(Dense, 2, bias_initializer=xpnet.Zeros), ConfigurationError, "a bias_initializer must be", "Zeros"
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
    "one output": Unbuildable(
        network(Dense(1), inputs=3), ConfigurationError, "cross_entropy", "(1,)", "'binary_cross_entropy'", "'mse'"
    ),
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
    "seed none": Unbuildable(network(seed=None), ConfigurationError, "seed", "None", "random.randrange(2**31)"),
    "seed of data none": Unbuildable(record(xpnet.clouds, seed=None), ConfigurationError, "random.randrange(2**31)"),
    "inputs zero": Unbuildable(network(inputs=0), ConfigurationError, "inputs", "positive integer", "0"),
    "inputs of a batch": Unbuildable(
        network(inputs=(None, 4)), ConfigurationError, "inputs", "(None, 4); leave out the axis of examples"
    ),
    "inputs text": Unbuildable(network(inputs="4"), ConfigurationError, "inputs", "positive integer", "'4'"),
    "backend unknown": Unbuildable(
        lambda backend: Network([Dense(2)], backend=backend.name + "x"), BackendError, "backend", "did you mean"
    ),
    "backend number": Unbuildable(lambda backend: Network([Dense(2)], backend=5), BackendError, "backend", "5"),
    "backend list": Unbuildable(lambda backend: Network([Dense(2)], backend=[]), BackendError, "backend", "[]"),
    "dtype half": Unbuildable(
        lambda backend: Network([Dense(2)], backend=backend.name, dtype="float16"),
        ConfigurationError,
        "dtype",
        "float32, float64",
        "'float16'",
    ),
    "dtype integer": Unbuildable(
        lambda backend: Network([Dense(2)], backend=backend.name, dtype=int),
        ConfigurationError,
        "dtype",
        "float32, float64",
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
    "check_finite": Unbuildable(
        network(check_finite="no"), ConfigurationError, "check_finite must be True or False; got 'no'"
    ),
    **impossible(xpnet.EarlyStopping, "restore_best_weights", "no", 1, None),
    **impossible(xpnet.ModelCheckpoint, "save_best_only", "never", 1, None, first=("a.safetensors",)),
    **impossible(xpnet.CSVLogger, "append", "no", 1, None, first=("a.csv",)),
    **impossible(xpnet.JSONLinesLogger, "append", "no", 1, None, first=("a.jsonl",)),
    **impossible(xpnet.EarlyStopping, "patience", -1, 1.5, "3", None, True),
    **impossible(xpnet.EarlyStopping, "min_delta", -0.1, NAN, "0", None),
    **impossible(xpnet.ReduceLROnPlateau, "min_delta", -0.1, NAN, "0", None),
    **impossible(xpnet.ReduceLROnPlateau, "factor", 0, 1, 1.5, -0.1, NAN, "0.1", None),
    **impossible(xpnet.ReduceLROnPlateau, "min_learning_rate", -1.0, NAN, "0", None),
    **impossible(xpnet.ModelCheckpoint, "every", 0, -1, 1.5, "3", None, first=("a.safetensors",)),
    "EarlyStopping.mode": Unbuildable(record(xpnet.EarlyStopping, mode="mim"), ConfigurationError, "mode", "'min'"),
    "EarlyStopping.monitor": Unbuildable(record(xpnet.EarlyStopping, 5), ConfigurationError, "monitor", "5"),
    "LearningRateScheduler": Unbuildable(
        record(xpnet.LearningRateScheduler, 0.1), ConfigurationError, "LearningRateScheduler", "function", "0.1"
    ),
    "LearningRateScheduler takes": Unbuildable(
        record(xpnet.LearningRateScheduler, lambda epoch: 0.1),
        ConfigurationError,
        "LearningRateScheduler.schedule",
        "takes (epoch, rate)",
        "takes (epoch):",
        "`lambda epoch, rate: ...`",
    ),
    "learning rate named": Unbuildable(
        record(xpnet.Adam, "cosine"),
        ConfigurationError,
        "Adam.learning_rate",
        "got 'cosine'. A schedule is taken, too, such as CosineDecay(rate, steps)",
    ),
    "dropout in percent": Unbuildable(record(xpnet.Dropout, 50), ConfigurationError, "got 50; 0.1 is 10 %"),
    "learning rate takes": Unbuildable(
        record(xpnet.Adam, lambda step: 0.1),
        ConfigurationError,
        "Adam.learning_rate",
        "takes (step, xp)",
        "takes (step):",
        "`lambda step, xp: ...`",
    ),
}


@pytest.mark.parametrize("name", CONSTRUCTION)
def test_what_cannot_be_is_refused_when_it_is_made(name: str, backend: xpnet.Backend) -> None:
    row = CONSTRUCTION[name]
    with pytest.raises(row.error) as caught:
        row.make(backend)
    missing = [part for part in row.fragments if part not in str(caught.value)]
    assert not missing, f"{missing} not in {str(caught.value)!r}"
