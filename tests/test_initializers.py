"""First values: their distributions, and that every backend starts from the same ones."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

import xpnet
from xpnet import initializers
from xpnet.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Normal,
    Ones,
    Orthogonal,
    Uniform,
    Zeros,
)
from xpnet.random import host_stream

SHAPE = (200, 300)
COUNT = 60_000


def draw(recipe, shape=SHAPE, seed=0):
    return recipe(host_stream(seed, "weights", "w"), shape)


@pytest.mark.parametrize(
    ("recipe", "value"), [(Zeros(), 0.0), (Ones(), 1.0), (Constant(2.5), 2.5), (Constant(), 0.0)], ids=str
)
def test_constants(recipe, value):
    values = draw(recipe, (2, 3))
    assert values.shape == (2, 3)
    assert values.dtype == np.float64
    assert (values == value).all()


@pytest.mark.parametrize(
    ("recipe", "mean", "variance"),
    [
        (Normal(), 0.0, 0.05**2),
        (Normal(2.0, mean=1.0), 1.0, 4.0),
        (GlorotNormal(), 0.0, 2 / 500),
        (HeNormal(), 0.0, 2 / 200),
        (LecunNormal(), 0.0, 1 / 200),
    ],
    ids=str,
)
def test_normal_ones(recipe, mean, variance):
    values = draw(recipe)
    assert abs(values.mean() - mean) < 5 * sqrt(variance / COUNT)
    assert values.var() == pytest.approx(variance, rel=5 * sqrt(2 / COUNT))
    beyond_two_deviations = (np.abs(values - mean) > 2 * sqrt(variance)).mean()
    assert beyond_two_deviations == pytest.approx(0.0455, abs=5 * sqrt(0.0455 / COUNT))


@pytest.mark.parametrize(
    ("recipe", "low", "high"),
    [
        (Uniform(), -0.05, 0.05),
        (Uniform(1.0, 3.0), 1.0, 3.0),
        (GlorotUniform(), -sqrt(6 / 500), sqrt(6 / 500)),
        (HeUniform(), -sqrt(6 / 200), sqrt(6 / 200)),
        (LecunUniform(), -sqrt(3 / 200), sqrt(3 / 200)),
    ],
    ids=str,
)
def test_uniform_ones(recipe, low, high):
    values = draw(recipe)
    width = high - low
    assert low <= values.min() < low + 0.001 * width
    assert high - 0.001 * width < values.max() <= high
    assert values.mean() == pytest.approx((low + high) / 2, abs=5 * width / sqrt(12 * COUNT))
    assert values.var() == pytest.approx(width**2 / 12, rel=0.02)


@pytest.mark.parametrize("shape", [(6, 6), (8, 5), (5, 8), (3, 4, 5)])
def test_orthogonal_columns_or_rows(shape):
    matrix = draw(Orthogonal(gain=2.0), shape).reshape(-1, shape[-1])
    square = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(square, 4 * np.eye(min(matrix.shape)), atol=1e-13)


def test_orthogonal_is_uniform_over_signs():
    """Without the signs of R's diagonal the first entry would always be negative."""
    signs = [np.sign(draw(Orthogonal(), (3, 3), seed)[0, 0]) for seed in range(100)]
    assert 25 < signs.count(1.0) < 75


def test_every_initializer_has_a_name():
    known = {getattr(initializers, name) for name in initializers.__all__} - {initializers.Initializer}
    assert known == set(initializers.NAMES.values())


def test_impossible_settings_are_refused():
    with pytest.raises(xpnet.ConfigurationError, match=r"deviation.*got -1"):
        Normal(-1.0)
    with pytest.raises(xpnet.ConfigurationError, match=r"low=2.0, high=1.0"):
        Uniform(2.0, 1.0)
    with pytest.raises(xpnet.ConfigurationError, match=r"and high - low must be finite; got low=-1.7e\+308"):
        Uniform(-1.7e308, 1.7e308)


def build(backend, seed=0, **options):
    layers = [
        xpnet.Dense(5, bias_initializer=Normal(0.1)),
        xpnet.BatchNorm(),
        "relu",
        xpnet.Residual([xpnet.Dense(5, weight_initializer="orthogonal"), "tanh"], shortcut=xpnet.Dense(5)),
        xpnet.Dense(3),
    ]
    return xpnet.Network(layers, backend=backend, inputs=4, seed=seed, **options).get_weights()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_seed_gives_equal_first_weights_on_every_backend(dtype, backend_name, open_backend):
    weights = build(open_backend(backend_name, dtype))
    wanted = build(open_backend("numpy", "float64"))
    assert weights.keys() == wanted.keys()
    for name, value in weights.items():
        assert value.dtype == dtype
        assert np.array_equal(value, wanted[name].astype(dtype)), name


def test_another_seed_gives_other_weights_and_the_same_one_the_same():
    first, again, other = (build("numpy", seed) for seed in (0, 0, 1))
    for name in ("0.weight", "0.bias", "3.0.weight", "3.shortcut.weight", "4.weight"):
        assert np.array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])


def test_a_layers_weights_do_not_depend_on_what_comes_after_it():
    short = xpnet.Network([xpnet.Dense(4), "relu", xpnet.Dense(2)], inputs=3).get_weights()
    long = xpnet.Network([xpnet.Dense(4), "relu", xpnet.Dense(2), "relu", xpnet.Dense(2)], inputs=3).get_weights()
    assert np.array_equal(short["0.weight"], long["0.weight"])
    assert not np.array_equal(short["0.weight"].ravel()[:4], short["2.weight"].ravel()[:4])
