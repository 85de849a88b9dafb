"""MKL's products in the NumPy backend: the right numbers, the same bits everywhere, NumPy's where MKL is not asked."""

import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from test_on_numpy import check_equal, plain_numpy, trained  # noqa: F401
from xpnet_backends import machine, on_numpy
from xpnet_backends.on_numpy import mkl
from xpnet_backends.on_numpy.compiling import Compiled

import xpnet

needs_mkl = pytest.mark.skipif(not mkl.available(), reason="MKL is not used here: install it, XPNET_MKL=1")


@pytest.mark.parametrize(
    ("asked", "intel", "there", "used"),
    [
        (None, True, True, True),
        (None, False, True, False),
        ("", False, True, False),
        ("1", False, True, True),
        ("0", True, True, False),
        ("1", True, False, False),
    ],
)
def test_mkl_is_used_on_intels_processors_or_where_the_environment_asks(asked, intel, there, used, monkeypatch):
    monkeypatch.setattr(mkl, "is_loadable", lambda: True)
    monkeypatch.setattr(mkl, "library_file", lambda: Path("libmkl_rt.so") if there else None)
    monkeypatch.setattr(mkl, "is_intel", lambda: intel)
    monkeypatch.delenv("XPNET_MKL", raising=False)
    if asked is not None:
        monkeypatch.setenv("XPNET_MKL", asked)
    assert mkl.available() is used
    backend = xpnet.open_backend("numpy")
    assert (backend.xp.matmul is mkl.matmul) is used
    (told,) = on_numpy.devices()
    assert ("MKL" in told.partition(";")[0]) is used
    assert ("XPNET_MKL=1 asks" in told) is (there and not used)


def test_mkl_that_cannot_be_loaded_is_not_used_and_no_error(monkeypatch, tmp_path):
    broken = tmp_path / "libmkl_rt.so.3"
    broken.write_bytes(b"no library_file")
    monkeypatch.setattr(mkl, "library_file", lambda: broken)
    for name in ("library", "is_loadable"):
        monkeypatch.setattr(mkl, name, cache(getattr(mkl, name).__wrapped__))
    monkeypatch.setenv("XPNET_MKL", "1")
    assert not mkl.available()
    x, w = pair(200, 300, 60)
    xp = xpnet.open_backend("numpy").xp
    np.testing.assert_allclose(xp.matmul(x, w), x @ w, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(xp.nn.bias_gradient(np.ones((1000, 100), "float32")), 1000.0)
    (told,) = on_numpy.devices()
    assert told.endswith("; MKL cannot be loaded")


def test_on_windows_what_mkl_looks_for_by_name_is_loaded_before_it(monkeypatch, tmp_path):
    """Its folder is not on the PATH of a virtual environment; played here by a loader that notes what it is given."""
    folder = tmp_path / "Library" / "bin"
    folder.mkdir(parents=True)
    needed = ["mkl_core.2.dll", "mkl_intel_thread.2.dll", "mkl_def.2.dll", "mkl_avx2.2.dll", "mkl_rt.2.dll"]
    for name in [*needed, "mkl_pgi_thread.2.dll"]:
        (folder / name).touch()
    asked = []
    monkeypatch.setattr(mkl.ctypes, "CDLL", asked.append)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(mkl, "library_file", mkl.library_file.__wrapped__)
    mkl.library.__wrapped__()
    assert asked == [str(folder / name) for name in needed]


def test_another_value_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("XPNET_MKL", "yes")
    with pytest.raises(xpnet.BackendError, match="XPNET_MKL='yes' in the environment must be 1 "):
        xpnet.open_backend("numpy")


@pytest.mark.parametrize(("maker", "intel"), [("GenuineIntel", True), ("AuthenticAMD", False)])
def test_the_processors_maker_is_read_where_the_system_tells_it(maker, intel, monkeypatch, tmp_path):
    read = machine.is_intel.__wrapped__
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nvendor_id\t: {maker}\ncpu family\t: 6\n")
    monkeypatch.setattr(machine, "CPUS", told)
    assert read() is intel
    monkeypatch.setattr(machine, "CPUS", tmp_path / "none")
    monkeypatch.setattr(machine.platform, "processor", lambda: f"Intel64 Family 6 Model 85 Stepping 4, {maker}")
    assert read() is intel


def pair(rows, terms, columns, dtype="float32"):
    stream = np.random.default_rng(0)
    return stream.normal(size=(rows, terms)).astype(dtype), stream.normal(size=(terms, columns)).astype(dtype)


@needs_mkl
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(128, 784, 512), (1000, 121, 100), (4096, 64, 10), (1, 2048, 1024), (512, 200, 10)], ids=str
)
@pytest.mark.parametrize("turned", ["", "a", "b", "ab"])
def test_products_are_within_their_bound(shape, turned, dtype):
    a, b = pair(*shape, dtype)
    wanted = a.astype("longdouble") @ b.astype("longdouble")
    bound = shape[1] * np.finfo(dtype).eps * (np.abs(a).astype("longdouble") @ np.abs(b))
    a = np.asfortranarray(a) if "a" in turned else a
    b = np.asfortranarray(b) if "b" in turned else b
    assert mkl.supports(a, b)
    for found in (mkl.matmul(a, b), mkl.mkl_dot(a, b, np.empty((shape[0], shape[2]), dtype))):
        assert found.dtype == dtype
        assert np.all(np.abs(found - wanted) <= bound)


@needs_mkl
def test_bits_do_not_depend_on_where_the_matrices_lie():
    a, b = pair(100, 121, 130)
    wanted = mkl.matmul(a, b)
    for offset in range(1, 17, 5):
        moved = [np.empty(m.size + 16, m.dtype)[offset : offset + m.size].reshape(m.shape) for m in (a, b)]
        for place, matrix in zip(moved, (a, b), strict=True):
            place[...] = matrix
        np.testing.assert_array_equal(mkl.matmul(*moved), wanted)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.ones((3, 4), "float32"), np.ones((4, 5), "float32")),
        (np.ones((300, 400), "float32"), np.ones((400, 50), "float64")),
        (np.ones((300, 400), "int64"), np.ones((400, 50), "int64")),
        (np.ones((7, 300, 40), "float32"), np.ones((40, 500), "float32")),
        (np.ones((600, 800), "float32")[::2, ::2], np.ones((400, 500), "float32")),
        (np.ones((800,), "float32"), np.ones((800, 900), "float32")),
        (np.ones((300, 400), ">f4"), np.ones((400, 50), ">f4")),
    ],
    ids=["small", "mixed types", "integers", "stacked", "strided", "vector", "foreign byte order"],
)
def test_what_mkl_is_not_asked_for_is_numpys(a, b):
    assert not mkl.supports(a, b)
    np.testing.assert_array_equal(mkl.matmul(a, b), np.matmul(a, b))


def test_shapes_that_do_not_fit_are_refused_as_numpy_does():
    with pytest.raises(ValueError, match="mismatch"):
        mkl.matmul(np.ones((1000, 900), "float32"), np.ones((800, 1000), "float32"))


@needs_mkl
def test_plans_call_it_and_give_the_same_bits(plain_numpy):  # noqa: F811
    layers = [xpnet.Dense(700), "relu", xpnet.Dense(500), "relu", xpnet.Dense(3)]
    compiled = Compiled(lambda x, w: mkl.matmul(x, w) * 2.0)
    x, w = pair(200, 100, 60)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x, w), mkl.matmul(x, w) * 2.0)
    (plan,) = compiled._local.plans.values()
    assert re.search(r"mkl_dot\(x0, x1, a\d+\)", plan.source)
    check_equal(
        trained("numpy", layers, xpnet.Adam(), "float32"),
        trained(plain_numpy("float32"), layers, xpnet.Adam(), "float32"),
    )


@needs_mkl
@pytest.mark.parametrize("turned", ["", "x", "w", "xw", "strided"])
def test_a_plan_multiplies_matrices_as_they_lie(turned):
    compiled = Compiled(lambda x, w: (mkl.matmul(x, w), mkl.matmul(np.matrix_transpose(x), x)))
    x, w = pair(200, 300, 60)
    for _ in range(3):
        x = x + 1  # elsewhere at each call
        given = (np.asfortranarray(x) if "x" in turned else x, np.asfortranarray(w) if "w" in turned else w)
        if turned == "strided":
            given = (np.repeat(x, 2, axis=1)[:, ::2], w)
        found = compiled(*given)
        np.testing.assert_array_equal(found[0], mkl.matmul(*given))
        np.testing.assert_array_equal(found[1], mkl.matmul(given[0].T, given[0]))
    assert compiled._local.plans.values()


@needs_mkl
def test_the_gradient_of_few_units_is_computed_transposed():
    x, dy = pair(400, 300, 4)[0], pair(400, 300, 10)[0][:, :10].copy()
    assert mkl.transposes_product(x.T, dy)
    assert not mkl.transposes_product(x.T.copy(), dy)
    assert not mkl.transposes_product(dy.T, x)
    wanted = mkl.mkl_dot(dy.T, x, np.empty((10, 300), "float32")).T
    compiled = Compiled(lambda x, dy: mkl.matmul(np.matrix_transpose(x), dy) * 1.0)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x, dy), wanted)
    (plan,) = compiled._local.plans.values()
    assert re.search(r"mkl_dot\(v\d+, x1, a\d+\)", plan.source)


@needs_mkl
def test_what_asks_numpy_itself_gets_numpys_numbers_from_the_first_call_on():
    def function(x, w):
        return x @ w, np.sum(x, axis=0), mkl.matmul(x, w), mkl.bias_gradient(np, x)

    compiled = Compiled(function)
    x, w = pair(128, 784, 512)
    wanted = function(x, w)
    assert mkl.supports(x, w)
    assert not np.array_equal(wanted[1], wanted[3])
    for _ in range(3):
        for found, expected in zip(compiled(x, w), wanted, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert compiled._local.plans.values()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(128, 512), (32768, 2), (60_000, 10), (1000, 100), (2, 32768)], ids=str)
def test_sums_down_columns_are_within_their_bound(shape, dtype):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    assert mkl.sums_by_product(x)
    bound = shape[0] * np.finfo(dtype).eps * np.abs(x).sum(axis=0, dtype="longdouble")
    total = xpnet.open_backend("numpy").xp.nn.bias_gradient(x)
    assert total.dtype == dtype
    assert total.shape == shape[1:]
    assert np.all(np.abs(total - x.sum(axis=0, dtype="longdouble")) <= bound)
    if shape[0] > 2:  # what is held to the bound is another way to add them
        assert not np.array_equal(total, np.sum(x, axis=0))


def test_sums_do_not_depend_on_where_the_table_lies():
    x = np.random.default_rng(0).normal(size=(1000, 100)).astype("float32")
    wanted = mkl.bias_gradient(np, x)
    for offset in range(1, 17, 5):
        moved = np.empty(x.size + 16, x.dtype)[offset : offset + x.size].reshape(x.shape)
        moved[...] = x
        np.testing.assert_array_equal(mkl.bias_gradient(np, moved), wanted)


def test_plans_sum_columns_to_the_same_bits_where_the_result_is_wanted():
    nn = xpnet.open_backend("numpy").xp.nn
    compiled = Compiled(lambda x: np.concat([nn.bias_gradient(x * 2.0), np.reshape(x[:1] + 1.0, (-1,))]))
    for i in range(3):
        x = np.random.default_rng(i).normal(size=(600, 120)).astype("float32")
        found = compiled(x)
        np.testing.assert_array_equal(found, np.concat([mkl.bias_gradient(np, x * 2), x[0] + 1]))
    (plan,) = compiled._local.plans.values()
    by_mkl, by_numpy = r"mkl_dot\(a\d+, a\d+, a\d+\)", r"[ .]dot\(a\d+, a\d+, a\d+\)"
    assert re.search(by_mkl if mkl.available() else by_numpy, plan.source)
    assert "copyto" not in plan.source


@pytest.mark.parametrize(
    "x",
    [
        np.ones((10, 40), "float32"),
        np.ones((300, 400), "int32"),
        np.ones((300, 400), ">f8"),
        np.ones((300, 400), "float32").T,
        np.ones((600, 400), "float32")[::2],
        np.ones((90_000, 1), "float32"),
    ],
    ids="small integers foreign transposed strided column".split(),
)
def test_sums_of_other_tables_are_numpys(x):
    assert not mkl.sums_by_product(x)
    np.testing.assert_array_equal(mkl.bias_gradient(np, x), np.sum(x, axis=0))


@needs_mkl
def test_one_function_keeps_a_plan_for_each_order_in_memory():
    compiled = Compiled(mkl.matmul)
    x, w = pair(200, 300, 60)
    turned = np.asfortranarray(x)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x, w), mkl.matmul(x, w))
        np.testing.assert_array_equal(compiled(turned, w), mkl.matmul(turned, w))
    assert len(compiled._local.plans.values()) == 2


@needs_mkl
def test_what_a_strided_operand_is_made_into_is_multiplied_as_it_lies():
    net = xpnet.Network([xpnet.Flatten(), xpnet.Dense(512), "relu", xpnet.Dense(10)], inputs=(28, 28), seed=0)
    images = np.random.default_rng(0).normal(size=(128, 28, 28)).astype("float32")
    copied, view = np.asfortranarray(images[:64]).transpose(0, 2, 1), images[::2]  # by Flatten
    for images in (copied, copied, copied, view, view, copied):
        expected = net.predict(np.ascontiguousarray(images))
        np.testing.assert_allclose(net.predict(images), expected, rtol=1e-4, atol=1e-6)
