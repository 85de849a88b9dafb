"""From the same random state our perceptrons are scikit-learn's own, step by step, in float64."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from xpnet import sklearn as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(3)
X2, Y2 = load_breast_cancer(return_X_y=True)
X3, Y3 = load_wine(return_X_y=True)
XR, YR = load_diabetes(return_X_y=True)
X2, X3, YR = scale(X2)[:300], scale(X3), YR / 100.0
Y2 = np.array(["benign", "malign"])[Y2[:300]]
TWO = np.column_stack([YR, np.sqrt(YR)])
SEVERAL = np.column_stack([Y3 == 0, Y3 == 2, X3[:, 0] > 0]).astype(int)
WEIGHTS = RNG.uniform(0.1, 3.0, 300)

CLOSE = {"rtol": 0, "atol": 1e-8}

# 10 epochs of 5 full batches and a rest, or so: at least 50 steps.
COMMON = {"hidden_layer_sizes": (12, 7), "max_iter": 25, "batch_size": 70, "random_state": 5, "tol": 0.0}
SGD = {"solver": "sgd", "learning_rate_init": 0.05}

CLASSIFIERS = {
    "adam, two classes": (X2, Y2, {}),
    "adam, three classes": (X3, Y3, {}),
    "adam, several labels": (X3, SEVERAL, {"activation": "tanh"}),
    "sgd, nesterov": (X2, Y2, SGD),
    "sgd, momentum": (X3, Y3, SGD | {"nesterovs_momentum": False, "activation": "logistic"}),
    "sgd, plain": (X3, Y3, SGD | {"momentum": 0.0, "nesterovs_momentum": False}),
    "sgd, invscaling": (X2, Y2, SGD | {"learning_rate": "invscaling", "power_t": 0.3}),
    "sgd, adaptive": (X2, Y2, SGD | {"learning_rate": "adaptive", "tol": 0.02, "n_iter_no_change": 1}),
    "sgd, adaptive to the end": (
        X2, Y2, SGD | {"learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1, "max_iter": 60}
    ),
    "unshuffled, penalized": (X3, Y3, {"shuffle": False, "alpha": 2.0}),
    "all at once": (X3, Y3, {"batch_size": "auto", "max_iter": 60}),
    "betas": (X3, Y3, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3, "learning_rate_init": 0.01}),
    "beta of 0": (X3, Y3, {"beta_1": 0.0, "beta_2": 0.0}),
    "stopping": (X3, Y3, {"max_iter": 300, "tol": 1e-3, "n_iter_no_change": 3, "learning_rate_init": 0.02}),
    "early stopping, two classes": (  # as numbers: before 1.9, scikit-learn could not stop early with texts
        X2,
        (Y2 == "malign").astype(int),
        {"early_stopping": True, "n_iter_no_change": 4, "max_iter": 80, "learning_rate_init": 0.02},
    ),
    "early stopping, three classes": (X3, Y3, {"early_stopping": True, "validation_fraction": 0.3, "tol": 1e-4}),
    "early stopping, several labels": (X3, SEVERAL, {"early_stopping": True}),
    "no hidden layer": (X3, Y3, {"hidden_layer_sizes": ()}),
    "lbfgs": (X2, Y2, {"solver": "lbfgs", "alpha": 0.5, "max_iter": 15}),
    "lbfgs, three classes": (X3, Y3, {"solver": "lbfgs", "alpha": 5.0, "max_iter": 15, "activation": "identity"}),
}  # fmt: skip

REGRESSORS = {
    "adam": (XR, YR, {}),
    "sgd": (XR, YR, SGD | {"activation": "tanh"}),
    "two targets": (XR, TWO, SGD),
    "two targets, adam": (XR, TWO, {"alpha": 1.0}),
    "counts": (XR, np.round(YR), {"loss": "poisson"}),
    "two counts": (XR, np.round(TWO), {"loss": "poisson", "solver": "sgd", "learning_rate_init": 0.01}),
    "early stopping": (XR, YR, {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 60}),
    "lbfgs": (XR, YR, {"solver": "lbfgs", "max_iter": 15}),
    "lbfgs, counts": (XR, np.round(YR), {"solver": "lbfgs", "loss": "poisson", "alpha": 0.1, "max_iter": 15}),
}


def assert_alike(mine, other, X):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(mine, name), getattr(other, name), strict=True):
            np.testing.assert_allclose(a, b, **CLOSE)
    numbers = ("loss_", "best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_")
    for name in numbers:
        found, expected = getattr(mine, name, None), getattr(other, name, None)
        assert (found is None) == (expected is None), name
        if expected is not None:
            np.testing.assert_allclose(found, expected, **CLOSE, err_msg=name)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(mine, name) == getattr(other, name), name
    found, expected = mine.predict(X), other.predict(X)
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, **CLOSE)
    else:
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    if hasattr(other, "classes_"):
        assert np.array_equal(mine.classes_, other.classes_)
        np.testing.assert_allclose(mine.predict_proba(X), other.predict_proba(X), **CLOSE)
        np.testing.assert_allclose(mine.predict_log_proba(X), other.predict_log_proba(X), rtol=1e-7)


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_the_classifier_follows_scikit_learns(case):
    X, y, options = CLASSIFIERS[case]
    mine, other = (package.MLPClassifier(**(COMMON | options)).fit(X, y) for package in (ours, theirs))
    assert_alike(mine, other, X)
    assert mine.score(X, y) == pytest.approx(other.score(X, y))


@pytest.mark.parametrize("case", REGRESSORS)
def test_the_regressor_follows_scikit_learns(case):
    X, y, options = REGRESSORS[case]
    mine, other = (package.MLPRegressor(**(COMMON | options)).fit(X, y) for package in (ours, theirs))
    assert_alike(mine, other, X)
    assert mine.score(X, y) == pytest.approx(other.score(X, y), abs=1e-8)


@pytest.mark.parametrize("options", [{}, SGD, {"solver": "lbfgs", "max_iter": 15}])
def test_weights_of_samples_act_as_scikit_learns(options):
    """Reported losses are compared where they mean the same: ours is the epoch's weighted mean, not one of batches'."""
    pair = [package.MLPClassifier(**(COMMON | options)) for package in (ours, theirs)]
    mine, other = (model.fit(X2, Y2, sample_weight=WEIGHTS) for model in pair)
    for a, b in zip(mine.coefs_ + mine.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)
    whole = {"batch_size": 300, "max_iter": 5}
    mine, other = (clone(model).set_params(**whole).fit(X2, Y2, sample_weight=WEIGHTS) for model in pair)
    np.testing.assert_allclose(mine.loss_, other.loss_, **CLOSE)


def test_the_reported_loss_is_the_weighted_mean_with_the_penalty():
    model = ours.MLPClassifier(
        **(COMMON | {"max_iter": 1, "alpha": 0.7, "shuffle": False, "learning_rate_init": 1e-12})
    )
    model.fit(X2, Y2, sample_weight=WEIGHTS)
    own = -np.log(model.predict_proba(X2)[np.arange(300), (Y2 == "malign").astype(int)])
    penalty = 0.5 * 0.7 * sum(np.sum(w * w) for w in model.coefs_) * 5 / WEIGHTS.sum()  # in each of five batches
    np.testing.assert_allclose(model.loss_, np.sum(WEIGHTS * own) / WEIGHTS.sum() + penalty, rtol=1e-9)


@pytest.mark.parametrize("options", [{}, SGD | {"learning_rate": "invscaling"}])
def test_partial_fit_follows_scikit_learns(options):
    options = COMMON | options | {"shuffle": False}
    mine, other = (package.MLPClassifier(**options) for package in (ours, theirs))
    for start in range(0, 300, 100):
        part = slice(start, start + 100)
        for model in (mine, other):
            model.partial_fit(X2[part], Y2[part], classes=["benign", "malign"])
    assert_alike(mine, other, X2)


def test_float32_stays_float32_as_in_scikit_learn():
    narrow = X3.astype(np.float32)
    mine, other = (package.MLPClassifier(**COMMON).fit(narrow, Y3) for package in (ours, theirs))
    assert {w.dtype for w in mine.coefs_} == {w.dtype for w in other.coefs_} == {np.dtype("float32")}
    for a, b in zip(mine.coefs_, other.coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_every_parameter_and_attribute_is_there():
    for name in ("MLPClassifier", "MLPRegressor"):
        mine, other = (getattr(package, name)(max_iter=2) for package in (ours, theirs))
        assert mine.get_params().items() >= other.get_params().items(), "with the same defaults"
        y = Y3 if name == "MLPClassifier" else Y3.astype(float)
        mine.fit(X3, y)
        fitted = [attribute for attribute in vars(other.fit(X3, y)) if attribute.endswith("_")]
        assert all(hasattr(mine, attribute) for attribute in fitted)
        assert [p for p in dir(other) if not p.startswith("_") and not hasattr(mine, p)] == []


def test_arguments_come_in_scikit_learns_order():
    assert ours.MLPClassifier((3,), "tanh").activation == "tanh"
    assert ours.MLPRegressor("poisson", (3,), "tanh").loss == "poisson"


def lines(model, capsys):
    model.fit(X3, Y3)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "options", [{}, {"early_stopping": True}, SGD | {"learning_rate": "adaptive", "max_iter": 40, "tol": 10.0}]
)
def test_verbose_prints_what_scikit_learn_prints(options, capsys):
    options = COMMON | {"verbose": True, "tol": 0.5, "n_iter_no_change": 1} | options
    found, expected = (lines(package.MLPClassifier(**options), capsys) for package in (ours, theirs))
    assert found == expected


def test_the_warning_of_too_few_epochs_comes_where_scikit_learns_does():
    for package in (ours, theirs):
        with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
            package.MLPClassifier(max_iter=2).fit(X3, Y3)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            package.MLPClassifier(max_iter=50, tol=10.0, n_iter_no_change=2).fit(X3, Y3)
        with pytest.warns(UserWarning, match="Got `batch_size`"):
            package.MLPClassifier(max_iter=50, tol=10.0, n_iter_no_change=2, batch_size=10**4).fit(X3, Y3)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"hidden_layer_sizes": (0,)}, ValueError),
        ({"activation": "swish"}, ValueError),
        ({"solver": "adagrad"}, ValueError),
        ({"alpha": -1.0}, ValueError),
        ({"tol": "none"}, ValueError),
        ({"learning_rate_init": 0.0}, ValueError),
        ({"early_stopping": True, "validation_fraction": 0.001}, ValueError),
    ],
)
def test_what_scikit_learn_refuses_is_refused(options, error):
    for package in (ours, theirs):
        with pytest.raises(error):
            package.MLPClassifier(**options).fit(X3, Y3)
