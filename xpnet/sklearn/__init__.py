"""Estimators for scikit-learn: its multi-layer perceptrons on any array library, and wrappers of any network.

``from xpnet.sklearn import MLPClassifier`` in place of ``from sklearn.neural_network import MLPClassifier``.
"""

from __future__ import annotations

from xpnet.extras import import_extra

import_extra("sklearn", "sklearn", "xpnet.sklearn")

from xpnet.sklearn.classifier import MLPClassifier
from xpnet.sklearn.regressor import MLPRegressor
from xpnet.sklearn.wrappers import XPClassifier, XPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "XPClassifier", "XPRegressor"]
