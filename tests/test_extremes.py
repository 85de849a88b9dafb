"""Inputs that are huge, tiny, denormal, all equal or of one class: finite wherever the mathematics is."""

from __future__ import annotations

import numpy as np
import pytest
from test_layers import CASES

import xpnet
from xpnet.layers import BatchNorm, Context, LayerNorm, Residual, Sequential
from xpnet.losses import BinaryCrossEntropy, CrossEntropy, Hinge, Huber, MeanAbsoluteError, MeanSquaredError, Quantile
from xpnet.parameters import flatten, unflatten
from xpnet.random import key_words, make_key
from xpnet.testing.extremes import extremes

HUGE = {"float32": (1e18, 1e30), "float64": (1e150, 1e300)}
"""Numbers whose square is finite, and numbers whose square is not."""

NAMES = [f"{i}-{type(layer).__name__}" for i, (layer, _) in enumerate(CASES)]


def results(layer, x, backend, training):
    """Yield output, gradients and new state of one pass with weights of the order of 1, by name."""
    stream, xp = np.random.default_rng(0), backend.xp
    built = layer.build(x.shape[1:])

    def draw(tree, least, most):
        arrays = {name: stream.uniform(least, most, param.shape) for name, param in flatten(tree)}
        return unflatten({name: backend.asarray(values, dtype=backend.float) for name, values in arrays.items()})

    params, state = draw(built.params, -1.0, 1.0), draw(built.state, 0.5, 1.5)
    key = make_key(xp.nn.words(key_words(0)), xp.zeros((), dtype=xp.int32), xp)
    context = Context(xp, training, key if training else None, state)
    dy = backend.asarray(stream.normal(size=(len(x), *built.out_shape)), dtype=backend.float)
    y, residuals = layer.forward(params, backend.asarray(x, dtype=backend.float), context)
    dx, gradients = layer.backward(params, residuals, dy, context)
    yield from flatten({"output": y, "dx": dx, "gradients": gradients})
    if training and built.state:
        yield from flatten(layer.advance(state, residuals))


def normalizes(layer):
    """Tell whether a layer keeps a variance, which is the square of its input and as little finite."""
    inside = [*getattr(layer, "layers", ()), getattr(layer, "shortcut", None)]
    return isinstance(layer, BatchNorm | LayerNorm) or any(normalizes(child) for child in inside if child)


@pytest.mark.filterwarnings("ignore:overflow encountered in multiply")  # of a variance that is infinite
@pytest.mark.parametrize("training", [True, False], ids=["training", "prediction"])
@pytest.mark.parametrize("dtype", HUGE)
@pytest.mark.parametrize(("layer", "in_shape"), CASES, ids=NAMES)
def test_layers_are_finite_on_extreme_inputs(layer, in_shape, dtype, training, open_backend):
    backend = open_backend("numpy", dtype)
    for largest in HUGE[dtype]:
        for what, x in extremes((4, *in_shape), dtype, largest):
            for name, array in results(layer, x, backend, training):
                overflows = normalizes(layer) and largest == HUGE[dtype][1] and "variance" in name
                assert np.isfinite(array).all() or overflows, f"{name} for {what}"


@pytest.mark.parametrize("dtype", HUGE)
def test_gelu_is_a_ramp_far_out_forward_and_back(dtype, open_backend):
    backend = open_backend("numpy", dtype)
    x = np.array([[-HUGE[dtype][1], -50.0, 50.0, HUGE[dtype][1]]])
    found = dict(results(xpnet.GELU(), x, backend, False))
    np.testing.assert_array_equal(found["output"], np.maximum(x, 0).astype(dtype))
    ramp = dict(results(xpnet.ReLU(), x, backend, False))
    np.testing.assert_array_equal(found["dx"], ramp["dx"])


CLASSES = np.array([1, 1, 1, 1])
ONE_CLASS = {
    "cross-entropy": (CrossEntropy(), CLASSES, (3,)),
    "smoothed": (CrossEntropy(label_smoothing=0.1), CLASSES, (3,)),
    "binary": (BinaryCrossEntropy(), CLASSES, (1,)),
    "hinge": (Hinge(), CLASSES, (3,)),
    "one margin": (Hinge(), CLASSES, (1,)),
    "mse": (MeanSquaredError(), np.zeros((4, 2)), (2,)),
    "mae": (MeanAbsoluteError(), np.zeros((4, 2)), (2,)),
    "huber": (Huber(), np.zeros((4, 2)), (2,)),
    "quantile": (Quantile(0.3), np.zeros((4, 2)), (2,)),
}


@pytest.mark.parametrize("dtype", HUGE)
@pytest.mark.parametrize("case", ONE_CLASS)
def test_losses_are_finite_on_extreme_scores_of_one_class(case, dtype, open_backend):
    backend = open_backend("numpy", dtype)
    loss, y, out_shape = ONE_CLASS[case]
    targets = loss.targets(y, out_shape)
    placed = backend.asarray(targets, dtype=backend.xp.int32 if targets.dtype.kind in "iu" else backend.float)
    square = isinstance(loss, MeanSquaredError)
    for largest in HUGE[dtype][: 1 if square else 2]:
        for what, scores in extremes((4, *out_shape), dtype, largest):
            losses, slopes = loss(backend.asarray(scores, dtype=backend.float), placed, backend.xp)
            assert np.isfinite(losses).all(), what
            assert np.isfinite(slopes).all(), what
            assert (losses >= 0).all(), what


def test_the_squared_errors_slope_is_finite_where_its_square_is_not(open_backend):
    backend = open_backend("numpy")
    with pytest.warns(RuntimeWarning, match="overflow"):
        losses, slopes = MeanSquaredError()(np.full((2, 2), 1e300), np.zeros((2, 2)), backend.xp)
    assert np.isinf(losses).all()
    np.testing.assert_array_equal(slopes, 1e300)


@pytest.mark.parametrize("dtype", HUGE)
def test_cross_entropy_is_finite_while_scores_can_be_subtracted(dtype, open_backend):
    backend = open_backend("numpy", dtype)
    half = float(np.finfo(dtype).max) / 2
    scores = backend.asarray(np.array([[half, -half], [-half, half]]), dtype=backend.float)
    losses, slopes = CrossEntropy()(scores, np.array([0, 0], dtype=np.int32), backend.xp)
    np.testing.assert_array_equal(losses, [0.0, 2 * half])
    np.testing.assert_array_equal(slopes, [[0.0, 0.0], [-1.0, 1.0]])


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("dtype", HUGE)
def test_cross_entropys_slope_is_right_where_its_loss_is_not_finite(dtype, open_backend):
    backend = open_backend("numpy", dtype)
    end = float(np.finfo(dtype).max)
    scores = backend.asarray(np.array([[end, -end], [-end, end]]), dtype=backend.float)
    losses, slopes = CrossEntropy()(scores, np.array([0, 0], dtype=np.int32), backend.xp)
    assert not np.isfinite(losses).any()
    np.testing.assert_array_equal(slopes, [[0.0, 0.0], [-1.0, 1.0]])


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-45, 1e-38, 1e4, -1e4])
def test_a_network_of_equal_rows_of_one_class_trains(value, backend32):
    layers = [Sequential([xpnet.Dense(4), BatchNorm(), xpnet.GELU()]), Residual([xpnet.Dense(4)]), xpnet.Dense(3)]
    net = xpnet.Network(layers, backend=backend32, inputs=2, seed=0)
    history = net.fit(np.full((8, 2), value, dtype=np.float32), np.ones(8, dtype=int), epochs=3, verbose=0)
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(values).all() for values in net.get_weights().values())
