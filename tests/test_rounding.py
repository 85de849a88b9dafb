"""Warnings of features and targets that lose, as float32, what tells their rows apart."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import Dense, Network
from xpnet.rounding import SAMPLE, warn_of_rounding

ROWS = 40
TIMES = 1.7e9 + np.arange(float(ROWS))
SMALL = np.linspace(-1, 1, ROWS)


def fit(x: Any, y: Any = SMALL, *, backend: Any = "numpy", dtype: str = "float32", **arguments: Any) -> list[str]:
    """Train on x and y, and return the warnings, which point here."""
    net = Network([Dense(1)], loss="mse", optimizer=xpnet.SGD(1e-30), backend=backend, dtype=dtype)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(x, y, verbose=0, **arguments)
    assert all(each.category is UserWarning and each.filename == __file__ for each in caught)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("arguments", [{}, {"validation_split": 0.5}, {"validation_data": (TIMES[:, None], SMALL)}])
@pytest.mark.parametrize("times", [TIMES[:, None], TIMES[:, None].astype(np.int64), TIMES[:, None].tolist()])
def test_times_in_float32_are_warned_of_once_with_the_remedy(times: Any, arguments: Any) -> None:
    (said,) = fit(times, **arguments)
    assert said == (
        "x[:, 0] spreads over 39 alone, at numbers of up to 1.7e+09, which the network's float32 rounds to multiples "
        "of 128: scale x before fit, by xpnet.StandardScaler, or compute with dtype='float64'"
    )


def test_the_remedies_mend_it() -> None:
    assert not fit(TIMES[:, None], dtype="float64")
    assert not fit(xpnet.StandardScaler().fit_transform(TIMES[:, None])[1])


def test_features_are_named_by_place_and_column() -> None:
    images = np.zeros((ROWS, 2, 3))
    images[:, 0, 1] = images[:, 1, 2] = -TIMES
    with pytest.warns(UserWarning, match=r"^x\[:, 0, 1\] spreads .* \(and 1 more like it\): scale x"):
        warn_of_rounding("float32", {"x": (images, images)})
    pandas = pytest.importorskip("pandas")
    (said,) = fit(pandas.DataFrame({"size": SMALL, "time": TIMES}))
    assert said.startswith("x[:, 1] (column 'time') spreads over 39")


def test_columns_of_other_tables_are_named_where_they_have_names() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    (said,) = fit(pyarrow.table({"size": SMALL, "time": TIMES}))
    assert said.startswith("x[:, 1] (column 'time') spreads over 39")


def test_a_table_with_columns_of_another_kind_is_taken_as_it_is() -> None:
    class Table:
        def columns(self) -> None: ...

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return TIMES[:, None]

    (said,) = fit(Table())
    assert said.startswith("x[:, 0] spreads over 39")


@pytest.mark.parametrize("name", ["XPRegressor", "MLPRegressor"])
def test_the_warning_of_an_estimator_points_at_the_call_of_fit(name: str) -> None:
    sklearn = pytest.importorskip("xpnet.sklearn", exc_type=ImportError)
    options = {"epochs": 1, "layers": [Dense(1)]} if name == "XPRegressor" else {"max_iter": 1}
    model = getattr(sklearn, name)(dtype="float32", **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(TIMES[:, None], SMALL)
    assert {each.filename for each in caught if "spreads over 39" in str(each.message)} == {__file__}


def test_targets_of_a_regression_are_looked_at_with_x_in_one_warning() -> None:
    (said,) = fit(SMALL[:, None], TIMES)
    assert said.startswith("y spreads over 39 ")
    assert "xpnet.StandardScaler, whose inverse_transform brings predictions back" in said
    (said,) = fit(TIMES[:, None], TIMES)
    assert said.startswith("x[:, 0] spreads ")
    assert "; y spreads " in said


def test_classes_are_not_looked_at() -> None:
    net = Network([Dense(2)], seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.fit(SMALL[:, None], np.arange(ROWS) % 2, verbose=0)


@pytest.mark.parametrize(
    "column",
    [
        np.full(ROWS, 1e9 + 0.1),  # constant
        np.where(np.arange(ROWS) % 2, 0.3, 0.1 + 0.2),  # constant, but for rounding
        1e9 + 0.1 + 1e-6 * np.arange(ROWS) / ROWS,
        1e7 + np.arange(ROWS) % 3,  # each a number of float32
        np.where(np.arange(ROWS) == 7, 0.0, TIMES),
        1.7e9 + 86400.0 * 365 * np.arange(ROWS) / ROWS,  # the times of a year
        52.5 + 0.01 * SMALL,  # a town's latitudes
        np.zeros(ROWS),
        TIMES.astype(np.float32),
        2000 + np.arange(ROWS),
    ],
)
def test_usual_features_are_not_warned_of(column: Any) -> None:
    assert not fit(column[:, None] * 1)


def test_three_digits_of_the_spread_are_the_limit() -> None:
    step = float(np.spacing(np.float32(1e6)))
    odd = 1e6 + step * 0.49
    assert not fit((odd + np.linspace(0, step * 1100, ROWS))[:, None])
    assert fit((odd + np.linspace(0, step * 900, ROWS))[:, None])


def test_all_rows_count_where_a_few_leave_it_open() -> None:
    x = np.full((50 * SAMPLE, 2), 1e9)
    x[7] = 1e9 + 1
    x[11, 1] = 2e9
    with pytest.warns(UserWarning, match=r"^x\[:, 0\] spreads over 1 alone.*'float64'$"):
        warn_of_rounding("float32", {"x": (x, x)})


def test_a_memory_mapped_array_is_looked_at(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", TIMES[:, None])
    assert fit(np.load(tmp_path / "x.npy", mmap_mode="r"))


def test_evaluate_and_train_step_do_not_look(backend: xpnet.Backend) -> None:
    net = Network([Dense(1)], loss="mse", backend=backend, inputs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.evaluate(TIMES[:, None], SMALL)
        net.train_step(TIMES[:, None], SMALL)


def test_numbers_that_are_not_finite_are_passed_over() -> None:
    x = np.stack([np.full(ROWS, np.nan), np.full(ROWS, np.inf)], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_rounding("float32", {"x": (x, x)})
