"""Every optimizer and link on every backend, against the method in plain NumPy; and what they descend."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

import xpnet
from xpnet import optimizers
from xpnet.initializers import Zeros
from xpnet.optimizers import (
    L1,
    L2,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Chain,
    ClipByNorm,
    ClipByValue,
    DecoupledWeightDecay,
    ExponentialMovingAverage,
    Lion,
    MaxNorm,
    Nadam,
    Now,
    RMSProp,
    chain,
)
from xpnet.parameters import Layout, Param
from xpnet.schedules import InverseTimeDecay
from xpnet.testing import check_optimizer

# The layout of check_optimizer: a (3, 2) weight, a bias of 2 that does not decay, a (2, 2) weight.
MASK = np.array([1.0] * 6 + [0.0] * 2 + [1.0] * 4)


def steps(method, **memory):
    """Turn one step ``method(g, p, rate, t, **memory) -> (p, memory)`` into the whole run."""

    def run(gradients, params, rates):
        kept = {name: np.full_like(params, value) for name, value in memory.items()}
        for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
            params, kept = method(g, params, rate, t, **kept)
        return params

    return run


def sgd(g, p, rate, t):
    return p - rate * g, {}


def momentum(g, p, rate, t, v):
    v = 0.9 * v + g
    return p - rate * v, {"v": v}


def nesterov(g, p, rate, t, v):
    v = 0.9 * v + g
    return p - rate * (g + 0.9 * v), {"v": v}


def adam_with(beta1=0.9, beta2=0.999, epsilon=1e-8, decay=0.0):
    def adam(g, p, rate, t, m, v):
        p = p - rate * decay * MASK * p
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        corrected = m / (1 - beta1**t), v / (1 - beta2**t)
        return p - rate * corrected[0] / (np.sqrt(corrected[1]) + epsilon), {"m": m, "v": v}

    return steps(adam, m=0.0, v=0.0)


def nadam(gradients, params, rates):
    m = v = np.zeros_like(params)
    mus = [0.9 * (1 - 0.5 * 0.96 ** (t * 0.004)) for t in range(1, len(gradients) + 2)]
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        ahead = mus[t] * m / (1 - np.prod(mus[: t + 1])) + (1 - mus[t - 1]) * g / (1 - np.prod(mus[:t]))
        params = params - rate * ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return params


def rmsprop(g, p, rate, t, v):
    v = 0.9 * v + 0.1 * g**2
    return p - rate * g / (np.sqrt(v) + 1e-8), {"v": v}


def adagrad(g, p, rate, t, v, epsilon=1e-10):
    v = v + g**2
    return p - rate * g / (np.sqrt(v) + epsilon), {"v": v}


def adadelta(g, p, rate, t, v, u):
    v = 0.95 * v + 0.05 * g**2
    d = np.sqrt(u + 1e-6) / np.sqrt(v + 1e-6) * g
    return p - rate * d, {"v": v, "u": 0.95 * u + 0.05 * d**2}


def lion(g, p, rate, t, m):
    return p - rate * np.sign(0.9 * m + 0.1 * g), {"m": 0.99 * m + 0.01 * g}


def clip_value(g, p, rate, t):
    return p - rate * np.clip(g, -0.5, 0.5), {}


def clip_norm(g, p, rate, t):
    return p - rate * g * min(1.0, 0.7 / np.linalg.norm(g)), {}


def l1(g, p, rate, t):
    return p - rate * (g + 0.3 * MASK * np.sign(p)), {}


def l2_then_momentum(g, p, rate, t, v):
    v = 0.9 * v + g + 0.3 * MASK * p
    return p - rate * v, {"v": v}


def decayed(g, p, rate, t):
    return p * (1 - rate * 0.4 * MASK) - rate * g, {}


def decayed_after(g, p, rate, t):
    return (p - rate * g) * (1 - rate * 0.4 * MASK), {}


def max_norm(g, p, rate, t):
    p = p - rate * g
    for start, shape in ((0, (3, 2)), (8, (2, 2))):
        weight = p[start : start + np.prod(shape)].reshape(shape)
        norms = np.linalg.norm(weight, axis=0)
        p[start : start + weight.size] = np.where(norms > 0.8, weight * 0.8 / norms, weight).ravel()
    return p, {}


def everything(g, p, rate, t, m, v):
    g = g + 0.1 * MASK * p
    g = g * min(1.0, 1.5 / np.linalg.norm(g))
    p = p * (1 - rate * 0.2 * MASK)
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    p = p - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return max_norm(0.0, p, 0.0, t)[0], {"m": m, "v": v}


CASES = {
    "sgd": (SGD(0.1), steps(sgd)),
    "sgd with a schedule": (SGD(InverseTimeDecay(0.1, 0.5)), steps(sgd)),
    "momentum": (SGD(0.05, momentum=0.9), steps(momentum, v=0.0)),
    "nesterov": (SGD(0.05, momentum=0.9, nesterov=True), steps(nesterov, v=0.0)),
    "adam": (Adam(), adam_with()),
    "adam with other betas": (Adam(0.1, beta1=0.0, beta2=0.5, epsilon=0.1), adam_with(0.0, 0.5, 0.1)),
    "adam with a schedule": (Adam(InverseTimeDecay(0.05, 5e-7), epsilon=1e-7), adam_with(epsilon=1e-7)),
    "adamw": (AdamW(0.05, weight_decay=0.3), adam_with(decay=0.3)),
    "nadam": (Nadam(), nadam),
    "rmsprop": (RMSProp(), steps(rmsprop, v=0.0)),
    "adagrad": (Adagrad(), steps(adagrad, v=0.0)),
    "adagrad with a large epsilon": (Adagrad(0.1, epsilon=0.5), steps(partial(adagrad, epsilon=0.5), v=0.0)),
    "adadelta": (Adadelta(), steps(adadelta, v=0.0, u=0.0)),
    "adadelta at half the rate": (Adadelta(0.5), steps(adadelta, v=0.0, u=0.0)),
    "lion": (Lion(), steps(lion, m=0.0)),
    "clip by value": (chain(ClipByValue(0.5), SGD(0.1)), steps(clip_value)),
    "clip by norm": (chain(ClipByNorm(0.7), SGD(0.1)), steps(clip_norm)),
    "clip far away": (chain(ClipByNorm(1e3), ClipByValue(1e3), SGD(0.1)), steps(sgd)),
    "l1": (chain(L1(0.3), SGD(0.1)), steps(l1)),
    "l2": (chain(L2(0.3), SGD(0.05, momentum=0.9)), steps(l2_then_momentum, v=0.0)),
    "decay": (chain(DecoupledWeightDecay(0.4), SGD(0.1)), steps(decayed)),
    "decay after": (chain(SGD(0.1), DecoupledWeightDecay(0.4)), steps(decayed_after)),
    "max-norm": (chain(SGD(0.1), MaxNorm(0.8)), steps(max_norm)),
    "average": (chain(SGD(0.1), ExponentialMovingAverage(0.5)), steps(sgd)),
    "chain of one": (chain(SGD(0.1)), steps(sgd)),
    "chain in a chain": (chain(chain(ClipByValue(0.5), SGD(0.1))), steps(clip_value)),
    "everything": (
        chain(L2(0.1), ClipByNorm(1.5), DecoupledWeightDecay(0.2), Adam(), MaxNorm(0.8), ExponentialMovingAverage()),
        steps(everything, m=0.0, v=0.0),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_optimizer_keeps_its_contract_and_its_formula(case, backend):
    optimizer, formula = CASES[case]
    check_optimizer(optimizer, backend=backend, beside=["numpy"], expected=formula)


def test_every_optimizer_and_link_has_a_case():
    def within(link):
        yield type(link)
        for inner in getattr(link, "links", ()):
            yield from within(inner)

    known = {value for name in optimizers.__all__ if isinstance(value := getattr(optimizers, name), type)}
    covered = {kind for link, _ in CASES.values() for kind in within(link)}
    assert known - {optimizers.Link, optimizers.Optimizer, Now} == covered
    assert set(optimizers.NAMES.values()) <= covered


def test_defaults_are_the_papers_own():
    assert (Adam().learning_rate, Adam().beta1, Adam().beta2, Adam().epsilon) == (1e-3, 0.9, 0.999, 1e-8)
    assert (Adadelta().learning_rate, Adadelta().rho, Adadelta().epsilon) == (1.0, 0.95, 1e-6)
    assert (Nadam().learning_rate, Nadam().momentum_decay) == (2e-3, 4e-3)
    assert (RMSProp().learning_rate, RMSProp().rho) == (1e-3, 0.9)
    assert (Lion().learning_rate, Lion().beta1, Lion().beta2) == (1e-4, 0.9, 0.99)


def parabola(p):
    return np.sum(p**2), 2 * p


def rosenbrock(p):
    x, y = p
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2, np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])


def descend(optimizer, function, start, count, backend):
    """Return where *count* steps from *start* lead."""
    layout = Layout({"0": {"weight": Param((len(start),), Zeros())}})
    xp = backend.xp
    update = backend.compile(lambda g, p, state, rate, t: optimizer.update(g, p, state, Now(rate, t, layout, xp))[1:])
    place = lambda values: backend.asarray(np.array(values, dtype=np.float64), dtype=backend.float)  # noqa: E731
    params = place(start)
    state = backend.compile(lambda params: optimizer.init(params, layout, xp))(params)
    for t in range(1, count + 1):
        here = np.array(backend.to_numpy(params))
        params, state = update(place(function(here)[1]), params, state, place(optimizer.learning_rate), place(float(t)))
    return np.array(backend.to_numpy(params))


DESCENTS = [
    (SGD(0.1), parabola, 100),
    (SGD(0.02, momentum=0.9), parabola, 300),
    (SGD(0.02, momentum=0.9, nesterov=True), parabola, 300),
    (Adam(0.1), parabola, 400),
    (AdamW(0.1), parabola, 400),
    (Nadam(0.1), parabola, 400),
    (RMSProp(0.01), parabola, 400),
    (Adagrad(0.5), parabola, 200),
    (Adadelta(3.0), parabola, 600),
    (Lion(0.01), parabola, 400),
    (chain(ClipByNorm(1.0), SGD(0.1)), parabola, 150),
    (SGD(1e-3, momentum=0.9), rosenbrock, 1500),
    (SGD(1e-3, momentum=0.9, nesterov=True), rosenbrock, 1500),
    (Adam(0.05), rosenbrock, 1500),
    (AdamW(0.05, weight_decay=0.0), rosenbrock, 1500),
    (Nadam(0.02), rosenbrock, 2500),
    (RMSProp(0.002), rosenbrock, 3500),
    (Adagrad(0.5), rosenbrock, 8000),
    (chain(ClipByNorm(1.0), SGD(1e-3, momentum=0.9)), rosenbrock, 2500),
]


@pytest.mark.parametrize(("optimizer", "function", "count"), DESCENTS, ids=lambda case: getattr(case, "__name__", None))
def test_optimizers_reach_the_bottom(optimizer, function, count, open_backend):
    start = [-1.0, 1.5]
    end = descend(optimizer, function, start, count, open_backend("numpy"))
    assert function(end)[0] < 2e-3, (optimizer, end)


def test_descent_on_a_parabola_ends_where_it_must(backend):
    end = descend(SGD(0.01), parabola, [0.5488135, 0.71518937], 1000, backend)
    np.testing.assert_allclose(np.sum(end**2), 2.3e-18, rtol=0.02)


def one_weight(optimizer, backend, **options):
    """Return a network of one 2 x 2 weight and a bias."""
    return xpnet.Network([xpnet.Dense(2)], loss="mse", optimizer=optimizer, backend=backend, inputs=2, **options)


X, Y = np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, -2.0]]), np.array([[0.5, 0.0], [1.0, -1.0], [2.0, 0.3]])


def test_a_schedule_takes_part_in_a_real_step(backend):
    """p_{t+1} = p_t - rate(t) g(p_t), with rate(t) = 0.1 / (1 + t)."""
    net = one_weight(SGD(InverseTimeDecay(0.1, 1.0)), backend)
    for t in range(3):
        before, gradients = net.get_weights(), net.gradients(X, Y)
        assert net.learning_rate == pytest.approx(0.1 / (1 + t), rel=1e-12)
        net.train_step(X, Y)
        for name, value in net.get_weights().items():
            np.testing.assert_allclose(value, before[name] - 0.1 / (1 + t) * gradients[name], rtol=1e-12, atol=1e-15)


def test_biases_and_norms_do_not_decay(backend):
    layers = [xpnet.Dense(2, bias_initializer="ones"), xpnet.BatchNorm(), xpnet.LayerNorm()]
    plain = xpnet.Network(layers, loss="mse", optimizer=SGD(0.1), backend=backend, inputs=2)
    plain.train_step(X, Y)
    for link in (L1(0.5), L2(0.5), DecoupledWeightDecay(0.5)):
        decayed = xpnet.Network(layers, loss="mse", optimizer=chain(link, SGD(0.1)), backend=backend, inputs=2)
        decayed.train_step(X, Y)
        # XLA makes two programs of these, which may round differently.
        share = 1e-12 if backend.name == "jax" else 0.0
        other = {
            name
            for name, value in decayed.get_weights().items()
            if not np.allclose(value, plain.get_weights()[name], rtol=share, atol=share)
        }
        assert other == {"0.weight"}


def test_the_average_is_that_of_the_weights(backend):
    net = one_weight(chain(SGD(0.1), ExponentialMovingAverage(0.75)), backend)
    average = net.get_weights()
    for _ in range(4):
        net.train_step(X, Y)
        average = {name: 0.75 * value + 0.25 * net.get_weights()[name] for name, value in average.items()}
    found = net.averaged().get_weights()
    for name, value in average.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-13)
    assert not np.allclose(found["0.weight"], net.get_weights()["0.weight"])


NORMED = [
    xpnet.Dense(6),
    xpnet.BatchNorm(),
    xpnet.Residual([xpnet.Dense(6)], shortcut=xpnet.Sequential([xpnet.BatchNorm()])),
]


def normed(backend, rows=40, **options):
    optimizer = chain(Adam(0.01), ExponentialMovingAverage(0.9))
    layers = [*NORMED, *options.pop("more", ()), xpnet.Dense(1)]
    net = xpnet.Network(layers, loss="mse", optimizer=optimizer, backend=backend, seed=0)
    rng = np.random.default_rng(0)
    x = rng.normal(2.0, 3.0, (rows, 3))
    y = x[:, 0] * x[:, 1]
    net.fit(x, y, epochs=4, batch_size=8, verbose=0)
    return net, x, y


def test_an_average_measures_running_statistics_anew(backend):
    """As for the weights of the average, over all rows: those of the training were measured with other weights."""
    net, x, _ = normed(backend)
    found = net.averaged(x)
    weights, before = found.get_weights(), net.get_weights()
    hidden = x @ weights["0.weight"] + weights["0.bias"]
    np.testing.assert_allclose(weights["1.running_mean"], hidden.mean(0), rtol=1e-12)
    np.testing.assert_allclose(weights["1.running_variance"], hidden.var(0, ddof=1), rtol=1e-12)
    normal = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5) * weights["1.gamma"] + weights["1.beta"]
    np.testing.assert_allclose(weights["2.shortcut.0.running_mean"], normal.mean(0), rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(weights["2.shortcut.0.running_variance"], normal.var(0, ddof=1), rtol=1e-9)
    assert found.model == net.model
    for name, value in net.get_weights().items():
        np.testing.assert_array_equal(value, before[name])
    assert [found.steps, found.epochs] == [net.steps, net.epochs]


def test_statistics_of_many_rows_are_means_over_batches(backend, monkeypatch):
    from xpnet import averaging

    net, x, _ = normed(backend, rows=41)
    whole = net.averaged(x).get_weights()
    monkeypatch.setattr(averaging, "EVALUATION_ROWS", 8)
    parts = net.averaged(x).get_weights()
    np.testing.assert_allclose(parts["1.running_mean"], whole["1.running_mean"], rtol=1e-12)
    np.testing.assert_allclose(parts["1.running_variance"], whole["1.running_variance"], rtol=0.5)
    assert not np.allclose(parts["1.running_variance"], whole["1.running_variance"], rtol=1e-6)


def test_an_average_with_running_statistics_wants_data(backend):
    net, x, _ = normed(backend, more=[xpnet.Dropout(0.2)])
    with pytest.warns(
        UserWarning, match=r"BatchNorm are still .* give the training data, net\.averaged\(x\)"
    ) as caught:
        bare = net.averaged()
    assert [one.filename for one in caught] == [__file__]
    for name in ("1.running_mean", "2.shortcut.0.running_variance"):
        np.testing.assert_array_equal(bare.get_weights()[name], net.get_weights()[name])
    with pytest.raises(xpnet.ShapeError, match="x must have shape"):
        net.averaged(x[:, :2])
    with pytest.raises(xpnet.DataError, match=r"x holds NaN: the first is x\[0, 0\]"):
        net.averaged(np.full((4, 3), np.nan))
    with pytest.raises(xpnet.DataError, match=r"x must have at least 2 rows, as BatchNorm .*; got 1"):
        net.averaged(x[:1])
    one = one_weight(chain(SGD(1e-3), ExponentialMovingAverage(0.5)), backend)
    one.train_step(X, Y)
    assert one.averaged(X).get_weights().keys() == one.averaged().get_weights().keys()


class Block(xpnet.Residual):
    def __init__(self, units):
        super().__init__([xpnet.Dense(units), Slow()])


class Slow(xpnet.BatchNorm):
    def __init__(self):
        super().__init__(momentum=0.99)


class Stack(xpnet.Sequential):
    def __init__(self):
        super().__init__(["batch_norm"])


def test_an_average_measures_statistics_in_classes_with_arguments_of_their_own(backend):
    net, x, _ = normed(backend, more=[Block(6), Stack()])
    with pytest.warns(UserWarning, match="give the training data"):
        net.averaged()
    found = net.averaged(x)
    weights, seen = found.get_weights(), found.trace(x)
    for layer, given in {"3.1": "3.0.output", "4.0": "3.output"}.items():
        np.testing.assert_allclose(weights[f"{layer}.running_mean"], seen[given].mean(0), rtol=1e-9, atol=1e-12)
    assert found.model == net.model


def test_the_average_starts_from_weights_that_were_set_before_the_first_step(backend):
    net = one_weight(chain(SGD(1e-3), ExponentialMovingAverage(0.5)), backend)
    net.learning_rate = 2e-3
    net.set_weights({"0.weight": [[3.0, 0.5], [4.0, 0.25]], "0.bias": [9.0, 8.0]})
    given = net.get_weights()
    np.testing.assert_array_equal(net.averaged().get_weights()["0.weight"], given["0.weight"])
    net.train_step(X, Y)
    assert net.last_learning_rate == pytest.approx(2e-3)
    for name, value in net.averaged().get_weights().items():
        np.testing.assert_allclose(value, 0.5 * given[name] + 0.5 * net.get_weights()[name], rtol=1e-13)
    before = net.averaged().get_weights()
    net.set_weights(given)  # later, the average is of the steps
    np.testing.assert_array_equal(net.averaged().get_weights()["0.weight"], before["0.weight"])


def test_max_norm_holds_every_unit_and_leaves_small_ones(backend):
    net = one_weight(chain(SGD(0.5), MaxNorm(0.5)), backend)
    net.set_weights({"0.weight": [[3.0, 0.01], [4.0, 0.02]], "0.bias": [9.0, 9.0]})
    net.train_step(X, Y)
    norms = np.linalg.norm(net.get_weights()["0.weight"], axis=0)
    assert (norms <= 0.5 + 1e-12).all()
    assert np.abs(net.get_weights()["0.bias"]).max() > 0.5


def updated(link, gradient, params, layout, backend):
    """Return gradient and parameters after one update, on the host."""
    placed = [backend.asarray(np.array(values, dtype=np.float64)) for values in (gradient, params)]
    run = backend.compile(lambda g, p: link.update(g, p, {}, Now(0.1, 1.0, layout, backend.xp))[:2])
    found = run(*placed)
    return [backend.to_numpy(vector) for vector in found]


def test_max_norm_takes_decaying_weights_of_two_axes_or_more_over_all_but_the_last(backend):
    params = {
        "kernel": Param((3, 2, 4), Zeros()),
        "held": Param((2, 2), Zeros(), decay=False),
        "scale": Param((3,), Zeros()),
    }
    layout = Layout({"0": params})
    before = np.linspace(1.0, 3.0, layout.size)
    kernel = before[:24].reshape(3, 2, 4)
    scaled = kernel * 0.5 / np.sqrt((kernel**2).sum(axis=(0, 1)))
    _, after = updated(MaxNorm(0.5), np.zeros(layout.size), before, layout, backend)
    np.testing.assert_allclose(after, [*scaled.ravel(), *before[24:]], rtol=1e-14)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_a_gradient_whose_square_overflows_is_clipped_to_0(backend):
    layout = Layout({"0": {"weight": Param((3,), Zeros())}})
    huge, _ = updated(ClipByNorm(2.0), [1e200, -3.0, 0.0], np.ones(3), layout, backend)
    np.testing.assert_array_equal(huge, 0.0)
    large, _ = updated(ClipByNorm(2.0), [3e150, -4e150, 0.0], np.ones(3), layout, backend)
    np.testing.assert_allclose(large, [1.2, -1.6, 0.0], rtol=1e-14)


def test_a_batch_is_one_example_where_an_update_is_told_nothing_else(backend):
    assert Now(0.1, 1.0, Layout({}), backend.xp).weight == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(0.0), "learning_rate"),
        (lambda: SGD(float("nan")), "got nan"),
        (lambda: SGD("fast"), "'fast'"),
        (lambda: Adam(True), "got True"),
        (lambda: SGD(0.1, momentum=1.0), "momentum"),
        (lambda: SGD(0.1, nesterov=True), "nesterov needs momentum"),
        (lambda: Adam(beta1=1.0), "beta1"),
        (lambda: Nadam(beta2=-0.1), "beta2"),
        (lambda: Adam(epsilon=-1.0), "epsilon"),
        (lambda: AdamW(weight_decay=float("inf")), "weight_decay"),
        (lambda: RMSProp(rho=2.0), "rho"),
        (lambda: Adadelta(epsilon=0.0), "epsilon must be a finite number above 0"),
        (lambda: ClipByNorm(0.0), "limit"),
        (lambda: ClipByValue(-1.0), "limit"),
        (lambda: MaxNorm(float("inf")), "limit"),
        (lambda: L1(-1.0), "rate"),
        (lambda: ExponentialMovingAverage(1.0), "decay"),
        (lambda: chain(), "exactly one optimizer .* got 0: no link"),
        (lambda: chain(L2(), ClipByNorm()), "got 0: L2"),
        (lambda: chain(Adam(), SGD()), "got 2"),
        (lambda: chain("adam"), "as objects; got 'adam'"),
        (lambda: chain(Adam), "as objects"),
        (lambda: Chain(Adam()), r"a tuple of links; write chain\(Adam"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(xpnet.ConfigurationError, match=message):
        make()


GRADIENT, WEIGHTS = "so it has no effect after the optimizer", "acts on the weights that a step has made"


@pytest.mark.parametrize(
    ("links", "reason", "written"),
    [
        ((Adam(), L2(0.1)), rf"L2\(rate=0.1\) changes the gradient, {GRADIENT}", "chain(L2(...), Adam(...))"),
        ((SGD(0.1), L1(0.1)), GRADIENT, "chain(L1(...), SGD(...))"),
        ((SGD(0.1), ClipByNorm(1.0)), GRADIENT, "chain(ClipByNorm(...), SGD(...))"),
        ((SGD(0.1), ClipByValue(1.0)), GRADIENT, "chain(ClipByValue(...), SGD(...))"),
        ((MaxNorm(1.0), Adam()), rf"MaxNorm\(limit=1.0\) {WEIGHTS}", "chain(Adam(...), MaxNorm(...))"),
        ((ExponentialMovingAverage(), Adam()), WEIGHTS, "chain(Adam(...), ExponentialMovingAverage(...))"),
        ((chain(ClipByNorm(1.0), SGD(0.1)), L2(0.1)), GRADIENT, "chain(L2(...), chain(...))"),
        (
            (L1(0.1), MaxNorm(1.0), L2(0.1), Adam(), DecoupledWeightDecay(), ClipByNorm(1.0)),
            WEIGHTS,
            "chain(L1(...), L2(...), ClipByNorm(...), Adam(...), MaxNorm(...), DecoupledWeightDecay(...))",
        ),
    ],
)
def test_links_on_the_side_where_they_do_nothing_are_refused_with_the_right_order(links, reason, written):
    with pytest.raises(xpnet.ConfigurationError, match=f"{reason}.*write {re.escape(written)}$"):
        chain(*links)


def test_links_of_one_s_own_stand_on_either_side():
    class Halve:
        def init(self, params, layout, xp):
            return {}

        def update(self, gradient, params, state, now):
            return gradient * 0.5, params, state

    halve = Halve()
    assert chain(halve, SGD(0.1), halve).links == (halve, SGD(0.1), halve)


def test_optimizers_of_one_family_take_their_arguments_in_one_order():
    shared = ["learning_rate", "beta1", "beta2", "epsilon"]
    for kind in (Adam, AdamW, Nadam):
        assert list(inspect.signature(kind).parameters)[:4] == shared


@dataclass(frozen=True)
class OfGradients:
    """A moving average of gradients."""

    def init(self, params, layout, xp):
        return {"gradient_average": xp.zeros_like(params)}

    def update(self, gradient, params, state, now):
        return gradient, params, {"gradient_average": 0.9 * state["gradient_average"] + 0.1 * gradient}


def test_only_an_average_of_the_weights_is_taken_for_them(backend):
    def trained(*links):
        net = xpnet.Network([xpnet.Dense(2)], optimizer=chain(*links), seed=0, inputs=3, backend=backend)
        net.train_step(np.eye(3), [0, 1, 0])
        return net

    net = trained(OfGradients(), chain(SGD(0.1), ExponentialMovingAverage(0.5)))
    alone = trained(SGD(0.1), ExponentialMovingAverage(0.5))
    for name, value in alone.averaged().get_weights().items():
        np.testing.assert_array_equal(net.averaged().get_weights()[name], value)
    with pytest.raises(xpnet.ConfigurationError, match="no average is kept"):
        trained(OfGradients(), SGD(0.1)).averaged()
