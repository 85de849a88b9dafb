"""Kernels on the products' threads: when they are shared, by how many, for whom.

Their numbers are in ``test_on_numpy_kernels.py``.
"""

import ctypes
import functools
import os
import subprocess
import sys

import numpy as np
import pytest
from pools import POOLS, used
from xpnet_backends import on_numpy
from xpnet_backends.on_numpy import compiling, exponential, gemm, mkl, openblas, openmp, team, ufunc_loops, workers
from xpnet_backends.on_numpy.compiling import Compiled

pytest.importorskip("llvmlite")


@pytest.fixture(params=POOLS)
def pool(request, monkeypatch):
    """Have three threads of a pool, and plans with kernels at once; give the name of what hands work to them."""
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    with used(request.param, 3, monkeypatch):
        yield team.name()


@pytest.fixture
def kernels_alone(monkeypatch):
    """Leave products to NumPy's routine."""
    monkeypatch.setattr(gemm, "_is_supported_processor", lambda: False)


def planned(rows):
    """Return the written function of two operations on so many rows of 512."""
    compiled = Compiled(lambda x, b: np.maximum(np.matmul(x, np.eye(512, dtype="float32")) + b, 0.0))
    x, b = np.random.default_rng(0).normal(size=(rows, 512)).astype("float32"), np.ones(512, "float32")
    for _ in range(4):
        found = compiled(x, b)
    np.testing.assert_array_equal(found, np.maximum(x + b, 0.0))
    (plan,) = compiled._local.plans.values()
    return plan.source


@pytest.mark.usefixtures("kernels_alone")
def test_only_work_that_is_worth_it_is_shared(pool, monkeypatch):
    assert pool in planned(600)
    assert pool not in planned(16)
    monkeypatch.setattr(team, "size", lambda: 1)
    assert pool not in planned(600)


@pytest.mark.usefixtures("kernels_alone")
@pytest.mark.parametrize(("rows", "shared"), [(1000, True), (300, False)])
def test_reducing_rows_is_more_work_than_its_elements(pool, monkeypatch, rows, shared):
    def function(x, b):
        y = np.matmul(x, np.eye(10, dtype="float32")) + b
        largest = np.max(y, axis=1, keepdims=True)
        return np.sum((y - largest) * 2.0, axis=1, keepdims=True)

    monkeypatch.setattr(team, "min_shared_ns", lambda: 8000)
    compiled, x = Compiled(function), np.random.default_rng(0).normal(size=(rows, 10)).astype("float32")
    for _ in range(4):
        found = compiled(x, np.ones(10, "float32"))
    np.testing.assert_array_equal(found, function(x, np.ones(10, "float32")))
    (plan,) = compiled._local.plans.values()
    assert f"kernel({rows}, 10" in plan.source
    assert (pool in plan.source) == shared


@pytest.mark.usefixtures("kernels_alone")
def test_sums_down_columns_stay_with_one_thread(pool):
    def function(x):
        y = np.matmul(x, np.eye(512, dtype="float32")) * 2.0
        return y, np.sum(y, axis=0)

    compiled, x = Compiled(function), np.random.default_rng(0).normal(size=(600, 512)).astype("float32")
    for _ in range(4):
        found = compiled(x)
    for array, plain in zip(found, function(x), strict=True):
        np.testing.assert_array_equal(array, plain)
    (plan,) = compiled._local.plans.values()
    assert "kernel" in plan.source
    assert pool not in plan.source


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(ufunc_loops.NAMES))
def test_numpys_own_loops_are_shared_bit_for_bit(name, dtype, pool, monkeypatch):
    monkeypatch.setattr(team, "min_shared_ns", lambda: 8000)
    monkeypatch.setattr(exponential, "agrees", functools.cache(lambda: False))  # which leaves exp to NumPy
    function = getattr(np, name)
    compiled = Compiled(lambda x: function(x * 1.0)[1:])
    for count in (20_000, 20_001, 20_065):
        x = np.abs(np.random.default_rng(count).normal(size=count)).astype(dtype)
        x[:4] = 0.0, np.inf, np.nan, 1e-40
        with np.errstate(all="ignore"):
            for _ in range(4):
                found = compiled(x)
            np.testing.assert_array_equal(found.view("uint8"), function(x)[1:].view("uint8"))
    for plan in compiled._local.plans.values():
        assert f"{pool}: {name}(" in plan.source


@pytest.mark.parametrize("function", [np.add, np.frexp, np.matmul], ids=lambda function: function.__name__)
def test_only_functions_of_one_array_have_such_a_loop(function):
    assert ufunc_loops._loop(function, "f") is None


def test_a_loop_that_is_not_what_it_seems_is_left_alone(monkeypatch):
    assert ufunc_loops._loop(np.exp, "dd") is not None
    wrong = ufunc_loops._UFunc.from_address(id(np.log))
    monkeypatch.setattr(ufunc_loops._UFunc, "from_address", lambda address: wrong)
    assert ufunc_loops._loop.__wrapped__(np.exp, "dd") is None


@pytest.fixture
def gathered(pool):
    """Return a function that gathers rows, doubles them, and has been compiled for three threads."""
    compiled = Compiled(lambda data, order: np.take(data, order, axis=0) * 2)

    def run(data, order, times=4):
        for _ in range(times):
            found = compiled(data, order)
        (plan,) = compiled._local.plans.values()
        assert ".take(" in plan.source
        return found

    return run


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint32"])
def test_rows_are_gathered_by_several_threads(dtype, gathered):
    data = (np.random.default_rng(0).normal(size=(700, 121)) * 100).astype(dtype)
    order = np.random.default_rng(1).integers(700, size=1001)
    np.testing.assert_array_equal(gathered(data, order), data[order] * 2)
    turned = np.asfortranarray(data)
    np.testing.assert_array_equal(gathered(turned, order, 1), data[order] * 2)
    np.testing.assert_array_equal(gathered(np.repeat(data, 2, axis=1)[:, ::2], order[::-1], 1), data[order[::-1]] * 2)


def test_rows_that_are_not_there_are_refused_as_numpy_does(gathered):
    data, order = np.random.default_rng(0).normal(size=(700, 121)), np.arange(699, -1, -1)
    gathered(data, order)
    with pytest.raises(IndexError, match="index 700 is out of bounds"):
        gathered(data, np.where(order == 5, 700, order), 1)
    from_the_end = np.where(order == 5, -1, order)
    np.testing.assert_array_equal(gathered(data, from_the_end, 1), data[from_the_end] * 2)
    np.testing.assert_array_equal(gathered(data, order, 1), data[order] * 2)


@pytest.mark.skipif(openmp._library() is None, reason="MKL's threads cannot be had here: pip install 'xpnet[mkl]'")
def test_the_number_of_threads_is_mkls():
    library = mkl.library()
    before = library.MKL_Get_Max_Threads()
    library.MKL_Set_Num_Threads(1)
    try:
        assert openmp.size() == 1
    finally:
        library.MKL_Set_Num_Threads(before)


def test_another_threading_layer_has_other_threads():
    code = "from xpnet_backends.on_numpy import openmp; print(openmp.size())"
    environment = {**os.environ, "MKL_THREADING_LAYER": "GNU"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1"


def test_the_pool_is_that_of_the_products(monkeypatch):
    for used_here, expected in ((True, openmp), (False, workers)):
        monkeypatch.setattr(mkl, "available", lambda used_here=used_here: used_here)
        assert team._pool.__wrapped__() is expected


@pytest.mark.parametrize(("there", "lends", "told"), [(True, False, True), (True, True, False), (False, False, False)])
def test_threads_that_cannot_be_had_are_told(there, lends, told, monkeypatch):
    """As with NumPy 2.1; where NumPy multiplies by another library, nothing is known."""
    monkeypatch.setattr(mkl, "available", lambda: False)
    monkeypatch.setattr(openblas, "library", lambda: object() if there else None)
    monkeypatch.setattr(openblas, "can_redirect_jobs", lambda: lends)
    (line,) = on_numpy.devices()
    assert ("OpenBLAS keeps its jobs to itself: NumPy 2.2 or later is faster" in line) is told


needs_openblas = pytest.mark.skipif(openblas.library() is None, reason="NumPy multiplies by another library here")


@needs_openblas
@pytest.mark.parametrize(
    ("told", "lends"),
    [
        (b"OpenBLAS 0.3.31.188.0  USE64BITINT DYNAMIC_ARCH NO_AFFINITY SkylakeX MAX_THREADS=64", True),
        (b"OpenBLAS 0.3.34 DYNAMIC_ARCH Haswell MAX_THREADS=64", True),
        (b"OpenBLAS 0.3.31 USE_OPENMP DYNAMIC_ARCH Haswell MAX_THREADS=64", False),
        (b"OpenBLAS 0.3.31 DYNAMIC_ARCH Haswell MAX_THREADS=1024", False),
        (b"OpenBLAS 0.3.31 DYNAMIC_ARCH Haswell SINGLE_THREADED", False),
    ],
)
def test_jobs_are_taken_from_threads_of_openblas_own_alone(told, lends, monkeypatch):
    class Function:
        def __call__(self):
            return told

    monkeypatch.setattr(openblas, "_callback", lambda library: Function())
    monkeypatch.setattr(openblas, "exported", lambda library, name: Function())
    assert (openblas._redirectable.__wrapped__() is not None) is lends


@needs_openblas
def test_an_openblas_without_that_function_keeps_its_jobs(monkeypatch):
    monkeypatch.setattr(openblas, "CALLBACK", "nothing")
    assert openblas._redirectable.__wrapped__() is None


@needs_openblas
def test_the_processor_is_called_as_openblas_calls_it(monkeypatch):
    described = openblas.exported(openblas.library(), "scipy_openblas_get_config")
    described.restype = ctypes.c_char_p
    assert openblas.core() in described().decode().split()
    monkeypatch.setattr(openblas, "_redirectable", lambda: None)
    assert openblas.core.__wrapped__() == ""
