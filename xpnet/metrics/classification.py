"""Classification metrics of whole sets of predictions, computed on the host.

These take whole sets of labels and predictions, as lists, NumPy, pandas or any library's arrays, bring each
to NumPy once and return plain numbers and NumPy arrays. The first argument is always the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar, get_args, overload

import numpy as np
import numpy.typing as npt

from xpnet.arguments import explains_arguments
from xpnet.checks import check_integer
from xpnet.errors import DataError, unknown_name
from xpnet.metrics.inputs import (
    Reals,
    class_count,
    class_labels,
    label_pair,
    require_range,
    sample_weights,
    score_table,
)

__all__ = [
    "AVERAGES",
    "PrecisionRecallF1",
    "accuracy",
    "classification_report",
    "confusion_matrix",
    "precision_recall_f1",
    "top_k_accuracy",
]

Average: TypeAlias = Literal["macro", "micro", "weighted", "binary"]
AVERAGES: tuple[str, ...] = get_args(Average)
T = TypeVar("T")

# A confusion matrix of more classes than this takes over 800 MB; such labels are mostly identifiers.
_MOST_INFERRED_CLASSES = 10_000


class PrecisionRecallF1(NamedTuple, Generic[T]):
    """Precision, recall and F1: numbers when averaged, arrays with one entry per class when not."""

    precision: T
    recall: T
    f1: T


@explains_arguments
def accuracy(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the share of right predictions: ``sum(w * (y_true == y_pred)) / sum(w)``.

    Shapes: y_true, y_pred, sample_weight (n,); labels are whole numbers, compared as they are: -1 and 1, which a hinge
    takes, become the classes 0 and 1 that ``classify`` gives by ``(y_true + 1) // 2``. The result is in 0..1.

    Raises
    ------
    ShapeError
        The lengths differ, or an argument is not one-dimensional.
    DtypeError
        The labels are text, objects or complex.
    DataError
        They are empty or not whole numbers, or the weights are negative, not finite or all zero.

    Examples
    --------
    >>> accuracy([0, 1, 2, 2], [0, 1, 1, 2])
    0.75
    """
    true, predicted = label_pair(y_true, y_pred)
    return float(np.average(true == predicted, weights=sample_weights(sample_weight, len(true))))


@explains_arguments
def top_k_accuracy(y_true: Any, scores: Any, k: int, *, sample_weight: Any = None) -> float:
    """Return the share of samples whose true class is among the *k* highest scores.

    Of equal scores the lower class comes first, as in ``argmax``, so that ``k=1`` is the accuracy of
    ``argmax(scores)`` and a network that scores all classes alike does not look good.

    Shapes: y_true (n,) in 0..classes-1, scores (n, classes), logits or probabilities; the result is in 0..1.

    Raises
    ------
    ConfigurationError
        *k* is not in 1..classes.
    ShapeError
        The shapes do not match.
    DtypeError
        An argument does not hold real numbers.
    DataError
        They are empty, a label is out of range, a score is NaN, or the weights are unusable.

    Examples
    --------
    >>> top_k_accuracy([0, 2], [[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]], k=2)
    0.5
    >>> top_k_accuracy([0, 2], [[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]], k=3)
    1.0
    """
    true = class_labels(y_true, "y_true")
    table = score_table(scores, len(true))
    classes = table.shape[1]
    require_range(true, "y_true", classes, f"the {classes} columns of scores")
    k = check_integer("k", k, most=classes)
    own = np.take_along_axis(table, true[:, None], axis=1)
    earlier = np.arange(classes) < true[:, None]
    rank = np.sum((table > own) | ((table == own) & earlier), axis=1)
    return float(np.average(rank < k, weights=sample_weights(sample_weight, len(true))))


@explains_arguments
def confusion_matrix(
    y_true: Any, y_pred: Any, classes: int | None = None, *, sample_weight: Any = None
) -> npt.NDArray[Any]:
    """Count each pair of classes: ``C[i, j]`` samples of class i were predicted as class j.

    **Rows are the true classes, columns the predicted ones**, as in scikit-learn; some books have it the
    other way round.

    Shapes: y_true, y_pred (n,) in 0..classes-1 -> (classes, classes) int64, or float64 sums of weights
    where *sample_weight* (n,) is given. *classes* is the largest label of either plus one unless given.

    Raises
    ------
    ConfigurationError
        *classes* is not a positive integer.
    ShapeError, DtypeError
        As for `accuracy`.
    DataError
        As for `accuracy`; or a label is negative or not below *classes*; or *classes* is not given and the
        labels would make a matrix of over 10,000 classes.

    Examples
    --------
    >>> confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2])
    array([[1, 1, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """
    true, predicted = label_pair(y_true, y_pred)
    count = class_count(true, predicted, classes)
    if classes is None and count > _MOST_INFERRED_CLASSES:
        raise DataError(
            f"the labels reach {count - 1}, so their confusion matrix would have {count:,} x {count:,} "
            "entries; number the classes from 0, or pass classes= if it is meant."
        )
    weights = None if sample_weight is None else sample_weights(sample_weight, len(true))
    return np.bincount(true * count + predicted, weights, minlength=count * count).reshape(count, count)


@overload
def precision_recall_f1(
    y_true: Any, y_pred: Any, average: None = None, *, sample_weight: Any = None
) -> PrecisionRecallF1[Reals]: ...


@overload
def precision_recall_f1(
    y_true: Any, y_pred: Any, average: Average, *, sample_weight: Any = None
) -> PrecisionRecallF1[float]: ...


@explains_arguments
def precision_recall_f1(
    y_true: Any, y_pred: Any, average: Average | None = None, *, sample_weight: Any = None
) -> PrecisionRecallF1[Any]:
    """Return how pure and how complete each predicted class is.

    ``precision = tp / (tp + fp)``, ``recall = tp / (tp + fn)``, ``f1 = 2 tp / (2 tp + fp + fn)``; where a
    denominator is 0 the figure is 0.

    *average* is one of

    - ``None``: arrays whose entry c belongs to class c, for c from 0 to the largest label;
    - ``"macro"``: the plain mean over the classes that occur among the truth or the predictions;
    - ``"weighted"``: their mean weighted by how often each is true;
    - ``"micro"``: from the counts summed over classes, which here equals accuracy;
    - ``"binary"``: the figures of class 1, labels being 0 and 1.

    Shapes: y_true, y_pred, sample_weight (n,) -> (classes,) float64 each, or three numbers in 0..1.

    Raises
    ------
    ConfigurationError
        *average* is none of these.
    ShapeError, DtypeError
        As for `accuracy`.
    DataError
        As for `accuracy`; or a label is negative or speaks of over 10,000,000 classes; or with ``"binary"`` one is
        neither 0 nor 1.

    Examples
    --------
    >>> precision, recall, f1 = precision_recall_f1([0, 1, 1, 1], [0, 0, 1, 1])
    >>> precision, recall, f1
    (array([0.5, 1. ]), array([1.        , 0.66666667]), array([0.66666667, 0.8       ]))
    >>> precision_recall_f1([0, 1, 1, 1], [0, 0, 1, 1], "binary").f1
    0.8
    """
    if average not in (None, *AVERAGES):
        raise unknown_name("average", average, ["None", *AVERAGES])
    counts = _count(y_true, y_pred, 2 if average == "binary" else None, sample_weight)
    return _figures(counts) if average is None else averaged_figures(counts, average)


@explains_arguments
def classification_report(
    y_true: Any,
    y_pred: Any,
    *,
    names: Sequence[str] | None = None,
    digits: int = 4,
    sample_weight: Any = None,
) -> str:
    """Return a table of precision, recall, F1 and support for each class, with accuracy and the averages.

    A row for each class that occurs among the truth or the predictions, called by ``names[class]`` where
    *names* are given; support is the number (or the weight) of its true samples. The figures are those of
    `precision_recall_f1`, with *digits* decimals.

    Shapes: y_true, y_pred, sample_weight (n,); names, one for each of the classes 0..len(names)-1.

    Raises
    ------
    ConfigurationError
        *digits* is not an integer from 0 on.
    ShapeError, DtypeError, DataError
        As for `precision_recall_f1`; or a label has no name.

    Examples
    --------
    >>> print(classification_report([0, 1, 1, 1], [0, 0, 1, 1], names=["cat", "dog"], digits=2))
                  precision  recall    f1  support
    <BLANKLINE>
             cat       0.50    1.00  0.67        1
             dog       1.00    0.67  0.80        3
    <BLANKLINE>
        accuracy                     0.75        4
       macro avg       0.75    0.83  0.73        4
    weighted avg       0.88    0.75  0.77        4
    """
    digits = check_integer("digits", digits, least=0)
    labels = None if names is None else [str(name) for name in names]
    counts = _count(y_true, y_pred, None, sample_weight)
    reached = len(counts.actual) - 1
    if labels is not None and len(labels) <= reached:
        raise DataError(f"names must have one for each class: the labels reach {reached}, and it has {len(labels)}")
    figures = _figures(counts)
    support = counts.actual.sum()
    classes = [
        (
            labels[index] if labels else str(index),
            *(f"{figure[index]:.{digits}f}" for figure in figures),
            actual,
        )
        for index, actual in enumerate(counts.actual)
        if counts.occurs[index]
    ]
    summary: list[tuple[Any, ...]] = [("accuracy", "", "", f"{counts.hits.sum() / support:.{digits}f}", support)]
    for name, weighted in (("macro avg", False), ("weighted avg", True)):
        averages = _averaged(figures, counts, weighted=weighted)
        summary.append((name, *(f"{figure:.{digits}f}" for figure in averages), support))
    return _table([("", *PrecisionRecallF1._fields, "support")], classes, summary)


def _table(*groups: list[tuple[Any, ...]]) -> str:
    """Return right-aligned columns, an empty line between the groups."""
    texts = [[[_cell(value) for value in row] for row in group] for group in groups]
    widths = [max(map(len, column)) for column in zip(*(row for group in texts for row in group), strict=True)]
    return "\n\n".join(
        "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in group)
        for group in texts
    )


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)


class Counts(NamedTuple):
    """Per class: right predictions, true samples, predicted samples, and whether it occurs at all."""

    hits: npt.NDArray[Any]
    actual: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    occurs: npt.NDArray[np.bool_]


def _count(y_true: Any, y_pred: Any, classes: int | None, sample_weight: Any) -> Counts:
    true, predicted = label_pair(y_true, y_pred)
    count = class_count(true, predicted, classes)
    weights = None if sample_weight is None else sample_weights(sample_weight, len(true))
    right = true == predicted
    return Counts(
        np.bincount(true[right], None if weights is None else weights[right], minlength=count),
        np.bincount(true, weights, minlength=count),
        np.bincount(predicted, weights, minlength=count),
        np.bincount(true, minlength=count) + np.bincount(predicted, minlength=count) > 0,
    )


def _figures(counts: Counts) -> PrecisionRecallF1[Reals]:
    return PrecisionRecallF1(
        _ratio(counts.hits, counts.predicted),
        _ratio(counts.hits, counts.actual),
        _ratio(2 * counts.hits, counts.actual + counts.predicted),
    )


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Reals:
    ratio = np.zeros(len(whole))
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def averaged_figures(counts: Counts, average: str) -> PrecisionRecallF1[float]:
    """Return one precision, recall and F1 from the classes' counts; *average* is not checked."""
    if average == "micro":
        hits, actual, predicted = (np.sum(count, keepdims=True) for count in counts[:3])
        counts = Counts(hits, actual, predicted, np.ones(1, bool))
    figures = _figures(counts)
    if average == "binary":
        return PrecisionRecallF1(*(float(figure[1]) for figure in figures))
    return _averaged(figures, counts, weighted=average == "weighted")


def _averaged(figures: PrecisionRecallF1[Reals], counts: Counts, *, weighted: bool) -> PrecisionRecallF1[float]:
    weights = counts.actual if weighted else counts.occurs
    return PrecisionRecallF1(*(float(np.average(figure, weights=weights)) for figure in figures))
