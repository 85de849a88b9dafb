"""MKL's products in the NumPy backend: the right numbers, the same bits everywhere, NumPy's where MKL is not asked."""

import re

import numpy as np
import pytest
from test_on_numpy import check_equal, plain_numpy, trained  # noqa: F401
from xpnet_backends.on_numpy import products
from xpnet_backends.on_numpy.compiling import Compiled

import xpnet

needs_mkl = pytest.mark.skipif(not products.available(), reason="MKL is not installed: pip install 'xpnet[mkl]'")


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
    assert products.suits(a, b)
    for found in (products.matmul(a, b), products.multiply(a, b, np.empty((shape[0], shape[2]), dtype))):
        assert found.dtype == dtype
        assert np.all(np.abs(found - wanted) <= bound)


@needs_mkl
def test_bits_do_not_depend_on_where_the_matrices_lie():
    a, b = pair(100, 121, 130)
    wanted = products.matmul(a, b)
    for offset in range(1, 17, 5):
        moved = [np.empty(m.size + 16, m.dtype)[offset : offset + m.size].reshape(m.shape) for m in (a, b)]
        for place, matrix in zip(moved, (a, b), strict=True):
            place[...] = matrix
        np.testing.assert_array_equal(products.matmul(*moved), wanted)


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
    assert not products.suits(a, b)
    np.testing.assert_array_equal(products.matmul(a, b), np.matmul(a, b))


def test_shapes_that_do_not_fit_are_refused_as_numpy_does():
    with pytest.raises(ValueError, match="mismatch"):
        products.matmul(np.ones((1000, 900), "float32"), np.ones((800, 1000), "float32"))


@needs_mkl
def test_plans_call_it_and_give_the_same_bits(plain_numpy):  # noqa: F811
    layers = [xpnet.Dense(700), "relu", xpnet.Dense(500), "relu", xpnet.Dense(3)]
    compiled = Compiled(lambda x, w: (x @ w) * 2.0)
    x, w = pair(200, 100, 60)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x, w), products.matmul(x, w) * 2.0)
    (plan,) = compiled._local.plans.values()
    assert re.search(r"cblas_sgemm\(.*\)  # a\d+ = x0 @ x1", plan.source)
    check_equal(
        trained("numpy", layers, xpnet.Adam(), "float32"),
        trained(plain_numpy("float32"), layers, xpnet.Adam(), "float32"),
    )


@needs_mkl
@pytest.mark.parametrize("turned", ["", "x", "w", "xw", "strided"])
def test_a_plan_multiplies_matrices_as_they_lie(turned):
    compiled = Compiled(lambda x, w: (products.matmul(x, w), products.matmul(np.matrix_transpose(x), x)))
    x, w = pair(200, 300, 60)
    for _ in range(3):
        x = x + 1  # elsewhere at each call
        given = (np.asfortranarray(x) if "x" in turned else x, np.asfortranarray(w) if "w" in turned else w)
        if turned == "strided":
            given = (np.repeat(x, 2, axis=1)[:, ::2], w)
        found = compiled(*given)
        np.testing.assert_array_equal(found[0], products.matmul(*given))
        np.testing.assert_array_equal(found[1], products.matmul(given[0].T, given[0]))
    assert list(compiled._local.plans.values()) != [None]


@needs_mkl
def test_the_gradient_of_few_units_is_computed_transposed():
    x, dy = pair(400, 300, 4)[0], pair(400, 300, 10)[0][:, :10].copy()
    assert products.turns(x.T, dy)
    assert not products.turns(x.T.copy(), dy)
    assert not products.turns(dy.T, x)
    wanted = products.multiply(dy.T, x, np.empty((10, 300), "float32")).T
    compiled = Compiled(lambda x, dy: products.matmul(np.matrix_transpose(x), dy) * 1.0)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x, dy), wanted)
    (plan,) = compiled._local.plans.values()
    assert re.search(r"(a\d+) = x1\.T @ v\d+\.T", plan.source)


@needs_mkl
def test_one_function_keeps_a_plan_for_each_order_in_memory():
    compiled = Compiled(products.matmul)
    x, w = pair(200, 300, 60)
    turned = np.asfortranarray(x)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x, w), products.matmul(x, w))
        np.testing.assert_array_equal(compiled(turned, w), products.matmul(turned, w))
    assert len(compiled._local.plans) == 2


@needs_mkl
def test_what_a_strided_operand_is_made_into_is_multiplied_as_it_lies():
    net = xpnet.Network([xpnet.Flatten(), xpnet.Dense(512), "relu", xpnet.Dense(10)], inputs=(28, 28), seed=0)
    images = np.random.default_rng(0).normal(size=(128, 28, 28)).astype("float32")
    copied, view = np.asfortranarray(images[:64]).transpose(0, 2, 1), images[::2]  # by Flatten
    for images in (copied, copied, copied, view, view, copied):
        expected = net.predict(np.ascontiguousarray(images))
        np.testing.assert_allclose(net.predict(images), expected, rtol=1e-4, atol=1e-6)
