"""Kernels on MKL's threads: when they are shared, by how many. Their numbers are in ``test_on_numpy_kernels.py``."""

import os
import subprocess
import sys

import numpy as np
import pytest
from xpnet_backends.on_numpy import compiling, loops, products, team
from xpnet_backends.on_numpy.compiling import Compiled

pytest.importorskip("numba")
needs_team = pytest.mark.skipif(
    team._library() is None, reason="MKL's threads cannot be had here: pip install 'xpnet[mkl]', XPNET_MKL=1, on Linux"
)


def planned(rows, monkeypatch):
    """Return the written function of two operations on so many rows of 512."""
    monkeypatch.setattr(compiling, "PATIENCE", -1.0)
    compiled = Compiled(lambda x, b: np.maximum(products.matmul(x, np.eye(512, dtype="float32")) + b, 0.0))
    x, b = np.random.default_rng(0).normal(size=(rows, 512)).astype("float32"), np.ones(512, "float32")
    for _ in range(4):
        found = compiled(x, b)
    np.testing.assert_array_equal(found, np.maximum(x + b, 0.0))
    (plan,) = compiled._local.plans.values()
    return plan.source


@needs_team
def test_only_work_that_is_worth_it_is_shared(monkeypatch):
    monkeypatch.setattr(team, "size", lambda: 2)
    assert "GOMP_parallel" in planned(600, monkeypatch)
    assert "GOMP_parallel" not in planned(16, monkeypatch)
    monkeypatch.setattr(team, "size", lambda: 1)
    assert "GOMP_parallel" not in planned(600, monkeypatch)


@needs_team
def test_sums_down_columns_stay_with_one_thread(monkeypatch):
    monkeypatch.setattr(compiling, "PATIENCE", -1.0)
    monkeypatch.setattr(team, "size", lambda: 2)

    def function(x):
        y = products.matmul(x, np.eye(512, dtype="float32")) * 2.0
        return y, np.sum(y, axis=0)

    compiled, x = Compiled(function), np.random.default_rng(0).normal(size=(600, 512)).astype("float32")
    for _ in range(4):
        found = compiled(x)
    for array, plain in zip(found, function(x), strict=True):
        np.testing.assert_array_equal(array, plain)
    (plan,) = compiled._local.plans.values()
    assert "kernel" in plan.source
    assert "GOMP_parallel" not in plan.source


@needs_team
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(loops.NAMES))
def test_numpys_own_loops_are_shared_bit_for_bit(name, dtype, monkeypatch):
    monkeypatch.setattr(compiling, "PATIENCE", -1.0)
    monkeypatch.setattr(team, "size", lambda: 3)
    function = getattr(np, name)
    compiled = Compiled(lambda x: function(x * 1.0))
    for count in (20_000, 20_001, 20_065):
        x = np.abs(np.random.default_rng(count).normal(size=count)).astype(dtype)
        x[:4] = 0.0, np.inf, np.nan, 1e-40
        with np.errstate(all="ignore"):
            for _ in range(4):
                found = compiled(x)
            np.testing.assert_array_equal(found.view("uint8"), function(x).view("uint8"))
    for plan in compiled._local.plans.values():
        assert f"= {name}(" in plan.source.split("GOMP_parallel")[-1]


@pytest.mark.parametrize("function", [np.add, np.frexp, np.matmul], ids=lambda function: function.__name__)
def test_only_functions_of_one_array_have_such_a_loop(function):
    assert loops._loop(function, "f") is None


def test_a_loop_that_is_not_what_it_seems_is_left_alone(monkeypatch):
    assert loops._loop(np.exp, "d") is not None
    wrong = loops._UFunc.from_address(id(np.log))
    monkeypatch.setattr(loops._UFunc, "from_address", lambda address: wrong)
    assert loops._loop.__wrapped__(np.exp, "d") is None


@pytest.fixture
def gathered(monkeypatch):
    """Return a function that gathers rows, doubles them, and has been compiled for three threads."""
    monkeypatch.setattr(compiling, "PATIENCE", -1.0)
    monkeypatch.setattr(team, "size", lambda: 3)
    compiled = Compiled(lambda data, order: np.take(data, order, axis=0) * 2)

    def run(data, order, times=4):
        for _ in range(times):
            found = compiled(data, order)
        (plan,) = [plan for plan in compiled._local.plans.values() if plan]
        assert "gather(" in plan.source
        return found

    return run


@needs_team
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint32"])
def test_rows_are_gathered_by_several_threads(dtype, gathered):
    data = (np.random.default_rng(0).normal(size=(700, 121)) * 100).astype(dtype)
    order = np.random.default_rng(1).integers(700, size=1001)
    np.testing.assert_array_equal(gathered(data, order), data[order] * 2)
    turned = np.asfortranarray(data)
    np.testing.assert_array_equal(gathered(turned, order, 1), data[order] * 2)
    np.testing.assert_array_equal(gathered(np.repeat(data, 2, axis=1)[:, ::2], order[::-1], 1), data[order[::-1]] * 2)


@needs_team
def test_rows_that_are_not_there_are_refused_as_numpy_does(gathered):
    data, order = np.random.default_rng(0).normal(size=(700, 121)), np.arange(699, -1, -1)
    gathered(data, order)
    with pytest.raises(IndexError, match="index 700 is out of bounds"):
        gathered(data, np.where(order == 5, 700, order), 1)
    from_the_end = np.where(order == 5, -1, order)
    np.testing.assert_array_equal(gathered(data, from_the_end, 1), data[from_the_end] * 2)
    np.testing.assert_array_equal(gathered(data, order, 1), data[order] * 2)


@needs_team
def test_the_number_of_threads_is_mkls(monkeypatch):
    mkl = products.loaded()
    before = mkl.MKL_Get_Max_Threads()
    mkl.MKL_Set_Num_Threads(1)
    try:
        assert team.size() == 1
    finally:
        mkl.MKL_Set_Num_Threads(before)


def test_another_threading_layer_has_other_threads():
    code = "from xpnet_backends.on_numpy import team; print(team.size())"
    environment = {**os.environ, "MKL_THREADING_LAYER": "GNU"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1"
