"""The composite operations: each backend's ``xp.nn`` against NumPy formulas, and against the reference."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import xpnet
from xpnet import Sigmoid, SiLU, Softplus, nn
from xpnet.layers import Context
from xpnet.random import bits16, key_words, make_key

RNG = np.random.default_rng(3)
Z = RNG.normal(scale=3.0, size=(4, 3))
WILD = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [700.0, 710.0, 800.0]])
TARGETS = RNG.dirichlet(np.ones(3), 4)
WIDE, WIDE_TARGETS = RNG.normal(scale=3.0, size=(4, 12)), RNG.dirichlet(np.ones(12), 4)
X, W, B, DY = (RNG.normal(size=shape) for shape in ((4, 2), (2, 3), (3,), (4, 3)))
X3, DY3 = RNG.normal(size=(4, 5, 2)), RNG.normal(size=(4, 5, 3))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-z))


def normalized(x, axes, epsilon):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon), 1 / np.sqrt(variance + epsilon), mean, variance


def adam(g, p, m, v, rate, t, beta1, beta2, epsilon):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return p - rate * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon), m, v


VECTORS = (*RNG.normal(size=(3, 7)), RNG.random(7))

CASES = {
    "linear": ("linear", (X, W, B), lambda: X @ W + B),
    "linear without bias": ("linear", (X, W, None), lambda: X @ W),
    "linear of matrices": ("linear", (X3, W, B), lambda: X3 @ W + B),
    "linear backward": ("linear_backward", (X, W, DY, True), lambda: (DY @ W.T, X.T @ DY, DY.sum(0))),
    "linear backward, no dx": ("linear_backward", (X, W, DY, False), lambda: (None, X.T @ DY, DY.sum(0))),
    "linear backward of matrices": (
        "linear_backward",
        (X3, W, DY3, True),
        lambda: (DY3 @ W.T, np.einsum("abi,abu->iu", X3, DY3), DY3.sum((0, 1))),
    ),
    "bias gradient": ("bias_gradient", (DY,), lambda: DY.sum(0)),
    "sigmoid": ("sigmoid", (Z,), lambda: sigmoid(Z)),
    "sigmoid far out": ("sigmoid", (WILD,), lambda: sigmoid(WILD)),
    "softplus": ("softplus", (Z,), lambda: np.logaddexp(0, Z)),
    "softplus far out": ("softplus", (WILD,), lambda: np.logaddexp(0, WILD)),
    "softmax": ("softmax", (Z,), lambda: softmax(Z)),
    "softmax far out": ("softmax", (WILD,), lambda: softmax(WILD)),
    "log_softmax": ("log_softmax", (Z,), lambda: np.log(softmax(Z))),
    "log_softmax far out": (
        "log_softmax",
        (WILD[:1],),
        lambda: np.array([[0.0, -2e4, -1e4]]),
    ),
    "softmax of blocks": ("softmax", (DY3,), lambda: softmax(DY3)),
    "log_softmax of blocks": ("log_softmax", (DY3,), lambda: np.log(softmax(DY3))),
    "softmax_cross_entropy": (
        "softmax_cross_entropy",
        (Z, TARGETS),
        lambda: (-(TARGETS * np.log(softmax(Z))).sum(1), softmax(Z) - TARGETS),
    ),
    "softmax_cross_entropy of many classes": (
        "softmax_cross_entropy",
        (WIDE, WIDE_TARGETS),
        lambda: (-(WIDE_TARGETS * np.log(softmax(WIDE))).sum(1), softmax(WIDE) - WIDE_TARGETS),
    ),
    "sigmoid_cross_entropy": (
        "sigmoid_cross_entropy",
        (Z, TARGETS),
        lambda: (-TARGETS * np.log(sigmoid(Z)) - (1 - TARGETS) * np.log(1 - sigmoid(Z)), sigmoid(Z) - TARGETS),
    ),
    "normalize columns": ("normalize", (Z, (0,), 1e-3), lambda: normalized(Z, 0, 1e-3)),
    "normalize rows": ("normalize", (Z, (-1,), 1e-3), lambda: normalized(Z, -1, 1e-3)),
    "normalize leading axes": ("normalize", (X3, (0, 1), 1e-3), lambda: normalized(X3, (0, 1), 1e-3)),
    "normalize_backward": (
        "normalize_backward",
        (normalized(Z, 0, 1e-3)[0], normalized(Z, 0, 1e-3)[1], DY, (0,)),
        lambda: (
            normalized(Z, 0, 1e-3)[1]
            * (DY - DY.mean(0) - normalized(Z, 0, 1e-3)[0] * (DY * normalized(Z, 0, 1e-3)[0]).mean(0))
        ),
    ),
    "adam at step 1": (
        "adam",
        (*VECTORS, np.array(0.1), np.array(1.0), 0.9, 0.999, 1e-8),
        lambda: adam(*VECTORS, 0.1, 1, 0.9, 0.999, 1e-8),
    ),
    "adam at step 1000": (
        "adam",
        (*VECTORS, np.array(0.01), np.array(1000.0), 0.5, 0.9999, 1e-3),
        lambda: adam(*VECTORS, 0.01, 1000, 0.5, 0.9999, 1e-3),
    ),
    "bias_correction": ("bias_correction", (0.999, np.array(3.0)), lambda: 1 - 0.999**3),
}


def call(backend, function, arguments):
    """Call with arrays placed and everything else baked in, compiled."""
    placed = [
        backend.asarray(np.array(value), dtype=backend.float) for value in arguments if isinstance(value, np.ndarray)
    ]

    def run(*arrays):
        rest = iter(arrays)
        return function(*(next(rest) if isinstance(value, np.ndarray) else value for value in arguments))

    found = backend.compile(run)(*placed)
    found = found if isinstance(found, tuple) else (found,)
    return [None if array is None else np.array(backend.to_numpy(array)) for array in found]


@pytest.mark.parametrize("case", CASES)
def test_operation_is_its_formula(case, backend):
    name, arguments, formula = CASES[case]
    found = call(backend, getattr(backend.xp.nn, name), arguments)
    wanted = formula()
    for got, right in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        if right is None:
            assert got is None
        else:
            assert got.dtype == np.float64
            np.testing.assert_allclose(got, right, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_operation_is_its_formula_in_float32(case, backend32):
    name, arguments, formula = CASES[case]
    found = call(backend32, getattr(backend32.xp.nn, name), arguments)
    wanted = formula()
    for got, right in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        if right is not None:
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, right, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sigmoid_and_what_is_made_of_it_keep_their_digits_in_the_lower_tail(dtype, backend_name, open_backend):
    """Below z = -40, 1 + exp(z) is 1 even in float64, so that sigmoid(z) and softplus(z) are exp(z)."""
    backend = open_backend(backend_name, dtype)
    z = np.linspace(-85.0, -40.0, 31) if dtype == "float32" else np.linspace(-700.0, -40.0, 31)
    z = z.astype(dtype).astype(np.float64)
    exact, ones, xp = np.exp(z), np.ones_like(z), backend.xp
    assert len(np.unique(exact)) == len(z)
    context = Context(xp=xp)

    def slope(layer):
        return lambda z, dy: layer.backward({}, layer.forward({}, z, context)[1], dy, context)[0]

    results = {
        "sigmoid": (call(backend, xp.nn.sigmoid, (z,))[0], exact),
        "the slope of Sigmoid": (call(backend, slope(Sigmoid()), (z, ones))[0], exact),
        "the slope of SiLU": (call(backend, slope(SiLU()), (z, ones))[0], exact * (1 + z)),
        "the slope of Softplus": (call(backend, slope(Softplus()), (z, ones))[0], exact),
    }
    for target, sign in ((0.0, 1), (1.0, -1)):
        losses, slopes = call(backend, xp.nn.sigmoid_cross_entropy, (sign * z, target * ones))
        results[f"the loss of target {target}"] = (losses, exact)
        if not target:
            results["the slope of the loss"] = (slopes, exact)
    for name, (found, wanted) in results.items():
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=2e-6 if dtype == "float32" else 1e-14, err_msg=name)


def test_the_sigmoid_ends_in_0_and_1_without_a_warning(backend, backend32):
    ends = np.array([-np.inf, -1e30, -1000.0, 0.0, 1000.0, 1e30, np.inf])
    for place in (backend, backend32):
        np.testing.assert_array_equal(call(place, place.xp.nn.sigmoid, (ends,))[0], [0, 0, 0, 0.5, 1, 1, 1])


@pytest.mark.parametrize("classes", [2, 3, 8, 9, 30])
def test_argmax_is_the_first_of_equal_numbers_and_a_nan_before_all(classes, backend, backend32):
    scores = np.round(np.random.default_rng(classes).normal(size=(200, classes)))
    scores[:20] = 0.0
    scores[20:30] = -np.inf
    scores[30, -1] = np.inf
    scores[31, 1] = np.nan
    scores[32, :] = np.nan
    for place in (backend, backend32):
        found = call(place, place.xp.nn.argmax, (scores,))[0]
        np.testing.assert_array_equal(found, np.argmax(scores, axis=1))
        assert found.dtype == call(place, lambda x, xp=place.xp: xp.argmax(x, axis=1), (scores,))[0].dtype


def test_where_takes_a_python_number_and_keeps_the_dtype(backend, backend32):
    for place in (backend, backend32):
        xp = place.xp
        found = call(place, lambda x, xp=xp: xp.where(x > 0.0, 1.0, x), (np.array([-0.5, 3.0]),))[0]
        assert found.dtype == place.dtype
        np.testing.assert_array_equal(found, [-0.5, 1.0])


def test_bias_correction_keeps_its_digits_in_float32(backend32):
    """1 - 0.999**1 in float32 would lose three of seven digits."""
    found = call(backend32, backend32.xp.nn.bias_correction, (0.9999, np.array(1.0)))[0]
    np.testing.assert_allclose(found, 1e-4, rtol=1e-6)
    assert backend32.xp.nn.bias_correction(0.0, None) == 1.0


def test_one_hot(backend):
    labels = backend.asarray(np.array([2, 0, 1], dtype=np.int32))
    found = backend.compile(lambda labels: backend.xp.nn.one_hot(labels, 3, backend.float))(labels)
    assert np.array_equal(backend.to_numpy(found), np.eye(3)[[2, 0, 1]])


@pytest.mark.parametrize("table", [Z, X3, np.arange(5)], ids=["rows", "matrices", "numbers"])
def test_rows_are_taken_in_their_order(table, backend):
    order = np.array([3, 0, 0, 2], dtype=np.int32)
    run = backend.compile(lambda table, order: backend.xp.nn.rows(table, order))
    found = run(backend.asarray(table), backend.asarray(order))
    assert np.array_equal(backend.to_numpy(found), table[order])


def test_words_are_kept_modulo_two_to_the_32(backend):
    xp = backend.xp

    def run():
        words = xp.nn.words([1, 2**31, 2**32 - 1, 0x21F0AAAD])
        return xp.nn.wrap(words + words), xp.nn.wrap(words * words)

    sums, products = (backend.to_numpy(array).astype(np.int64).tolist() for array in backend.compile(run)())
    given = [1, 2**31, 2**32 - 1, 0x21F0AAAD]
    assert sums == [2 * word % 2**32 for word in given]
    assert products == [word * word % 2**32 for word in given]


def test_replacements_have_the_references_signature(backend):
    """What a layer may call on one backend, it may call on all."""
    for name, function in backend.nn.items():
        assert list(inspect.signature(function).parameters) == list(inspect.signature(getattr(nn, name)).parameters)
        kinds = [p.kind for p in inspect.signature(function).parameters.values()]
        assert kinds == [p.kind for p in inspect.signature(getattr(nn, name)).parameters.values()]


def test_every_operation_is_reachable_on_every_backend(backend):
    assert {name for name in vars(backend.xp.nn) if not name.startswith("__")} == set(nn.__all__)
    with pytest.raises(AttributeError, match="no 'convolve'"):
        backend.xp.nn.convolve  # noqa: B018


def test_the_namespace_has_no_librarys_extras(backend):
    for extra in ("einsum", "dot", "vstack", "ndarray", "random", "jit", "Tensor", "bitwise_count"):
        assert not hasattr(backend.xp, extra), extra


def test_an_unknown_replacement_is_refused(monkeypatch):
    from dataclasses import replace

    from xpnet import backend as door

    plain = xpnet.open_backend("numpy")
    with pytest.raises(xpnet.BackendError, match="sofmax"):
        door.bind(replace(plain, xp=np, nn={"sofmax": lambda xp, z: z}))


def test_a_replacement_is_used_by_the_other_operations():
    from dataclasses import replace

    from xpnet import backend as door

    halved = {"bias_correction": lambda xp, beta, step: 0.5}
    xp = door.bind(replace(xpnet.open_backend("numpy"), xp=np, nn=halved)).xp
    zero, one = np.zeros(1), np.ones(1)
    moved, _, _ = xp.nn.adam(
        one.copy(), zero.copy(), zero.copy(), zero.copy(), np.asarray(1.0), np.asarray(9.0), 0.9, 0.99, 0.0
    )
    np.testing.assert_allclose(moved, -(0.1 / 0.5) / np.sqrt(0.01 / 0.5))


def test_asarray_and_to_numpy_keep_shape_dtype_and_values(backend):
    for values in (np.asarray(3.0), np.zeros((0, 2)), np.arange(6, dtype=np.int32).reshape(2, 3), np.array([True])):
        back = backend.to_numpy(backend.asarray(values))
        assert back.shape == values.shape
        assert back.dtype == values.dtype
        assert np.array_equal(back, values)
    strided = np.arange(24.0).reshape(4, 6)[::-2, 1::2]
    assert np.array_equal(backend.to_numpy(backend.asarray(strided)), strided)
    assert backend.to_numpy(backend.asarray(np.arange(3), dtype=backend.float)).dtype == np.float64


def test_dropout_keeps_what_lies_below_its_share(open_backend):
    backend = open_backend("array-api-strict")
    xp = backend.xp
    key = make_key(xp.nn.words(key_words(0)), xp.zeros((), dtype=xp.int32), xp)
    bits = backend.to_numpy(bits16(key, 64, xp))
    for kept in sorted(bits)[::8]:  # the share itself, which is dropped, is among the bits
        mask = backend.to_numpy(xp.nn.dropout_mask(key, (8, 8), 1 - int(kept) / 65536, backend.float))
        np.testing.assert_array_equal(mask.ravel() > 0, bits < kept)
