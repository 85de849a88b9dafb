"""Curves and histories: which lines stand in which panel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnet

pytest.importorskip("matplotlib", reason="pip install 'xpnet[plot]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib")

from matplotlib.figure import Figure  # noqa: E402

from xpnet.plotting import plot_curves, plot_history  # noqa: E402

HISTORY = {
    "loss": [0.9, 0.4, 0.2],
    "accuracy": [0.5, 0.7, 0.9],
    "val_loss": [1.0, 0.6, 0.8],
    "val_accuracy": [0.4, 0.8, 0.6],
    "learning_rate": [0.1, 0.1, 0.1],
}


def lines(ax: Any) -> dict[str, list[list[float]]]:
    """Return the points of each line that has a name."""
    found = {str(line.get_label()): line.get_xydata().tolist() for line in ax.lines}
    return {name: points for name, points in found.items() if not name.startswith("_")}


def test_each_curve_is_a_line_from_epoch_1(ax: Any) -> None:
    plot_curves({"SGD": [3.0, 2.0], "Adam": np.array([1, 0.5, 0.25], dtype=np.float32)}, ax=ax, ylabel="loss")
    assert lines(ax) == {"SGD": [[1, 3.0], [2, 2.0]], "Adam": [[1, 1.0], [2, 0.5], [3, 0.25]]}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["SGD", "Adam"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")


def test_curves_differ_in_colour_and_dash(ax: Any) -> None:
    plot_curves({str(number): [1.0, 2.0] for number in range(28)}, ax=ax)
    looks = {(line.get_color(), line.get_linestyle()) for line in ax.lines}
    assert len(looks) == 28


@pytest.mark.parametrize(("values", "marked"), [([1.0], True), ([1.0] * 100, False), ([1.0, np.nan] * 50, True)])
def test_points_that_no_line_shows_are_marked(ax: Any, values: list[float], marked: bool) -> None:
    plot_curves({"loss": values}, ax=ax)
    assert (ax.lines[0].get_marker() == ".") is marked


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1.0, 0.1], "linear"),
        ([1.0, 0.01], "log"),
        ([1.0, 0.0], "linear"),
        ([100.0, -1.0], "linear"),
        ([np.nan], "linear"),
    ],
)
def test_a_wide_span_above_0_gets_a_logarithmic_scale(ax: Any, values: list[float], scale: str) -> None:
    plot_curves({"loss": values}, ax=ax)
    assert ax.get_yscale() == scale


def test_a_scale_can_be_asked_for(ax: Any) -> None:
    plot_curves({"loss": [1.0, 0.9]}, ax=ax, xscale="log", yscale="log")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


@pytest.mark.parametrize(
    ("curves", "options", "error", "message"),
    [
        ({}, {}, xpnet.ConfigurationError, "curves must be a mapping"),
        ([1.0], {}, xpnet.ConfigurationError, "curves must be a mapping"),
        ({"loss": []}, {}, xpnet.DataError, "curve 'loss' has no values"),
        ({"loss": [[1.0]]}, {}, xpnet.ShapeError, r"curve 'loss' .* got \(1, 1\)"),
        ({"loss": ["a"]}, {}, xpnet.DtypeError, r"curve 'loss' .*: give numbers, .*nan.* a gap$"),
        ({"loss": [None]}, {}, xpnet.DtypeError, r"curve 'loss' .*: give numbers, .*nan.* a gap$"),
        ({"loss": [1.0]}, {"yscale": "logarithmic"}, xpnet.ConfigurationError, "unknown yscale"),
    ],
)
def test_unusable_curves(ax: Any, curves: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_curves(curves, ax=ax, **options)


def test_a_history_stands_in_panels_with_validation_beside_training() -> None:
    loss, accuracy, rate = plot_history(HISTORY, axes=Figure().subplots(3))
    assert lines(loss) == {
        "training": [[1, 0.9], [2, 0.4], [3, 0.2]],
        "validation": [[1, 1.0], [2, 0.6], [3, 0.8]],
    }
    assert list(lines(accuracy)) == ["training", "validation"]
    assert lines(rate) == {"learning rate": [[1, 0.1], [2, 0.1], [3, 0.1]]}
    assert rate.get_ylim()[0] == 0.0
    assert [ax.get_ylabel() for ax in (loss, accuracy, rate)] == ["loss", "accuracy", "learning rate"]


def test_the_best_validation_value_has_a_dot_and_stands_in_the_title() -> None:
    loss, accuracy = plot_history(HISTORY, ["loss", "accuracy"], axes=Figure().subplots(2))
    assert loss.lines[-1].get_xydata().tolist() == [[2, 0.6]]
    assert loss.get_title() == "loss: lowest on validation 0.6, epoch 2"
    assert accuracy.lines[-1].get_xydata().tolist() == [[2, 0.8]]
    assert accuracy.get_title() == "accuracy: highest on validation 0.8, epoch 2"


def test_validation_that_never_was_a_number_has_no_best() -> None:
    (loss,) = plot_history({"loss": [1.0], "val_loss": [float("nan")]}, axes=Figure().subplots())
    assert loss.get_title() == "loss"


def test_a_result_without_training_values_is_drawn_alone() -> None:
    (extra,) = plot_history({"loss": [1.0], "val_score": [0.3]}, "score", axes=Figure().subplots())
    assert list(lines(extra)) == ["validation"]


def test_what_fit_returns_is_drawn(backend: xpnet.Backend) -> None:
    net = xpnet.Network([xpnet.Dense(3)], backend=backend)
    history = net.fit(*xpnet.clouds(10), epochs=2, validation_split=0.2, verbose=0)
    panels = plot_history(history, axes=Figure().subplots(3))
    assert lines(panels[0])["validation"] == [[1, history["val_loss"][0]], [2, history["val_loss"][1]]]


@pytest.mark.parametrize(
    ("history", "results", "error", "message"),
    [
        (xpnet.History(), None, xpnet.DataError, "no epochs"),
        ({"loss": []}, None, xpnet.DataError, "no epochs"),
        ("loss", None, xpnet.ConfigurationError, "history must be"),
        (HISTORY, ["los"], xpnet.ConfigurationError, "did you mean 'loss'"),
        (HISTORY, [], xpnet.ConfigurationError, "at least one of loss, accuracy, learning_rate"),
    ],
)
def test_unusable_histories(history: Any, results: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_history(history, results, axes=Figure().subplots(3))
