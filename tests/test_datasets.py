from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from xpnet import datasets
from xpnet.datasets import clouds, digits_11x11, mnist, spiral
from xpnet.errors import ConfigurationError, DataError, DtypeError, ShapeError


def test_digits_11x11() -> None:
    images = np.arange(2 * 28 * 28, dtype="float64").reshape(2, 28, 28)
    before = images.copy()
    shrunk = digits_11x11(images)
    assert shrunk.shape == (2, 121)
    assert shrunk.dtype == np.float64
    np.testing.assert_array_equal(shrunk[1].reshape(11, 11), images[1, 2:24:2, 2:24:2])
    shrunk[:] = 0
    np.testing.assert_array_equal(images, before)
    with pytest.raises(ShapeError, match=r"\(n, 28, 28\); got \(28, 28\)"):
        digits_11x11(images[0])
    with pytest.raises(DtypeError, match="real numbers"):
        digits_11x11(images.astype(str))


@pytest.mark.skipif("XPNET_DATA" not in os.environ, reason="XPNET_DATA is not set: needs the real MNIST")
def test_digits_11x11_of_the_real_mnist() -> None:
    x_train, _, _, _ = mnist(download=False)
    shrunk = digits_11x11(x_train[:1000])
    assert shrunk.shape == (1000, 121)
    assert shrunk.max() == 255


def test_spiral_follows_its_formula() -> None:
    x, y = spiral(100, 3, noise=0.0)
    assert x.shape == (300, 2)
    assert (x.dtype, y.dtype) == (np.float64, np.int64)
    np.testing.assert_array_equal(y, np.repeat([0, 1, 2], 100))
    radius = np.linspace(0, 1, 100)
    angle = np.linspace(8, 12, 100)
    np.testing.assert_allclose(x[200:, 0], radius * np.sin(2.5 * angle), atol=1e-15)
    np.testing.assert_allclose(x[200:, 1], radius * np.cos(2.5 * angle), atol=1e-15)


def test_spiral_noise_turns_and_does_not_stretch() -> None:
    x, _ = spiral(100, 3, noise=0.2, seed=4)
    np.testing.assert_allclose(np.hypot(*x.T), np.tile(np.linspace(0, 1, 100), 3), atol=1e-12)
    assert not np.allclose(x, spiral(100, 3, noise=0.0)[0])


def test_clouds_have_their_centres_and_spread() -> None:
    x, y = clouds(5000, deviation=2.0)
    assert x.shape == (15_000, 2)
    assert (x.dtype, y.dtype) == (np.float64, np.int64)
    for label, center in enumerate([(0, -2), (2, 2), (-2, 2)]):
        np.testing.assert_allclose(x[y == label].mean(axis=0), center, atol=0.1)
        np.testing.assert_allclose(x[y == label].std(axis=0), 2.0, atol=0.1)
    assert clouds(2, centers=[[0.0, 1.0, 2.0]])[0].shape == (2, 3)
    np.testing.assert_array_equal(clouds(1, centers=[[3], [4]], deviation=0)[0], [[3.0], [4.0]])


@pytest.mark.parametrize("make", [spiral, clouds])
def test_generated_sets_are_defined_by_their_seed(make: Any) -> None:
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    first, again, other = make(seed=1)[0], make(seed=1)[0], make(seed=2)[0]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (spiral, {"points": 0}, ConfigurationError, "points must be an integer of at least 1; got 0"),
        (spiral, {"arms": 1.5}, ConfigurationError, "arms must be .* got 1.5"),
        (spiral, {"noise": -1}, ConfigurationError, "noise must be"),
        (spiral, {"noise": "much"}, ConfigurationError, "noise must be"),
        (spiral, {"seed": "x"}, ConfigurationError, "seed must be"),
        (clouds, {"points": -3}, ConfigurationError, "points"),
        (clouds, {"deviation": np.nan}, ConfigurationError, "deviation"),
        (clouds, {"seed": -1}, ConfigurationError, "seed"),
        (clouds, {"centers": [1, 2]}, ShapeError, r"table \(classes, features\); got shape \(2,\)"),
        (clouds, {"centers": [[1, np.nan]]}, DataError, "finite"),
        (clouds, {"centers": [["a"]]}, DtypeError, "real numbers"),
        (clouds, {"centers": [[]]}, DataError, "not empty"),
    ],
)
def test_generated_sets_refuse(make: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**options)


def test_all_is_right() -> None:
    assert all(hasattr(datasets, name) for name in datasets.__all__)
