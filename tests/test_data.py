from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import xpnet.data
from xpnet.data import MinMaxScaler, StandardScaler, from_one_hot, one_hot, split, to_host
from xpnet.errors import ConfigurationError, DataError, DtypeError, NotBuiltError, ShapeError

SCALERS = [StandardScaler(), MinMaxScaler(), MinMaxScaler(-1.0, 2.5)]


class Library:
    """One array library as the tests need it: a way in, and a check that a result stayed there."""

    def __init__(self, name: str) -> None:
        self.name = name
        if name == "strict":
            self.xp = pytest.importorskip("array_api_strict")
            self.device: Any = self.xp.Device("device1")
        else:
            module = {"numpy": "numpy", "torch": "torch", "jax": "jax.numpy"}[name]
            self.xp = pytest.importorskip(module)
            self.device = None

    def array(self, values: Any, dtype: str | None = None) -> Any:
        options = {} if self.device is None else {"device": self.device}
        host = np.asarray(values, dtype=dtype)
        if self.name == "torch":
            return self.xp.asarray(host.copy())
        return self.xp.asarray(host, **options)

    def check(self, result: Any) -> np.ndarray:
        assert isinstance(result, type(self.array([0.0])))
        if self.device is not None:
            assert result.device == self.device
        return to_host(result)


@pytest.fixture(params=["numpy", "strict", "torch", "jax"])
def library(request: pytest.FixtureRequest) -> Library:
    return Library(request.param)


def test_all_is_right() -> None:
    assert all(hasattr(xpnet.data, name) for name in xpnet.data.__all__)


# --- to_host -----------------------------------------------------------------------------------------


def test_to_host_takes_every_library(library: Library) -> None:
    host = to_host(library.array([[1.0, 2.0]], "float32"))
    assert type(host) is np.ndarray
    assert host.dtype == np.float32
    np.testing.assert_array_equal(host, [[1.0, 2.0]])


def test_to_host_takes_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3, 4]})
    np.testing.assert_array_equal(to_host(frame), [[1.0, 3.0], [2.0, 4.0]])
    np.testing.assert_array_equal(to_host(frame["b"]), [3, 4])


def test_to_host_takes_torch_with_gradient_and_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(to_host(torch.ones(2, requires_grad=True)), [1, 1])
    half = to_host(torch.tensor([1.5], dtype=torch.bfloat16))
    assert half.dtype == np.float32
    assert half[0] == 1.5


def test_to_host_takes_jax_bfloat16() -> None:
    jnp = pytest.importorskip("jax.numpy")
    half = jnp.ones(2, jnp.bfloat16)
    assert to_host(half).dtype == np.float32
    assert to_host(np.asarray(half)).dtype == np.float32


class OnGpu:
    """An array as CuPy's: it refuses implicit conversion and leaves its device by `get` alone."""

    __cuda_array_interface__: ClassVar[dict[str, int]] = {}

    def get(self) -> np.ndarray:
        return np.arange(3)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


def test_to_host_takes_cupy_by_get() -> None:
    np.testing.assert_array_equal(to_host(OnGpu()), [0, 1, 2])


def test_to_host_names_what_it_refuses() -> None:
    with pytest.raises(ShapeError, match=r"^y is not a rectangular"):
        to_host([[1], [1, 2]], "y")
    with pytest.raises(DtypeError, match=r"is a sparse csr_array; give its \.toarray\(\)"):
        to_host(pytest.importorskip("scipy.sparse").csr_array([[1, 0]]))
    with pytest.raises(DataError, match="masked"):
        to_host(np.ma.masked_equal([1, 2], 2))
    assert to_host(np.ma.masked_equal([1, 2], 3)).tolist() == [1, 2]

    class Stubborn:
        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            raise TypeError("no")

    with pytest.raises(DtypeError, match=r"^y, a Stubborn, cannot be read"):
        to_host(Stubborn(), "y")


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
        ([0.5], None, DataError, "whole numbers"),
        ([np.nan], None, DataError, "whole numbers"),
        ([np.inf], None, DataError, "whole numbers"),
        ([1e30], None, DataError, "largest is 1"),
        ([2**64 - 1], None, DataError, "largest is 18446744073709551615"),
        ([], None, DataError, "empty"),
        (["cat"], None, DtypeError, "real numbers"),
        ([None], None, DtypeError, "real numbers"),
        ([1j], None, DtypeError, "real numbers"),
        ([0], 0, ConfigurationError, "classes must be a positive integer, got 0"),
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


@settings(deadline=None)
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


@settings(deadline=None)
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


def test_split_copies() -> None:
    x = np.arange(10)
    train, _ = split(x)
    train[:] = -1
    np.testing.assert_array_equal(x, np.arange(10))


# --- scalers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_scaler_in_every_library(library: Library, scaler: Any) -> None:
    host = np.random.default_rng(0).normal(3, 5, (40, 2, 3)).astype("float32")
    x = library.array(host)
    fitted, scaled = scaler.fit_transform(x)
    reference = scaler.fit(host)
    np.testing.assert_allclose(library.check(scaled), reference.transform(host), rtol=1e-4, atol=1e-5)
    assert to_host(scaled).dtype == np.float32
    assert fitted.shape == (2, 3)
    np.testing.assert_allclose(library.check(fitted.inverse_transform(scaled)), host, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(to_host(x), host)


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_scaler_agrees_with_sklearn(scaler: Any) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    train, test = np.random.default_rng(1).normal([1e3, -5, 0], [1, 1e-3, 1e4], (2, 50, 3))
    if isinstance(scaler, StandardScaler):
        other = preprocessing.StandardScaler().fit(train)
    else:
        other = preprocessing.MinMaxScaler((scaler.low, scaler.high)).fit(train)
    mine = scaler.fit(train)
    np.testing.assert_allclose(mine.transform(test), other.transform(test), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(mine.inverse_transform(test), other.inverse_transform(test), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_scaler_survives_constant_features(library: Library, scaler: Any) -> None:
    x = library.array(np.column_stack([np.full(1001, 0.1), np.arange(1001)]), "float32")
    fitted, scaled = scaler.fit_transform(x)
    constant = library.check(scaled)[:, 0]
    np.testing.assert_array_equal(constant, getattr(scaler, "low", 0.0))
    np.testing.assert_allclose(library.check(fitted.inverse_transform(scaled))[:, 0], 0.1, rtol=1e-6)


def test_scaler_takes_integers_booleans_lists_frames_and_targets(library: Library) -> None:
    pandas = pytest.importorskip("pandas")
    images = library.array(np.arange(12).reshape(3, 2, 2) * 20, "uint8")
    scaled = library.check(MinMaxScaler().fit(images).transform(images))
    np.testing.assert_allclose(scaled[:, 0, 0], [0, 0.5, 1])
    flags = library.array([[True], [False]])
    np.testing.assert_allclose(library.check(StandardScaler().fit(flags).transform(flags)), [[1], [-1]])
    assert StandardScaler().fit(pandas.DataFrame({"a": [1, 3]})) == StandardScaler((2.0,), (1.0,), (1,))
    targets = StandardScaler().fit([1.0, 3.0])
    assert targets.shape == ()
    np.testing.assert_array_equal(library.check(targets.transform(library.array([5.0], "float32"))), [3.0])


def test_scaler_statistics_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(2).normal(1e4, 1, (1000, 3)).astype("float32")
    whole = StandardScaler().fit(x)
    monkeypatch.setattr(xpnet.data, "_BLOCK", 21)
    blocks = StandardScaler().fit(x)
    np.testing.assert_allclose(whole.mean, blocks.mean, rtol=1e-12)
    np.testing.assert_allclose(whole.deviation, x.astype("float64").std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(whole.deviation, blocks.deviation, rtol=1e-9)


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_scaler_is_immutable_and_plain(scaler: Any) -> None:
    before = copy.copy(scaler)
    fitted = scaler.fit([[1.0, 2.0], [3.0, 5.0]])
    assert scaler == before
    assert fitted != scaler
    assert hash(fitted) == hash(scaler.fit([[1.0, 2.0], [3.0, 5.0]]))
    with pytest.raises(dataclasses.FrozenInstanceError):
        fitted.shape = (3,)
    assert type(scaler)(**json.loads(json.dumps(dataclasses.asdict(fitted)))) == fitted
    assert eval(repr(fitted)) == fitted


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_scaler_refuses(scaler: Any) -> None:
    with pytest.raises(NotBuiltError, match=r"not fitted.*Scaler\(\)\.fit\(x_train\)"):
        scaler.transform([[1.0]])
    with pytest.raises(NotBuiltError):
        scaler.inverse_transform([[1.0]])
    with pytest.raises(DataError, match="NaN"):
        scaler.fit([[1.0], [np.nan]])
    with pytest.raises(DataError, match="empty"):
        scaler.fit(np.zeros((0, 3)))
    with pytest.raises(ShapeError, match="single value"):
        scaler.fit(1.0)
    with pytest.raises(DtypeError, match="real numbers"):
        scaler.fit([["a"]])
    fitted = scaler.fit([[1.0, 2.0]])
    with pytest.raises(ShapeError, match=r"shape \(n, 2\).*got \(1, 3\)"):
        fitted.transform([[1.0, 2.0, 3.0]])
    with pytest.raises(ShapeError, match=r"shape \(n,\).*got \(1, 1\)"):
        scaler.fit([1.0]).transform([[1.0]])


def test_scaler_refuses_statistics_that_do_not_fit() -> None:
    with pytest.raises(ConfigurationError, match="given together"):
        StandardScaler(mean=(1.0,))
    with pytest.raises(ConfigurationError, match="mean must be 2 finite numbers"):
        StandardScaler((1.0,), (1.0,), (2,))
    with pytest.raises(ConfigurationError, match="deviation must be 1 finite"):
        StandardScaler((1.0,), (np.inf,), (1,))
    with pytest.raises(ConfigurationError, match="low must be below high"):
        MinMaxScaler(1.0, 1.0)


def test_scaler_leaves_nan_and_does_not_clip() -> None:
    fitted = MinMaxScaler().fit([[0.0], [2.0]])
    np.testing.assert_array_equal(fitted.transform([[np.nan], [4.0]]), [[np.nan], [2.0]])


@settings(deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.floats(-1e6, 1e6)))
def test_scaler_inverts(x: np.ndarray) -> None:
    for scaler in SCALERS:
        fitted, scaled = scaler.fit_transform(x)
        assert np.all(np.isfinite(scaled))
        np.testing.assert_allclose(fitted.inverse_transform(scaled), x, rtol=1e-9, atol=1e-6)
