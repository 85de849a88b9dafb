"""``precision="bfloat16"``: products of rounded numbers, and all else in float32, on every backend."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

import xpnet
from xpnet import CheckpointError, ConfigurationError, Dense, Network, nn, open_backend
from xpnet.backend import bind

UNIT = 2.0**-8
"""Half of the distance between two neighbours in bfloat16, as a share of the smaller."""


@pytest.fixture(scope="session")
def low(backend32):
    """Each backend with products in bfloat16."""
    return open_backend(backend32.name, dtype="float32", precision="bfloat16")


def nearest(values):
    """Round float32 to bfloat16 by its bits, to the even one of two that are equally near."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def network(backend, **arguments):
    return Network([Dense(16), "tanh", Dense(3)], optimizer=xpnet.Adam(1e-2), backend=backend, seed=0, **arguments)


def called(backend, name, *arrays):
    function = getattr(backend.xp.nn, name)
    return backend.compile(lambda *given: function(*given))(*(backend.asarray(a.copy()) for a in arrays))


# Opening


def test_the_precision_is_the_dtypes_unless_it_is_said(backend, backend32, low):
    assert (backend.precision, backend32.precision, low.precision) == ("float64", "float32", "bfloat16")
    assert low.dtype == "float32"
    assert repr(low).endswith("dtype='float32', precision='bfloat16')")
    assert "precision" not in repr(backend32)
    assert open_backend(low) is open_backend(low, precision="bfloat16", dtype="float32") is low
    assert open_backend("numpy", dtype="float64", precision="float64").precision == "float64"
    assert open_backend("auto", precision="bfloat16").precision == "bfloat16"
    assert open_backend(low.name, precision=low.xp.float32).precision == "float32"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"precision": "bf16"}, "'bfloat16' or the dtype, 'float32'; got 'bf16'; did you mean 'bfloat16'"),
        ({"precision": "mixed_bfloat16"}, "did you mean 'bfloat16'"),
        ({"precision": "float16"}, "must be 'bfloat16' or the dtype, 'float32'; got 'float16'"),
        ({"precision": "float64"}, "the dtype, 'float32'; got 'float64'"),
        ({"precision": ["bfloat16"]}, "must be 'bfloat16'"),
        ({"precision": "bfloat16", "dtype": "float64"}, "goes with dtype='float32'; got dtype='float64'"),
    ],
)
def test_another_precision_is_refused(arguments, said):
    for call in (lambda: open_backend("numpy", **arguments), lambda: network("numpy", **arguments)):
        with pytest.raises(ConfigurationError, match=said):
            call()


def test_half_precision_as_a_dtype_is_told_what_there_is():
    with pytest.raises(ConfigurationError, match="precision='bfloat16' takes it for products alone"):
        open_backend("numpy", dtype="bfloat16")


def test_a_librarys_own_linear_is_not_taken_for_one_in_bfloat16(backend32):
    def linear(xp, x, weight, bias):
        raise AssertionError

    plain = replace(backend32, nn={**backend32.nn, "linear": linear, "linear_backward": linear})
    rounds = bind(plain, "bfloat16")
    np.testing.assert_array_equal(rounds.to_numpy(called(rounds, "linear", *[np.ones((2, 2), np.float32)] * 3)), 3.0)


def test_an_open_backend_keeps_its_own(low, backend32):
    with pytest.raises(ConfigurationError, match=r"precision='float32' is given beside .*precision='bfloat16'"):
        network(low, precision="float32")
    with pytest.raises(ConfigurationError, match="precision='bfloat16' is given beside"):
        network(backend32, precision="bfloat16")


# Numbers


def test_numbers_are_rounded_to_the_nearest(low):
    """Of two that are equally near, either; by way of a product with one, which adds nothing."""
    values = np.concatenate([numbers(500), numbers(500, seed=1) * 1e30, numbers(500, seed=2) * 1e-30, [0.0, 255.0]])
    values = values.astype(np.float32)[:, None]
    factors = called(low, "operand", values), called(low, "operand", np.ones((1, 1), np.float32))
    found = low.to_numpy(low.compile(low.xp.nn.product)(*factors))
    assert found.dtype == np.float32
    off = np.abs(found.astype(np.float64) - values)
    assert np.all(off <= np.abs(nearest(values).astype(np.float64) - values))
    np.testing.assert_array_equal(nearest(found), found)


def test_the_reference_rounds_each_number_by_itself(backend32):
    """A product has both of its factors rounded, so that two wrong signs would not be seen there."""
    values = numbers(500)
    found = backend32.to_numpy(nn.rounded(backend32.xp, backend32.asarray(values.astype(np.float32))))
    assert np.all(np.abs(found - values) <= np.abs(values) * 2.0**-8)


def test_what_is_not_finite_or_very_large_stays_so(low):
    large = [3e38, -3e38, 2.0**111 * 1.001, -(2.0**112) * 1.001, 5e33, 1.7e38 * 1.003, 2.0**120 * 1.0059]
    values = np.array([[np.inf, -np.inf, np.nan, *large]], np.float32).T
    with np.errstate(all="ignore"):  # array-api-strict lets NumPy warn
        factors = called(low, "operand", values), called(low, "operand", np.ones((1, 1), np.float32))
        found = low.to_numpy(low.compile(low.xp.nn.product)(*factors))[:, 0]
    np.testing.assert_array_equal(found[:3], values[:3, 0])
    np.testing.assert_array_equal(found[3:], nearest(values)[3:, 0])


@pytest.mark.parametrize("scales", [(2.0**-100, 1.0), (1.0, 1.0), (2.0**114, 2.0**-90)], ids=str)
def test_numpys_plans_keep_the_bits_of_the_first_call(scales, monkeypatch):
    """Pairs have room for 8 significant bits, so that more of them in a number would be lost to the plan alone."""
    from xpnet_backends.on_numpy import compiling

    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    backend = open_backend("numpy", precision="bfloat16")
    nn = backend.xp.nn
    multiply = backend.compile(lambda a, b: nn.product(nn.operand(a), nn.operand(b)))
    a, b = numbers(128, 256) * np.float32(scales[0]), numbers(256, 64, seed=1) * np.float32(scales[1])
    first, *later = (multiply(a, b) for _ in range(4))
    for found in later:
        np.testing.assert_array_equal(found, first)


def test_zero_keeps_its_sign_in_numpys_plans():
    backend = open_backend("numpy", precision="bfloat16")
    multiply = backend.compile(lambda a, b: backend.xp.nn.rounded_product(a, b))
    found = [multiply(np.full((1, 1), -0.0, np.float32), np.ones((1, 1), np.float32)) for _ in range(3)]
    assert len({bool(np.signbit(one[0, 0])) for one in found}) == 1


def test_a_layers_products_are_those_of_rounded_numbers(low):
    """Sums of 300 terms in float32; PyTorch rounds them to bfloat16 in the end."""
    x, w, dy, bias = numbers(40, 300), numbers(300, 20, seed=1), numbers(40, 20, seed=2), numbers(20, seed=3)
    a, b, c = (nearest(array).astype(np.float64) for array in (x, w, dy))
    room = UNIT if low.name == "torch" else 1e-6
    y = low.to_numpy(called(low, "linear", x, w, bias))
    np.testing.assert_allclose(y, a @ b + bias, rtol=0, atol=room * np.abs(a @ b).max())
    back = low.compile(lambda x, w, dy: low.xp.nn.linear_backward(x, w, dy, True))
    found = [low.to_numpy(array) for array in back(*(low.asarray(array) for array in (x, w, dy)))]
    for got, wanted in zip(found[:2], (c @ b.T, a.T @ c), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=0, atol=room * np.abs(wanted).max())
    np.testing.assert_allclose(found[2], dy.sum(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-5)


def test_blocks_have_the_gradients_of_their_rows(low):
    x, w, dy = numbers(4, 5, 6), numbers(6, 3, seed=1), numbers(4, 5, 3, seed=2)
    back = low.compile(lambda x, w, dy: low.xp.nn.linear_backward(x, w, dy, True))
    whole = [low.to_numpy(a) for a in back(*map(low.asarray, (x, w, dy)))]
    flat = [low.to_numpy(a) for a in back(*map(low.asarray, (x.reshape(20, 6), w, dy.reshape(20, 3))))]
    assert whole[0].shape == x.shape
    for got, wanted in zip(whole, flat, strict=True):
        np.testing.assert_allclose(got.reshape(wanted.shape), wanted, rtol=2 * UNIT, atol=1e-2)


def test_a_run_is_the_same_on_every_backend_but_for_the_rounding(low, open_backend):
    x, y = xpnet.spiral(points=50, seed=0)
    losses = {}
    for name, backend in {"found": low, "numpy": xpnet.open_backend("numpy", precision="bfloat16")}.items():
        net = network(backend)
        losses[name] = net.fit(x, y, epochs=20, batch_size=30, verbose=0)["loss"]
        assert {array.dtype for array in net.get_weights().values()} == {np.dtype("float32")}
    np.testing.assert_allclose(losses["found"], losses["numpy"], rtol=1e-2)


def test_small_steps_are_not_rounded_away(low):
    """The weights that learn are in float32: a million steps of 1e-9 arrive, which no bfloat16 near 1 would keep."""
    net = Network([Dense(1, bias=False)], loss="mse", optimizer=xpnet.SGD(1e-6), backend=low, inputs=1)
    net.set_weights({"0.weight": np.ones((1, 1))})
    for _ in range(100):
        net.train_step(np.ones((1, 1)), np.zeros((1, 1)))
    assert 0 < 1 - net.get_weights()["0.weight"][0, 0] < UNIT
    assert net.predict([[1.0]])[0, 0] == 1.0


def test_precision_changes_what_is_computed(low, backend32):
    x = numbers(50, 20)
    low_net, full = (Network([Dense(8)], loss="mse", backend=b, inputs=20, seed=0) for b in (low, backend32))
    exact, found = (net.backend.to_numpy(net.predict(x)) for net in (full, low_net))
    assert np.any(np.abs(exact - found) > 1e-4)
    np.testing.assert_allclose(found, exact, atol=0.1)


# Files and copies


def test_files_copies_and_pickles_keep_the_precision(backend32, low, tmp_path):
    name = backend32.name
    net = network(low, inputs=2)
    net.save(tmp_path / "net.safetensors")
    for twin in (
        xpnet.load(tmp_path / "net.safetensors", backend=name),
        net.copy(),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        net.with_optimizer("sgd"),
        net.to(name),
        net.to(name, dtype="float32"),
        net.to(name, dtype=low.xp.float32),
        net.to(name, dtype=np.float32),
    ):
        assert twin.backend.precision == "bfloat16"
        np.testing.assert_array_equal(low.to_numpy(twin.predict([[1.0, 0.3]])), low.to_numpy(net.predict([[1.0, 0.3]])))


def test_a_copy_may_have_another_precision(backend32, low, tmp_path):
    name, net = backend32.name, network(low, inputs=2)
    net.save(tmp_path / "net.safetensors")
    for full in (
        net.to(name, precision="float32"),
        net.to(backend32),
        xpnet.load(tmp_path / "net.safetensors", backend=backend32),
    ):
        assert full.backend.precision == "float32"
        assert full.to(name).backend.precision == "float32"
        assert full.to(name, precision="bfloat16").backend.precision == "bfloat16"
    assert net.to("numpy", dtype="float64").backend.precision == "float64"


def test_a_run_goes_on_in_its_own_precision(low, backend32, tmp_path):
    x, y = xpnet.clouds(30, seed=0)
    whole = network(low)
    whole.fit(x, y, epochs=4, batch_size=20, verbose=0)
    network(low).fit(x, y, epochs=2, batch_size=20, checkpoint=tmp_path / "run", verbose=0)
    other = network(backend32)
    with pytest.raises(ConfigurationError, match="precision"):
        other.fit(x, y, epochs=4, batch_size=20, checkpoint=tmp_path / "run", resume=True, verbose=0)
    net = network(low)
    net.fit(x, y, epochs=4, batch_size=20, checkpoint=tmp_path / "run", resume=True, verbose=0)
    for name, weight in whole.get_weights().items():
        np.testing.assert_array_equal(net.get_weights()[name], weight)


def test_a_file_that_does_not_say_a_precision_has_its_dtypes(tmp_path):
    from xpnet.checkpoint import ENTRY
    from xpnet.safefile import read_file, write_file
    from xpnet.strict_json import read_json, write_json

    path = tmp_path / "net.safetensors"
    network("numpy", inputs=2, precision="bfloat16").save(path)
    texts, arrays = read_file(path)
    for said, precision in ({"precision": "float8"}, None), ({}, "float32"):
        description = {**read_json(texts[ENTRY]), **said}
        if not said:
            del description["precision"]
        write_file(path, arrays, {**texts, ENTRY: write_json(description)})
        if precision:
            assert xpnet.load(path).backend.precision == precision
        else:
            with pytest.raises(CheckpointError, match="precision must be 'bfloat16'"):
                xpnet.load(path)


def test_the_summary_says_it(low):
    assert network(low, inputs=2).summary().splitlines()[0].endswith("float32, products in bfloat16")
