"""Weights that no network can take: of examples, of classes, and its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bad_input import (
    INF,
    NAN,
    ROWS,
    TEXT,
    Call,
    Row,
    assert_a_trained_network_refuses,
    assert_an_unbuilt_network_refuses,
    bad_fit,
    bad_weight,
    names,
    put,
)

import xpnet
from xpnet import ConfigurationError, DataError, DtypeError, Network, ShapeError


def set_weights(name: str, value: Any) -> Call:
    return lambda net, x, y: net.set_weights({"0.bias": np.ones(6), name: value})


def weight_3(value: float) -> Callable[[], Any]:
    return lambda: put(3, value)(np.ones(ROWS))


WEIGHTS_TABLE = [
    *bad_weight("too-short", lambda: np.ones(11), ShapeError, "expected 12", "got 11"),
    *bad_weight("rank-2", lambda: np.ones((ROWS, 1)), ShapeError, "(N,)", "(12, 1)"),
    *bad_weight("negative", weight_3(-1), DataError, "not negative", "sample_weight[3], is -1", "1 of 12"),
    *bad_weight("nan", weight_3(NAN), DataError, "finite", "sample_weight[3], is nan", "weight 0"),
    *bad_weight("infinite", weight_3(INF), DataError, "finite", "sample_weight[3], is inf"),
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

STATE_TABLE = [
    Row("weights-unknown", set_weights("0.wieght", 1), ConfigurationError, ("weight", "'0.wieght'", "'0.weight'")),
    Row(
        "weights-shape",
        set_weights("0.weight", np.ones((6, 4))),
        ShapeError,
        ("0.weight", "(4, 6)", "(6, 4)", ".T", "PyTorch"),
    ),
    Row("weights-flat", set_weights("0.weight", np.ones(24)), ShapeError, ("0.weight", "(24,)", ".reshape(4, 6)")),
    Row("weights-size", set_weights("2.bias", np.ones(7)), ShapeError, ("2.bias", "(3,)", "(7,)", "get_weights()")),
    Row(
        "weights-nan",
        set_weights("0.weight", np.full((4, 6), np.nan)),
        DataError,
        ("0.weight", "NaN", "network.check_finite"),
    ),
    Row("weights-number", set_weights("0.weight", 0.5), ShapeError, ("0.weight", "(4, 6)", "got ()")),
    Row(
        "weights-text", set_weights("0.weight", TEXT), DtypeError, ("0.weight", "real numbers", "<U1", "get_weights()")
    ),
    Row(
        "weights-list",
        lambda net, x, y: net.set_weights([1]),
        ConfigurationError,
        ("weights", "mapping", "list", "dict(zip("),
    ),
]

TABLE = [*WEIGHTS_TABLE, *STATE_TABLE]


@pytest.mark.parametrize("row", TABLE, ids=names(TABLE))
def test_a_trained_network_refuses_and_stays_as_it_was(row: Row, trained: dict[str, Network]) -> None:
    assert_a_trained_network_refuses(row, trained)


UNBUILT = [row for row in TABLE if row.unbuilt]


@pytest.mark.parametrize("row", UNBUILT, ids=names(UNBUILT))
def test_a_network_that_has_seen_no_data_refuses_and_stays_unbuilt(row: Row, backend: xpnet.Backend) -> None:
    assert_an_unbuilt_network_refuses(row, backend)
