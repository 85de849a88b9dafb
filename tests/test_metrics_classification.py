from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from xpnet.errors import ConfigurationError, DataError, DtypeError, ShapeError
from xpnet.metrics import classification
from xpnet.metrics.classification import (
    accuracy,
    classification_report,
    confusion_matrix,
    precision_recall_f1,
    top_k_accuracy,
)

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(0.1, 5.0)), min_size=1, max_size=40)


def columns(rows: list[tuple[Any, ...]]) -> list[np.ndarray]:
    return [np.array(column) for column in zip(*rows, strict=True)]


def test_accuracy_takes_any_whole_labels() -> None:
    assert accuracy([-1, 1, 1.0], [-1.0, 1, -1]) == pytest.approx(2 / 3)
    assert accuracy([True, False], [1, 1]) == 0.5


def test_confusion_matrix_has_true_rows() -> None:
    matrix = confusion_matrix([0, 0, 0, 1], [1, 1, 0, 1], classes=3)
    assert matrix.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
    assert matrix.dtype == np.int64
    assert confusion_matrix([0, 1], [0, 0], sample_weight=[0.5, 2.0]).tolist() == [[0.5, 0.0], [2.0, 0.0]]


@given(rows=pairs)
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
    with pytest.raises(DataError, match="names must have one for each class: the labels reach 2, and it has 2"):
        classification_report([0, 1, 2], [0, 1, 1], names=["a", "b"])
    for digits in (-1, 1.5, True):
        with pytest.raises(ConfigurationError, match="digits"):
            classification_report([0], [0], digits=digits)  # type: ignore[arg-type]


def test_classes_are_checked() -> None:
    with pytest.raises(DataError, match=r"y_pred must lie in 0\.\.1 for 2 classes; it reaches from 0 to 2"):
        confusion_matrix([0, 1], [0, 2], 2)
    with pytest.raises(DataError, match=r"y_true .* numbered from 0; .* from -1 to 1; .*by \(y_true \+ 1\) // 2"):
        confusion_matrix([-1, 1], [1, 1])
    with pytest.raises(DataError, match=r"it reaches from -1 to 2\.$"):
        confusion_matrix([-1, 2], [1, 1])
    with pytest.raises(DataError, match=r"y_true .* numbered from 0"):
        confusion_matrix([-1], [-1])
    with pytest.raises(DataError, match="20,000 x 20,000"):
        confusion_matrix([19_999], [0])
    for classes in (0, 1.5, True):
        with pytest.raises(ConfigurationError, match="classes must be an integer of at least 1"):
            confusion_matrix([0], [0], classes)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="unknown average 'makro'; did you mean 'macro'"):
        precision_recall_f1([0], [0], "makro")  # type: ignore[call-overload]
    with pytest.raises(DataError, match=r"0\.\.1"):
        precision_recall_f1([0, 2], [0, 1], "binary")


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
        ([0], [[0.1, 0.9]], 0, ConfigurationError, "k must be an integer from 1 to 2"),
        ([0], [[0.1, 0.9]], 3, ConfigurationError, "got 3"),
        ([0], [[0.1, 0.9]], True, ConfigurationError, "got True"),
        ([0], [0.1], 1, ShapeError, r"scores must have shape \(1, classes\)"),
        ([0, 1], [[0.1, 0.9]], 1, ShapeError, r"for 2 labels in y_true; got \(1, 2\)"),
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


def test_all_is_right() -> None:
    assert all(hasattr(classification, name) for name in classification.__all__)


@pytest.mark.parametrize("function", [precision_recall_f1, classification_report])
def test_identifiers_are_not_taken_for_classes(function: Any) -> None:
    with pytest.raises(DataError, match="number the classes from 0"):
        function([0, 10**12], [0, 10**12])
