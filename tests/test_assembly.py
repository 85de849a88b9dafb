"""Copies and pickles: the same network, independent of the first, on another backend or where one is missing."""

import copy
import functools
import pickle
import threading
from dataclasses import dataclass

import numpy as np
import pytest

import xpnet
import xpnet.backend
from xpnet import BatchNorm, Dense, Dropout, Network
from xpnet.weights import read_arrays

X = np.random.default_rng(0).normal(size=(30, 4))
Y = np.arange(30) % 3


def trained(backend):
    optimizer = xpnet.chain(xpnet.Adam(xpnet.CosineDecay(0.01, 50)), xpnet.ExponentialMovingAverage(0.9))
    network = Network([Dense(5), BatchNorm(), "relu", Dropout(0.2), Dense(3)], backend=backend, optimizer=optimizer)
    network.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    return network


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), Network.copy])
def test_a_twin_goes_on_as_the_first_would_and_apart_from_it(backend, twin_of):
    network = trained(backend)
    twin, before = twin_of(network), read_arrays(network)
    assert twin.history == network.history
    twin.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    for name, array in read_arrays(network).items():
        np.testing.assert_array_equal(array, before[name])
    network.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    for name, array in read_arrays(network).items():
        np.testing.assert_allclose(array, read_arrays(twin)[name], rtol=1e-12, atol=1e-12)


def test_a_pickle_opens_on_its_own_backend_and_dtype():
    pytest.importorskip("array_api_strict")
    network = Network([Dense(3)], backend="array-api-strict", device="device2", dtype="float64", inputs=2)
    twin = pickle.loads(pickle.dumps(network))
    assert (twin.backend.name, str(twin.backend.device), twin.backend.dtype) == (
        "array-api-strict",
        str(network.backend.device),
        "float64",
    )


class Thresholded(Network):
    """A network with an argument of its own, and something that refers to it."""

    def __init__(self, threshold, **options):
        super().__init__([Dense(5), "tanh", Dense(1)], loss="binary_cross_entropy", **options)
        self.threshold = [threshold]
        self.answers = self.above

    def above(self, x):
        return self.backend.to_numpy(self.predict(x)) > self.threshold[0]


TWINS = {
    "copy": Network.copy,
    "to": lambda net: net.to("numpy"),
    "with_optimizer": lambda net: net.with_optimizer("sgd"),
    "averaged": lambda net: net.averaged(X),
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
}


@pytest.mark.parametrize("way", TWINS)
def test_a_twin_has_the_class_and_the_attributes(way):
    """Deep copies of these, which refer to the twin where the network's refer to the network."""
    net = Thresholded(0.7, optimizer=xpnet.chain(xpnet.Adam(), xpnet.ExponentialMovingAverage(0.9)), inputs=4, seed=0)
    twin = TWINS[way](net)
    assert type(twin) is Thresholded
    assert twin.threshold == [0.7]
    net.threshold[0] = 0.1
    assert twin.threshold == [0.7]
    assert twin.answers.__self__ is twin
    assert twin.answers(X).shape == (30, 1)
    twin.fit(X, Y % 2, verbose=0)


@pytest.mark.parametrize("way", TWINS)
def test_a_twin_of_a_plain_network_has_the_attributes_that_were_set_on_it(way):
    net = trained("numpy")
    net.note = {"data": "clouds"}
    twin = TWINS[way](net)
    assert type(twin) is Network
    assert twin.note == net.note
    assert twin.note is not net.note
    assert set(vars(twin)) == set(vars(net))


@pytest.mark.parametrize("way", [*TWINS][:4])
def test_what_cannot_be_copied_is_shared(way):
    net = trained("numpy")
    net.lock, net.rows, net.lines = threading.Lock(), (row for row in X), [1]
    twin = TWINS[way](net)
    assert (twin.lock, twin.rows, twin.lines) == (net.lock, net.rows, [1])
    assert twin.lines is not net.lines


class Normed(Network):
    """A network with a number that is computed once."""

    @functools.cached_property
    def norm(self):
        return sum(float(np.sum(weight**2)) for weight in self.get_weights().values())


@pytest.mark.parametrize("way", TWINS)
def test_a_property_that_was_computed_is_computed_anew(way):
    net = Normed([Dense(3)], optimizer=xpnet.chain(xpnet.Adam(), xpnet.ExponentialMovingAverage(0.9)), inputs=4)
    assert net.norm > 0
    twin = TWINS[way](net)
    twin.set_weights({name: 0 * weight for name, weight in twin.get_weights().items()})
    assert twin.norm == 0


def test_an_unbuilt_network_is_pickled_unbuilt():
    assert not pickle.loads(pickle.dumps(Network(["relu", Dense(3)]))).built


def test_a_pickle_from_a_missing_backend_goes_on_with_numpy(monkeypatch):
    pytest.importorskip("array_api_strict")
    network = trained("array-api-strict")
    pickled, expected = pickle.dumps(network), network.backend.to_numpy(network.predict(X))
    registered = xpnet.backend._registered
    monkeypatch.setattr(xpnet.backend, "_registered", lambda: {"numpy": registered()["numpy"]})
    with pytest.warns(UserWarning, match=r"'array-api-strict', and goes on with NumPy"):
        twin = pickle.loads(pickled)
    assert twin.backend.name == "numpy"
    np.testing.assert_allclose(twin.predict(X), expected, rtol=1e-6)


@dataclass(frozen=True)
class Noisy:
    """Steepest descent with a count, a word of random bits and a flag for each parameter."""

    learning_rate: float = 0.1

    def init(self, params, layout, xp):
        word = xp.full((1,), 2463534242, dtype=xp.uint32)
        return {"word": word, "even": xp.zeros(params.shape, dtype=xp.bool), "count": xp.full((), 2**24 + 1)}

    def update(self, gradient, params, state, now):
        word = state["word"] ^ (state["word"] << 13)
        word = word ^ (word >> 17)
        even, count = now.xp.logical_not(state["even"]), state["count"] + 1
        noise = now.xp.astype(word, params.dtype) / 2.0**32
        step = now.xp.where(even, now.learning_rate, 0.0 * now.learning_rate) * (gradient + 0.01 * noise)
        return gradient, params - step, {"word": word, "even": even, "count": count}


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), Network.copy])
def test_an_optimizers_integers_and_truths_stay_what_they_are(twin_of):
    network = Network([Dense(3)], optimizer=Noisy(), seed=0, inputs=4)
    for _ in range(3):
        network.train_step(X, Y)
    twin = twin_of(network)
    for name, array in network.state.optimizer.items():
        assert twin.state.optimizer[name].dtype == array.dtype
        np.testing.assert_array_equal(twin.state.optimizer[name], array)
    for net in (network, twin):
        net.fit(X, Y, epochs=2, batch_size=8, verbose=0, on_nonfinite="skip")
    assert read_arrays(twin).keys() == read_arrays(network).keys()
    for name, array in read_arrays(network).items():
        np.testing.assert_array_equal(read_arrays(twin)[name], array)
    assert network.state.optimizer["even"].dtype == bool


def test_a_copy_counts_the_steps_that_its_state_has_done():
    """As in the midst of fit, which has many steps done in one call and counts them afterwards."""
    network = trained("numpy")
    steps, network.steps = network.steps, 0
    assert network.copy().steps == steps


def test_a_number_beyond_the_smaller_dtype_is_refused_with_its_name(backend_name, tmp_path):
    narrow = xpnet.open_backend(backend_name, dtype="float32")
    network = Network([Dense(2)], dtype="float64", optimizer="adam", seed=0, inputs=4)
    network.train_step(1e25 * X, Y % 2)
    with pytest.raises(xpnet.DataError, match=r"'optimizer\.v' holds numbers beyond float32: .*keep dtype='float64'"):
        network.to(narrow)
    network = Network([Dense(2)], dtype="float64", seed=0, inputs=4)
    network.set_weights({"0.weight": np.array([[0.0, 1.0], [1e300, 2.0], [3.0, -1e300], [0.0, 0.0]])})
    named = r"weight '0.weight' holds numbers beyond float32: the first is weight '0.weight'\[1, 0\] = 1e\+300"
    with pytest.raises(xpnet.DataError, match=named):
        network.to(narrow)
    network.save(tmp_path / "wide")
    with pytest.raises(xpnet.CheckpointError, match=named):
        xpnet.load(tmp_path / "wide", backend=narrow)
    assert network.to("numpy").get_weights()["0.weight"][1, 0] == 1e300


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_numbers_that_are_not_checked_go_into_a_smaller_dtype(backend_name):
    network = Network([Dense(2)], dtype="float64", check_finite=False, seed=0, inputs=1)
    network.set_weights({"0.weight": np.array([[np.nan, 1e300]])})
    narrow = network.to(backend_name, dtype="float32")
    np.testing.assert_array_equal(narrow.get_weights()["0.weight"], [[np.nan, np.inf]])
    network.set_weights({"0.weight": np.array([[np.nan, 1.0]])})
    network.check_finite = True  # which is about what comes in, and not about what is there
    narrow = network.to(backend_name, dtype="float32")
    np.testing.assert_array_equal(narrow.get_weights()["0.weight"], [[np.nan, 1.0]])
