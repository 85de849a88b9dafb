"""The numbers that the five source systems published, pinned on every backend.

Where a source clips a probability before its logarithm, the test clips as the source does, and holds our loss, which
needs no clipping, to the same number wherever nothing was clipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import xpnet
from xpnet.layers.base import Context
from xpnet.optimizers import Now
from xpnet.parameters import Layout, Param

Table = Sequence[Sequence[float]]


def on_device(backend: xpnet.Backend, values: object) -> object:
    return backend.asarray(np.asarray(values, dtype=np.float64), dtype=backend.float)


def probabilities(backend: xpnet.Backend, scores: Table) -> np.ndarray:
    softmax = backend.compile(backend.xp.nn.softmax)
    return backend.to_numpy(softmax(on_device(backend, scores)))


def losses(backend: xpnet.Backend, scores: Table, labels: Sequence[int]) -> np.ndarray:
    """Return what CrossEntropy gives for each row of scores."""
    targets = backend.asarray(np.asarray(labels, dtype=np.int32), dtype=backend.xp.int32)
    loss = xpnet.CrossEntropy()
    called = backend.compile(lambda z, t: loss(z, t, backend.xp)[0])
    return backend.to_numpy(called(on_device(backend, scores), targets))


def dense(backend: xpnet.Backend, weight: Table, bias: Sequence[float]) -> xpnet.Network:
    """Return one Dense layer with these weights, shaped (inputs, units)."""
    net = xpnet.Network([xpnet.Dense(len(bias))], loss="mse", backend=backend, inputs=len(weight))
    net.set_weights({"0.weight": weight, "0.bias": bias})
    return net


# --- softmax -----------------------------------------------------------------------------------------

SOFTMAX = [
    ([10.0, 10.0], [0.5, 0.5]),
    ([1.0, 4.0], [0.04742587, 0.95257413]),
    ([5.0, 1.0, 1.0], [0.96466316, 0.01766842, 0.01766842]),
    ([4.8, 1.21, 2.385], [0.89528266, 0.02470831, 0.08000903]),
]


@pytest.mark.parametrize(("scores", "expected"), SOFTMAX)
def test_softmax(backend: xpnet.Backend, scores: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(probabilities(backend, [scores])[0], expected, rtol=0, atol=5e-9)


def test_softmax_of_a_batch_takes_each_row_by_itself(backend: xpnet.Backend) -> None:
    found = probabilities(backend, [[10.0, 10.0], [1.0, 4.0]])
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.04742587, 0.95257413]], rtol=0, atol=5e-9)


def test_softmax_neither_overflows_nor_loses_a_row_to_a_larger_one(backend: xpnet.Backend) -> None:
    found = probabilities(backend, [[1e4, 1e4], [1.0, 4.0], [-1e4, -1e4 + 3.0]])
    expected = [[0.5, 0.5], [0.04742587, 0.95257413], [0.04742587, 0.95257413]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-9)


# --- from one neuron to a layer ----------------------------------------------------------------------


def test_a_neuron(backend: xpnet.Backend) -> None:
    neuron = dense(backend, [[0.2], [0.8], [-0.5]], [2.0])
    np.testing.assert_allclose(backend.to_numpy(neuron.forward([[1.0, 2.0, 3.0]])), [[2.3]], rtol=1e-15)


LAYER = np.array([[0.2, 0.8, -0.5, 1.0], [0.5, -0.91, 0.26, -0.5], [-0.26, -0.27, 0.17, 0.87]]).T


def test_a_layer(backend: xpnet.Backend) -> None:
    layer = dense(backend, LAYER, [2.0, 3.0, 0.5])
    found = backend.to_numpy(layer.forward([[1.0, 2.0, 3.0, 2.5]]))
    np.testing.assert_allclose(found, [[4.8, 1.21, 2.385]], rtol=1e-14)


def test_a_layer_that_classifies(backend: xpnet.Backend) -> None:
    net = xpnet.Network([xpnet.Dense(3)], backend=backend, inputs=4)
    net.set_weights({"0.weight": LAYER, "0.bias": [2.0, 3.0, 0.5]})
    found = backend.to_numpy(net.predict([[1.0, 2.0, 3.0, 2.5]]))
    np.testing.assert_allclose(found, [[0.89528266, 0.02470831, 0.08000903]], rtol=0, atol=5e-9)


# --- cross-entropy -----------------------------------------------------------------------------------

CONFIDENCES = np.array([[0.7, 0.1, 0.2], [0.1, 0.5, 0.4], [0.02, 0.9, 0.08]])
CLASSES = [0, 1, 1]


def test_cross_entropy_by_class_index(backend: xpnet.Backend) -> None:
    found = losses(backend, np.log(CONFIDENCES), CLASSES)
    np.testing.assert_allclose(found, [0.35667494, 0.69314718, 0.10536052], rtol=0, atol=5e-9)
    assert found.mean() == pytest.approx(0.38506088, abs=5e-9)


@pytest.mark.parametrize("one_hot", [False, True])
def test_mean_cross_entropy_of_a_network(backend: xpnet.Backend, one_hot: bool) -> None:
    net = xpnet.Network([xpnet.Dense(3)], backend=backend, inputs=3)
    net.set_weights({"0.weight": np.eye(3), "0.bias": np.zeros(3)})
    targets = xpnet.one_hot(CLASSES, 3) if one_hot else CLASSES
    result = net.evaluate(np.log(CONFIDENCES), targets)
    assert result["loss"] == pytest.approx(0.38506088, abs=5e-9)
    assert result["accuracy"] == 1.0


def test_the_loss_at_the_clipping_point(backend: xpnet.Backend) -> None:
    """A probability of 1e-7, where the source clips, costs the 16.118 that the source gives for 0."""
    smallest = 1e-7
    assert -np.log(np.clip(0.0, smallest, 1 - smallest)) == pytest.approx(16.11809565, abs=5e-9)
    found = losses(backend, np.log([[smallest, 1 - smallest]]), [0])
    assert found[0] == pytest.approx(16.11809565, abs=5e-9)


def test_beyond_the_clipping_point_the_loss_goes_on(backend: xpnet.Backend) -> None:
    """Where a clipped loss is flat and teaches nothing, ours still grows with the distance of the scores."""
    assert losses(backend, [[-1000.0, 0.0]], [0])[0] == pytest.approx(1000.0)


CLIPPED = [
    ([[0.0, 0.1, 0.0], [0.5, 0.2, 0.3]], 11.8594990552502),
    ([[0.9, 0.1, 0.0], [0.7, 0.2, 0.3]], 0.23101772979827936),
]


@pytest.mark.parametrize(("rows", "cost"), CLIPPED)
def test_mean_cost_with_clipping(backend: xpnet.Backend, rows: Table, cost: float) -> None:
    """The mean of -log(p) of class 0, p clipped at 1e-10; the rows need not sum to 1, so p is stated as a pair."""
    clipped = np.clip([row[0] for row in rows], 1e-10, 1.0)
    assert -np.log(clipped).mean() == pytest.approx(cost, rel=1e-14)
    pairs = np.stack([np.log(clipped), np.log1p(-clipped)], axis=1)
    assert losses(backend, pairs, [0, 0]).mean() == pytest.approx(cost, rel=1e-14)


# --- backward ----------------------------------------------------------------------------------------


def test_the_chain_rule_through_a_relu_neuron(backend: xpnet.Backend) -> None:
    """x = [1, -2, 3], w = [-3, -1, 2], b = 1: the output is 6, and so are the slopes of it."""
    xp = backend.xp
    layer, relu = xpnet.Dense(1), xpnet.ReLU()
    params = {"weight": on_device(backend, [[-3.0], [-1.0], [2.0]]), "bias": on_device(backend, [1.0])}
    context = Context(xp)

    def pass_through(x: object, dy: object) -> tuple[object, ...]:
        sum_, kept = layer.forward(params, x, context)
        y, kept_by_relu = relu.forward({}, sum_, context)
        dsum, _ = relu.backward({}, kept_by_relu, dy, context)
        dx, gradients = layer.backward(params, kept, dsum, context)
        return y, dx, gradients["weight"], gradients["bias"]

    found = backend.compile(pass_through)(on_device(backend, [[1.0, -2.0, 3.0]]), on_device(backend, [[1.0]]))
    y, dx, dweight, dbias = (backend.to_numpy(array) for array in found)
    np.testing.assert_array_equal(y, [[6.0]])
    np.testing.assert_array_equal(dx, [[-3.0, -1.0, 2.0]])
    np.testing.assert_array_equal(dweight[:, 0], [1.0, -2.0, 3.0])
    np.testing.assert_array_equal(dbias, [1.0])


def test_gradient_descent_on_a_parabola(backend: xpnet.Backend) -> None:
    """1,000 steps of rate 0.01 down x² + y², whose gradient is (2x, 2y), end at 2.3e-18."""
    xp, rule = backend.xp, xpnet.SGD(0.01)
    layout = Layout({"point": Param((2,), xpnet.Zeros())})

    def step(point: object, now: Now) -> object:
        return rule.update(2.0 * point, point, {}, now)[1]

    compiled = backend.compile(lambda point, rate, count: step(point, Now(rate, count, layout, xp)))
    point = on_device(backend, [0.5488135, 0.71518937])
    for count in range(1, 1001):
        point = compiled(point, on_device(backend, 0.01), on_device(backend, float(count)))
    host = backend.to_numpy(point)
    assert float(host @ host) == pytest.approx(0.98**2000 * (0.5488135**2 + 0.71518937**2), rel=1e-10)
    assert f"{float(host @ host):.1e}" == "2.3e-18"


# --- start -------------------------------------------------------------------------------------------


def test_an_untrained_network_guesses(backend: xpnet.Backend) -> None:
    """Ten classes, standard-normal weights, raw pixels: over many starts one prediction in ten is right."""
    x = np.random.default_rng(0).integers(0, 256, (500, 121))
    y = np.arange(500) % 10
    start = {"weight_initializer": xpnet.Normal(1.0), "bias_initializer": xpnet.Normal(1.0)}
    layers = [xpnet.Dense(20, **start), xpnet.Sigmoid(), xpnet.Dense(10, **start)]
    found = [xpnet.Network(layers, backend=backend, seed=seed, inputs=121).evaluate(x, y) for seed in range(5)]
    assert np.mean([result["accuracy"] for result in found]) == pytest.approx(0.1, abs=0.02)
