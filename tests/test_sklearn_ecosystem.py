"""The estimators inside scikit-learn: pipelines, searches, calibration, stacking, routing, pickles, frames."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import BaggingRegressor, StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_validate
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler, scale

import xpnet
from xpnet import Adam, CrossEntropy, Dense, Quantile
from xpnet.sklearn import MLPClassifier, MLPRegressor, XPClassifier, XPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_wine(return_X_y=True)
NAMES = np.array(["a", "b", "c"])[Y]
XR, YR = load_diabetes(return_X_y=True)

CLASSIFIERS = [
    MLPClassifier((10,), learning_rate_init=0.02, max_iter=40, random_state=0),
    XPClassifier([Dense(10), "relu", Dense(3)], optimizer=Adam(0.02), epochs=15, random_state=0),
]
REGRESSORS = [
    MLPRegressor(hidden_layer_sizes=(10,), learning_rate_init=0.02, max_iter=60, random_state=0),
    XPRegressor([Dense(10), "relu", Dense(1)], optimizer=Adam(0.02), epochs=30, random_state=0),
]


def kind(estimator):
    return type(estimator).__name__


@pytest.mark.parametrize("model", CLASSIFIERS, ids=kind)
def test_pipelines_and_cross_validation(model):
    found = cross_validate(make_pipeline(StandardScaler(), model), X, NAMES, cv=3, return_train_score=True)
    assert found["test_score"].mean() > 0.93
    assert cross_val_predict(make_pipeline(StandardScaler(), model), X, NAMES, cv=3, method="predict_proba").shape == (
        len(X),
        3,
    )


@pytest.mark.parametrize("jobs", [None, 2])
def test_grid_search_over_layers_and_losses(jobs):
    pipeline = make_pipeline(StandardScaler(), CLASSIFIERS[0])
    grid = {
        "mlpclassifier__dropout": [0.0, 0.2],
        "mlpclassifier__layers": [None, [Dense(8), "tanh"]],
        "mlpclassifier__loss": ["log_loss", CrossEntropy(label_smoothing=0.1)],
    }
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=jobs).fit(X, NAMES)
    assert len(search.cv_results_["mean_test_score"]) == 8
    assert search.score(X, NAMES) > 0.95


@pytest.mark.parametrize("model", CLASSIFIERS, ids=kind)
def test_calibration_stacking_and_voting(model):
    calibrated = CalibratedClassifierCV(model, cv=2).fit(scale(X), NAMES)
    np.testing.assert_allclose(calibrated.predict_proba(scale(X)).sum(axis=1), 1.0)
    stack = StackingClassifier([("net", model), ("line", LogisticRegression())], cv=2).fit(scale(X), NAMES)
    vote = VotingClassifier([("net", model), ("line", LogisticRegression())], voting="soft").fit(scale(X), NAMES)
    assert min(estimator.score(scale(X), NAMES) for estimator in (calibrated, stack, vote)) > 0.95


@pytest.mark.parametrize("model", REGRESSORS, ids=kind)
def test_regressors_in_meta_estimators(model):
    target = make_pipeline(StandardScaler(), TransformedTargetRegressor(model, transformer=StandardScaler()))
    stack = StackingRegressor([("net", target)], cv=2).fit(XR, YR)
    bag = BaggingRegressor(target, n_estimators=2, random_state=0).fit(XR, YR)
    assert min(estimator.score(XR, YR) for estimator in (stack, bag)) > 0.45


@pytest.mark.parametrize("model", CLASSIFIERS, ids=kind)
def test_permutation_importance_finds_the_column_that_matters(model):
    stream = np.random.default_rng(0)
    noise = stream.normal(size=(200, 3))
    labels = noise[:, 1] > 0
    model = clone(model)
    if kind(model) == "XPClassifier":
        model.set_params(layers=[Dense(10), "relu", Dense(2)])
    found = permutation_importance(model.fit(noise, labels), noise, labels, n_repeats=3, random_state=0)
    assert np.argmax(found.importances_mean) == 1


@pytest.mark.parametrize("model", [*CLASSIFIERS, *REGRESSORS], ids=kind)
def test_clones_and_pickles(model):
    fitted = clone(model).fit(scale(X), Y)
    twin = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(twin.predict(scale(X)), fitted.predict(scale(X)))
    assert repr(clone(fitted)) == repr(model)
    again = clone(fitted).fit(scale(X), Y)
    assert np.array_equal(again.predict(scale(X)), fitted.predict(scale(X)))


def test_joblib_files(tmp_path):
    import joblib

    fitted = clone(CLASSIFIERS[0]).fit(scale(X), NAMES)
    joblib.dump(fitted, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    assert np.array_equal(loaded.predict_proba(scale(X)), fitted.predict_proba(scale(X)))


@pytest.mark.parametrize("model", CLASSIFIERS, ids=kind)
def test_sample_weights_are_routed(model):
    """Weights of 0 for a class leave no trace of it; routed by a pipeline through cross-validation."""
    weights = (Y != 2).astype(float)
    with config_context(enable_metadata_routing=True):
        asked = clone(model).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), asked)
        pipeline.set_score_request(sample_weight=True)  # what scikit-learn 1.7 asks for
        found = cross_validate(
            pipeline, X, Y, cv=KFold(3, shuffle=True, random_state=0), params={"sample_weight": weights},
            return_estimator=True,
        )  # fmt: skip
    assert found["test_score"].mean() > 0.9, "the third class weighs nothing in the score either"
    assert all(2 not in estimator.predict(X) for estimator in found["estimator"])


def test_frames_and_pandas_output():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"column {i}" for i in range(X.shape[1])])
    series = pandas.Series(NAMES, name="cultivar")
    pipeline = make_pipeline(MinMaxScaler(), CLASSIFIERS[0]).set_output(transform="pandas").fit(frame, series)
    assert pipeline[-1].feature_names_in_.tolist() == list(frame.columns)
    assert pipeline.score(frame, series) > 0.9
    with pytest.raises(ValueError, match="feature names"):
        pipeline[-1].predict(frame.rename(columns={"column 0": "other"}))


def test_sparse_matrices_give_what_dense_ones_give():
    from scipy import sparse

    rough = np.round(scale(X)).clip(0)
    for form in (sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix):
        model = clone(CLASSIFIERS[0]).fit(form(rough), Y)
        expected = clone(CLASSIFIERS[0]).fit(rough, Y)
        np.testing.assert_allclose(model.predict_proba(form(rough)), expected.predict_proba(rough), rtol=1e-12)


def test_several_columns_of_classes_go_through_scikit_learns_wrapper():
    columns = np.column_stack([Y, Y[::-1]])
    with pytest.raises(xpnet.ConfigurationError, match="MultiOutputClassifier"):
        clone(CLASSIFIERS[0]).fit(X, columns)
    assert MultiOutputClassifier(clone(CLASSIFIERS[0])).fit(scale(X), columns).predict(X).shape == columns.shape


def test_a_whole_pipeline_on_another_librarys_arrays():
    """Scaler and network alike stay on the tensors' library; only then, as NumPy would be as far as it goes."""
    torch = pytest.importorskip("torch")
    x, y = torch.asarray(X), torch.asarray(Y)
    with config_context(array_api_dispatch=True):
        pipeline = make_pipeline(StandardScaler(), clone(CLASSIFIERS[0])).fit(x, y)
        assert isinstance(pipeline[0].mean_, torch.Tensor)
        assert isinstance(pipeline.predict(x), torch.Tensor)
        assert pipeline[-1].network_.backend.name == "torch"
        assert pipeline.score(x, y) > 0.95


def test_a_search_over_quantiles_is_scored_by_the_pinball():
    from sklearn.metrics import make_scorer, mean_pinball_loss

    scorer = make_scorer(mean_pinball_loss, greater_is_better=False, alpha=0.9)
    search = GridSearchCV(
        MLPRegressor(hidden_layer_sizes=(), learning_rate_init=0.5, max_iter=100, random_state=0),
        {"loss": [Quantile(q) for q in (0.1, 0.5, 0.9)]},
        scoring=scorer,
        cv=2,
    ).fit(XR, YR)
    assert search.best_params_ == {"loss": Quantile(0.9)}


@pytest.mark.parametrize("scaler", [xpnet.StandardScaler(), xpnet.MinMaxScaler()], ids=kind)
def test_a_scaler_of_xpnets_in_a_pipeline_is_told_from_scikit_learns(scaler):
    """Some versions of scikit-learn set an attribute first, others give y to fit_transform at once."""
    with pytest.raises((AttributeError, TypeError), match=rf"there take sklearn\.preprocessing\.{kind(scaler)}"):
        make_pipeline(scaler, MLPClassifier()).fit(X, Y)


@pytest.mark.parametrize("model", [*CLASSIFIERS, *REGRESSORS], ids=kind)
def test_what_a_scaler_of_xpnets_gives_is_unpacked_first(model):
    pair = xpnet.StandardScaler().fit_transform(X)
    for call in (model.fit, clone(model).fit(X, Y).score):
        with pytest.raises(
            xpnet.ShapeError, match=r"got a tuple; .* write scaler, x = StandardScaler\(\)\.fit_transform"
        ):
            call(pair, Y)
