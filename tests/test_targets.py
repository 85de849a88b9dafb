"""Targets at the edge: every form that a user gives, and the one form that a loss computes with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from xpnet import DataError, ShapeError
from xpnet.targets import binary_rows, class_targets, real_rows, sign_rows


@given(
    labels=st.lists(st.integers(0, 6), min_size=1), dtype=st.sampled_from(["u1", "i2", "i8", "u8", "f2", "f8", ">i4"])
)
def test_labels_become_int32_whatever_held_them(labels: list[int], dtype: str) -> None:
    found = class_targets(np.array(labels, dtype), 7)
    assert found.dtype == np.int32
    assert found.tolist() == labels
    assert class_targets(np.array(labels, dtype)[:, None], 7).tolist() == labels


@pytest.mark.parametrize(("label", "dtype", "classes"), [(-1, "i1", 300), (-1, "i2", 70_000), (-100, "i1", 200)])
def test_a_negative_label_is_none_of_many_classes(label: int, dtype: str, classes: int) -> None:
    with pytest.raises(DataError, match=f"got {label}"):
        class_targets(np.array([3, label], dtype), classes)
    assert class_targets(np.array([3, 127], dtype), classes).tolist() == [3, 127]


@given(label=st.integers(-(2**62), 2**62), classes=st.integers(2, 50))
def test_a_label_is_taken_just_where_it_is_a_class(label: int, classes: int) -> None:
    y = np.array([0, label])
    if 0 <= label < classes:
        assert class_targets(y, classes).tolist() == [0, label]
    else:
        with pytest.raises(DataError, match=rf"0\.\.{classes - 1}.*got {label}"):
            class_targets(y, classes)


def test_booleans_are_two_classes() -> None:
    assert class_targets(np.array([True, False]), 2).tolist() == [1, 0]


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, -np.inf, 1e300])
def test_what_is_no_label(value: float) -> None:
    with pytest.raises(DataError, match="integral" if value != 1e300 else r"0\.\.2"):
        class_targets(np.array([0.0, value]), 3)


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1))
def test_rows_of_probabilities_stay_as_they_are(rows: list[list[float]]) -> None:
    y = np.array(rows)
    y /= y.sum(axis=1, keepdims=True)
    assert class_targets(y, 3) is y


@pytest.mark.parametrize("dtype", ["bool", "u1", "i8", "f2", "f4"])
def test_one_hot_rows_of_any_dtype(dtype: str) -> None:
    found = class_targets(np.eye(3)[[2, 0]].astype(dtype), 3)
    assert found.dtype.kind == "f"
    np.testing.assert_array_equal(found, np.eye(3)[[2, 0]])


@pytest.mark.parametrize("row", [[0.5, 0.6], [1.5, -0.5], [0.0, 0.0], [1.0, 1.0]])
def test_rows_that_are_no_probabilities(row: list[float]) -> None:
    with pytest.raises(DataError, match="none negative, summing to 1"):
        class_targets(np.array([[1.0, 0.0], row]), 2)


@pytest.mark.parametrize(("shape", "fragment"), [((4, 3), "3 columns"), ((4, 2, 1), "shape"), ((4, 0), "0 columns")])
def test_rows_of_another_width(shape: tuple[int, ...], fragment: str) -> None:
    with pytest.raises(ShapeError, match=fragment):
        class_targets(np.ones(shape), 2)


@pytest.mark.parametrize("y", [[0, 1, 1], [False, True, True], [0.0, 0.25, 1.0]])
def test_yes_or_no(y: list[Any]) -> None:
    found = binary_rows(np.array(y), 1)
    assert found.shape == (3, 1)
    assert found.dtype.kind == "f"
    np.testing.assert_array_equal(found[:, 0], np.array(y, dtype=float))
    np.testing.assert_array_equal(binary_rows(np.array(y)[:, None], 1), found)


@pytest.mark.parametrize("value", [-0.01, 1.01, 2, -1, np.inf])
def test_what_is_neither(value: float) -> None:
    with pytest.raises(DataError, match=rf"0\.\.1.*got {value}"):
        binary_rows(np.array([0, 1, value]), 1)


@pytest.mark.parametrize("dtype", ["bool", "u1", "i8", "f4"])
def test_zero_and_one_are_minus_and_plus(dtype: str) -> None:
    np.testing.assert_array_equal(sign_rows(np.array([0, 1, 1]).astype(dtype))[:, 0], [-1, 1, 1])


def test_signs_stay_signs() -> None:
    np.testing.assert_array_equal(sign_rows(np.array([-1, 1, 1]))[:, 0], [-1, 1, 1])
    np.testing.assert_array_equal(sign_rows(np.array([[-1], [-1]]))[:, 0], [-1, -1])


@pytest.mark.parametrize("value", [2, 0.5, -2, np.nan])
def test_what_is_no_sign(value: float) -> None:
    with pytest.raises(DataError, match="-1 and 1"):
        sign_rows(np.array([1, value]))
    with pytest.raises(DataError, match="mixes -1 and 0"):
        sign_rows(np.array([1, 0, -1]))


def test_large_integers_keep_their_value() -> None:
    large = np.array([2**24 + 1, 2**40 + 1])
    np.testing.assert_array_equal(real_rows(large, (1,))[:, 0], large.astype(np.float64))
    assert real_rows(np.array([1, 2], dtype="u1"), (1,)).dtype == np.float32


@pytest.mark.parametrize("out_shape", [(1,), (1, 1)])
def test_one_number_an_example_may_be_flat(out_shape: tuple[int, ...]) -> None:
    assert real_rows(np.zeros(5), out_shape).shape == (5, *out_shape)


@pytest.mark.parametrize(("shape", "out_shape"), [((5,), (2,)), ((5, 1), (2,)), ((5, 2), (2, 1)), ((5, 2), ())])
def test_real_targets_are_shaped_as_the_outputs(shape: tuple[int, ...], out_shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="as the network's outputs have"):
        real_rows(np.zeros(shape), out_shape)


@pytest.mark.parametrize(
    "check", [lambda y: class_targets(y, 2), lambda y: binary_rows(y, 1), sign_rows, lambda y: real_rows(y, (1,))]
)
@pytest.mark.parametrize("dtype", ["i8", "f8", "u1"])
def test_what_was_given_is_not_written_to(check: Any, dtype: str) -> None:
    y = np.array([0, 1, 1], dtype)
    y.flags.writeable = False
    check(y)
    np.testing.assert_array_equal(y, [0, 1, 1])


@pytest.mark.parametrize(
    ("y", "remedy"),
    [
        ([0, 1, 2], "use loss='cross_entropy'"),
        ([-1, 1, -1], "(y + 1) / 2"),
        ([0.5, 1.5, 0.0], "use loss='mse'"),
        ([0.0, np.inf, 1.0], "use loss='mse'"),
    ],
)
def test_what_no_yes_or_no_may_be_meant_to_be(y: list[float], remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        binary_rows(np.array(y, float), 1)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "out_shape", "remedy"),
    [
        ((5,), (3,), "Dense(1); for class indices use loss='cross_entropy'"),
        ((5, 1), (3,), "Dense(1); for class indices use loss='cross_entropy'"),
        ((5, 2), (1,), "Make the last layer Dense(2)"),
        ((5, 2, 2), (4,), "y.reshape(-1, 4)"),
        ((5, 4), (2, 2), "Flatten()"),
        ((5, 2, 2), (3,), "Give a row for each example"),
    ],
)
def test_targets_of_another_shape(shape: tuple[int, ...], out_shape: tuple[int, ...], remedy: str) -> None:
    with pytest.raises(ShapeError) as caught:
        real_rows(np.zeros(shape), out_shape)
    assert remedy in str(caught.value)
