"""Arrays of any library into estimators and out again: the same values, on the data's own library and device."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from array_api_compat import array_namespace, device
from sklearn import config_context
from sklearn.datasets import load_diabetes, load_wine
from sklearn.preprocessing import scale

import xpnet
from xpnet.sklearn import MLPClassifier, MLPRegressor, XPClassifier, XPRegressor

X, Y = load_wine(return_X_y=True)
X, TEXT = scale(X), np.array(["red", "rosé", "white"])[Y]
XR, YR = load_diabetes(return_X_y=True)
YR = np.column_stack([YR / 100.0, np.sqrt(YR)])
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2.0, len(X))

CLOSE = {"rtol": 1e-9, "atol": 1e-9}

CLASSIFIERS = {
    "mlp": MLPClassifier((9,), max_iter=15, n_iter_no_change=50, random_state=1),
    "mlp, held out": MLPClassifier((9,), max_iter=15, n_iter_no_change=50, early_stopping=True, random_state=1),
    "mlp, lbfgs": MLPClassifier((9,), max_iter=10, solver="lbfgs", random_state=1),
    "mlp, dropout": MLPClassifier((9,), max_iter=15, dropout=0.3, batch_norm=True, random_state=1),
    "xp": XPClassifier(epochs=3, random_state=1),
}
REGRESSORS = {
    "mlp": MLPRegressor(hidden_layer_sizes=(9,), max_iter=15, random_state=1),
    "xp": XPRegressor(epochs=3, random_state=1),
}

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64"),
]


def fresh(estimator):
    return pickle.loads(pickle.dumps(estimator))


def placed(values, backend):
    """Return values as the library's own array, in its default place and the widest type it allows."""
    return backend.asarray(np.asarray(values))


def assert_at_home(array, like):
    assert array_namespace(array) is array_namespace(like)
    assert device(array) == device(like)


@pytest.mark.parametrize("dispatch", [True, False])
@pytest.mark.parametrize("case", CLASSIFIERS)
def test_classifiers_give_the_same_values_on_the_datas_own_library(case, dispatch, backend):
    expected = fresh(CLASSIFIERS[case]).fit(X, Y, sample_weight=WEIGHTS)
    x, y, weights = (placed(values, backend) for values in (X, Y, WEIGHTS))
    with config_context(array_api_dispatch=dispatch):
        model = fresh(CLASSIFIERS[case]).fit(x, y, sample_weight=weights)
        assert model.network_.backend.name == backend.name
        for method in ("predict", "predict_proba", "predict_log_proba"):
            found = getattr(model, method)(x)
            assert_at_home(found, x)
            np.testing.assert_allclose(backend.to_numpy(found), getattr(expected, method)(X), **CLOSE)
        assert model.score(x, y, weights) == pytest.approx(expected.score(X, Y, WEIGHTS))
    assert np.array_equal(model.classes_, expected.classes_)


@pytest.mark.parametrize("dispatch", [True, False])
@pytest.mark.parametrize("case", REGRESSORS)
def test_regressors_give_the_same_values_on_the_datas_own_library(case, dispatch, backend):
    expected = fresh(REGRESSORS[case]).fit(XR, YR)
    x, y = placed(XR, backend), placed(YR, backend)
    with config_context(array_api_dispatch=dispatch):
        model = fresh(REGRESSORS[case]).fit(x, y)
        assert_at_home(model.predict(x), x)
        np.testing.assert_allclose(backend.to_numpy(model.predict(x)), expected.predict(XR), **CLOSE)
        assert model.score(x, y) == pytest.approx(expected.score(XR, YR))
        one = fresh(REGRESSORS[case]).fit(x, y[:, 0])
        assert tuple(one.predict(x).shape) == (len(XR),)


def test_weights_are_shown_in_the_datas_library(backend):
    x = placed(X, backend)
    model = fresh(CLASSIFIERS["mlp"]).fit(x, placed(Y, backend))
    expected = fresh(CLASSIFIERS["mlp"]).fit(X, Y)
    for array, value in zip(model.coefs_ + model.intercepts_, expected.coefs_ + expected.intercepts_, strict=True):
        assert_at_home(array, x)
        np.testing.assert_allclose(backend.to_numpy(array), value, **CLOSE)


def test_labels_of_text_beside_arrays_of_any_library(backend):
    x = placed(X, backend)
    model = fresh(CLASSIFIERS["mlp"]).fit(x, TEXT)
    expected = fresh(CLASSIFIERS["mlp"]).fit(X, TEXT)
    assert isinstance(model.predict(x), np.ndarray)
    assert np.array_equal(model.predict(x), expected.predict(X))
    assert model.score(x, TEXT) == expected.score(X, TEXT)
    assert model.classes_.tolist() == ["red", "rosé", "white"]


@pytest.mark.parametrize("labels", [Y == 1, Y - 7, Y.astype(np.int8), Y * 1.0, TEXT.astype(object), np.zeros(len(Y))])
def test_labels_of_any_type_come_back_as_they_were(labels):
    model = MLPClassifier((9,), max_iter=100, learning_rate_init=0.02, random_state=0).fit(X, labels)
    assert model.predict(X).dtype == labels.dtype
    assert np.mean(model.predict(X) == labels) > 0.97
    assert np.array_equal(model.classes_, np.unique(labels))
    assert model.predict_proba(X).shape == (len(X), len(model.classes_))


def test_a_named_backend_converts_in_and_out(backend_name, open_backend):
    open_backend(backend_name)
    expected = fresh(CLASSIFIERS["mlp"]).fit(X, Y)
    model = fresh(CLASSIFIERS["mlp"]).set_params(backend=backend_name).fit(X, Y)
    assert model.network_.backend.name == backend_name
    for method in ("predict", "predict_proba"):
        found = getattr(model, method)(X)
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, getattr(expected, method)(X), **CLOSE)
    assert all(type(w) is np.ndarray for w in model.coefs_)


@pytest.mark.parametrize("low", [2**40, 2.0**24 + 1], ids=["beyond int32", "no float32"])
def test_labels_do_not_go_through_a_named_backends_types(backend_name, open_backend, low):
    open_backend(backend_name)
    labels = np.array([low, low + 1])[(X[:, 0] > 0).astype(int)]
    model = MLPClassifier((9,), max_iter=3, n_iter_no_change=50, random_state=1, backend=backend_name, dtype="float32")
    found = model.fit(X, labels).predict(X)
    assert found.dtype == labels.dtype
    assert set(found) <= set(labels)


def test_a_named_backend_takes_other_libraries_arrays(open_backend):
    strict, jax = open_backend("array-api-strict"), open_backend("jax")
    model = fresh(CLASSIFIERS["mlp"]).set_params(backend="array-api-strict", device="device2")
    model.fit(placed(X, jax), placed(Y, jax))
    assert str(model.network_.backend.device).endswith("Device('device2')")
    for library in (strict, jax):
        x = placed(X, library)
        assert_at_home(model.predict_proba(x), x)


def test_the_datas_device_is_followed(open_backend):
    """And only what scikit-learn asks of all estimators: with dispatch on, fit and predict see one library."""
    strict = pytest.importorskip("array_api_strict")
    there = strict.Device("device2")
    x, y = (strict.asarray(np.asarray(values), device=there) for values in (X, Y))
    model = fresh(CLASSIFIERS["mlp"]).fit(x, y)
    assert model.network_.backend.device == there
    assert model.predict(x).device == model.predict_proba(x).device == there
    assert type(model.predict_proba(X)) is np.ndarray
    with config_context(array_api_dispatch=True), pytest.raises(xpnet.DataError, match=r"MLPClassifier\.predict\(\)"):
        model.predict(X)


@pytest.mark.parametrize("name", ["mlp", "xp"])
def test_products_in_bfloat16(name, backend):
    """In a network of float32, whatever X is."""
    low, full = (fresh(CLASSIFIERS[name]).set_params(**given) for given in ({"precision": "bfloat16"}, {}))
    found = [backend.to_numpy(m.fit(placed(X, backend), placed(Y, backend)).predict_proba(placed(X, backend)))
             for m in (low, full)]  # fmt: skip
    assert (low.network_.backend.dtype, low.network_.backend.precision) == ("float32", "bfloat16")
    assert 1e-6 < np.max(np.abs(found[0] - found[1])) < 0.1
    with pytest.raises(xpnet.ConfigurationError, match="precision='bfloat16' goes with dtype='float32'"):
        low.set_params(dtype="float64").fit(X, Y)
    assert low.set_params(precision="float64").fit(X, Y).network_.backend.precision == "float64"
    assert low.set_params(dtype=None).fit(X, Y).network_.backend.precision == "float64"


def test_float32_and_integers(backend):
    narrow = placed(X.astype(np.float32), backend)
    model = fresh(CLASSIFIERS["mlp"]).fit(narrow, placed(Y, backend))
    assert model.network_.backend.dtype == "float32"
    assert backend.to_numpy(model.predict_proba(narrow)).dtype == np.float32
    whole = placed(np.round(X * 10).astype(np.int32), backend)
    assert fresh(CLASSIFIERS["mlp"]).fit(whole, placed(Y, backend)).network_.backend.dtype == "float64"
    assert MLPClassifier(dtype="float32", max_iter=2).fit(X, Y).predict_proba(X).dtype == np.float32


@pytest.mark.parametrize("model", [MLPClassifier(max_iter=2), XPClassifier(epochs=1)], ids=["mlp", "xp"])
@pytest.mark.parametrize("library", ["numpy", "pandas", "torch", "jax.numpy"])
def test_numbers_of_16_bits_are_computed_with_in_32(model, library):
    """In whichever library, as in xpnet's networks."""
    module = pytest.importorskip(library)
    narrow = X.astype(np.float16)
    x = module.DataFrame(narrow) if library == "pandas" else module.asarray(narrow)
    fitted = fresh(model).set_params(random_state=0).fit(x, Y)
    assert fitted.network_.backend.dtype == "float32"
    assert "float32" in str(fitted.predict_proba(x).dtype)
    expected = fresh(model).set_params(random_state=0).fit(narrow.astype(np.float32), Y).predict_proba(narrow)
    np.testing.assert_allclose(np.asarray(fitted.predict_proba(x)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.full((4, 2), np.nan), ValueError, "X contains NaN or infinity"),
        (np.full((4, 2), np.inf), ValueError, "X contains NaN or infinity"),
        (np.zeros(4), ValueError, r"X must have shape \(samples, features\)"),
        (np.zeros((4, 2), dtype=complex), TypeError, "X must hold real numbers"),
    ],
)
def test_unusable_arrays_of_other_libraries(x, error, message, backend):
    if backend.name == "numpy":
        pytest.skip("NumPy's arrays are scikit-learn's to judge")
    with pytest.raises(error, match=message) as caught:
        MLPClassifier().fit(placed(x, backend), np.array([0, 1, 0, 1]))
    assert isinstance(caught.value, xpnet.XpnetError)


def test_another_number_of_features_is_refused(backend):
    model = fresh(CLASSIFIERS["mlp"]).fit(placed(X, backend), placed(Y, backend))
    with pytest.raises(ValueError, match="X has 2 features, but MLPClassifier is expecting 13"):
        model.predict(placed(X[:, :2], backend))


def test_a_library_without_a_backend_is_named():
    dask = pytest.importorskip("dask.array")
    with pytest.raises(xpnet.BackendError, match="unknown backend 'dask'"):
        MLPClassifier().fit(dask.from_array(X), Y)


def test_an_estimator_of_a_missing_library_unpickles_onto_numpy(monkeypatch, open_backend):
    """As one that was fitted on a GPU does on a machine without."""
    strict = open_backend("array-api-strict")
    model = fresh(CLASSIFIERS["mlp"]).fit(placed(X, strict), placed(Y, strict))
    expected = strict.to_numpy(model.predict_proba(placed(X, strict)))
    data = pickle.dumps(model)
    import xpnet.backend as door

    registered = door._registered()
    monkeypatch.setattr(door, "_registered", lambda: {"numpy": registered["numpy"]})
    with pytest.warns(UserWarning, match="goes on with NumPy"):
        there = pickle.loads(data)
    np.testing.assert_allclose(there.predict_proba(X), expected, **CLOSE)
    with config_context(array_api_dispatch=True):
        assert np.array_equal(there.predict(X), strict.to_numpy(model.predict(placed(X, strict))))
