"""The diagram of a network: units, lines, bands and captions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import Dense, Flatten, Network, Residual

pytest.importorskip("matplotlib", reason="pip install 'xpnet[plot]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib")

from matplotlib.colors import to_rgb  # noqa: E402

from xpnet.plotting import plot_network  # noqa: E402
from xpnet.plotting.diagram import NEGATIVE, POSITIVE  # noqa: E402


def lines(ax: Any) -> list[Any]:
    return [collection for collection in ax.collections if hasattr(collection, "get_segments")]


def units(ax: Any) -> list[int]:
    return [len(found.get_offsets()) for found in ax.collections if not hasattr(found, "get_segments")]


def captions(ax: Any) -> list[str]:
    return [label.get_text() for label in ax.get_xticklabels()]


def test_a_line_for_each_weight_and_a_circle_for_each_unit(ax: Any, backend: xpnet.Backend) -> None:
    net = Network([Dense(4), "relu", xpnet.Dropout(0.2), Dense(3)], inputs=2, backend=backend)
    plot_network(net, ax=ax)
    assert [len(found.get_segments()) for found in lines(ax)] == [8, 12]
    assert units(ax) == [2, 4, 3]
    assert captions(ax) == ["input", "Dense(4)\nReLU()\nDropout(rate=0.2)", "Dense(3)"]
    assert [text.get_text() for text in ax.texts] == ["2", "4", "3"]
    assert ax.get_title() == "2 - 4 - 3: 27 parameters"


def test_sign_is_colour_and_size_is_width(ax: Any) -> None:
    net = Network([Dense(2)], inputs=2)
    net.set_weights({"0.weight": [[1.0, -2.0], [0.5, 0.0]]})
    (found,) = lines(plot_network(net, ax=ax))
    ends = [tuple(map(tuple, segment)) for segment in found.get_segments()]
    assert ends == [((0, 0.5), (1, 0.5)), ((0, 0.5), (1, -0.5)), ((0, -0.5), (1, 0.5)), ((0, -0.5), (1, -0.5))]
    colors = found.get_colors()
    np.testing.assert_allclose(colors[0][:3], to_rgb(POSITIVE))
    np.testing.assert_allclose(colors[1][:3], to_rgb(NEGATIVE))
    widths = found.get_linewidths()
    assert widths[1] > widths[0] > widths[2] > widths[3]


def test_of_wide_layers_the_ends_are_drawn(ax: Any) -> None:
    net = Network([Dense(50), Dense(3)], inputs=100)
    plot_network(net, ax=ax, units=5)
    assert units(ax) == [5, 5, 3]
    assert [len(found.get_segments()) for found in lines(ax)] == [25, 15]
    assert [text.get_text() for text in ax.texts] == ["100", "50", "3"]
    assert len(ax.lines) == 2  # the dots of the two columns that go on
    weight = net.get_weights()["0.weight"]
    shown = [0, 1, 2, 98, 99], [0, 1, 2, 48, 49]
    signs = [color[0] > 0.5 for color in lines(ax)[0].get_colors()]
    assert signs == (weight[np.ix_(*shown)] > 0).ravel().tolist()


def test_a_residual_block_is_a_band_with_a_way_around(ax: Any) -> None:
    plot_network(Network([Dense(4), Residual([Dense(4), "tanh"]), Dense(2)], inputs=3), ax=ax)
    assert len(lines(ax)) == 2
    assert len(ax.patches) == 1
    assert [text.get_text() for text in ax.texts] == ["shortcut", "3", "4", "4", "2"]


def test_layers_before_the_first_weights_belong_to_the_input(ax: Any) -> None:
    plot_network(Network([Flatten(), xpnet.BatchNorm(), Dense(2)], inputs=(2, 2)), ax=ax)
    assert captions(ax)[0] == "input\nFlatten()\nBatchNorm()"
    assert [len(found.get_segments()) for found in lines(ax)] == [8]


def test_a_layer_along_the_last_axis_is_a_band(ax: Any) -> None:
    plot_network(Network([Dense(3), Flatten(), Dense(2)], inputs=(2, 5)), ax=ax)
    assert len(ax.patches) == 1
    assert [len(found.get_segments()) for found in lines(ax)] == [12]
    assert ax.get_xlabel()


def test_weights_of_zero(ax: Any) -> None:
    plot_network(Network([Dense(2, weight_initializer="zeros")], inputs=2), ax=ax)
    assert len(set(lines(ax)[0].get_linewidths())) == 1


def test_without_single_weights_there_is_nothing_to_explain(ax: Any) -> None:
    plot_network(Network([Residual([Dense(2)])], inputs=2), ax=ax)
    assert not ax.get_xlabel()


@pytest.mark.parametrize("count", [0, 1, 2.5])
def test_a_column_has_at_least_two_units(count: Any, ax: Any) -> None:
    with pytest.raises(xpnet.ConfigurationError, match="units must be an integer of at least 2"):
        plot_network(Network([Dense(2)], inputs=2), ax=ax, units=count)
