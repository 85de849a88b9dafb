"""Histograms of activations and gradients: what is counted, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import Dense, Network, Residual

pytest.importorskip("matplotlib", reason="pip install 'xpnet[plot]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib")

from matplotlib.figure import Figure  # noqa: E402

from xpnet.plotting import plot_activations, plot_gradients  # noqa: E402

X, Y = xpnet.clouds(20, seed=0)


def axes(count: int) -> Any:
    return Figure().subplots(1, count)


def counts(ax: Any) -> np.ndarray:
    return np.array([bar.get_height() for bar in ax.patches])


def edges(ax: Any) -> np.ndarray:
    return np.array([*(bar.get_x() for bar in ax.patches), ax.patches[-1].get_x() + ax.patches[-1].get_width()])


@pytest.fixture
def net(backend: xpnet.Backend) -> Network:
    return Network([Dense(8), "relu", Residual([Dense(8), "tanh"]), Dense(3)], inputs=2, backend=backend)


def test_activations_are_those_of_the_trace(net: Network) -> None:
    panels, trace = plot_activations(net, X, Y, axes=axes(4), bins=7), net.trace(X, Y)
    assert [ax.get_title() for ax in panels] == [
        "0: Dense(8)",
        "1: ReLU()",
        "2: Residual([Dense(8), Tanh()])",
        "3: Dense(3)",
    ]
    for layer, ax in enumerate(panels):
        expected, bounds = np.histogram(trace[f"{layer}.output"], bins=7)
        np.testing.assert_array_equal(counts(ax), expected)
        np.testing.assert_allclose(edges(ax), bounds, rtol=1e-5, atol=1e-6)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("activation", "number of values")


def test_activations_need_no_targets(net: Network) -> None:
    for with_targets, without in zip(
        plot_activations(net, X, Y, axes=axes(4)), plot_activations(net, X, axes=axes(4)), strict=True
    ):
        np.testing.assert_array_equal(counts(with_targets), counts(without))


def test_the_share_of_zeros_is_told(net: Network) -> None:
    dense, relu, *_ = plot_activations(net, X, Y, axes=axes(4))
    zeros = np.mean(net.trace(X, Y)["1.output"] == 0)
    assert 0 < zeros < 1
    assert relu.texts[0].get_text().endswith(f"\n{zeros:.0%} are 0")
    assert "are 0" not in dense.texts[0].get_text()


def test_gradients_of_parameters_are_those_of_the_trace_on_one_scale(net: Network) -> None:
    panels, gradients = plot_gradients(net, X, Y, axes=axes(3), bins=9), net.gradients(X, Y)
    assert [ax.get_title()[0] for ax in panels] == ["0", "2", "3"]
    rows = [
        np.concatenate([value.ravel() for name, value in gradients.items() if name.startswith(f"{layer}.")])
        for layer in "023"
    ]
    everything = np.log10(np.abs(np.concatenate(rows)))
    span = (everything[np.isfinite(everything)].min(), everything.max())
    for ax, row in zip(panels, rows, strict=True):
        expected, bounds = np.histogram(np.log10(np.abs(row[row != 0])), bins=9, range=span)
        np.testing.assert_array_equal(counts(ax), expected)
        np.testing.assert_allclose(edges(ax), bounds)
        assert ax.texts[0].get_text().startswith(f"root mean square {np.sqrt(np.mean(row**2)):.2g}")


def test_gradients_of_outputs(net: Network) -> None:
    panels, trace = plot_gradients(net, X, Y, of="outputs", axes=axes(4)), net.trace(X, Y)
    for layer, ax in enumerate(panels):
        assert counts(ax).sum() == np.count_nonzero(trace[f"{layer}.output.gradient"])


def test_gradients_of_nothing_but_zeros_are_said() -> None:
    net = Network([Dense(1)], loss="mse", inputs=2)
    net.set_weights({"0.weight": np.zeros((2, 1)), "0.bias": [1.0]})
    (ax,) = plot_gradients(net, X, np.ones(len(X)), axes=axes(1))
    assert counts(ax).sum() == 0
    assert ax.texts[0].get_text() == "root mean square 0\n100% are 0"


def test_the_scale_is_written_in_powers_of_ten(net: Network) -> None:
    ax = plot_gradients(net, X, Y, axes=axes(3))[0]
    assert ax.xaxis.get_major_formatter()(-3.0) == "$10^{-3}$"


@pytest.mark.parametrize("draw", [plot_activations, plot_gradients])
@pytest.mark.parametrize(
    ("x", "y", "options", "error"),
    [
        (X, Y, {"bins": 0}, xpnet.ConfigurationError),
        (X[:, :1], Y, {}, xpnet.ShapeError),
        (X, Y[:3], {}, xpnet.ShapeError),
        (X, Y + 7, {}, xpnet.DataError),
    ],
)
def test_unusable_batches(draw: Any, x: Any, y: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        draw(Network([Dense(3)], inputs=2), x, y, axes=axes(1), **options)


def test_of_is_one_of_two() -> None:
    with pytest.raises(xpnet.ConfigurationError, match="'parameters' or 'outputs'; got 'weights'"):
        plot_gradients(Network([Dense(3)], inputs=2), X, Y, of="weights", axes=axes(1))
