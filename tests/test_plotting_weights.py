"""The first layer's weights as images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import Dense, Flatten, Network

pytest.importorskip("matplotlib", reason="pip install 'xpnet[plot]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib")

from xpnet.plotting import plot_weights  # noqa: E402


def test_each_image_holds_the_weights_of_one_unit(ax: Any, backend: xpnet.Backend) -> None:
    net = Network([Dense(5), "relu", Dense(2)], inputs=16, backend=backend)
    plot_weights(net, ax=ax, units=4)
    wall = np.ma.filled(np.ma.asarray(ax.images[0].get_array()), np.nan)
    assert wall.shape == (9, 9)  # two images of four pixels, and one between them
    assert np.isnan(wall[4]).all()
    assert np.isnan(wall[:, 4]).all()
    weight = net.get_weights()["0.weight"]
    corners = [(0, 0), (0, 5), (5, 0), (5, 5)]
    for unit, (top, left) in enumerate(corners):
        np.testing.assert_array_equal(wall[top : top + 4, left : left + 4].reshape(-1), weight[:, unit])
    low, high = ax.images[0].get_clim()
    assert high == -low == np.abs(weight[:, :4]).max()
    assert ax.get_title() == "weights of layer 0: units 0 to 3 of 5, images 4 x 4"


def test_the_inputs_own_shape_or_a_given_one(ax: Any) -> None:
    net = Network([Flatten(), Dense(1)], inputs=(2, 8), loss="mse")
    assert plot_weights(net, ax=ax).get_title() == "weights of layer 1: unit 0 of 1, images 2 x 8"
    assert plot_weights(net, ax=ax, image_shape=(8, 2), colorbar=False).get_title().endswith("images 8 x 2")
    assert ax.images[1].colorbar is None


def test_weights_of_zero_have_a_scale(ax: Any) -> None:
    net = Network([Dense(1, weight_initializer="zeros")], inputs=4, loss="mse")
    plot_weights(net, ax=ax)
    assert ax.images[0].get_clim() == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("net", "options", "error", "message"),
    [
        (Network([Dense(3)], inputs=12), {}, xpnet.ShapeError, "12 pixels make no square: give image_shape"),
        (Network([Dense(3)], inputs=16), {"image_shape": (4, 5)}, xpnet.ShapeError, r"of 16 pixels.*got \(4, 5\)"),
        (Network([Dense(3)], inputs=16), {"image_shape": 16}, xpnet.ShapeError, "got 16"),
        (Network([Dense(3)], inputs=16), {"units": 0}, xpnet.ConfigurationError, "units must be"),
        (Network([xpnet.LayerNorm()], inputs=16, loss="mse"), {}, xpnet.ConfigurationError, "a layer with weights"),
    ],
)
def test_what_cannot_be_drawn(ax: Any, net: Network, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_weights(net, ax=ax, **options)
