"""Encode class labels of any type as numbers, and decode them; on the host, as devices cannot hold text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from xpnet.arrays import Host
from xpnet.errors import ConfigurationError, DataError

__all__ = ["Labels"]


@dataclass(frozen=True, eq=False)
class Labels:
    """The classes that a classifier knows.

    Attributes
    ----------
    classes : array (classes,)
        Sorted; for several labels per sample the columns' numbers.
    multilabel : bool
        Whether y is an indicator matrix (N, labels).
    """

    classes: Host
    multilabel: bool

    @classmethod
    def of(cls, y: Host) -> Labels:
        """Return the classes of y.

        Raises
        ------
        ValueError
            y holds no classes, or several columns of them.
        """
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind.endswith("multioutput"):
            raise ConfigurationError(
                f"y holds classes in {y.shape[1]} columns; give one column, an indicator matrix, or wrap the estimator "
                "in sklearn.multioutput.MultiOutputClassifier"
            )
        multilabel = kind.startswith("multilabel")
        return cls(np.arange(y.shape[1]) if multilabel else np.unique(y), multilabel)

    @property
    def binary(self) -> bool:
        """Whether one yes-or-no question decides the class."""
        return not self.multilabel and len(self.classes) <= 2

    def encode(self, y: Host) -> Host:
        """Return class numbers (N,), or the indicator matrix as floating numbers.

        Raises
        ------
        DataError
            A label is not among the classes, or y is an indicator matrix where the classes were learned from labels,
            or the other way round.
        """
        if self.multilabel:
            if y.ndim != 2 or y.shape[1] != len(self.classes) or not np.isin(y, (0, 1)).all():
                raise DataError(
                    f"y must be an indicator matrix of {len(self.classes)} columns that holds 0 and 1, as in the first "
                    f"call; got shape {y.shape} with {np.unique(y)[:5]}"
                )
            return y.astype(np.float64)
        if y.ndim != 1:
            raise DataError(
                f"y must hold a class label for each sample, shape (N,), as in the first call; got shape {y.shape}: "
                "give labels, of one-hot rows classes_[y.argmax(axis=1)]"
            )
        strange = np.setdiff1d(y, self.classes)
        if len(strange):
            raise DataError(f"`y` has classes not in `self.classes_`: {strange[:5]}; known are {self.classes}")
        return np.searchsorted(self.classes, y)

    def decode(self, numbers: Host) -> Host:
        """Return the labels of class numbers (N,), or the indicator matrix (N, labels)."""
        if self.multilabel:
            return np.asarray(numbers.reshape(-1, len(self.classes)), dtype=np.int64)
        return self.classes[np.minimum(numbers, len(self.classes) - 1)]

    def same(self, classes: Any) -> bool:
        """Say whether these are the classes."""
        return np.array_equal(self.classes, np.unique(classes))
