"""What must not change, or must change by a known factor, for any numbers: hypothesis looks for counterexamples."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

import xpnet
from xpnet import nn
from xpnet.initializers import Zeros
from xpnet.layers import BatchNorm, Context, LayerNorm
from xpnet.losses import BinaryCrossEntropy, CrossEntropy, Hinge, Huber, MeanAbsoluteError, MeanSquaredError
from xpnet.optimizers import (
    SGD,
    Adagrad,
    Adam,
    ClipByNorm,
    ClipByValue,
    Lion,
    MaxNorm,
    Nadam,
    Now,
    RMSProp,
    chain,
)
from xpnet.parameters import Layout, Param, flatten, unflatten

NUMPY = xpnet.open_backend("numpy", dtype="float64")
XP = NUMPY.xp

usual = settings(max_examples=40)
numbers = st.floats(-8.0, 8.0, width=32)
sizes = st.floats(0.125, 8.0, width=32)
tables = arrays(np.float64, (6, 3), elements=numbers)
labels = arrays(np.int32, 6, elements=st.integers(0, 2))
vectors = arrays(np.float64, 12, elements=numbers)
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


# Batches


def network(loss, reduction):
    """Return a network whose examples do not see each other."""
    kind = {"mse": MeanSquaredError, "cross_entropy": CrossEntropy}[loss]
    layers = [xpnet.Dense(4), "tanh", xpnet.Residual([LayerNorm(), xpnet.Dense(4)]), xpnet.Dense(3)]
    return xpnet.Network(layers, loss=kind(reduction=reduction), backend=NUMPY, inputs=3, seed=3)


NETWORKS = {(loss, how): network(loss, how) for loss in ("mse", "cross_entropy") for how in ("mean", "sum")}


def measure(net, x, y, **weights):
    return {"loss": np.asarray(net.evaluate(x, y, **weights)["loss"]), **net.gradients(x, y, **weights)}


def assert_same(found, wanted):
    for name, values in wanted.items():
        close(found[name], values, err_msg=name)


def targets(loss, x, y):
    return np.sin(x) if loss == "mse" else y


@usual
@given(tables, labels, st.permutations(range(6)), st.sampled_from(sorted(NETWORKS)))
def test_the_order_of_a_batch_does_not_matter(x, y, order, which):
    net, y = NETWORKS[which], targets(which[0], x, y)
    assert_same(measure(net, x[list(order)], y[list(order)]), measure(net, x, y))


@usual
@given(tables, labels, st.integers(1, 5), st.sampled_from(sorted(NETWORKS)))
def test_a_batch_is_the_sum_of_its_parts(x, y, cut, which):
    net, y = NETWORKS[which], targets(which[0], x, y)
    whole, first, rest = (measure(net, x[part], y[part]) for part in (slice(None), slice(cut), slice(cut, None)))
    shares = (cut / 6, 1 - cut / 6) if which[1] == "mean" else (1, 1)
    assert_same({name: shares[0] * first[name] + shares[1] * rest[name] for name in whole}, whole)


@usual
@given(
    tables, labels, st.lists(st.integers(0, 3), min_size=6, max_size=6).filter(any), st.sampled_from(sorted(NETWORKS))
)
def test_a_weight_is_a_repetition(x, y, weights, which):
    net, y = NETWORKS[which], targets(which[0], x, y)
    repeated = np.repeat(np.arange(6), weights)
    assert_same(measure(net, x, y, sample_weight=weights), measure(net, x[repeated], y[repeated]))


# Losses


def losses_and_slopes(loss, scores, y):
    return loss(scores, np.asarray(loss.targets(y, scores.shape[1:])), XP)


@usual
@given(tables, tables, sizes, numbers)
def test_losses_of_real_targets_scale_and_do_not_see_a_shift(z, t, c, shift):
    for loss, scaled, power in (
        (MeanSquaredError(), MeanSquaredError(), 2),
        (MeanAbsoluteError(), MeanAbsoluteError(), 1),
        (Huber(0.7), Huber(0.7 * c), 2),
    ):
        values, slopes = losses_and_slopes(loss, z, t)
        larger, steeper = losses_and_slopes(scaled, c * z, c * t)
        close(larger, c**power * values)
        if power == 2:
            close(steeper, c * slopes)
        close(losses_and_slopes(loss, -z, -t)[0], values)
        close(losses_and_slopes(loss, z + shift, t + shift)[0], values)


@usual
@given(tables, labels, numbers)
def test_losses_of_classes_do_not_see_a_shift_of_all_scores(z, y, shift):
    for loss in (CrossEntropy(), CrossEntropy(label_smoothing=0.2), Hinge()):
        values, slopes = losses_and_slopes(loss, z, y)
        close(losses_and_slopes(loss, z + shift, y)[0], values)
        close(slopes.sum(axis=1), 0.0)
        assert (values >= 0).all()


@usual
@given(tables, arrays(np.float64, (6, 3), elements=st.floats(0.0, 1.0)))
def test_no_is_the_mirror_of_yes(z, t):
    values, slopes = losses_and_slopes(BinaryCrossEntropy(), z, t)
    mirrored, opposite = losses_and_slopes(BinaryCrossEntropy(), -z, 1.0 - t)
    close(mirrored, values)
    close(opposite, -slopes)


@usual
@given(tables, labels, st.permutations(range(3)))
def test_the_names_of_the_classes_do_not_matter(z, y, order):
    renamed = np.argsort(order).astype(np.int32)[y]
    for loss in (CrossEntropy(), CrossEntropy(label_smoothing=0.3), Hinge()):
        close(losses_and_slopes(loss, z[:, list(order)], renamed)[0], losses_and_slopes(loss, z, y)[0])


finite = {
    "float32": arrays(np.float32, (4, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "float64": arrays(np.float64, (4, 3), elements=st.floats(allow_nan=False, allow_infinity=False)),
}


@pytest.mark.filterwarnings("ignore:overflow encountered in subtract")  # of two numbers at both ends of the range
@pytest.mark.parametrize("dtype", finite)
@settings(usual, max_examples=150)
@given(data=st.data())
def test_softmax_rows_sum_to_1_for_any_finite_scores(dtype, data):
    z = data.draw(finite[dtype])
    shares = nn.softmax(XP, z)
    assert shares.dtype == dtype
    assert np.isfinite(shares).all()
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=-1), 1.0, rtol=4 * np.finfo(dtype).eps)
    s = nn.sigmoid(XP, z)
    assert ((s >= 0) & (s <= 1)).all()
    np.testing.assert_allclose(s + nn.sigmoid(XP, -z), 1.0, rtol=4 * np.finfo(dtype).eps)


# Layers


@usual
@given(tables, sizes, numbers)
def test_normalization_sees_neither_scale_nor_shift(x, c, shift):
    x = x + np.arange(18.0).reshape(6, 3) ** 2  # no two values of a row or a column are equal
    params = {"gamma": np.ones(3), "beta": np.zeros(3)}
    for layer in (BatchNorm(epsilon=1e-12), LayerNorm(epsilon=1e-12)):
        y = layer.forward(params, x, Context(XP, training=True))[0]
        moved = layer.forward(params, c * x + shift, Context(XP, training=True))[0]
        np.testing.assert_allclose(moved, y, rtol=1e-6, atol=1e-6)


# Optimizers

LAYOUT = Layout(
    {
        "0": {"weight": Param((3, 2), Zeros()), "bias": Param((2,), Zeros(), decay=False)},
        "1": {"weight": Param((2, 2), Zeros())},
    }
)


def follow(optimizer, params, gradients):
    """Return the parameters after these gradients at a learning rate of 0.1."""
    params = params.copy()
    state = optimizer.init(params, LAYOUT, XP)
    for step, gradient in enumerate(gradients, 1):
        now = Now(np.asarray(0.1), np.asarray(float(step)), LAYOUT, XP)
        _, params, state = optimizer.update(gradient.copy(), params, state, now)
    return params


runs = st.lists(arrays(np.float64, 12, elements=st.floats(0.125, 8.0, width=32)), min_size=1, max_size=4)


@pytest.mark.parametrize(
    "optimizer",
    [Adam(epsilon=0.0), Nadam(epsilon=0.0), RMSProp(epsilon=0.0), Adagrad(epsilon=0.0), Lion()],
    ids=lambda optimizer: type(optimizer).__name__,
)
@usual
@given(params=vectors, gradients=runs, c=sizes)
def test_adaptive_steps_do_not_see_the_scale_of_gradients(optimizer, params, gradients, c):
    close(follow(optimizer, params, [c * g for g in gradients]), follow(optimizer, params, gradients))


@pytest.mark.parametrize("optimizer", [SGD(), SGD(momentum=0.9), SGD(momentum=0.9, nesterov=True)], ids=str)
@usual
@given(
    params=vectors,
    first=st.lists(vectors, min_size=3, max_size=3),
    other=st.lists(vectors, min_size=3, max_size=3),
    c=numbers,
)
def test_sgd_is_linear_in_its_gradients(optimizer, params, first, other, c):
    def change(gradients):
        return follow(optimizer, params, gradients) - params

    together = change([g + c * h for g, h in zip(first, other, strict=True)])
    close(together, change(first) + c * change(other), atol=1e-8)


@pytest.mark.parametrize(
    "rule", [SGD(momentum=0.5), Adam(), Nadam(), RMSProp(), Adagrad(), Lion()], ids=lambda r: type(r).__name__
)
@usual
@given(params=vectors, gradients=runs, order=st.permutations(range(12)))
def test_a_rule_treats_every_parameter_alike(rule, params, gradients, order):
    order = list(order)
    moved = follow(rule, params[order], [g[order] for g in gradients])
    np.testing.assert_array_equal(moved, follow(rule, params, gradients)[order])


@usual
@given(params=vectors, gradient=vectors, limit=sizes)
def test_clipping_and_constraints_hold_and_hold_again(params, gradient, limit):
    now = Now(np.asarray(0.1), np.asarray(1.0), LAYOUT, XP)

    def clipped(link, g):
        return link.update(g.copy(), params.copy(), {}, now)

    once = clipped(ClipByNorm(limit), gradient)[0]
    norm = np.linalg.norm(gradient)
    assert np.linalg.norm(once) <= limit * (1 + 1e-12)
    close(once * max(norm, limit), gradient * limit)
    close(clipped(ClipByNorm(limit), once)[0], once)
    held = clipped(ClipByValue(limit), gradient)[0]
    assert (np.abs(held) <= limit).all()
    np.testing.assert_array_equal(clipped(ClipByValue(limit), held)[0], held)
    short = clipped(MaxNorm(limit), gradient)[1]
    assert (np.linalg.norm(short[:6].reshape(3, 2), axis=0) <= limit * (1 + 1e-12)).all()
    close(MaxNorm(limit).update(gradient, short, {}, now)[1], short)
    np.testing.assert_array_equal(short[6:8], params[6:8])
    wide = chain(ClipByNorm(1e6), ClipByValue(1e6), SGD(), MaxNorm(1e6))
    close(follow(wide, params, [gradient]), follow(SGD(), params, [gradient]))


# Parameters

shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)
names = st.text("abcxyz", min_size=1, max_size=4)
trees = st.recursive(
    st.dictionaries(names, shapes, min_size=1, max_size=3),
    lambda inner: st.dictionaries(names, inner | shapes, min_size=1, max_size=3),
    max_leaves=6,
)


@usual
@given(trees)
def test_layouts_lose_nothing(tree):
    assert unflatten(dict(flatten(tree))) == tree
    layout = Layout(unflatten({name: Param(shape, Zeros()) for name, shape in flatten(tree)}))
    flat = np.arange(float(layout.size))
    views = layout.views(flat, XP)
    assert {name: view.shape for name, view in flatten(views)} == dict(flatten(tree))
    np.testing.assert_array_equal(layout.pack(views, XP), flat)
    np.testing.assert_array_equal(np.sort(np.concatenate([np.ravel(view) for _, view in flatten(views)])), flat)
