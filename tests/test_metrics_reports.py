from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnet.errors import ConfigurationError, DataError, DtypeError, ShapeError
from xpnet.metrics import reports
from xpnet.metrics.reports import (
    accuracy,
    classification_report,
    confusion_matrix,
    mean_absolute_error,
    mean_squared_error,
    precision_recall_f1,
    r2,
    roc_auc,
    top_k_accuracy,
)

LABELED = [accuracy, confusion_matrix, precision_recall_f1, classification_report]
MEASURED = [mean_squared_error, mean_absolute_error, r2]

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(0.1, 5.0)), min_size=1, max_size=40)


def columns(rows: list[tuple[Any, ...]]) -> list[np.ndarray]:
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.fixture(scope="module")
def sk() -> Any:
    return pytest.importorskip("sklearn.metrics")


def converters() -> dict[str, Any]:
    def via(module: str, convert: Any) -> Any:
        return lambda values: convert(pytest.importorskip(module), np.asarray(values))

    return {
        "list": lambda values: np.asarray(values).tolist(),
        "numpy": np.asarray,
        "pandas": via("pandas", lambda pd, v: pd.Series(v) if v.ndim == 1 else pd.DataFrame(v)),
        "torch": via("torch", lambda torch, v: torch.asarray(v.copy())),
        "jax": via("jax.numpy", lambda jnp, v: jnp.asarray(v)),
        "strict": via("array_api_strict", lambda xp, v: xp.asarray(v, device=xp.Device("device1"))),
    }


@pytest.mark.parametrize("name", list(converters()))
def test_every_library_is_taken(name: str) -> None:
    convert = converters()[name]
    true, predicted, weights = convert([0, 1, 2, 2]), convert([0, 1, 1, 2]), convert([1.0, 1.0, 2.0, 1.0])
    assert accuracy(true, predicted, sample_weight=weights) == pytest.approx(0.6)
    assert confusion_matrix(true, predicted).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert top_k_accuracy(true, convert(np.eye(4, 3)), 1) == 0.75
    assert roc_auc(convert([0, 1, 1]), convert([0.1, 0.5, 0.2])) == 1.0
    assert mean_squared_error(true, predicted) == 0.25
    assert r2(convert([1.0, 2.0, 3.0]), convert([1.0, 2.0, 4.0])) == 0.5


# --- classification ----------------------------------------------------------------------------------


def test_accuracy_takes_any_whole_labels() -> None:
    assert accuracy([-1, 1, 1.0], [-1.0, 1, -1]) == pytest.approx(2 / 3)
    assert accuracy([True, False], [1, 1]) == 0.5


def test_confusion_matrix_has_true_rows() -> None:
    matrix = confusion_matrix([0, 0, 0, 1], [1, 1, 0, 1], classes=3)
    assert matrix.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
    assert matrix.dtype == np.int64
    assert confusion_matrix([0, 1], [0, 0], sample_weight=[0.5, 2.0]).tolist() == [[0.5, 0.0], [2.0, 0.0]]


@given(rows=pairs)
@settings(deadline=None)
def test_classification_agrees_with_sklearn(sk: Any, rows: list[tuple[Any, ...]]) -> None:
    true, predicted, weights = columns(rows)
    for weight in (None, weights):
        mine = accuracy(true, predicted, sample_weight=weight)
        assert mine == pytest.approx(sk.accuracy_score(true, predicted, sample_weight=weight))
        np.testing.assert_allclose(
            confusion_matrix(true, predicted, 5, sample_weight=weight),
            sk.confusion_matrix(true, predicted, labels=range(5), sample_weight=weight),
        )
        for average in ("macro", "micro", "weighted"):
            reference = sk.precision_recall_fscore_support(
                true, predicted, average=average, sample_weight=weight, zero_division=0
            )
            mine = precision_recall_f1(true, predicted, average, sample_weight=weight)
            np.testing.assert_allclose(mine, reference[:3], err_msg=average)
        classes = range(max(true.max(), predicted.max()) + 1)
        reference = sk.precision_recall_fscore_support(
            true, predicted, labels=classes, sample_weight=weight, zero_division=0
        )
        np.testing.assert_allclose(precision_recall_f1(true, predicted, sample_weight=weight), reference[:3])


@given(rows=pairs)
@settings(deadline=None)
def test_binary_average_agrees_with_sklearn(sk: Any, rows: list[tuple[Any, ...]]) -> None:
    true, predicted, weights = columns(rows)
    true, predicted = true % 2, predicted % 2
    reference = sk.precision_recall_fscore_support(
        true, predicted, labels=[1], average="macro", sample_weight=weights, zero_division=0
    )
    mine = precision_recall_f1(true, predicted, "binary", sample_weight=weights)
    np.testing.assert_allclose(mine, reference[:3])


def test_precision_recall_f1_is_quiet_about_empty_classes() -> None:
    figures = precision_recall_f1([0, 2], [0, 0])
    assert figures.precision.tolist() == [0.5, 0.0, 0.0]
    assert figures.recall.tolist() == [1.0, 0.0, 0.0]
    # Class 1 occurs nowhere and does not pull the mean down; class 2 does.
    assert precision_recall_f1([0, 2], [0, 0], "macro").recall == 0.5
    assert isinstance(precision_recall_f1([0, 1], [0, 1], "macro").f1, float)


def test_classification_report_agrees_with_sklearn(sk: Any) -> None:
    true, predicted, weights = np.random.default_rng(0).integers(0, 5, (3, 200))
    true[true == 3] = 0
    predicted[predicted == 3] = 0
    for weight in (None, weights + 0.25):
        mine = classification_report(true, predicted, sample_weight=weight)
        theirs = sk.classification_report(true, predicted, digits=4, sample_weight=weight)
        numbers = [[row.split() for row in text.splitlines() if row.strip()][1:] for text in (mine, theirs)]
        assert [row[:-1] for row in numbers[0]] == [row[:-1] for row in numbers[1]]
        supports = [[float(row[-1]) for row in table] for table in numbers]
        np.testing.assert_allclose(*supports)


def test_classification_report_is_aligned_and_named() -> None:
    report = classification_report([0, 1, 2, 1], [0, 1, 1, 1], names=["a", "a long one", "c"], digits=3)
    rows = [row for row in report.splitlines() if row]
    assert len({len(row) for row in rows}) == 1
    assert "a long one" in report
    assert "0.667" in report
    assert "3" not in classification_report([0, 4], [0, 4], digits=0).split()
    with pytest.raises(DataError, match="2 classes"):
        classification_report([0, 1, 2], [0, 1, 1], names=["a", "b"])
    for digits in (-1, 1.5, True):
        with pytest.raises(ConfigurationError, match="digits"):
            classification_report([0], [0], digits=digits)  # type: ignore[arg-type]


@pytest.mark.parametrize("function", LABELED)
@pytest.mark.parametrize(
    ("true", "predicted", "error", "message"),
    [
        ([0, 1], [0], ShapeError, "equally long, got 2 and 1"),
        ([], [], DataError, "y_true is empty"),
        ([[0], [1]], [0, 1], ShapeError, r"y_true must be one label per sample, shape \(n,\), got \(2, 1\)"),
        ([0, 1], [[0.9, 0.1], [0.2, 0.8]], ShapeError, "y_pred must be one label per sample.*argmax"),
        ([0, 1], [0.5, 1.0], DataError, "y_pred must hold whole numbers"),
        ([0, 1], [0.0, np.nan], DataError, "y_pred must hold whole numbers"),
        ([0, np.inf], [0, 1], DataError, "y_true must hold whole numbers"),
        ([0, 1e300], [0, 1], DataError, "class numbers"),
        ([0, 2**64 - 1], [0, 1], DataError, "class numbers"),
        (["a", "b"], [0, 1], DtypeError, "y_true must hold real numbers.*np.unique"),
        ([0, 1], [None, 1], DtypeError, "y_pred must hold real numbers"),
    ],
)
def test_labels_are_checked(function: Any, true: Any, predicted: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        function(true, predicted)


@pytest.mark.parametrize("function", LABELED)
@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ([1.0], ShapeError, r"shape \(2,\), one per sample, got \(1,\)"),
        ([1.0, -1.0], DataError, "not negative"),
        ([1.0, np.nan], DataError, "finite"),
        ([0.0, 0.0], DataError, "positive for at least one"),
        (["a", "b"], DtypeError, "sample_weight must hold real numbers"),
    ],
)
def test_weights_are_checked(function: Any, weight: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        function([0, 1], [0, 1], sample_weight=weight)


def test_classes_are_checked() -> None:
    with pytest.raises(DataError, match=r"y_pred must lie in 0\.\.1 for 2 classes; it reaches from 0 to 2"):
        confusion_matrix([0, 1], [0, 2], 2)
    with pytest.raises(DataError, match=r"y_true .* numbered from 0; it reaches from -1 to 1"):
        confusion_matrix([-1, 1], [1, 1])
    with pytest.raises(DataError, match=r"y_true .* numbered from 0"):
        confusion_matrix([-1], [-1])
    with pytest.raises(DataError, match="20,000 x 20,000"):
        confusion_matrix([19_999], [0])
    for classes in (0, 1.5, True):
        with pytest.raises(ConfigurationError, match="classes must be a positive integer"):
            confusion_matrix([0], [0], classes)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="unknown average 'makro'; did you mean 'macro'"):
        precision_recall_f1([0], [0], "makro")  # type: ignore[call-overload]
    with pytest.raises(DataError, match=r"0\.\.1"):
        precision_recall_f1([0, 2], [0, 1], "binary")


# --- scores ------------------------------------------------------------------------------------------


def test_top_k_accuracy_agrees_with_sklearn(sk: Any) -> None:
    generator = np.random.default_rng(3)
    scores, true = generator.normal(size=(300, 6)), generator.integers(0, 6, 300)
    weights = generator.uniform(0.1, 2, 300)
    for k in (1, 2, 5):
        reference = sk.top_k_accuracy_score(true, scores, k=k, labels=range(6), sample_weight=weights)
        assert top_k_accuracy(true, scores, k, sample_weight=weights) == pytest.approx(reference)
    assert top_k_accuracy(true, scores, 6) == 1.0
    assert top_k_accuracy(true, scores, 1) == accuracy(true, scores.argmax(axis=1))


def test_top_k_accuracy_breaks_ties_like_argmax() -> None:
    alike = np.zeros((4, 4))
    assert [top_k_accuracy(range(4), alike, k) for k in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1.0]
    assert top_k_accuracy([3, 3], np.zeros((2, 4)), 1) == 0.0


@pytest.mark.parametrize(
    ("true", "scores", "k", "error", "message"),
    [
        ([0], [[0.1, 0.9]], 0, ConfigurationError, r"k must be an integer in 1\.\.2"),
        ([0], [[0.1, 0.9]], 3, ConfigurationError, "got 3"),
        ([0], [[0.1, 0.9]], True, ConfigurationError, "got True"),
        ([0], [0.1], 1, ShapeError, r"scores must have shape \(1, classes\)"),
        ([0, 1], [[0.1, 0.9]], 1, ShapeError, r"for 2 labels in y_true, got \(1, 2\)"),
        ([2], [[0.1, 0.9]], 1, DataError, "the 2 columns of scores"),
        ([-1], [[0.1, 0.9]], 1, DataError, "from -1"),
        ([0], [[np.nan, 0.9]], 1, DataError, "NaN"),
        ([0], np.zeros((1, 0)), 1, DataError, "empty"),
        ([0], [["a", "b"]], 1, DtypeError, "scores must hold real numbers"),
    ],
)
def test_top_k_accuracy_refuses(true: Any, scores: Any, k: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        top_k_accuracy(true, scores, k)


def test_roc_auc_counts_ties_half() -> None:
    assert roc_auc([0, 1], [0.5, 0.5]) == 0.5
    assert roc_auc([0, 1], [1.0, 0.0]) == 0.0
    assert roc_auc([0, 1], [-np.inf, np.inf]) == 1.0


scored = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.floats(0.1, 5.0)), min_size=2)


@given(rows=scored)
@settings(deadline=None)
def test_roc_auc_agrees_with_sklearn(sk: Any, rows: list[tuple[Any, ...]]) -> None:
    true, score, weights = columns([*rows, (0, 0.1, 1.0), (1, 0.5, 1.0)])
    assert roc_auc(true, score) == pytest.approx(sk.roc_auc_score(true, score))
    reference = sk.roc_auc_score(true, score, sample_weight=weights)
    assert roc_auc(true, score, sample_weight=weights) == pytest.approx(reference)


def test_roc_auc_of_several_classes_agrees_with_sklearn(sk: Any) -> None:
    generator = np.random.default_rng(5)
    true = generator.integers(0, 4, 200)
    table = generator.dirichlet(np.ones(4), 200).round(1)
    table /= table.sum(axis=1, keepdims=True)
    reference = sk.roc_auc_score(true, table, multi_class="ovr", average="macro")
    assert roc_auc(true, table) == pytest.approx(reference)
    two = true % 2
    column = table[:, 0]
    assert roc_auc(two, np.stack([-column, column], axis=1)) == pytest.approx(roc_auc(two, column))


@pytest.mark.parametrize(
    ("true", "score", "error", "message"),
    [
        ([0, 0], [0.1, 0.2], DataError, "none of class 1"),
        ([1, 1], [0.1, 0.2], DataError, "only of class 1"),
        ([0, 2], [0.1, 0.2], DataError, r"0\.\.1 for a score of one column"),
        ([0, 1], np.eye(2, 3), DataError, "none of class 2"),
        ([0, 1], [0.1], ShapeError, r"score must have shape \(2,\)"),
        ([0, 1], [[0.1, 0.9]], ShapeError, r"score must have shape \(2, classes\)"),
        ([0, 1], [0.1, np.nan], DataError, "NaN"),
        ([0, 1], ["a", "b"], DtypeError, "score must hold real numbers"),
    ],
)
def test_roc_auc_refuses(true: Any, score: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        roc_auc(true, score)


# --- regression --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(30,), (30, 3)])
def test_regression_agrees_with_sklearn(sk: Any, shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(6)
    true, predicted = generator.normal(size=(2, *shape))
    for weight in (None, generator.uniform(0.1, 2, 30)):
        options = {"sample_weight": weight}
        assert mean_squared_error(true, predicted, **options) == pytest.approx(
            sk.mean_squared_error(true, predicted, **options)
        )
        assert mean_absolute_error(true, predicted, **options) == pytest.approx(
            sk.mean_absolute_error(true, predicted, **options)
        )
        assert r2(true, predicted, **options) == pytest.approx(sk.r2_score(true, predicted, **options))


def test_regression_does_not_wrap_integers() -> None:
    assert mean_absolute_error(np.array([0], "uint8"), np.array([255], "uint8")) == 255.0
    assert mean_squared_error(np.array([0], "uint8"), np.array([255], "uint8")) == 255.0**2


@pytest.mark.parametrize("function", MEASURED)
@pytest.mark.parametrize(
    ("true", "predicted", "error", "message"),
    [
        ([1.0, 2.0], [[1.0], [2.0]], ShapeError, r"one shape, got \(2,\) and \(2, 1\)"),
        ([1.0, 2.0], [1.0], ShapeError, r"got \(2,\) and \(1,\)"),
        (1.0, 1.0, ShapeError, "single value"),
        ([], [], DataError, "y_true is empty"),
        ([1.0, np.nan], [1.0, 2.0], DataError, "y_true holds NaN"),
        ([1.0, 2.0], [1.0, np.inf], DataError, "y_pred holds NaN or infinities"),
        ([1.0, 2.0], [1.0, 2.0j], DtypeError, "y_pred must hold real numbers"),
    ],
)
def test_regression_refuses(function: Any, true: Any, predicted: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        function(true, predicted)


def test_r2_refuses_a_constant() -> None:
    for constant in ([0.1] * 10, [[0.1, i] for i in range(10)]):
        with pytest.raises(DataError, match="constant"):
            r2(constant, constant)
    with pytest.raises(DataError, match="constant"):
        r2([1.0, 1.0, 2.0], [1.0, 1.0, 2.0], sample_weight=[1.0, 1.0, 0.0])


def test_all_is_right() -> None:
    assert all(hasattr(reports, name) for name in reports.__all__)
