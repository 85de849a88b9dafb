"""The JAX backend: what is compiled for one network serves every equal one, and no other."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from xpnet import SGD, Dense, Network, Tanh, open_backend
from xpnet.layers.base import Built

jax = pytest.importorskip("jax")

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.arange(12) % 2


TRACES = []
"""The marks of the layers that JAX has traced."""


@dataclass(frozen=True)
class Counted:
    """An identity that records when it is traced, and cannot be hashed if its mark is a list."""

    mark: object

    def build(self, in_shape):
        return Built(in_shape)

    def forward(self, params, x, context):
        TRACES.append(self.mark)
        return x, None

    def backward(self, params, residuals, dy, context):
        return dy, {}


@dataclass(frozen=True)
class Times:
    """Multiplies by its factor; a boolean factor adds 100 instead."""

    factor: object = field(default=1.0, compare=False)

    def build(self, in_shape):
        return Built(in_shape)

    def forward(self, params, x, context):
        return x + 100.0 if isinstance(self.factor, bool) else x * self.factor, None

    def backward(self, params, residuals, dy, context):
        return dy * self.factor, {}


@dataclass(frozen=True)
class Compared(Times):
    """The same with a field that is compared."""

    factor: object = 1.0


class Loose(Compared):
    """A subclass that is no dataclass, with an attribute that is no field."""

    def __init__(self, factor):
        object.__setattr__(self, "other", factor)

    def forward(self, params, x, context):
        return x * self.other, None


class LooseRecord(Tanh):
    """The same of one of xpnet's layers."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, params, x, context):
        return x * self.factor, None


def trained(layer, dtype="float32", precision=None, optimizer=None, seed=0):
    layers, optimizer = [Dense(4), layer, Tanh(), Dense(2)], optimizer or SGD(0.1)
    network = Network(layers, backend="jax", dtype=dtype, precision=precision, optimizer=optimizer, seed=seed)
    network.fit(X, Y, epochs=2, batch_size=5, verbose=0)
    return network


@pytest.fixture(autouse=True)
def no_traces():
    TRACES.clear()


def test_an_equal_network_is_not_compiled_again():
    trained(Counted("equal"))
    assert TRACES
    TRACES.clear()
    network = trained(Counted("equal"), seed=1)
    assert not TRACES
    plain = Network([Dense(4), Counted("numpy"), Tanh(), Dense(2)], optimizer=SGD(0.1), seed=1)
    plain.fit(X, Y, epochs=2, batch_size=5, verbose=0)
    np.testing.assert_allclose(np.asarray(network.predict(X)), plain.predict(X), rtol=1e-4)


@pytest.mark.parametrize(
    "difference",
    [{"dtype": "float64"}, {"precision": "bfloat16"}, {"optimizer": SGD(0.2)}],
    ids=["dtype", "precision", "optimizer"],
)
def test_a_network_that_differs_is_compiled_for_itself(difference):
    trained(Counted(str(difference)))
    TRACES.clear()
    trained(Counted(str(difference)), **difference)
    assert TRACES


@pytest.mark.filterwarnings("ignore:the network can be trained but not saved")
@pytest.mark.parametrize(
    ("kind", "factors"),
    [(Times, (1.0, 100.0)), (Loose, (1.0, 100.0)), (LooseRecord, (1.0, 100.0)), (Compared, (1, True))],
    ids=["a field that is not compared", "no field", "no field of a record", "another type"],
)
def test_layers_that_differ_are_compiled_apart_though_they_are_equal(kind, factors):
    assert kind(factors[0]) == kind(factors[1])
    found = []
    for backend in ("numpy", "jax"):
        networks = [Network([Dense(3), kind(each)], loss="mse", backend=backend, inputs=3) for each in factors]
        found.append([np.asarray(network.forward(X)) for network in networks])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


class Doubled(Times):
    """What is to replace methods of :class:`Times`."""

    def backward(self, params, residuals, dy, context):
        return 2.0 * dy * self.factor, {}


def test_a_network_made_after_a_method_was_replaced_runs_the_new_one(monkeypatch):
    old = trained(Times(3.0))
    monkeypatch.setattr(Times, "backward", Doubled.backward)
    doubled = trained(Doubled(3.0)).history["loss"]
    assert trained(Times(3.0)).history["loss"] == doubled != old.history["loss"]
    assert trained(Compared(3.0)).history["loss"] == doubled  # which inherits it
    monkeypatch.undo()
    assert trained(Times(3.0)).history["loss"] == old.history["loss"]


def test_a_layer_that_cannot_be_hashed_trains():
    assert np.isfinite(trained(Counted(["a list"])).history["loss"]).all()
    TRACES.clear()
    trained(Counted(["a list"]))
    assert TRACES


@pytest.mark.parametrize(
    ("rows", "inputs", "units"),
    [(10, 2, 64), (1500, 5, 3), (300, 64, 3), (100, 20, 12), (40, 512, 64), (1000, 12, 10), (4, 512, 600)],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_products_of_every_shape_are_numpys(rows, inputs, units, precision):
    stream = np.random.default_rng(0)
    x, weight, dy = (stream.normal(size=size) for size in ((rows, inputs), (inputs, units), (rows, units)))
    found = {}
    for name in ("numpy", "jax"):
        backend = open_backend(name, precision=precision)

        def both(x, weight, dy, nn=backend.xp.nn):
            return nn.linear(x, weight, None), *nn.linear_backward(x, weight, dy, True)

        arrays = (backend.asarray(array, dtype=backend.float) for array in (x, weight, dy))
        found[name] = [backend.to_numpy(array) for array in backend.compile(both)(*arrays)]
    for mine, reference in zip(found["jax"], found["numpy"], strict=True):
        np.testing.assert_allclose(mine, reference, atol=1e-5 * np.abs(reference).max())


@pytest.mark.parametrize("shapes", [((2, 7), (5, 3)), ((2, 3), (5, 3))])
def test_products_of_shapes_that_do_not_go_together_are_refused(shapes):
    nn = open_backend("jax").xp.nn
    with pytest.raises(TypeError, match="shape"):
        nn.product(*map(jax.numpy.ones, shapes))


def test_products_of_many_small_matrices_are_numpys():
    x = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    found = open_backend("jax").xp.nn.product(jax.numpy.asarray(x), jax.numpy.asarray(x))
    np.testing.assert_array_equal(np.asarray(found), x @ x)


def test_another_librarys_later_writes_change_nothing():
    torch = pytest.importorskip("torch")
    backend = open_backend("jax")
    for dtype in (torch.float32, torch.bfloat16):
        given = torch.ones(100_000, dtype=dtype)
        array = backend.asarray(given, dtype=backend.float)
        given.zero_()
        assert float(array.sum()) == 100_000.0


def test_the_callers_later_writes_change_nothing():
    network = Network([Dense(300), Tanh(), Dense(2)], backend="jax", inputs=400)
    for _ in range(20):  # whether memory could be shared depends on where it happens to lie
        x = np.random.default_rng(1).normal(size=(500, 400)).astype(np.float32)
        predicted = network.predict(x)
        x[...] = 0.0
        assert np.ptp(np.asarray(predicted)[:, 0]) > 0


@pytest.fixture
def compilations(caplog):
    """Call a function, and return what JAX says of compiling meanwhile."""

    def compilations(function):
        caplog.clear()
        with jax.log_compiles():
            function()
        return [record.getMessage() for record in caplog.records if "ompil" in record.getMessage()]

    return compilations


def test_a_second_call_with_jax_s_own_array_compiles_nothing(compilations):
    network = trained(Counted("own array"))

    def measure():
        network.predict(jax.numpy.asarray(X, dtype="float32"))
        network.evaluate(jax.numpy.asarray(X, dtype="float32"), Y)

    assert compilations(measure)
    assert not compilations(measure)


def test_a_second_call_for_probabilities_compiles_nothing(compilations):
    kind = pytest.importorskip("xpnet.sklearn", exc_type=ImportError).XPClassifier
    model = kind(epochs=1, loss="binary_cross_entropy", backend="jax").fit(X, Y)
    compilations(lambda: model.predict_proba(X))
    assert not compilations(lambda: model.predict_proba(X))


@pytest.mark.parametrize("dtype", [">i4", ">f4", ">f8", ">u2"])
def test_arrays_in_the_other_byte_order_arrive_as_their_numbers(dtype):
    backend = open_backend("jax", dtype="float64")
    values = np.arange(5).astype(dtype)
    for given in (values.astype(values.dtype.newbyteorder("=")), values):  # what the first is must not decide
        found = backend.to_numpy(backend.asarray(given))
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, [0, 1, 2, 3, 4])


def test_another_network_of_the_same_form_compiles_nothing_not_even_to_move_its_data(compilations):
    def train(seed):
        network = Network([Dense(7), "relu", Dense(3)], backend="jax", seed=seed)
        network.fit(X, np.arange(12) % 3, epochs=1, batch_size=5, verbose=0)
        network.predict(X)

    assert compilations(lambda: train(0))
    assert not compilations(lambda: train(1))


def lowered(precision):
    nn, x = open_backend("jax", precision=precision).xp.nn, jax.numpy.ones((16, 16))
    return jax.jit(lambda x, w: nn.linear(x, w, None)).lower(x, x).as_text()


def test_products_have_all_digits_on_any_device_unless_jax_is_configured_otherwise():
    """A GPU takes TF32, and a TPU bfloat16, for products whose precision is not said."""
    assert "precision = [HIGHEST, HIGHEST]" in lowered("float32")
    with jax.default_matmul_precision("high"):
        assert "precision = [HIGH, HIGH]" in lowered("float32")
    assert "(tensor<16x16xbf16>, tensor<16x16xbf16>) -> tensor<16x16xf32>" in lowered("bfloat16")
