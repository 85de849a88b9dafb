"""Long vectors in pieces while a loop runs on JAX: the same numbers as on whole vectors."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

from xpnet_backends.on_jax import pieces  # noqa: E402
from xpnet_backends.on_jax.pieces import scan  # noqa: E402

import xpnet  # noqa: E402
from xpnet import Dense, Network  # noqa: E402


@pytest.fixture(autouse=True)
def short_vectors_are_cut(monkeypatch):
    monkeypatch.setattr(pieces, "MIN_LENGTH", 0)


def plain_scan(step, carry, rows):
    return jax.lax.scan(lambda carry, row: (step(carry, row), None), carry, rows)[0]


def gradient_step(carry, row):
    params, moment, count = carry
    weight, bias = jnp.reshape(params[:6], (2, 3)), params[6:]
    y = jnp.tanh(row @ weight + bias)
    gradient = jnp.concatenate([jnp.reshape(row[:, None] * y, (-1,)), y])
    moment = 0.9 * moment + gradient * gradient
    norm = jnp.sqrt(jnp.sum(gradient * gradient))
    scaled = jnp.where(norm > 1.0, gradient / norm, gradient)
    return params - 0.1 * scaled / (jnp.sqrt(moment) + 1e-3), moment, count + 1


def overlapping_step(carry, row):
    vector, total = carry
    return jnp.flip(vector) * 0.5 + jnp.sum(vector[1:4]) + jnp.sum(vector[3:]), total + jnp.sum(vector[:4])


@pytest.mark.parametrize("step", [gradient_step, overlapping_step])
def test_the_numbers_are_those_of_whole_vectors(step):
    rows = jnp.asarray(np.random.default_rng(0).normal(size=(20, 2)), dtype=jnp.float32)
    start = (jnp.linspace(-1, 1, 9), jnp.zeros(9), jnp.asarray(0)) if step is gradient_step else (jnp.arange(9.0), 0.0)
    for found, wanted in zip(scan(step, start, rows), plain_scan(step, start, rows), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_the_loop_neither_slices_nor_joins():
    rows = jnp.ones((5, 2))
    start = jnp.linspace(-1, 1, 9), jnp.zeros(9), jnp.asarray(0)

    def without_norm(carry, row):
        params, moment, count = carry
        y = row @ jnp.reshape(params[:6], (2, 3)) + params[6:]
        gradient = jnp.concatenate([jnp.reshape(row[:, None] * y, (-1,)), y])
        return params - 0.1 * gradient, moment + gradient, count + 1

    def body(scan):
        jaxpr = jax.make_jaxpr(lambda carry: scan(without_norm, carry, rows))(start)
        (loop,) = [equation for equation in jaxpr.eqns if equation.primitive.name == "scan"]
        return [equation.primitive.name for equation in loop.params["jaxpr"].eqns]

    assert {"slice", "concatenate"} <= set(body(plain_scan))
    assert not {"slice", "concatenate"} & set(body(scan))


@pytest.mark.parametrize("steps", [1, 2])
def test_a_loop_stays_a_loop_however_few_its_steps(steps):
    """XLA dissolves one of a single step, as of an epoch's last rows, where it can, and that took twice as long."""
    rows = jnp.ones((steps, 2))
    start = jnp.linspace(-1, 1, 9), jnp.zeros(9), jnp.asarray(0)
    compiled = jax.jit(lambda carry, rows: scan(gradient_step, carry, rows)).lower(start, rows).compile()
    assert " while(" in compiled.as_text()
    for found, wanted in zip(compiled(start, rows), plain_scan(gradient_step, start, rows), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        xpnet.Adam(0.01),
        xpnet.Nadam(),
        xpnet.Lion(),
        xpnet.chain(
            xpnet.L2(1e-3),
            xpnet.ClipByNorm(0.1),
            xpnet.ClipByValue(0.05),
            xpnet.AdamW(),
            xpnet.MaxNorm(1.0),
            xpnet.ExponentialMovingAverage(0.9),
        ),
    ],
    ids=["Adam", "Nadam", "Lion", "chain"],
)
def test_fit_is_numpys(optimizer):
    stream = np.random.default_rng(0)
    x, y = stream.normal(size=(60, 4)), stream.integers(0, 3, 60)
    weights = []
    for backend in ("numpy", "jax"):
        layers = [Dense(7), "relu", xpnet.BatchNorm(), xpnet.Dropout(0.2), Dense(3)]
        network = Network(layers, optimizer=optimizer, backend=backend, dtype="float64", seed=1)
        network.fit(x, y, batch_size=8, epochs=3, verbose=0)
        weights.append(network.get_weights())
    for name, array in weights[0].items():
        np.testing.assert_allclose(weights[1][name], array, rtol=1e-8, atol=1e-10, err_msg=name)
