"""exp inside kernels: NumPy's bits where NumPy's exp is the known one, NumPy's own elsewhere."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest
from test_on_numpy_kernels import made, run_both  # noqa: F401
from xpnet_backends.on_numpy import compiling, exponential
from xpnet_backends.on_numpy.compiling import Compiled

import xpnet

pytest.importorskip("llvmlite")

known = pytest.mark.skipif("not exponential.agrees()", reason="NumPy has another exp on this processor")
"""Asked when the test runs: it compiles."""


def edges():
    """Numbers at which something changes, with their neighbours."""
    ends = [exponential.LARGEST, exponential.SMALLEST, 0.0, -0.0, np.inf, -np.inf, np.nan]
    places = np.array([*ends, 88.0, -87.3365478, -88.0, -104.5, -103.0, 1e-40], dtype="float32")
    return np.concatenate([places, np.nextafter(places, np.float32(np.inf)), np.nextafter(places, np.float32(-np.inf))])


def test_it_is_numpys_exp_where_numpy_has_vectors_with_fused_multiply_add():
    features = np._core._multiarray_umath.__cpu_features__
    if not (features.get("AVX2") and features.get("FMA3")):
        pytest.skip("NumPy takes exp from the C library on this processor")
    assert exponential.agrees()


@known
@pytest.mark.parametrize("shape", [(6000,), (1000, 6), (150, 40)], ids=str)
@pytest.mark.filterwarnings("ignore:(overflow|invalid):RuntimeWarning")
def test_every_number_has_numpys_exponential(made, shape):  # noqa: F811
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**32, size=6000, dtype=np.uint32).view("float32").copy()
    x[:2000] = rng.uniform(-110, 95, size=2000)
    x[2000:2039] = edges()
    x = x.reshape(shape)
    found, wanted = run_both(lambda x: np.exp(np.negative(-x)) * 2.0, x)
    np.testing.assert_array_equal(found, wanted)
    assert any("exp(" in source.text for source in made)


@known
def test_rows_of_few_columns_are_not_gone_through_one_by_one(made):  # noqa: F811
    """There a compiler would make no vector loop: such an exp has a loop of its own, over the table as one vector."""
    nn = xpnet.open_backend("numpy").xp.nn
    rng = np.random.default_rng(0)
    for columns in (3, 31, 32, 100):
        made.clear()
        x, b = rng.normal(size=(200, columns)).astype("float32"), rng.normal(size=columns).astype("float32")
        for function in (lambda x, b: nn.softmax(x + b), lambda x, b: nn.sigmoid(x + b) * 2.0):
            found, wanted = run_both(function, x, b)
            np.testing.assert_array_equal(found, wanted)
        with_exp = [source for source in made if "exp(" in source.text]
        assert with_exp
        assert all(source.flat for source in with_exp) is (columns < 32)


@known
def test_operations_that_know_no_columns_are_one_loop(made):  # noqa: F811
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50, 5)).astype("float32")

    def slope(x, y):
        x, y = np.tanh(x), np.tanh(y)
        return (1.0 - x * x) * y

    found, wanted = run_both(slope, x, y)
    np.testing.assert_array_equal(found, wanted)
    assert [(source.flat, source.rows) for source in made] == [(True, 250)] * len(made)
    assert made


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_where_exp_is_another_numpys_is_called(made, dtype, monkeypatch):  # noqa: F811
    if dtype == "float32":
        monkeypatch.setattr(exponential, "agrees", functools.cache(lambda: False))
        assert not exponential.agrees()  # which is asked once
    x = np.random.default_rng(0).normal(size=(200, 40)).astype(dtype)
    found, wanted = run_both(lambda x: 1.0 / (1.0 + np.exp(x * 2.0)), x)
    np.testing.assert_array_equal(found, wanted)
    assert made
    assert not any("exp(" in source.text for source in made)


def test_nothing_is_tried_before_kernels_may_be_compiled_nor_without_an_exp_that_pays(monkeypatch):
    asked = []
    agrees = functools.cache(lambda: asked.append(True) or False)
    monkeypatch.setattr(exponential, "agrees", agrees)
    small, large = np.ones((2, 3), "float32"), np.ones((300, 400), "float32")
    for patience, x, times in ((1e9, large, 0), (-1.0, small, 0), (-1.0, large, 1)):
        monkeypatch.setattr(compiling, "COMPILE_AFTER", patience)
        compiled = Compiled(lambda x: np.exp(x * 2.0) + 1.0)
        for _ in range(4):
            compiled(x)
        (plan,) = compiled._local.plans.values()
        assert (plan.pending is not None) is (patience > 0)
        assert len(asked) == times


TRAINED_BOTH_WAYS = """
import numpy as np
import xpnet
from xpnet_backends.on_numpy import compiling, exponential, fusing
compiling.COMPILE_AFTER, fusing.MIN_GAIN = -1.0, -1e12
rng = np.random.default_rng(0)
x, y = rng.normal(size=(300, 5)), rng.integers(3, size=300)
networks = [xpnet.Network([xpnet.Dense(40), "sigmoid", xpnet.Dense(3)], seed=0) for _ in range(2)]
for _ in range(5):
    networks[0].train_step(x, y)
compiling.Compiled.__call__ = lambda self, *arguments: self.function(*arguments)
for _ in range(5):
    networks[1].train_step(x, y)
a, b = (network.get_weights() for network in networks)
print(exponential.agrees(), all(np.array_equal(a[name], b[name]) for name in a))
"""


@pytest.mark.parametrize("without", ["", "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512_SKX"], ids=["as-it-is", "older"])
def test_a_network_trains_to_numpys_bits_whatever_the_processor_has(without):
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": without}
    command = [sys.executable, "-W", "ignore", "-c", TRAINED_BOTH_WAYS]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert told[1] == "True"
    if without:
        assert told[0] == "False"
