from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from libraries import NAMES, Library

import xpnet.data
from xpnet.data import deal, from_one_hot, one_hot, split
from xpnet.errors import ConfigurationError, DataError, DtypeError, ShapeError


@pytest.fixture(params=NAMES)
def library(request: pytest.FixtureRequest) -> Library:
    return Library(request.param)


def test_all_is_right() -> None:
    assert all(hasattr(xpnet.data, name) for name in xpnet.data.__all__)


# --- one-hot -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_one_hot_in_every_library(library: Library, dtype: str) -> None:
    encoded = one_hot(library.array([2, 0, 1, 0], dtype), 4)
    host = library.check(encoded)
    assert host.dtype == np.float32
    np.testing.assert_array_equal(host, np.eye(4)[[2, 0, 1, 0]])
    np.testing.assert_array_equal(library.check(from_one_hot(encoded)), [2, 0, 1, 0])


def test_one_hot_keeps_leading_axes_and_counts_classes(library: Library) -> None:
    encoded = one_hot(library.array([[0, 1], [3, 2]], "int32"))
    assert library.check(encoded).shape == (2, 2, 4)
    np.testing.assert_array_equal(library.check(from_one_hot(encoded)), [[0, 1], [3, 2]])


def test_one_hot_takes_booleans_lists_pandas_and_a_single_label(library: Library) -> None:
    pandas = pytest.importorskip("pandas")
    np.testing.assert_array_equal(library.check(one_hot(library.array([True, False]), 2)), [[0, 1], [1, 0]])
    np.testing.assert_array_equal(one_hot(pandas.Series([1, 0])), [[0, 1], [1, 0]])
    np.testing.assert_array_equal(one_hot([1, 0]), [[0, 1], [1, 0]])
    np.testing.assert_array_equal(one_hot(2, 3), [0, 0, 1])


def test_one_hot_counts_past_a_narrow_dtype() -> None:
    assert one_hot(np.array([255], np.uint8), 1000).shape == (1, 1000)


@pytest.mark.parametrize("dtype", ["float64", np.float64, np.dtype("f8")])
def test_one_hot_dtype_by_name_or_object(dtype: Any) -> None:
    assert one_hot([0, 1], dtype=dtype).dtype == np.float64


def test_one_hot_dtype_of_another_library(library: Library) -> None:
    dtype = library.xp.float32
    assert one_hot([0, 1], dtype=dtype).dtype == np.float32
    assert library.check(one_hot(library.array([0, 1], "int32"), dtype=np.bool_)).dtype == np.bool_


@pytest.mark.parametrize(
    ("labels", "classes", "error", "message"),
    [
        ([0, 3], 3, DataError, r"0\.\.2 for classes=3, but the largest is 3"),
        ([-1, 0], None, DataError, "smallest is -1"),
        ([0, 10**12], None, DataError, "reach 1000000000000.*classes="),
        ([0.5], None, DataError, "whole numbers"),
        ([np.nan], None, DataError, "whole numbers"),
        ([np.inf], None, DataError, "whole numbers"),
        ([1e30], None, DataError, "largest is 1"),
        ([2**64 - 1], None, DataError, "largest is 18446744073709551615"),
        ([], None, DataError, "empty"),
        (["cat"], None, DtypeError, "real numbers"),
        ([None], None, DtypeError, "real numbers"),
        ([1j], None, DtypeError, "real numbers"),
        ([0], 0, ConfigurationError, "classes must be an integer of at least 1; got 0"),
        ([0], True, ConfigurationError, "got True"),
        ([0], 2.0, ConfigurationError, "got 2.0"),
    ],
)
def test_one_hot_refuses(labels: Any, classes: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        one_hot(labels, classes)


def test_one_hot_suggests_a_dtype() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'float32'"):
        one_hot([0], dtype="flot32")
    with pytest.raises(ConfigurationError, match="unknown dtype"):
        one_hot([0], dtype="")


@pytest.mark.parametrize(
    "encoded",
    [
        [[0, 0]],
        [[1, 1]],
        [[0.9, 0.1]],
        [[2, 0]],
        [[1, np.nan]],
        [[1, 0], [2, -1]],
        [[True, True]],
        [[False, False]],
    ],
)
def test_from_one_hot_refuses_what_is_not_one_hot(encoded: Any) -> None:
    with pytest.raises(DataError, match=r"1 of its rows do not; for probabilities"):
        from_one_hot(encoded)


def test_from_one_hot_refuses_shapes_and_text() -> None:
    with pytest.raises(ShapeError, match="last axis of classes"):
        from_one_hot(1)
    with pytest.raises(DataError, match="empty"):
        from_one_hot(np.zeros((0, 3)))
    with pytest.raises(DtypeError, match="encoded must hold real numbers"):
        from_one_hot([["a"]])


def test_from_one_hot_takes_booleans(library: Library) -> None:
    encoded = library.array([[False, True], [True, False]])
    np.testing.assert_array_equal(library.check(from_one_hot(encoded)), [1, 0])


@given(hnp.arrays(np.int64, hnp.array_shapes(max_dims=3), elements=st.integers(0, 20)))
def test_from_one_hot_is_the_inverse(labels: np.ndarray) -> None:
    np.testing.assert_array_equal(from_one_hot(one_hot(labels, 21)), labels)


# --- split -------------------------------------------------------------------------------------------


def test_split_goes_part_by_part(library: Library) -> None:
    x = library.array(np.arange(20.0, dtype="float32").reshape(10, 2))
    y = library.array(np.arange(10), "int32")
    parts = [library.check(part) for part in split(x, y, test=0.2, validation=0.3, seed=3)]
    x_train, y_train, x_val, y_val, x_test, y_test = parts
    assert [len(part) for part in parts] == [5, 5, 3, 3, 2, 2]
    assert sorted([*y_train, *y_val, *y_test]) == list(range(10))
    for features, labels in ((x_train, y_train), (x_val, y_val), (x_test, y_test)):
        np.testing.assert_array_equal(features[:, 0], 2 * labels)


def test_split_is_the_same_in_every_library(library: Library) -> None:
    y = np.arange(50) % 5
    here = split(library.array(np.arange(50), "int32"), stratify=library.array(y, "int32"), seed=7)
    there = split(np.arange(50), stratify=y.tolist(), seed=7)
    for mine, reference in zip(here, there, strict=True):
        np.testing.assert_array_equal(library.check(mine), reference)


def test_split_is_defined_by_its_seed() -> None:
    first, again, other = (split(np.arange(100), seed=seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, np.sort(first))


def test_split_leaves_out_what_was_not_asked_for() -> None:
    assert [len(part) for part in split(np.arange(10), test=3)] == [7, 3]
    assert [len(part) for part in split(np.arange(10), test=0, validation=0.1)] == [9, 1]
    assert [len(part) for part in split(np.arange(10), test=np.int64(2), validation=np.float32(0.5))] == [
        3,
        5,
        2,
    ]


def test_split_takes_lists_frames_and_text() -> None:
    pandas = pytest.importorskip("pandas")
    parts = split(pandas.DataFrame({"a": [1, 2, 3, 4]}), ["w", "x", "y", "z"], test=1)
    assert all(type(part) is np.ndarray for part in parts)
    assert {"wxyz"[int(x) - 1] == name for x, name in zip(parts[0][:, 0], parts[1], strict=True)} == {True}


@given(
    labels=st.lists(st.integers(0, 3), min_size=40, max_size=90),
    test=st.floats(0.1, 0.4),
    validation=st.floats(0.1, 0.4),
    seed=st.integers(0, 100),
)
def test_split_stratified_is_proportional(labels: list[int], test: float, validation: float, seed: int) -> None:
    y = np.array(labels)
    options: dict[str, Any] = {"test": test, "validation": validation, "seed": seed}
    sizes = [len(part) for part in split(y, **options)]
    try:
        parts = split(np.arange(len(y)), stratify=y, **options)
    except DataError:
        # Only a class with too small a share of the smallest part may stop it.
        assert np.bincount(y)[np.unique(y)].min() * min(sizes) < 2 * len(y)
        return
    assert [len(part) for part in parts] == sizes
    assert sorted(np.concatenate(parts)) == list(range(len(y)))
    for part, size in zip(parts, sizes, strict=True):
        for label, count in zip(*np.unique(y, return_counts=True), strict=True):
            # Validation is dealt from what the test part left, so two roundings may add up.
            assert abs(np.sum(y[part] == label) - count * size / len(y)) < 2


def test_split_stratified_exactly() -> None:
    y = np.repeat([0, 1, 2], [50, 30, 20])
    parts = split(y, test=0.2, validation=0.1, stratify=y)
    assert [np.bincount(part).tolist() for part in parts] == [[35, 21, 14], [5, 3, 2], [10, 6, 4]]
    assert not np.array_equal(parts[0], np.sort(parts[0]))
    assert [len(part) for part in split(y, stratify=["same"] * 100)] == [80, 20]


def test_which_of_equal_classes_are_held_out_is_drawn_by_the_seed() -> None:
    y = np.repeat(np.arange(20), 3)
    tested, validated = (set[int](), set[int]())
    for seed in range(12):
        _, validation, test = deal(y, (45, 5, 10), np.random.default_rng(seed))
        assert len(set(y[test].tolist())) == 10
        assert len(set(y[validation].tolist())) == 5
        tested |= set(y[test].tolist())
        validated |= set(y[validation].tolist())
    assert tested == validated == set(range(20))


@pytest.mark.parametrize("seed", range(9))
def test_each_class_keeps_a_row_to_train_on_where_they_suffice(seed: int) -> None:
    y = np.repeat([0, 1, 2], [10, 10, 3])
    training, validation, test = deal(y, (4, 7, 12), np.random.default_rng(seed))
    assert set(y[training].tolist()) == {0, 1, 2}
    assert np.bincount(y[test]).tolist() == [5, 5, 2]
    assert np.bincount(y[validation], minlength=3)[2] == 0
    assert [len(part) for part in deal(y, (2, 7, 14), np.random.default_rng(seed))] == [2, 7, 14]


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        ([], {}, ConfigurationError, "at least one array"),
        ([[1, 2], [1]], {}, ShapeError, r"lengths are \[2, 1\]"),
        ([[]], {}, DataError, "array 0 is empty"),
        ([3], {}, ShapeError, "single value"),
        ([range(10)], {"test": 0}, ConfigurationError, "nothing to split off"),
        ([range(10)], {"test": 1.0}, ConfigurationError, "test must be a fraction"),
        ([range(10)], {"test": -1}, ConfigurationError, "got -1"),
        ([range(10)], {"test": True}, ConfigurationError, "got True"),
        ([range(10)], {"test": float("nan")}, ConfigurationError, "got nan"),
        ([range(10)], {"validation": "half"}, ConfigurationError, "validation must be .* got 'half'"),
        ([range(10)], {"test": 10}, ConfigurationError, "leave none to train on"),
        ([range(10)], {"test": 0.6, "validation": 0.6}, ConfigurationError, "take 12 of 10"),
        ([range(10)], {"test": 0.01}, DataError, "of 10 samples is none"),
        ([range(10)], {"seed": -1}, ConfigurationError, "seed"),
        ([range(10)], {"seed": None}, ConfigurationError, "seed"),
        ([range(10)], {"stratify": [0]}, ShapeError, "as long as the arrays, 10, but it has 1"),
        ([range(2)], {"stratify": [[0, 1], [1, 0]], "test": 1}, ShapeError, "from_one_hot"),
        ([range(2)], {"stratify": [0.0, np.nan], "test": 1}, DataError, "NaN"),
        ([range(2)], {"stratify": np.array([0, "a"], object), "test": 1}, DtypeError, "no order"),
        ([range(4)], {"stratify": "aaab", "test": 2}, ShapeError, "one label per sample"),
        ([range(4)], {"stratify": list("aaab"), "test": 2}, DataError, "class 'b', which has 1 of 4"),
    ],
)
def test_split_refuses(arrays: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        split(*arrays, **options)


@pytest.mark.parametrize("size", [0.2, 3, 0])
def test_split_takes_sizes_by_name(size: float) -> None:
    with pytest.raises(ShapeError, match=rf"go by name: write test={size}$"):
        split([1.0, 2.0], [0, 1], size)


def test_split_copies() -> None:
    x = np.arange(10)
    train, _ = split(x)
    train[:] = -1
    np.testing.assert_array_equal(x, np.arange(10))
