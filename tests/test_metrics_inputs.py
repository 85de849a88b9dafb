from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnet.errors import DataError, DtypeError, ShapeError
from xpnet.metrics import (
    accuracy,
    classification_report,
    confusion_matrix,
    mean_squared_error,
    precision_recall_f1,
    r2,
    roc_auc,
    top_k_accuracy,
)

LABELED = [accuracy, confusion_matrix, precision_recall_f1, classification_report]


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


@pytest.mark.parametrize("function", LABELED)
@pytest.mark.parametrize(
    ("true", "predicted", "error", "message"),
    [
        ([0, 1], [0], ShapeError, "equally long; got 2 and 1"),
        ([], [], DataError, "y_true is empty"),
        ([[0], [1]], [0, 1], ShapeError, r"y_true must be one label per sample, shape \(n,\); got \(2, 1\)"),
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
        ([1.0], ShapeError, r"shape \(2,\), one per sample; got \(1,\)"),
        ([1.0, -1.0], DataError, "not negative"),
        ([1.0, np.nan], DataError, "finite"),
        ([0.0, 0.0], DataError, "positive for at least one"),
        (["a", "b"], DtypeError, "sample_weight must hold real numbers"),
    ],
)
def test_weights_are_checked(function: Any, weight: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        function([0, 1], [0, 1], sample_weight=weight)


@pytest.mark.parametrize("function", [*LABELED, roc_auc, lambda true, scores: top_k_accuracy(true, scores, 1)])
@pytest.mark.parametrize("dtype", [int, float, bool])
def test_several_labels_for_each_sample_are_measured_column_by_column(function: Any, dtype: type) -> None:
    several = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]]).astype(dtype)
    with pytest.raises(ShapeError, match=r"y_true .* \(3, 3\); .* any number of labels .* for each column, .*\[:, j\]"):
        function(several, several)
    with pytest.raises(ShapeError, match="take argmax over the last axis of scores or one-hot labels"):
        function(np.eye(3).astype(dtype), several)


def test_several_predicted_labels_are_seen_too() -> None:
    with pytest.raises(ShapeError, match=r"y_pred .* for each column"):
        accuracy([0, 1], np.ones((2, 3)))
