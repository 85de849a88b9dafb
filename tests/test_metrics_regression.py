from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnet.errors import DataError, DtypeError, ShapeError
from xpnet.metrics import regression
from xpnet.metrics.regression import mean_absolute_error, mean_squared_error, r2

MEASURED = [mean_squared_error, mean_absolute_error, r2]


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
        ([1.0, 2.0], [[1.0], [2.0]], ShapeError, r"one shape; got \(2,\) and \(2, 1\)"),
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


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170, 1e300])
def test_r2_has_no_unit(size: float) -> None:
    true, predicted = np.random.default_rng(7).normal(size=(2, 30, 2))
    sizes = np.array([size, 1.0])
    assert r2(true * sizes, predicted * sizes) == pytest.approx(r2(true, predicted))
    weighed = r2([0.0, size, 2 * size, 9e9], [0.0, size, 3 * size, 0.0], sample_weight=[1, 1, 1, 0])
    assert weighed == pytest.approx(0.5)


def test_r2_refuses_a_constant() -> None:
    for constant in ([0.1] * 10, [[0.1, i] for i in range(10)]):
        with pytest.raises(DataError, match="constant"):
            r2(constant, constant)
    with pytest.raises(DataError, match="constant"):
        r2([1.0, 1.0, 2.0], [1.0, 1.0, 2.0], sample_weight=[1.0, 1.0, 0.0])


def test_all_is_right() -> None:
    assert all(hasattr(regression, name) for name in regression.__all__)
