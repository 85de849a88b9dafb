"""The step, the loss's reduction, whole networks' gradients; and the same trajectory on every backend."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

import xpnet
from xpnet import Adam, BatchNorm, Dense, Dropout, GlorotUniform, Param, ReLU, Residual, ShapeError, Tanh, Zeros
from xpnet.layers.base import Built
from xpnet.targets import real_rows
from xpnet.testing import numeric_gradient
from xpnet.training import _add
from xpnet.weights import read_arrays

RNG = np.random.default_rng(11)
X = RNG.normal(size=(40, 4))
LABELS = np.argmax(X @ RNG.normal(size=(4, 3)), axis=1)


def network(backend, **options):
    """Return a network with something of everything in which two backends could differ.

    No bias before BatchNorm, which takes it off again: its gradient is 0 but for rounding, and Adam, which divides
    by the gradient's own size, would blow that up to a difference of its own.
    """
    layers = [
        Dense(8, bias=False),
        BatchNorm(),
        ReLU(),
        Dropout(0.3),
        Residual([Dense(8), Tanh(), Dropout(0.2)]),
        Dense(3),
    ]
    settings = {"optimizer": Adam(0.01), "seed": 9, "inputs": 4} | options
    return xpnet.Network(layers, backend=backend, **settings)


def small_network(backend):
    """Return a network that compiles fast, with masks and running statistics nonetheless."""
    layers = [BatchNorm(), Dropout(0.3), Dense(3)]
    return xpnet.Network(layers, backend=backend, optimizer=xpnet.SGD(0.5, momentum=0.9), seed=9, inputs=4)


def arrays(net):
    """Return everything that training changes, on the host."""
    return {**read_arrays(net), "step": np.array(net.steps)}


def by_steps(backend):
    """Train 100 steps by train_step; return losses and all arrays."""
    net = network(backend)
    losses = []
    for i in range(100):
        rows = (np.arange(8) + 5 * i) % 40
        losses.append(float(backend.to_numpy(net.train_step(X[rows], LABELS[rows]))))
    return np.array(losses), arrays(net)


def by_fit(backend):
    """Train 20 epochs of 5 steps by fit, shuffled; return losses and all arrays."""
    net = network(backend)
    history = net.fit(X, LABELS, epochs=20, batch_size=8, verbose=0)
    return np.array(history["loss"]), arrays(net)


@cache
def on_numpy(train):
    return train(xpnet.open_backend("numpy", dtype="float64"))


@pytest.mark.parametrize("train", [by_steps, by_fit])
def test_a_hundred_steps_agree_with_numpy_to_ten_digits(train, backend):
    """Any two backends then agree with each other as well."""
    losses, found = train(backend)
    wanted_losses, wanted = on_numpy(train)
    np.testing.assert_allclose(losses, wanted_losses, rtol=1e-10)
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        scale = np.max(np.abs(wanted[name]))
        np.testing.assert_allclose(value, wanted[name], rtol=0, atol=1e-10 * scale, err_msg=name)
    assert np.mean(losses[-5:]) < 0.8 * losses[0], "and it learned something"


def test_the_trajectory_depends_only_on_the_seed(open_backend):
    numpy = open_backend("numpy")
    first, again, other = (network(numpy, seed=seed) for seed in (9, 9, 10))
    for net in (first, again, other):
        net.fit(X, LABELS, epochs=2, batch_size=8, verbose=0)
    same, different = first.get_weights(), other.get_weights()
    for name, value in again.get_weights().items():
        assert np.array_equal(value, same[name])
    assert not np.array_equal(same["0.weight"], different["0.weight"])


def test_two_calls_of_fit_train_as_one_longer_call(backend):
    """Batches and masks depend on epoch and step, not on the call."""
    once, twice = small_network(backend), small_network(backend)
    once.fit(X, LABELS, epochs=3, batch_size=16, verbose=0)
    twice.fit(X, LABELS, epochs=1, batch_size=16, verbose=0)
    twice.fit(X, LABELS, epochs=2, batch_size=16, verbose=0)
    for name, value in arrays(once).items():
        assert np.array_equal(value, arrays(twice)[name]), name
    assert once.history == twice.history


def test_batches_are_the_same_on_every_backend(backend):
    """With w += 1 for the example in a batch of one, the path of w shows the order of the examples."""
    rows = 7
    order = []
    net = xpnet.Network(
        [Dense(1, bias=False, weight_initializer="zeros")],
        loss="mae",
        optimizer=xpnet.SGD(1.0),
        backend=backend,
        inputs=rows,
        seed=4,
    )
    before = np.zeros(rows)

    class Watch(xpnet.Callback):
        def on_train_batch_end(self, batch, logs=None):
            nonlocal before
            after = net.get_weights()["0.weight"][:, 0]
            order.append(int(np.argmax(np.abs(after - before))))
            before = after

    net.fit(np.eye(rows), np.full(rows, 100.0), epochs=2, batch_size=1, callbacks=[Watch()], verbose=0)
    assert sorted(order[:rows]) == sorted(order[rows:]) == list(range(rows))
    assert order == ORDER


ORDER = [int(i) for epoch in (0, 1) for i in xpnet.random.host_stream(4, "batches", epoch).permutation(7)]


def test_masks_are_the_same_on_every_backend_bit_for_bit(backend):
    options = {"loss": "mse", "inputs": 50, "seed": 12}
    layers = [Dropout(0.5), Residual([Dropout(0.25)], shortcut=Dropout(0.1)), Dense(1)]
    net = xpnet.Network(layers, backend=backend, **options)
    wanted = xpnet.Network(layers, backend="numpy", dtype="float64", **options)
    ones, y = np.ones((4, 50)), np.zeros(4)
    for _ in range(2):
        found, right = net.trace(ones, y), wanted.trace(ones, y)
        for name in ("0.output", "1.0.output"):
            assert np.array_equal(found[name], right[name])
        np.testing.assert_allclose(found["1.output"], right["1.output"], rtol=1e-15)
        net.train_step(ones, y)
        wanted.train_step(ones, y)


def test_masks_do_not_depend_on_the_dtype(backend, backend32):
    layers, options = [Dropout(0.5), Dense(1)], {"loss": "mse", "inputs": 50}
    ones, y = np.ones((4, 50)), np.zeros(4)
    wide, narrow = (xpnet.Network(layers, backend=one, **options).trace(ones, y) for one in (backend, backend32))
    assert np.array_equal(wide["0.output"] > 0, narrow["0.output"] > 0)


@pytest.mark.parametrize(
    ("reduction", "weights"),
    [("mean", None), ("mean", np.array([1.0, 0.0, 2.5, 0.5])), ("sum", np.array([1.0, 0.0, 2.5, 0.5]))],
    ids=["mean", "weighted mean", "weighted sum"],
)
def test_the_whole_networks_gradient_is_that_of_its_loss(reduction, weights, backend):
    """Through BatchNorm, Dropout with the mask of the step, Residual, cross-entropy, weights and reduction."""
    net = network(backend, loss=xpnet.CrossEntropy(label_smoothing=0.1, reduction=reduction))
    x, y = X[:4], LABELS[:4]
    found = net.trace(x, y, weights)
    start = net.get_weights()

    def loss_at(name):
        def loss(values):
            net.set_weights({**start, name: values})
            return np.array(net.trace(x, y, weights)["loss"])

        return loss

    largest = max(np.max(np.abs(found[f"{name}.gradient"])) for name in start if f"{name}.gradient" in found)
    for name in ("0.weight", "1.gamma", "4.0.bias"):
        numeric = numeric_gradient(loss_at(name), start[name], np.array(1.0))
        np.testing.assert_allclose(found[f"{name}.gradient"], numeric, rtol=0, atol=1e-7 * largest, err_msg=name)
    net.set_weights(start)
    numeric = numeric_gradient(lambda x: np.array(net.trace(x, y, weights)["loss"]), x, np.array(1.0))
    largest = np.max(np.abs(numeric))
    np.testing.assert_allclose(found["input.gradient"], numeric, rtol=0, atol=1e-7 * largest)


def test_trace_names_every_activation_and_gradient(backend):
    net = network(backend)
    found = net.trace(X[:5], LABELS[:5])
    layers = {"0", "1", "2", "3", "4.0", "4.1", "4.2", "4", "5"}
    outputs = {f"{name}.output" for name in layers}
    params = {f"{slot.name}.gradient" for slot in net.layout.slots}
    assert found.keys() == outputs | {f"{name}.gradient" for name in outputs} | params | {
        "input.gradient",
        "losses",
        "loss",
    }
    for name in outputs:
        assert found[name].shape == found[f"{name}.gradient"].shape
    np.testing.assert_allclose(found["loss"], found["losses"].mean(), rtol=1e-14)


def test_a_step_is_the_gradient_and_the_optimizer(backend):
    net = xpnet.Network([Dropout(0.5), Dense(3)], optimizer=xpnet.SGD(0.5), backend=backend, inputs=4)
    before, gradients = net.get_weights(), net.gradients(X, LABELS)
    loss = net.trace(X, LABELS)["loss"]
    reported = net.train_step(X, LABELS)
    assert reported.shape == ()
    np.testing.assert_allclose(backend.to_numpy(reported), loss, rtol=1e-13)
    after = net.get_weights()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(after[name], before[name] - 0.5 * gradient, rtol=1e-12, atol=1e-15)


def test_an_epochs_loss_is_the_mean_over_examples_whatever_the_batches(backend):
    """Batches of 16, 16 and 8 count by their examples."""
    plain = xpnet.Network([Dense(3)], optimizer=xpnet.SGD(1e-300), backend=backend, inputs=4)
    wanted = plain.evaluate(X, LABELS)
    history = plain.fit(X, LABELS, batch_size=16, verbose=0)
    np.testing.assert_allclose(history["loss"], [wanted["loss"]], rtol=1e-13)
    np.testing.assert_allclose(history["accuracy"], [wanted["accuracy"]], rtol=1e-13)
    assert plain.evaluate(X, LABELS, batch_size=7) == pytest.approx(wanted, rel=1e-13)


def test_the_sums_of_many_batches_do_not_drift_in_float32(backend32):
    """Each loss is 0.1; added up as they are, 30,000 of them are off by 1e-5 of their sum and more."""
    rows, xp = 30_000, backend32.xp
    net = xpnet.Network([Dense(1)], loss="mse", metrics=[], backend=backend32, inputs=1)
    batch = {"loss": xp.asarray([0.1, 1.0], dtype=backend32.float)}
    run = backend32.loop(lambda sums, data, order: _add(sums, data, xp))
    found = run(net.compiled.zero_sums(), batch, np.zeros((rows, 1), dtype="int64"))
    loss, weight = backend32.to_numpy(found.total)
    assert weight == rows
    assert loss == pytest.approx(np.float32(0.1) * np.float64(rows), rel=2e-7)
    drifted = np.add.accumulate(np.full(rows, 0.1, dtype="float32"))[-1]
    assert abs(drifted / (0.1 * rows) - 1.0) > 1e-5


def test_weights_of_zero_train_nothing_and_do_not_divide_by_zero(backend):
    """A batch may have no weight at all where the data as a whole has."""
    net = small_network(backend)
    weights = np.zeros(40)
    weights[0] = 1.0
    history = net.fit(X, LABELS, batch_size=1, shuffle=False, sample_weight=weights, verbose=0)
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(value).all() for value in net.get_weights().values())
    np.testing.assert_array_equal(net.get_weights()["2.bias"] != 0, True)


def test_validation_rows_are_drawn_by_the_seed(backend):
    """Keras would hold out the last rows."""
    held = {}
    for seed in (0, 1):
        net = xpnet.Network([Dense(1)], loss="mse", backend=backend, seed=seed, optimizer=xpnet.SGD(1e-300))
        y = np.zeros(40)
        y[-4:] = 1e3
        held[seed] = net.fit(X, y, validation_split=0.1, verbose=0)["val_loss"][0]
    assert held[0] != held[1]
    assert max(held.values()) < 9e5


class Slip:
    """A dense layer, as a user may write it, with gradients that the test decides."""

    def __init__(self, gradients, units=3):
        self.gradients, self.units = gradients, units

    def build(self, in_shape):
        weight = Param((in_shape[0], 3), GlorotUniform())
        return Built((3,), {"w": weight, "b": Param((3,), Zeros())})

    def forward(self, params, x, context):
        return (x @ params["w"] + params["b"])[:, : self.units], x

    def backward(self, params, x, dy, context):
        dx = dy @ context.xp.matrix_transpose(params["w"])
        return dx, self.gradients(context.xp.matrix_transpose(x) @ dy, context.xp.sum(dy, axis=0))


@pytest.mark.filterwarnings("ignore:the network can be trained but not saved")
@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        (
            lambda w, b: {"w": w.T, "b": b},
            r"the gradient of 0\.w must have its parameter's shape \(4, 3\); got \(3, 4\)",
        ),
        (lambda w, b: {"w": w}, r"the gradient of 0\.b must have its parameter's shape \(3,\); got none"),
        (lambda w, b: {"w": w, "b": b, "c": b}, r"there is a gradient of 0\.c, which is no parameter"),
        (lambda w, b: {"w": w, "b": 1.0}, r"the gradient of 0\.b must have .* got \('\?',\)"),
    ],
)
def test_gradients_that_do_not_fit_their_parameters_are_refused(gradients, message, backend):
    net = xpnet.Network([Slip(gradients)], backend=backend, inputs=4)
    before = net.get_weights()
    for train in (net.train_step, net.gradients, lambda x, y: net.fit(x, y, verbose=0)):
        for _ in range(3):  # run, recorded, replayed
            with pytest.raises(ShapeError, match=message):
                train(X, LABELS)
    assert all((value == before[name]).all() for name, value in net.get_weights().items())


@pytest.mark.filterwarnings("ignore:the network can be trained but not saved")
def test_scores_of_another_shape_than_was_built_are_refused(backend):
    net = xpnet.Network([Slip(lambda w, b: {"w": w, "b": b}, units=2)], backend=backend, inputs=4)
    for act in (net.predict, lambda x: net.fit(x, LABELS, verbose=0)):
        with pytest.raises(ShapeError, match=r"layer 0: Slip\.forward must give \(N, 3\), .*; got \(\d+, 2\)"):
            act(X)


@dataclass(frozen=True)
class FirstColumn(xpnet.layers.base.Elementwise):
    """Declares its input's shape and gives one column, which a layer behind it may broadcast."""

    def forward(self, params, x, context):
        return x[:, :1], x

    def backward(self, params, x, dy, context):
        return dy + 0.0 * x, {}


@pytest.mark.parametrize(
    ("layers", "place"),
    [
        ([xpnet.Dense(4), FirstColumn(), "layer_norm", xpnet.Dense(3)], "layer 1: FirstColumn"),
        ([xpnet.Dense(4), FirstColumn(), xpnet.Dense(3)], "layer 1: FirstColumn"),
        ([xpnet.Residual([xpnet.Dense(4)], FirstColumn()), xpnet.Dense(3)], "layer shortcut: FirstColumn"),
        ([xpnet.Residual([FirstColumn()]), xpnet.Dense(3)], "layer 0: FirstColumn"),
    ],
)
def test_a_layer_whose_shape_is_not_as_declared_is_named_before_another_broadcasts_it(layers, place, backend):
    net = xpnet.Network(layers, backend=backend, inputs=4)
    for act in (net.predict, lambda x: net.fit(x, LABELS, verbose=0), lambda x: net.trace(x, LABELS)):
        for _ in range(3):  # run, recorded, replayed
            with pytest.raises(ShapeError, match=rf"{place}\.forward must give \(N, 4\), .*; got \(\d+, 1\)"):
                act(X)
    assert net.steps == 0


def test_shapes_of_layers_are_looked_at_once_for_each_shape_of_x():
    looked = []

    @dataclass(frozen=True)
    class Watched(xpnet.Tanh):
        def forward(self, params, x, context):
            looked.append((tuple(x.shape), context.training, context.verify))
            return super().forward(params, x, context)

    eager = replace(xpnet.open_backend("numpy"), compile=lambda function, donated=False: function)
    net = xpnet.Network([Watched(), xpnet.Dense(3)], backend=eager, inputs=4)
    for x in (X[:4], X[:4], X[:6], X[:4]):
        net.predict(x)
        net.train_step(x, LABELS[: len(x)])
    assert [(shape[0], training) for shape, training, verify in looked if verify] == [
        (4, False),
        (4, True),
        (6, False),
        (6, True),
    ]


@pytest.mark.filterwarnings("ignore:the network can be trained but not saved")
def test_an_error_of_ones_own_layer_names_the_layer(backend):
    class Mistyped(Slip):
        def forward(self, params, x, context):
            return x @ params["weight"], x

    net = xpnet.Network([Mistyped(lambda w, b: {})], backend=backend, inputs=4)
    for act in (net.predict, lambda x: net.fit(x, LABELS, verbose=0)):
        with pytest.raises(KeyError) as caught:
            act(X)
        assert "It is in forward of layer 0, Mistyped." in caught.value.__notes__


@pytest.mark.filterwarnings("ignore:the network can be trained but not saved")
@pytest.mark.parametrize(
    ("returns", "message"),
    [
        (lambda e, xp: (e * e, e), r"losses of shape \(40,\), for 40 examples; got \(40, 1\)"),
        (lambda e, xp: (xp.sum(e * e), e), r"losses of shape \(40,\), for 40 examples; got \(\)"),
        (lambda e, xp: ((e * e)[:, 0], e[:, 0]), r"slopes of shape \(40, 1\), for 40 examples; got \(40,\)"),
    ],
)
def test_a_loss_of_other_shapes_is_refused(returns, message, backend):
    class Mine:
        reduction, metrics = "mean", ()

        def __call__(self, scores, targets, xp):
            return returns(scores - targets, xp)

        def check(self, out_shape):
            pass

        def targets(self, y, out_shape):
            return real_rows(y, out_shape)

        def link(self, scores, xp):
            return scores

    net = xpnet.Network([Dense(1)], loss=Mine(), backend=backend, inputs=4)
    for act in (net.train_step, net.evaluate, lambda x, y: net.fit(x, y, batch_size=40, verbose=0)):
        with pytest.raises(ShapeError, match=f"the loss Mine must return {message}"):
            act(X, X[:, :1])
