"""Confusion matrices: numbers, shares and colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnet

pytest.importorskip("matplotlib", reason="pip install 'xpnet[plot]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib")

from matplotlib.figure import Figure  # noqa: E402

from xpnet.plotting import plot_confusion_matrix  # noqa: E402

MATRIX = np.array([[8, 2, 0], [0, 1_000, 0], [1, 1, 2]])


def texts(ax: Any) -> list[list[str]]:
    found = [text.get_text() for text in ax.texts]
    return [found[start : start + 3] for start in range(0, len(found), 3)]


def test_counts_are_written_and_shares_of_the_row_are_coloured(ax: Any) -> None:
    plot_confusion_matrix(MATRIX, ax=ax)
    assert texts(ax) == [["8", "2", "0"], ["0", "1,000", "0"], ["1", "1", "2"]]
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), MATRIX / MATRIX.sum(axis=1, keepdims=True))
    assert ax.images[0].get_clim() == (0.0, 1.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert ax.get_title() == "99.6% of 1,014 right"
    assert ax.images[0].colorbar.ax.get_ylabel() == "share of the true class"


def test_numbers_stand_in_their_cells_and_can_be_read(ax: Any) -> None:
    plot_confusion_matrix(MATRIX, ax=ax)
    assert [text.get_position() for text in ax.texts] == [(column, row) for row in range(3) for column in range(3)]
    assert [text.get_color() for text in ax.texts] == ["white", *["black"] * 3, "white", *["black"] * 3, "black"]


@pytest.mark.parametrize(("normalize", "axis"), [("true", 1), ("pred", 0), ("all", None)])
def test_shares_as_scikit_learn_has_them(normalize: str, axis: int | None, ax: Any) -> None:
    plot_confusion_matrix(MATRIX, ax=ax, normalize=normalize, values_format=".3f")
    expected = MATRIX / MATRIX.sum(axis=axis, keepdims=True)
    assert [text.get_text() for text in ax.texts] == [f"{value:.3f}" for value in expected.ravel()]


def test_it_agrees_with_scikit_learns_own_display(ax: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    options: Any = {"display_labels": ["a", "b", "c"], "normalize": "true"}
    plot_confusion_matrix(MATRIX, ax=ax, **options)
    true = np.repeat(np.arange(9) // 3, MATRIX.ravel())
    predicted = np.repeat(np.arange(9) % 3, MATRIX.ravel())
    theirs = metrics.ConfusionMatrixDisplay.from_predictions(true, predicted, ax=Figure().subplots(), **options)
    assert [[text.get_text() for text in row] for row in theirs.text_] == [
        [f"{float(text):.2g}" for text in row] for row in texts(ax)
    ]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [t.get_text() for t in theirs.ax_.get_xticklabels()]


def test_names_rotation_and_no_bar(ax: Any) -> None:
    plot_confusion_matrix(MATRIX, ax=ax, display_labels=["a", "b", "c"], xticks_rotation=45.0, colorbar=False)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_xticklabels()[0].get_rotation() == 45.0
    assert ax.images[0].colorbar is None


def test_many_classes_have_no_numbers_unless_asked(ax: Any) -> None:
    plot_confusion_matrix(np.eye(31), ax=ax)
    assert not ax.texts
    plot_confusion_matrix(np.eye(31), ax=ax, include_values=True)
    assert len(ax.texts) == 31**2


def test_a_class_without_examples_and_no_examples_at_all(ax: Any) -> None:
    plot_confusion_matrix([[2, 0], [0, 0]], ax=ax)
    assert np.asarray(ax.images[0].get_array()).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    plot_confusion_matrix([[0]], ax=ax, normalize="all")
    assert ax.get_title() == "0.0% of 0 right"


@pytest.mark.parametrize(
    ("matrix", "options", "error", "message"),
    [
        ([[1, 2]], {}, xpnet.ShapeError, r"square, \(classes, classes\); got \(1, 2\)"),
        ([1, 2], {}, xpnet.ShapeError, "square"),
        (np.empty((0, 0)), {}, xpnet.DataError, "empty"),
        ([[-1]], {}, xpnet.DataError, "not negative"),
        ([[np.nan]], {}, xpnet.DataError, "finite"),
        ([["a"]], {}, xpnet.DtypeError, "confusion_matrix"),
        (MATRIX, {"normalize": "rows"}, xpnet.ConfigurationError, "unknown normalize"),
        (MATRIX, {"display_labels": ["a"]}, xpnet.ConfigurationError, "each of the 3 classes; got 1"),
        (MATRIX, {"values_format": "words"}, xpnet.ConfigurationError, "values_format"),
    ],
)
def test_what_cannot_be_drawn(ax: Any, matrix: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_confusion_matrix(matrix, ax=ax, **options)
