from __future__ import annotations

import copy
import dataclasses
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from hypothesis.extra import numpy as hnp
from libraries import NAMES, Library

import xpnet.scaling
from xpnet.arrays import to_host
from xpnet.errors import ConfigurationError, DataError, DtypeError, NotBuiltError, ShapeError
from xpnet.scaling import MinMaxScaler, StandardScaler

SCALERS = [StandardScaler(), MinMaxScaler(), MinMaxScaler(-1.0, 2.5)]


@pytest.fixture(params=NAMES)
def library(request: pytest.FixtureRequest) -> Library:
    return Library(request.param)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "bool"])
@pytest.mark.parametrize("scaler", SCALERS[:2], ids=repr)
def test_a_memory_mapped_array_is_never_in_memory_as_a_whole(
    scaler: Any, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xpnet.scaling, "_BLOCK", 2**14)
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=dtype, shape=(2**17, 16))
    x[:] = np.arange(2**17)[:, None] % 100 > np.arange(16)
    scaler.fit(x[:2])  # imports what it needs
    tracemalloc.start()
    try:
        fitted = scaler.fit(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    assert fitted == scaler.fit(np.asarray(x, dtype="float64"))


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


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_long_integers_are_scaled_before_they_are_rounded(library: Library, scaler: Any) -> None:
    seconds = np.asarray([[1_700_000_000], [1_700_000_010], [1_700_000_100]])
    if library.name == "jax":
        pytest.skip("JAX has no int64 here, and no float64 to scale it in")
    scaled = library.check(scaler.fit_transform(library.array(seconds, "int64"))[1])
    np.testing.assert_allclose(scaled, scaler.fit_transform(seconds)[1], rtol=1e-6)
    assert len(np.unique(scaled)) == 3


def test_numbers_of_16_bits_are_scaled_in_32() -> None:
    """Differences are beyond the type, and what becomes of them is not."""
    x = np.asarray([[-60000], [-60000], [-60000], [60000]], dtype="float16")
    for scaler in (StandardScaler(), MinMaxScaler()):
        fitted, found = scaler.fit_transform(x)
        assert found.dtype == "float16"
        np.testing.assert_allclose(found, fitted.transform(x.astype("float64")), rtol=1e-3)
        np.testing.assert_allclose(fitted.inverse_transform(found), x, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_spread_that_a_dtype_does_not_hold_is_refused(dtype: str) -> None:
    limits = np.finfo(dtype)
    largest, smallest = float(limits.max), float(limits.smallest_subnormal)
    wide = np.asarray([[-largest], [largest]], dtype=dtype)
    with pytest.raises(DataError, match=f"x of {dtype} cannot be scaled by .*, the spread of a feature; convert x"):
        MinMaxScaler().fit(wide).transform(wide)
    below = smallest / 4  # nothing is, in float64
    for fitted in (MinMaxScaler(0.0, 1.0, (0.0,), (below,), (1,)), StandardScaler((0.0,), (below,), (1,))):
        for method in (fitted.transform, fitted.inverse_transform) if below else ():
            with pytest.raises(DataError, match=f"x of {dtype} cannot be scaled by"):
                method(np.zeros((2, 1), dtype=dtype))
    least = np.asarray([[0.0], [smallest]], dtype=dtype)
    np.testing.assert_array_equal(MinMaxScaler().fit(least).transform(least), [[0.0], [1.0]])
    half = wide / 2
    np.testing.assert_array_equal(MinMaxScaler().fit(half).transform(half), [[0.0], [1.0]])


def test_squares_that_overflow_are_refused() -> None:
    with pytest.raises(DataError, match="squares overflow float64; divide it by a power of ten"):
        StandardScaler().fit([[1e200], [3e200]])
    assert StandardScaler().fit([[1e200], [1e200]]).deviation == (0.0,)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e-19), ("float32", 1e-30), ("float64", 1e-170)])
def test_a_spread_whose_square_underflows_is_no_constant(library: Library, dtype: str, size: float) -> None:
    if dtype == "float64" and library.name == "jax":
        pytest.skip("JAX has no float64 here")
    normal = np.random.default_rng(3).normal(2, 1, (1000, 2))
    x = library.array(normal * [size, 1.0], dtype)
    fitted, scaled = StandardScaler().fit_transform(x)
    np.testing.assert_allclose(fitted.deviation, normal.std(axis=0) * [size, 1.0], rtol=1e-5)
    np.testing.assert_allclose(library.check(scaled), (normal - normal.mean(axis=0)) / normal.std(axis=0), atol=1e-4)


@pytest.mark.parametrize("size", [0.0, 5e-324, 1e-320, 1e-310, 1e-200, 1e-150, 1e-138, 1e-130, 1.0, 1e150])
def test_deviations_of_all_sizes(size: float) -> None:
    (deviation,) = StandardScaler().fit([[0.0], [0.0], [2 * size], [2 * size]]).deviation
    assert deviation == size


def test_a_deviation_below_the_type_is_refused() -> None:
    """On a CPU, JAX has no subnormal numbers, so a spread may be one of its numbers and the deviation none."""
    jax = pytest.importorskip("jax.numpy")
    least = np.finfo("float32").smallest_normal
    if jax.asarray(least) * 0.5:
        pytest.skip("on this device it has them")
    with pytest.raises(DataError, match="spread is too small for float32; multiply it by a power of ten"):
        StandardScaler().fit(jax.asarray([[0.0], [least]], dtype="float32"))


def test_scaler_statistics_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(2).normal(1e4, 1, (1000, 3)).astype("float32")
    whole = StandardScaler().fit(x)
    monkeypatch.setattr(xpnet.scaling, "_BLOCK", 21)
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
    with pytest.raises(ConfigurationError, match=r"MinMaxScaler.low must be a finite number; got '0'"):
        MinMaxScaler("0", 1.0)  # type: ignore[arg-type]
    assert type(MinMaxScaler(np.float64(0.0), np.float64(1.0)).high) is float


def test_scaler_leaves_nan_and_does_not_clip() -> None:
    fitted = MinMaxScaler().fit([[0.0], [2.0]])
    np.testing.assert_array_equal(fitted.transform([[np.nan], [4.0]]), [[np.nan], [2.0]])


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.floats(-1e6, 1e6)))
@example(np.asarray([[0.0], [2e-311]]))
def test_scaler_inverts(x: np.ndarray) -> None:
    for scaler in SCALERS:
        fitted, scaled = scaler.fit_transform(x)
        assert np.all(np.isfinite(scaled))
        np.testing.assert_allclose(fitted.inverse_transform(scaled), x, rtol=1e-9, atol=1e-6)


def test_all_is_right() -> None:
    assert all(hasattr(xpnet.scaling, name) for name in xpnet.scaling.__all__)
