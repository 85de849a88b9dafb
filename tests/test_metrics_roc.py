from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from xpnet.errors import DataError, DtypeError, ShapeError
from xpnet.metrics import roc_auc


def columns(rows: list[tuple[Any, ...]]) -> list[np.ndarray]:
    return [np.array(column) for column in zip(*rows, strict=True)]


def test_roc_auc_counts_ties_half() -> None:
    assert roc_auc([0, 1], [0.5, 0.5]) == 0.5
    assert roc_auc([0, 1], [1.0, 0.0]) == 0.0
    assert roc_auc([0, 1], [-np.inf, np.inf]) == 1.0


scored = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.floats(0.1, 5.0)), min_size=2)


@given(rows=scored)
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


def test_one_column_of_scores_is_the_positive_classs() -> None:
    true, score = [0, 0, 1, 1], np.array([0.1, 0.4, 0.4, 0.8])
    assert roc_auc(true, score[:, None]) == roc_auc(true, score) == 0.875
    with pytest.raises(DataError, match=r"y_true must lie in 0\.\.1 for a score of one column"):
        roc_auc([0, 1, 2, 1], score[:, None])
