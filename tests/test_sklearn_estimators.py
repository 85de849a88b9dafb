"""What the perceptrons have beyond scikit-learn's: exact warm starts, dropout, losses, layers, curves, callbacks."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_wine, make_regression
from sklearn.preprocessing import scale
from sklearn.utils.class_weight import compute_sample_weight

import xpnet
from xpnet import (
    Adam,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Dropout,
    GlorotUniform,
    Param,
    Poisson,
    Quantile,
    Residual,
)
from xpnet.foreign_names import ARGUMENT_ADVICE
from xpnet.layers.base import Built
from xpnet.optimizers.as_scikit_learn import BatchPenalty, EpsilonHatAdam, VelocitySGD
from xpnet.sklearn import MLPClassifier, MLPRegressor, XPClassifier, XPRegressor
from xpnet.testing import check_optimizer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_wine(return_X_y=True)
X = scale(X)
NAMES = np.array(["a", "b", "c"])[Y]
XR, YR = make_regression(200, 4, n_targets=2, noise=5.0, random_state=0)
YR = YR / 50.0

SGD = {"solver": "sgd", "learning_rate_init": 0.1}


def weights(model):
    return model.network_.get_weights()


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


@pytest.mark.parametrize(
    "options",
    [
        {},
        SGD,
        SGD | {"learning_rate": "invscaling"},
        SGD | {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1},
        {"dropout": 0.3, "batch_norm": True},
        {"tol": 0.03, "n_iter_no_change": 2, "learning_rate_init": 0.01},
        {"layers": [Dense(6), "tanh", Dropout(0.2)]},
    ],
)
def test_two_warm_started_fits_are_one_of_their_length(options):
    """To the last bit, and in all that is counted: also where the second fit ends by itself."""
    options = {"hidden_layer_sizes": (8,), "batch_size": 50, "random_state": 2, "warm_start": True} | options
    twice, once = MLPClassifier(max_iter=10, **options), MLPClassifier(max_iter=20, **options)
    twice.fit(X, NAMES).fit(X, NAMES)
    once.fit(X, NAMES)
    assert_equal(weights(twice), weights(once))
    assert twice.loss_curve_ == once.loss_curve_
    assert (twice.t_, twice.best_loss_) == (once.t_, once.best_loss_)
    assert dict(twice.history_) == dict(once.history_)


@pytest.mark.parametrize("model", [XPClassifier(validation_fraction=0.2), XPRegressor([Dropout(0.2), Dense(1)])])
def test_two_warm_started_fits_of_any_network_are_one(model):
    twice = type(model)(**model.get_params()).set_params(epochs=3, warm_start=True, random_state=0)
    once = type(model)(**model.get_params()).set_params(epochs=6, random_state=0)
    twice.fit(X, Y).fit(X, Y)
    assert_equal(weights(twice), weights(once.fit(X, Y)))
    assert twice.n_iter_ == once.n_iter_ == 6
    assert_equal(weights(once.fit(X, Y)), weights(twice))


def test_a_warm_start_takes_up_changed_parameters_as_scikit_learn_does():
    from sklearn.neural_network import MLPClassifier as Theirs

    # Without momentum, as scikit-learn's fit forgets the velocity.
    options = {"solver": "sgd", "momentum": 0.0, "warm_start": True, "shuffle": False, "batch_size": len(X)}
    ours, theirs = (kind((5,), max_iter=3, random_state=0, **options) for kind in (MLPClassifier, Theirs))
    for changes in ({}, {"learning_rate_init": 0.1}, {"alpha": 1e3}):
        ours, theirs = (model.set_params(**changes).fit(X, Y) for model in (ours, theirs))
        np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-10, atol=1e-12)


def test_a_warm_start_takes_up_another_optimizer():
    model = XPClassifier(optimizer=Adam(0.01), warm_start=True, epochs=2, random_state=0).fit(X, Y)
    before = weights(model)
    model.set_params(optimizer=Adam(1e-12), epochs=0).fit(X, Y)
    assert model.network_.optimizer == Adam(1e-12)
    assert len(model.history_["loss"]) == model.network_.epochs == 2
    model.set_params(epochs=1).fit(X, Y)
    for name, value in weights(model).items():
        np.testing.assert_allclose(value, before[name], atol=1e-9)
    assert model.set_params(optimizer="sgd").fit(X, Y).network_.state.optimizer == {}


def test_a_warm_start_keeps_what_was_held_out():
    model = MLPClassifier((8,), early_stopping=True, warm_start=True, max_iter=3, random_state=0).fit(X, Y)
    held_out = model._split.held_out
    assert np.array_equal(model.fit(X, Y)._split.held_out, held_out)


@pytest.mark.parametrize("model", [MLPClassifier(warm_start=True, max_iter=2), XPClassifier(warm_start=True, epochs=1)])
def test_a_warm_start_wants_the_same_classes(model):
    model.fit(X, Y)
    with pytest.raises(ValueError, match=r"`y` has classes not in|`y` has the same classes"):
        model.fit(X, Y + 1)


def test_partial_fits_go_on():
    parts = MLPClassifier((8,), random_state=0, batch_size=50)
    for _ in range(6):
        parts.partial_fit(X, Y, classes=[0, 1, 2])
    whole = MLPClassifier((8,), random_state=0, batch_size=50, max_iter=6, n_iter_no_change=100).fit(X, Y)
    assert_equal(weights(parts), weights(whole))
    xp = XPClassifier(random_state=0)
    for _ in range(3):
        xp.partial_fit(X, Y, classes=[0, 1, 2])
    assert_equal(weights(xp), weights(XPClassifier(random_state=0, epochs=3).fit(X, Y)))


@pytest.mark.parametrize("kind", [MLPClassifier, XPClassifier])
def test_partial_fit_holds_the_classes(kind):
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        kind().partial_fit(X, Y)
    model = kind().partial_fit(X[Y < 2], Y[Y < 2], classes=[0, 1, 2])
    assert model.predict_proba(X).shape[1] == 3
    model.partial_fit(X, Y)
    with pytest.raises(ValueError, match="not the same as on last call"):
        model.partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match="has classes not in"):
        model.partial_fit(X, Y + 5)
    with pytest.raises(xpnet.ConfigurationError, match="give partial_fit a dict"):
        kind(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


@pytest.mark.parametrize("kind", [MLPRegressor, XPRegressor])
@pytest.mark.parametrize("method", ["partial_fit", "fit"])
def test_more_training_wants_as_many_outputs(kind, method):
    model = kind(warm_start=True, random_state=0).set_params(**{"max_iter" if kind is MLPRegressor else "epochs": 1})
    more = getattr(model, method)
    more(XR, YR[:, 0])
    before = weights(model)
    with pytest.raises(xpnet.DataError, match=r"^y must have 1 output as in the first call; got 2: give"):
        more(XR, YR)
    assert_equal(weights(model), before)
    more(XR, YR[:, 1])
    model.set_params(warm_start=False).fit(XR, YR)
    with pytest.raises(xpnet.DataError, match=r"^y must have 2 outputs as in the first call; got 1"):
        model.partial_fit(XR, YR[:, 0])


def test_partial_fit_is_absent_with_lbfgs_and_early_stopping():
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    assert not hasattr(MLPRegressor(solver="lbfgs"), "partial_fit")
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        MLPClassifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])


def test_dropout_and_batch_norm_make_their_layers():
    model = MLPClassifier((6, 5), dropout=0.25, batch_norm=True, max_iter=2, random_state=0).fit(X, Y)
    names = [type(layer).__name__ for layer in model.network_.model.layers]
    assert names == [*(["Dense", "BatchNorm", "ReLU", "Dropout"] * 2), "Dense"]
    assert model.network_.model.layers[3] == Dropout(0.25)
    assert [w.shape for w in model.coefs_] == [(13, 6), (6, 5), (5, 3)]
    assert np.array_equal(model.predict_proba(X), model.predict_proba(X)), "nothing is dropped in prediction"
    for options in ({"dropout": 0.1}, {"batch_norm": True}):
        with pytest.raises(xpnet.ConfigurationError, match="solver='lbfgs' needs a loss that is the same"):
            MLPClassifier(solver="lbfgs", **options).fit(X, Y)
    with pytest.raises(ValueError, match="'dropout' parameter of MLPClassifier must be a float in the range"):
        MLPClassifier(dropout=1.0).fit(X, Y)


def test_layers_of_ones_own():
    layers = [Dense(6), "gelu", Residual([Dense(6), "tanh"])]
    model = MLPClassifier(layers=layers, max_iter=60, learning_rate_init=0.01, random_state=0).fit(X, Y)
    assert model.score(X, Y) > 0.97
    assert [w.shape for w in model.coefs_] == [(13, 6), (6, 6), (6, 3)]
    assert model.n_layers_ == 4


@pytest.mark.parametrize("given", ["relu", 3])
def test_layers_are_a_list(given):
    with pytest.raises(xpnet.ConfigurationError, match=f"layers must be a list of hidden layers; got {given!r}"):
        MLPClassifier(layers=given).fit(X, Y)


@pytest.mark.parametrize("kind", [MLPClassifier, XPClassifier])
@pytest.mark.parametrize("given", ["bal", [1, 2, 3]])
def test_what_is_no_class_weight_is_refused(kind, given):
    said = re.escape(repr(given))
    with pytest.raises(xpnet.ConfigurationError, match=rf"class_weight must be a mapping of classes .* got {said}"):
        kind(class_weight=given).fit(X, Y)


@pytest.mark.parametrize("kind", [MLPClassifier, XPClassifier])
def test_class_weights(kind):
    """A weight for a class is that weight for each of its samples; "balanced" makes the classes' sums alike."""
    options = {"random_state": 0} | ({"max_iter": 5} if kind is MLPClassifier else {"epochs": 5})
    given = {"a": 0.5, "b": 3.0, "c": 1.0}
    by_class = kind(class_weight=given, **options).fit(X, NAMES)
    by_sample = kind(**options).fit(X, NAMES, sample_weight=[given[name] for name in NAMES])
    assert_equal(weights(by_class), weights(by_sample))
    balanced = kind(class_weight="balanced", **options).fit(X, NAMES)
    counts = np.bincount(Y)
    by_sample = kind(**options).fit(X, NAMES, sample_weight=(len(Y) / (3 * counts))[Y])
    for name, value in weights(by_sample).items():
        np.testing.assert_allclose(weights(balanced)[name], value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [MLPClassifier, XPClassifier])
def test_a_partial_fit_may_lack_a_class_that_has_a_weight(kind):
    by_class, by_sample = (kind(class_weight=w, random_state=0) for w in ({0: 1.0, 1: 2.0}, None))
    for rows in (slice(None), Y != 0):
        by_class.partial_fit(X[rows], Y[rows], classes=[0, 1, 2])
        by_sample.partial_fit(X[rows], Y[rows], np.where(Y[rows] == 1, 2.0, 1.0), classes=[0, 1, 2])
    assert_equal(weights(by_class), weights(by_sample))


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("kind", [MLPClassifier, XPClassifier])
def test_one_class_has_one_column_of_probabilities(kind, loss):
    model = kind(loss=loss, random_state=0).set_params(**{"max_iter" if kind is MLPClassifier else "epochs": 30})
    model.fit(X, ["a"] * len(X))
    assert model.predict_proba(X).shape == (len(X), 1) == (len(X), len(model.classes_))
    assert model.predict_proba(X).min() > 0.5
    assert set(model.predict(X)) == {"a"}


@pytest.mark.parametrize("kind", [MLPClassifier, XPClassifier])
def test_an_error_leaves_what_was_fitted(kind):
    model = kind(random_state=0).set_params(**{"max_iter" if kind is MLPClassifier else "epochs": 2}).fit(X, NAMES)
    before = dict(vars(model))
    for y, bad in ((Y, -np.ones(len(Y))), (Y % 2, np.zeros(len(Y)))):
        with pytest.raises(ValueError, match=r"(?i)sample.weight"):
            model.fit(X[:, :3], y, bad)
        assert vars(model) == before
    fresh = kind()
    with pytest.raises(xpnet.DataError, match="sample_weight"):
        fresh.partial_fit(X, NAMES, -np.ones(len(Y)), classes=["a", "b", "c"])
    with pytest.raises(ValueError, match="classes must be passed"):
        fresh.partial_fit(X, NAMES)


@pytest.mark.parametrize("kind", [MLPRegressor, XPRegressor])
@pytest.mark.parametrize("quantile", [0.1, 0.8])
def test_quantiles(kind, quantile):
    stream = np.random.default_rng(0)
    x = stream.uniform(-1, 1, (1500, 1))
    y = x[:, 0] + stream.normal(0, 0.5, 1500)
    options = {"random_state": 0, "loss": Quantile(quantile)}
    if kind is MLPRegressor:
        model = MLPRegressor(**options, hidden_layer_sizes=(8,), learning_rate_init=0.02, max_iter=60)
    else:
        model = XPRegressor([Dense(8), "relu", Dense(1)], **options, optimizer=Adam(0.01), epochs=30)
    assert abs(np.mean(y < model.fit(x, y).predict(x)) - quantile) < 0.05


def test_counts_and_several_targets():
    stream = np.random.default_rng(0)
    x = stream.uniform(-1, 1, (1000, 2))
    means = np.exp(np.column_stack([x[:, 0], 1.0 + x[:, 1]]))
    y = stream.poisson(means)
    for model in (
        MLPRegressor("poisson", (), learning_rate_init=0.05, max_iter=60, random_state=0),
        XPRegressor([Dense(2)], loss=Poisson(), optimizer=Adam(0.05), epochs=20, random_state=0),
    ):
        found = model.fit(x, y).predict(x)
        assert found.shape == (1000, 2)
        np.testing.assert_allclose(found, means, rtol=0.25)
    with pytest.raises(xpnet.DataError, match="must not be negative"):
        MLPRegressor("poisson").fit(x, y - 1)
    assert MLPRegressor("quantile").fit(XR, YR).predict(XR).shape == (200, 2)


def test_losses_of_ones_own():
    for loss in ("cross_entropy", xpnet.CrossEntropy(label_smoothing=0.1), "hinge"):
        model = MLPClassifier((8,), loss=loss, learning_rate_init=0.02, max_iter=60, random_state=0).fit(X, NAMES)
        assert model.score(X, NAMES) > 0.97
        two = MLPClassifier((8,), loss=loss, learning_rate_init=0.02, max_iter=60, random_state=0).fit(X, Y == 1)
        assert two.score(X, Y == 1) > 0.97
        assert two.n_outputs_ == (1 if loss == "hinge" else 2), "one output where the loss can do with one"
    assert MLPRegressor("huber", (8,), max_iter=2, random_state=0).fit(XR, YR).out_activation_ == "identity"
    with pytest.raises(xpnet.ConfigurationError, match="unknown loss 'squared_eror'"):
        MLPRegressor("squared_eror").fit(XR, YR)
    for sizes in ((8,), [8, 4], 8):  # as a classifier's first argument
        said = f"got {sizes}: it is the first argument; write hidden_layer_sizes={sizes}"
        with pytest.raises(xpnet.ConfigurationError, match=f"^loss must be .*{re.escape(said)}$"):
            MLPRegressor(sizes).fit(XR, YR)
    with pytest.raises(xpnet.ConfigurationError, match="a classifier needs a loss for classes"):
        XPClassifier(loss="mse").fit(X, Y)
    with pytest.raises(xpnet.ConfigurationError, match="a classifier needs a loss for classes"):
        MLPClassifier(loss="mse").fit(X, Y)
    with pytest.raises(xpnet.ConfigurationError, match="a regressor needs a loss for real targets"):
        MLPRegressor("hinge").fit(XR, YR)


@pytest.mark.parametrize("kind", [MLPClassifier, XPClassifier])
def test_margins_instead_of_probabilities(kind):
    probable, hinge = kind(random_state=0), kind(loss="hinge", random_state=0)
    assert hasattr(probable, "predict_proba")
    assert not hasattr(probable, "decision_function")
    for y, shape in ((Y, (178, 3)), (Y == 1, (178,))):
        hinge.fit(X, y)
        assert not hasattr(hinge, "predict_proba")
        margins = hinge.decision_function(X)
        assert margins.shape == shape
        best = margins.argmax(axis=1) if margins.ndim == 2 else margins > 0
        assert np.array_equal(hinge.predict(X), hinge.classes_[best.astype(int)])


def test_curves_of_training_and_validation():
    model = MLPClassifier((8,), early_stopping=True, max_iter=7, n_iter_no_change=50, random_state=0).fit(X, Y)
    assert set(model.history_) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    assert model.history_["val_accuracy"] == pytest.approx(model.validation_scores_)
    assert [len(curve) for curve in model.history_.values()] == [7] * 5
    plain = MLPClassifier((8,), alpha=0.0, max_iter=7, random_state=0).fit(X, Y)
    assert plain.history_["loss"] == pytest.approx(plain.loss_curve_), "without the penalty"


def test_held_out_samples_of_ones_own():
    """They are not trained on, and early stopping goes by them and keeps the best epoch's weights."""
    options = {"max_iter": 30, "n_iter_no_change": 50, "learning_rate_init": 0.02, "random_state": 0}
    own, held_out = np.arange(178) % 4 > 0, np.arange(178) % 4 == 0
    held = {"X_val": X[held_out], "y_val": NAMES[held_out]}
    beside = MLPClassifier((8,), **options).fit(X[own], NAMES[own], **held)
    assert_equal(weights(beside), weights(MLPClassifier((8,), **options).fit(X[own], NAMES[own])))
    stopped = MLPClassifier((8,), early_stopping=True, **options).fit(X[own], NAMES[own], **held)
    assert stopped.validation_scores_ == pytest.approx(beside.history_["val_accuracy"])
    assert stopped.score(X[held_out], NAMES[held_out]) == stopped.best_validation_score_
    weighted = MLPClassifier((8,), early_stopping=True, **options)
    weighted.fit(X[own], NAMES[own], **held, sample_weight_val=(NAMES[held_out] == "a") + 0.0)
    assert weighted.history_["val_loss"] != stopped.history_["val_loss"]
    with pytest.raises(xpnet.ConfigurationError, match="X_val is missing"):
        MLPClassifier().fit(X, Y, y_val=Y)


def test_callbacks():
    class Count(xpnet.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs):
            self.epochs += 1
            self.network.stop_training = epoch == 3

    count = Count()
    model = MLPClassifier((8,), callbacks=[count], random_state=0).fit(X, Y)
    assert (count.epochs, model.n_iter_) == (4, 4)
    assert XPClassifier(callbacks=[Count()], random_state=0).fit(X, Y).n_iter_ == 4
    with pytest.raises(xpnet.ConfigurationError, match="callbacks must be a list"):
        MLPClassifier(callbacks="early_stopping").fit(X, Y)


def test_ctrl_c_keeps_what_was_learned():
    class Interrupt(xpnet.Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = MLPClassifier((8,), callbacks=[Interrupt()], random_state=0).fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == 2
    assert model.predict(X).shape == Y.shape


def test_weights_can_be_put_in_place():
    model = MLPClassifier((8,), max_iter=2, random_state=0).fit(X, Y)
    twin = MLPClassifier((8,), max_iter=2, random_state=1).fit(X, Y)
    twin.coefs_, twin.intercepts_ = model.coefs_, model.intercepts_
    assert np.array_equal(twin.predict_proba(X), model.predict_proba(X))
    twin.coefs_ = [0 * weight for weight in twin.coefs_]
    assert np.ptp(twin.predict(X)) == 0
    assert not hasattr(MLPClassifier(), "coefs_")
    assert not hasattr(MLPClassifier(), "classes_")


@pytest.mark.parametrize("backend", [None, "numpy"])
@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
def test_weights_that_are_shown_cannot_be_written_into(name, backend):
    """They are copies, so that nothing would come of it."""
    model = MLPClassifier((8,), max_iter=2, backend=backend, random_state=0).fit(X, Y)
    shown = getattr(model, name)
    with pytest.raises(ValueError, match="read-only"):
        shown[0][:] = 0
    with pytest.raises(TypeError):
        shown[0] = shown[0] * 0
    assert model.partial_fit(X, Y).t_ == 3 * len(X)  # the network's own weights are written


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_training_that_diverges_is_refused():
    with pytest.raises(xpnet.DataError, match="non-finite parameter weights"):
        MLPRegressor(solver="sgd", learning_rate_init=1e6, max_iter=20, random_state=0).fit(XR * 1e6, YR)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    "options",
    [SGD | {"learning_rate": "adaptive"}, {"early_stopping": True, "batch_norm": True}],
    ids=["sgd", "batch norm"],
)
def test_what_diverges_is_as_it_was_before_the_call(options):
    """To the last number: what is trained next is what would have come without the call."""
    options = {"hidden_layer_sizes": (8,), "max_iter": 4, "batch_size": 40, "random_state": 0} | options
    model, twin = (MLPRegressor(warm_start=True, **options).fit(XR, YR) for _ in range(2))
    before = {name: value for name, value in vars(model).items() if name != "_order"}
    curve = list(model.loss_curve_)
    for bad in ({"warm_start": True}, {"warm_start": False}):
        with pytest.raises(xpnet.DataError, match="non-finite parameter weights"):
            model.set_params(**bad).fit(XR * 1e200, YR)
        model.set_params(warm_start=True)
        assert {name: value for name, value in vars(model).items() if name != "_order"} == before
        assert_equal(weights(model), weights(twin))
        assert model.history_ == twin.history_
        assert model.loss_curve_ == curve
        assert (model.network_.epochs, model.network_.steps) == (twin.network_.epochs, twin.network_.steps)
    assert_equal(weights(model.fit(XR, YR)), weights(twin.fit(XR, YR)))
    assert model.n_iter_ == twin.n_iter_


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_batch_that_diverges_leaves_the_model_and_a_first_one_none():
    model, stream = (
        MLPRegressor(hidden_layer_sizes=(8,), solver="sgd", random_state=np.random.RandomState(0)),
        np.random.RandomState(0),
    )
    with pytest.raises(xpnet.DataError, match="non-finite parameter weights"):
        model.partial_fit(XR * 1e200, YR)
    assert not hasattr(model, "network_")
    model.set_params(random_state=stream).partial_fit(XR, YR)
    found, drawn = model.predict(XR), stream.get_state()[2]
    with pytest.raises(xpnet.DataError, match="non-finite parameter weights"):
        model.partial_fit(XR * 1e200, YR)
    assert np.array_equal(model.predict(XR), found)
    assert stream.get_state()[2] != drawn, "a caller's own random numbers are not turned back"


def test_the_wrapper_s_layers_fit_the_data():
    model = XPClassifier(lambda inputs, outputs: [Dense(inputs), "tanh", Dense(outputs)], epochs=2).fit(X, Y)
    assert [slot.shape for slot in model.network_.layout.slots] == [(13, 13), (13,), (13, 3), (3,)]
    with pytest.raises(xpnet.ConfigurationError, match=r"layers must give outputs of shape \(3,\)"):
        XPClassifier([Dense(2)]).fit(X, Y)
    assert XPClassifier([Dense(1)], loss=BinaryCrossEntropy(), epochs=2).fit(X, Y == 1).predict(X).dtype == bool
    several = np.column_stack([Y == 0, Y == 1]).astype(int)
    model = XPClassifier(epochs=30, random_state=0).fit(X, several)
    assert model.network_.loss == BinaryCrossEntropy()
    assert model.score(X, several) > 0.95


def test_the_wrapper_trains_as_the_network_does():
    model = XPRegressor([Dense(5), "tanh", Dense(2)], optimizer="sgd", metrics=["r2"], epochs=4, random_state=3)
    model.fit(XR, YR)
    seed = model.network_.seed
    layers = [Dense(5), "tanh", Dense(2)]
    net = xpnet.Network(layers, loss="mse", optimizer="sgd", metrics=["r2"], dtype="float64", seed=seed)
    history = net.fit(XR, YR, epochs=4, verbose=0)
    assert dict(model.history_) == dict(history)
    assert_equal(weights(model), net.get_weights())
    assert np.array_equal(model.predict(XR), net.predict(XR))


@pytest.mark.parametrize(
    "optimizer",
    [VelocitySGD(0.1, 0.9, True), VelocitySGD(0.1, 0.5, False), EpsilonHatAdam(0.01, 0.9, 0.999, 1e-8)],
)
def test_the_rules_are_optimizers(optimizer, backend):
    check_optimizer(optimizer, backend=backend)


def test_the_penalty_is_a_link(backend):
    check_optimizer(xpnet.chain(BatchPenalty(0.1, 2.0), xpnet.SGD(0.1)), backend=backend)


def test_without_scikit_learn_the_remedy_is_named():
    script = (
        "import sys, xpnet; sys.modules['sklearn'] = None\n"
        "try:\n    import xpnet.sklearn\n"
        "except xpnet.MissingExtraError as error:\n    print(error)\n"
        "    from xpnet.extras import install_command\n"
        "    print(install_command(\"pip install 'xpnet[sklearn]'\"))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    said, command = done.stdout.splitlines()
    assert said.startswith("xpnet.sklearn needs sklearn, which cannot be imported (")
    assert said.endswith(f"; run: {command}")


def test_parts_of_a_record_are_not_set_one_by_one():
    with pytest.raises(xpnet.ConfigurationError, match=r"optimizer__learning_rate: .*'optimizer': \[Adam"):
        XPClassifier(optimizer=Adam(0.1)).set_params(optimizer__learning_rate=0.2)
    with pytest.raises(ValueError, match="Invalid parameter 'rate'"):
        XPClassifier().set_params(rate__x=0.2)
    assert XPClassifier().set_params(optimizer=Adam(0.2)).optimizer == Adam(0.2)


@pytest.mark.parametrize("kind", [XPRegressor, MLPRegressor])
def test_a_regressor_says_that_text_is_for_classifiers(kind):
    for y in (["a", "b", "c"], np.array(["a", 1.0, 2.0], object)):
        with pytest.raises(xpnet.DtypeError, match=r"got text, such as .*'a'.*: for labels use a classifier"):
            kind().fit(np.ones((3, 2)), y)


def test_layers_with_too_few_outputs_are_told_how_many():
    """Before the loss complains of one output, for which it has advice that three classes cannot follow."""
    with pytest.raises(xpnet.ConfigurationError, match=r"outputs of shape \(3,\) .*; they give \(1,\): .*Dense\(3\)"):
        XPClassifier([Dense(1)]).fit(np.ones((3, 2)), [0, 1, 2])


@pytest.mark.parametrize(
    "model",
    [MLPClassifier(max_iter=2), MLPClassifier(max_iter=2, solver="sgd"), MLPClassifier(max_iter=2, solver="lbfgs")],
    ids=lambda model: model.solver,
)
def test_a_perceptrons_network_is_saved_and_read_where_scikit_learn_is_not(model, tmp_path):
    path = tmp_path / "net.safetensors"
    network = model.fit(X, Y).network_
    network.save(path)
    again = xpnet.load(path)
    np.testing.assert_array_equal(again.predict(X), network.predict(X))
    assert again.optimizer == network.optimizer
    program = f"import sys, xpnet; sys.modules['sklearn'] = None; import xpnet; print(xpnet.load({str(path)!r}).steps)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == network.steps


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (MLPClassifier(), {"X_val": X[:20]}, "y_val is missing beside X_val"),
        (MLPClassifier(), {"y_val": Y[:20]}, "X_val is missing beside y_val"),
        (MLPClassifier(callbacks=xpnet.EarlyStopping("loss")), {}, r"write callbacks=\[EarlyStopping"),
        (XPClassifier(validation_fraction=2), {}, "validation_fraction must be .*; got 2"),
    ],
)
def test_what_is_wrong_is_called_by_the_estimators_own_names(model, given, message):
    with pytest.raises(xpnet.ConfigurationError, match=message):
        model.fit(X, Y, **given)


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
@pytest.mark.filterwarnings("ignore:the network can be trained but not saved")
def test_a_layer_whose_gradient_has_another_shape_is_refused_by_each_solver(solver):
    class Turned:
        def build(self, in_shape):
            return Built((4,), {"w": Param((in_shape[0], 4), GlorotUniform())})

        def forward(self, params, x, context):
            return x @ params["w"], x

        def backward(self, params, x, dy, context):
            return dy @ params["w"].T, {"w": dy.T @ x}

    with pytest.raises(xpnet.ShapeError, match=r"the gradient of 0\.w must have .* \(13, 4\); got \(4, 13\)"):
        MLPClassifier(layers=[Turned()], solver=solver).fit(X, Y)


def test_a_warm_start_does_not_go_on_with_another_network_than_is_asked_for():
    model = XPClassifier([Dense(8), "relu", Dense(3)], epochs=1, warm_start=True).fit(X, Y)
    model.set_params(optimizer="sgd").fit(X, Y)
    for changed in ({"layers": [Dense(4), "relu", Dense(3)]}, {"layers": None}, {"loss": "hinge"}):
        there = {name: getattr(model, name) for name in changed}
        with pytest.raises(xpnet.ConfigurationError, match=f"{next(iter(changed))} has been changed since"):
            model.set_params(**changed).fit(X, Y)
        with pytest.raises(xpnet.ConfigurationError, match="has been changed since"):
            model.partial_fit(X, Y)
        model.set_params(**there)
    assert model.fit(X, Y).n_iter_ == 3
    model.set_params(warm_start=False, loss="hinge").fit(X, Y)
    assert model.n_iter_ == 1


CHANGES = [
    ({"loss": "hinge"}, "loss"),
    ({"dtype": "float32"}, "dtype"),
    ({"precision": "bfloat16"}, "precision"),
    ({"backend": "array-api-strict"}, "backend"),
    ({"backend": xpnet.open_backend("numpy")}, "dtype"),
]


@pytest.mark.parametrize(
    ("kind", "changed", "named"),
    [
        *[(kind, *change) for kind in (MLPClassifier, XPClassifier) for change in CHANGES],
        (MLPClassifier, {"hidden_layer_sizes": (4, 4)}, "hidden_layer_sizes"),
        (MLPClassifier, {"activation": "tanh"}, "activation"),
        (MLPClassifier, {"dropout": 0.5}, "dropout"),
        (MLPClassifier, {"batch_norm": True}, "batch_norm"),
        (MLPClassifier, {"activation": "tanh", "dropout": 0.5}, "activation and dropout"),
        (MLPClassifier, {"layers": [Dense(100), "gelu"]}, "layers"),
        (MLPClassifier, {"early_stopping": True}, "early_stopping"),
        (XPClassifier, {"metrics": ["f1"]}, "metrics"),
    ],
)
def test_what_is_decided_when_the_network_is_made_is_not_changed_in_silence(kind, changed, named):
    if changed.get("backend") == "array-api-strict":
        pytest.importorskip("array_api_strict")
    options = {"warm_start": True, "random_state": 0} | ({"max_iter": 2} if kind is MLPClassifier else {"epochs": 2})
    model = kind(**options).fit(X, Y)
    there, before = model.get_params(), weights(model)
    calls = [model.fit] if "early_stopping" in changed else [model.fit, model.partial_fit]
    for call in calls:
        model.set_params(**changed)
        with pytest.raises(
            xpnet.ConfigurationError, match=rf"^{named} (has|have) been changed since .* Set {named} back"
        ):
            call(X, Y)
        model.set_params(**there)
    assert_equal(weights(model), before)
    model.partial_fit(X, Y)
    model.set_params(**changed, warm_start=False).fit(X, Y)
    assert model.network_.epochs <= 2


@pytest.mark.parametrize("kind", [MLPClassifier, XPClassifier])
def test_other_words_for_the_same_are_no_change(kind):
    model = kind(warm_start=True).set_params(**{"max_iter" if kind is MLPClassifier else "epochs": 1}).fit(X, Y)
    network = model.network_
    model.set_params(dtype="float64", backend="numpy", loss=xpnet.CrossEntropy())
    if kind is MLPClassifier:
        model.set_params(layers=[Dense(100), "relu"])
    assert model.fit(X, Y).network_ is network
    model.set_params(dtype=None).fit(X, Y)
    model.partial_fit(X.astype("float32"), Y)  # X itself may come as it likes
    assert model.network_ is network
    assert model.network_.backend.dtype == "float64"


def test_a_warm_start_does_not_go_from_lbfgs_to_batches():
    model = MLPClassifier((4,), solver="lbfgs", max_iter=2, warm_start=True).fit(X, Y)
    with pytest.raises(xpnet.ConfigurationError, match=r"solver has been changed .* it has lbfgs; got adam"):
        model.set_params(solver="adam").fit(X, Y)
    assert MLPClassifier((4,), max_iter=2, warm_start=True).fit(X, Y).set_params(solver="lbfgs").fit(X, Y)


def test_lbfgs_minimizes_a_sum_where_the_loss_is_one():
    """A sum over n examples with n times the penalty is n times the mean, with the same minimum."""
    options = {"hidden_layer_sizes": (5,), "solver": "lbfgs", "max_iter": 12, "tol": 0.0, "random_state": 3}
    mean = MLPClassifier(alpha=0.1, loss="cross_entropy", **options).fit(X, Y)
    total = MLPClassifier(alpha=0.1 * len(X), loss=xpnet.CrossEntropy(reduction="sum"), **options).fit(X, Y)
    assert total.loss_ == pytest.approx(len(X) * mean.loss_, rel=1e-6)
    for one, other in zip(mean.coefs_, total.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("layers", [[Dense(8), xpnet.BatchNorm(), "relu"], [Residual([Dense(13), Dropout(0.5)])]])
def test_lbfgs_refuses_own_layers_whose_loss_is_another_at_every_look(layers):
    with pytest.raises(xpnet.ConfigurationError, match="solver='lbfgs' needs a loss that is the same"):
        MLPClassifier(layers=layers, solver="lbfgs").fit(X, Y)


class Counts(xpnet.Callback):
    pass


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    ("name", "options", "given"),
    [
        ("callbacks", {"callbacks": [Counts()]}, {}),
        ("callbacks", {"callbacks": ["terminate_on_nan"]}, {"X_val": X, "y_val": Y}),
        ("X_val", {}, {"X_val": X, "y_val": Y}),
        ("y_val", {}, {"y_val": Y}),
    ],
)
def test_lbfgs_refuses_what_is_done_after_epochs(kind, name, options, given):
    with pytest.raises(xpnet.ConfigurationError, match=f"^{name} would do nothing: solver='lbfgs' .*leave out {name}"):
        kind(solver="lbfgs", **options).fit(X, Y, **given)
    assert kind(hidden_layer_sizes=(3,), solver="lbfgs", max_iter=500, tol=0.1, callbacks=[]).fit(X, Y)


@pytest.mark.parametrize("kind", [MLPClassifier, XPClassifier])
@pytest.mark.parametrize("weight", [-5, "a", float("nan"), None])
def test_a_wrong_weight_of_a_class_is_named(kind, weight):
    with pytest.raises(xpnet.ConfigurationError, match=rf"class_weight\['a'\] must be a finite .*; got {weight!r}"):
        kind(class_weight={"a": weight, "b": 1}).fit(X, NAMES)
    several = np.stack([Y == 0, Y == 1], axis=1).astype(int)
    with pytest.raises(xpnet.ConfigurationError, match=rf"class_weight\[1\] must be a finite .*; got {weight!r}"):
        kind(class_weight=[{0: 1, 1: weight}, {0: 1, 1: 1}]).fit(X, several)
    with pytest.raises(xpnet.DataError, match=r"class_weight.* not 0 for all|class_weight=.* is 0 for the class of"):
        kind(class_weight={"a": 0, "b": 0, "c": 0}).fit(X, NAMES)


def test_classes_weigh_what_is_held_out_as_what_is_trained_on():
    labels, weight = (Y == 0).astype(int), {0: 1.0, 1: 50.0}
    options = {"epochs": 3, "validation_fraction": 0.3, "random_state": 1, "optimizer": "sgd"}
    layers = [Dense(4), "tanh", Dense(2)]
    model = XPClassifier(layers, class_weight=weight, **options).fit(X, labels)
    network = xpnet.Network(layers, optimizer="sgd", seed=model.network_.seed)
    expected = network.fit(X, labels, epochs=3, validation_split=0.3, class_weight=weight, verbose=0)
    for name, values in expected.items():
        assert model.history_[name] == pytest.approx(values, rel=1e-5), name

    options = {"hidden_layer_sizes": (3,), "max_iter": 4, "random_state": 2, "early_stopping": True}
    for class_weight in (weight, "balanced"):
        weighed = MLPClassifier(class_weight=class_weight, validation_fraction=0.3, **options).fit(X, labels)
        rows, train = weighed._split.held_out, weighed._split.train
        counts = np.bincount(labels[train])
        table = np.array([1.0, 50.0]) if class_weight is weight else len(train) / (2 * counts)
        accuracy = weighed.score(X[rows], labels[rows], sample_weight=table[labels[rows]])
        assert max(weighed.validation_scores_) == pytest.approx(accuracy)


@pytest.mark.parametrize("several", [False, True])
def test_own_held_out_samples_are_weighed_by_their_classes_unless_weights_are_given(several):
    labels = np.stack([Y == 0, Y == 1], axis=1).astype(int) if several else NAMES
    train, rest = np.flatnonzero(np.arange(len(Y)) % 4), np.arange(0, len(Y), 4)

    def fitted(given=None):
        model = MLPClassifier((3,), max_iter=3, random_state=0, early_stopping=True, class_weight="balanced")
        return model.fit(X[train], labels[train], X_val=X[rest], y_val=labels[rest], sample_weight_val=given)

    both, ones = compute_sample_weight("balanced", labels, indices=train), np.ones(len(rest))
    assert fitted().history_["val_loss"] == pytest.approx(fitted(both[rest]).history_["val_loss"])
    assert fitted().validation_scores_ == pytest.approx(fitted(both[rest]).validation_scores_)
    assert fitted().history_["val_loss"] != pytest.approx(fitted(ones).history_["val_loss"])


def test_a_class_that_is_not_trained_on_weighs_1_where_it_is_held_out():
    model = MLPClassifier((3,), max_iter=2, class_weight="balanced").fit(X, NAMES)
    found = model._weigh_held_out(None, np.array(["a", "b", "c"]), np.array(["a", "a", "a", "b"]))
    np.testing.assert_allclose(found, [4 / 6, 2.0, 1.0])


def test_held_out_data_of_classes_that_weigh_nothing_are_named():
    zero = {"a": 0.0}
    only = NAMES == "a"
    with pytest.raises(xpnet.DataError, match=r"class_weight=.* is 0 for .* every sample that is held out \(y_val,"):
        MLPClassifier((3,), max_iter=2, class_weight=zero).fit(X, NAMES, X_val=X[only], y_val=NAMES[only])
    model = MLPClassifier((3,), max_iter=2, class_weight=zero)
    model.fit(X, NAMES, X_val=X[only], y_val=NAMES[only], sample_weight_val=np.ones(only.sum()))


def test_early_stopping_of_a_rare_class_trains():
    """Unweighted, predicting the common class alone scores 0.93 in the first epoch, which the weighed loss unlearns."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(6000, 12))
    chance = 1 / (1 + np.exp(3.2 - 0.9 * x[:, 0] - 0.8 * x[:, 1] * x[:, 2] + 0.6 * x[:, 3]))
    rare = (rng.uniform(size=6000) < chance).astype(int)
    model = MLPClassifier((64,), early_stopping=True, class_weight="balanced", random_state=2).fit(
        x[:4000], rare[:4000]
    )
    found = model.predict(x[4000:])[rare[4000:] == 1]
    assert found.mean() > 0.5


def test_a_single_class_is_certain():
    for model in (MLPClassifier((3,), max_iter=2), XPClassifier(epochs=1)):
        found = model.fit(X[:20], np.full(20, "a")).predict_proba(X[:5])
        np.testing.assert_array_equal(found, np.ones((5, 1)))


def test_a_batch_whose_examples_all_weigh_nothing_is_padding():
    order = np.argsort(Y)
    model = MLPClassifier((3,), batch_size=10, shuffle=False, max_iter=2, class_weight={0: 0.0, 1: 1.0, 2: 1.0})
    model.fit(X[order], Y[order])
    assert all(np.isfinite(array).all() for array in model.coefs_)


def test_another_rule_of_a_warm_start_begins_anew():
    model = XPRegressor([Dense(1)], optimizer=xpnet.SGD(1e-6), epochs=50, warm_start=True, batch_size=None)
    model.set_params(dtype="float64").fit(XR, YR[:, 0])
    before = model.network_.get_weights()
    model.set_params(optimizer=Adam(1e-3), epochs=1).fit(XR, YR[:, 0])
    for name, array in model.network_.get_weights().items():
        np.testing.assert_allclose(np.abs(array - before[name]), 1e-3, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_wrapper_that_diverges_stops_before_the_step_and_keeps_its_counts():
    model = XPRegressor([Dense(8), "relu", Dense(2)], optimizer=xpnet.SGD(0.01), epochs=3, random_state=0).fit(XR, YR)
    before = weights(model)
    with pytest.raises(xpnet.NonFiniteError, match="The network is as it was before that step"):
        model.partial_fit(XR * 1e200, YR)
    assert_equal(weights(model), before)
    assert model.n_iter_ == len(model.history_["loss"]) == 3

    classifier = XPClassifier([Dense(8), "tanh", Dense(8), "gelu", Dense(3)], optimizer=xpnet.SGD(1e100), epochs=5)
    with pytest.raises(xpnet.NonFiniteError, match=r"the learning rate 1e\+100 is too high"):
        classifier.fit(X, Y)
    assert all(np.isfinite(value).all() for value in weights(classifier).values())
    assert (classifier.n_iter_, dict(classifier.history_)) == (0, {})


@pytest.mark.parametrize("callback", ["terminate_on_nan", xpnet.TerminateOnNaN()])
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_wrapper_that_terminates_on_nan_ends_without_an_error(callback):
    model = XPRegressor([Dense(2)], optimizer=xpnet.SGD(1e100), epochs=9, callbacks=[callback], random_state=0)
    assert model.fit(XR, YR).n_iter_ < 9
    assert not np.isfinite(model.history_["loss"][-1])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: XPClassifier().fit(X, Y, X_val=X, y_val=Y),
            "XPClassifier.fit has no argument 'X_val': the estimator's va",
        ),
        (
            lambda: XPRegressor().fit(XR, YR, epochs=3),
            "XPRegressor.fit has no argument 'epochs': it is a parameter of the",
        ),
        (
            lambda: XPClassifier(early_stopping=True),
            "'early_stopping': give callbacks=[EarlyStopping()], and validation_f",
        ),
        (lambda: XPClassifier(max_iter=9), "'max_iter'; write epochs=9."),
        (
            lambda: XPRegressor(hidden_layer_sizes=(9,)),
            "'hidden_layer_sizes': give the layers: layers=[Dense(32), 'relu'",
        ),
        (
            lambda: XPRegressor(learning_rate_init=0.1),
            "'learning_rate_init': the learning rate is the optimizer's: opt",
        ),
        (lambda: MLPClassifier(epochs=9), "MLPClassifier has no argument 'epochs': write max_iter=200"),
        (lambda: MLPRegressor(seed=0), "MLPRegressor has no argument 'seed': write random_state=0"),
        (
            lambda: MLPClassifier().fit(X, Y, validation_data=(X, Y)),
            "MLPClassifier.fit has no argument 'validation_data'",
        ),
    ],
)
def test_an_argument_that_is_not_there_says_what_to_write(call, said):
    with pytest.raises(xpnet.ArgumentError) as caught:
        call()
    assert said in str(caught.value)


@pytest.mark.parametrize("call", [XPClassifier, XPRegressor, MLPClassifier, MLPRegressor])
def test_advice_goes_by_arguments_that_there_are(call):
    name = call.__name__
    known = {*inspect.signature(call).parameters, *inspect.signature(call.fit).parameters}
    advice = {key: text for key, text in ARGUMENT_ADVICE.items() if key.startswith(name)}
    assert len(advice) > 9
    for key, text in advice.items():
        unknown = key.partition("(")[2].rstrip(")")
        assert unknown not in inspect.signature(call.fit if ".fit" in key else call).parameters
        assert set(re.findall(r"(\w+)=", re.sub(r"\(\w+=.*?\)", "", text))) - {"X_val", "y_val"} <= known


@pytest.mark.parametrize("model", [MLPClassifier(activation="gelu"), MLPRegressor(activation="gelu")])
def test_an_activation_of_ours_has_another_way_in(model):
    with pytest.raises(
        ValueError, match=r"Got 'gelu' instead\. Others go by layers=\[Dense\(100\), 'gelu'\], the hidden"
    ):
        model.fit(X, Y)
    model.set_params(activation="relu", layers=[Dense(100), "gelu"], max_iter=2).fit(X, Y)
    for other in ("gulu", ["relu"], None):
        with pytest.raises(ValueError, match="'activation' parameter") as caught:
            model.set_params(activation=other).fit(X, Y)
        assert "Others" not in str(caught.value)


def test_the_page_compares_arguments_that_there_are():
    page = Path(__file__).parents[1].joinpath("docs/sklearn.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| | `MLPClassifier` | `XPClassifier` |")
    rows = [line.split("|")[2:4] for line in table.partition("\n\n")[0].splitlines()[2:]]
    for place, call in enumerate((MLPClassifier, XPClassifier)):
        known = {*inspect.signature(call).parameters, *inspect.signature(call.fit).parameters}
        told = re.findall(r"`(?:fit\(X, y, )?(\w+)(?:=[^`]*)?`", " ".join(row[place] for row in rows))
        assert len(told) > 7
        assert set(told) <= known


ONE_HOT = np.eye(3, dtype=int)[Y]


@pytest.mark.parametrize("kind", [XPClassifier, MLPClassifier])
@pytest.mark.parametrize("loss", ["cross_entropy", CrossEntropy(label_smoothing=0.1), "hinge"])
def test_a_loss_of_one_class_refuses_an_indicator_matrix(kind, loss):
    """Which is one of several labels, to scikit-learn, also where each row has one: its predictions have its shape."""
    for rows in (len(X), len(X) - 1):
        with pytest.raises(xpnet.ConfigurationError, match=r"is for one class of several: give .*y\.argmax\(axis=1\)"):
            kind(loss=loss).fit(X[:rows], ONE_HOT[:rows])
    model = kind(loss=loss)
    with pytest.raises(xpnet.ConfigurationError, match="y is an indicator matrix"):
        model.partial_fit(X, ONE_HOT, classes=[0, 1, 2])
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize("kind", [XPClassifier, MLPClassifier])
def test_one_hot_rows_are_an_indicator_matrix(kind):
    model = kind(random_state=0, **({"epochs": 2} if kind is XPClassifier else {"max_iter": 2})).fit(X, ONE_HOT)
    assert type(model.network_.loss) is BinaryCrossEntropy
    for rows in (len(X), len(X) - 1, 1):
        assert model.predict(X[:rows]).shape == (rows, 3)
    assert 0.0 <= model.score(X, ONE_HOT) <= 1.0


@pytest.mark.parametrize("kind", [XPClassifier, MLPClassifier])
def test_labels_and_indicator_matrices_do_not_follow_each_other(kind):
    """A matrix of 0 and 1 is no column of the labels 0 and 1, nor a matrix of others an indicator matrix."""
    model = kind(random_state=0, warm_start=True).partial_fit(X, Y, classes=[0, 1, 2])
    before = weights(model)
    for train in (model.partial_fit, model.fit):
        with pytest.raises(xpnet.DataError, match=r"shape \(N,\), as in the first call; got shape \(178, 3\)"):
            train(X, ONE_HOT)
    assert_equal(weights(model), before)
    model = kind(random_state=0).partial_fit(X, ONE_HOT, classes=[0, 1, 2])
    for wrong in (Y, ONE_HOT[:, :2], ONE_HOT * 0.5):
        with pytest.raises(xpnet.DataError, match="an indicator matrix of 3 columns that holds 0 and 1"):
            model.partial_fit(X, wrong)


@pytest.mark.parametrize("kind", [XPClassifier, MLPClassifier])
@pytest.mark.parametrize("form", ["csr_matrix", "coo_array"])
def test_a_sparse_indicator_matrix_is_taken_from_the_first_partial_fit_on(kind, form):
    sparse = getattr(pytest.importorskip("scipy.sparse"), form)(ONE_HOT)
    found, expected = (kind(random_state=0).partial_fit(X, y, classes=[0, 1, 2]) for y in (sparse, ONE_HOT))
    assert_equal(weights(found.partial_fit(X, sparse)), weights(expected.partial_fit(X, ONE_HOT)))
