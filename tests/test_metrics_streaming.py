"""Metrics that add up over batches: against scikit-learn and the functions of whole arrays, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import metrics
from xpnet.metrics import NAMES

RNG = np.random.default_rng(6)
ROWS, CLASSES = 60, 6
SCORES = RNG.normal(size=(ROWS, CLASSES))
TRUE = RNG.integers(0, CLASSES - 1, size=ROWS)  # the last class never occurs
PREDICTED = SCORES.argmax(axis=1)
WEIGHTS = RNG.uniform(0, 2, size=ROWS) * (RNG.random(ROWS) > 0.1)
BINARY, BINARY_SCORES = RNG.integers(0, 2, size=ROWS), RNG.normal(size=(ROWS, 1))
REAL, REAL_SCORES = RNG.normal(size=(ROWS, 2)), RNG.normal(size=(ROWS, 2))


def streamed(
    metric: Any,
    loss: Any,
    scores: Any,
    y: Any,
    weights: Any,
    backend: xpnet.Backend,
    cuts: tuple[int, ...] = (7, 8, 40),
) -> float:
    """Compute *metric* batch by batch on the device, as an epoch does."""
    out_shape = scores.shape[1:]
    metric.check(loss, out_shape)
    targets = loss.targets(np.asarray(y), out_shape)
    dtype = backend.xp.int32 if targets.dtype.kind == "i" else backend.float
    total = np.zeros(metric.shape(out_shape))

    def sums(scores: Any, targets: Any, weights: Any) -> Any:
        return metric.sums(scores, targets, weights, loss, backend.xp)

    run = backend.compile(sums)
    edges = [0, *cuts, len(scores)]
    for start, stop in pairwise(edges):
        part = slice(start, stop)
        found = run(
            backend.asarray(scores[part], dtype=backend.float),
            backend.asarray(targets[part], dtype=dtype),
            None if weights is None else backend.asarray(weights[part], dtype=backend.float),
        )
        total = total + backend.to_numpy(found)
    return float(metric.result(total))


Expected = Callable[[Any], float]


def averaged(kind: str, average: str) -> Expected:
    def expected(weights: Any) -> float:
        sklearn = pytest.importorskip("sklearn.metrics")
        labels = np.unique(np.concatenate([TRUE[weights_of(weights) > 0], PREDICTED[weights_of(weights) > 0]]))
        function = getattr(sklearn, f"{kind}_score")
        return float(function(TRUE, PREDICTED, labels=labels, average=average, sample_weight=weights, zero_division=0))

    return expected


def weights_of(weights: Any) -> Any:
    return np.ones(ROWS) if weights is None else weights


def ours(name: str, *arguments: Any) -> Expected:
    return lambda weights: float(getattr(metrics, name)(*arguments, sample_weight=weights))


def skl(name: str, *arguments: Any, **named: Any) -> Expected:
    return lambda weights: float(
        getattr(pytest.importorskip("sklearn.metrics"), name)(*arguments, sample_weight=weights, **named)
    )


CROSS, BCE, MSE = xpnet.CrossEntropy(), xpnet.BinaryCrossEntropy(), xpnet.MeanSquaredError()
CASES: dict[str, tuple[Any, Any, Any, Any, list[Expected]]] = {
    "accuracy": (
        xpnet.Accuracy(),
        CROSS,
        SCORES,
        TRUE,
        [ours("accuracy", TRUE, PREDICTED), skl("accuracy_score", TRUE, PREDICTED)],
    ),
    "accuracy of rows": (xpnet.Accuracy(), CROSS, SCORES, np.eye(CLASSES)[TRUE], [ours("accuracy", TRUE, PREDICTED)]),
    "accuracy of margins": (xpnet.Accuracy(), xpnet.Hinge(), SCORES, TRUE, [ours("accuracy", TRUE, PREDICTED)]),
    "accuracy of one output": (
        xpnet.Accuracy(),
        BCE,
        BINARY_SCORES,
        BINARY,
        [skl("accuracy_score", BINARY, BINARY_SCORES[:, 0] > 0)],
    ),
    "accuracy of one margin": (
        xpnet.Accuracy(),
        xpnet.Hinge(),
        BINARY_SCORES,
        BINARY * 2 - 1,
        [skl("accuracy_score", BINARY, BINARY_SCORES[:, 0] > 0)],
    ),
    **{
        f"top {k}": (
            xpnet.TopKAccuracy(k),
            CROSS,
            SCORES,
            TRUE,
            [
                ours("top_k_accuracy", TRUE, SCORES, k),
                skl("top_k_accuracy_score", TRUE, SCORES, k=k, labels=np.arange(CLASSES)),
            ],
        )
        for k in (1, 2, 5)
    },
    **{
        f"{average} {kind}": (metric(average), CROSS, SCORES, TRUE, [averaged(kind, average)])
        for kind, metric in {"precision": xpnet.Precision, "recall": xpnet.Recall, "f1": xpnet.F1}.items()
        for average in ("macro", "micro", "weighted")
    },
    **{
        f"{average} {kind} of two": (
            metric(average),
            BCE,
            BINARY_SCORES,
            BINARY,
            [skl(f"{kind}_score", BINARY, BINARY_SCORES[:, 0] > 0, average=average or "binary")],
        )
        for kind, metric in {"precision": xpnet.Precision, "recall": xpnet.Recall, "f1": xpnet.F1}.items()
        for average in (None, "binary", "macro", "micro", "weighted")
    },
    **{
        f"{kind} by itself": (metric(), CROSS, SCORES, TRUE, [averaged(kind, "macro")])
        for kind, metric in {"precision": xpnet.Precision, "recall": xpnet.Recall, "f1": xpnet.F1}.items()
    },
    "squared error": (
        xpnet.SquaredError(),
        xpnet.Huber(),
        REAL_SCORES,
        REAL,
        [ours("mean_squared_error", REAL, REAL_SCORES), skl("mean_squared_error", REAL, REAL_SCORES)],
    ),
    "absolute error": (
        xpnet.AbsoluteError(),
        MSE,
        REAL_SCORES,
        REAL,
        [ours("mean_absolute_error", REAL, REAL_SCORES), skl("mean_absolute_error", REAL, REAL_SCORES)],
    ),
    "r2": (
        xpnet.R2(),
        MSE,
        REAL_SCORES,
        REAL,
        [ours("r2", REAL, REAL_SCORES), skl("r2_score", REAL, REAL_SCORES)],
    ),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", CASES)
def test_batches_add_up_to_the_whole(name: str, weighted: bool, backend: xpnet.Backend) -> None:
    metric, loss, scores, y, expectations = CASES[name]
    weights = WEIGHTS if weighted else None
    value = streamed(metric, loss, scores, y, weights, backend)
    for expected in expectations:
        assert value == pytest.approx(expected(weights), rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_weight_is_a_repetition(name: str, backend: xpnet.Backend) -> None:
    metric, loss, scores, y, _ = CASES[name]
    times = np.arange(ROWS) % 3
    weighted = streamed(metric, loss, scores, y, times * 1.0, backend)
    repeated = streamed(metric, loss, np.repeat(scores, times, axis=0), np.repeat(y, times, axis=0), None, backend)
    assert weighted == pytest.approx(repeated, rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_float32_is_close(name: str, backend32: xpnet.Backend) -> None:
    metric, loss, scores, y, expectations = CASES[name]
    assert streamed(metric, loss, scores, y, WEIGHTS, backend32) == pytest.approx(expectations[0](WEIGHTS), rel=1e-4)


def test_answers_of_several_outputs_count_one_by_one(backend: xpnet.Backend) -> None:
    scores, y = RNG.normal(size=(20, 3)), RNG.integers(0, 2, size=(20, 3))
    value = streamed(xpnet.Accuracy(), BCE, scores, y, None, backend, (5,))
    assert value == pytest.approx(np.mean((scores > 0) == y))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_network_that_scores_all_classes_alike_does_not_look_good(value: float, backend: xpnet.Backend) -> None:
    scores, y = np.full((6, 6), value), np.arange(6)
    found = [streamed(xpnet.TopKAccuracy(k), CROSS, scores, y, None, backend, ()) for k in (1, 2, 5)]
    assert found == [0.0, 0.0, 0.0] if np.isnan(value) else found == pytest.approx([1 / 6, 2 / 6, 5 / 6])


def test_ties_among_the_highest_scores_are_broken_as_by_the_function(backend: xpnet.Backend) -> None:
    scores = RNG.integers(0, 3, size=(ROWS, CLASSES)).astype(float)
    for k in range(1, CLASSES + 1):
        found = streamed(xpnet.TopKAccuracy(k), CROSS, scores, TRUE, None, backend)
        assert found == pytest.approx(metrics.top_k_accuracy(TRUE, scores, k), rel=1e-12)


@pytest.mark.parametrize("metric", [xpnet.Accuracy(), xpnet.F1(), xpnet.SquaredError(), xpnet.R2()], ids=str)
def test_no_weight_at_all_is_zero_and_not_an_error(metric: Any) -> None:
    assert metric.result(np.zeros(metric.shape((3,)))) == 0.0


def test_an_output_without_spread_has_no_r2(backend: xpnet.Backend) -> None:
    scores = np.array([[1.0], [2.0], [3.0]])
    assert np.isnan(streamed(xpnet.R2(), MSE, scores, np.full(3, 5.0), None, backend, ()))


@pytest.mark.parametrize("target", [0.1, 1234.567])
def test_what_rounding_leaves_of_a_constant_is_no_spread(
    target: float, backend: xpnet.Backend, backend32: xpnet.Backend
) -> None:
    for each in (backend, backend32):
        net = xpnet.Network([xpnet.Dense(1)], loss="mse", metrics=["r2"], inputs=2, backend=each)
        assert np.isnan(net.evaluate(REAL, np.full(ROWS, target), batch_size=7)["r2"])


@pytest.mark.parametrize("mean", [100.0, 200.0, 300.0, 1100.0, 3000.0])
def test_r2_of_targets_far_from_zero_is_near_the_function_s_or_nan(mean: float, backend32: xpnet.Backend) -> None:
    spread = RNG.normal(size=(500, 1))
    net = xpnet.Network([xpnet.Dense(1)], loss="mse", metrics=["r2"], inputs=1, backend=backend32)
    net.set_weights({"0.weight": [[0.9]], "0.bias": [mean]})
    targets = (spread + mean).astype(np.float32)
    found = net.evaluate(spread, targets, batch_size=32)["r2"]
    expected = metrics.r2(targets, backend32.to_numpy(net.predict(spread)))
    assert expected == pytest.approx(0.99, abs=1e-3)
    assert 1 - found == pytest.approx(1 - expected, rel=0.01) if mean < 250.0 else np.isnan(found)


def test_classes_without_weight_are_not_averaged_over(backend: xpnet.Backend) -> None:
    """So rows of padding do not count; the function counts their classes, as scikit-learn does."""
    weights = WEIGHTS * (TRUE != 0)
    scores = SCORES - 50.0 * np.eye(CLASSES)[0]
    found = streamed(xpnet.F1("macro"), CROSS, scores, TRUE, weights, backend)
    kept = weights > 0
    predicted = np.argmax(scores, axis=1)
    expected = metrics.precision_recall_f1(TRUE[kept], predicted[kept], "macro", sample_weight=weights[kept])
    assert found == pytest.approx(expected.f1, rel=1e-12)
    assert found > metrics.precision_recall_f1(TRUE, predicted, "macro", sample_weight=weights).f1


@pytest.mark.parametrize("metric", [xpnet.Precision, xpnet.Recall, xpnet.F1])
def test_several_averages_go_by_names_of_their_own(metric: Any, backend: xpnet.Backend) -> None:
    chosen = [metric(), metric("macro"), metric("micro"), metric("weighted")]
    net = xpnet.Network([xpnet.Dense(CLASSES)], metrics=chosen, backend=backend, seed=0, inputs=CLASSES)
    found = net.evaluate(SCORES, TRUE)
    name = metric().name
    assert [*found] == ["loss", name, f"{name}_macro", f"{name}_micro", f"{name}_weighted"]
    figures = metrics.precision_recall_f1(TRUE, backend.to_numpy(net.classify(SCORES)), "micro")
    assert found[f"{name}_micro"] == pytest.approx(getattr(figures, name), rel=1e-12)
    assert found[name] == found[f"{name}_macro"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_keys_of_results(name: str) -> None:
    metric = NAMES[name]()
    assert metric.name == ("top_5_accuracy" if name == "top_k_accuracy" else name)


def test_an_epoch_reports_them(backend: xpnet.Backend) -> None:
    chosen = ["accuracy", "precision", "recall", "f1", xpnet.TopKAccuracy(2)]
    net = xpnet.Network([xpnet.Dense(CLASSES)], metrics=chosen, backend=backend, seed=0, inputs=CLASSES)
    found = net.evaluate(SCORES, TRUE, sample_weight=WEIGHTS, batch_size=11)
    predicted = backend.to_numpy(net.classify(SCORES))
    figures = metrics.precision_recall_f1(TRUE, predicted, average="macro", sample_weight=WEIGHTS)
    expected = {
        "accuracy": metrics.accuracy(TRUE, predicted, sample_weight=WEIGHTS),
        **figures._asdict(),
        "top_2_accuracy": metrics.top_k_accuracy(TRUE, backend.to_numpy(net.forward(SCORES)), 2, sample_weight=WEIGHTS),
    }
    assert {name: value for name, value in found.items() if name != "loss"} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", ["precision", "f1", xpnet.TopKAccuracy(2)], ids=str)
def test_metrics_of_one_class_refuse_several_answers(metric: Any) -> None:
    with pytest.raises(xpnet.ConfigurationError, match="needs one class for each example, not 4 answers"):
        xpnet.Network([xpnet.Dense(4)], loss="binary_cross_entropy", metrics=[metric], inputs=3)


def test_the_figure_of_class_1_needs_two_classes() -> None:
    with pytest.raises(xpnet.ConfigurationError, match=r"'f1' with average='binary' needs two classes; .* \(3,\)"):
        xpnet.Network([xpnet.Dense(3)], metrics=[xpnet.F1("binary")], inputs=3)


@pytest.mark.parametrize("average", [None, "macro"])
def test_an_average_is_in_the_file(average: str | None, tmp_path: Any) -> None:
    path = tmp_path / "net.safetensors"
    xpnet.Network([xpnet.Dense(2)], metrics=[xpnet.F1(average)], inputs=3).save(path)
    assert xpnet.load(path).metrics == (xpnet.F1(average),)


def test_an_unknown_average_is_not_said_to_be_known() -> None:
    with pytest.raises(xpnet.ConfigurationError, match=r"unknown average 'None'\. Known: binary, macro") as caught:
        xpnet.F1("None")
    assert "did you mean" not in str(caught.value)
