"""Decision boundaries: the plane shows what the network says there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import Dense, Network

pytest.importorskip("matplotlib", reason="pip install 'xpnet[plot]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib")

from xpnet.plotting import plot_decision_boundary  # noqa: E402
from xpnet.plotting.axes import class_colors  # noqa: E402
from xpnet.plotting.boundary import STRENGTH  # noqa: E402

SQUARE = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def by_the_first(loss: str, outputs: int, backend: Any = "numpy") -> Network:
    """Return a network whose answer grows with the first feature: 0 at one half."""
    net = Network([Dense(outputs)], loss=loss, inputs=2, backend=backend)
    weight = np.zeros((2, outputs))
    weight[0, -1] = 200.0
    net.set_weights({"0.weight": weight, "0.bias": [0.0] * (outputs - 1) + [-100.0]})
    return net


def tint(number: int, classes: int) -> Any:
    return 1 - STRENGTH + STRENGTH * class_colors(classes)[number]


@pytest.mark.parametrize(
    ("loss", "outputs"), [("cross_entropy", 2), ("binary_cross_entropy", 1), ("hinge", 1), ("hinge", 2)]
)
def test_the_plane_has_the_colours_of_the_classes(loss: str, outputs: int, ax: Any, backend: xpnet.Backend) -> None:
    net = by_the_first(loss, outputs, backend)
    plot_decision_boundary(net, SQUARE, [0, 0, 1, 0], ax=ax, grid_resolution=30)
    image = np.asarray(ax.images[0].get_array())
    assert image.shape == (30, 30, 3)
    np.testing.assert_allclose(image[:, :10], np.broadcast_to(tint(0, 2), (30, 10, 3)), atol=1e-6)
    np.testing.assert_allclose(image[:, -10:], np.broadcast_to(tint(1, 2), (30, 10, 3)), atol=1e-6)
    assert ax.get_title() == "75.0% of 4 examples right"


def test_the_line_is_where_the_class_changes(ax: Any) -> None:
    plot_decision_boundary(by_the_first("cross_entropy", 2), SQUARE, ax=ax)
    curves = [
        path.vertices
        for collection in ax.collections
        if hasattr(collection, "levels")
        for path in collection.get_paths()
    ]
    assert curves
    np.testing.assert_allclose(np.concatenate(curves)[:, 0], 0.5, atol=0.01)


def test_doubt_is_a_mixture_and_classify_shows_none(ax: Any) -> None:
    net = Network([Dense(3)], inputs=2)
    net.set_weights({"0.weight": np.zeros((2, 3)), "0.bias": np.log([0.2, 0.5, 0.3])})
    plot_decision_boundary(net, SQUARE, ax=ax)
    mixture = 1 - STRENGTH + STRENGTH * np.array([0.2, 0.5, 0.3]) @ class_colors(3)
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array())[7, 7], mixture, atol=1e-6)
    plot_decision_boundary(net, SQUARE, ax=ax, response_method="classify")
    np.testing.assert_allclose(np.asarray(ax.images[1].get_array())[7, 7], tint(1, 3))


def test_examples_stand_in_their_class_s_colour_and_shape(ax: Any) -> None:
    x, y = xpnet.clouds(10, seed=0)
    net = Network([Dense(3)], inputs=2)
    plot_decision_boundary(net, x, y, ax=ax, display_labels=["low", "right", "left"], xlabel="width (cm)")
    scatters = [collection for collection in ax.collections if collection.get_label() in ("low", "right", "left")]
    assert len({scatter.get_paths()[0].vertices.tobytes() for scatter in scatters}) == 3
    for number, scatter in enumerate(scatters):
        np.testing.assert_allclose(np.asarray(scatter.get_offsets()), x[y == number])
        np.testing.assert_allclose(scatter.get_facecolor()[0][:3], class_colors(3)[number])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["low", "right", "left"]
    assert ax.get_xlabel() == "width (cm)"


@pytest.mark.parametrize("labels", [[-1, -1, 1, 1], [0, 0, 1, 1]])
def test_a_hinge_s_signs_are_its_classes(ax: Any, labels: list[int]) -> None:
    net = Network([Dense(1)], loss="hinge", inputs=2)
    net.set_weights({"0.weight": [[2.0], [0.0]], "0.bias": [-1.0]})
    plot_decision_boundary(net, SQUARE, labels, ax=ax)
    assert ax.get_title() == "100.0% of 4 examples right"


def test_the_examples_and_eps_set_the_part_that_is_drawn(ax: Any) -> None:
    plot_decision_boundary(by_the_first("cross_entropy", 2), SQUARE, ax=ax, eps=0.5)
    assert (*ax.get_xlim(), *ax.get_ylim()) == (-0.5, 1.5, -0.5, 1.5)
    plot_decision_boundary(by_the_first("cross_entropy", 2), SQUARE[:1], ax=ax)  # one point has no span
    assert ax.get_xlim() == (-0.5, 0.5)


def test_a_regression_is_a_map_of_its_value(ax: Any, backend: xpnet.Backend) -> None:
    net = Network([Dense(1)], loss="mse", inputs=2, backend=backend)
    net.set_weights({"0.weight": [[2.0], [0.0]], "0.bias": [0.0]})
    plot_decision_boundary(net, SQUARE, [0.0, 0.0, 2.0, 3.0], ax=ax, eps=0.5, grid_resolution=3)
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), np.tile([-1.0, 1.0, 3.0], (3, 1)))
    np.testing.assert_allclose(np.asarray(ax.collections[0].get_array()), [0.0, 0.0, 2.0, 3.0])
    assert ax.collections[0].get_clim() == ax.images[0].get_clim() == (-1.0, 3.0)
    assert ax.get_title() == "root mean square error 0.5 on 4 examples"


def test_beyond_seven_classes_each_still_has_a_colour_of_its_own() -> None:
    assert len(np.unique(class_colors(30), axis=0)) == 30


@pytest.mark.parametrize(
    ("net", "options", "error", "message"),
    [
        (Network([Dense(2)], inputs=3), {}, xpnet.ShapeError, r"inputs \(2,\); this one takes \(3,\)"),
        (Network([Dense(2)], loss="mse", inputs=2), {}, xpnet.ShapeError, "this network gives 2"),
        (Network([Dense(2)], loss="binary_cross_entropy", inputs=2), {}, xpnet.ShapeError, "one class for an example"),
        (
            Network([Dense(1)], loss="mse", inputs=2),
            {"response_method": "classify"},
            xpnet.ConfigurationError,
            "classes",
        ),
        (None, {"x": [[1.0, 2.0, 3.0]]}, xpnet.ShapeError, r"x must have shape \(N, 2\); got \(1, 3\)"),
        (None, {"x": [[np.nan, 1.0]]}, xpnet.DataError, "finite"),
        (None, {"x": np.empty((0, 2))}, xpnet.DataError, "at least one example"),
        (None, {"y": [0, 1]}, xpnet.ShapeError, "each row of x: expected 4, got 2"),
        (None, {"y": [0, 1, 2, 0]}, xpnet.DataError, r"y must lie in 0\.\.1"),
        (None, {"y": [-1, 1, 1, -1]}, xpnet.DataError, r"from -1 to 1; -1 and 1 become .* by \(y \+ 1\) // 2"),
        (None, {"y": [0.5, 1, 1, 0]}, xpnet.DataError, "whole numbers"),
        (None, {"eps": 0.0}, xpnet.ConfigurationError, "eps must be"),
        (None, {"grid_resolution": 1}, xpnet.ConfigurationError, "grid_resolution"),
        (None, {"response_method": "predict_proba"}, xpnet.ConfigurationError, "did you mean 'predict'"),
        (None, {"display_labels": ["a"]}, xpnet.ConfigurationError, "each of the 2 classes; got 1"),
        (None, {"display_labels": "ab"}, xpnet.ConfigurationError, "list of 2 names"),
        (
            Network([Dense(1)], loss="hinge", inputs=2),
            {"response_method": "predict"},
            xpnet.ConfigurationError,
            "probab",
        ),
    ],
)
def test_what_cannot_be_drawn(ax: Any, net: Network | None, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_decision_boundary(net or by_the_first("cross_entropy", 2), options.pop("x", SQUARE), ax=ax, **options)
