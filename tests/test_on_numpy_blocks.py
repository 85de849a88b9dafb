"""Products of tall matrices in blocks of rows: the right numbers, the same bits in plans, and only where it helps."""

import numpy as np
import pytest
from test_on_numpy import plain_numpy  # noqa: F401
from xpnet_backends.on_numpy import blocks, mkl
from xpnet_backends.on_numpy.compiling import Compiled

import xpnet


def pair(rows, terms, columns, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, terms)).astype(dtype), rng.normal(size=(terms, columns)).astype(dtype)


@pytest.mark.parametrize(
    ("rows", "dtype"), [(21_000, "float32"), (20 * blocks.ROWS + 1, "float32"), (11_000, "float64")]
)
@pytest.mark.parametrize("turned", [False, True], ids=["plain", "turned"])
def test_a_tall_product_is_within_the_bound_of_the_exact_one(rows, dtype, turned):
    x, w = pair(rows, 210, 12, dtype)
    w = np.asfortranarray(w) if turned else w
    assert blocks.supports(x, w)
    found = blocks.matmul(x, w)
    exact = x.astype(np.longdouble) @ w.astype(np.longdouble)
    bound = 210 * np.finfo(dtype).eps * (np.abs(x).astype("float64") @ np.abs(w).astype("float64"))
    assert found.dtype == dtype
    assert np.all(np.abs(found - exact) <= bound)
    into = np.empty_like(found)
    assert blocks.dot_in_blocks(x, w, into) is into
    np.testing.assert_array_equal(into, found)


@pytest.mark.parametrize(
    ("x", "w"),
    [
        (np.ones((2000, 210), "float32"), np.ones((210, 12), "float32")),
        (np.ones((1000, 5000), "float32"), np.ones((5000, 12), "float32")),
        (np.ones((300_000, 15), "float32"), np.ones((15, 12), "float32")),
        (np.ones((21_000, 210), "float32"), np.ones((210, 129), "float32")),
        (np.ones((210, 21_000), "float32").T, np.ones((210, 12), "float32")),
        (np.ones((42_000, 210), "float32")[::2], np.ones((210, 12), "float32")),
        (np.ones((21_000, 210), "float32"), np.ones((210, 24), "float32")[:, ::2]),
        (np.ones((21_000, 210), "float32"), np.ones((210, 12), "float64")),
        (np.ones((21_000, 210), ">f4"), np.ones((210, 12), ">f4")),
        (np.ones((21_000, 210), "int32"), np.ones((210, 12), "int32")),
        (np.ones((21_000, 210), "float32"), np.ones((1, 210, 12), "float32")),
    ],
    ids="small few-rows few-terms wide turned strided strided-weight mixed foreign integers stack".split(),
)
def test_other_products_are_numpys(x, w, monkeypatch):
    monkeypatch.setattr(blocks, "dot_in_blocks", None)
    assert not blocks.supports(x, w)
    np.testing.assert_array_equal(blocks.matmul(x, w), np.matmul(x, w))


def test_shapes_that_do_not_fit_raise_numpys_error():
    with pytest.raises(ValueError, match="matmul"):
        blocks.matmul(np.ones((21_000, 210), "float32"), np.ones((200, 12), "float32"))


def test_a_plan_multiplies_in_blocks_into_its_memory_to_the_same_bits():
    compiled = Compiled(lambda x, w: blocks.matmul(x, w) * 2.0)
    for seed in range(4):
        x, w = pair(21_000, 210, 12, seed=seed)
        np.testing.assert_array_equal(compiled(x, w), blocks.matmul(x, w) * 2.0)
    (plan,) = compiled._local.plans.values()
    named = [value for value in plan.run.__globals__.values() if callable(value)]
    assert blocks.dot_in_blocks in named
    assert np.dot not in named
    assert np.matmul not in named


@pytest.mark.skipif(mkl.available(), reason="MKL multiplies here")
def test_a_full_batch_trains_to_the_bits_of_the_plain_steps(plain_numpy, monkeypatch):  # noqa: F811
    calls = []
    dot_in_blocks = blocks.dot_in_blocks
    monkeypatch.setattr(blocks, "dot_in_blocks", lambda *arrays: calls.append(len(arrays[0])) or dot_in_blocks(*arrays))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(21_000, 210)).astype("float32"), rng.integers(3, size=21_000)
    found = []
    for backend in ("numpy", plain_numpy("float32")):
        net = xpnet.Network([xpnet.Dense(12), "sigmoid", xpnet.Dense(3)], backend=backend, inputs=210, seed=1)
        calls.clear()
        for _ in range(4):
            net.train_step(x, y)
        assert calls.count(21_000) == len(calls) >= 4
        found.append(net.get_weights())
    for name, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][name])
