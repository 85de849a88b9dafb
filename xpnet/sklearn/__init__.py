"""Estimators for scikit-learn: its multi-layer perceptrons on any array library, and wrappers of any network.

``from xpnet.sklearn import MLPClassifier`` in place of ``from sklearn.neural_network import MLPClassifier``.
"""

from __future__ import annotations

try:
    import sklearn as _sklearn
except ModuleNotFoundError as error:
    from xpnet.extras import as_installed

    raise ModuleNotFoundError(
        as_installed("xpnet.sklearn needs scikit-learn; run: pip install 'xpnet[sklearn]'"), name=error.name
    ) from error

from xpnet.sklearn.classifier import MLPClassifier
from xpnet.sklearn.regressor import MLPRegressor
from xpnet.sklearn.wrappers import XPClassifier, XPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "XPClassifier", "XPRegressor"]

del _sklearn
