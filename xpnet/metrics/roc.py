"""The area under the ROC curve of a whole set of scores, computed on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet.arguments import explains_arguments
from xpnet.arrays import to_host
from xpnet.errors import DataError
from xpnet.metrics.inputs import Reals, class_labels, require_range, sample_weights, score_table

__all__ = ["roc_auc"]


@explains_arguments
def roc_auc(y_true: Any, score: Any, *, sample_weight: Any = None) -> float:
    """Return the area under the ROC curve: ``P(score of a positive > of a negative) + P(equal) / 2``.

    With scores of shape (n, classes) it is the plain mean over the classes, each against all others
    (one-vs-rest, macro). Only the order of scores counts within a class; probabilities, rather than
    logits, make the rows of several classes comparable.

    Shapes: score (n,) or (n, 1), as of a network with one output, with y_true (n,) in {0, 1}, 1 being the positive
    class, or score (n, classes) with y_true in 0..classes-1. The result is in 0..1; 0.5 is guessing.

    Raises
    ------
    ShapeError
        The shapes do not match.
    DtypeError
        An argument does not hold real numbers.
    DataError
        They are empty, a label is out of range, a score is NaN, the weights are unusable, or a class (or
        its opposite) does not occur, so that the area is not defined.

    Source: Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve", Radiology 143 (1982).

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    true = class_labels(y_true, "y_true")
    weights = sample_weights(sample_weight, len(true))
    host = to_host(score, "score", real=True)
    if host.ndim == 2 and host.shape[1] == 1:
        score = host = host[:, 0]
    if host.ndim != 2:
        scores = score_table(score, len(true), name="score", axes=1)
        require_range(true, "y_true", 2, "a score of one column; give (n, classes) scores for more classes")
        return _binary_auc(true == 1, scores, weights, "1")
    table = score_table(score, len(true), name="score")
    require_range(true, "y_true", table.shape[1], f"the {table.shape[1]} columns of score")
    areas = [_binary_auc(true == label, table[:, label], weights, str(label)) for label in range(table.shape[1])]
    return float(np.mean(areas))


def _binary_auc(positive: npt.NDArray[np.bool_], score: Reals, weights: Reals, label: str) -> float:
    groups = np.unique(score, return_inverse=True)[1]
    for_each = np.bincount(groups, weights * positive)
    against_each = np.bincount(groups, weights * ~positive)
    for_all, against_all = for_each.sum(), against_each.sum()
    if for_all == 0 or against_all == 0:
        raise DataError(
            f"the ROC curve needs samples of class {label} and others, of positive weight, but y_true holds "
            f"{'none' if for_all == 0 else 'only'} of class {label}; evaluate on more data."
        )
    below = np.cumsum(against_each) - against_each
    return float(np.sum(for_each * (below + against_each / 2)) / (for_all * against_all))
