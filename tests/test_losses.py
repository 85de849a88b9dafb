"""Every loss on every backend: slopes, purity, and the values of the formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import xpnet
from xpnet import losses
from xpnet.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Hinge,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    Quantile,
)
from xpnet.testing import check_loss

RNG = np.random.default_rng(7)
LABELS = np.array([2, 0, 1, 2])
ONE_HOT = np.eye(3)[LABELS]
SOFT = RNG.dirichlet(np.ones(3), 4)
SCORES = RNG.normal(size=(4, 3))
REAL = SCORES + np.where(RNG.random((4, 3)) < 0.5, -1, 1) * RNG.uniform(0.2, 3.0, (4, 3))
WIDE = SCORES.reshape(2, 2, 3)
BITS = (RNG.random((4, 3)) < 0.5).astype(float)
COUNTS = np.array([[0, 1, 2], [3, 0, 7], [1, 1, 0], [0, 12, 4]])

CASES = {
    "labels": (CrossEntropy(), LABELS, SCORES),
    "one-hot": (CrossEntropy(), ONE_HOT, SCORES),
    "soft": (CrossEntropy(), SOFT, SCORES),
    "smoothed labels": (CrossEntropy(label_smoothing=0.1), LABELS, SCORES),
    "smoothed soft": (CrossEntropy(label_smoothing=0.3, reduction="sum"), SOFT, SCORES),
    "bits": (BinaryCrossEntropy(), BITS, SCORES),
    "shares": (BinaryCrossEntropy(), SOFT, SCORES),
    "one bit": (BinaryCrossEntropy(reduction="sum"), BITS[:, 0], SCORES[:, :1]),
    "mse": (MeanSquaredError(), REAL, SCORES),
    "mse of matrices": (MeanSquaredError(), REAL.reshape(2, 2, 3), WIDE),
    "mse of one": (MeanSquaredError(reduction="sum"), REAL[:, 0], SCORES[:, :1]),
    "mae": (MeanAbsoluteError(), REAL, SCORES),
    "mae of matrices": (MeanAbsoluteError(), REAL.reshape(2, 2, 3), WIDE),
    "huber": (Huber(), REAL, SCORES),
    "huber near": (Huber(delta=10.0), REAL, SCORES),
    "huber far": (Huber(delta=0.1, reduction="sum"), REAL, SCORES),
    "quantile": (Quantile(0.9), REAL, SCORES),
    "quantile of matrices": (Quantile(0.2, reduction="sum"), REAL.reshape(2, 2, 3), WIDE),
    "median of one": (Quantile(), REAL[:, 0], SCORES[:, :1]),
    "poisson": (Poisson(), COUNTS, SCORES),
    "poisson of matrices": (Poisson(reduction="sum"), COUNTS.reshape(2, 2, 3), WIDE),
    "poisson of one": (Poisson(), COUNTS[:, 0], SCORES[:, :1]),
    "hinge labels": (Hinge(), LABELS, SCORES),
    "hinge one-hot": (Hinge(), ONE_HOT, SCORES),
    "hinge signs": (Hinge(), np.array([1, -1, -1, 1]), SCORES[:, :1]),
    "hinge bits": (Hinge(reduction="sum"), np.array([0, 1, 1, 0]), SCORES[:, :1]),
}


@pytest.mark.parametrize("case", CASES)
def test_loss_keeps_its_contract(case, backend):
    loss, y, scores = CASES[case]
    check_loss(loss, y, scores=scores, backend=backend, beside=["numpy"])


def test_every_loss_has_a_case():
    assert {type(loss) for loss, _, _ in CASES.values()} == set(losses.NAMES.values())
    assert {getattr(losses, name) for name in losses.__all__ if name != "NAMES"} - {losses.Loss} == set(
        losses.NAMES.values()
    )


def value(loss, scores, y, backend):
    """Return each example's loss."""
    scores = np.asarray(scores, dtype=np.float64)
    targets = loss.targets(np.asarray(y), scores.shape[1:])
    kind = backend.xp.int32 if targets.dtype.kind in "iu" else backend.float
    run = backend.compile(lambda scores, targets: loss(scores, targets, backend.xp)[0])
    return backend.to_numpy(run(backend.asarray(scores), backend.asarray(targets, dtype=kind)))


def value32(loss, scores, y, backend):
    """Return each example's loss in the backend's float32."""
    scores, targets = (backend.asarray(np.asarray(a, dtype=np.float32)) for a in (scores, np.reshape(y, (-1, 1))))
    return backend.to_numpy(backend.compile(lambda z, t: loss(z, t, backend.xp)[0])(scores, targets))


def log_softmax(z):
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def log_power(counts):
    """Return log(n**n), 0 for n = 0."""
    return np.array([[n * np.log(n) if n else 0.0 for n in row] for row in counts])


FORMULAS = {
    "labels": lambda: -log_softmax(SCORES)[np.arange(4), LABELS],
    "soft": lambda: -(SOFT * log_softmax(SCORES)).sum(1),
    "smoothed labels": lambda: -((0.9 * ONE_HOT + 0.1 / 3) * log_softmax(SCORES)).sum(1),
    "bits": lambda: -(BITS * np.log(sigmoid(SCORES)) + (1 - BITS) * np.log(1 - sigmoid(SCORES))).mean(1),
    "mse": lambda: ((SCORES - REAL) ** 2).mean(1),
    "mse of matrices": lambda: ((SCORES - REAL) ** 2).reshape(2, 6).mean(1),
    "mae": lambda: np.abs(SCORES - REAL).mean(1),
    "huber": lambda: np.where(np.abs(SCORES - REAL) <= 1, (SCORES - REAL) ** 2 / 2, np.abs(SCORES - REAL) - 0.5).mean(
        1
    ),
    "quantile": lambda: np.maximum(0.9 * (REAL - SCORES), -0.1 * (REAL - SCORES)).mean(1),
    "poisson": lambda: (np.exp(SCORES) - COUNTS * SCORES + log_power(COUNTS) - COUNTS).mean(1),
    "hinge labels": lambda: (
        (np.maximum(0, 1 + SCORES - SCORES[np.arange(4), LABELS][:, None]) * (1 - ONE_HOT)).sum(1) / 3
    ),
    "hinge signs": lambda: np.maximum(0, 1 - np.array([1, -1, -1, 1]) * SCORES[:, 0]),
}


@pytest.mark.parametrize("case", FORMULAS)
def test_losses_are_their_formulas(case, backend):
    loss, y, scores = CASES[case]
    np.testing.assert_allclose(value(loss, scores, y, backend), FORMULAS[case](), rtol=1e-12, atol=1e-14)


def test_cross_entropy_of_known_probabilities(backend):
    scores = np.log([[0.7, 0.1, 0.2], [0.1, 0.5, 0.4], [0.02, 0.9, 0.08]])
    found = value(CrossEntropy(), scores, [0, 1, 1], backend)
    np.testing.assert_allclose(found, [0.35667494, 0.69314718, 0.10536052], atol=5e-9)
    np.testing.assert_allclose(found.mean(), 0.38506088, atol=5e-9)


def test_extreme_scores_lose_nothing(backend):
    scores = np.array([[1e4, 0.0], [0.0, 1e4]])
    np.testing.assert_allclose(value(CrossEntropy(), scores, [0, 0], backend), [0, 1e4], rtol=1e-15)
    np.testing.assert_allclose(
        value(BinaryCrossEntropy(), np.array([[1e4], [-1e4]]), [0, 1], backend), [1e4, 1e4], rtol=1e-15
    )
    np.testing.assert_allclose(value(BinaryCrossEntropy(), [[-50.0]], [0], backend), [np.exp(-50.0)], rtol=1e-12)


def linked(loss, scores, backend):
    run = backend.compile(lambda scores: loss.link(scores, backend.xp))
    return backend.to_numpy(run(backend.asarray(np.asarray(scores, dtype=np.float64))))


def test_links(backend):
    np.testing.assert_allclose(
        linked(CrossEntropy(), [[10, 10], [1, 4]], backend), [[0.5, 0.5], [0.04742587, 0.95257413]], atol=5e-9
    )
    np.testing.assert_allclose(
        linked(CrossEntropy(), [[5, 1, 1]], backend), [[0.96466316, 0.01766842, 0.01766842]], atol=5e-9
    )
    np.testing.assert_allclose(linked(BinaryCrossEntropy(), SCORES, backend), sigmoid(SCORES), rtol=1e-14)
    for loss in (MeanSquaredError(), MeanAbsoluteError(), Huber(), Quantile(), Hinge()):
        assert np.array_equal(linked(loss, SCORES, backend), SCORES)


def test_poisson_s_link_is_the_mean_and_its_loss_0_there(backend):
    np.testing.assert_allclose(linked(Poisson(), SCORES, backend), np.exp(SCORES), rtol=1e-14)
    means = np.array([[0.5], [3.0], [40.0]])
    np.testing.assert_allclose(value(Poisson(), np.log(means), means, backend), 0.0, atol=1e-13)


def test_poisson_goes_on_as_a_tangent_where_float32_would_overflow(backend32):
    at = {z: float(value32(Poisson(), [[z]], [0.0], backend32)[0]) for z in (50.0, 51.0, 1e4)}
    top = np.exp(50.0)
    assert at == pytest.approx({50.0: top, 51.0: 2 * top, 1e4: (1e4 - 49) * top}, rel=1e-5)


def test_poisson_refuses_negative_counts():
    with pytest.raises(xpnet.DataError, match=r"y must not be negative for loss='poisson'; got -1\.0"):
        Poisson().targets(np.array([0, -1]), (1,))


@pytest.mark.parametrize("quantile", [0, 1, -0.1, "half"])
def test_quantiles_lie_between_0_and_1(quantile):
    with pytest.raises(
        xpnet.ConfigurationError, match=r"Quantile\.quantile must be a finite number above 0 and below 1"
    ):
        Quantile(quantile)


@pytest.mark.parametrize("quantile", [0.1, 0.75])
def test_the_quantile_of_the_targets_minimizes_its_loss(quantile):
    y = np.random.default_rng(0).normal(size=400)
    net = xpnet.Network([xpnet.Dense(1)], loss=Quantile(quantile), optimizer=xpnet.Adam(0.05), inputs=1)
    net.fit(np.zeros((400, 1)), y, epochs=300, batch_size=None, verbose=0)
    assert abs(np.mean(y < net.predict([[0.0]])[0, 0]) - quantile) < 0.02


def test_classes(backend):
    def classes(loss, scores):
        run = backend.compile(lambda scores: loss.classify(scores, backend.xp))
        return backend.to_numpy(run(backend.asarray(np.asarray(scores, dtype=np.float64)))).tolist()

    assert classes(CrossEntropy(), [[0, 2, 1], [3, 2, 1]]) == [1, 0]
    assert classes(Hinge(), [[0, 2, 1], [3, 2, 1]]) == [1, 0]
    assert classes(Hinge(), [[-1], [0], [1]]) == [0, 0, 1]
    assert classes(BinaryCrossEntropy(), [[-1], [0], [1]]) == [0, 0, 1]
    assert classes(BinaryCrossEntropy(), [[-1, 1], [1, 1]]) == [[0, 1], [1, 1]]


def test_true_classes(backend):
    def classes(loss, targets):
        targets = np.asarray(targets)
        placed = backend.asarray(targets, dtype=backend.xp.int32 if targets.dtype.kind in "iu" else backend.float)
        run = backend.compile(lambda targets: loss.true_classes(targets, backend.xp))
        return backend.to_numpy(run(placed)).tolist()

    for loss in (CrossEntropy(), Hinge()):
        assert classes(loss, [2, 0]) == [2, 0]
    assert classes(CrossEntropy(), [[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]]) == [1, 0]
    assert classes(Hinge(), [[-1.0], [1.0]]) == [0, 1]
    assert classes(BinaryCrossEntropy(), [[0.4], [0.5], [0.6]]) == [0, 0, 1]
    assert classes(BinaryCrossEntropy(), [[0.4, 0.5], [0.6, 1.0]]) == [[0, 0], [1, 1]]


@pytest.mark.parametrize("loss", [MeanAbsoluteError(), Huber(), Quantile(0.3)], ids=lambda loss: type(loss).__name__)
def test_slopes_at_a_corner_are_0(loss, backend):
    zeros = [backend.asarray(np.zeros((2, 3))) for _ in range(2)]
    slopes = backend.compile(lambda z, t: loss(z, t, backend.xp)[1])(*zeros)
    np.testing.assert_array_equal(backend.to_numpy(slopes), 0.0)


def test_cross_entropy_takes_two_classes():
    CrossEntropy().check((2,))


@pytest.mark.parametrize(
    ("case", "reduction"),
    [("soft", "mean"), ("soft", "sum"), ("bits", "sum"), ("mse", "mean"), ("huber", "sum"), ("hinge labels", "mean")],
)
def test_weights_and_reduction(case, reduction, backend):
    """A weight of 2 is the example given twice, 0 is the example left out."""
    loss, y, x = CASES[case]
    loss = replace(loss, reduction=reduction)

    def measured(x, y, **weights):
        net = xpnet.Network([xpnet.Dense(3)], loss=loss, backend=backend, inputs=3, seed=1)
        gradients = net.gradients(x, y, **weights)
        return (
            gradients,
            net.evaluate(x, y, **weights)["loss"],
            float(backend.to_numpy(net.train_step(x, y, **weights))),
        )

    weighted = measured(x, y, sample_weight=[2, 1, 0, 1])
    repeated = measured(x[[0, 0, 1, 3]], y[[0, 0, 1, 3]])
    for name in repeated[0]:
        np.testing.assert_allclose(weighted[0][name], repeated[0][name], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(weighted[1:], repeated[1:], rtol=1e-13)
    np.testing.assert_allclose(weighted[1], weighted[2], rtol=1e-13)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossEntropy(label_smoothing=1.0), "label_smoothing"),
        (lambda: CrossEntropy(reduction="avg"), "unknown reduction 'avg'"),
        (lambda: Huber(delta=0.0), "delta"),
        (lambda: Huber(delta=float("inf")), "delta"),
        (lambda: Hinge(reduction="none"), "reduction"),
        (lambda: CrossEntropy().check((1,)), "binary_cross_entropy"),
        (lambda: CrossEntropy().check((2, 2)), "Flatten"),
        (lambda: BinaryCrossEntropy().check((2, 2)), "Flatten"),
        (lambda: Hinge().check(()), "Flatten"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(xpnet.ConfigurationError, match=message):
        make()


@pytest.mark.parametrize("count", [2.0, 1e3, 1e5, 1e8])
def test_the_poisson_loss_of_large_counts_is_near_0_where_the_mean_is_near(count, backend32):
    """In float32 e^z, t z and t log t of 1e8 are known to a few units each, and the loss is about a half."""
    counts = np.random.default_rng(0).poisson(count, 200).astype("float32")[:, None]
    scores = np.full_like(counts, np.log(count))
    exact = np.exp(np.float64(scores)) - counts * np.float64(scores)
    exact += np.where(counts > 0, counts * (np.log(np.maximum(counts, 1), dtype="float64") - 1), 0)
    found, _ = xpnet.Poisson()(backend32.asarray(scores), backend32.asarray(counts), backend32.xp)
    found = np.float64(backend32.to_numpy(found))
    assert found.min() >= 0.0
    # A score of 18 is itself rounded to 1e-6, which e^z makes 1e-6 of a count.
    np.testing.assert_allclose(found, exact[:, 0], atol=1e-3 + 2e-6 * np.sqrt(count), rtol=1e-2)
