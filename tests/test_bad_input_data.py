"""x and y that no network can take, each row on every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from bad_input import (
    CHECKED,
    CLASSES,
    FEATURES,
    INF,
    METHODS,
    NAN,
    ROWS,
    TARGETS,
    TEXT,
    Row,
    X,
    assert_a_trained_network_refuses,
    assert_an_unbuilt_network_refuses,
    assert_refused,
    bad_x,
    bad_y,
    make,
    names,
    put,
    snapshot,
    with_value,
)

import xpnet
from xpnet import DataError, DtypeError, Network, ShapeError


def sparse() -> Any:
    scipy = pytest.importorskip("scipy.sparse")
    return scipy.csr_matrix(X)


def one_hot(classes: int) -> Callable[[Any], Any]:
    return lambda y: np.eye(classes)[y % classes]


def row_4(*values: float) -> Callable[[Any], Any]:
    def make(y: Any) -> Any:
        rows = one_hot(CLASSES)(y)
        rows[4] = values
        return rows

    return make


class Loader:
    """A user's own iterable of batches."""

    def __iter__(self) -> Iterator[Any]:
        return iter([X])


LOADER = Loader()

FEATURES_TABLE = [
    *bad_x("too-few-features", lambda: X[:, :3], ShapeError, "(N, 4)", "(12, 3)", unbuilt=False),
    *bad_x("too-many-features", lambda: np.hstack([X, X]), ShapeError, "(N, 4)", "(12, 8)", unbuilt=False),
    *bad_x("rank-3", lambda: X[:, :, None], ShapeError, "(N, 4)", "(12, 4, 1)", "reshape(-1, 4)", unbuilt=False),
    *bad_x("flat", lambda: X.ravel(), ShapeError, "got (48,)", unbuilt=False),
    *bad_x("single-example", lambda: X[0], ShapeError, "(N, 4)", "got (4,)", "x[None]", unbuilt=False),
    *bad_x("single-number", lambda: 3.0, ShapeError, "one row for each example", "single number"),
    *bad_x("empty", lambda: X[:0], DataError, "at least one example", "(0, 4)"),
    *bad_x("empty-list", list, DataError, "at least one example", "(0,)"),
    *bad_x("no-features", lambda: X[:, :0], DataError, "at least one", "(12, 0)"),
    *bad_x("nan", with_value(NAN), DataError, "holds NaN", "x[3, 1] = nan (1 of 48 values", "nanmean", methods=CHECKED),
    *bad_x("infinity", with_value(INF), DataError, "holds +inf", "x[3, 1] = inf", "log(0)", methods=CHECKED),
    *bad_x("minus-infinity", with_value(-INF), DataError, "holds -inf", "check_finite=False", methods=CHECKED),
    *bad_x("transposed", lambda: X[:7].T, ShapeError, "(N, 4)", "(4, 7)", "x.T", unbuilt=False),
    *bad_x("text", lambda: TEXT, DtypeError, "real numbers", "<U1"),
    *bad_x("bytes", lambda: TEXT.astype("S"), DtypeError, "real numbers", "S1"),
    *bad_x("dates", lambda: np.full((ROWS, FEATURES), "2020-01-01", "M8[D]"), DtypeError, "datetime64"),
    *bad_x("object", lambda: TEXT.astype(object), DtypeError, "real numbers", "dtype object"),
    *bad_x("numbers-in-text", lambda: np.full((ROWS, FEATURES), "1", object), DtypeError, "real numbers"),
    *bad_x("list-of-text", lambda: [["a"] * FEATURES] * ROWS, DtypeError, "real numbers"),
    *bad_x("mapping", lambda: {"a": 1}, DtypeError, "real numbers", "dict"),
    *bad_x("none", lambda: None, DtypeError, "real numbers", "None", methods=("predict", "evaluate", "train_step")),
    *bad_x("generator", lambda: (row for row in X), DtypeError, "array of real numbers", "generator", "loop"),
    *bad_x("loader", lambda: LOADER, DtypeError, "array of real numbers", "Loader", "each batch in a loop"),
    *bad_x("integer-beyond-float64", lambda: [[10**400] * FEATURES] * ROWS, DataError, "beyond float64", "scale"),
    *bad_x("complex", lambda: X + 1j, DtypeError, "real numbers", "complex128", "real part"),
    *bad_x("ragged", lambda: [[1.0, 2.0], [1.0]], ShapeError, "not a rectangular array", "one length"),
    *bad_x("pair", lambda: (X, TARGETS["classes"]), ShapeError, "not a rectangular array", "one array, not 2"),
    *bad_x(
        "scaler-and-x",
        lambda: xpnet.StandardScaler().fit_transform(X),
        ShapeError,
        "not a rectangular array",
        "write scaler, x = StandardScaler().fit_transform(x)",
    ),
    *bad_x("masked", lambda: np.ma.masked_less(X, 0), DataError, "masked", "fill"),
    *bad_x("sparse", sparse, DtypeError, "sparse", "csr_matrix", "toarray()"),
]

TARGETS_TABLE = [
    *bad_y("too-short", lambda y: y[:-1], ShapeError, "each row of x", "expected 12", "got 11"),
    *bad_y("too-long", lambda y: np.append(y, 0), ShapeError, "expected 12", "got 13"),
    *bad_y("rows-of-x", lambda y: X[:5], ShapeError, "expected 12", "got 5", "x, y, x_test, y_test = split(x, y)"),
    *bad_y("single-number", lambda y: 1, ShapeError, "one row for each example"),
    *bad_y("empty", lambda y: [], ShapeError, "expected 12", "got 0"),
    *bad_y("too-high", put(2, 3), DataError, "0..2", "got 3.0 at y[2]", "Dense"),
    *bad_y("negative", put(2, -1), DataError, "0..2", "got -1"),
    *bad_y("fraction", put(2, 0.5), DataError, "integral", "0.5 at y[2]", "mse"),
    *bad_y("text", lambda y: np.where(y, "cat", "dog"), DtypeError, "real numbers", "<U3", "number text"),
    *bad_y("text-objects", lambda y: np.where(y, "1", "2").astype(object), DtypeError, "real numbers"),
    *bad_y("complex", lambda y: y + 1j, DtypeError, "complex128"),
    *bad_y("nan", put(1, NAN), DataError, "holds NaN", "y[1] = nan (1 of 12 values)", methods=("fit", "evaluate")),
    *bad_y("infinity", put(1, INF), DataError, "holds +inf", "y[1] = inf", methods=("fit", "evaluate")),
    *bad_y("infinity-in-a-step", put(1, np.inf), DataError, "integral", "inf", methods=("train_step",)),
    *bad_y("too-few-columns", one_hot(2), ShapeError, "2 columns", "3 outputs", "Dense(2)"),
    *bad_y("too-many-columns", one_hot(4), ShapeError, "4 columns", "3 outputs", "Dense(4)"),
    *bad_y("rank-3", lambda y: y[:, None, None], ShapeError, "(N,)", "(N, 3)", "(12, 1, 1)"),
    *bad_y("counts", row_4(30.0, 10.0, 0.0), DataError, "y[4], sums to 40", "1 of 12", "y / y.sum(axis=1, keepdims"),
    *bad_y("two-classes", row_4(1.0, 1.0, 0.0), DataError, "summing to 1", "y[4], sums to 2", "binary_cross_entropy"),
    *bad_y("no-class", row_4(0.0, 0.0, 0.0), DataError, "y[4], sums to 0", "names no class", "drop it"),
    *bad_y("negative-probability", row_4(2.0, -1.0, 0.0), DataError, "none negative", "y[4], holds -1", "'mse'"),
    *bad_y("1-and-2", lambda y: y + 1, DataError, "0..1", "got 2", "names, y = np.unique(y, return", kind="binary"),
    *bad_y("three", lambda y: np.arange(ROWS) % 3, DataError, "0..1", "more than two classes", kind="binary"),
    *bad_y("above-1", put(2, 2), DataError, "0..1", "got 2.0 at y[2]", kind="binary"),
    *bad_y("below-0", put(2, -0.5), DataError, "0..1", "got -0.5", kind="binary"),
    *bad_y("one-hot", one_hot(2), ShapeError, "(N, 1)", "(12, 2)", kind="binary"),
    *bad_y("one-column", lambda y: y[:, 0], ShapeError, "(N, 2)", "(12,)", kind="answers"),
    *bad_y("other-sign", put(2, 5), DataError, "-1 and 1", "got 5.0 at y[2]", kind="hinge"),
    *bad_y("mixed-signs", put(2, 0), DataError, "mixes -1 and 0", kind="hinge"),
    *bad_y("two-columns", lambda y: np.stack([y, y], axis=1), ShapeError, "(N, 1)", "(12, 2)", kind="real"),
    *bad_y("nan", put(1, NAN), DataError, "y holds NaN", "drop those rows", kind="real", methods=("fit", "evaluate")),
    *bad_y("text", lambda y: y.astype(str), DtypeError, "real numbers", kind="real"),
]

TABLE = [*FEATURES_TABLE, *TARGETS_TABLE]


@pytest.mark.parametrize("row", TABLE, ids=names(TABLE))
def test_a_trained_network_refuses_and_stays_as_it_was(row: Row, trained: dict[str, Network]) -> None:
    assert_a_trained_network_refuses(row, trained)


UNBUILT = [row for row in TABLE if row.unbuilt]


@pytest.mark.parametrize("row", UNBUILT, ids=names(UNBUILT))
def test_a_network_that_has_seen_no_data_refuses_and_stays_unbuilt(row: Row, backend: xpnet.Backend) -> None:
    assert_an_unbuilt_network_refuses(row, backend)


# Arrays of another library


def test_a_tensor_that_requires_a_gradient_is_read_by_its_own_library_alone(
    trained: dict[str, Network], backend: xpnet.Backend
) -> None:
    torch = pytest.importorskip("torch")
    net = trained["classes"]
    tensor = torch.tensor(X, requires_grad=True)
    if backend.name == "torch":
        expected = net.backend.to_numpy(net.predict(X))
        np.testing.assert_array_equal(net.backend.to_numpy(net.predict(tensor)), expected)
        return
    for method in METHODS:
        row = Row(
            "tensor", lambda net, x, y, m=method: METHODS[m](net, tensor, y), DataError, ("x is a torch", "to NumPy")
        )
        before = snapshot(net)
        assert_refused(net, row)
        assert snapshot(net) == before


@pytest.mark.parametrize("method", ["fit", "predict", "train_step"])
def test_a_traced_array_is_refused(method: str, trained: dict[str, Network], backend: xpnet.Backend) -> None:
    jax = pytest.importorskip("jax")
    net = trained["classes"]
    before = snapshot(net)
    with pytest.raises(DataError, match=r"x is a jax.*cannot read"):
        jax.jit(lambda x: METHODS[method](net, x, TARGETS["classes"]))(X)
    assert snapshot(net) == before


def test_a_sparse_tensor_is_refused(trained: dict[str, Network]) -> None:
    torch = pytest.importorskip("torch")
    net = trained["classes"]
    before = snapshot(net)
    with pytest.raises((DataError, DtypeError), match=r"x is a .*(sparse|cannot read)"):
        net.predict(torch.tensor(X).to_sparse())
    assert snapshot(net) == before


@pytest.mark.parametrize("library", ["torch", "array_api_strict"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_arrays_of_any_library_are_refused(dtype: str, library: str, trained: dict[str, Network]) -> None:
    xp = pytest.importorskip(library)
    values = xp.ones((ROWS, FEATURES), dtype=getattr(xp, dtype))
    with pytest.raises((DtypeError, DataError), match=r"^x .*(complex|cannot read)"):
        trained["classes"].predict(values)


def test_text_in_a_frame_is_refused(trained: dict[str, Network]) -> None:
    pandas = pytest.importorskip("pandas")
    net = trained["classes"]
    frame = pandas.DataFrame(X).assign(name="cat")
    before = snapshot(net)
    with pytest.raises(DtypeError, match="x must hold real numbers"):
        net.predict(frame)
    with pytest.raises(DtypeError, match="y must hold real numbers"):
        net.fit(X, pandas.Series(["cat", "dog", "cow"] * 4), verbose=0)
    with pytest.raises((DtypeError, DataError), match=r"^y "):
        net.fit(X, pandas.Series([0, 1, None] * 4, dtype="Int64"), verbose=0)
    assert snapshot(net) == before


# Not finite, on purpose or by the network's own type


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_check_finite_false_lets_it_through(value: float, backend: xpnet.Backend) -> None:
    x = with_value(value)()
    net = make("classes", backend, check_finite=False, inputs=FEATURES)
    with np.errstate(invalid="ignore"):
        scores = backend.to_numpy(net.forward(x))
        net.fit(x, TARGETS["classes"], batch_size=None, verbose=0)
    assert not np.isfinite(scores[3]).all()
    assert np.isfinite(np.delete(scores, 3, axis=0)).all()
    assert not np.isfinite(net.history["loss"][0])


def test_a_number_too_large_for_float32_is_refused(backend32: xpnet.Backend) -> None:
    net = make("classes", backend32, inputs=FEATURES)
    before = snapshot(net)
    with pytest.raises(DataError, match=r"x holds .*float32"):
        net.fit(with_value(1e300)(), TARGETS["classes"], verbose=0)
    assert snapshot(net) == before
