"""The edge: what users bring becomes an array or a clear error."""

from __future__ import annotations

import datetime
import re
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import DataError, DtypeError, ShapeError
from xpnet.arrays import as_real_array, check_features, check_finite, check_lengths, portable, to_host


@pytest.mark.parametrize("values", [[[1, 2]], ((1.5, 2),), [np.array([1, 2])], np.ones((1, 2)), [[True, False]]])
def test_host_values_become_numpy_and_keep_their_kind(values: Any, backend: xpnet.Backend) -> None:
    array = as_real_array(values, backend, "x")
    assert isinstance(array, np.ndarray)
    assert array.shape == (1, 2)
    assert array.dtype == np.asarray(values).dtype


def test_an_array_is_taken_as_it_is(backend: xpnet.Backend) -> None:
    for array in (np.ones((2, 3)), np.asfortranarray(np.ones((2, 3))), np.ones((4, 3))[::-2]):
        assert np.shares_memory(as_real_array(array, backend, "x"), array)


def test_a_memory_mapped_array_stays_on_disk(backend: xpnet.Backend, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert as_real_array(mapped, backend, "x") is mapped


def test_the_backends_own_array_stays_on_its_device(backend: xpnet.Backend) -> None:
    array = backend.asarray(np.ones((2, 3)), dtype=backend.float)
    taken = as_real_array(array, backend, "x")
    assert type(taken) is type(array)
    assert str(taken.device) == str(array.device)


@pytest.mark.parametrize("library", ["torch", "jax.numpy", "array_api_strict"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "bool"])
def test_another_librarys_array_is_read(library: str, dtype: str, backend: xpnet.Backend) -> None:
    xp = pytest.importorskip(library)
    values = np.array([[0, 1], [1, 1]])
    array = xp.asarray(values, dtype=getattr(xp, dtype, None) or xp.bool_)
    taken = as_real_array(array, backend, "x")
    host = taken if isinstance(taken, np.ndarray) else backend.to_numpy(taken)
    np.testing.assert_array_equal(host, values)


def test_signs_that_torch_notes_beside_the_memory_are_read(backend: xpnet.Backend) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.complex(torch.zeros(3, 2), torch.ones(3, 2)).conj().imag
    assert tensor.is_neg()
    taken = as_real_array(tensor, backend, "x")
    host = taken if isinstance(taken, np.ndarray) else backend.to_numpy(taken)
    np.testing.assert_array_equal(host, -np.ones((3, 2)))
    np.testing.assert_array_equal(to_host(tensor), -np.ones((3, 2)))
    net = xpnet.Network([xpnet.Dense(1, bias=False)], loss="mse", inputs=2, backend=backend)
    net.set_weights({"0.weight": np.ones((2, 1))})
    np.testing.assert_array_equal(backend.to_numpy(net.predict(tensor)), -2 * np.ones((3, 1)))


def test_frames_and_series(backend: xpnet.Backend) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False]})
    np.testing.assert_array_equal(as_real_array(frame, backend, "x"), [[1, 0.5, 1], [2, 1.5, 0]])
    np.testing.assert_array_equal(as_real_array(frame["a"], backend, "x"), [1, 2])
    gap = frame.convert_dtypes().assign(b=pandas.array([0.5, pandas.NA], "Float64"))
    with pytest.raises(DtypeError, match=r"objects of other kinds, with <NA> at x\[1, 1\] \(column 'b'\) .*fill"):
        as_real_array(gap, backend, "x")


@pytest.mark.parametrize(
    ("column", "recipe"),
    [
        (np.array(["2000-01-02", "2000-01-04"], "M8[s]"), "(column - datetime.datetime(2000, 1, 1)) / "),
        (np.array([1, 3], "m8[D]").astype("m8[s]"), "column / "),
        ([datetime.date(2000, 1, 2), datetime.date(2000, 1, 4)], "(column - datetime.date(2000, 1, 1)) / "),
        (
            [datetime.datetime(2000, 1, day, tzinfo=datetime.UTC) for day in (2, 4)],
            "(column - datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)) / ",
        ),
    ],
)
def test_columns_of_dates_and_times_come_with_a_recipe_that_works(column: Any, recipe: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": column})
    recipe += "datetime.timedelta(days=1)"
    with pytest.raises(DtypeError, match=rf"\(column 'b'\): count days.*{re.escape(recipe)}$"):
        to_host(frame, "x", real=True)
    days = eval(recipe, {"column": frame["b"], "datetime": datetime})
    np.testing.assert_allclose(to_host(days, "x", real=True), [1.0, 3.0])


@pytest.mark.parametrize(
    ("values", "error", "fragment"),
    [
        (["a"], DtypeError, "data must hold real numbers; got dtype <U1"),
        ([b"a"], DtypeError, "dtype |S1"),
        ([None], DtypeError, "dtype object, with None at data[0]"),
        (np.array([[1, 2.5], [3, "red"]], object), DtypeError, "dtype object, with 'red' at data[1, 1]"),
        (["1", 2.0], DtypeError, "data must hold real numbers"),
        ([1j], DtypeError, "use its real part"),
        ([object()], DtypeError, "data must hold real numbers"),
        ([[1], [1, 2]], ShapeError, "data is not a rectangular array"),
        (3, ShapeError, "data must be an array with one row for each example; got a single number"),
        (np.float64(3), ShapeError, "single number"),
        (np.ma.masked_equal([1, 2], 2), DataError, "data has masked entries"),
        (np.array(["2020"], "M8[Y]"), DtypeError, "datetime64"),
        (np.zeros(2, [("a", int)]), DtypeError, "data must hold real numbers"),
    ],
)
def test_what_is_no_array_of_numbers(values: Any, error: type, fragment: str, backend: xpnet.Backend) -> None:
    with pytest.raises(error) as caught:
        as_real_array(values, backend, "data")
    assert fragment in str(caught.value)


def test_numbers_in_objects_are_numbers() -> None:
    from decimal import Decimal
    from fractions import Fraction

    host = to_host(np.array([1, 2.5, Fraction(1, 2), Decimal(3), True], dtype=object), "x", real=True)
    assert host.dtype == np.float64
    np.testing.assert_array_equal(host, [1, 2.5, 0.5, 3, 1])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("f2", "f4"),
        ("longdouble", "f8"),
        (">f4", "f4"),
        (">f8", "f8"),
        (">i2", "i2"),
        (">f2", "f4"),
        ("f4", "f4"),
        ("f8", "f8"),
        ("?", "?"),
        ("u8", "u8"),
    ],
)
def test_portable_dtypes(dtype: str, expected: str) -> None:
    array = np.array([0, 1, 1]).astype(dtype)
    found = portable(array)
    assert found.dtype == np.dtype(expected)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)
    if dtype == expected:
        assert found is array


def test_a_long_double_of_eight_bytes_becomes_float64() -> None:
    """Windows' is equal to float64, but has a letter of its own, which torch refuses; played here by float64."""

    class LongDouble(np.ndarray[Any, Any]):
        @property
        def dtype(self) -> Any:
            letter = SimpleNamespace(kind="f", char="g", itemsize=8, isnative=True)
            letter.newbyteorder = lambda order: letter
            return letter

    found = portable(np.array([0.5, 1, 2]).view(LongDouble))
    assert found.dtype.char == "d"
    np.testing.assert_array_equal(found, [0.5, 1, 2])


def test_features() -> None:
    check_features(np.ones((2, 3)), (3,))
    with pytest.raises(ShapeError, match=r"x must have shape \(N, 3\).*got \(2, 4\)"):
        check_features(np.ones((2, 4)), (3,))
    with pytest.raises(ShapeError, match=r"x must have shape \(N, 3, 2\).*got \(3, 2\).*x\[None\]"):
        check_features(np.ones((3, 2)), (3, 2))
    for shape, what in (((0, 3), "example"), ((0,), "example"), ((0, 0), "example"), ((2, 0), "feature")):
        with pytest.raises(DataError, match=rf"at least one {what}; got shape \("):
            check_features(np.ones(shape), (3,))


def test_lengths() -> None:
    check_lengths(np.ones((2, 3)), np.ones(2), "y")
    with pytest.raises(ShapeError, match=r"y must have one entry for each row of x: expected 2, got 4$"):
        check_lengths(np.ones((2, 3)), np.ones(4), "y")
    with pytest.raises(ShapeError, match=r"expected 2, got 3; .* transposed: x\.T"):
        check_lengths(np.ones((2, 3)), np.ones(3), "y")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8", "longdouble"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 7, 29])
def test_one_bad_number_is_found_wherever_it_is(
    dtype: str, value: float, position: int, backend: xpnet.Backend
) -> None:
    array = np.ones((10, 3), dtype)
    check_finite(array, backend, "x")
    array.flat[position] = array[9, 2] = value
    first = rf"x\[{position // 3}, {position % 3}\] = {value}"
    count = "1 of 30 values, in 1 of 10 rows" if position == 29 else "2 of 30 values, in 2 of 10 rows"
    with pytest.raises(DataError, match=rf"x holds .*: the first is {first} \({count}\);"):
        check_finite(array, backend, "x")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_number_is_found_on_the_device(value: float, backend: xpnet.Backend, backend32: xpnet.Backend) -> None:
    for place in (backend, backend32):
        array = np.ones((4, 3))
        check_finite(place.asarray(array, dtype=place.float), place, "x")
        array[2, 1] = value
        with pytest.raises(DataError, match=rf"x holds .*: the first is x\[2, 1\] = {value} \(1 of 12 values"):
            check_finite(place.asarray(array, dtype=place.float), place, "x")


def test_a_sum_that_overflows_is_not_a_bad_number(backend: xpnet.Backend) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_finite(np.full(100, np.finfo(np.float64).max), backend, "x")
        check_finite(np.array([60000.0] * 9, np.float16), backend, "x")
        check_finite(np.array([1e308, -1e308] * 3), backend, "x")


def test_nothing_is_always_finite(backend: xpnet.Backend) -> None:
    for shape in ((0,), (0, 3), (3, 0)):
        for dtype in ("float32", "float64", "int64"):
            check_finite(np.ones(shape, dtype), backend, "x")


def test_a_single_number_is_named_without_a_place() -> None:
    backend = xpnet.open_backend("numpy")
    check_finite(np.array(2.0), backend, "x")
    for number, said in ((np.nan, "x holds NaN: the first is x = nan"), (1e300, "numbers beyond float32")):
        with pytest.raises(DataError, match=said):
            check_finite(np.array(number), backend, "x")


def test_integers_are_always_finite(backend: xpnet.Backend) -> None:
    check_finite(np.array([2**63 - 1]), backend, "x")
    check_finite(backend.asarray(np.array([1, 2])), backend, "x")


def test_a_mapped_array_is_looked_through_in_pieces(
    backend: xpnet.Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xpnet.arrays.CHUNK", 8)
    values = np.ones((11, 3))
    values[10, 2] = np.nan
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(DataError, match=r"the first is x\[10, 2\] = nan; drop"):
        check_finite(np.load(tmp_path / "x.npy", mmap_mode="r"), backend, "x")
    check_finite(np.load(tmp_path / "x.npy", mmap_mode="r")[:10], backend, "x")


@pytest.mark.parametrize(("library", "remedy"), [("torch", r"x\.float\(\)"), ("jax.numpy", r"x\.astype\('float32'\)")])
def test_bfloat16_of_another_library_is_told_to_become_float32(library: str, remedy: str) -> None:
    xp = pytest.importorskip(library)
    with pytest.raises(DataError, match=f"cannot read .*NumPy has no bfloat16: convert it to float32 first, {remedy}"):
        as_real_array(xp.ones((2, 3), dtype=xp.bfloat16), xpnet.open_backend("numpy"), "x")
