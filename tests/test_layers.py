"""Every layer and container, on every backend: gradients, purity and shapes, through one suite."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, is_dataclass, replace

import numpy as np
import pytest

import xpnet
from xpnet import layers
from xpnet.layers import (
    ELU,
    GELU,
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    Identity,
    LayerNorm,
    LeakyReLU,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
)
from xpnet.layers.base import Context
from xpnet.layers.names import NAMES
from xpnet.testing import check_layer

CASES = [
    (Identity(), (3,)),
    (Sigmoid(), (3,)),
    (Tanh(), (3,)),
    (ReLU(), (3,)),
    (LeakyReLU(), (3,)),
    (LeakyReLU(0.3), (3,)),
    (ELU(), (3,)),
    (ELU(0.5), (3,)),
    (GELU(), (3,)),
    (SiLU(), (3,)),
    (Softplus(), (3,)),
    (Step(), (3,)),
    (Softmax(), (4,)),
    (Softmax(), (2, 3)),
    (Dropout(0.4), (4,)),
    (Dropout(0.0), (2,)),
    (Dropout(0.5), (3, 3)),
    (Dense(2), (3,)),
    (Dense(1), (1,)),
    (Dense(2, bias=False), (3,)),
    (Dense(2), (2, 3)),
    (BatchNorm(), (3,)),
    (BatchNorm(momentum=0.0, epsilon=0.1), (2,)),
    (BatchNorm(), (2, 3)),
    (LayerNorm(), (3,)),
    (LayerNorm(epsilon=0.1), (2, 3)),
    (Flatten(), (2, 3)),
    (Flatten(), (3,)),
    (Reshape((3, -1)), (6,)),
    (Reshape(6), (2, 3)),
    (Sequential([Dense(4), BatchNorm(), ReLU(), Dropout(0.3), Dense(2)]), (3,)),
    (Sequential([Flatten(), Dense(3), Tanh()]), (2, 2)),
    (Sequential([ReLU(), Identity()]), (3,)),
    (Residual([Dense(3), Tanh()]), (3,)),
    (Residual([Dense(2), SiLU(), Dropout(0.3)], shortcut=Dense(2, bias=False)), (3,)),
    (Residual([Dense(2)], shortcut=Sequential([Dense(2), BatchNorm()])), (3,)),
    (Residual([Tanh()], shortcut=Dropout(0.5)), (3,)),
    (
        Sequential(
            [
                Residual(
                    [Sequential([LayerNorm(), Dense(4)]), Residual([GELU()]), Dropout(0.2), Dense(3), BatchNorm()]
                ),
                Softplus(),
                Dense(2),
            ]
        ),
        (3,),
    ),
]


@pytest.mark.parametrize(
    ("layer", "in_shape"), CASES, ids=[f"{i}-{type(case[0]).__name__}" for i, case in enumerate(CASES)]
)
def test_layer_keeps_its_contract(layer, in_shape, backend):
    check_layer(layer, in_shape, backend=backend, beside=["numpy"])


def test_every_public_layer_has_a_case():
    def within(layer):
        yield type(layer)
        for child in getattr(layer, "layers", ()):
            yield from within(child)

    alone = {type(layer) for layer, _ in CASES}
    public = {getattr(layers, name) for name in layers.__all__} - {layers.Built, layers.Context, layers.Layer}
    assert alone == public
    assert public - {Residual, Sequential} <= {kind for layer, _ in CASES for kind in within(layer)}


def test_a_layer_is_a_frozen_comparable_printable_record():
    for layer, _ in CASES:
        assert is_dataclass(layer)
        assert layer == replace(layer)
        assert hash(layer) == hash(replace(layer))
        assert eval(repr(layer), vars(layers).copy()) == layer
    with pytest.raises(FrozenInstanceError):
        Dense(2).units = 3


@pytest.mark.parametrize("name", NAMES)
def test_names_stand_for_layers_with_their_defaults(name):
    assert Sequential([name]).layers == (NAMES[name](),)


def forward(layer, x, backend, training=False, **params):
    from xpnet.layers import Context
    from xpnet.random import key_words, make_key

    xp = backend.xp
    state = {name: param.initializer(None, param.shape) for name, param in layer.build(x.shape[1:]).state.items()}
    arrays = {name: backend.asarray(np.asarray(value, dtype=np.float64)) for name, value in params.items()}
    state = {name: backend.asarray(value) for name, value in state.items()}

    def run(x, arrays, state):
        key = make_key(xp.nn.words(key_words(0)), xp.zeros((), dtype=xp.int32), xp)
        return layer.forward(arrays, x, Context(xp, training, key, state))[0]

    return backend.to_numpy(backend.compile(run)(backend.asarray(np.array(x)), arrays, state))


POINTS = np.array([[-800.0, -2.0, -0.5, 0.0], [0.5, 2.0, 30.0, 800.0]])


def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


FORMULAS = [
    (Identity(), lambda x: x),
    (Sigmoid(), sigmoid),
    (Tanh(), np.tanh),
    (ReLU(), lambda x: np.where(x > 0, x, 0)),
    (LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    (ELU(0.7), lambda x: np.where(x > 0, x, 0.7 * (np.exp(np.minimum(x, 0)) - 1))),
    (GELU(), lambda x: x * sigmoid(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    (SiLU(), lambda x: x * sigmoid(x)),
    (Softplus(), lambda x: np.logaddexp(0, x)),
    (Step(), lambda x: np.heaviside(x, 0)),
    (Softmax(), lambda x: np.exp(x - x.max(1, keepdims=True)) / np.exp(x - x.max(1, keepdims=True)).sum(1)[:, None]),
]


@pytest.mark.parametrize(("layer", "formula"), FORMULAS, ids=[type(layer).__name__ for layer, _ in FORMULAS])
def test_activations_are_their_formulas_even_far_out(layer, formula, backend):
    np.testing.assert_allclose(forward(layer, POINTS, backend), formula(POINTS), rtol=1e-13, atol=1e-15)


def test_dense_is_x_w_plus_b(backend):
    weight = np.array([[0.2, 0.5, -0.26], [0.8, -0.91, -0.27], [-0.5, 0.26, 0.17], [1.0, -0.5, 0.87]])
    y = forward(Dense(3), np.array([[1.0, 2.0, 3.0, 2.5]]), backend, weight=weight, bias=[2.0, 3.0, 0.5])
    np.testing.assert_allclose(y, [[4.8, 1.21, 2.385]], rtol=1e-14)


def test_batch_norm_makes_each_feature_mean_0_and_variance_1(backend):
    x = np.random.default_rng(0).normal(3.0, 5.0, (50, 4))
    y = forward(BatchNorm(epsilon=1e-12), x, backend, training=True, gamma=np.ones(4), beta=np.zeros(4))
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(0), 1, rtol=1e-9)


def test_layer_norm_makes_each_example_mean_0_and_variance_1(backend):
    x = np.random.default_rng(0).normal(3.0, 5.0, (4, 50))
    y = forward(LayerNorm(epsilon=1e-12), x, backend, gamma=np.ones(50), beta=np.zeros(50))
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(1), 1, rtol=1e-9)


def test_rows_without_weight_are_rows_to_batch_norm(backend):
    x, weights = np.random.default_rng(0).normal(size=(6, 2)), np.array([1.0, 1, 1, 1, 0, 0])
    net, unweighted = (xpnet.Network([BatchNorm()], loss="mse", backend=backend, inputs=2) for _ in range(2))
    net.train_step(x, x, weights)
    unweighted.train_step(x, x)
    for name in ("0.running_mean", "0.running_variance"):
        np.testing.assert_array_equal(net.get_weights()[name], unweighted.get_weights()[name])


def test_running_statistics_follow_their_formula_with_bessels_correction(backend):
    rng = np.random.default_rng(0)
    momentum, epsilon = 0.75, 1e-3
    net = xpnet.Network(
        [BatchNorm(momentum=momentum, epsilon=epsilon)],
        loss="mse",
        optimizer=xpnet.SGD(1e-30),
        backend=backend,
        inputs=2,
    )
    mean, variance = np.zeros(2), np.ones(2)
    for _ in range(3):
        x = rng.normal(2.0, 3.0, (6, 2))
        net.train_step(x, x)
        mean = momentum * mean + (1 - momentum) * x.mean(0)
        variance = momentum * variance + (1 - momentum) * x.var(0, ddof=1)
    weights = net.get_weights()
    np.testing.assert_allclose(weights["0.running_mean"], mean, rtol=1e-13)
    np.testing.assert_allclose(weights["0.running_variance"], variance, rtol=1e-13)
    np.testing.assert_allclose(
        backend.to_numpy(net.predict(x)), (x - mean) / np.sqrt(variance + epsilon), rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("shape", [(2, 2), (2, 3, 2)])
def test_the_running_variance_counts_every_row(shape, backend):
    x = np.random.default_rng(0).normal(size=shape)
    net = xpnet.Network([BatchNorm(momentum=0.0)], loss="mse", backend=backend, inputs=shape[1:])
    net.train_step(x, x)
    variance = x.reshape(-1, 2).var(0, ddof=1)
    np.testing.assert_allclose(net.get_weights()["0.running_variance"], variance, rtol=1e-13)


@pytest.mark.parametrize("layer", [LeakyReLU(0.3), ELU(0.3)], ids=["leaky", "elu"])
def test_the_slope_at_0_is_that_from_below(layer, backend):
    context = layers.Context(backend.xp, False, None, {})

    def slope(x, dy):
        return layer.backward({}, layer.forward({}, x, context)[1], dy, context)[0]

    dx = backend.compile(slope)(backend.asarray(np.zeros((1, 2))), backend.asarray(np.ones((1, 2))))
    np.testing.assert_allclose(backend.to_numpy(dx), 0.3, rtol=1e-15)


def test_a_weight_decays_and_a_bias_does_not():
    assert {name: param.decay for name, param in Dense(2).build((3,)).params.items()} == {"weight": True, "bias": False}


def test_a_container_is_random_if_a_layer_of_it_is():
    assert not Sequential([Dense(2), "relu"]).random
    assert Sequential([Dense(2), Sequential([Dropout(0.1)])]).random
    assert not Residual([Dense(2)], shortcut=Dense(2)).random
    assert Residual([Dense(2)], shortcut=Dropout(0.1)).random
    assert Residual([Dropout(0.1)], shortcut=Dense(2)).random


@pytest.mark.parametrize(("wanted", "asked"), [(True, [True, True]), (False, [True, False])])
def test_no_layer_is_asked_for_a_gradient_that_nobody_needs(wanted, asked):
    """Of the first layer that learns, the input's; backward begins with the last layer."""
    found = []

    class Watched(Dense):
        def backward(self, params, x, dy, context):
            found.append(context.input_gradient)
            return super().backward(params, x, dy, context)

    backend = xpnet.open_backend("numpy", dtype="float64")
    context = Context(backend.xp, training=True, input_gradient=wanted)
    model = Sequential([Watched(2), "tanh", Watched(2)])
    params = {name: {"weight": np.ones((2, 2)), "bias": np.zeros(2)} for name in ("0", "2")}
    _, residuals = model.forward(params, np.ones((3, 2)), context)
    dx, _ = model.backward(params, residuals, np.ones((3, 2)), context)
    assert found == asked
    assert (dx is not None) == wanted


@pytest.mark.parametrize("layer", [BatchNorm(), LayerNorm()], ids=["batch", "layer"])
def test_what_a_norm_learns_does_not_decay(layer):
    assert [param.decay for param in layer.build((3,)).params.values()] == [False, False]


def test_a_batch_of_one_row_moves_the_running_mean_alone(backend):
    """It has no variance; a last batch of one row would end every epoch by taking in a variance of 0."""
    rng = np.random.default_rng(0)
    x = rng.normal(2.0, 3.0, (9, 2))
    whole, rest = (
        xpnet.Network([BatchNorm(), Dense(1)], loss="mse", optimizer=xpnet.SGD(1e-30), backend=backend, inputs=2)
        for _ in range(2)
    )
    whole.fit(x[:8], x[:8, 0], epochs=1, batch_size=8, shuffle=False, verbose=0)
    rest.fit(x, x[:, 0], epochs=1, batch_size=8, shuffle=False, verbose=0)  # a batch of eight and one of one
    for _ in range(3):  # a plan that was recorded, too
        rest.train_step(x[8:], x[8:, 0])
    found, wanted = rest.get_weights(), whole.get_weights()
    np.testing.assert_array_equal(found["0.running_variance"], wanted["0.running_variance"])
    mean = 0.9**4 * wanted["0.running_mean"] + (1 - 0.9**4) * x[8]
    np.testing.assert_allclose(found["0.running_mean"], mean, rtol=1e-12)
    assert all(np.isfinite(value).all() for value in found.values())
    assert rest.steps == 5


def test_one_row_with_several_places_moves_running_statistics(backend):
    net = xpnet.Network([BatchNorm(momentum=0.0)], loss="mse", backend=backend, inputs=(3, 2))
    x = np.random.default_rng(0).normal(size=(1, 3, 2))
    net.train_step(x, x)
    np.testing.assert_allclose(net.get_weights()["0.running_mean"], x[0].mean(0), rtol=1e-13)


def test_evaluation_leaves_running_statistics_alone(backend):
    net = xpnet.Network([BatchNorm(), Dense(1)], loss="mse", backend=backend, inputs=2)
    x = np.random.default_rng(0).normal(size=(8, 2))
    net.fit(x, x[:, 0], epochs=1, verbose=0)
    before = net.get_weights()
    net.evaluate(x, x[:, 0])
    net.predict(x)
    net.gradients(x, x[:, 0])
    after = net.get_weights()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_dropout_is_the_identity_outside_training(backend):
    x = np.random.default_rng(0).normal(size=(20, 5))
    assert np.array_equal(forward(Dropout(0.5), x, backend), x)
    dropped = forward(Dropout(0.25), x, backend, training=True)
    kept = dropped != 0
    assert 0.5 < kept.mean() < 0.95
    np.testing.assert_allclose(dropped[kept], (x / 0.75)[kept], rtol=1e-14)


def test_flatten_and_reshape_are_row_major(backend):
    x = np.arange(12.0).reshape(2, 2, 3)
    assert np.array_equal(forward(Flatten(), x, backend), x.reshape(2, 6))
    assert np.array_equal(forward(Reshape((3, 2)), x, backend), x.reshape(2, 3, 2))


def test_shapes_that_do_not_fit_are_refused_by_the_layer_that_minds():
    with pytest.raises(xpnet.ShapeError, match=r"layer 1: .*size 7"):
        Sequential([Dense(6), Reshape(7)]).build((3,))
    with pytest.raises(xpnet.ShapeError, match="size 2"):
        Reshape(2).build((4,))  # a multiple, but no axis is left open
    assert Reshape((1,) * 63).build((1,)).out_shape == (1,) * 63
    with pytest.raises(xpnet.ShapeError, match=r"shape \(4,\).*shape \(3,\).*shortcut=Dense\(4\)"):
        Residual([Dense(4)]).build((3,))
    for layer in (Dense(1), BatchNorm(), LayerNorm(), Softmax()):
        with pytest.raises(xpnet.ShapeError, match=r"one number per example\. .*x\[:, None\]"):
            layer.build(())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), "units .*got 0"),
        (lambda: Dense(True), "units"),
        (lambda: Dense(2.5), "got 2.5"),
        (lambda: Dense(2, weight_initializer="he_norml"), "he_normal"),
        (lambda: Dropout(1.0), r"rate must be .* below 1; got 1\.0"),
        (lambda: Dropout(1 - 0.5 * 2**-16), r"rate is rounded to a multiple of 2"),
        (lambda: Dropout(-0.1), "rate"),
        (lambda: Dropout(1 - 2**-18), "rate"),
        (lambda: BatchNorm(momentum=1.0), "momentum"),
        (lambda: BatchNorm(epsilon=0.0), "epsilon must be a finite number above 0"),
        (lambda: LayerNorm(epsilon=-1.0), "epsilon"),
        (lambda: LeakyReLU(float("nan")), "slope"),
        (lambda: ELU("big"), "alpha"),
        (lambda: Reshape((2, -1, -1)), "at most one -1"),
        (lambda: Reshape((0,)), "positive integers"),
        (lambda: Reshape((True, 2)), "positive integers"),
        (lambda: Reshape((2.0,)), "positive integers"),
        (lambda: Reshape((1,) * 64), "at most 63 axes"),
        (lambda: Sequential([]), "at least one layer"),
        (lambda: Sequential("relu"), "layers must be a list; write"),
        (
            lambda: Sequential(xpnet.Network([Dense(3)])),
            "layers must be a list; got a network: give its layers, net.model.layers",
        ),
        (
            lambda: Sequential(["relu", xpnet.Network([Dense(3)])]),
            r"a network is no layer: give its layers in place of it, \*net.model.layers",
        ),
        (lambda: Sequential(["reluu"]), "did you mean 'relu'"),
        (lambda: Sequential([ReLU]), r"write ReLU\(\)"),
        (lambda: Residual([]), "layers must be a list of at least one layer"),
    ],
)
def test_impossible_hyper_parameters_are_refused(make, message):
    with pytest.raises(xpnet.ConfigurationError, match=message):
        make()


def test_weights_suit_the_activation_that_follows():
    from xpnet.initializers import GlorotUniform, HeNormal, Zeros
    from xpnet.parameters import flatten

    model = Sequential([Dense(4), Dropout(0.1), ReLU(), Sequential([Dense(4)]), SiLU(), Dense(4), Tanh(), Dense(2)])
    chosen = {name: param.initializer for name, param in flatten(model.build((3,)).params)}
    weights = {name: recipe for name, recipe in chosen.items() if name.endswith("weight")}
    assert {name: type(recipe) for name, recipe in weights.items() if recipe is not None} == {
        "0.weight": HeNormal,
        "3.0.weight": HeNormal,
        "5.weight": GlorotUniform,
    }
    assert weights["7.weight"] is None, "left to whatever container is around"
    for between, kind in (([BatchNorm()], HeNormal), ([Dense(4, bias=False)], GlorotUniform)):
        params = Sequential([Dense(4), *between, ReLU()]).build((3,)).params
        assert type(params["0"]["weight"].initializer) is kind
    assert all(type(chosen[name]) is Zeros for name in chosen if name.endswith("bias"))


def test_a_layer_of_ones_own_may_call_a_part_its_model():
    @dataclass(frozen=True)
    class Wrapped:
        model: Sequential

        def build(self, in_shape):
            return self.model.build(in_shape)

        def forward(self, params, x, context):
            return self.model.forward(params, x, context)

        def backward(self, params, residuals, dy, context):
            return self.model.backward(params, residuals, dy, context)

    net = xpnet.Network([Wrapped(Sequential([Dense(5), "relu"])), Dense(3)], inputs=4, seed=0)
    assert net.predict(np.ones((2, 4))).shape == (2, 3)
