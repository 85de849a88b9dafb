"""Metrics: streaming ones that ``fit`` and ``evaluate`` report, and functions of arrays for reports."""

from xpnet.arguments import explain_records
from xpnet.metrics.classification import (
    accuracy,
    classification_report,
    confusion_matrix,
    precision_recall_f1,
    top_k_accuracy,
)
from xpnet.metrics.regression import mean_absolute_error, mean_squared_error, r2
from xpnet.metrics.roc import roc_auc
from xpnet.metrics.streaming import (
    F1,
    NAMES,
    R2,
    AbsoluteError,
    Accuracy,
    Metric,
    Precision,
    Recall,
    SquaredError,
    TopKAccuracy,
)

__all__ = [
    "F1",
    "NAMES",
    "R2",
    "AbsoluteError",
    "Accuracy",
    "Metric",
    "Precision",
    "Recall",
    "SquaredError",
    "TopKAccuracy",
    "accuracy",
    "classification_report",
    "confusion_matrix",
    "mean_absolute_error",
    "mean_squared_error",
    "precision_recall_f1",
    "r2",
    "roc_auc",
    "top_k_accuracy",
]

explain_records(globals(), __all__)
