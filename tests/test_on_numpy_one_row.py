"""A row by a matrix on several threads: NumPy's bits, and only where one thread takes longer."""

import platform
import subprocess
import sys

import numpy as np
import pytest
from pools import POOLS, used
from xpnet_backends.on_numpy import compiling, one_row, openblas, team
from xpnet_backends.on_numpy.compiling import Compiled

import xpnet

pytest.importorskip("llvmlite")

LARGE = (784, 256)
"""A shape that is shared, and that MKL's products do not take."""


@pytest.fixture(params=POOLS)
def pool(request, monkeypatch):
    """Have three threads of a pool, and plans with compiled code at once; give the name of what hands work to them."""
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    with used(request.param, 3, monkeypatch):
        yield team.name()


needs_order = pytest.mark.skipif(
    openblas.library() is None or not one_row._agrees(*LARGE), reason="NumPy's BLAS adds in another order here"
)


def draw(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def placed(matrix, offset):
    """Return a copy that begins so many numbers after a cache line does."""
    memory = np.empty(matrix.size + 32, dtype=matrix.dtype)
    start = -(memory.ctypes.data // memory.itemsize) % one_row.LINE + offset
    found = memory[start : start + matrix.size].reshape(matrix.shape)
    found[...] = matrix
    return found


def planned(row, matrix):
    """Multiply until a plan does, whose numbers have to be NumPy's; return its source."""
    compiled = Compiled(lambda row, matrix: np.matmul(row, matrix))
    for _ in range(4):
        found = compiled(row, matrix)
    np.testing.assert_array_equal(found.view("uint8"), np.matmul(row, matrix).view("uint8"))
    (plan,) = compiled._local.plans.values()
    return plan.source


@needs_order
@pytest.mark.parametrize("offset", [0, 1, 4, 12, 15])
@pytest.mark.parametrize(
    "shape", [LARGE, (256, 784), (448, 464), (1048, 96), (64, 4000), (784, 176), (1000, 112)], ids=str
)
def test_a_shared_product_is_numpys_bit_for_bit(pool, shape, offset):
    source = planned(draw(1, shape[0], seed=offset), placed(draw(*shape, seed=1), offset))
    assert (f"{pool}: dot" in source) == one_row._agrees(*shape)


@needs_order
@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 0.5, 0.8, 1.0])
def test_zeros_change_no_bit(pool, density):
    row, matrix = draw(1, LARGE[0]), draw(*LARGE)
    row[np.random.default_rng(2).random(row.shape) >= density] = 0.0
    row[0, ::5] *= -1.0
    assert pool in planned(row, matrix)


@needs_order
@pytest.mark.parametrize("used", [[0], [7], [8, 783], range(776, 784), range(12, 21), range(3)], ids=str)
def test_a_few_numbers_among_zeros_change_no_bit(pool, used):
    row, matrix = np.zeros((1, LARGE[0]), dtype="float32"), -np.abs(draw(*LARGE))
    row[0, list(used)] = draw(len(used))
    assert pool in planned(row, matrix)


@needs_order
def test_numbers_that_are_not_finite_are_numpys(pool):
    row, matrix = draw(1, LARGE[0]), draw(*LARGE)
    matrix[:, 5] = -np.abs(matrix[:, 5])
    matrix[40, 7], matrix[41, 8], matrix[2:4, 9] = -np.float32(np.nan), np.inf, (np.inf, -np.inf)
    matrix[:, 10], matrix[:, 11] = 1e-40, 3e38
    assert pool in planned(row, matrix)
    row[0, 3] = np.nan
    assert pool in planned(row, draw(*LARGE))


@needs_order
@pytest.mark.parametrize("used", [[40], [40, 41, 42], [40, 41, 42, 43, 44], [47]], ids=str)
def test_what_fills_up_a_four_is_no_weight(pool, used):
    row, matrix = np.zeros((1, LARGE[0]), dtype="float32"), draw(*LARGE)
    row[0, used], matrix[used[-1], 7] = 1.5, np.inf
    spared = np.where(row[0, :, None] == 0.0, np.float32(0.0), matrix)
    compiled = Compiled(lambda row, matrix: np.matmul(row, matrix))
    for _ in range(4):
        found = compiled(row, matrix)
    assert found[0, 7] == np.inf
    np.testing.assert_array_equal(found, np.matmul(row, spared))


@needs_order
def test_zero_leaves_out_weights_that_are_not_finite(pool):
    row, matrix = draw(1, LARGE[0]), draw(*LARGE)
    row[0, 40], spared = 0.0, matrix.copy()
    matrix[40, 7], spared[40, 7] = np.inf, 0.0
    compiled = Compiled(lambda row, matrix: np.matmul(row, matrix))
    for _ in range(4):
        found = compiled(row, matrix)
    np.testing.assert_array_equal(found, np.matmul(row, spared))


@needs_order
@pytest.mark.parametrize(
    ("row", "matrix"),
    [
        (draw(1, 784), draw(784, 112)),
        (draw(1, 784), draw(784, 600)),
        (draw(1, 783), draw(783, 304)),
        (draw(1, 1600), draw(1600, 80)),
        (draw(1, 784), draw(784, 300)),
        (draw(2, 784), draw(784, 256)),
        (draw(1, 784), np.asfortranarray(draw(784, 256))),
        (draw(1, 784, dtype="float64"), draw(784, 256, dtype="float64")),
    ],
    ids="small large no-eights narrow no-lines rows turned double".split(),
)
def test_other_products_are_left_to_one_call(pool, row, matrix):
    assert pool not in planned(row, matrix)


@needs_order
def test_one_thread_is_not_divided(pool, monkeypatch):
    monkeypatch.setattr(team, "size", lambda: 1)
    assert pool not in planned(draw(1, 784), draw(*LARGE))


def test_another_order_is_left_to_blas(pool, monkeypatch):
    monkeypatch.setattr(one_row, "multiply_in_order", lambda row, matrix: np.zeros(matrix.shape[1], dtype="float32"))
    monkeypatch.setattr(one_row, "_agrees", one_row._agrees.__wrapped__)
    assert pool not in planned(draw(1, 784), draw(*LARGE))


def test_the_order_is_one_of_additions():
    row, matrix = draw(64), draw(64, 40)
    exact = row.astype("float64") @ matrix.astype("float64")
    bound = 64 * np.finfo("float32").eps * (np.abs(row).astype("float64") @ np.abs(matrix).astype("float64"))
    assert np.all(np.abs(one_row.multiply_in_order(row, matrix) - exact) <= bound)


@needs_order
def test_a_networks_prediction_of_one_row_keeps_its_bits(pool):
    network = xpnet.Network([xpnet.Dense(256), "relu", xpnet.Dense(10)], inputs=784, seed=0)
    x = draw(1, 784)
    first = network.predict(x)
    for _ in range(4):
        np.testing.assert_array_equal(network.predict(x), first)
    (plan,) = network.compiled.function("predictions")._local.plans.values()
    assert f"{pool}: dot" in plan.source


WITHOUT_AVX512 = """
import sys
from llvmlite import binding

features = binding.get_host_cpu_features()
features.update({name: False for name in features if name.startswith(("avx512", "avx10", "evex512"))})
binding.get_host_cpu_features, binding.get_host_cpu_name = lambda: features, lambda: "haswell"
import pytest

sys.exit(pytest.main([sys.argv[1], "-q", "-k", "bit", "-p", "no:cacheprovider"]))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="Haswell is a processor of another kind")
def test_without_avx512_all_comes_alike():
    """In a process of its own, which LLVM ends where it cannot compile something."""
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_AVX512, __file__], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
