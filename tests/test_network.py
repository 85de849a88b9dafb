"""The network as users hold it: building, predicting, weights, steps by hand, traces, copies and moves."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pytest

import xpnet
from tests.pressing import press
from xpnet import BatchNorm, Dense, Dropout, Network, Residual
from xpnet.layers.base import Built
from xpnet.parameters import Param
from xpnet.weights import read_arrays

RNG = np.random.default_rng(2)
X = RNG.normal(size=(10, 4))
Y = np.arange(10) % 3


def make(backend: xpnet.Backend, **arguments: Any) -> Network:
    return Network([Dense(6), "relu", Dense(3)], backend=backend, **{"seed": 4, "inputs": 4, **arguments})


def host(net: Network, array: Any) -> Any:
    return net.backend.to_numpy(array)


# Building


def test_the_input_shape_comes_with_the_first_data_or_is_given(backend: xpnet.Backend) -> None:
    given, learned = make(backend), make(backend, inputs=None)
    assert (given.built, learned.built) == (True, False)
    learned.train_step(X, Y)
    given.train_step(X, Y)
    assert learned.in_shape == given.in_shape == (4,)
    assert learned.out_shape == (3,)
    for name, array in given.get_weights().items():
        np.testing.assert_array_equal(array, learned.get_weights()[name])


@pytest.mark.parametrize("inputs", [4, (4,), [4], np.int64(4)])
def test_build_takes_an_integer_or_a_shape_and_may_be_repeated(inputs: Any, backend: xpnet.Backend) -> None:
    net = make(backend, inputs=None)
    assert net.build(inputs) is net
    before = net.get_weights()
    net.build(4)
    assert all((before[name] == array).all() for name, array in net.get_weights().items())


def test_inputs_of_any_rank(backend: xpnet.Backend) -> None:
    net = Network(["flatten", Dense(3)], backend=backend, inputs=(2, 2), seed=0)
    flat = Network([Dense(3)], backend=backend, inputs=4, seed=0)
    flat.set_weights({"0.weight": net.get_weights()["1.weight"]})
    np.testing.assert_array_equal(host(net, net.predict(X.reshape(10, 2, 2))), host(flat, flat.predict(X)))


def test_the_seed_decides_the_first_weights(backend: xpnet.Backend) -> None:
    one, same, other = make(backend), make(backend), make(backend, seed=5)
    np.testing.assert_array_equal(one.get_weights()["0.weight"], same.get_weights()["0.weight"])
    assert not np.array_equal(one.get_weights()["0.weight"], other.get_weights()["0.weight"])


def test_every_backend_starts_and_predicts_alike(all_backends: dict[str, xpnet.Backend]) -> None:
    nets = {name: make(backend) for name, backend in all_backends.items()}
    reference = nets.pop("numpy", None) or next(iter(nets.values()))
    for net in nets.values():
        for name, array in reference.get_weights().items():
            np.testing.assert_array_equal(array, net.get_weights()[name])
        np.testing.assert_allclose(host(reference, reference.predict(X)), host(net, net.predict(X)), rtol=1e-12)


def test_two_networks_of_two_dtypes_side_by_side(backend: xpnet.Backend, backend32: xpnet.Backend) -> None:
    wide, narrow = make(backend), make(backend32)
    for _ in range(3):
        wide.train_step(X, Y)
        narrow.train_step(X, Y)
    assert wide.get_weights()["0.weight"].dtype == np.float64
    assert narrow.get_weights()["0.weight"].dtype == np.float32
    np.testing.assert_allclose(wide.get_weights()["0.weight"], narrow.get_weights()["0.weight"], rtol=1e-4, atol=1e-5)


def test_networks_of_all_backends_train_in_turns(all_backends: dict[str, xpnet.Backend]) -> None:
    together = {name: make(backend) for name, backend in all_backends.items()}
    for _ in range(3):
        for net in together.values():
            net.train_step(X, Y)
    for name, backend in all_backends.items():
        alone = make(backend)
        for _ in range(3):
            alone.train_step(X, Y)
        np.testing.assert_array_equal(alone.get_weights()["0.weight"], together[name].get_weights()["0.weight"])


# Using


@pytest.mark.parametrize("size", [1, 3, 10, 4096])
def test_predictions_do_not_depend_on_the_batch_size(size: int, backend: xpnet.Backend) -> None:
    net = make(backend)
    np.testing.assert_allclose(
        host(net, net.predict(X, batch_size=size)), host(net, net.predict(X)), rtol=1e-12, atol=1e-15
    )


def test_scores_probabilities_and_classes_belong_together(backend: xpnet.Backend) -> None:
    net = make(backend)
    scores, probabilities = host(net, net.forward(X)), host(net, net.predict(X))
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(probabilities, exponents / exponents.sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_array_equal(host(net, net.classify(X)), scores.argmax(axis=1))


def test_one_output_says_yes_above_one_half(backend: xpnet.Backend) -> None:
    net = Network([Dense(1)], loss="binary_cross_entropy", backend=backend, inputs=4)
    scores = host(net, net.forward(X))
    np.testing.assert_allclose(host(net, net.predict(X)), 1 / (1 + np.exp(-scores)), rtol=1e-12)
    np.testing.assert_array_equal(host(net, net.classify(X)), scores[:, 0] > 0)


def test_predictions_are_the_backends_arrays(backend: xpnet.Backend) -> None:
    net = make(backend)
    assert type(net.predict(X)) is type(backend.asarray(X))
    assert net.predict(X).dtype == backend.float
    assert tuple(net.forward(X[:1]).shape) == (1, 3)


def test_predictions_of_many_rows_are_those_of_few(backend: xpnet.Backend) -> None:
    """A last layer without a bias ends in a product, whose memory must not be used again for the next rows."""
    net = Network(["tanh", Dense(16, bias=False)], loss="mse", backend=backend, inputs=4, seed=0)
    x = np.random.default_rng(0).normal(size=(1200, 4))
    whole = host(net, net.predict(x, batch_size=300))
    for first in range(0, 1200, 300):
        part = host(net, net.predict(x[first : first + 300]))
        np.testing.assert_allclose(whole[first : first + 300], part, rtol=1e-12, atol=1e-14)


def test_predictions_are_not_the_networks_memory(backend: xpnet.Backend) -> None:
    net = Network([xpnet.Identity(), Dense(3)], backend=backend, inputs=4)
    x = backend.asarray(X, dtype=backend.float)
    first = host(net, net.predict(x)).copy()
    kept = net.predict(x)
    net.train_step(X, Y)
    np.testing.assert_array_equal(host(net, kept), first)


def test_dropout_and_batch_statistics_rest_outside_training(backend: xpnet.Backend) -> None:
    net = Network([Dense(6), BatchNorm(), Dropout(0.5), Dense(3)], backend=backend, inputs=4, seed=0)
    net.fit(X, Y, epochs=2, verbose=0)
    before = read_arrays(net)
    first = host(net, net.predict(X))
    np.testing.assert_array_equal(first, host(net, net.predict(X)))
    np.testing.assert_allclose(first[:1], host(net, net.predict(X[:1])), rtol=1e-12)
    net.evaluate(X, Y)
    assert all((before[name] == array).all() for name, array in read_arrays(net).items())


# Steps by hand


def test_a_step_is_the_optimizers_on_the_gradient(backend: xpnet.Backend) -> None:
    net = make(backend, optimizer=xpnet.SGD(0.1))
    before, gradients = net.get_weights(), net.gradients(X, Y)
    expected = net.evaluate(X, Y)["loss"]
    loss = net.train_step(X, Y)
    assert float(host(net, loss)) == pytest.approx(expected, rel=1e-12)
    for name, array in net.get_weights().items():
        np.testing.assert_allclose(array, before[name] - 0.1 * gradients[name], rtol=1e-12, atol=1e-15)
    assert (net.steps, net.epochs, dict(net.history)) == (1, 0, {})


def test_gradients_are_the_losses_slopes(backend: xpnet.Backend) -> None:
    net = make(backend)
    weights = np.linspace(0.5, 2, 10)
    gradient = net.gradients(X, Y, weights)["0.weight"]
    original = net.get_weights()["0.weight"]
    for index in ((0, 0), (3, 5), (1, 2)):
        measured = []
        for sign in (1, -1):
            moved = original.copy()
            moved[index] += sign * 1e-6
            net.set_weights({"0.weight": moved})
            measured.append(net.evaluate(X, Y, sample_weight=weights)["loss"])
        assert gradient[index] == pytest.approx((measured[0] - measured[1]) / 2e-6, rel=1e-6, abs=1e-9)


def test_a_trace_names_every_array_and_changes_nothing(backend: xpnet.Backend) -> None:
    net = Network([Dense(4), "relu", Residual([Dense(4), "tanh"]), Dense(3)], backend=backend, inputs=4, seed=0)
    before = read_arrays(net)
    trace = net.trace(X, Y)
    layers = ["0", "1", "2.0", "2.1", "2", "3"]
    assert {name for name in trace if name.endswith("output")} == {f"{name}.output" for name in layers}
    assert {f"{name}.output.gradient" for name in layers} <= set(trace)
    assert {f"{name}.gradient" for name in net.get_weights()} <= set(trace)
    np.testing.assert_allclose(trace["0.output"], X @ before["weights.0.weight"] + before["weights.0.bias"], rtol=1e-12)
    np.testing.assert_allclose(trace["3.output"], host(net, net.forward(X)), rtol=1e-12)
    assert trace["input.gradient"].shape == X.shape
    assert trace["losses"].mean() == pytest.approx(float(trace["loss"]), rel=1e-12)
    for name, array in net.gradients(X, Y).items():
        np.testing.assert_array_equal(trace[f"{name}.gradient"], array)
    assert all((before[name] == array).all() for name, array in read_arrays(net).items())
    assert net.steps == 0


def test_a_trace_without_targets_has_the_same_activations(backend: xpnet.Backend) -> None:
    layers = [Dense(4), BatchNorm(), "relu", Dropout(0.3), Residual([Dense(4), "tanh"]), Dense(3)]
    net, unbuilt = (Network(layers, backend=backend, seed=0, **given) for given in ({"inputs": 4}, {}))
    whole, alone = net.trace(X, Y), net.trace(X)
    assert list(alone) == [name for name in whole if name.endswith(".output")]
    for name, array in alone.items():
        np.testing.assert_allclose(array, whole[name], rtol=1e-12, atol=1e-13)
    assert list(unbuilt.trace(X)) == list(alone)
    with pytest.raises(xpnet.ShapeError, match=r"x must have shape \(N, 4\)"):
        net.trace(X[:, :3])
    with pytest.raises(xpnet.ConfigurationError, match="sample_weight weighs losses, which need targets: give y"):
        net.trace(X, sample_weight=np.ones(len(X)))


def test_gradients_come_in_the_order_of_the_weights(backend: xpnet.Backend) -> None:
    layers = [Dense(4), BatchNorm(), "relu", Residual([Dense(4)], shortcut=Dense(4)), *["tanh"] * 7, BatchNorm()]
    net = Network([*layers, Dense(3)], backend=backend, inputs=4, seed=0)
    net.train_step(X, Y)
    names = list(net.gradients(X, Y))
    assert list(net.get_weights())[: len(names)] == names
    statistics = [f"{layer}.{kind}" for layer in ("1", "11") for kind in ("running_mean", "running_variance")]
    assert list(net.get_weights())[len(names) :] == statistics
    order = ["0", "1", "2", "3.0", "3.shortcut", "3", *map(str, range(4, 13))]
    outputs = [f"{layer}.output" for layer in order if layer != "3.shortcut"]
    back = [f"{name}.gradient" for name in reversed(outputs)]
    expected = [*outputs, *back, "input.gradient", "losses", "loss", *(f"{name}.gradient" for name in names)]
    assert list(net.trace(X, Y)) == expected


def test_two_backends_can_be_compared_array_by_array(all_backends: dict[str, xpnet.Backend]) -> None:
    layers = [Dense(6), BatchNorm(), "gelu", Dropout(0.4), Dense(3)]
    traces = [
        Network(layers, backend=backend, inputs=4, seed=0).trace(X, Y, np.linspace(1, 2, 10))
        for backend in all_backends.values()
    ]
    for trace in traces[1:]:
        assert set(trace) == set(traces[0])
        for name, array in trace.items():
            np.testing.assert_allclose(array, traces[0][name], rtol=1e-10, atol=1e-13, err_msg=name)


# Weights


def test_weights_go_out_and_in(backend: xpnet.Backend) -> None:
    net, other = make(backend), make(backend, seed=9)
    weights = net.get_weights()
    assert {name: array.shape for name, array in weights.items()} == {
        "0.weight": (4, 6),
        "0.bias": (6,),
        "2.weight": (6, 3),
        "2.bias": (3,),
    }
    other.set_weights(weights)
    np.testing.assert_array_equal(host(net, net.predict(X)), host(other, other.predict(X)))


def test_got_weights_are_copies(backend: xpnet.Backend) -> None:
    net = make(backend)
    weights = net.get_weights()
    before = weights["0.weight"].copy()
    weights["0.weight"][:] = 0
    np.testing.assert_array_equal(net.get_weights()["0.weight"], before)
    net.set_weights(weights)
    weights["0.weight"][:] = 1
    np.testing.assert_array_equal(net.get_weights()["0.weight"], 0 * before)


def test_some_weights_may_be_set_and_running_statistics_too(backend: xpnet.Backend) -> None:
    net = Network([BatchNorm(), Dense(3)], backend=backend, inputs=4)
    before = net.get_weights()
    net.set_weights({"0.running_mean": [1, 2, 3, 4], "1.bias": backend.asarray(np.ones(3))})
    after = net.get_weights()
    np.testing.assert_array_equal(after["0.running_mean"], [1, 2, 3, 4])
    np.testing.assert_array_equal(after["1.bias"], np.ones(3))
    np.testing.assert_array_equal(after["1.weight"], before["1.weight"])


# Copies and moves


def test_a_copy_is_independent_and_goes_on_alike(backend: xpnet.Backend) -> None:
    net = make(backend)
    net.fit(X, Y, epochs=2, batch_size=4, verbose=0)
    twin = net.copy()
    frozen = read_arrays(net)
    twin.fit(X, Y, batch_size=4, verbose=0)
    assert all((frozen[name] == array).all() for name, array in read_arrays(net).items())
    net.fit(X, Y, batch_size=4, verbose=0)
    assert dict(net.history) == dict(twin.history)
    assert all((read_arrays(twin)[name] == array).all() for name, array in read_arrays(net).items())


def test_an_unbuilt_network_can_be_copied(backend: xpnet.Backend) -> None:
    assert not make(backend, inputs=None).copy().built


def test_copies_are_pickled_with_the_device_that_the_user_named(backend: xpnet.Backend) -> None:
    name = backend.name
    device = {"jax": "cpu", "array-api-strict": "CPU_DEVICE", "cupy": 0}.get(name, str(backend.device))
    named = Network([Dense(3)], backend=name, device=device, inputs=4)
    moved = Network([Dense(3)], inputs=4).to(name, device=device)
    for net in (named, named.copy(), named.copy().copy(), named.with_optimizer("sgd"), moved):
        assert net.__reduce__()[1][3] == device
        assert str(pickle.loads(pickle.dumps(net)).backend.device) == str(net.backend.device)
    assert named.to("numpy").__reduce__()[1][3] is None


def test_a_diverged_network_can_be_copied(backend: xpnet.Backend) -> None:
    net = make(backend, check_finite=False)
    net.set_weights({"0.weight": np.full((4, 6), np.nan)})
    net.check_finite = True
    assert np.isnan(net.copy().get_weights()["0.weight"]).all()


def test_a_network_moves_to_any_backend_and_on(backend: xpnet.Backend, all_backends: dict[str, xpnet.Backend]) -> None:
    net = make(backend)
    net.fit(X, Y, epochs=2, verbose=0)
    for other in all_backends.values():
        moved = net.to(other)
        assert moved.backend is other
        assert (moved.epochs, moved.steps) == (net.epochs, net.steps)
        assert all((read_arrays(net)[name] == array).all() for name, array in read_arrays(moved).items())
        twin = net.copy()
        moved.fit(X, Y, epochs=2, batch_size=4, verbose=0)
        twin.fit(X, Y, epochs=2, batch_size=4, verbose=0)
        np.testing.assert_allclose(moved.get_weights()["0.weight"], twin.get_weights()["0.weight"], rtol=1e-9)


def test_a_move_may_change_the_dtype(backend: xpnet.Backend) -> None:
    net = make(backend)
    narrow = net.to(backend.name, dtype="float32")
    assert narrow.backend.dtype == "float32"
    np.testing.assert_array_equal(narrow.get_weights()["0.weight"], net.get_weights()["0.weight"].astype(np.float32))
    assert net.to(backend.name).backend.dtype == "float64"


def test_another_optimizer_goes_on_where_the_first_has_ended(backend: xpnet.Backend) -> None:
    net = make(backend, optimizer=xpnet.Adam(0.05))
    net.fit(X, Y, epochs=2, verbose=0)
    net.learning_rate = 0.01
    tuned = net.with_optimizer(xpnet.SGD(0.3, momentum=0.9))
    assert (tuned.steps, tuned.epochs, tuned.learning_rate, tuned.history["loss"]) == (0, 2, 0.3, net.history["loss"])
    before, gradients = tuned.get_weights(), tuned.gradients(X, Y)
    for name, array in net.get_weights().items():
        np.testing.assert_array_equal(before[name], array)
    tuned.train_step(X, Y)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(tuned.get_weights()[name], before[name] - 0.3 * gradient, rtol=1e-5, atol=1e-7)
    anew = net.with_optimizer(xpnet.chain(xpnet.Adam(1e-3), xpnet.ExponentialMovingAverage()))
    before = anew.get_weights()
    for name, average in anew.averaged().get_weights().items():
        np.testing.assert_array_equal(average, before[name], err_msg="it starts from these weights")
    gradients = anew.gradients(X, Y)
    anew.train_step(X, Y)
    for name, gradient in gradients.items():
        moved = np.abs(anew.get_weights()[name] - before[name])[np.abs(gradient) > 1e-4]
        np.testing.assert_allclose(moved, 1e-3, rtol=1e-2, err_msg="Adam's first step is the rate")
    with pytest.raises(xpnet.NotBuiltError, match="with_optimizer needs a built network"):
        make(backend, inputs=None).with_optimizer("sgd")


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("optimizer", xpnet.SGD(0.5, momentum=0.9), "net.with_optimizer"),
        ("model", xpnet.Sequential([Dense(3)]), "make a new Network"),
        ("loss", xpnet.Hinge(), "make a new Network"),
        ("metrics", (), r"Network\(\.\.\., metrics="),
        ("seed", 5, r"Network\(\.\.\., seed="),
        ("backend", "numpy", "net.to"),
    ],
)
def test_what_a_network_is_made_of_is_not_set_afterwards(name: str, value: Any, instead: str) -> None:
    """It would train on with what it was made of, report the other, and be saved as what no file can be read as."""
    net = Network([Dense(3)], inputs=4)
    held = getattr(net, name)
    with pytest.raises(AttributeError, match=f"Network.{name} cannot be set: .*{instead}"):
        setattr(net, name, value)
    assert getattr(net, name) is held


def test_the_scale_of_the_learning_rate_acts_when_it_is_set(backend: xpnet.Backend) -> None:
    net = make(backend, optimizer=xpnet.SGD(0.5))
    before = net.get_weights()
    net.scale = 0.0
    assert net.learning_rate == 0.0
    net.train_step(X, Y)
    for name, array in net.get_weights().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(xpnet.ConfigurationError, match="scale must be a finite number"):
        net.scale = -1.0
    fading = make(backend, optimizer=xpnet.SGD(xpnet.ExponentialDecay(0.1, 3)))
    fading.steps = 3000  # as after so many steps; 1000 times a tenth is no float at all
    with pytest.raises(xpnet.ConfigurationError, match="cannot be reached"):
        fading.learning_rate = 0.1
    fading.steps = 130
    if backend.dtype == "float32":
        with pytest.raises(xpnet.ConfigurationError, match="beyond float32: the schedule has all but vanished"):
            fading.learning_rate = 0.1


def test_the_average_follows_the_weights(backend: xpnet.Backend) -> None:
    net = make(backend, optimizer=xpnet.chain(xpnet.SGD(0.1), xpnet.ExponentialMovingAverage(0.5)))
    expected = net.get_weights()["0.weight"]
    for _ in range(3):
        net.train_step(X, Y)
        expected = 0.5 * expected + 0.5 * net.get_weights()["0.weight"]
    np.testing.assert_allclose(net.averaged().get_weights()["0.weight"], expected, rtol=1e-12)


def test_a_network_learns(backend: xpnet.Backend) -> None:
    x, y = xpnet.clouds(points=60, seed=0)
    net = Network([Dense(16), "relu", Dense(3)], backend=backend, seed=0, optimizer=xpnet.Adam(0.01))
    net.fit(x, y, epochs=15, batch_size=16, verbose=0)
    assert net.evaluate(x, y)["accuracy"] > 0.93
    assert net.history["loss"][-1] < 0.5 * net.history["loss"][0]


def test_the_text_of_a_network_names_its_parts(backend: xpnet.Backend) -> None:
    said = f"loss=CrossEntropy(), optimizer=Adam(), backend={backend.name!r}"
    said += ", dtype='float64'" if backend.dtype == "float64" else ""
    assert repr(make(backend)) == f"Network([Dense(6), ReLU(), Dense(3)], {said})"


def test_the_text_of_a_network_says_another_type_and_precision() -> None:
    made = Network([Dense(2)], dtype="float64")
    assert repr(made).endswith("backend='numpy', dtype='float64')")
    assert repr(made.to("numpy", dtype="float32", precision="bfloat16")).endswith("'numpy', precision='bfloat16')")


def test_numpys_numbers_are_a_seed_and_a_learning_rate():
    net = Network([Dense(2)], seed=np.int64(3), inputs=2)
    net.learning_rate = np.float32(0.25)
    assert type(net.seed) is int
    assert (net.seed, net.learning_rate, type(net.scale)) == (3, 0.25, float)


@dataclass(frozen=True)
class Doubled:
    """A layer whose parameter and running statistic have one name."""

    def build(self, shape: Any) -> Built:
        return Built(shape, {"scale": Param(shape, xpnet.Ones())}, {"scale": Param(shape, xpnet.Zeros())})

    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return x * params["scale"], x

    def backward(self, params: Any, residuals: Any, dy: Any, context: Any) -> Any:
        return dy * params["scale"], {"scale": context.xp.sum(dy * residuals, axis=0)}


@pytest.mark.parametrize("layers", [[Dense(3), Doubled()], [Dense(3), xpnet.Residual([Doubled()])]])
def test_a_parameter_and_a_statistic_have_names_of_their_own(layers: list[Any]) -> None:
    net = Network(layers)
    with pytest.raises(xpnet.ConfigurationError, match=r"both a parameter and a running statistic .*scale"):
        net.build(4)
    assert not net.built


def test_ctrl_c_at_any_line_of_a_step_leaves_its_count() -> None:
    for line in count(1):
        net = make("numpy")
        for _ in range(3):
            net.train_step(X, Y)
        with np.errstate():  # a line of a trace may come between a block and its end
            lines = press(lambda net=net: net.train_step(X, Y), line, lambda code: "xpnet" in code.co_filename)
        assert net.steps == int(net.state.step)
        if lines < line:
            break
    assert net.steps == 4
